"""Frozen models of any kind side by side, with a ridge on top: H-ensemble."""

import numbers
from collections.abc import Mapping

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from skt.core import h_ensemble
from skt.estimators.base import TransferEstimator, small_blas
from skt.sources.forms import SourcePredictor
from skt.sources.validate import refuse_pairs, split_rows

WEIGHTS = ("auto", "uniform", "h-score")
PAPER_PENALTY = 1e-3


class _HEnsemble:
    """What the classifier and the regressor share."""

    takes = ("predictor",)

    def _fit(self, X, Y, classes, sample_domain):
        """Fit to responses (n, C) and store."""
        _refuse_sources(self, X, sample_domain)
        sources = _predictors(self.estimators)
        F = [source.features(X) for source in sources.values()]
        codes = None if classes is None else np.argmax(Y, axis=1)
        self.feature_weights_ = self._summed_weights(F, codes, list(sources))
        with small_blas(len(X)):
            self._store(sources, self._blocks(F, X), Y, self._offset(sources, X, classes), classes)
        return self

    def _store(self, sources, features, Y, P, classes):
        self._sources, self.estimator_names_ = sources, list(sources)
        self._units = [h_ensemble.block(F) for F in features]
        features = [unit.of(F) for unit, F in zip(self._units, features, strict=True)]
        few = len(Y) <= sum(F.shape[1] for F in features)
        grams = h_ensemble.gram_matrices(features) if few else None
        candidates = self._candidates(features, Y, P)
        self._fitted = h_ensemble.fit(
            features, Y, P, candidates, classes=classes is not None, grams=grams
        )
        self.block_weights_, self.offset_ = self._fitted.weights, self._fitted.offset
        self.loo_loss_ = self._fitted.loss

    def _blocks(self, F, X):
        """Return the features of every block: the sources', or their sum, and the target's own."""
        if F and self.combine == "sum":
            F = [np.tensordot(self.feature_weights_, np.array(F), 1)]
        return [*F, X] if self.include_target or not F else F

    def _summed_weights(self, F, codes, names):
        """Return the weights of a sum of features; None where features stay side by side."""
        if self.combine != "sum" or not F:
            return None
        shapes = {name: each.shape[1] for name, each in zip(names, F, strict=True)}
        if len(set(shapes.values())) > 1:
            raise ValueError(
                f"combine='sum' needs features of one size but the sources have {shapes}; use "
                "combine='concat'."
            )
        if not isinstance(self.weights, str):
            return _given_weights(self.weights, len(F))
        if self.weights == "uniform" or codes is None:
            return np.full(len(F), 1 / len(F))
        return h_ensemble.trace_ratio(*h_ensemble.scatter(np.array(F), codes))

    def _candidates(self, features, Y, P):
        """Return the weights, parts of the offset and penalties that are averaged."""
        own = self.include_target or not self.estimators
        K = len(features) - own
        offsets = np.zeros(1) if P is None else h_ensemble.OFFSETS
        penalties = h_ensemble.PENALTIES
        if not isinstance(self.alpha, str):
            penalties = np.array([float(self.alpha)])
        if not K:
            return h_ensemble.Candidates(np.ones((1, 1)), offsets, penalties)
        shares = h_ensemble.SHARES if own else [0.0]
        if (own and len(Y) < 3) or _alone(Y):
            shares = ([h_ensemble.BLIND_SHARE] if P is not None else [1.0]) if own else [0.0]
        sources = self._source_weights(features[:K], Y)
        weights = [
            np.append((1 - share) * w, [share] * own)
            for share in shares
            for w in (sources if share < 1 else sources[:1])
        ]
        return h_ensemble.Candidates(np.array(weights), offsets, penalties)

    def _source_weights(self, features, Y):
        """Return weights of the sources' blocks that are averaged, a list of (K,)."""
        K = len(features)
        if K == 1 or self.combine == "sum":
            return [np.ones(1)]
        if not isinstance(self.weights, str):
            return [_given_weights(self.weights, K)]
        if self.weights == "uniform":
            return [np.full(K, 1 / K)]
        grams = h_ensemble.gram_matrices(features)
        if self.weights == "h-score":
            return [h_ensemble.h_weights(grams, Y - Y.mean(axis=0), 1.0)]
        return [h_ensemble.gain_weights(grams, Y, power) for power in h_ensemble.POWERS]

    def _offset(self, sources, X, classes):
        """Return the mean of what the sources predict; None where none predicts the response."""
        if self.prior is None:
            return None
        told = [source.predictions(X, classes) for source in sources.values()]
        told = [P for P in told if P is not None]
        return np.mean(told, axis=0) if told else None

    def _outputs(self, X, classes=None):
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        features = self._blocks([source.features(X) for source in self._sources.values()], X)
        features = [unit.of(F) for unit, F in zip(self._units, features, strict=True)]
        return h_ensemble.outputs(self._fitted, features, self._offset(self._sources, X, classes))


class HEnsembleClassifier(ClassifierMixin, _HEnsemble, TransferEstimator):
    """Classifier on what frozen models of any kind say of a row.

    With F_k the features that source k gives to the target's rows, K(w) the kernel of all blocks
    side by side, ``sum_k w_k F_k F_k'``, and P the mean of the probabilities that the sources
    predict for the target's classes, scores are

        f(x) = b P(x) + m + sum_i K(w)(x, x_i) D_i,   D = (K(w) + alpha I)^-1 Z,

    ridge regression of the class indicators less ``b P``. The target's own features are one more
    block. Each block is centred and its rows have mean square length one. Scores of all w, b and
    alpha are averaged by their log-loss on rows left out, which has a closed form.

    Without sources it is ridge regression of class indicators on X.

    Parameters
    ----------
    estimators : dict, default=None
        Name to `SourcePredictor`, ``FrozenEstimator`` of a fitted model, or a function of rows.
        Features are the first that the model has of ``transform``, ``predict_proba`` (centred
        logarithms), ``decision_function`` and ``predict``.
    combine : "concat" or "sum", default="concat"
        Features side by side; or ``sum_k a_k F_k`` as in the paper, for sources that give equally
        many features.
    weights : "auto", "uniform", "h-score" or array of shape (n_sources,), default="auto"
        Weights of the sources. "auto": uniform ones and squares of what each source alone explains
        of rows left out, averaged; if summed, those of the largest trace ratio. "h-score": those
        that maximise the H-score with a ridge of one, side by side only.
    include_target : bool, default=True
        Whether X is a block too. Its share is averaged over 0, .3, .6, .9 and 1.
    prior : "auto" or None, default="auto"
        "auto": the sources' probabilities are an offset if they know classes of the target.
    alpha : "auto" or float > 0, default="auto"
        Ridge penalty; K(w) has trace n. Raising it brings scores nearer to nearest-centroid ones
        and to the offset.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Classes, sorted.
    estimator_names_ : list of str
        Names of the sources.
    block_weights_ : ndarray of shape (n_blocks,)
        Mean weights of the blocks: sources (or their sum), then the target's features.
    feature_weights_ : ndarray of shape (n_sources,) or None
        a, where features are summed.
    offset_ : float
        Factor of P in the averaged scores.
    loo_loss_ : float
        Log-loss of rows left out, mean of the candidates; NaN where no row can be.
    n_features_in_, feature_names_in_
        Number and names of features seen in fit.

    Raises
    ------
    ValueError
        If y has one class, summed features differ in number, or an option is unknown.
    TypeError
        If an estimator is bare (``clone`` would unfit it) or gives no answers, or rows of sources
        come through ``sample_domain``.

    Notes
    -----
    Cost: each source answers once; then ``O(n^2 p + n^3)`` for n rows and p features of all
    blocks, or ``O(n p^2)``. A row that is the only one of its class cannot be left out. If most
    are, the mean is not weighted: all of the offset, half of the target's own features and
    alpha 1 if the classes are shared, only its own features and alpha 10 if not.

    References
    ----------
    H-ensemble, arXiv 2312.12489: `paper`. Side by side, offset, target block and mean are ours.

    Examples
    --------
    A forest of other rows, of which the labels are in part different, and ten rows of ours:

    >>> import numpy as np
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skt import HEnsembleClassifier, SourcePredictor
    >>> rng = np.random.default_rng(0)
    >>> def draw(n, bend):
    ...     X = rng.normal(size=(n, 6))
    ...     return X, np.where(X[:, 0] * X[:, 1] + bend * X[:, 2] > 0, "yes", "no")
    >>> forest = RandomForestClassifier(random_state=0).fit(*draw(500, 0.3))
    >>> X, y = draw(10, 0.0)
    >>> X_test, y_test = draw(1000, 0.0)
    >>> both = HEnsembleClassifier({"forest": SourcePredictor(forest)}).fit(X, y)
    >>> alone = HEnsembleClassifier().fit(X, y)
    >>> both.score(X_test, y_test) > alone.score(X_test, y_test) + 0.1
    True
    """

    def __init__(
        self,
        estimators=None,
        combine="concat",
        weights="auto",
        include_target=True,
        prior="auto",
        alpha="auto",
    ):
        self.estimators = estimators
        self.combine = combine
        self.weights = weights
        self.include_target = include_target
        self.prior = prior
        self.alpha = alpha

    @classmethod
    def paper(cls, estimators):
        """Return the paper's estimator: summed features, trace ratio, sources only.

        Weights maximise the trace ratio exactly, by an eigenvalue problem. Maximal correlation
        regression keeps its inverse covariance and the prior of classes, which the released code
        leaves out.
        """
        return cls(estimators, "sum", include_target=False, prior=None, alpha=PAPER_PENALTY)

    def fit(self, X, y, sample_domain=None):
        """Fit to the target's rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target, with the columns that the sources know.
        y : array-like of shape (n_samples,)
            Classes.
        sample_domain : array-like of shape (n_samples,), default=None
            Domain of each row; all must be the target's.

        Returns
        -------
        self : HEnsembleClassifier
            The fitted estimator.
        """
        _check_options(self)
        refuse_pairs(X, y, sample_domain)
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y holds one class only, {self.classes_.tolist()[0]!r}; a classifier needs at "
                "least two."
            )
        return self._fit(X, np.eye(len(self.classes_))[codes], self.classes_, sample_domain)

    def decision_function(self, X):
        """Averaged scores f.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Log odds of the second of two classes, or a score of each class.
        """
        f = self._scores(X)
        return f[:, 1] - f[:, 0] if f.shape[1] == 2 else f

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
        return softmax(self._scores(X), axis=1)

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
        best = np.argmax(self._scores(X), axis=1)
        return self.classes_[best]

    def _scores(self, X):
        check_is_fitted(self)
        return self._outputs(X, self.classes_)


class HEnsembleRegressor(MultiOutputMixin, RegressorMixin, _HEnsemble, TransferEstimator):
    """Regression on what frozen models of any kind say of a row.

    The same algebra as `HEnsembleClassifier` with outputs in place of class indicators: the
    offset is a part of the mean of what the sources predict, and candidates are averaged by the
    logarithm of their mean squared error on rows left out.

    Without sources it is ridge regression on X.

    Parameters
    ----------
    estimators : dict, default=None
        Name to `SourcePredictor`, ``FrozenEstimator`` of a fitted model, or a function of rows.
        Features are what ``transform`` returns, or else ``predict``.
    combine : "concat" or "sum", default="concat"
        Features side by side; or their weighted sum, for sources that give equally many.
    weights : "auto", "uniform", "h-score" or array of shape (n_sources,), default="auto"
        Weights of the sources, as in `HEnsembleClassifier`; "auto" is "uniform" if summed.
    include_target : bool, default=True
        Whether X is a block too. Standardise its columns if their units differ.
    prior : "auto" or None, default="auto"
        "auto": the mean of what the sources predict is an offset.
    alpha : "auto" or float > 0, default="auto"
        Ridge penalty; K(w) has trace n.

    Attributes
    ----------
    estimator_names_ : list of str
        Names of the sources.
    block_weights_ : ndarray of shape (n_blocks,)
        Mean weights of the blocks: sources (or their sum), then the target's features.
    feature_weights_ : ndarray of shape (n_sources,) or None
        Weights of a sum of features.
    offset_ : float
        Part of the sources' mean prediction that is taken.
    loo_loss_ : float
        Half the logarithm of the mean squared error of rows left out, mean of the candidates, over
        outputs summed; NaN where no row can be.
    n_features_in_, feature_names_in_
        Number and names of features seen in fit.

    Raises
    ------
    ValueError
        If the sources predict another number of outputs, or an option is unknown.
    TypeError
        As for `HEnsembleClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import HistGradientBoostingRegressor
    >>> from skt import HEnsembleRegressor, SourcePredictor
    >>> rng = np.random.default_rng(0)
    >>> def draw(n, level):
    ...     X = rng.normal(size=(n, 5))
    ...     return X, np.abs(X[:, 0]) + X[:, 1] + level + 0.1 * rng.normal(size=n)
    >>> boosted = HistGradientBoostingRegressor(random_state=0).fit(*draw(800, 0.0))
    >>> X, y = draw(15, 2.0)
    >>> X_test, y_test = draw(1000, 2.0)
    >>> both = HEnsembleRegressor({"other": SourcePredictor(boosted)}).fit(X, y)
    >>> both.score(X_test, y_test) > HEnsembleRegressor().fit(X, y).score(X_test, y_test) + 0.1
    True
    """

    def __init__(
        self,
        estimators=None,
        combine="concat",
        weights="auto",
        include_target=True,
        prior="auto",
        alpha="auto",
    ):
        self.estimators = estimators
        self.combine = combine
        self.weights = weights
        self.include_target = include_target
        self.prior = prior
        self.alpha = alpha

    def fit(self, X, y, sample_domain=None):
        """Fit to the target's rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target, with the columns that the sources know.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Outputs.
        sample_domain : array-like of shape (n_samples,), default=None
            Domain of each row; all must be the target's.

        Returns
        -------
        self : HEnsembleRegressor
            The fitted estimator.
        """
        _check_options(self)
        refuse_pairs(X, y, sample_domain)
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        Y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        self._flat = y.ndim == 1
        # Outputs in units of their own, so that none decides alone.
        self._size = np.where(Y.std(axis=0) > 0, Y.std(axis=0), 1.0)
        self._origin = Y.mean(axis=0)
        return self._fit(X, (Y - self._origin) / self._size, None, sample_domain)

    def predict(self, X):
        """Predict the target's outputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
            Predicted means.
        """
        f = self._outputs(X) * self._size + self._origin
        return f[:, 0] if self._flat else f

    def _offset(self, sources, X, classes):
        P = super()._offset(sources, X, classes)
        if P is None:
            return None
        if P.shape[1] != len(self._size):
            raise ValueError(
                f"the sources predict {P.shape[1]} outputs but y has {len(self._size)}; give "
                "prior=None to use them as features only."
            )
        return (P - self._origin) / self._size


# Checks ---------------------------------------------------------------------------------------


def _alone(Y):
    """Whether the responses are classes of which most rows are the only one."""
    if not np.all((Y == 0) | (Y == 1)) or not np.all(Y.sum(axis=1) == 1):
        return False
    return 2 * np.sum(Y @ Y.sum(axis=0) > 1.5) < len(Y)


def _predictors(estimators):
    """Return the sources as `SourcePredictor` by name."""
    if estimators is None:
        return {}
    if not isinstance(estimators, Mapping):
        raise TypeError(
            f"estimators is a {type(estimators).__name__}; expected a mapping from names to "
            "SourcePredictor, FrozenEstimator or functions of rows."
        )
    return {str(name): _predictor(name, source) for name, source in estimators.items()}


def _predictor(name, source):
    if isinstance(source, FrozenEstimator):
        source = SourcePredictor(source.estimator)
    elif isinstance(source, BaseEstimator) or (
        hasattr(source, "fit") and hasattr(source, "predict")
    ):
        raise TypeError(
            f"estimators[{name!r}] is a {type(source).__name__}; scikit-learn's clone would unfit "
            "it. Wrap it: SourcePredictor(model)."
        )
    elif not isinstance(source, SourcePredictor):
        source = SourcePredictor(source)
    model, method = source.model, source.method
    if method is None:
        return source
    if isinstance(model, BaseEstimator):
        try:
            check_is_fitted(model)
        except NotFittedError as error:
            raise NotFittedError(
                f"estimators[{name!r}] holds a {type(model).__name__} that is not fitted; fit it "
                "first."
            ) from error
    if not hasattr(model, method):
        raise TypeError(
            f"estimators[{name!r}] holds a {type(model).__name__} without {method}; give another "
            "response."
        )
    return source


def _refuse_sources(estimator, X, sample_domain):
    sources = split_rows(X, sample_domain, None).sources
    if sources:
        raise TypeError(
            f"sample_domain names the sources {list(sources)}, but {type(estimator).__name__} "
            "takes fitted models, not rows: fit a model to each source and give it in estimators."
        )


def _given_weights(weights, K):
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (K,) or not np.all(w >= 0) or not 0 < w.sum() < np.inf:
        raise ValueError(f"weights must be {K} numbers >= 0, not all zero; got {weights!r}.")
    return w / w.sum()


def _check_options(estimator):
    allowed = {"combine": ("concat", "sum"), "prior": ("auto", None), "alpha": ("auto",)}
    for name in ("combine", "prior"):
        if getattr(estimator, name) not in allowed[name]:
            raise ValueError(
                f"{name} must be one of {allowed[name]}; got {getattr(estimator, name)!r}."
            )
    if isinstance(estimator.weights, str) and estimator.weights not in WEIGHTS:
        raise ValueError(f"weights must be one of {WEIGHTS} or numbers; got {estimator.weights!r}.")
    if estimator.weights is None or (
        estimator.combine == "sum"
        and (isinstance(estimator.weights, str) and estimator.weights == "h-score")
    ):
        raise ValueError(
            f"weights={estimator.weights!r} does not go with combine={estimator.combine!r}."
        )
    alpha = estimator.alpha
    is_number = isinstance(alpha, numbers.Real) and 0 < alpha < np.inf
    if not is_number and not (isinstance(alpha, str) and alpha == "auto"):
        raise ValueError(f"alpha must be 'auto' or a number > 0; got {alpha!r}.")
