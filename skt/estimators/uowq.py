"""Optimal weights for every source: UOWQ, for regression."""

from typing import NamedTuple

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from skt._sklearn import StrOptions
from skt.core import coef_intervals
from skt.core.allocation import effective_parts
from skt.core.uowq import (
    Combination,
    alone_combination,
    coefficient_errors,
    loo_residuals_of,
    matrix_combination,
    n_parameters,
    source_only_combination,
)
from skt.core.uowq_scalar import scalar_combination
from skt.estimators.base import LinearPrediction, TransferEstimator, small_blas
from skt.estimators.checks import AUTO, NONNEGATIVE, check_coverage, given_weights, is_auto
from skt.estimators.docstrings import documents_rows
from skt.estimators.messages import likelihood_not_maximised, slopes_from_sources, warn
from skt.sources.units import Fitted, Units


class UOWQRegressor(LinearPrediction, RegressorMixin, MultiOutputMixin, TransferEstimator):
    """Linear regression that borrows from every source as much as theory says is safe.

    The coefficients of all domains, the target's too, are random around what they have in common,
    ``W_i = rho_i m + D_i`` with ``D_i ~ N(0, tau_i)``. How far domains differ is told by all of
    them together. Scales ``rho_i`` are one or free, for sources that are scaled or mirrored; the
    two models are averaged by their evidence. ``coef_`` is the best linear prediction of ``W_0``,
    and the intercept is predicted likewise. With ``combination="scalar"`` it is the paper's: it
    minimises, every domain centred on itself and S the standard deviations of the features within
    domains,

        (1/n_0) [ ||y_0 - X_0 b||^2 + sum_i w_i ||y_i - X_i b||^2 ] + alpha ||S b||^2

    Without sources it is ridge regression on standardised features with the penalty ``alpha``.

    Parameters
    ----------
    weights : {"eb", "sure", "plugin", "iterated"} or array of shape (n_sources,), default="eb"
        How far to lean on each source. "eb": discrepancies by maximum likelihood (empirical Bayes).
        "sure": unbiased risk estimation. "plugin", "iterated": the paper's static and dynamic
        weights, the latter unsafe. An array is the weight of one row of each source.
    guard : {"james-stein", None}, default="james-stein"
        Takes sources back as far as left-out target rows say so; "scalar" also bounds what is
        borrowed as the James-Stein estimator does. None borrows a little more from good sources.
    combination : {"auto", "matrix", "scalar"}, default="auto"
        "matrix": weights are matrices that use each source's own design and noise. "scalar": one
        weight per source row. "auto": "matrix", of lower risk, where ``weights`` is "eb".
    alpha : "auto" or float >= 0, default="auto"
        Ridge penalty of the target part on standardised features, per target row. "auto": by
        marginal likelihood; of few target rows alone by exact leave-one-out.
    constraints : callable, default=None
        From a cvxpy expression, the weight of one row of each source, to a list of constraints.
    fit_intercept : bool, default=True
        Whether the target gets an intercept: its own mean, drawn to what the sources predict as far
        as their means agree. No shift of a domain changes slopes.
    sources : dict, default=None
        Name to `Moments`, `SourceModel` or ``FrozenEstimator`` of a linear model. Sources may also
        come as rows, through ``sample_domain``.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (n_targets, n_features) and (n_targets,)
        Of the target; without the first dimension where y has one.
    source_names_ : list of str
        Labels of rows first, then keys of ``sources``; the order of all (n_sources,) below.
    source_weights_ : ndarray of shape (n_sources,)
        Weight of one source row, a target row's being 1; negative if turned, NaN if unknown.
    source_shares_ : ndarray of shape (n_sources,)
        Mean part of each source in ``coef_``; the target and the penalty have the rest.
    source_scale_, source_noise_ratio_, discrepancy_ : ndarray of shape (n_sources, ...)
        ``rho_i``; noise variance over the target's; ``delta_i' J delta_j / d``, J of one row.
    effective_sample_size_, source_effective_sample_size_ : float and ndarray of shape (n_sources,)
        Target rows that would be as good as all domains together; of these, each source's.
    n_target_samples_, n_source_samples_ : float and ndarray of shape (n_sources,)
        Rows, counted by their weights; NaN where unknown.
    risk_, target_risk_, transfer_gain_ : float
        Excess mean squared error with sources and by the target alone; one less their ratio.
    coef_covariance_, noise_variance_ : ndarray of shape (n_targets, ...)
        Mean squared error matrix of ``coef_`` given the weights, and residual variance.
    left_out_residuals_ : ndarray of shape (n_rows,) or (n_rows, n_targets)
        Of target rows left out, variances as fitted; with "matrix" and "ridge" of combinations.
    alpha_, n_iter_, combination_ : float, int and str
        Penalty; steps of the likelihood; what ``combination`` came to, "ridge" without sources.

    Raises
    ------
    ValueError
        If there is no target row, or a source has other features. Two warnings: the target cannot
        tell slopes (UserWarning), a source has other units (UnitsWarning).

    References
    ----------
    UOWQ: arXiv 2601.10779v2, eq. for the optimal weights, (B2) of docs/models.md. The estimation of
    the discrepancy is this project's. Cost: ``O(n p^2)`` and ``O(K p^3)`` a step of the likelihood.

    Examples
    --------
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
    """

    _parameter_constraints = {
        "weights": [StrOptions({"eb", "sure", "plugin", "iterated"}), "array-like"],
        "guard": [StrOptions({"james-stein"}), None],
        "combination": [StrOptions({"auto", "matrix", "scalar"})],
        "alpha": [AUTO, NONNEGATIVE],
        "constraints": [callable, None],
        "fit_intercept": ["boolean"],
    }

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

    @documents_rows()
    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit the target's coefficients."""
        self._check_parameters()
        data = self._data(X, y, sample_domain, sample_weight)
        fit = self._fit(data)
        warn(fit.doubts)
        return self._store(fit, data)

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
        X = self._checked(X)
        mean = X @ self.coef_.T + self.intercept_
        if not return_std:
            return mean
        centred = X - self._target_mean if self.fit_intercept else X
        spread = np.einsum("ni,...ij,nj->n...", centred, self.coef_covariance_, centred)
        own = self.noise_variance_ * (1 + self._level_weight / self.n_target_samples_)
        return mean, np.sqrt(spread + own)

    def coef_interval(self, coverage=0.95):
        """Return intervals that hold the target's coefficients.

        With sources they are about ``coef_``: by its posterior covariance, what a bias that sources
        share may add (docs/intervals.md), and Student's t for the noise. Where sources are refused
        they become the target's. Without sources, and with scalar weights, they are Student's of
        least squares on the target's rows, about its coefficients, not about those of a ridge.

        Parameters
        ----------
        coverage : float, default=0.95
            Share of coefficients inside, on average over coefficients.

        Returns
        -------
        ndarray of shape (n_features, 2) or (n_targets, n_features, 2)
            Lower and upper ends.

        Raises
        ------
        ValueError
            Where none are known: no sources, scalar weights, or one or two target rows, and too few
            of these for least squares.
        """
        check_is_fitted(self)
        check_coverage(coverage)
        if self._errors is None:
            raise ValueError(
                f"coef_interval knows no errors of combination_={self.combination_!r} with so few "
                f"target rows ({self.n_target_samples_:g}); it takes more rows than features, or "
                "sources and combination='auto'."
            )
        ends = coef_intervals.ends(self._errors, coverage)
        return ends[0] if np.ndim(self.intercept_) == 0 else ends

    def _check_together(self):
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

    def _fit(self, data):
        """Return the combination of target and sources, in the user's units."""
        weights = given_weights(self.weights, list(data.sources))
        units = Units.standard(data, self.fit_intercept)
        with small_blas(self.n_features_in_):
            units, problem = units.with_white_noise(units.problem(data), data)
            name, combined = self._combine(problem, weights)
            left_out = units.restored_outputs(_left_out(name, problem, combined))
            errors = coefficient_errors(name, problem, combined)
        doubts = likelihood_not_maximised(combined.search)
        if name == "source-only":
            because = "fewer than three rows, or no feature varies"
            doubts.append(slopes_from_sources(len(problem.X), because, FROM_SOURCES))
        return _Fit(name, combined, units.restore(combined), left_out, errors, units, doubts)

    def _combine(self, problem, weights):
        """Choose the combination; the rule is in the docstring of the class."""
        alpha, guard = (None if is_auto(self.alpha) else float(self.alpha)), self.guard is not None
        d = n_parameters(problem.Sxx)
        if len(problem.n) == 1 or not np.any(problem.Sxy):  # no sources, or nothing to explain
            return "ridge", alone_combination(problem, alpha=alpha)
        if problem.rows[0] < (2 if self.fit_intercept else 1) or not np.any(problem.Sxx[0]):
            return "source-only", source_only_combination(problem)
        few_numbers = self.combination == "auto" and d * problem.Syy.shape[1] <= 2
        if self.combination == "scalar" or self._needs_scalar() or few_numbers:
            return "scalar", scalar_combination(
                problem, weights=weights, alpha=alpha, guard=guard, constraints=self.constraints
            )
        return "matrix", matrix_combination(problem, alpha=alpha, guard=guard)

    def _store(self, fit, data):
        """Set attributes, in the user's units and shapes."""
        combined, fitted = fit.combined, fit.fitted

        def shaped(values):
            return values[0] if data.one_output else values

        self.combination_ = fit.name
        self.coef_ = shaped(fitted.coef)
        self.intercept_ = shaped(fitted.intercept)
        self.coef_covariance_ = shaped(fitted.covariance)
        self.noise_variance_ = shaped(fitted.noise_variance)
        self.source_names_ = list(data.sources)
        self.n_target_samples_ = fitted.target.weight
        rows = [source.n_rows for source in data.sources.values()]
        self.n_source_samples_ = np.array(rows, dtype=float)
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
        vars(self).pop("left_out_residuals_", None)  # of an earlier fit
        if fit.left_out is not None:
            self.left_out_residuals_ = fit.left_out[:, 0] if data.one_output else fit.left_out
        self._errors = None if fit.errors is None else fit.units.restored_errors(fit.errors)
        self._target_mean = fitted.target.mean_X
        self._level_weight = combined.level.weight if self.fit_intercept else 0.0
        return self


FROM_SOURCES = (
    "the slopes come from the sources alone, the intercept from the target and its sources. A few "
    "more target rows would let the fit check the sources."
)


class _Fit(NamedTuple):
    """All that fit stores."""

    name: str
    combined: Combination
    fitted: Fitted  # in the user's units
    left_out: np.ndarray | None  # (n_rows, q) residuals, in the user's units
    errors: coef_intervals.Errors | None  # in the units of the computation
    units: Units
    doubts: list


def _left_out(name, problem, combined):
    """Return residuals of target rows left out, None where no closed form gives them."""
    return loo_residuals_of(problem, combined) if name in ("matrix", "ridge") else None
