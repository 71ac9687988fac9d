"""A two-layer ReLU network that starts from the filters of another one."""

from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.neural_network import MLPClassifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skt._sklearn import Interval, StrOptions
from skt.core import relu_cnn
from skt.core.rows import Rows
from skt.estimators.base import Classification, FromSources
from skt.estimators.checks import NONNEGATIVE, SHARE
from skt.estimators.docstrings import CLASSES, documents_rows
from skt.estimators.messages import warn
from skt.sources.predictors import thawed
from skt.sources.validate import classes_and_codes, refuse_pairs, split_rows

# Filters of a class where no upstream says otherwise, as in the paper's experiments.
N_FILTERS = 20
# Root-mean-square difference of outputs that inherited filters may have on the target's rows
# before they are trained: larger ones are scaled down to it.
SIZE = 0.6
# Scales that cross-validation looks at; 0 is from scratch.
SCALES = (0.0, 0.1, 0.3, 1.0)
N_FOLDS = 5
# A step that lowers the mean loss by less ends the descent.
TOL = 1e-5


POSITIVE_COUNT = Interval(Integral, 1, None, closed="left")


class _Upstream(NamedTuple):
    """Filters to inherit from."""

    filters: np.ndarray  # (n_upstream, patch_size)
    classes: np.ndarray  # (n_upstream,) codes of the target's classes


class ParameterTransferClassifier(Classification, ClassifierMixin, FromSources, BaseEstimator):
    """Two-layer ReLU network of which part of the filters is inherited, then all are trained.

    A row is cut into patches x_p. Each of the filters w_r belongs to a class c, and

        F_c(x) = (1/m) sum_{r of c} sum_p relu(<w_r, x_p>),   loss = log sum_c exp F_c - F_y,

    with m filters a class: a convolution with a fixed second layer. The mean loss over the
    target's rows is minimised by full-batch gradient descent. Of each class the share
    ``inherit_fraction`` of filters starts at ``s`` times an upstream filter plus ``1 - s`` times
    a fresh one (nothing fresh for s > 1), the rest is fresh.

    Without an upstream, or with ``inherit_scale=0``, it is the same network from scratch.

    Parameters
    ----------
    upstream : fitted estimator, FrozenEstimator or tuple, default=None
        Whose filters are inherited: a fitted ``ParameterTransferClassifier`` or ``MLPClassifier``
        (ReLU, one hidden layer, biases dropped), or ``(filters, labels)`` of shapes (n_filters,
        patch_size) and (n_filters,), labels being classes. ``clone`` unfits a bare estimator: wrap
        it in ``FrozenEstimator``. None: the same network trained on the source rows, if any.
    inherit_fraction : float in [0, 1], default=1.0
        Share of each class's filters that is inherited.
    inherit_scale : "auto", "cv" or float >= 0, default="auto"
        s, the scale of inherited filters. Raising it trusts the upstream more; 1 is the paper's.
        "auto": at most 1, and such that the inherited outputs of two classes differ by at most .6
        in root mean square on X. "cv": of 0, .1, .3 and 1 the one of least five-fold log-loss.
    selection : "random" or "response", default="random"
        Which filters of a class are inherited: random ones, or those of largest response to X.
    n_filters : int, default=None
        Filters of each class. None: those of the upstream's largest class, 20 without one.
    n_patches : int, default=1
        Equal parts into which the features of a row are cut, in their order.
    max_iter : int, default=2000
        Most steps of gradient descent; the step is one over a bound on the curvature.
    random_state : int, RandomState or None, default=None
        Determines fresh filters and which ones are inherited.

    Attributes
    ----------
    filters_ : ndarray of shape (n_filters, patch_size)
        Trained filters of all classes.
    filter_classes_ : ndarray of shape (n_filters,)
        The class of each filter.
    classes_ : ndarray of shape (n_classes,)
        Classes, sorted.
    inherited_idx_ : ndarray of shape (n_filters,)
        Number of the upstream's filter that each filter started from, -1 for fresh ones.
    inherit_scale_ : float
        s; 0 where nothing is inherited.
    cv_scores_ : ndarray of shape (4,)
        Validated log-losses of the scales 0, .1, .3, 1; NaN unless ``inherit_scale="cv"``.
    loss_curve_ : ndarray of shape (n_steps + 1,)
        Mean loss before every step and at the end.
    n_iter_, converged_ : int, bool
        Number of steps; whether the next would have lowered the loss by less than 1e-5.
    n_features_in_, feature_names_in_
        Number and names of features seen in fit.

    Raises
    ------
    ValueError
        If y has one class, or the upstream patches of another size or no class in common.
    TypeError
        If ``upstream`` is none of the above.

    Warns
    -----
    ConvergenceWarning
        If ``max_iter`` steps were not enough.

    References
    ----------
    arXiv 2509.22056: the network, two classes, ``inherit_scale=1``. More classes and the scale
    are ours.

    Examples
    --------
    A source that shares no signal: three quarters of its filters do harm, all scaled down do not.

    >>> from skt import ParameterTransferClassifier
    >>> from skt.datasets import make_signal_noise_transfer
    >>> data = make_signal_noise_transfer(shared=0, own=3, random_state=0)
    >>> def accuracy(**options):
    ...     model = ParameterTransferClassifier(n_patches=2, random_state=0, **options)
    ...     model.fit(data.X, data.y, sample_domain=data.sample_domain)
    ...     return model.score(data.X_test, data.y_test)
    >>> scratch, most = accuracy(inherit_scale=0), accuracy(inherit_scale=1, inherit_fraction=0.75)
    >>> most < scratch < accuracy()
    True
    """

    _parameter_constraints = {
        "inherit_fraction": [SHARE],
        "inherit_scale": [StrOptions({"auto", "cv"}), NONNEGATIVE],
        "selection": [StrOptions({"random", "response"})],
        "n_filters": [POSITIVE_COUNT, None],
        "n_patches": [POSITIVE_COUNT],
        "max_iter": [POSITIVE_COUNT],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        upstream=None,
        inherit_fraction=1.0,
        inherit_scale="auto",
        selection="random",
        *,
        n_filters=None,
        n_patches=1,
        max_iter=2000,
        random_state=None,
    ):
        self.upstream = upstream
        self.inherit_fraction = inherit_fraction
        self.inherit_scale = inherit_scale
        self.selection = selection
        self.n_filters = n_filters
        self.n_patches = n_patches
        self.max_iter = max_iter
        self.random_state = random_state

    @documents_rows(CLASSES, "Weights of the losses.")
    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Inherit filters and train them on the target's rows.

        Rows of sources train the upstream, all together; they may not be given beside
        ``upstream``.
        """
        self._check_parameters()
        data = self._data(X, y, sample_domain, sample_weight)
        fit = self._fit(data)
        warn(fit.doubts)
        return self._store(fit)

    def _scores(self, X):
        """Return the outputs of the network, F_c of every class."""
        X = self._checked(X)
        codes = np.searchsorted(self.classes_, self.filter_classes_)
        layer = relu_cnn.second_layer(codes, len(self.classes_))
        return relu_cnn.outputs(_patches(X, self.n_patches), self.filters_, layer)

    def _data(self, X, y, sample_domain, sample_weight):
        """Return the rows of the target, and of all sources, cut into patches."""
        refuse_pairs(X, y, sample_domain)
        X, classes, codes = classes_and_codes(self, X, y)
        if X.shape[1] % self.n_patches:
            raise ValueError(
                f"n_patches={self.n_patches} does not divide the {X.shape[1]} features of X; "
                "patches must have equal sizes."
            )
        split = split_rows(X, sample_domain, sample_weight)
        if split.sources and self.upstream is not None:
            raise ValueError(
                f"sample_domain names the sources {list(split.sources)} and upstream is given; "
                "leave one of the two out."
            )
        X = _patches(X.astype(np.float64, copy=False), self.n_patches)
        table = Rows(X, np.eye(len(classes))[codes], split.weight)
        used = split.weight > 0
        source = [rows[used[rows]] for rows in split.sources.values()]
        target = table.take(split.target[used[split.target]])
        return _Data(target, table.take(np.concatenate(source)) if source else None, classes)

    def _fit(self, data):
        """Inherit filters, choose their scale, and train."""
        target, rng = data.target, check_random_state(self.random_state)
        upstream = self._upstream(data, rng)
        start = _Start.of(self, target, upstream, rng)
        losses = np.full(len(SCALES), np.nan)
        scale = self._scale(start, target)
        if scale is None:
            losses = _validated(start, target, self.max_iter)
            scale = SCALES[int(np.argmin(losses))]
        descent = _train(start.at(scale), target, start.layer, self.max_iter)
        return _Fit(data.classes, start, scale, losses, descent, self._doubts(descent))

    def _upstream(self, data, rng):
        """Return the filters to inherit from; None for from scratch."""
        source, classes = data.source, data.classes
        if source is not None:
            codes = np.repeat(np.arange(len(classes)), self.n_filters or N_FILTERS)
            layer = relu_cnn.second_layer(codes, len(classes))
            fresh = relu_cnn.fresh_filters(rng, len(codes), source.X, source.weight)
            return _Upstream(_train(fresh, source, layer, self.max_iter).filters, codes)
        if self.upstream is None:
            return None
        return _coded(*_given(self.upstream), classes, data.target.X.shape[2])

    def _scale(self, start, target):
        """Return the scale of inherited filters, None where it is to be validated."""
        if not start.inherits:
            return 0.0
        if not isinstance(self.inherit_scale, str):
            return float(self.inherit_scale)
        if self.inherit_scale == "cv":
            return None
        size = relu_cnn.output_size(target.X, start.inherited, start.layer, target.weight)
        return min(1.0, SIZE / size) if size > 0 else 1.0

    def _doubts(self, descent):
        if descent.converged:
            return []
        return [
            ConvergenceWarning(
                f"Gradient descent did not converge in max_iter={self.max_iter} steps: the next "
                f"would lower the loss by {descent.last_fall:.2g}, tol is {TOL:g}. Raise max_iter."
            )
        ]

    def _store(self, fit):
        start, descent = fit.start, fit.descent
        self.classes_ = fit.classes
        self.filters_, self.filter_classes_ = descent.filters, fit.classes[start.codes]
        self.inherited_idx_, self.inherit_scale_ = start.idx, fit.scale
        self.cv_scores_, self.loss_curve_ = fit.validated, descent.losses
        self.n_iter_, self.converged_ = descent.n_iter, descent.converged
        return self


class _Data(NamedTuple):
    """Rows cut into patches, classes as indicators."""

    target: Rows
    source: Rows | None  # of all sources
    classes: np.ndarray


class _Start(NamedTuple):
    """Where gradient descent starts from, for every scale of the inherited filters."""

    fresh: np.ndarray  # (R, d)
    inherited: np.ndarray  # (R, d), zero where nothing is inherited
    idx: np.ndarray  # (R,) number of the upstream's filter, -1 for none
    codes: np.ndarray  # (R,) class of each filter
    layer: np.ndarray  # (R, C)

    @classmethod
    def of(cls, estimator, target, upstream, rng):
        """Draw fresh filters, and which of the upstream's take their places."""
        n_classes = target.Y.shape[1]
        per_class = estimator.n_filters or _largest_class(upstream)
        codes = np.repeat(np.arange(n_classes), per_class)
        fresh = relu_cnn.fresh_filters(rng, len(codes), target.X, target.weight)
        inherited, idx = np.zeros_like(fresh), np.full(len(codes), -1)
        wanted = round(estimator.inherit_fraction * per_class)
        for c in range(n_classes if upstream is not None else 0):
            own = _selected(estimator.selection, upstream, c, target.X, rng)[:wanted]
            place = np.flatnonzero(codes == c)[: len(own)]
            idx[place], inherited[place] = own, upstream.filters[own]
        return cls(fresh, inherited, idx, codes, relu_cnn.second_layer(codes, n_classes))

    @property
    def inherits(self):
        """Whether anything is inherited."""
        return bool(np.any(self.idx >= 0))

    def at(self, scale):
        """Return the filters to start from."""
        keep = np.where(self.idx >= 0, max(1.0 - scale, 0.0), 1.0)
        return scale * self.inherited + keep[:, None] * self.fresh


class _Fit(NamedTuple):
    """All that fit stores."""

    classes: np.ndarray
    start: _Start
    scale: float
    validated: np.ndarray  # (n_scales,) log-losses
    descent: relu_cnn.Descent
    doubts: list


def _largest_class(upstream):
    return N_FILTERS if upstream is None else int(np.bincount(upstream.classes).max())


def _selected(selection, upstream, c, X, rng):
    """Return the upstream's filters of a class, in the order in which they are inherited."""
    own = rng.permutation(np.flatnonzero(upstream.classes == c))
    if selection == "random" or not len(own):
        return own
    response = relu_cnn.response_size(X, upstream.filters[own])
    return own[np.argsort(-response, kind="stable")]


def _train(start, rows, layer, max_iter):
    step = relu_cnn.step_size(rows.X, rows.weight, layer)
    return relu_cnn.descend(*rows, start, layer, step=step, max_iter=max_iter, tol=TOL)


def _validated(start, target, max_iter):
    """Return the log-loss of every scale on rows left out, (n_scales,)."""
    flat = target._replace(X=target.X.reshape(len(target.X), -1))
    number = flat.deal(N_FOLDS)
    losses = np.zeros((len(SCALES), len(number)))
    for fold in np.unique(number):
        train, test = target.take(number != fold), target.take(number == fold)
        for s, scale in enumerate(SCALES):
            W = start.at(scale)
            if len(train.X):
                W = _train(W, train, start.layer, max_iter).filters
            F = relu_cnn.outputs(test.X, W, start.layer)
            losses[s, number == fold] = relu_cnn.log_loss(F, test.Y)
    return losses @ target.weight / target.n


def _patches(X, n_patches):
    return X.reshape(len(X), n_patches, -1)


# Upstreams ------------------------------------------------------------------------------------


def _given(upstream):
    """Return filters and their labels; labels None where +1 and -1 are of two classes."""
    model = thawed(upstream)
    if isinstance(model, tuple) and len(model) == 2:
        return np.asarray(model[0], dtype=np.float64), np.asarray(model[1])
    if not isinstance(model, ParameterTransferClassifier | MLPClassifier):
        raise TypeError(
            "upstream must be a fitted ParameterTransferClassifier, a fitted MLPClassifier, one "
            f"of these in a FrozenEstimator, or (filters, labels); got {model!r}."
        )
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise NotFittedError(
            f"upstream is a {type(model).__name__} that is not fitted; fit it first. If clone or "
            "a search unfitted it, give FrozenEstimator(model)."
        ) from error
    own = isinstance(model, ParameterTransferClassifier)
    return (model.filters_, model.filter_classes_) if own else _first_layer(model)


def _first_layer(network):
    """Return the units of a network's first layer, scaled by what they add to a class."""
    if network.activation != "relu" or len(network.coefs_) != 2:
        raise ValueError(
            "upstream must be an MLPClassifier with activation='relu' and one hidden layer; got "
            f"activation={network.activation!r}, {len(network.coefs_) - 1} hidden layers."
        )
    out = network.coefs_[1]
    out = np.column_stack([-out, out]) / 2 if out.shape[1] == 1 else out
    out = out - out.mean(axis=1, keepdims=True)
    best = np.argmax(out, axis=1)
    # relu is homogeneous, so that the second layer's weight can move into the filter; the
    # network's second layer is a sum, ours a mean over the filters of a class.
    size = 2 * out[np.arange(len(out)), best] * np.bincount(best, minlength=out.shape[1])[best]
    return network.coefs_[0].T * size[:, None], network.classes_[best]


def _coded(filters, labels, classes, patch_size):
    """Return the filters whose labels are classes of the target."""
    if filters.ndim != 2 or filters.shape[1] != patch_size or len(labels) != len(filters):
        raise ValueError(
            f"upstream has filters of shape {filters.shape} with {len(labels)} labels; expected "
            f"(n_filters, {patch_size}), the size of a patch, and a label for each."
        )
    if not np.all(np.isfinite(filters)):
        raise ValueError("upstream has filters that are not finite.")
    known = {label: code for code, label in enumerate(classes.tolist())}
    codes = np.array([known.get(label, -1) for label in labels.tolist()])
    if not np.any(codes >= 0):
        raise ValueError(
            f"upstream has filters of the classes {sorted(set(map(str, labels.tolist())))} but the "
            f"target has {list(map(str, classes.tolist()))}; give filters of the target's classes."
        )
    return _Upstream(filters[codes >= 0], codes[codes >= 0])
