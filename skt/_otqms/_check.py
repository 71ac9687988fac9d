"""Rows and weights tried with the estimator itself, on target rows left out.

Sources are judged in a linear, logistic or Poisson model. What is trained on them may be another
model, to which the same rows do good or harm: only its own predictions can tell.
"""

import numbers
from typing import NamedTuple

import numpy as np
from sklearn import get_config
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from skt._sklearn import safe_indexing
from skt.model_selection import TargetCV

ALONE, ALIKE = "target alone", "all rows alike"

# Fewer target rows cannot tell which candidate is better.
LEAST_ROWS = 4

# What another candidate must be better by than the one that the sources are judged to be worth,
# in standard errors of the difference. The target alone needs less: to be wrong about it harms
# less. Chosen by simulation and on real tables (docs/otqms.md).
BETTER = {ALONE: 0.5, ALIKE: 1.5}


class Rows(NamedTuple):
    """What an estimator is trained on: some of the rows, and their weights."""

    rows: np.ndarray
    weight: np.ndarray | None  # (len(rows),)

    @classmethod
    def of(cls, rows, sample_weight):
        """Return rows with the weights that they came with."""
        return cls(rows, None if sample_weight is None else np.asarray(sample_weight)[rows])


class Data(NamedTuple):
    """Rows of all domains, as they were given."""

    X: object
    y: object
    sample_domain: np.ndarray
    sample_weight: np.ndarray | None

    def at(self, rows):
        """Return some of the rows."""
        return Data(*(None if part is None else safe_indexing(part, rows) for part in self))

    def weight(self, rows):
        """Return the weights of rows; one each where none were given."""
        return np.ones(len(rows)) if self.sample_weight is None else self.sample_weight[rows]


def train(estimator, data, chosen):
    """Return a clone, trained on the chosen rows."""
    X, y = safe_indexing(data.X, chosen.rows), safe_indexing(data.y, chosen.rows)
    return fit_clone(estimator, X, y, chosen.weight)


def fit_clone(estimator, X, y, sample_weight):
    """Return a trained clone; the last step of a Pipeline gets the weights."""
    estimator = clone(estimator)
    if sample_weight is None:
        return estimator.fit(X, y)
    last, path = estimator, []
    while isinstance(last, Pipeline):
        name, last = last.steps[-1]
        path.append(name)
    if not has_fit_parameter(last, "sample_weight"):
        raise TypeError(
            f"{type(last).__name__}.fit takes no sample_weight; SourceSampled, without "
            "sample_weight, trains any estimator."
        )
    routed = get_config()["enable_metadata_routing"]
    keyword = "sample_weight" if routed else "__".join([*path, "sample_weight"])
    return estimator.fit(X, y, **{keyword: sample_weight})


def can_be_tried(estimator, data, target):
    """Whether the estimator can be trained on the target alone, and be judged by its rows."""
    counted = target[data.weight(target) > 0]
    one_class = is_classifier(estimator) and len(np.unique(safe_indexing(data.y, counted))) < 2
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

    def best(self, judged):
        """Return the candidate to take in place of the one judged best, or that one."""
        best = judged
        for name in (ALIKE, ALONE):
            if name in self.losses and self._gain(best, name) > BETTER[name]:
                best = name
        return best

    def _gain(self, name, other):
        """Return by how much the other's mean loss is lower, in standard errors."""
        difference = self.losses[name] - self.losses[other]
        mean = np.average(difference, weights=self.weight)
        variance = np.average((difference - mean) ** 2, weights=self.weight)
        error = np.sqrt(variance / max(self.weight.sum() - 1, 1))
        return mean / max(error, 1e-300)


def left_out(estimator, data, target, cv, propose):
    """Return the losses of target rows left out, by candidate.

    ``propose(data)`` returns the candidates, `Rows` by name, from the rows that are left. The
    loss is the squared error, of several outputs in units of their variance; of a classifier
    the squared error of the probabilities (Brier), or of the classes if it gives none.
    """
    y = safe_indexing(data.y, target)
    splits = TargetCV(_folds(y, data.weight(target), cv))
    losses, weight = {}, []
    for rest, test in splits.split(data.X, data.y, sample_domain=data.sample_domain):
        some = data.at(rest)
        X_test, y_test = safe_indexing(data.X, test), safe_indexing(data.y, test)
        for name, chosen in propose(some).items():
            loss = _loss(_trained_or_constant(estimator, some, chosen), X_test, y_test, y)
            losses.setdefault(name, []).append(loss)
        weight.append(data.weight(test))
    joined = {name: np.concatenate(parts) for name, parts in losses.items()}
    return LeftOut(joined, np.concatenate(weight))


def _folds(y, weight, cv):
    """Return splits of the target's rows; a number of folds is made alike in outcomes."""
    if not isinstance(cv, numbers.Integral):
        return cv
    outcome = np.asarray(y).reshape(len(y), -1)[:, 0]
    order = np.argsort(outcome, kind="stable")
    order = order[weight[order] > 0]
    tests = [order[k::cv] for k in range(min(cv, len(order)))]
    return [(np.setdiff1d(np.arange(len(y)), test), np.sort(test)) for test in tests]


class _Constant(NamedTuple):
    """A classifier of the only class there is."""

    classes_: np.ndarray

    def predict_proba(self, X):
        return np.ones((len(X), 1))


def _trained_or_constant(estimator, data, chosen):
    """Return the estimator trained, or the one class that the chosen rows have."""
    if is_classifier(estimator):
        classes = np.unique(safe_indexing(data.y, chosen.rows))
        if len(classes) == 1:
            return _Constant(classes)
    return train(estimator, data, chosen)


def _loss(fitted, X, y, y_all):
    """Return the loss of every row, (n,)."""
    y = np.asarray(y)
    if hasattr(fitted, "predict_proba"):
        classes = fitted.classes_
        error = fitted.predict_proba(X) - (y[:, None] == classes)
        return np.sum(error**2, axis=1) + ~np.isin(y, classes)
    if is_classifier(fitted):
        return (fitted.predict(X) != y).astype(float)
    unit = np.var(np.asarray(y_all, dtype=float).reshape(len(y_all), -1), axis=0)
    error = (np.asarray(fitted.predict(X), dtype=float) - y).reshape(len(y), -1)
    return np.mean(error**2 / np.where(unit > 0, unit, 1.0), axis=1)
