"""Scores by name, and the response of a source model that each of them takes."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skt._sklearn import num_samples
from skt.metrics import scores

__all__ = ["METRICS", "RESPONSES", "chosen", "model_response", "score"]


class Metric(NamedTuple):
    """A score ``function(response, y)`` and the kind of response it takes."""

    name: str
    function: Callable
    kind: str  # a key of RESPONSES


def nce(labels, y):
    """Return the score with its arguments in the order of the others."""
    return scores.nce_score(y=y, source_labels=labels)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("h", scores.h_score, "features"),
        Metric("logme", scores.logme_score, "features"),
        Metric("loo_ridge", scores.loo_ridge_score, "features"),
        Metric("gbc", scores.gbc_score, "features"),
        Metric("transrate", scores.transrate_score, "features"),
        Metric("nleep", scores.nleep_score, "features"),
        Metric("leep", scores.leep_score, "probabilities"),
        Metric("nce", nce, "labels"),
    )
}

# The methods of a model that give a response, the first that it has.
RESPONSES = {
    "features": ("transform", "decision_function", "predict_proba", "predict"),
    "probabilities": ("predict_proba",),
    "labels": ("predict",),
}


def chosen(metric):
    """Return a metric by its name; a function of (features, y) is one too."""
    if callable(metric):
        function = getattr(metric, "func", metric)  # of a functools.partial
        return Metric(getattr(function, "__name__", type(metric).__name__), metric, "features")
    if metric not in METRICS:
        raise ValueError(
            f"metric must be one of {', '.join(METRICS)}, or a function of (Z, y); got {metric!r}."
        )
    return METRICS[metric]


def score(metric, Z, y):
    """Return a metric, by its name or as a function, of responses Z."""
    return float(chosen(metric).function(Z, y))


def model_response(model, X, metric, response=None, name="the source"):
    """Return what a fitted model, or a function of X, says of rows, as a metric takes it.

    ``response`` is a key of RESPONSES, the name of a method, or ``function(model, X)``; None is
    the metric's own kind. One number a row becomes a column, but for labels.
    """
    response = metric.kind if response is None else response
    said = response(model, X) if callable(response) else _method(model, response, name)(X)
    said = said.toarray() if hasattr(said, "toarray") else np.asarray(said)
    if len(said) != num_samples(X):
        raise ValueError(
            f"{name} returned {len(said)} rows for {num_samples(X)} rows of X; one for each "
            "is needed."
        )
    return said if metric.kind == "labels" else said.reshape(len(said), -1)


def _method(model, kind, name):
    methods = RESPONSES.get(kind, (kind,))
    for method in methods:
        if hasattr(model, method):
            return getattr(model, method)
    if callable(model) and kind in RESPONSES:
        return model
    raise ValueError(
        f"{name} must have {' or '.join(methods)}; {type(model).__name__} has not. Give a fitted "
        "model that has it, a function of X, or a metric that takes another response."
    )
