"""Optimal weights for every source: UOWQ, for classes."""

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight

from skt._sklearn import StrOptions
from skt.core.families import LOGISTIC
from skt.estimators.base import LinearClassification, centred_intercepts
from skt.estimators.docstrings import CLASSES, documents_rows
from skt.estimators.messages import warn
from skt.estimators.random_effects import GeneralisedUOWQ


class UOWQClassifier(LinearClassification, ClassifierMixin, GeneralisedUOWQ):
    """Logistic regression that borrows from every source as much as the data say is safe.

    Coefficients of all domains, intercepts included, scatter about a centre, ``B_k = M + D_k``
    with ``D_k ~ N(0, t_k)``; variances of slopes and of intercepts are estimated by approximate
    maximum likelihood, and

        sum_k loss_k(M + D_k) + sum_k ||D_k||^2 / (2 t_k) + n_0 alpha ||M||^2

    is minimised over M (its intercept free) and all D_k, loss_k being minus the log-likelihood of
    domain k's rows, slopes those of standardised columns, n_0 the target's rows. ``coef_`` is
    ``B_0``. With other ``weights`` it is the paper's: one weight per source row, all domains
    sharing one B, and ``sum_k w_k loss_k(B) + n_0 alpha ||B||^2``.

    Without sources it is ``LogisticRegression(C=1 / (2 n alpha))`` on standardised columns.

    Parameters
    ----------
    weights : {"eb", "sure", "plugin"} or array of shape (n_sources,), default="eb"
        How far to lean on each source. "eb": the random effects above. "sure": unbiased risk
        estimation. "plugin": the paper's static weights. An array is the weight of one row of each
        source, a target row having one.
    guard : {"left-out", None}, default="left-out"
        Takes sources back, for ``weights="eb"``, as far as left-out target rows are better
        predicted without them. None relies on the variances alone.
    alpha : "auto" or float >= 0, default="auto"
        Penalty per target row of M, or of the target alone. Raising it pulls slopes towards zero.
        "auto": by approximate marginal likelihood.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in scikit-learn; "balanced" counts the rows of all domains.
    fit_intercept : bool, default=True
        Whether there are intercepts.
    sources : dict, default=None
        Name to `SourceModel` (coefficients in the order of ``classes_``, one row for two classes;
        with its ``information`` where that is known) or ``FrozenEstimator`` of a classifier with a
        linear decision function. Sources may also come as rows, through ``sample_domain``.

    Attributes
    ----------
    coef_, intercept_ : ndarray of shape (1 or n_classes, n_features) and (1 or n_classes,)
        Of the target; of two classes the second's.
    classes_ : ndarray of shape (n_classes,)
        Classes of all domains. One that the target lacks has its probability from the sources.
    source_names_ : list of str
        Labels of rows first, then keys of ``sources``; the order of all (n_sources,) below.
    source_weights_ : ndarray of shape (n_sources,)
        Weight of one source row, a target row having 1. NaN if the number of rows is unknown.
    source_shares_ : ndarray of shape (n_sources,)
        Mean part of each source in ``coef_``, in the metric of the target's information.
    discrepancy_ : ndarray of shape (n_sources, n_sources)
        Differences from the target, per coefficient, in units of one target row's information.
    effective_sample_size_, source_effective_sample_size_ : float and ndarray of shape (n_sources,)
        Target rows that would be as good as all domains together; of these, each source's.
    n_target_samples_, n_source_samples_ : float and ndarray of shape (n_sources,)
        Rows, counted by their weights; NaN where unknown.
    risk_, target_risk_, transfer_gain_ : float
        Estimated excess log-loss of a new target row, with the sources and by the target alone;
        and ``1 - risk_ / target_risk_``.
    alpha_, n_iter_ : float and int
        Penalty; Newton's steps, each with new variances.

    Raises
    ------
    ValueError
        If no row is a target row, there is one class only, or a source has other features or
        classes. Two warnings: the target's rows hold one class only (UserWarning), the random
        effects were not fitted (ConvergenceWarning).

    References
    ----------
    UOWQ: arXiv 2601.10779v2; the estimation of discrepancies is this project's. Cost per step:
    ``O(n P^2 + K P^3)``, P being features times 1 or the number of classes. A source that lacks a
    class of which it should have seven rows says nothing of that class.

    Examples
    --------
    >>> import numpy as np
    >>> from skt import UOWQClassifier, stack_domains
    >>> rng = np.random.default_rng(0)
    >>> beta = rng.normal(size=10)
    >>> def draw(n, beta):
    ...     X = rng.normal(size=(n, 10))
    ...     return X, np.where(X @ beta + rng.logistic(size=n) > 0, "yes", "no")
    >>> X, y, d = stack_domains(draw(30, beta), {
    ...     "near": draw(300, beta + 0.2), "next": draw(300, beta - 0.2),
    ...     "far": draw(300, rng.normal(size=10))})
    >>> X_test, y_test = draw(1000, beta)
    >>> alone = UOWQClassifier().fit(X[:30], y[:30])
    >>> both = UOWQClassifier().fit(X, y, sample_domain=d)
    >>> print(f"accuracy {alone.score(X_test, y_test):.2f} -> {both.score(X_test, y_test):.2f}")
    accuracy 0.71 -> 0.78
    """

    _parameter_constraints = {
        **GeneralisedUOWQ._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        weights="eb",
        *,
        guard="left-out",
        alpha="auto",
        class_weight=None,
        fit_intercept=True,
        sources=None,
    ):
        self.weights = weights
        self.guard = guard
        self.alpha = alpha
        self.class_weight = class_weight
        self.fit_intercept = fit_intercept
        self.sources = sources

    @documents_rows(CLASSES)
    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit the target's coefficients."""
        self._check_parameters()
        data = self._weighed(X, y, sample_domain, sample_weight)
        fit = self._fit_family(data, LOGISTIC)
        warn([*_doubts_of_one_class(data), *fit.doubts])
        return self._store(fit, data)

    def _weighed(self, X, y, sample_domain, sample_weight):
        """Return target and sources, their rows weighed by class as well."""
        if self.class_weight is not None:
            by_class = compute_sample_weight(self.class_weight, y)
            sample_weight = by_class if sample_weight is None else by_class * sample_weight
        return self._data(X, y, sample_domain, sample_weight, classes=True)

    def _store(self, fit, data):
        """Set attributes, in the user's units and shapes."""
        self.classes_ = data.classes
        self.coef_, intercept = self._store_common(fit, data)
        self.intercept_ = centred_intercepts(intercept)
        return self


def _doubts_of_one_class(data):
    total = data.target.weight @ data.target.Y
    several = len(total) > 1
    seen = total > 0 if several else np.array([total[0] < data.target.n, total[0] > 0])
    if not data.sources or seen.sum() > 1:
        return []
    return [
        f"The target's rows hold one class only, {data.classes[seen].tolist()[0]!r}: how often "
        "the others occur is what the sources say. A few target rows of other classes would let "
        "the fit check it."
    ]
