"""What is measured of one fit: losses of held-out rows, and the weights of sources.

A loss is divided by that of a model without features, so that losses of several targets can be
averaged: squared errors by those of the mean of the training rows, log losses by those of the
shares of the classes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline

from skt.model_selection.alone import LEAST_PROBABILITY

__all__ = [
    "CLASSIFICATION",
    "REGRESSION",
    "Kind",
    "RowLosses",
    "SourceWeights",
    "plain",
    "restored",
]


class RowLosses(NamedTuple):
    """Loss of each held-out row of one fit; their mean is the loss of the fit.

    ``rows`` are positions; where rows belong together, the number of the member that each is of.
    """

    rows: np.ndarray
    losses: np.ndarray


class SourceWeights(NamedTuple):
    """What one fit says of its sources."""

    weights: dict
    effective_sample_size: float


def plain(metric, fitted, data):
    """Return what the metric measures, made of what a file of records can hold."""
    value = metric(fitted, data)
    if not isinstance(value, RowLosses | SourceWeights):
        return value
    if isinstance(value, RowLosses):
        return {"rows": value.rows.tolist(), "losses": value.losses.tolist()}
    weights = {name: _none_if_nan(each) for name, each in value.weights.items()}
    return {"weights": weights, "effective_sample_size": _none_if_nan(value.effective_sample_size)}


def _none_if_nan(value):
    return None if math.isnan(value) else value  # JSON has no nan


def _nan_if_none(value):
    return math.nan if value is None else value


def restored(record):
    """Return a record whose value `plain` made, as it was."""
    value = record["value"]
    if not isinstance(value, dict):
        return record
    if "losses" in value:
        whole = RowLosses(*(np.asarray(value[name]) for name in RowLosses._fields))
    else:
        weights = {name: _nan_if_none(each) for name, each in value["weights"].items()}
        whole = SourceWeights(weights, _nan_if_none(value["effective_sample_size"]))
    return record | {"value": whole}


def _source_weights(fitted, data):
    model = fitted[-1] if isinstance(fitted, Pipeline) else fitted
    if not hasattr(model, "source_weights_"):
        return None
    weights = np.asarray(model.source_weights_, dtype=float)
    # Weights per output are averaged: the table has one figure for each source.
    weights = weights.reshape(-1, len(model.source_names_)).mean(axis=0)
    named = dict(zip(map(str, model.source_names_), weights.tolist(), strict=True))
    return SourceWeights(named, float(getattr(model, "effective_sample_size_", math.nan)))


def _mean_of(row_losses, fitted, data):
    return row_losses(fitted, data).losses.mean()


# Numbers ------------------------------------------------------------------------------------


def _squared_errors(fitted, data):
    prediction = fitted.predict(data.X_test)
    if prediction.shape != data.y_test.shape or not np.isfinite(prediction).all():
        raise ValueError(
            f"predict must return finite numbers of shape {data.y_test.shape}; "
            f"got shape {prediction.shape}."
        )
    return (data.y_test - prediction) ** 2


def _relative_squared_errors(fitted, data):
    relative = _squared_errors(fitted, data) / data.plain_loss
    return RowLosses(data.test_rows, relative.reshape(len(relative), -1).mean(axis=1))


def _mean_squared_error(fitted, data):
    return _squared_errors(fitted, data).mean()


def _loss_of_mean(y, n_train):
    """Squared error to be expected, per output, of the mean of `n_train` of these rows."""
    return np.var(y, axis=0, ddof=1) * (1 + 1 / n_train)


# Classes ------------------------------------------------------------------------------------


def _log_losses(fitted, data):
    probability, classes = fitted.predict_proba(data.X_test), np.asarray(fitted.classes_)
    shape = len(data.y_test), len(classes)
    if np.shape(probability) != shape or not np.isfinite(probability).all():
        raise ValueError(
            f"predict_proba must return finite numbers of shape {shape}; "
            f"got shape {np.shape(probability)}."
        )
    # A class that no training row had has no column, and no probability.
    of_row = np.sum(probability * (data.y_test[:, None] == classes), axis=1)
    return -np.log(np.clip(of_row, LEAST_PROBABILITY, 1))


def _relative_log_losses(fitted, data):
    return RowLosses(data.test_rows, _log_losses(fitted, data) / data.plain_loss)


def _mean_log_loss(fitted, data):
    return _log_losses(fitted, data).mean()


def _hits(fitted, data):
    return RowLosses(data.test_rows, (fitted.predict(data.X_test) == data.y_test).astype(float))


def _loss_of_shares(y, n_train):
    """Log loss to be expected of the shares of the classes in `n_train` of these rows.

    To first order an estimated share costs 1 / (2 n_train) for each class but one.
    """
    _, counts = np.unique(y, return_counts=True)
    share = counts / len(y)
    return -share @ np.log(share) + (len(counts) - 1) / (2 * n_train)


# Kinds of outcome ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """What numbers and classes differ in."""

    name: str
    classes: bool
    estimators: str  # what scikit-learn calls those for it
    alone: str  # the registered method that borrows nothing
    loss: str  # what a verdict calls the loss
    note: str  # what a table says of it
    metrics: dict
    shown: tuple  # metrics that are numbers
    plain_loss: Callable  # of a model without features


REGRESSION = Kind(
    name="regression",
    classes=False,
    estimators="regressor",
    alone="target-only ridge",
    loss="error",
    note="mean squared error on held-out target rows, where 1 is predicting the mean of the "
    "target's training rows",
    metrics={
        "loss": partial(_mean_of, _relative_squared_errors),
        "mse": _mean_squared_error,
        "row_losses": _relative_squared_errors,
        "source_weights": _source_weights,
    },
    shown=("loss", "mse"),
    plain_loss=_loss_of_mean,
)
CLASSIFICATION = Kind(
    name="classification",
    classes=True,
    estimators="classifier",
    alone="target-only logistic",
    loss="log loss",
    note="log loss on held-out target rows, where 1 is predicting the shares of the classes",
    metrics={
        "loss": partial(_mean_of, _relative_log_losses),
        "log_loss": _mean_log_loss,
        "accuracy": partial(_mean_of, _hits),
        "row_losses": _relative_log_losses,
        "row_hits": _hits,
        "source_weights": _source_weights,
    },
    shown=("loss", "log_loss", "accuracy"),
    plain_loss=_loss_of_shares,
)
