"""Logistic regression pulled towards its sources: L2-SP for classes."""

from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.exceptions import ConvergenceWarning

from skt._sklearn import Interval
from skt.core import glm, l2sp_glm
from skt.core.families import LOGISTIC
from skt.estimators.base import (
    LinearClassification,
    TransferEstimator,
    centred_intercepts,
    small_blas,
)
from skt.estimators.checks import AUTO, NUMBER, PENALTY, is_auto
from skt.estimators.docstrings import CLASSES, documents_rows
from skt.estimators.l2sp import check_source_alpha
from skt.estimators.messages import slopes_from_sources, warn


class L2SPClassifier(LinearClassification, ClassifierMixin, TransferEstimator):
    """Logistic regression pulled towards what the sources say instead of towards zero.

    With B_k the penalised logistic fit of source k it minimises

        (1/n) sum_i loss(x_i'B + b, y_i) + alpha ||B - sum_k c_k B_k||^2

    over B and a free intercept b, n being the target's rows and the loss minus the
    log-likelihood: binomial with one coefficient vector for two classes, multinomial with one
    for each class otherwise, as in scikit-learn. Intercepts are not transferred; but where the
    target lacks a class, the sources' shares of classes are a prior that weighs ``sqrt(n)`` rows.

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
    coef_, intercept_ : ndarray of shape (n_classes, n_features) and (n_classes,)
        Of the target; one row for two classes.
    classes_ : ndarray of shape (n_classes,)
        Classes of all domains, sorted.
    source_names_ : list of str
        Labels of rows first, then keys of ``sources``; the order of all (n_sources,) below.
    source_coef_, source_scale_ : ndarray of shape (n_sources, n_classes, n_features), (n_sources,)
        Fit of each source, and its scale c; zero where validation found the sources of no use.
    alpha_, source_alpha_ : float and ndarray of shape (n_sources,)
        Penalties per row; NaN for a source of coefficients.
    alphas_, cv_loss_ : ndarray of shape (n_alphas,) and (2, n_alphas)
        Penalties looked at, and validated log-loss without the sources and with them.
    transfer_gain_ : float
        ``1 - loss with the sources / loss without``, each at its best penalty; zero where the
        sources are not used, NaN where nothing was validated.
    n_iter_ : int
        Steps of Newton's method in the final fit.

    Raises
    ------
    ValueError or TypeError
        If there is no target row or one class only, a source has other features or classes, or
        ``sources`` holds a bare estimator or `Moments`.

    Warns
    -----
    UserWarning, ConvergenceWarning
        If the target's rows cannot tell slopes: then they are the mean of the sources', and one
        further row, of all classes alike, keeps the intercept finite. If the fit did not converge.

    References
    ----------
    arXiv 2511.08401v4 has the squared loss; the logistic one, scales and validation are ours.
    Cost: about ``30 n_folds`` fits by Newton's method in at most min(n, p) directions.

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
    accuracy 0.66 -> 0.82
    """

    takes = ("rows", "model")
    _parameter_constraints = {
        "alpha": [AUTO, PENALTY],
        "source_alpha": [AUTO, PENALTY],
        "source_scale": [AUTO, NUMBER],
        "n_folds": [Interval(Integral, 2, None, closed="left")],
        "fit_intercept": ["boolean"],
    }

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

    @documents_rows(CLASSES, "Weights of the losses.")
    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit the target's coefficients."""
        self._check_parameters()
        data = self._data(X, y, sample_domain, sample_weight, classes=True)
        fit = self._fit(data)
        warn(fit.doubts)
        return self._store(fit, data)

    def _fit(self, data):
        """Fit the sources, choose all that is "auto", and fit the target."""
        check_source_alpha(self.source_alpha, data.sources)
        target, doubts = data.target, []
        with small_blas(target.X.shape[1]):
            penalties, coefs = self._fit_sources(target, data.sources)
            if data.sources and not self._tells_slopes(target):
                doubts.append(slopes_from_sources(len(target.X), FEW, MEAN_SOURCE))
                choice, rows = self._mean_source(len(coefs)), l2sp_glm.with_one_row(target)
            else:
                choice, rows = self._choose(target, coefs), self._with_priors(data)
            solution = self._fit_rows(rows, choice.alpha, np.tensordot(choice.scales, coefs, 1))
        if not solution.converged:
            doubts.append(_not_converged(solution))
        return _Fit(choice, solution, penalties, coefs, doubts)

    def _with_priors(self, data):
        """Return the target's rows, with the sources' shares of classes where they lack one."""
        tables = [source.rows for source in data.sources.values() if source.form == "rows"]
        if not self.fit_intercept:
            return data.target
        return l2sp_glm.with_lacking_classes(data.target, tables)

    def _fit_rows(self, rows, alpha, centre):
        return l2sp_glm.fit_rows(LOGISTIC, rows, alpha, centre, intercept=self.fit_intercept)

    def _validated(self, rows, coefs, alphas, total):
        return l2sp_glm.validate(
            LOGISTIC, rows, coefs, alphas, total, self.n_folds, intercept=self.fit_intercept
        )

    def _fit_sources(self, target, sources):
        """Return the penalties (K,) and the coefficients (K, p, q) of the sources."""
        p, q = target.X.shape[1], target.Y.shape[1]
        coefs, penalties = np.zeros((len(sources), p, q)), np.full(len(sources), np.nan)
        for k, source in enumerate(sources.values()):
            coef = source.given_coef()
            if coef is not None:
                # What is added to all classes alike changes no probability.
                coefs[k] = coef - coef.mean(axis=1, keepdims=True) * (q > 1)
                continue
            rows = source.rows
            penalties[k] = self._source_penalty(rows, p, q)
            coefs[k] = self._fit_rows(rows, penalties[k], np.zeros((p, q))).coef
        return penalties, coefs

    def _source_penalty(self, rows, p, q):
        if not is_auto(self.source_alpha):
            return float(self.source_alpha)
        alphas = l2sp_glm.penalties(rows)
        return alphas[self._validated(rows, np.empty((0, p, q)), alphas, None).best[1]]

    def _tells_slopes(self, target):
        """Whether the target's rows say anything of slopes, and can be validated if they must."""
        if not l2sp_glm.varies(target, intercept=self.fit_intercept):
            return False
        needed = 2 if is_auto(self.alpha) else 1
        return np.sum(l2sp_glm.rows_by_class(target) >= needed) >= 2

    def _mean_source(self, K):
        """Return the choice of the mean source, which nothing validates."""
        total = 1.0 if is_auto(self.source_scale) else float(self.source_scale)
        return _Choice(np.inf, np.full(K, total / K), np.array([np.inf]))

    def _choose(self, target, coefs):
        """Choose the penalty, and the scales of the sources: zero where they are of no use."""
        total = None if is_auto(self.source_scale) else float(self.source_scale)
        choice = self._choose_alpha(target, coefs, total)
        if not choice.used:
            return choice
        scales = l2sp_glm.estimate_scales(
            LOGISTIC, target, coefs, total, intercept=self.fit_intercept
        )
        return choice._replace(scales=scales)

    def _choose_alpha(self, target, coefs, total):
        """Choose the penalty of the target, and whether the sources are used."""
        given, none = not is_auto(self.alpha), np.zeros(len(coefs))
        alphas = np.array([float(self.alpha)]) if given else l2sp_glm.penalties(target)
        if given and (len(coefs) == 0 or total is not None):
            return _Choice(float(self.alpha), none, alphas, used=len(coefs) > 0)
        validated = self._validated(target, coefs, alphas, total)
        used, m = validated.cautious
        low = validated.errors.min(axis=1)
        gain = 1 - low[1] / low[0] if used else 0.0
        return _Choice(float(alphas[m]), none, alphas, validated.errors, gain, bool(used))

    def _store(self, fit, data):
        """Set attributes, in the user's shapes."""
        choice, solution = fit.choice, fit.solution
        self.classes_, self.source_names_ = data.classes, list(data.sources)
        self.intercept_ = centred_intercepts(solution.intercept)
        self.coef_, self.n_iter_ = solution.coef.T, solution.n_iter
        self.source_coef_, self.source_alpha_ = np.swapaxes(fit.coefs, 1, 2), fit.penalties
        self.source_scale_, self.alpha_ = choice.scales, choice.alpha
        self.alphas_ = choice.alphas
        nothing = np.full((2, 1), np.nan)
        self.cv_loss_ = nothing if choice.errors is None else choice.errors
        self.transfer_gain_ = choice.gain
        return self


FEW = "no feature varies, or fewer than two classes have two rows"
MEAN_SOURCE = (
    "the slopes are the mean of the sources', the intercept is the target's with one further row "
    "that belongs to all classes alike."
)


class _Choice(NamedTuple):
    """Penalty of the target and scales of the sources, and how they were validated."""

    alpha: float
    scales: np.ndarray  # (K,)
    alphas: np.ndarray  # (n_alphas,)
    errors: np.ndarray | None = None  # (2, n_alphas) without the sources, and with them
    gain: float = np.nan
    used: bool = False


class _Fit(NamedTuple):
    """All that fit stores."""

    choice: _Choice
    solution: glm.Fit
    penalties: np.ndarray  # (K,)
    coefs: np.ndarray  # (K, p, q)
    doubts: list


def _not_converged(solution):
    return ConvergenceWarning(
        f"The logistic fit did not converge in {solution.n_iter} steps: its largest derivative is "
        f"{solution.slope:.2g}, tol is {l2sp_glm.TOL:g}. Standardise the features, or raise alpha."
    )
