"""Which source rows to train on, whatever the model: OTQMS, and the weighted alternative."""

import numbers
import warnings
from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state, check_X_y, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, has_fit_parameter, validate_data

from ._base import _check_weight, _refuse_pairs, small_blas
from ._sklearn import num_samples, safe_indexing
from .core import allocation, glm, row_choice
from .sources import split_domains

FAMILIES = {"linear": row_choice.GAUSSIAN, "logistic": glm.LOGISTIC, "poisson": glm.POISSON}
DISCREPANCIES = ("eb", "plugin")
SELECTIONS = ("random", "matched")

# Random draws that "matched" chooses from.
DRAWS = 20

# Outcomes with more different numbers are no classes, unless the user says so.
MAX_CLASSES = 20


class _Domains(NamedTuple):
    """Rows of all domains as the family sees them."""

    family: str
    classes: np.ndarray | None
    names: list
    target_rows: np.ndarray
    source_rows: list
    rows: list  # of row_choice.Rows, target first
    response: np.ndarray | None = None  # in place of the target's outcomes in its fit


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
        If ``min_samples`` is a number and a source gives fewer rows than there are coefficients;
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
        return self._choose(*_check_arrays(self, X, y), sample_domain, sample_weight)

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
        domains = _split(X, y, sample_domain, sample_weight, self.family, target_response)
        self.source_names_, self.family_ = domains.names, domains.family
        self._classes = domains.classes
        if domains.names:
            self._choose_from(domains)
        else:
            self.transfer_quantities_ = np.zeros(0, dtype=np.intp)
            self.sample_indices_ = domains.target_rows
            self.discrepancy_ = np.zeros((0, 0))
            self.risk_ = self.target_risk_ = np.nan
        return self

    def _choose_from(self, domains):
        rng = check_random_state(self.random_state)
        sizes = self._sizes = np.array([len(rows) for rows in domains.source_rows])
        limits = self._limits(domains.names, sizes)
        with small_blas(domains.rows[0].Z.shape[1]):
            measured = row_choice.measure(FAMILIES[domains.family], domains.rows, domains.response)
            M = _discrepancy(self.discrepancy, measured, domains.names)
            candidates = self._candidates(measured, M, sizes, *limits)
            orders = [
                [rng.permutation(size) for size in sizes]
                for _ in range(DRAWS if self.selection == "matched" else 1)
            ]
            checked = self.min_samples == "auto"
            choice = row_choice.choose(measured, M, candidates, orders, none_too=checked)
        if not checked:
            _warn_of_few(choice.quantities, len(measured.root), domains.names)
        self._store(domains, M, choice)

    def _candidates(self, measured, M, sizes, costs, budget):
        """Return the whole quantities that the programme proposes."""
        n = measured.programme_rows
        per_row = n[1:] / sizes  # a row may stand for several

        def solve(multiple, kept):
            rows = n * np.append(True, kept)
            if self.constraints is None:
                m = allocation.optimal_quantities(
                    rows, multiple * M, costs=costs / per_row, budget=budget
                )
                return allocation.whole_quantities(m / per_row, sizes, costs, budget)
            from .core.convex import constrained_quantities  # cvxpy takes a second to import

            m = constrained_quantities(
                rows,
                multiple * M,
                self.constraints,
                1 / per_row,
                costs=costs / per_row,
                budget=budget,
            )
            return np.floor(m / per_row + 1e-6).astype(np.intp)  # never beyond the constraints

        if self.min_samples == "auto":
            every = np.ones(len(sizes), dtype=bool)
            return [solve(multiple, every) for multiple in row_choice.MULTIPLES]
        only = partial(solve, 1.0)
        return [allocation.leave_out_small(only, self.min_samples, len(sizes))]

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
        _check_option("family", self.family, ("auto", *FAMILIES))
        _check_option("selection", self.selection, SELECTIONS)
        if isinstance(self.discrepancy, str):
            _check_option("discrepancy", self.discrepancy, DISCREPANCIES)
        if self.budget is not None and not _is_number(self.budget, numbers.Real):
            raise ValueError(f"budget must be a number >= 0 or None; got {self.budget!r}.")
        is_count = _is_number(self.min_samples, numbers.Integral)
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


# Estimators that train on chosen rows -------------------------------------------------------


def _estimator_has(name):
    """Whether the fitted estimator, or before fit the given one, has a method."""

    def check(self):
        getattr(getattr(self, "estimator_", self.estimator), name)
        return True

    return check


class _Wrapped(MetaEstimatorMixin, BaseEstimator):
    """Behaves as its ``estimator`` in everything but the rows and weights it is trained on."""

    __metadata_request__fit = {"sample_domain": True}

    def __sklearn_tags__(self):
        # Whatever the inner estimator is and can take, with rows of several domains too.
        return deepcopy(get_tags(self.estimator))

    @property
    def n_features_in_(self):
        """Number of features seen in fit."""
        return self._fitted.n_features_in_

    @property
    def feature_names_in_(self):
        """Names of the features seen in fit."""
        return self._fitted.feature_names_in_

    @property
    def classes_(self):
        """Classes of the estimator."""
        return self._fitted.classes_

    @property
    def _fitted(self):
        if not hasattr(self, "estimator_"):
            raise AttributeError(f"{type(self).__name__} is not fitted yet")
        return self.estimator_

    @available_if(_estimator_has("predict"))
    def predict(self, X):
        """Predict with the trained estimator."""
        check_is_fitted(self)
        return self.estimator_.predict(X)

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X):
        """Probabilities of the classes by the trained estimator."""
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @available_if(_estimator_has("predict_log_proba"))
    def predict_log_proba(self, X):
        """Logarithms of the probabilities by the trained estimator."""
        check_is_fitted(self)
        return self.estimator_.predict_log_proba(X)

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X):
        """Decision function of the trained estimator."""
        check_is_fitted(self)
        return self.estimator_.decision_function(X)

    @available_if(_estimator_has("score"))
    def score(self, X, y, sample_weight=None):
        """Score of the trained estimator, on rows of the target."""
        check_is_fitted(self)
        weight = {} if sample_weight is None else {"sample_weight": sample_weight}
        return self.estimator_.score(X, y, **weight)


class SourceSampled(_Wrapped):
    """Train any estimator on the target's rows and the source rows that OTQMS takes.

    Regressor or classifier as the estimator is. Without sources it is the estimator, trained on
    all rows.

    Parameters
    ----------
    estimator : estimator
        What is trained: a clone of it, on the chosen rows.
    sampler : OTQMSSampler, default=None
        Chooses the rows. None: ``OTQMSSampler()``. Its ``family="auto"`` is "logistic" for a
        classifier, else "linear".
    refresh : int, default=0
        How often the rows are chosen anew and the estimator trained again, the target's
        outcomes replaced in the comparison by the estimator's predictions (the paper's dynamic
        version). Unsafe, and off: predictions move towards the sources that they are then
        compared with; measured in docs/otqms.md.

    Attributes
    ----------
    estimator_ : estimator
        Trained.
    sampler_ : OTQMSSampler
        Fitted, if there were sources.
    source_names_, transfer_quantities_, sample_indices_, risk_, target_risk_
        As in `OTQMSSampler`.
    source_weights_ : ndarray of shape (n_sources,)
        Part of each source's rows that was taken.
    discrepancy_ : ndarray of shape (n_sources, n_sources)
        As in `OTQMSSampler`.
    effective_sample_size_ : float
        Target rows that would be as good, ``n_0 target_risk_ / risk_``.
    source_effective_sample_size_ : ndarray of shape (n_sources,)
        Target rows that each source adds to it, in proportion to the rows taken.
    n_target_samples_ : float
        Rows of the target.
    n_source_samples_ : ndarray of shape (n_sources,)
        Rows of each source.
    n_features_in_, feature_names_in_, classes_
        Of the trained estimator, where it has them.

    See Also
    --------
    SourceWeighted : All rows with weights; lower risk where rows cost nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import HistGradientBoostingRegressor
    >>> from skt import OTQMSSampler, SourceSampled, stack_domains
    >>> rng = np.random.default_rng(0)
    >>> def draw(n, slope):
    ...     X = rng.uniform(-1, 1, size=(n, 6))
    ...     return X, np.sin(3 * X[:, 0]) + slope * X[:, 1] + 0.3 * rng.normal(size=n)
    >>> X, y, d = stack_domains(draw(60, 1), {"near": draw(600, 1.05), "far": draw(600, -3)})
    >>> X_test, y_test = draw(1000, 1)
    >>> boosting = HistGradientBoostingRegressor(max_iter=50, random_state=0)
    >>> sampled = SourceSampled(boosting, OTQMSSampler(random_state=0))
    >>> both = sampled.fit(X, y, sample_domain=d)
    >>> dict(zip(both.source_names_, both.source_weights_.round(1).tolist()))
    {'far': 0.0, 'near': 1.0}
    >>> alone = boosting.fit(X[:60], y[:60])
    >>> print(f"R2 {alone.score(X_test, y_test):.2f} -> {both.score(X_test, y_test):.2f}")
    R2 0.72 -> 0.89
    """

    def __init__(self, estimator, sampler=None, *, refresh=0):
        self.estimator = estimator
        self.sampler = sampler
        self.refresh = refresh

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Choose the rows and train the estimator on them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of all domains, stacked; numeric if there are sources.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Outcomes.
        sample_domain : array-like of shape (n_samples,), default=None
            Domain of each row, as in `OTQMSSampler`. None: all target.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; the estimator gets those of the chosen rows.

        Returns
        -------
        self : SourceSampled
            Trained.
        """
        self._check_parameters()
        names = _source_names(X, y, sample_domain)
        if not names:
            self._store_all_rows(num_samples(X))
            self.estimator_ = _train(self.estimator, X, y, sample_weight)
            return self
        self.sampler_ = self._sampler().fit(X, y, sample_domain, sample_weight)
        self._train_on_chosen(X, y, sample_weight)
        for _ in range(self.refresh):
            target, _ = split_domains(sample_domain, num_samples(X))
            response = _predicted_response(self.estimator_, safe_indexing(X, target), self.sampler_)
            arrays = _check_arrays(self.sampler_, X, y)
            self.sampler_._choose(*arrays, sample_domain, sample_weight, response)
            self._train_on_chosen(X, y, sample_weight)
        return self

    def _check_parameters(self):
        if not _is_number(self.refresh, numbers.Integral):
            raise ValueError(f"refresh must be a whole number >= 0; got {self.refresh!r}.")
        if self.sampler is not None and not isinstance(self.sampler, OTQMSSampler):
            raise TypeError(
                f"sampler must be an OTQMSSampler or None; got {type(self.sampler).__name__}."
            )

    def _sampler(self):
        sampler = OTQMSSampler() if self.sampler is None else clone(self.sampler)
        if sampler.family == "auto":
            sampler.set_params(family="logistic" if is_classifier(self.estimator) else "linear")
        return sampler

    def _train_on_chosen(self, X, y, sample_weight):
        sampler = self.sampler_
        rows = sampler.sample_indices_
        weight = None if sample_weight is None else safe_indexing(sample_weight, rows)
        self.estimator_ = _train(
            self.estimator, safe_indexing(X, rows), safe_indexing(y, rows), weight
        )
        self.source_names_ = sampler.source_names_
        self.transfer_quantities_ = sampler.transfer_quantities_
        self.source_weights_ = sampler.transfer_quantities_ / sampler._sizes
        self.sample_indices_ = rows
        self.risk_, self.target_risk_ = sampler.risk_, sampler.target_risk_
        self.discrepancy_ = sampler.discrepancy_
        gain = sampler.target_risk_ / max(sampler.risk_, 1e-300)
        self.n_source_samples_ = sampler._sizes.astype(float)
        self.n_target_samples_ = float(len(rows) - np.sum(sampler.transfer_quantities_))
        self.effective_sample_size_ = self.n_target_samples_ * gain
        self.source_effective_sample_size_ = allocation.effective_parts(
            self.effective_sample_size_, self.n_target_samples_, self.transfer_quantities_
        )

    def _store_all_rows(self, n_samples):
        self.source_names_, self.source_weights_ = [], np.zeros(0)
        self.transfer_quantities_ = np.zeros(0, dtype=np.intp)
        self.sample_indices_ = np.arange(n_samples)
        self.discrepancy_ = np.zeros((0, 0))
        self.risk_ = self.target_risk_ = np.nan
        self.effective_sample_size_ = self.n_target_samples_ = float(n_samples)
        self.source_effective_sample_size_ = self.n_source_samples_ = np.zeros(0)


class SourceWeighted(_Wrapped):
    """Train any estimator that takes ``sample_weight`` on all rows, sources by UOWQ's weights.

    Every row of source i gets the weight that minimises

        [n_0 + sum_i w_i^2 n_i + (wn)' M (wn)] / (n_0 + sum_i w_i n_i)^2

    a target row having weight 1, with M the discrepancies of coefficients in a linear, logistic
    or Poisson model, estimated by empirical Bayes with the James-Stein guard. Throwing rows
    away can only lose: prefer this to ``SourceSampled`` unless training on all rows is too
    expensive. Without sources it is the estimator, trained on all rows.

    Parameters
    ----------
    estimator : estimator
        What is trained: a clone of it, on all rows, with weights. In a Pipeline the last step
        gets them; with metadata routing, the steps that request ``sample_weight``.
    family : {"auto", "linear", "logistic", "poisson"}, default="auto"
        Model in which domains are compared, intercept included. "auto": "logistic" for a
        classifier, else "linear".
    discrepancy : {"eb", "plugin"} or array of shape (n_sources, n_sources), default="eb"
        As in `OTQMSSampler`.

    Attributes
    ----------
    estimator_ : estimator
        Trained.
    source_names_ : list of str
        Names of the sources, in the order of their labels.
    source_weights_ : ndarray of shape (n_sources,)
        Weight of a row of each source.
    effective_sample_size_ : float
        Target rows that would be as good as all rows with these weights.
    source_effective_sample_size_ : ndarray of shape (n_sources,)
        Target rows that each source adds to it.
    n_target_samples_ : float
        Rows of the target, counted by their weights.
    n_source_samples_ : ndarray of shape (n_sources,)
        Rows of each source.
    source_noise_ratio_ : ndarray of shape (n_sources,)
        Noise variance of each source over that of the target; 1 unless the family is linear.
    discrepancy_ : ndarray of shape (n_sources, n_sources)
        M, per target row.
    n_features_in_, feature_names_in_, classes_
        Of the trained estimator, where it has them.

    Raises
    ------
    TypeError
        If the estimator takes no ``sample_weight``.

    References
    ----------
    UOWQ: arXiv 2601.10779v2; docs/uowq.md.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skt import SourceWeighted, stack_domains
    >>> rng = np.random.default_rng(0)
    >>> def draw(n, beta):
    ...     X = rng.normal(size=(n, 10))
    ...     return X, np.where(X @ beta + rng.logistic(size=n) > 0, "yes", "no")
    >>> beta = np.linspace(-1, 1, 10)
    >>> X, y, d = stack_domains(draw(60, beta), {"near": draw(400, beta), "far": draw(400, -beta)})
    >>> X_test, y_test = draw(2000, beta)
    >>> both = SourceWeighted(LogisticRegression()).fit(X, y, sample_domain=d)
    >>> dict(zip(both.source_names_, both.source_weights_.round(1).tolist()))
    {'far': 0.0, 'near': 0.3}
    >>> alone = LogisticRegression().fit(X[:60], y[:60])
    >>> print(f"accuracy {alone.score(X_test, y_test):.2f} -> {both.score(X_test, y_test):.2f}")
    accuracy 0.73 -> 0.79
    """

    def __init__(self, estimator, *, family="auto", discrepancy="eb"):
        self.estimator = estimator
        self.family = family
        self.discrepancy = discrepancy

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Weigh the sources and train the estimator.

        Parameters
        ----------
        X, y, sample_domain
            As in `SourceSampled.fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            Row counts, by which the weights of the sources are multiplied.

        Returns
        -------
        self : SourceWeighted
            Trained.
        """
        _check_option("family", self.family, ("auto", *FAMILIES))
        if isinstance(self.discrepancy, str):
            _check_option("discrepancy", self.discrepancy, DISCREPANCIES)
        self.source_names_ = _source_names(X, y, sample_domain)
        self.source_weights_, self.discrepancy_ = np.zeros(0), np.zeros((0, 0))
        self.effective_sample_size_ = self.n_target_samples_ = float(num_samples(X))
        self.source_effective_sample_size_ = self.n_source_samples_ = np.zeros(0)
        self.source_noise_ratio_ = np.zeros(0)
        if self.source_names_:
            sample_weight = self._weigh(X, y, sample_domain, sample_weight)
        self.estimator_ = _train(self.estimator, X, y, sample_weight)
        return self

    def _weigh(self, X, y, sample_domain, sample_weight):
        """Choose the weights of the sources; return those of all rows."""
        family = self.family
        if family == "auto":
            family = "logistic" if is_classifier(self.estimator) else "linear"
        X, y = check_X_y(
            X, y, dtype=np.float64, ensure_all_finite="allow-nan", multi_output=True, estimator=self
        )
        domains = _split(X, y, sample_domain, sample_weight, family)
        with small_blas(X.shape[1]):
            measured = row_choice.measure(FAMILIES[family], domains.rows)
            self.discrepancy_ = _discrepancy(self.discrepancy, measured, domains.names)
            self.source_weights_, risk = row_choice.source_weights(measured, self.discrepancy_)
        self.n_target_samples_, self.n_source_samples_ = float(measured.n[0]), measured.n[1:]
        self.source_noise_ratio_ = measured.noise[1:]
        self.effective_sample_size_ = 1 / risk
        self.source_effective_sample_size_ = allocation.effective_parts(
            1 / risk, self.n_target_samples_, self.source_weights_ * self.n_source_samples_
        )
        weight = np.ones(len(X)) if sample_weight is None else np.array(sample_weight, dtype=float)
        for rows, w in zip(domains.source_rows, self.source_weights_, strict=True):
            weight[rows] *= w
        return weight


# Shared -------------------------------------------------------------------------------------


def _train(estimator, X, y, sample_weight):
    """Return a trained clone."""
    estimator = clone(estimator)
    if sample_weight is None:
        return estimator.fit(X, y)
    last, path = estimator, []
    while isinstance(last, Pipeline):
        name, last = last.steps[-1]
        path.append(name)
    if not has_fit_parameter(last, "sample_weight"):
        raise TypeError(
            f"{type(last).__name__}.fit takes no sample_weight; SourceSampled, without "
            "sample_weight, trains any estimator."
        )
    routed = get_config()["enable_metadata_routing"]
    keyword = "sample_weight" if routed else "__".join([*path, "sample_weight"])
    return estimator.fit(X, y, **{keyword: sample_weight})


def _source_names(X, y, sample_domain):
    _refuse_pairs(X, y, sample_domain)
    return list(split_domains(sample_domain, num_samples(X))[1])


def _check_arrays(estimator, X, y):
    """Return X and y as arrays; nan is allowed in X only."""
    return validate_data(
        estimator, X, y, dtype=np.float64, ensure_all_finite="allow-nan", multi_output=True
    )


def _split(X, y, sample_domain, sample_weight, family, target_response=None):
    """Return the rows of every domain in the family's units."""
    target_rows, source_rows = split_domains(sample_domain, len(X))
    weight = _check_weight(sample_weight, X, target_rows, source_rows)
    drawn = [rows[weight[rows] > 0] for rows in source_rows.values()]
    if not drawn:
        return _Domains(family, None, [], target_rows, [], [])
    family = _family_of(y) if family == "auto" else family
    Y, classes = _response(y, family)
    present = weight[target_rows] > 0
    used = [target_rows[present], *drawn]
    counted = np.concatenate(used)
    Z = np.empty((len(X), X.shape[1] + 1))
    Z[counted] = row_choice.design(_imputed(X[counted]), weight[counted])
    origin = 0.0
    if family == "linear":
        origin = np.average(Y[used[0]], axis=0, weights=weight[used[0]])
    rows = [row_choice.Rows(Z[r], Y[r] - origin, weight[r]) for r in used]
    response = None if target_response is None else target_response[present] - origin
    return _Domains(family, classes, list(source_rows), target_rows, drawn, rows, response)


def _imputed(X):
    if not np.isnan(X).any():
        return X
    return SimpleImputer(strategy="median", keep_empty_features=True).fit_transform(X)


def _family_of(y):
    """Return the family for outcomes of a kind."""
    if y.dtype.kind not in "iuf":
        return "logistic"
    whole = y.ndim == 1 and np.all(y == np.floor(y))
    return "logistic" if whole and len(np.unique(y)) <= MAX_CLASSES else "linear"


def _response(y, family):
    """Return outcomes as the family's responses (n, q), and the classes."""
    if family == "logistic":
        if y.ndim > 1:
            raise ValueError(
                f"y has {y.shape[1]} columns, but family='logistic' compares domains by one "
                "column of classes; choose family='linear' or 'poisson', or one column."
            )
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"y has one class only, {str(classes[0])!r}; there is nothing to learn."
            )
        return glm.indicators(codes, len(classes)), classes
    try:
        Y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"y must be numeric for family={family!r} ({error}); "
            "family='logistic' compares domains by classes."
        ) from error
    if family == "poisson" and np.any(Y < 0):
        raise ValueError(f"y must be >= 0 for family='poisson'; its least value is {Y.min():g}.")
    return Y, None


def _predicted_response(estimator, X, sampler):
    """Return the estimator's predictions as responses of the sampler's family."""
    if sampler.family_ != "logistic":
        return np.asarray(estimator.predict(X), dtype=float).reshape(num_samples(X), -1)
    if not hasattr(estimator, "predict_proba"):
        raise TypeError(
            f"refresh needs probabilities, but {type(estimator).__name__} has no predict_proba; "
            "leave refresh at 0."
        )
    full = np.zeros((num_samples(X), len(sampler._classes)))
    full[:, np.searchsorted(sampler._classes, estimator.classes_)] = estimator.predict_proba(X)
    return full[:, 1:] if full.shape[1] == 2 else full


def _discrepancy(discrepancy, measured, names):
    """Return M by a rule, or as given."""
    if isinstance(discrepancy, str):
        return row_choice.discrepancy_matrix(measured, discrepancy)
    M = np.asarray(discrepancy, dtype=np.float64)
    K = len(names)
    if M.shape != (K, K):
        raise ValueError(
            f"discrepancy has shape {M.shape} but there are {K} sources ({', '.join(names)}); "
            f"give an array of shape ({K}, {K}) in this order."
        )
    if not np.isfinite(M).all() or not np.allclose(M, M.T):
        raise ValueError("discrepancy must be finite and symmetric.")
    if np.linalg.eigvalsh(M)[0] < -1e-10 * max(np.trace(M), 1e-300):
        raise ValueError("discrepancy must be positive semi-definite; an eigenvalue is negative.")
    return M


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
    wrong = {
        n: given[n] for n in names if not (_is_number(given[n], numbers.Real) and given[n] > 0)
    }
    if wrong:
        name, cost = next(iter(wrong.items()))
        raise ValueError(f"costs[{name!r}] must be a positive number; got {cost!r}.")
    return np.array([float(given[name]) for name in names])


def _is_number(value, kind):
    return isinstance(value, kind) and not isinstance(value, bool) and 0 <= value < np.inf


def _check_option(name, value, options):
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}; got {value!r}.")


def _warn_of_no_domain():
    warnings.warn(
        "fit_resample got no sample_domain, so every row is the target's and stays. In "
        "imblearn.pipeline.Pipeline it arrives only with metadata routing: call "
        "sklearn.set_config(enable_metadata_routing=True) and pass sample_domain=... to the "
        "pipeline's fit.",
        UserWarning,
        stacklevel=3,
    )


def _warn_of_few(quantities, d, names):
    few = [f"{name!r} ({m})" for name, m in zip(names, quantities, strict=True) if 0 < m < d]
    if few:
        warnings.warn(
            f"Fewer rows than the {d} coefficients are taken of {', '.join(few)}: the formula "
            "for their worth does not hold there, and the risk can exceed the target's own. "
            f"Leave them out by min_samples={d}, or check the rows drawn by min_samples='auto'.",
            UserWarning,
            stacklevel=4,
        )
