"""Which source rows to train on, whatever the model."""

import warnings
from collections.abc import Mapping
from functools import partial

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from skt._sklearn import StrOptions, safe_indexing
from skt.core import allocation, evidence, otqms
from skt.estimators.base import FromSources, small_blas
from skt.estimators.checks import (
    AUTO,
    COUNT,
    DISCREPANCY,
    FAMILY,
    NONNEGATIVE,
    POSITIVE,
    discrepancy_of,
)
from skt.estimators.docstrings import OUTCOMES, documents_rows
from skt.estimators.messages import doubts_of_few_rows, warn
from skt.sources.family_rows import FAMILIES, rows_in_family
from skt.sources.validate import check_arrays

# Random draws that "matched" chooses from.
DRAWS = 20


class OTQMSSampler(FromSources, BaseEstimator):
    """Take from every source as many rows as help the target, for any estimator.

    A sampler as in imbalanced-learn: ``fit_resample`` returns all target rows and some rows of
    each source. With ``m_i`` rows of source i, ``s`` in all, and discrepancies
    ``M_ij = delta_i' J delta_j / d`` between the d coefficients of sources and target (in a
    linear, logistic or Poisson model), the expected Kullback-Leibler divergence is ``d/2`` times

        1 / (n_0 + s) + m' M m / (n_0 + s)^2,      0 <= m_i <= n_i,  costs' m <= budget,

    which one convex programme minimises exactly. Since M is an estimate and the formula is far
    off where a source gives fewer rows than there are coefficients, the programme is solved for
    multiples of M as well, the rows are drawn, and the draw is kept whose fit in the family
    comes closest to the best estimate of the target (UOWQ's); none if none comes closer than
    the target's own rows. Without sources the rows come back untouched.

    In a scikit-learn Pipeline rows cannot be dropped: use ``SourceSampled(estimator, sampler)``.
    In imbalanced-learn's Pipeline ``sample_domain`` arrives with metadata routing only.

    Parameters
    ----------
    family : {"auto", "linear", "logistic", "poisson"}, default="auto"
        Model in which domains are compared. "auto": "logistic" for text, booleans and up to 20
        whole numbers, "linear" otherwise; inside ``SourceSampled`` the estimator decides.
    discrepancy : {"eb", "plugin"} or array of shape (n_sources, n_sources), default="eb"
        "eb": M by empirical Bayes with the James-Stein guard. "plugin": the raw differences of
        fitted coefficients (the paper), by which too few rows are taken. An array is M itself.
    budget : float, default=None
        Most that the source rows may cost; without ``costs``, most rows. None: no limit.
    costs : dict of str to float, default=None
        Cost of one row of each source, positive. None: 1.
    min_samples : "auto" or int >= 0, default="auto"
        "auto" chooses by the rows drawn, as above. A number leaves out sources of which the
        programme would take fewer rows. 0 is the paper, which can double the target-only risk.
    selection : {"random", "matched"}, default="random"
        "matched" draws twenty times and keeps the draw whose fit comes closest: better for models
        like the family, at twenty times the cost of the check.
    constraints : callable, default=None
        From a cvxpy expression, the rows taken of each source, to a list of convex constraints.
    random_state : int, RandomState or None, default=None
        Determines the draw.

    Attributes
    ----------
    source_names_, family_ : list of str and str
        Names of the sources, in the order of their labels, and the family used.
    transfer_quantities_ : ndarray of int of shape (n_sources,)
        Rows taken of each source.
    sample_indices_ : ndarray of int
        Rows kept, ascending: every target row and the chosen source rows.
    discrepancy_ : ndarray of shape (n_sources, n_sources)
        M, per target row.
    risk_, target_risk_ : float
        Expected divergence per target row, in nats, with the rows kept and by the target's alone;
        for a linear model the squared error over twice the noise variance. nan without sources.

    Raises
    ------
    ValueError
        If the budget is above the cost of all source rows, or costs lack a source.

    Warns
    -----
    UserWarning
        If one or two target rows cannot tell which sources are like it, if a number as
        ``min_samples`` lets too few rows through, or if ``fit_resample`` gets no ``sample_domain``.

    References
    ----------
    OTQMS: arXiv 2502.04242v3. The estimation of M and the check of the rows drawn are this
    project's. Cost: O(n d^2) with d coefficients, and O(d^3) for every source and candidate.

    Examples
    --------
    >>> import numpy as np
    >>> from skt import OTQMSSampler, stack_domains
    >>> rng = np.random.default_rng(1)
    >>> beta = rng.normal(size=15)
    >>> def draw(n, beta):
    ...     X = rng.normal(size=(n, 15))
    ...     return X, X @ beta + rng.normal(size=n)
    >>> X, y, d = stack_domains(
    ...     draw(30, beta), {"far": draw(200, -beta), "near": draw(200, beta + 0.05)})
    >>> sampler = OTQMSSampler(random_state=0)
    >>> X_new, y_new = sampler.fit_resample(X, y, sample_domain=d)
    >>> dict(zip(sampler.source_names_, sampler.transfer_quantities_.tolist()))
    {'far': 0, 'near': 200}
    >>> X_new.shape
    (230, 15)
    >>> print(f"expected risk {sampler.target_risk_:.2f} -> {sampler.risk_:.2f}")
    expected risk 0.37 -> 0.03
    """

    _parameter_constraints = {
        "family": FAMILY,
        "discrepancy": DISCREPANCY,
        "budget": [NONNEGATIVE, None],
        "costs": [Mapping, None],
        "min_samples": [AUTO, COUNT],
        "selection": [StrOptions({"random", "matched"})],
        "constraints": [callable, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        family="auto",
        *,
        discrepancy="eb",
        budget=None,
        costs=None,
        min_samples="auto",
        selection="random",
        constraints=None,
        random_state=None,
    ):
        self.family = family
        self.discrepancy = discrepancy
        self.budget = budget
        self.costs = costs
        self.min_samples = min_samples
        self.selection = selection
        self.constraints = constraints
        self.random_state = random_state

    @documents_rows(OUTCOMES)
    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Choose the rows; nan in numeric features is a missing value."""
        self._check_parameters()
        X, y = check_arrays(self, X, y, sample_domain)
        self._choose(X, y, sample_domain, sample_weight)
        warn(self._doubts)
        return self

    def fit_resample(self, X, y, sample_domain=None):
        """Choose the rows and return them.

        Parameters
        ----------
        X, y, sample_domain
            As in `fit`.

        Returns
        -------
        X_resampled, y_resampled : of the kind that came in
            The rows ``sample_indices_``.
        """
        if sample_domain is None:
            _warn_of_no_domain()
        self.fit(X, y, sample_domain)
        return safe_indexing(X, self.sample_indices_), safe_indexing(y, self.sample_indices_)

    def _choose(self, X, y, sample_domain, sample_weight, target_response=None):
        """Choose the rows of arrays; the target's outcomes may be replaced in the comparison."""
        domains = rows_in_family(X, y, sample_domain, sample_weight, self.family, target_response)
        self.source_names_, self.family_ = domains.names, domains.family
        self._classes = domains.classes
        self._target_rows, self._doubts = domains.target_rows, []
        if domains.names:
            self._choose_from(domains)
        else:
            self.transfer_quantities_ = np.zeros(0, dtype=np.intp)
            self.sample_indices_ = domains.target_rows
            self.discrepancy_ = np.zeros((0, 0))
            self.risk_ = self.target_risk_ = np.nan
        return self

    def _choose_from(self, domains):
        self._doubts = doubts_of_few_rows(domains.rows[0])
        rng = check_random_state(self.random_state)
        sizes = self._sizes = np.array([len(rows) for rows in domains.source_rows])
        limits = self._limits(domains.names, sizes)
        with small_blas(domains.rows[0].X.shape[1]):
            measured = evidence.measure(FAMILIES[domains.family], domains.rows, domains.response)
            M = discrepancy_of(self.discrepancy, measured, domains.names)
            candidates = self._candidates(measured, M, sizes, *limits)
            orders = [
                [rng.permutation(size) for size in sizes]
                for _ in range(DRAWS if self.selection == "matched" else 1)
            ]
            checked = self.min_samples == "auto"
            choice = otqms.choose_rows(measured, M, candidates, orders, none_too=checked)
        if not checked:
            self._doubts += _doubts_of_few(choice.quantities, len(measured.root), domains.names)
        self._store(domains, M, choice)

    def _candidates(self, measured, M, sizes, costs, budget):
        """Return the whole quantities that the programme proposes."""
        n = measured.programme_rows
        solve = self._solve_by_constraints if self.constraints is not None else _solve

        def proposal(multiple, kept):
            return solve(
                n * np.append(True, kept), multiple * M, sizes, costs, budget, n[1:] / sizes
            )

        if self.min_samples == "auto":
            every = np.ones(len(sizes), dtype=bool)
            return [proposal(multiple, every) for multiple in otqms.MULTIPLES]
        only = partial(proposal, 1.0)
        return [allocation.leave_out_small(only, self.min_samples, len(sizes))]

    def _solve_by_constraints(self, n, M, sizes, costs, budget, per_row):
        from skt.core.constrained import constrained_quantities  # cvxpy takes a second to import

        costs = costs / per_row
        m = constrained_quantities(n, M, self.constraints, 1 / per_row, costs=costs, budget=budget)
        return np.floor(m / per_row + 1e-6).astype(np.intp)  # never beyond the constraints

    def _limits(self, names, sizes):
        """Return the cost of a row of each source, and the budget."""
        costs = _check_costs(self.costs, names)
        if self.budget is None:
            return costs, np.inf
        total = float(costs @ sizes)
        if self.budget > total:
            raise ValueError(
                f"budget is {self.budget} but all source rows together cost {total:g}; "
                "give at most that, or budget=None to take as many rows as help."
            )
        return costs, float(self.budget)

    def _store(self, domains, M, choice):
        taken = [rows[o] for rows, o in zip(domains.source_rows, choice.rows, strict=True)]
        self.transfer_quantities_ = choice.quantities
        self.sample_indices_ = np.sort(np.concatenate([domains.target_rows, *taken]))
        self.discrepancy_ = M
        self.risk_, self.target_risk_ = choice.risk, choice.target_risk

    # scikit-learn's Pipeline refuses a step without transform, and puts str(step) into its
    # error: the only place to say what to use instead.
    def __str__(self):
        return (
            f"{self!r} (a sampler: it drops rows, which a scikit-learn Pipeline cannot do; use "
            "SourceSampled(estimator, sampler) as its last step, or imblearn.pipeline.Pipeline)"
        )

    def get_metadata_routing(self):
        """Return what metadata the methods take; imbalanced-learn's pipeline asks for it."""
        request = super().get_metadata_routing()
        # There once imbalanced-learn is imported; as with fit, no request has to be set.
        resample = getattr(request, "fit_resample", None)
        if resample is not None and resample.requests.get("sample_domain") is None:
            resample.add_request(param="sample_domain", alias=True)
        return request

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.input_tags.allow_nan = True
        return tags


def _solve(n, M, sizes, costs, budget, per_row):
    """Return whole rows by the programme, where a row may stand for several, ``per_row``."""
    m = allocation.optimal_quantities(n, M, costs=costs / per_row, budget=budget)
    return allocation.whole_quantities(m / per_row, sizes, costs, budget)


def _check_costs(costs, names):
    if costs is None:
        return np.ones(len(names))
    given = {str(name): cost for name, cost in costs.items()}
    missing = [name for name in names if name not in given]
    if missing:
        raise ValueError(
            f"costs lacks {', '.join(map(repr, missing))}; give a cost per source row."
        )
    wrong = {n: given[n] for n in names if not POSITIVE.is_satisfied_by(given[n])}
    if wrong:
        name, cost = next(iter(wrong.items()))
        raise ValueError(f"costs[{name!r}] must be a positive number; got {cost!r}.")
    return np.array([float(given[name]) for name in names])


def _warn_of_no_domain():
    warnings.warn(
        "fit_resample got no sample_domain, so every row is the target's and stays. In "
        "imblearn.pipeline.Pipeline it arrives only with metadata routing: call "
        "sklearn.set_config(enable_metadata_routing=True) and pass sample_domain=... to the "
        "pipeline's fit.",
        UserWarning,
        stacklevel=3,
    )


def _doubts_of_few(quantities, d, names):
    """Return what to warn of where few rows are taken of a source."""
    few = [f"{name!r} ({m})" for name, m in zip(names, quantities, strict=True) if 0 < m < d]
    if not few:
        return []
    return [
        f"Fewer rows than the {d} coefficients are taken of {', '.join(few)}: the formula "
        "for their worth does not hold there, and the risk can exceed the target's own. "
        f"Leave them out by min_samples={d}, or check the rows drawn by min_samples='auto'."
    ]
