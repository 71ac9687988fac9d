"""Frozen models of any kind side by side, with a ridge on top: H-ensemble."""

from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import validate_data

from skt._sklearn import StrOptions
from skt.core import h_ensemble
from skt.estimators.base import Classification, FittedRows, FromSources, small_blas
from skt.estimators.checks import AUTO, POSITIVE, is_auto
from skt.estimators.docstrings import CLASSES, NUMBERS, TARGET_ONLY, documents_rows
from skt.sources.predictors import predictors
from skt.sources.validate import (
    classes_and_codes,
    refuse_extremes,
    refuse_pairs,
    split_rows,
)

PAPER_PENALTY = 1e-3
KNOWN_COLUMNS = "Rows of the target, with the columns that the sources know."


class _Data(NamedTuple):
    """Rows of the target, responses in units of their own, and the sources."""

    X: np.ndarray  # (n, p)
    Y: np.ndarray  # (n, C) indicators of classes, or outputs
    sources: dict  # name -> SourcePredictor
    classes: np.ndarray | None = None  # None for numbers
    origin: np.ndarray | float = 0.0
    size: np.ndarray | float = 1.0
    one_output: bool = False

    @property
    def codes(self):
        """Codes of the classes, (n,); None for numbers."""
        return None if self.classes is None else np.argmax(self.Y, axis=1)


class _Fit(NamedTuple):
    """All that fit stores."""

    data: _Data
    summed: np.ndarray | None  # weights of the sources in a sum
    units: list  # of every block
    ensemble: h_ensemble.Ensemble


class _HEnsemble(FittedRows, FromSources, BaseEstimator):
    """Abstract base: what the classifier and the regressor share."""

    takes = ("predictor",)
    _parameter_constraints = {
        "combine": [StrOptions({"concat", "sum"})],
        "weights": [StrOptions({"auto", "uniform", "h-score"}), "array-like"],
        "include_target": ["boolean"],
        "prior": [AUTO, None],
        "alpha": [AUTO, POSITIVE],
    }

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

    def _check_together(self):
        if self.combine == "sum" and isinstance(self.weights, str) and self.weights == "h-score":
            raise ValueError("weights='h-score' does not go with combine='sum'.")

    def _fit(self, data):
        """Average candidates over what the sources say of the target's rows."""
        told = [source.features(data.X) for source in data.sources.values()]
        summed = self._summed_weights(told, data.codes, list(data.sources))
        with small_blas(len(data.X)):
            blocks = self._blocks(told, data.X, summed)
            units = [h_ensemble.block(F) for F in blocks]
            features = [unit.of(F) for unit, F in zip(units, blocks, strict=True)]
            few = len(data.Y) <= sum(F.shape[1] for F in features)
            grams = h_ensemble.gram_matrices(features) if few else None
            P = self._offset(data, data.X)
            candidates = self._candidates(features, data.Y, P)
            ensemble = h_ensemble.fit_ensemble(
                features, data.Y, P, candidates, classes=data.classes is not None, grams=grams
            )
        return _Fit(data._replace(X=None, Y=None), summed, units, ensemble)

    def _store(self, fit):
        self._fitted, self.estimator_names_ = fit, list(fit.data.sources)
        self.feature_weights_, self.block_weights_ = fit.summed, fit.ensemble.weights
        self.offset_, self.loo_loss_ = fit.ensemble.offset, fit.ensemble.loss
        return self

    def _blocks(self, F, X, summed):
        """Return the features of every block: the sources', or their sum, and the target's own."""
        if F and self.combine == "sum":
            F = [np.tensordot(summed, np.array(F), 1)]
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
        if not is_auto(self.alpha):
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

    def _offset(self, data, X):
        """Return the mean of what the sources predict; None where none predicts the response."""
        if self.prior is None:
            return None
        told = [source.predictions(X, data.classes) for source in data.sources.values()]
        told = [P for P in told if P is not None]
        return in_units_of(np.mean(told, axis=0), data) if told else None

    def _scores(self, X):
        """Return averaged scores, in units of their own, (n, C)."""
        X = self._checked(X)
        data, summed, units, ensemble = self._fitted
        told = [source.features(X) for source in data.sources.values()]
        blocks = self._blocks(told, X, summed)
        features = [unit.of(F) for unit, F in zip(units, blocks, strict=True)]
        return h_ensemble.ensemble_scores(ensemble, features, self._offset(data, X))


def in_units_of(P, data):
    """Return what sources predict in the units of the fit."""
    if data.classes is None and P.shape[1] != len(data.size):
        raise ValueError(
            f"the sources predict {P.shape[1]} outputs but y has {len(data.size)}; give "
            "prior=None to use them as features only."
        )
    return (P - data.origin) / data.size


def refuse_rows_of_sources(estimator, X, sample_domain):
    """Refuse rows that are not the target's."""
    sources = split_rows(X, sample_domain, None).sources
    if sources:
        raise TypeError(
            f"sample_domain names the sources {list(sources)}, but {type(estimator).__name__} "
            "takes fitted models, not rows: fit a model to each source and give it in estimators."
        )


class HEnsembleClassifier(Classification, ClassifierMixin, _HEnsemble):
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

    @classmethod
    def paper(cls, estimators):
        """Return the paper's estimator: summed features, trace ratio, sources only.

        Weights maximise the trace ratio exactly, by an eigenvalue problem. Maximal correlation
        regression keeps its inverse covariance and the prior of classes, which the released code
        leaves out.
        """
        return cls(estimators, "sum", include_target=False, prior=None, alpha=PAPER_PENALTY)

    @documents_rows(CLASSES, "", TARGET_ONLY, KNOWN_COLUMNS)
    def fit(self, X, y, sample_domain=None):
        """Fit to the target's rows."""
        self._check_parameters()
        data = self._data(X, y, sample_domain)
        fit = self._fit(data)
        return self._store(fit)

    def _data(self, X, y, sample_domain):
        refuse_pairs(X, y, sample_domain)
        X, classes, codes = classes_and_codes(self, X, y)
        refuse_rows_of_sources(self, X, sample_domain)
        return _Data(X, np.eye(len(classes))[codes], predictors(self.estimators), classes)

    def _store(self, fit):
        self.classes_ = fit.data.classes
        return super()._store(fit)


class HEnsembleRegressor(MultiOutputMixin, RegressorMixin, _HEnsemble):
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

    @documents_rows(NUMBERS, "", TARGET_ONLY, KNOWN_COLUMNS)
    def fit(self, X, y, sample_domain=None):
        """Fit to the target's rows."""
        self._check_parameters()
        data = self._data(X, y, sample_domain)
        fit = self._fit(data)
        return self._store(fit)

    def _data(self, X, y, sample_domain):
        """Return the target, outputs in units of their own, so that none decides alone."""
        refuse_pairs(X, y, sample_domain)
        X, y = validate_data(
            self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True
        )
        refuse_rows_of_sources(self, X, sample_domain)
        Y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        refuse_extremes(X, Y)
        size, origin = np.where(Y.std(axis=0) > 0, Y.std(axis=0), 1.0), Y.mean(axis=0)
        return _Data(
            X,
            (Y - origin) / size,
            predictors(self.estimators),
            origin=origin,
            size=size,
            one_output=y.ndim == 1,
        )

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
        f = self._scores(X)
        data = self._fitted.data
        f = f * data.size + data.origin
        return f[:, 0] if data.one_output else f


# Checks ---------------------------------------------------------------------------------------


def _alone(Y):
    """Whether the responses are classes of which most rows are the only one."""
    if not np.all((Y == 0) | (Y == 1)) or not np.all(Y.sum(axis=1) == 1):
        return False
    return 2 * np.sum(Y @ Y.sum(axis=0) > 1.5) < len(Y)


def _given_weights(weights, K):
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (K,) or not np.all(w >= 0) or not 0 < w.sum() < np.inf:
        raise ValueError(f"weights must be {K} numbers >= 0, not all zero; got {weights!r}.")
    return w / w.sum()
