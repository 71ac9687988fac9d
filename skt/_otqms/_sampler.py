"""Which source rows to train on, whatever the model."""

import numbers
import warnings
from collections.abc import Mapping
from functools import partial

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from skt._base import _refuse_pairs, small_blas
from skt._sklearn import safe_indexing
from skt.core import allocation, row_choice

from ._domains import (
    DISCREPANCIES,
    FAMILIES,
    check_arrays,
    check_option,
    discrepancy_of,
    doubts_of_few_rows,
    is_number,
    split,
    warn,
)

SELECTIONS = ("random", "matched")

# Random draws that "matched" chooses from.
DRAWS = 20


class OTQMSSampler(BaseEstimator):
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
        Model in which domains are compared, intercept included; what is trained afterwards may
        be any other. "auto": "logistic" for text, booleans and numbers of up to 20 different
        whole values, "linear" otherwise; inside ``SourceSampled`` the estimator decides.
    discrepancy : {"eb", "plugin"} or array of shape (n_sources, n_sources), default="eb"
        "eb": M by empirical Bayes with the James-Stein guard. "plugin": the raw differences of
        fitted coefficients (the paper); they hold the noise of both fits, so that too few rows
        are taken. An array is M itself, in the order of ``source_names_``.
    budget : float, default=None
        Most that the source rows may cost; without ``costs``, most rows. None: no limit.
    costs : dict of str to float, default=None
        Cost of one row of each source, positive. None: 1.
    min_samples : "auto" or int >= 0, default="auto"
        "auto" chooses by the rows drawn, as above. A number solves the paper's programme for M
        as it is and leaves out sources of which it would take fewer rows; the higher, the
        fewer rows of doubtful use. 0 is the paper, which can more than double the target-only
        risk (docs/otqms.md).
    selection : {"random", "matched"}, default="random"
        "random" draws rows without replacement. "matched" draws twenty times and keeps the draw
        whose fit comes closest: better for models like the family, at twenty times the cost of
        the check.
    constraints : callable, default=None
        Receives a cvxpy expression, the rows taken of each source in the order of
        ``source_names_``, and returns a list of convex constraints on it.
    random_state : int, RandomState or None, default=None
        Determines the draw.

    Attributes
    ----------
    source_names_ : list of str
        Names of the sources, in the order of their labels.
    transfer_quantities_ : ndarray of int of shape (n_sources,)
        Rows taken of each source.
    sample_indices_ : ndarray of int
        Rows kept, ascending: every target row and the chosen source rows.
    discrepancy_ : ndarray of shape (n_sources, n_sources)
        M, per target row.
    risk_, target_risk_ : float
        Expected Kullback-Leibler divergence per target row of the family's fit with the rows
        kept, and with the target's alone, given the data, in nats; for a linear model the
        squared error over twice the noise variance. nan without sources.
    family_ : str
        The family used.
    n_features_in_, feature_names_in_
        Number and names of features seen in fit.

    Raises
    ------
    ValueError
        If the budget is negative or above the cost of all source rows, costs lack a source or
        are not positive, or an option is unknown.

    Warns
    -----
    UserWarning
        If the target has one or two rows, which cannot tell which sources are like it;
        if ``min_samples`` is a number and a source gives fewer rows than there are coefficients;
        if ``fit_resample`` gets no ``sample_domain``.

    Notes
    -----
    Cost: a fit of the family to every domain, and one pass over the source rows: O(n d^2) with
    d coefficients (features x outputs), plus O(d^3) for every source and candidate. Missing
    values are replaced by medians for the comparison only. Rows with weight 0 are not drawn.

    References
    ----------
    OTQMS: arXiv 2502.04242v3. The estimation of M and the check of the rows drawn are this
    project's; docs/otqms.md has the figures, and says when weights are better than samples.

    Examples
    --------
    Two sources, one of them like the target:

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

    __metadata_request__fit = {"sample_domain": True}

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

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Choose the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numeric features of the rows of all domains, stacked; nan is a missing value.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Outcomes: numbers, counts or classes.
        sample_domain : array-like of shape (n_samples,), default=None
            Domain of each row: ``"target"`` or the name of a source, or integers with the
            target negative (`as_sample_domain` makes it of a column). None: all target.
        sample_weight : array-like of shape (n_samples,), default=None
            Row counts: weight 2 is the row twice.

        Returns
        -------
        self : OTQMSSampler
            With the attributes above.
        """
        _refuse_pairs(X, y, sample_domain)
        self._choose(*check_arrays(self, X, y), sample_domain, sample_weight)
        warn(self._doubts, stacklevel=2)
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
        self._check_options()
        domains = split(X, y, sample_domain, sample_weight, self.family, target_response)
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
        with small_blas(domains.rows[0].Z.shape[1]):
            measured = row_choice.measure(FAMILIES[domains.family], domains.rows, domains.response)
            M = discrepancy_of(self.discrepancy, measured, domains.names)
            candidates = self._candidates(measured, M, sizes, *limits)
            orders = [
                [rng.permutation(size) for size in sizes]
                for _ in range(DRAWS if self.selection == "matched" else 1)
            ]
            checked = self.min_samples == "auto"
            choice = row_choice.choose(measured, M, candidates, orders, none_too=checked)
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
            return [proposal(multiple, every) for multiple in row_choice.MULTIPLES]
        only = partial(proposal, 1.0)
        return [allocation.leave_out_small(only, self.min_samples, len(sizes))]

    def _solve_by_constraints(self, n, M, sizes, costs, budget, per_row):
        from skt.core.convex import constrained_quantities  # cvxpy takes a second to import

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

    def _check_options(self):
        check_option("family", self.family, ("auto", *FAMILIES))
        check_option("selection", self.selection, SELECTIONS)
        if isinstance(self.discrepancy, str):
            check_option("discrepancy", self.discrepancy, DISCREPANCIES)
        if self.budget is not None and not is_number(self.budget, numbers.Real):
            raise ValueError(f"budget must be a number >= 0 or None; got {self.budget!r}.")
        is_count = is_number(self.min_samples, numbers.Integral)
        if not is_count and not (isinstance(self.min_samples, str) and self.min_samples == "auto"):
            raise ValueError(
                f"min_samples must be 'auto' or a whole number >= 0; got {self.min_samples!r}."
            )
        if self.constraints is not None and not callable(self.constraints):
            raise TypeError(
                "constraints must be a callable from the rows taken of each source to a list of "
                f"cvxpy constraints; got {type(self.constraints).__name__}."
            )

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
    if not isinstance(costs, Mapping):
        raise TypeError(
            f"costs must be a dict from the name of every source to the cost of one of its rows; "
            f"got {type(costs).__name__}."
        )
    given = {str(name): cost for name, cost in costs.items()}
    missing = [name for name in names if name not in given]
    if missing:
        raise ValueError(
            f"costs lacks {', '.join(map(repr, missing))}; give a cost per source row."
        )
    wrong = {n: given[n] for n in names if not (is_number(given[n], numbers.Real) and given[n] > 0)}
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
