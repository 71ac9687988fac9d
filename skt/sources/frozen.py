"""Fitted estimators as sources: the coefficients of an affine prediction."""

import warnings

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from skt.sources.forms import SourceModel
from skt.sources.labels import _check_names, _listing

# Rows and directions on which a frozen model must be affine, and how nearly.
CHECK_ROWS = 256
AFFINE_TOL = 1e-6

# A column whose standard deviations differ by this factor is in other units.
UNITS_FACTOR = 100.0


class UnitsWarning(UserWarning):
    """Columns of a source differ so much from the target's that units must differ."""


def _check_features(call, n_features, names, n_features_target, target_names):
    if names is not None and target_names is not None:
        _check_names(call, list(names), "X", list(target_names))
    if n_features != n_features_target:
        raise ValueError(
            f"{call} has {n_features} features but X has {n_features_target}; fit the source on "
            "the same columns, or select them first."
        )


# ---------------------------------------------------------------------------------------
# Frozen estimators
# ---------------------------------------------------------------------------------------


def _as_source_model(call, model, X, feature_names, classes=None):
    """Coefficients of a fitted model whose prediction, or decision function, is affine in X."""
    _check_fitted(call, model)
    if classes is None:
        _check_regressor(call, model)
    else:
        _check_classifier(call, model, classes)
    score = model.predict if classes is None else model.decision_function
    names = getattr(model, "feature_names_in_", None)
    n_features = getattr(model, "n_features_in_", X.shape[1])
    _check_features(call, n_features, names, X.shape[1], feature_names)
    _warn_of_scaler(call, model, X)

    def predict(rows):
        table = rows if names is None else _table(rows, names)
        return np.asarray(score(table), dtype=np.float64)

    coef, intercept = _affine(predict, model, X)
    if coef is None:
        raise ValueError(
            f"{call} holds a {type(model).__name__} whose prediction is not linear in X; only "
            "linear models (and pipelines of linear steps) can be a source here."
        )
    return SourceModel(coef, intercept, feature_names=names)


def _warn_of_scaler(call, model, X):
    """Warn where the scaler in front of a frozen model saw columns in other units than X."""
    scaler = model[0] if isinstance(model, Pipeline) else None
    if not isinstance(scaler, StandardScaler) or scaler.scale_ is None:
        return
    spread = X.std(axis=0)
    varies = (scaler.var_ > 0) & (spread > 16 * np.finfo(np.float64).eps * np.abs(X).max(axis=0))
    ratio = np.divide(scaler.scale_, spread, out=np.ones(len(spread)), where=varies)
    worst = int(np.argmax(np.abs(np.log(ratio))))
    if 1 / UNITS_FACTOR <= ratio[worst] <= UNITS_FACTOR:
        return
    names = getattr(model, "feature_names_in_", range(len(ratio)))
    warnings.warn(
        f"{call} holds a pipeline whose StandardScaler knows other units than those of X: the "
        f"standard deviations of column {names[worst]!r} differ by a factor of "
        f"{ratio[worst]:.3g}. If X was scaled already, freeze a model that was fitted behind the "
        "same scaler; else give X in the units that the pipeline was fitted on.",
        UnitsWarning,
        stacklevel=5,
    )


def _check_fitted(call, model):
    kind = type(model).__name__
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise NotFittedError(
            f"{call} holds a {kind} that is not fitted; fit it first: "
            "FrozenEstimator(model.fit(X_source, y_source))."
        ) from error


def _check_classifier(call, model, classes):
    if not is_classifier(model) or not hasattr(model, "decision_function"):
        raise TypeError(
            f"{call} holds a {type(model).__name__}; only classifiers with a decision function "
            "that is linear in X, such as LogisticRegression, can be a source here."
        )
    if not np.array_equal(model.classes_, classes):
        raise ValueError(
            f"{call} knows the classes {_listing(model.classes_)} but the target has "
            f"{_listing(classes)}; fit the source on the same classes, or leave it out."
        )


def _check_regressor(call, model):
    if is_classifier(model) or not hasattr(model, "predict"):
        raise TypeError(
            f"{call} holds a {type(model).__name__}; only regressors that are linear in X can be "
            "a source here."
        )


def _affine(predict, model, X):
    """(coef, intercept) of an affine `predict`; (None, None) if it is not affine."""
    center, step = X.mean(axis=0, dtype=np.float64), _steps(X)
    check = _check_points(X, center, step)
    with np.errstate(all="ignore"):  # a link function may overflow beyond the rows of X
        wanted = predict(check)
        for coef, intercept in (_stated(model, wanted), _probed(predict, center, step)):
            # A stated coef_ may mean something else: PLS centres X, Poisson has a link.
            if coef is not None and _agrees(check @ coef.T + intercept, wanted):
                return coef, intercept
    return None, None


def _agrees(predicted, wanted):
    error, size = np.abs(predicted - wanted).max(), np.abs(wanted).max()
    return np.isfinite(size) and error <= AFFINE_TOL * size


def _steps(X):
    scale = X.std(axis=0, dtype=np.float64)
    return np.where(scale > 0, scale, 1.0)


def _check_points(X, center, step):
    """Some rows of X, and points beyond them, where a bend would show."""
    rows = X[np.linspace(0, len(X) - 1, min(len(X), CHECK_ROWS)).astype(int)]
    across = step * np.where(np.arange(len(step)) % 2, 1.0, -1.0)
    beyond = np.outer([2.0, -2.0], step), np.outer([3.0, -3.0, -0.5], across)
    return np.vstack([rows, *(center + move for move in beyond)])


def _stated(model, wanted):
    """`coef_` and `intercept_` as the model states them."""
    coef, intercept = getattr(model, "coef_", None), getattr(model, "intercept_", None)
    if coef is None or intercept is None:
        return None, None
    coef, intercept = np.asarray(coef, dtype=np.float64), np.asarray(intercept, dtype=np.float64)
    if wanted.ndim == 1:
        if coef.size != coef.shape[-1] or intercept.size != 1:
            return None, None
        return coef.ravel(), float(intercept.reshape(()))
    return (coef, intercept) if coef.ndim == 2 else (None, None)


def _probed(predict, center, step):
    """Coefficients from the predictions at the centre and one step along every feature."""
    base = predict(center[None])[0]
    moved = predict(center + np.diag(step))
    slopes = (moved - base).T / step
    return slopes, base - slopes @ center


def _table(rows, names):
    """A table, as the model was fitted on one; with whichever library is there."""
    try:
        import pandas as pd
    except ImportError:
        import polars as pl

        return pl.DataFrame(rows, schema=list(names))
    return pd.DataFrame(rows, columns=names)
