"""Optimal weights for every source: UOWQ, for regression."""

import numbers
import warnings

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from ._base import TransferEstimator, small_blas
from ._units import Units
from .core.allocation import effective_parts
from .core.combination import (
    free_scale_combination,
    matrix_combination,
    n_parameters,
    ridge_combination,
    scalar_combination,
    source_only_combination,
    target_combination,
)
from .core.moments import Moments

WEIGHTS = ("eb", "sure", "plugin", "iterated")
GUARDS = ("james-stein", None)
COMBINATIONS = ("auto", "matrix", "scalar")


class UOWQRegressor(RegressorMixin, MultiOutputMixin, TransferEstimator):
    """Linear regression that borrows from every source as much as theory says is safe.

    The sources' coefficients are random around the target's,
    ``W_i = W_0 + c + D_i`` with a common offset ``c ~ N(0, tau_c)`` and an own offset
    ``D_i ~ N(0, tau_i)``, or ``W_i = rho_i W_0 + D_i`` where the data give strong evidence that
    sources are scaled or mirrored; the variances are estimated by maximum likelihood, guarded as in
    James-Stein estimation, and ``coef_`` is the best linear prediction of ``W_0``. With
    ``combination="scalar"`` it is the paper's estimator: one weight per source and

        (1/n_0) [ ||y_0 - X_0 b||^2 + sum_i w_i ||y_i - X_i b||^2 ] + alpha ||S b||^2

    is minimised, every domain centred on itself, with S the standard deviations of the
    features within domains, so that no choice depends on the units of a column.

    Without sources it is the target-only fit: ridge regression on standardised features with
    the penalty ``alpha``; least squares if ``alpha=0``.

    Parameters
    ----------
    weights : {"eb", "sure", "plugin", "iterated"} or array of shape (n_sources,), default="eb"
        How far to lean on each source. "eb": discrepancies by maximum likelihood, common and
        own components (empirical Bayes). "sure": unbiased risk estimation. "plugin": the
        paper's static weights, raw differences of estimates. "iterated": the paper's dynamic
        weights; unsafe, they can collapse onto a wrong source (measured: up to 5 times the
        target-only risk, see docs/uowq.md). An array gives the weight of one row of each
        source relative to a target row, in the order of ``source_names_``.
    guard : {"james-stein", None}, default="james-stein"
        Bounds what is borrowed as the James-Stein estimator does, so that a wrong source
        costs next to nothing, and takes sources back as far as left-out target rows are
        better predicted without them. None borrows a little more where sources are good.
    combination : {"auto", "matrix", "scalar"}, default="auto"
        "matrix": weights are matrices that use each source's own design and noise.
        "scalar": one weight per source row (the paper). "auto" is "matrix" for
        ``weights="eb"`` without constraints, and "scalar" otherwise: in every design
        simulated, the matrix combination has the lower mean risk (docs/results.md).
        Where target rows do not exceed features, "matrix" also estimates the noise and is
        stacked with target-only ridge by exact leave-one-out.
    alpha : "auto" or float >= 0, default="auto"
        Ridge penalty of the target part on standardised features, per target row. Raising
        it pulls the target's own part towards zero. "auto": by marginal likelihood where
        target rows exceed features; otherwise by exact leave-one-out among penalties that use
        at most two degrees of freedom fewer than rows. A number may come nearer to
        interpolation.
    constraints : callable, default=None
        Receives a cvxpy expression, the weight of one row of each source in the order of
        ``source_names_``, and returns a list of convex constraints on it.
    fit_intercept : bool, default=True
        Whether the target gets an intercept. Intercepts are never transferred.
    sources : dict, default=None
        Name to `Moments`, `SourceModel` or ``FrozenEstimator`` of a linear model: what is
        known before the fit. Sources may also come as rows, through ``sample_domain``.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients of the target.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept of the target.
    source_names_ : list of str
        Names of the sources: labels of rows first, then keys of ``sources``.
    source_weights_ : ndarray of shape (n_sources,)
        Weight of one source row; 1 means that it counts like one target row (from the shares
        below where weights are matrices). It can exceed 1, and is negative for a source that
        points the wrong way and is turned round. NaN for a model whose number of rows is
        unknown.
    source_shares_ : ndarray of shape (n_sources,)
        Mean part of each source in ``coef_``, directions counting as they vary among the
        target's rows; what is missing to 1 is the target's part and the pull of the penalty.
    source_scale_ : ndarray of shape (n_sources,)
        Estimated ``rho_i``; 1 where sources are not scaled.
    discrepancy_ : ndarray of shape (n_sources, n_sources)
        Estimated ``delta_i' J delta_j / d``: differences of coefficients in units of the
        Fisher information of one target row, per coefficient.
    effective_sample_size_ : float
        Target rows that would be as good as target and sources together, ``n_0 / (1 - gain)``.
    source_effective_sample_size_ : ndarray of shape (n_sources,)
        Target rows that each source adds to it, in proportion to its share.
    n_target_samples_ : float
        Rows of the target, counted by their weights.
    n_source_samples_ : ndarray of shape (n_sources,)
        Rows of each source; NaN for a model whose number of rows is unknown.
    source_noise_ratio_ : ndarray of shape (n_sources,)
        Noise variance of each source over that of the target, both moderated.
    risk_, target_risk_ : float
        Estimated excess mean squared error of predicted means, with the sources and by the
        target alone, in squared units of y (mean over outputs).
    transfer_gain_ : float
        ``1 - risk_ / target_risk_``; near zero when sources do not help.
    coef_covariance_ : ndarray of shape (n_features, n_features) or (n_targets, ...)
        Asymptotic mean squared error matrix of ``coef_``, given the weights.
    noise_variance_ : float or ndarray of shape (n_targets,)
        Residual variance of the target, moderated by that of the sources.
    alpha_ : float
        Penalty used.
    n_iter_ : int
        Steps of the likelihood's maximisation; 1 where there is none.
    combination_ : str
        "matrix", "free-scale", "scalar", "ridge" (no sources) or "source-only".
    n_features_in_, feature_names_in_
        Number and names of features seen in fit.

    Raises
    ------
    ValueError
        If no row is a target row, a source has other features, weights are negative, or an
        option is unknown.
    TypeError
        If ``sources`` holds a bare estimator, which scikit-learn's clone would unfit.

    Warns
    -----
    UserWarning
        If the target has one or two rows: slopes then come from the sources alone.
    UnitsWarning
        If the columns of a source's moments have other units than the target's.

    Notes
    -----
    Cost: one pass over the rows, ``O(n p^2)``, then ``O(K p^3)`` per step of the likelihood,
    whatever n is. Assumes independent rows, and noise variance constant within a domain.
    ``sample_weight`` counts rows: weight 2 is the row twice.

    References
    ----------
    UOWQ: arXiv 2601.10779v2, eq. for the optimal weights, here (B2) of docs/uowq.md. The
    estimation of the discrepancy, which the paper assumes known, is this project's.

    Examples
    --------
    Thirty rows of the target and two sources, one of no use:

    >>> import numpy as np
    >>> from skt import UOWQRegressor, stack_domains
    >>> rng = np.random.default_rng(0)
    >>> beta = rng.normal(size=15)
    >>> def draw(n, beta):
    ...     X = rng.normal(size=(n, 15))
    ...     return X, X @ beta + rng.normal(size=n)
    >>> X, y, d = stack_domains(
    ...     draw(30, beta), {"near": draw(300, beta + 0.1), "far": draw(300, rng.normal(size=15))})
    >>> X_test, y_test = draw(1000, beta)
    >>> alone = UOWQRegressor().fit(X[:30], y[:30])
    >>> both = UOWQRegressor().fit(X, y, sample_domain=d)
    >>> print(f"R2 {alone.score(X_test, y_test):.2f} -> {both.score(X_test, y_test):.2f}")
    R2 0.80 -> 0.91
    >>> for name, weight in zip(both.source_names_, both.source_weights_):
    ...     print(f"a row of {name!r} counts {abs(weight):.1f} target rows")
    a row of 'far' counts 0.0 target rows
    a row of 'near' counts 0.1 target rows
    """

    def __init__(
        self,
        weights="eb",
        *,
        guard="james-stein",
        combination="auto",
        alpha="auto",
        constraints=None,
        fit_intercept=True,
        sources=None,
    ):
        self.weights = weights
        self.guard = guard
        self.combination = combination
        self.alpha = alpha
        self.constraints = constraints
        self.fit_intercept = fit_intercept
        self.sources = sources

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit the target's coefficients.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target and, if ``sample_domain`` says so, of sources.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Outputs.
        sample_domain : array-like of shape (n_samples,), default=None
            Domain of each row: ``"target"`` or the name of a source, or integers with the
            target negative (`as_sample_domain` makes it of a column). None: all target.
        sample_weight : array-like of shape (n_samples,), default=None
            Row counts: weight 2 is the row twice.

        Returns
        -------
        self : UOWQRegressor
            The fitted estimator.
        """
        self._check_parameters()
        target, sources, one_output = self._validate(X, y, sample_domain, sample_weight)
        weights = self._check_weights(list(sources))
        units = Units.of(target, sources, self.fit_intercept)
        with small_blas(target.X.shape[1]):
            self.combination_, combined = self._combine(units.task(target, sources), weights)
        if not combined.search.converged:
            _warn_not_converged(combined.search.n_iter)
        self._store(units.restore(combined), combined, sources, one_output)
        return self

    def predict(self, X, return_std=False):
        """Predict the target's output.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.
        return_std : bool, default=False
            Whether to return the standard deviation of a new observation as well.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Predicted means.
        std : ndarray of the same shape
            Noise and uncertainty of the coefficients, the weights taken as known.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        mean = X @ self.coef_.T + self.intercept_
        if not return_std:
            return mean
        centred = X - self._target_mean if self.fit_intercept else X
        spread = np.einsum("ni,...ij,nj->n...", centred, self.coef_covariance_, centred)
        own = self.noise_variance_ * (1 + self.fit_intercept / self.n_target_samples_)
        return mean, np.sqrt(spread + own)

    def _check_parameters(self):
        _check_option("guard", self.guard, GUARDS)
        _check_option("combination", self.combination, COMBINATIONS)
        if isinstance(self.weights, str):
            _check_option("weights", self.weights, WEIGHTS)
        is_number = isinstance(self.alpha, numbers.Real) and 0 <= self.alpha < np.inf
        if not is_number and not (isinstance(self.alpha, str) and self.alpha == "auto"):
            raise ValueError(f"alpha must be 'auto' or a number >= 0; got {self.alpha!r}.")
        if not isinstance(self.fit_intercept, bool | np.bool_):
            raise ValueError(f"fit_intercept must be True or False; got {self.fit_intercept!r}.")
        if self.constraints is not None and not callable(self.constraints):
            raise TypeError(
                "constraints must be a callable from the source weights to a list of cvxpy "
                f"constraints; got {type(self.constraints).__name__}."
            )
        if self.constraints is not None and not (
            isinstance(self.weights, str) and self.weights == "eb"
        ):
            raise ValueError(
                "constraints go with weights='eb': given weights leave nothing to constrain, and "
                "the other rules solve programmes of their own."
            )
        if self.combination == "matrix" and self._needs_scalar():
            raise ValueError(
                "combination='matrix' goes with weights='eb' and constraints=None; "
                "use combination='scalar' or 'auto' for weights per source row."
            )

    def _needs_scalar(self):
        return (
            self.constraints is not None
            or not isinstance(self.weights, str)
            or (self.weights != "eb")
        )

    def _check_weights(self, names):
        """Return given weights as an array, or the name of the rule."""
        if isinstance(self.weights, str):
            return self.weights
        if isinstance(self.weights, dict):
            raise TypeError(
                "weights is a dict; give an array of one weight per source, in the order of "
                f"source_names_: {', '.join(names)}."
            )
        weights = np.asarray(self.weights, dtype=np.float64)
        if weights.shape != (len(names),):
            raise ValueError(
                f"weights has shape {weights.shape} but there are {len(names)} sources "
                f"({', '.join(names)}); give one weight per source, in this order."
            )
        if not np.all(np.isfinite(weights) & (weights >= 0)):
            raise ValueError(f"weights must be finite and >= 0; got {weights}.")
        return weights

    def _combine(self, task, weights):
        """Choose the combination; the rule is in the docstring of the class."""
        alpha, guard = (None if self.alpha == "auto" else float(self.alpha)), self.guard is not None
        d = n_parameters(task.Sxx)
        ample = task.rows[0] >= d + 2
        if len(task.n) == 1 or not np.any(task.Sxy):  # no sources, or nothing to explain
            fit = target_combination if ample else ridge_combination
            return "ridge", fit(task, alpha=alpha)
        if task.rows[0] < (2 if self.fit_intercept else 1) or not np.any(task.Sxx[0]):
            _warn_source_only(len(task.X))
            return "source-only", source_only_combination(task)
        if (
            self.combination == "scalar"
            or self._needs_scalar()
            or (self.combination == "auto" and d * task.Syy.shape[1] <= 2)
        ):
            return "scalar", scalar_combination(
                task, weights=weights, alpha=alpha, guard=guard, constraints=self.constraints
            )
        if ample:
            return "matrix", matrix_combination(task, alpha=alpha, guard=guard)
        return "free-scale", free_scale_combination(task, alpha=alpha)

    def _store(self, fitted, combined, sources, one_output):
        """Set attributes, in the user's units and shapes."""

        def shaped(values):
            return values[0] if one_output else values

        self.coef_ = shaped(fitted.coef)
        self.intercept_ = shaped(fitted.intercept)
        self.coef_covariance_ = shaped(fitted.covariance)
        self.noise_variance_ = shaped(fitted.noise_variance)
        self.source_names_ = list(sources)
        self.n_target_samples_ = fitted.target.weight
        self.n_source_samples_ = np.array([_n_samples(s) for s in sources.values()], dtype=float)
        known = np.isfinite(self.n_source_samples_)
        self.source_weights_ = np.where(known, combined.weights, np.nan)
        self.source_shares_ = combined.shares[1:]
        self.discrepancy_ = combined.discrepancy
        self.source_noise_ratio_, self.source_scale_ = combined.noise_ratio, combined.scale
        self.risk_ = combined.risk * fitted.output_variance
        self.target_risk_ = combined.target_risk * fitted.output_variance
        ratio = combined.risk / combined.target_risk if combined.target_risk > 0 else 1.0
        self.transfer_gain_ = 1 - ratio
        self.effective_sample_size_ = fitted.target.weight / max(ratio, 1e-12)
        self.source_effective_sample_size_ = effective_parts(
            self.effective_sample_size_, self.n_target_samples_, self.source_shares_
        )
        self.alpha_ = combined.penalty / fitted.target.weight
        self.n_iter_ = combined.search.n_iter
        self._target_mean = fitted.target.mean_X


def _n_samples(source):
    """Return the rows of a source, NaN where that is unknown."""
    if isinstance(source, Moments):
        return source.weight
    return np.nan if source.n_samples is None else source.n_samples


def _check_option(name, value, options):
    if not any(value is option or value == option for option in options):
        listing = ", ".join(map(repr, options))
        raise ValueError(f"{name} must be one of {listing}; got {value!r}.")


def _warn_not_converged(n_iter):
    warnings.warn(
        f"The likelihood of the variances was not maximised after {n_iter} steps: "
        "its slope is above 0.01 sqrt(n_samples). Weights may be off; check for outliers, or for "
        "columns that are nearly collinear in every domain.",
        ConvergenceWarning,
        stacklevel=3,
    )


def _warn_source_only(n_rows):
    warnings.warn(
        f"The target's {n_rows} row{'s' * (n_rows > 1)} cannot tell slopes (fewer than three "
        "rows, or no feature varies): the slopes come from the sources alone, the intercept "
        "from the target. A few more target rows would let the fit check the sources.",
        UserWarning,
        stacklevel=4,
    )
