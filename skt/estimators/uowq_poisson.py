"""Optimal weights for every source: UOWQ, for counts."""

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import d2_tweedie_score
from sklearn.utils import column_or_1d

from skt.core import uowq_glm
from skt.core.families import POISSON
from skt.estimators.base import LinearPrediction
from skt.estimators.docstrings import documents_rows
from skt.estimators.messages import warn
from skt.estimators.random_effects import GeneralisedUOWQ

COUNTS = "array-like of shape (n_samples,)\n    Counts, or counts divided by exposure."


class UOWQPoissonRegressor(LinearPrediction, RegressorMixin, GeneralisedUOWQ):
    """Poisson regression that borrows from every source as much as the data say is safe.

    The random effects of `UOWQClassifier` for counts with a log link: intercepts and slopes of
    all domains scatter about a centre with variances that are estimated, and

        sum_k loss_k(M + D_k) / phi + sum_k ||D_k||^2 / (2 t_k) + n_0 alpha ||M||^2 / phi

    is minimised over the centre M (its intercept free) and all D_k. The loss is minus the
    log-likelihood of domain k's rows, n_0 the weight of the target's rows; phi is 1 where counts
    vary as Poisson's, and larger where they vary more (Pearson's chi-square over its degrees of
    freedom). ``coef_`` is ``M + D_0``.

    Without sources it is ``PoissonRegressor(alpha=2 * alpha)`` on standardised columns.

    Exposure goes where scikit-learn's goes: y is the rate, counts divided by exposure, and
    ``sample_weight`` the exposure.

    Parameters
    ----------
    weights : {"eb", "sure", "plugin"} or array of shape (n_sources,), default="eb"
        How far to lean on each source, as in `UOWQClassifier`.
    guard : {"left-out", None}, default="left-out"
        Takes sources back, for ``weights="eb"``, as far as left-out target rows are better
        predicted without them. None relies on the variances alone.
    alpha : "auto" or float >= 0, default="auto"
        Penalty of M, or of the target alone, per unit of the target's weight. Raising it pulls
        slopes towards zero. "auto": by approximate marginal likelihood.
    fit_intercept : bool, default=True
        Whether there are intercepts.
    sources : dict, default=None
        Name to `SourceModel` on the scale of the logarithm, with its ``information`` where that is
        known. Sources may also come as rows, through ``sample_domain``.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients of the target, of the logarithm of the rate.
    intercept_ : float
        Intercept of the target.
    dispersion_ : float
        phi; 1 without sources, where it changes nothing.
    source_names_, source_weights_, source_shares_, discrepancy_, effective_sample_size_, \
source_effective_sample_size_, n_target_samples_, n_source_samples_, risk_, target_risk_, \
transfer_gain_, alpha_, n_iter_
        As of `UOWQClassifier`; risks are excess losses per unit of weight.
    n_features_in_, feature_names_in_
        Number and names of features seen in fit.

    Raises
    ------
    ValueError
        If no row is a target row, y is negative, a source has other features, or an option is
        unknown.
    TypeError
        If ``sources`` holds a bare estimator or `Moments`.

    Warns
    -----
    ConvergenceWarning
        If the random effects were not fitted.

    References
    ----------
    UOWQ: arXiv 2601.10779v2. The estimation of discrepancies is this project's.

    Examples
    --------
    >>> import numpy as np
    >>> from skt import UOWQPoissonRegressor, stack_domains
    >>> rng = np.random.default_rng(0)
    >>> beta = 0.4 * rng.normal(size=8)
    >>> def draw(n, beta):
    ...     X = rng.normal(size=(n, 8))
    ...     return X, rng.poisson(np.exp(X @ beta))
    >>> X, y, d = stack_domains(draw(20, beta), {"near": draw(300, beta + 0.1)})
    >>> X_test, y_test = draw(1000, beta)
    >>> alone = UOWQPoissonRegressor().fit(X[:20], y[:20])
    >>> both = UOWQPoissonRegressor().fit(X, y, sample_domain=d)
    >>> print(f"D2 {alone.score(X_test, y_test):.2f} -> {both.score(X_test, y_test):.2f}")
    D2 0.20 -> 0.26
    """

    def __init__(
        self, weights="eb", *, guard="left-out", alpha="auto", fit_intercept=True, sources=None
    ):
        self.weights = weights
        self.guard = guard
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.sources = sources

    @documents_rows(COUNTS, "Exposure, or row counts.")
    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit the target's coefficients."""
        self._check_parameters()
        data = self._counts(X, y, sample_domain, sample_weight)
        fit = self._fit_family(data, POISSON)
        warn(fit.doubts)
        return self._store(fit, data)

    def predict(self, X):
        """Predict the target's rates.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        ndarray of shape (n_samples,)
            Expected counts per unit of exposure.
        """
        return np.exp(super().predict(X))

    def score(self, X, y, sample_weight=None):
        """Share of the Poisson deviance explained, D2.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.
        y : array-like of shape (n_samples,)
            Counts, or counts divided by exposure.
        sample_weight : array-like of shape (n_samples,), default=None
            Exposure, or row counts.

        Returns
        -------
        float
            1 where all is predicted, 0 as the mean of y predicts.
        """
        return d2_tweedie_score(y, self.predict(X), sample_weight=sample_weight, power=1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags

    def _counts(self, X, y, sample_domain, sample_weight):
        """Return target and sources, whose outcomes are counts in one column."""
        y = y if y is None else column_or_1d(y, warn=True)
        data = self._data(X, y, sample_domain, sample_weight)
        _check_counts(y)
        return data

    def _dispersed(self, known):
        """Return rows with the dispersion of the counts of all of them."""
        if not known.sources:
            return known
        domains = [known.target, *known.sources]
        rows = [each for each in domains if isinstance(each, uowq_glm.OfRows)]
        dispersion = uowq_glm.pearson_dispersion(rows, known.slopes)
        target, *sources = (
            each._replace(dispersion=dispersion) if isinstance(each, uowq_glm.OfRows) else each
            for each in domains
        )
        return known._replace(target=target, sources=sources)

    def _store(self, fit, data):
        """Set attributes, in the user's units and shapes."""
        coef, intercept = self._store_common(fit, data)
        self.coef_, self.intercept_ = coef[0], float(intercept[0])
        self.dispersion_ = fit.known.target.dispersion
        return self


def _check_counts(y):
    if np.min(y) < 0:
        raise ValueError(
            f"y holds negative values, the least is {np.min(y)}; counts, or counts divided by "
            "exposure, are at least 0."
        )
