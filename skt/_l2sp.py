"""Targets pulled towards their sources: L2-SP ridge and its logistic twin."""

import numbers
import warnings

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from ._base import TransferEstimator, small_blas
from ._units import Units
from .core import l2sp, l2sp_glm
from .core.glm import LOGISTIC
from .core.l2sp_glm import Rows
from .core.moments import Moments
from .sources import SourceModel

METHODS = ("auto", "loo", "ml", "stacked")
SOURCE_RULES = ("auto", "source-optimal", "transfer-optimal")


class L2SPRidge(RegressorMixin, MultiOutputMixin, TransferEstimator):
    """Ridge regression pulled towards what the sources say instead of towards zero.

    With b_k the ridge fit of source k at the penalty ``source_alpha`` it minimises

        (1/n) ||y - X b||^2 + alpha ||b - sum_k c_k b_k(source_alpha)||^2

    over b, n being the target's rows, every domain centred on itself. The scale c_k is one in
    the paper. Left free (the default) it makes the source that is best for itself best for
    transfer as well, and turns round a source that points the wrong way.

    With all three of ``alpha``, ``source_alpha`` and ``source_scale`` left to it, the estimator
    goes one step further (``method``): target and sources are fitted jointly.

    Without sources it is scikit-learn's ``Ridge(alpha=n * alpha)``, and with ``alpha="auto"``
    ``RidgeCV`` on the penalties ``n * alphas_``.

    Parameters
    ----------
    alpha : "auto" or float >= 0, default="auto"
        Penalty of the target, per target row, on features as they are given. Raising it brings
        the target nearer to its sources; infinity is the scaled source, zero the target alone
        in all directions that its rows determine.
    source_alpha : {"auto", "source-optimal", "transfer-optimal"} or float >= 0, default="auto"
        Penalty of each source, per source row. Raising it shrinks the source's fit; infinity is
        no source. "source-optimal": what is best for the source itself, by generalised
        cross-validation. "transfer-optimal": the paper's tau_0*, what is best for the target at
        the estimated alignment; the same as "source-optimal" where the scale is free. "auto":
        by leave-one-out on the target; where the scale is free too, "source-optimal" has the
        lower risk in simulation (docs/l2sp.md).
    source_scale : "auto" or float, default="auto"
        c. 1 is the paper. "auto" estimates it for every source: under "loo" of either sign for
        one source, not negative for several, whose sum has the prior N(1, .25). With several
        sources a number is the sum of their scales: the centre is then this number times a
        weighted mean of the sources.
    method : {"auto", "loo", "ml", "stacked"}, default="auto"
        What chooses all that is "auto". "loo": exact leave-one-out over the whole surface of
        penalties and scales. "ml": empirical Bayes; source coefficients are random around
        multiples of the target's, all variances and scales by marginal likelihood, and
        ``coef_`` is the best linear prediction, in which sources are fitted jointly with the
        target. "stacked": "ml" stacked with target-only ridge by exact leave-one-out. "auto" is
        "stacked" if alpha, source_alpha and source_scale are all "auto", and "loo" otherwise.
    fit_intercept : bool, default=True
        Whether the target gets an intercept. Intercepts are never transferred nor shrunk.
    sources : dict, default=None
        Name to `Moments`, `SourceModel` or ``FrozenEstimator`` of a linear model: what is
        known before the fit. Sources may also come as rows, through ``sample_domain``.
        ``source_alpha`` does not apply to coefficients.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients of the target.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept of the target.
    source_names_ : list of str
        Names of the sources: labels of rows first, then keys of ``sources``.
    source_coef_ : ndarray of shape (n_sources, n_features) or (n_sources, n_targets, n_features)
        Ridge fit of each source at ``source_alpha_``.
    source_scale_ : ndarray of shape (n_sources,)
        c, by which each source's fit is multiplied in the centre.
    alpha_ : float
        Penalty of the target, per row. Under "ml" and "stacked" what the variances imply.
    source_alpha_ : ndarray of shape (n_sources,)
        Penalty of each source, per row; NaN for a source of coefficients under "loo".
    alignment_ : ndarray of shape (n_sources,)
        Estimated rho = <w_0, w_1> / ||w_0||^2 of each source with the target; 1 for the same
        coefficients, negative for a source that points the wrong way.
    alphas_ : ndarray of shape (n_alphas,)
        Penalties of the target that leave-one-out looked at.
    loo_curve_ : ndarray of shape (n_alphas,)
        Mean squared leave-one-out error of the target alone at ``alphas_``.
    source_alphas_ : ndarray of shape (n_source_alphas, n_sources)
        Penalties of the sources that leave-one-out looked at. Only with ``method_ == "loo"``.
    loo_surface_ : ndarray of shape (n_source_alphas, n_alphas)
        Mean squared leave-one-out error at the scales that each pair of penalties takes. Only
        with ``method_ == "loo"``.
    loo_error_ : float
        Mean squared leave-one-out error of the fit with its sources, at given penalties, scales
        and variances. NaN where the target cannot tell slopes.
    risk_, target_risk_ : float
        Estimated excess mean squared error of predicted means, with the sources and by the
        target alone, in squared units of y (mean over outputs).
    transfer_gain_ : float
        ``1 - risk_ / target_risk_``; near zero when sources do not help, negative where they seem
        to harm. Under "loo" validated: the least error of a surface alone would be optimistic.
        NaN where the target cannot tell slopes.
    stacking_weight_ : float
        Part of the joint fit in ``coef_``, the rest being target-only ridge; 1 unless stacked.
    method_ : str
        "loo", "ml", "stacked", or "source-only" (the target cannot tell slopes).
    n_iter_ : int
        Steps of the likelihood's maximisation; 1 where there is none.
    n_features_in_, feature_names_in_
        Number and names of features seen in fit.

    Raises
    ------
    ValueError
        If no row is a target row, a source has other features, a penalty is negative, an
        option is unknown, or a number is given to a method that estimates everything.
    TypeError
        If ``sources`` holds a bare estimator, which scikit-learn's clone would unfit.

    Warns
    -----
    UserWarning
        If the target's rows cannot tell slopes, which then come from the sources alone.
    UnitsWarning
        If the columns of a source's moments have other units than the target's.

    Notes
    -----
    Penalties act on features as they are given, as in scikit-learn's Ridge: standardise first
    where columns have different units. Cost of "loo": one singular value decomposition of the
    target, one eigendecomposition of each source, ``O(n p K m^2)`` for the surface of m x m
    penalties. Of "ml": ``O(K p^3)`` a step of the likelihood, whatever the numbers of rows.
    ``sample_weight`` counts rows: weight 2 is the row twice.

    References
    ----------
    arXiv 2511.08401v4, the L2-SP estimator and tau_0*. The free scale, leave-one-out surface,
    several sources and the joint fit are this project's (docs/l2sp.md).

    Examples
    --------
    A source that points the wrong way and is twice as long:

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
    scale of 'mirror': -0.48
    """

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
        self : L2SPRidge
            The fitted estimator.
        """
        _check_parameters(self, SOURCE_RULES)
        _check_option("method", self.method, METHODS)
        target, sources, one_output = self._validate(X, y, sample_domain, sample_weight)
        method = self._resolved_method(sources)
        _check_source_alpha(self.source_alpha, sources)
        units = Units.plain(target, self.fit_intercept)
        task = units.task(target, sources)
        rows = l2sp.target_of_rows(task.X, task.Y, task.weight, intercept=self.fit_intercept)
        if sources and len(rows.s) == 0:
            _warn_source_only(len(task.X))
            method, chosen = "source-only", l2sp.mean_source(rows, self._paths(task, sources))
        elif method == "loo":
            chosen = self._choose_by_loo(task, rows, self._paths(task, sources))
        else:
            chosen = self._choose_by_likelihood(method, target, sources)
        self.method_ = method
        self._store(units, rows, chosen, sources, one_output)
        return self

    def predict(self, X):
        """Predict the target's output.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Predicted means.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return X @ self.coef_.T + self.intercept_

    def _resolved_method(self, sources):
        if not sources:
            return "loo"
        given = [
            f"{name}={getattr(self, name)!r}"
            for name in ("alpha", "source_alpha", "source_scale")
            if not _is(getattr(self, name), "auto")
        ]
        if self.method in ("ml", "stacked") and given:
            raise ValueError(
                f"method={self.method!r} estimates all penalties and scales, but {given[0]} is "
                "given; use method='loo' to choose the others, or leave it at 'auto'."
            )
        if self.method != "auto":
            return self.method
        return "loo" if given else "stacked"

    def _paths(self, task, sources):
        """Return each source as what leave-one-out needs of it."""
        return [
            l2sp.source_of_moments(*moments, intercept=self.fit_intercept)
            if isinstance(source, Moments)
            else l2sp.source_of_coefficients(np.atleast_2d(source.coef).T)
            for source, *moments in zip(
                sources.values(), task.n[1:], task.Sxx[1:], task.Sxy[1:], task.Syy[1:], strict=True
            )
        ]

    def _choose_by_loo(self, task, rows, paths):
        alphas = rows.grid() if _is(self.alpha, "auto") else np.array([float(self.alpha)])
        total = None if _is(self.source_scale, "auto") else float(self.source_scale)
        own = np.array([path.own_penalty() for path in paths])
        alignment = l2sp.alignments(rows, paths, own)
        taus = self._source_penalties(paths, own, alignment, total)
        surface = l2sp.loo_surface(rows, paths, alphas, taus)
        parts = l2sp.deal(task.X, task.Y)
        chosen = l2sp.choose_by_loo(surface, rows, paths, alignment, total, parts)
        self.alphas_, self.loo_curve_ = alphas, surface.null
        self.source_alphas_ = taus
        self.loo_surface_ = surface.error(l2sp.best_scales(surface, total)).T
        return chosen

    def _source_penalties(self, paths, own, alignment, total):
        """Return the penalties of the sources to look at, (T, K)."""
        if _is(self.source_alpha, "auto"):
            return np.column_stack([p.grid() for p in paths]) if paths else np.empty((1, 0))
        if _is(self.source_alpha, "source-optimal"):
            return own[None]
        given = np.isnan(own)  # coefficients, to which no penalty applies
        if _is(self.source_alpha, "transfer-optimal"):
            parts = zip(paths, alignment, own, strict=True)
            return np.array([[l2sp.transfer_optimal_penalty(*part, total) for part in parts]])
        return np.where(given, np.nan, float(self.source_alpha))[None]

    def _choose_by_likelihood(self, method, target, sources):
        """Fit jointly in outputs whose noise is white, and turn back."""
        units = Units.of(target, sources, self.fit_intercept)
        units = units._replace(scale=np.ones(target.X.shape[1]))
        task = units.task(target, sources)
        rows = l2sp.target_of_rows(task.X, task.Y, task.weight, intercept=self.fit_intercept)
        with small_blas(target.X.shape[1]):
            chosen, loo = l2sp.mixed_model(task, rows.part)
        if not chosen.converged:
            _warn_not_converged(chosen.n_iter)
        if method == "stacked":
            chosen, loo = l2sp.stack(chosen, loo, rows)
        back = np.linalg.inv(units.turn)
        variance = np.mean(np.sum(back**2, axis=0))
        return chosen._replace(
            coef=chosen.coef @ back,
            source_coefs=chosen.source_coefs @ back,
            risk=chosen.risk * variance,
            target_risk=chosen.target_risk * variance,
            error=l2sp.mean_square(rows, loo @ back),
        )

    def _store(self, units, rows, chosen, sources, one_output):
        """Set attributes, in the user's shapes."""
        coef = chosen.coef.T
        origin_x, origin_y = units.origin()
        intercept = origin_y - coef @ origin_x
        self.coef_, self.intercept_ = (coef[0], intercept[0]) if one_output else (coef, intercept)
        source_coef = np.swapaxes(chosen.source_coefs, 1, 2)
        self.source_coef_ = source_coef[:, 0] if one_output else source_coef
        self.source_names_ = list(sources)
        self.source_scale_, self.alignment_ = chosen.scales, chosen.alignment
        self.alpha_, self.source_alpha_ = chosen.alpha, chosen.source_alphas
        if self.method_ != "loo":
            self.alphas_ = rows.grid()
            self.loo_curve_ = l2sp.loo_curve(rows, self.alphas_)
            for name in {"source_alphas_", "loo_surface_"} & vars(self).keys():
                delattr(self, name)  # of an earlier fit
        self.loo_error_ = chosen.error
        self.risk_, self.target_risk_ = chosen.risk, chosen.target_risk
        nothing = chosen.target_risk == 0
        self.transfer_gain_ = 0.0 if nothing else 1 - chosen.risk / chosen.target_risk
        self.stacking_weight_, self.n_iter_ = chosen.weight, chosen.n_iter


class L2SPClassifier(ClassifierMixin, TransferEstimator):
    """Logistic regression pulled towards what the sources say instead of towards zero.

    With B_k the penalised logistic fit of source k it minimises

        (1/n) sum_i loss(x_i'B + b, y_i) + alpha ||B - sum_k c_k B_k||^2

    over B and a free intercept b, n being the target's rows and the loss minus the
    log-likelihood: binomial with one coefficient vector for two classes, multinomial with one
    for each class otherwise, as in scikit-learn. Intercepts are not transferred.

    Without sources it is ``LogisticRegression(C=1 / (2 n alpha))``.

    Parameters
    ----------
    alpha : "auto" or float >= 0, default="auto"
        Penalty of the target, per row, on features as they are given. Raising it brings the
        target nearer to its sources; infinity is the scaled source. "auto": by cross-validated
        log-loss, together with whether the sources are used at all; of penalties that are not
        worse by more than half a standard error the largest.
    source_alpha : "auto" or float >= 0, default="auto"
        Penalty of each source, per source row. "auto": what is best for the source itself, by
        cross-validated log-loss on its rows. Does not apply to sources of coefficients.
    source_scale : "auto" or float, default="auto"
        c. 1 is the source as it is. "auto" estimates it for every source: of either sign for one,
        not negative for several. With several sources a number is the sum of their scales.
    n_folds : int, default=5
        Number of folds over the target's rows, and over those of each source; at least 2.
        Classes are spread over them evenly.
    fit_intercept : bool, default=True
        Whether the target gets an intercept.
    sources : dict, default=None
        Name to `SourceModel` (coefficients in the order of ``classes_``, one row for two
        classes) or ``FrozenEstimator`` of a classifier with a linear decision function. Sources
        may also come as rows, through ``sample_domain``.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients of the target.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercept of the target.
    classes_ : ndarray of shape (n_classes,)
        Classes of all domains, sorted.
    source_names_ : list of str
        Names of the sources: labels of rows first, then keys of ``sources``.
    source_coef_ : ndarray of shape (n_sources, 1 or n_classes, n_features)
        Fit of each source.
    source_scale_ : ndarray of shape (n_sources,)
        c, by which each source's fit is multiplied; all zero where validation found them of
        no use.
    alpha_ : float
        Penalty of the target, per row.
    source_alpha_ : ndarray of shape (n_sources,)
        Penalty of each source, per row; NaN for a source of coefficients.
    alphas_ : ndarray of shape (n_alphas,)
        Penalties that validation looked at.
    cv_loss_ : ndarray of shape (2, n_alphas)
        Validated log-loss without the sources and with them (infinite if there are none); NaN
        where all is given and there was nothing to choose.
    transfer_gain_ : float
        ``1 - loss with the sources / loss without``, each at its best penalty; zero where the
        sources are not used, NaN where nothing was validated.
    n_iter_ : int
        Steps of Newton's method in the final fit.
    n_features_in_, feature_names_in_
        Number and names of features seen in fit.

    Raises
    ------
    ValueError
        If no row is a target row, there is one class only, a source has other features or
        classes, a penalty is negative, or an option is unknown.
    TypeError
        If ``sources`` holds a bare estimator or `Moments`.

    Warns
    -----
    UserWarning
        If the target's rows cannot tell slopes: no feature varies, there is one class only, or,
        where ``alpha="auto"``, no two classes have two rows each to validate on. The slopes are
        then the mean of the sources', and the intercept is fitted with one further row that
        belongs to all classes alike, since the likelihood alone would send it to infinity.
    ConvergenceWarning
        If the final fit did not converge.

    Notes
    -----
    Cost: about ``30 n_folds`` logistic fits on the target's rows, each by Newton's method in at
    most min(n, p) directions. Equal rows share a fold, so that weight 2 is the row twice.

    References
    ----------
    arXiv 2511.08401v4 has the squared loss; the logistic one, scales and validation are ours.

    Examples
    --------
    Twenty labelled rows of the target, a source that is related:

    >>> import numpy as np
    >>> from skt import L2SPClassifier, stack_domains
    >>> rng = np.random.default_rng(0)
    >>> beta = rng.normal(size=30)
    >>> def draw(n, beta):
    ...     X = rng.normal(size=(n, 30))
    ...     return X, np.where(X @ beta + rng.logistic(size=n) > 0, "yes", "no")
    >>> X, y, d = stack_domains(draw(20, beta), {"near": draw(400, beta + 0.3)})
    >>> X_test, y_test = draw(1000, beta)
    >>> alone = L2SPClassifier().fit(X[:20], y[:20])
    >>> both = L2SPClassifier().fit(X, y, sample_domain=d)
    >>> print(f"accuracy {alone.score(X_test, y_test):.2f} -> {both.score(X_test, y_test):.2f}")
    accuracy 0.65 -> 0.82
    """

    def __init__(
        self,
        alpha="auto",
        *,
        source_alpha="auto",
        source_scale="auto",
        n_folds=5,
        fit_intercept=True,
        sources=None,
    ):
        self.alpha = alpha
        self.source_alpha = source_alpha
        self.source_scale = source_scale
        self.n_folds = n_folds
        self.fit_intercept = fit_intercept
        self.sources = sources

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit the target's coefficients.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target and, if ``sample_domain`` says so, of sources.
        y : array-like of shape (n_samples,)
            Classes.
        sample_domain : array-like of shape (n_samples,), default=None
            Domain of each row: ``"target"`` or the name of a source, or integers with the
            target negative (`as_sample_domain` makes it of a column). None: all target.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the losses.

        Returns
        -------
        self : L2SPClassifier
            The fitted estimator.
        """
        _check_parameters(self, ("auto",))
        if not isinstance(self.n_folds, numbers.Integral) or self.n_folds < 2:
            raise ValueError(
                f"n_folds must be a whole number of folds, at least 2; got {self.n_folds!r}."
            )
        target, sources = self._validate_classes(X, y, sample_domain, sample_weight)
        _check_source_alpha(self.source_alpha, sources)
        target = Rows(target.X, target.y, target.weight)
        with small_blas(target.X.shape[1]):
            coefs = self._fit_sources(target, sources)
            if sources and not self._tells_slopes(target):
                _warn_of_few_rows(len(target.X))
                scales, rows = self._take_the_mean_source(len(coefs)), l2sp_glm.with_one_row(target)
            else:
                scales, rows = self._choose(target, coefs), target
            fit = self._fit_rows(rows, self.alpha_, np.tensordot(scales, coefs, 1))
        if not fit.converged:
            _warn_of_slope(fit)
        # Of several classes intercepts are known up to a constant: theirs sum to zero.
        several = fit.intercept.size > 1
        self.coef_, self.intercept_ = fit.coef.T, fit.intercept - several * fit.intercept.mean()
        self.n_iter_ = fit.n_iter
        self.source_scale_, self.source_names_ = scales, list(sources)
        self.source_coef_ = np.swapaxes(coefs, 1, 2)
        return self

    def decision_function(self, X):
        """Linear predictors of the target.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Log odds of the second of two classes, or logarithms of probabilities up to a
            constant of each row.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        eta = X @ self.coef_.T + self.intercept_
        return eta[:, 0] if len(self.classes_) == 2 else eta

    def predict_proba(self, X):
        """Probabilities of the classes, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities.
        """
        eta = self.decision_function(X)
        if eta.ndim == 1:
            return np.column_stack([expit(-eta), expit(eta)])
        return softmax(eta, axis=1)

    def predict_log_proba(self, X):
        """Logarithms of the probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms of `predict_proba`.
        """
        return np.log(np.maximum(self.predict_proba(X), np.finfo(float).tiny))

    def predict(self, X):
        """Most probable classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        ndarray of shape (n_samples,)
            Classes.
        """
        eta = self.decision_function(X)
        codes = (eta > 0).astype(int) if eta.ndim == 1 else np.argmax(eta, axis=1)
        return self.classes_[codes]

    def _fit_rows(self, rows, alpha, centre):
        return l2sp_glm.fit_rows(LOGISTIC, rows, alpha, centre, intercept=self.fit_intercept)

    def _validated(self, rows, coefs, alphas, total):
        return l2sp_glm.validate(
            LOGISTIC, rows, coefs, alphas, total, self.n_folds, intercept=self.fit_intercept
        )

    def _fit_sources(self, target, sources):
        """Return the coefficients of every source (K, p, q), and set their penalties."""
        p, q = target.X.shape[1], target.Y.shape[1]
        coefs, penalties = np.zeros((len(sources), p, q)), np.full(len(sources), np.nan)
        for k, source in enumerate(sources.values()):
            if isinstance(source, SourceModel):
                coef = np.atleast_2d(source.coef).T
                # What is added to all classes alike changes no probability.
                coefs[k] = coef - coef.mean(axis=1, keepdims=True) * (q > 1)
                continue
            rows = Rows(source.X, source.y, source.weight)
            penalties[k] = self._source_penalty(rows, p, q)
            coefs[k] = self._fit_rows(rows, penalties[k], np.zeros((p, q))).coef
        self.source_alpha_ = penalties
        return coefs

    def _source_penalty(self, rows, p, q):
        if not _is(self.source_alpha, "auto"):
            return float(self.source_alpha)
        alphas = l2sp_glm.penalty_grid(rows)
        return alphas[self._validated(rows, np.empty((0, p, q)), alphas, None).best[1]]

    def _tells_slopes(self, target):
        """Whether the target's rows say anything of slopes, and can be validated if they must."""
        if not l2sp_glm.varies(target, intercept=self.fit_intercept):
            return False
        needed = 2 if _is(self.alpha, "auto") else 1
        return np.sum(l2sp_glm.rows_by_class(target) >= needed) >= 2

    def _take_the_mean_source(self, K):
        """Set what is known without validation; return the scales of the mean source."""
        self.alphas_, self.alpha_ = np.array([np.inf]), np.inf
        self.cv_loss_, self.transfer_gain_ = np.full((2, 1), np.nan), np.nan
        total = 1.0 if _is(self.source_scale, "auto") else float(self.source_scale)
        return np.full(K, total / K)

    def _choose(self, target, coefs):
        """Choose the penalty, and whether the sources are used; return their scales."""
        total = None if _is(self.source_scale, "auto") else float(self.source_scale)
        if not self._choose_alpha(target, coefs, total):
            return np.zeros(len(coefs))
        return l2sp_glm.estimate_scales(
            LOGISTIC, target, coefs, total, intercept=self.fit_intercept
        )

    def _choose_alpha(self, target, coefs, total):
        """Set the penalty of the target; return whether the sources are used."""
        given = not _is(self.alpha, "auto")
        self.alphas_ = np.array([float(self.alpha)]) if given else l2sp_glm.penalty_grid(target)
        if given and (len(coefs) == 0 or total is not None):
            self.alpha_, self.cv_loss_ = float(self.alpha), np.full((2, 1), np.nan)
            self.transfer_gain_ = np.nan
            return len(coefs) > 0
        validated = self._validated(target, coefs, self.alphas_, total)
        used, m = validated.cautious
        self.alpha_, self.cv_loss_ = float(self.alphas_[m]), validated.errors
        low = validated.errors.min(axis=1)
        self.transfer_gain_ = 1 - low[1] / low[0] if used else 0.0
        return bool(used)


def _is(value, option):
    """Whether a parameter is this string; arrays and numbers are not."""
    return isinstance(value, str) and value == option


def _check_parameters(estimator, source_rules):
    """Check what both estimators have."""
    _check_penalty("alpha", estimator.alpha, ("auto",))
    _check_penalty("source_alpha", estimator.source_alpha, source_rules)
    scale = estimator.source_scale
    number = isinstance(scale, numbers.Real) and np.isfinite(scale)
    if not number and not _is(scale, "auto"):
        raise ValueError(f"source_scale must be 'auto' or a finite number; got {scale!r}.")
    if not isinstance(estimator.fit_intercept, bool | np.bool_):
        raise ValueError(f"fit_intercept must be True or False; got {estimator.fit_intercept!r}.")


def _check_penalty(name, value, options):
    number = isinstance(value, numbers.Real) and not isinstance(value, bool) and value >= 0
    if not number and not any(_is(value, option) for option in options):
        listing = ", ".join(map(repr, options))
        raise ValueError(f"{name} must be {listing} or a number >= 0; got {value!r}.")


def _check_option(name, value, options):
    if not any(_is(value, option) for option in options):
        listing = ", ".join(map(repr, options))
        raise ValueError(f"{name} must be one of {listing}; got {value!r}.")


def _check_source_alpha(source_alpha, sources):
    """Refuse a penalty for sources that are coefficients, which it could not change."""
    if _is(source_alpha, "auto") or not sources:
        return
    given = [name for name, source in sources.items() if isinstance(source, SourceModel)]
    if len(given) == len(sources):
        raise ValueError(
            f"source_alpha={source_alpha!r} does not apply: source {given[0]!r} is known by its "
            "coefficients, which no penalty can change. Leave source_alpha='auto', or give the "
            "source as rows or Moments."
        )


def _warn_not_converged(n_iter):
    warnings.warn(
        f"The likelihood of the variances was not maximised after {n_iter} steps: its slope is "
        "above 0.01 sqrt(n_samples). Check for outliers, or for columns that are nearly collinear "
        "in every domain; method='loo' does without the likelihood.",
        ConvergenceWarning,
        stacklevel=4,
    )


def _warn_of_slope(fit):
    warnings.warn(
        f"The logistic fit did not converge in {fit.n_iter} steps: its largest derivative is "
        f"{fit.slope:.2g}, tol is {l2sp_glm.TOL:g}. Standardise the features, or raise alpha.",
        ConvergenceWarning,
        stacklevel=3,
    )


def _warn_of_few_rows(n_rows):
    warnings.warn(
        f"The target's {n_rows} row{'s' * (n_rows > 1)} cannot tell slopes (no feature varies, "
        "or fewer than two classes have two rows): the slopes are the mean of the sources', the "
        "intercept is the target's with one further row that belongs to all classes alike.",
        UserWarning,
        stacklevel=3,
    )


def _warn_source_only(n_rows):
    warnings.warn(
        f"The target's {n_rows} row{'s' * (n_rows > 1)} cannot tell slopes (no feature varies in "
        "them): the slopes are the mean of the sources', the intercept is the target's.",
        UserWarning,
        stacklevel=3,
    )
