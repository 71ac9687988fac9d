"""Optimal weights for every source: UOWQ, for classes."""

import warnings

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight

from skt.core.families import LOGISTIC
from skt.estimators.base import LinearClassification
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
        How far to lean on each source. "eb": the random effects above (empirical Bayes).
        "sure": unbiased risk estimation. "plugin": the paper's static weights, raw differences of
        estimates. An array gives the weight of one row of each source relative to a target row,
        in the order of ``source_names_``.
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
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients of the target.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercept of the target.
    classes_ : ndarray of shape (n_classes,)
        Classes of all domains, sorted. A class that the target's rows lack has its probability
        from the sources.
    source_names_ : list of str
        Names of the sources: labels of rows first, then keys of ``sources``.
    source_weights_ : ndarray of shape (n_sources,)
        Weight of one source row; 1 means that it counts like one target row (from the shares
        below for ``weights="eb"``). NaN for a model whose number of rows is unknown.
    source_shares_ : ndarray of shape (n_sources,)
        Mean part of each source in ``coef_``, in the metric of the target's information.
    discrepancy_ : ndarray of shape (n_sources, n_sources)
        Estimated differences from the target in units of the information of one target row, per
        coefficient.
    effective_sample_size_, source_effective_sample_size_
        Target rows that would be as good as target and sources together, ``n_0 / (1 - gain)``, and
        ndarray of shape (n_sources,), what each source adds to it.
    n_target_samples_, n_source_samples_
        Rows of the target and, ndarray of shape (n_sources,), of each source, by their weights.
    risk_, target_risk_ : float
        Estimated excess log-loss of a new target row, with the sources and by the target alone.
    transfer_gain_ : float
        ``1 - risk_ / target_risk_``; near zero when sources do not help.
    alpha_ : float
        Penalty used.
    n_iter_ : int
        Newton's steps, each with new variances.
    n_features_in_, feature_names_in_
        Number and names of features seen in fit.

    Raises
    ------
    ValueError
        If no row is a target row, there is one class only, a source has other features or
        classes, or an option is unknown.
    TypeError
        If ``sources`` holds a bare estimator or `Moments`.

    Warns
    -----
    UserWarning
        If the target's rows hold one class only: the others' probabilities are the sources'.
    ConvergenceWarning
        If the random effects were not fitted.

    Notes
    -----
    Cost per step: ``O(n P^2 + K P^3)``, P being features times 1 or the number of classes. Many
    classes with many features want a projection, such as PCA, in front. A source that lacks a
    class of which it should have seven rows says nothing of that class.

    References
    ----------
    UOWQ: arXiv 2601.10779v2. The estimation of discrepancies is this project's.

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

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Fit the target's coefficients.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target and, if ``sample_domain`` says so, of sources.
        y : array-like of shape (n_samples,)
            Classes, labels of any type.
        sample_domain : array-like of shape (n_samples,), default=None
            Domain of each row: ``"target"`` or the name of a source, or integers with the
            target negative (`as_sample_domain` makes it of a column). None: all target.
        sample_weight : array-like of shape (n_samples,), default=None
            Row counts: weight 2 is the row twice.

        Returns
        -------
        self : UOWQClassifier
            The fitted estimator.
        """
        self._check_parameters()
        if self.class_weight is not None:
            by_class = compute_sample_weight(self.class_weight, y)
            sample_weight = by_class if sample_weight is None else by_class * sample_weight
        data = self._data(X, y, sample_domain, sample_weight, classes=True)
        if data.sources:
            _warn_of_one_class(data)
        design, combined = self._combine(data, LOGISTIC)
        self.classes_ = data.classes
        self.coef_, intercept = self._store(data, design, combined)
        # Of several classes intercepts are known up to a constant: theirs sum to zero.
        self.intercept_ = intercept - (len(intercept) > 1) * intercept.mean()
        return self


def _warn_of_one_class(data):
    total = data.target.weight @ data.target.Y
    several = len(total) > 1
    seen = total > 0 if several else np.array([total[0] < data.target.n, total[0] > 0])
    if seen.sum() == 1:
        warnings.warn(
            f"The target's rows hold one class only, {data.classes[seen].tolist()[0]!r}: how often "
            "the others occur is what the sources say. A few target rows of other classes would "
            "let the fit check it.",
            UserWarning,
            stacklevel=3,
        )
