"""Ridge regression pulled towards its sources: L2-SP."""

from typing import NamedTuple

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin

from skt._sklearn import StrOptions
from skt.core import l2sp, l2sp_surface
from skt.estimators.base import LinearPrediction, TransferEstimator, small_blas
from skt.estimators.checks import AUTO, NUMBER, PENALTY, is_auto
from skt.estimators.docstrings import documents_rows
from skt.estimators.messages import likelihood_not_maximised, slopes_from_sources, warn
from skt.sources.units import Units


class L2SPRidge(LinearPrediction, RegressorMixin, MultiOutputMixin, TransferEstimator):
    """Ridge regression pulled towards what the sources say instead of towards zero.

    With b_k the ridge fit of source k at the penalty ``source_alpha`` it minimises

        (1/n) ||y - X b||^2 + alpha ||b - sum_k c_k b_k(source_alpha)||^2

    over b, n being the target's rows, every domain centred on itself. The scale c_k is one in
    the paper; left free it turns round a source that points the wrong way. With all of ``alpha``,
    ``source_alpha`` and ``source_scale`` "auto", target and sources are fitted jointly. Without
    sources it is ``Ridge(alpha=n * alpha)``, with ``alpha="auto"`` ``RidgeCV`` on ``n * alphas_``.

    Parameters
    ----------
    alpha : "auto" or float >= 0, default="auto"
        Penalty of the target, per target row, on features as they are given. Raising it brings
        the target nearer to its sources; infinity is the scaled source, zero the target alone.
    source_alpha : {"auto", "source-optimal", "transfer-optimal"} or float >= 0, default="auto"
        Penalty of each source, per source row; infinity is no source. "source-optimal": by
        generalised cross-validation on the source. "transfer-optimal": the paper's tau_0*; the
        same where the scale is free. "auto": by leave-one-out on the target.
    source_scale : "auto" or float, default="auto"
        c. 1 is the paper. "auto" estimates it: under "loo" of either sign for one source, not
        negative for several, whose sum has the prior N(1, .25). A number is the sum over sources.
    method : {"auto", "loo", "ml", "stacked"}, default="auto"
        What chooses all that is "auto". "loo": exact leave-one-out over penalties and scales. "ml":
        empirical Bayes, sources fitted jointly with the target. "stacked": "ml" stacked with
        target-only ridge by exact leave-one-out; the default where nothing is given, else "loo".
    fit_intercept : bool, default=True
        Whether the target gets an intercept: its own mean, in the joint fit drawn to what the
        sources predict as far as their means agree.
    sources : dict, default=None
        Name to `Moments`, `SourceModel` or ``FrozenEstimator`` of a linear model, to which
        ``source_alpha`` does not apply. Sources may also come as rows, through ``sample_domain``.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (n_targets, n_features) and (n_targets,)
        Of the target; without the first dimension where y has one.
    source_names_ : list of str
        Labels of rows first, then keys of ``sources``; the order of all (n_sources,) below.
    source_coef_ : ndarray of shape (n_sources, n_features) or (n_sources, n_targets, n_features)
        Ridge fit of each source at ``source_alpha_``.
    source_scale_, alignment_ : ndarray of shape (n_sources,)
        c; and estimated rho = <w_1, w_0> / ||w_1||^2, 1 for the same coefficients.
    alpha_, source_alpha_ : float and ndarray of shape (n_sources,)
        Penalties per row, under "ml" those the variances imply; NaN for coefficients under "loo".
    alphas_, loo_curve_ : ndarray of shape (n_alphas,)
        Penalties looked at, and the leave-one-out error of the target alone there.
    source_alphas_, loo_surface_ : ndarray of shape (n_source_alphas, n_sources) and (..., n_alphas)
        Penalties of sources looked at, and leave-one-out errors. Only with ``method_ == "loo"``.
    loo_error_, risk_, target_risk_, transfer_gain_ : float
        Leave-one-out error; excess mean squared errors, in squared units of y, with the sources and
        by the target alone; ``1 - risk_ / target_risk_``. NaN if source-only.
    left_out_residuals_, stacking_weight_ : ndarray of shape (n_rows, ...) and float
        Of target rows left out, unless "loo" chose by them; part of the joint fit in ``coef_``.
    method_, n_iter_ : str and int
        "loo", "ml", "stacked", or "source-only" (no slopes in the target); steps of the likelihood.

    Raises
    ------
    ValueError
        If a source has other features, or a number is given to a method that estimates everything.

    Warns
    -----
    UserWarning, UnitsWarning
        If the target cannot tell slopes; if the moments of a source have other units.

    References
    ----------
    arXiv 2511.08401v4, the L2-SP estimator and tau_0*. The free scale, leave-one-out surface,
    several sources and the joint fit are this project's (docs/methods/l2sp.md).

    Examples
    --------
    >>> import numpy as np
    >>> from skt import L2SPRidge, stack_domains
    >>> rng = np.random.default_rng(0)
    >>> beta = rng.normal(size=40)
    >>> def draw(n, beta):
    ...     X = rng.normal(size=(n, 40))
    ...     return X, X @ beta + 2 * rng.normal(size=n)
    >>> X, y, d = stack_domains(draw(30, beta), {"mirror": draw(300, -2 * beta)})
    >>> X_test, y_test = draw(1000, beta)
    >>> alone = L2SPRidge().fit(X[:30], y[:30])
    >>> both = L2SPRidge().fit(X, y, sample_domain=d)
    >>> print(f"R2 {alone.score(X_test, y_test):.2f} -> {both.score(X_test, y_test):.2f}")
    R2 0.49 -> 0.82
    >>> print(f"scale of {both.source_names_[0]!r}: {both.source_scale_[0]:.2f}")
    scale of 'mirror': -0.49
    """

    _parameter_constraints = {
        "alpha": [AUTO, PENALTY],
        "source_alpha": [StrOptions({"auto", "source-optimal", "transfer-optimal"}), PENALTY],
        "source_scale": [AUTO, NUMBER],
        "method": [StrOptions({"auto", "loo", "ml", "stacked"})],
        "fit_intercept": ["boolean"],
    }

    def __init__(
        self,
        alpha="auto",
        *,
        source_alpha="auto",
        source_scale="auto",
        method="auto",
        fit_intercept=True,
        sources=None,
    ):
        self.alpha = alpha
        self.source_alpha = source_alpha
        self.source_scale = source_scale
        self.method = method
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

    def _resolved_method(self, sources):
        if not sources:
            return "loo"
        given = [
            f"{name}={getattr(self, name)!r}"
            for name in ("alpha", "source_alpha", "source_scale")
            if not is_auto(getattr(self, name))
        ]
        if self.method in ("ml", "stacked") and given:
            raise ValueError(
                f"method={self.method!r} estimates all penalties and scales, but {given[0]} is "
                "given; use method='loo' to choose the others, or leave it at 'auto'."
            )
        if self.method != "auto":
            return self.method
        return "loo" if given else "stacked"

    def _fit(self, data):
        """Decompose every domain once, choose all that is "auto", and fit."""
        check_source_alpha(self.source_alpha, data.sources)
        units = Units.given(data, self.fit_intercept)
        problem = units.problem(data)
        rows = l2sp.target_of_rows(
            problem.X, problem.Y, problem.weight, intercept=self.fit_intercept
        )
        problem = problem.with_spectrum(rows.sigma**2, rows.V)
        method = self._resolved_method(data.sources)
        given = [source.given_coef(units) for source in data.sources.values()]
        if data.sources and len(rows.sigma) == 0:
            return self._take_the_mean_source(units, problem, rows, l2sp.sources_of(problem, given))
        if method == "loo" or not np.any(problem.Sxy):  # or no domain has anything to explain
            return self._choose_by_loo(units, problem, rows, l2sp.sources_of(problem, given))
        return self._choose_by_likelihood(method, units, problem, rows, data)

    def _take_the_mean_source(self, units, problem, rows, paths):
        """Return the mean of the sources, for rows that cannot tell slopes."""
        alphas = rows.grid()
        curve = l2sp.loo_curves(rows, alphas)[0]
        doubt = slopes_from_sources(len(problem.X), "no feature varies in them", MEAN_SOURCE)
        mean = l2sp.mean_source(rows, paths)
        return _Fit("source-only", units, mean, alphas, curve, doubts=[doubt])

    def _choose_by_loo(self, units, problem, rows, paths):
        """Return the fit of least leave-one-out error over penalties and scales."""
        alphas = rows.grid() if is_auto(self.alpha) else np.array([float(self.alpha)])
        total = None if is_auto(self.source_scale) else float(self.source_scale)
        own = np.array([path.own_penalty() for path in paths])
        alignment = l2sp_surface.alignments(rows, paths, own)
        taus = self._source_penalties(paths, own, alignment, total)
        surface = l2sp_surface.loo_surface(rows, paths, alphas, taus)
        parts = l2sp_surface.deal(problem.X, problem.Y)
        chosen, errors = l2sp_surface.choose_by_loo(surface, rows, paths, alignment, total, parts)
        # With sources they chose the scales, and are too small to be told.
        left = None if paths else l2sp.residuals_left_out(rows, chosen.alpha)
        return _Fit("loo", units, chosen, alphas, surface.null, taus, errors.T, left_out=left)

    def _source_penalties(self, paths, own, alignment, total):
        """Return the penalties of the sources to look at, (T, K)."""
        if is_auto(self.source_alpha):
            return np.column_stack([p.grid() for p in paths]) if paths else np.empty((1, 0))
        if self.source_alpha == "source-optimal":
            return own[None]
        given = np.isnan(own)  # coefficients, to which no penalty applies
        if self.source_alpha == "transfer-optimal":
            parts = zip(paths, alignment, own, strict=True)
            return np.array([[l2sp.penalty_for_transfer(*part, total) for part in parts]])
        return np.where(given, np.nan, float(self.source_alpha))[None]

    def _choose_by_likelihood(self, method, units, problem, rows, data):
        """Return the joint fit, in outputs whose noise is white."""
        units, problem = units.with_white_noise(problem, data)
        rows, back = rows.turned(units.turn), np.linalg.inv(units.turn)
        alphas = rows.grid()
        white, curve = l2sp.loo_curves(rows, alphas, back)
        with small_blas(len(rows.V)):
            chosen, loo = l2sp.mixed_model(problem)
        if method == "stacked":
            chosen, loo = l2sp.stack(chosen, loo, rows, alphas, white)
        chosen = chosen._replace(error=l2sp.mean_square(rows, loo @ back))
        doubts = likelihood_not_maximised(chosen, "; method='loo' does without the likelihood")
        return _Fit(method, units, chosen, alphas, curve, left_out=loo @ back, doubts=doubts)

    def _store(self, fit, data):
        """Set attributes, in the user's units and shapes."""
        chosen, units = fit.chosen, fit.units
        coef = units.restored_coef(chosen.coef)
        source_coef = units.restored_coef(chosen.source_coefs)
        intercept = units.intercept_of(coef, chosen.shift)
        if data.one_output:
            coef, intercept, source_coef = coef[0], intercept[0], source_coef[:, 0]
        self.coef_, self.intercept_, self.source_coef_ = coef, intercept, source_coef
        self.source_names_, self.method_ = list(data.sources), fit.method
        self.source_scale_, self.alignment_ = chosen.scales, chosen.alignment
        self.alpha_, self.source_alpha_ = chosen.alpha, chosen.source_alphas
        self.alphas_, self.loo_curve_ = fit.alphas, fit.curve
        self.loo_error_ = chosen.error
        unit = float(np.mean(units.output_variances))
        self.risk_, self.target_risk_ = chosen.risk * unit, chosen.target_risk * unit
        nothing = chosen.target_risk == 0
        self.transfer_gain_ = 0.0 if nothing else 1 - chosen.risk / chosen.target_risk
        self.stacking_weight_, self.n_iter_ = chosen.weight, chosen.n_iter
        left = fit.left_out[:, 0] if data.one_output and fit.left_out is not None else fit.left_out
        some = {"source_alphas_": fit.source_alphas, "loo_surface_": fit.surface}
        for name, value in {**some, "left_out_residuals_": left}.items():
            vars(self).pop(name, None)  # of an earlier fit
            if value is not None:
                setattr(self, name, value)
        return self


MEAN_SOURCE = "the slopes are the mean of the sources', the intercept is the target's."


class _Fit(NamedTuple):
    """All that fit stores, in the units of the computation."""

    method: str
    units: Units
    chosen: l2sp.Chosen
    alphas: np.ndarray  # (n_alphas,)
    curve: np.ndarray  # (n_alphas,) of the target alone, in the user's units
    source_alphas: np.ndarray | None = None
    surface: np.ndarray | None = None
    left_out: np.ndarray | None = None  # (n_rows, q) residuals, in the user's units
    doubts: tuple = ()


def check_source_alpha(source_alpha, sources):
    """Refuse a penalty for sources that are coefficients, which it could not change."""
    if is_auto(source_alpha) or not sources:
        return
    given = [name for name, source in sources.items() if source.summary is None]
    if len(given) == len(sources):
        raise ValueError(
            f"source_alpha={source_alpha!r} does not apply: source {given[0]!r} is known by its "
            "coefficients, which no penalty can change. Leave source_alpha='auto', or give the "
            "source as rows or Moments."
        )
