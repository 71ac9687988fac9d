"""Candidates tried on target rows left out, and the one that they speak for.

A candidate is anything that can be trained on rows of all domains and then predicts the target: one
estimator trained on rows that another rule chose, or whole estimators of different families
(`whole`). What sources are worth is judged in a model; only the predictions of the candidates
themselves tell whether that model was right.

Notation: ``data`` are `LabelledRows` of all domains; ``candidates(data)`` returns functions without
arguments by name, of which each returns a fitted estimator.
"""

import numbers
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn.base import clone, is_classifier

from skt._sklearn import safe_indexing
from skt.core import safeguard
from skt.model_selection.folds import copies_of, folds_alike
from skt.model_selection.target_cv import TargetCV

# Fewer target rows cannot tell which candidate is better.
LEAST_ROWS = 4


class LabelledRows(NamedTuple):
    """Rows of all domains, as they were given to ``fit``."""

    X: object
    y: object
    sample_domain: np.ndarray
    sample_weight: np.ndarray | None

    def at(self, rows):
        """Return some of the rows."""
        return LabelledRows(*(None if part is None else safe_indexing(part, rows) for part in self))

    def weight(self, rows):
        """Return the weights of rows; one each where none were given."""
        return np.ones(len(rows)) if self.sample_weight is None else self.sample_weight[rows]


def whole(estimators):
    """Return the candidates that are estimators of their own, by name, each with the same rows."""

    def candidates(data):
        return {name: partial(_fit, each, data) for name, each in estimators.items()}

    return candidates


def _fit(estimator, data):
    weight = {} if data.sample_weight is None else {"sample_weight": data.sample_weight}
    return clone(estimator).fit(data.X, data.y, sample_domain=data.sample_domain, **weight)


def can_be_tried(data, target, *, classes):
    """Whether the target's rows can be left out and still train a candidate on their own."""
    counted = target[data.weight(target) > 0]
    one_class = classes and len(np.unique(safe_indexing(data.y, counted))) < 2
    return len(counted) >= LEAST_ROWS and not one_class


class LeftOut(NamedTuple):
    """Losses of target rows left out, by candidate, and the weights of these rows."""

    losses: dict  # of (n,)
    weight: np.ndarray  # (n,)

    @property
    def means(self):
        """Mean loss of every candidate."""
        return {
            name: float(np.average(loss, weights=self.weight)) for name, loss in self.losses.items()
        }

    def best(self, judged, thresholds):
        """Return the name of the winner: ``judged``, unless a rival is clearly better.

        ``thresholds`` holds, by name, how many standard errors of the difference a rival has to be
        better by. Rivals challenge in this order, the least harmful last; those that were not tried
        are passed over.
        """
        rivals = [name for name in thresholds if name in self.losses]
        names = [judged, *rivals]
        losses = np.array([self.losses[name] for name in names])
        required = np.array([thresholds[name] for name in rivals])
        return names[safeguard.winner(losses, self.weight, required)]


def left_out(candidates, data, target, cv):
    """Return the losses of the target's rows, each predicted by candidates trained without it.

    ``candidates(rest)`` is called once for every fold, with all rows but the fold's. The loss is
    the squared error, of several outputs in units of their variance; of a classifier the squared
    error of the probabilities (Brier), or of the classes if it gives none.
    """
    y = safe_indexing(data.y, target)
    if isinstance(cv, numbers.Integral):
        copies = copies_of(safe_indexing(data.X, target), y)
        cv = folds_alike(cv, y, data.weight(target), copies)
    splits = TargetCV(cv)
    losses, weight = {}, []
    for rest, test in splits.split(data.X, data.y, sample_domain=data.sample_domain):
        X_test, y_test = safe_indexing(data.X, test), safe_indexing(data.y, test)
        for name, trained in candidates(data.at(rest)).items():
            losses.setdefault(name, []).append(_loss(trained(), X_test, y_test, y))
        weight.append(data.weight(test))
    joined = {name: np.concatenate(parts) for name, parts in losses.items()}
    return LeftOut(joined, np.concatenate(weight))


def _loss(fitted, X, y, y_all):
    """Return the loss of every row, (n,)."""
    y = np.asarray(y)
    if hasattr(fitted, "predict_proba") or is_classifier(fitted):
        y = y.reshape(len(y))  # one column of classes is a column
    if hasattr(fitted, "predict_proba"):
        classes = fitted.classes_
        error = fitted.predict_proba(X) - (y[:, None] == classes)
        return np.sum(error**2, axis=1) + ~np.isin(y, classes)
    if is_classifier(fitted):
        return (fitted.predict(X) != y).astype(float)
    unit = np.var(np.asarray(y_all, dtype=float).reshape(len(y_all), -1), axis=0)
    predicted = np.asarray(fitted.predict(X), dtype=float).reshape(len(y), -1)
    error = predicted - y.reshape(len(y), -1)  # (n,) and (n, 1) are the same outcome
    return np.mean(error**2 / np.where(unit > 0, unit, 1.0), axis=1)
