"""Rows of all domains in the units of a family: linear, logistic or Poisson."""

from typing import NamedTuple

import numpy as np
from sklearn.impute import SimpleImputer

from skt.core import evidence, families
from skt.core.rows import Rows
from skt.sources.validate import split_rows

__all__ = ["FAMILIES", "FamilyRows", "rows_in_family"]

FAMILIES = {"linear": families.GAUSSIAN, "logistic": families.LOGISTIC, "poisson": families.POISSON}

# Outcomes with more different numbers are no classes, unless the user says so.
MAX_CLASSES = 20


class FamilyRows(NamedTuple):
    """Outcomes as the family's responses, features with an intercept and imputed; target first."""

    family: str
    classes: np.ndarray | None
    names: list
    target_rows: np.ndarray
    source_rows: list
    rows: list  # of core.rows.Rows, target first
    response: np.ndarray | None = None  # in place of the target's outcomes in its fit


def rows_in_family(X, y, sample_domain, sample_weight, family, target_response=None):
    """Return the rows of every domain in the family's units."""
    split = split_rows(X, sample_domain, sample_weight)
    target_rows, weight = split.target, split.weight
    drawn = [rows[weight[rows] > 0] for rows in split.sources.values()]
    if not drawn:
        return FamilyRows(family, None, [], target_rows, [], [])
    family = _family_of(y) if family == "auto" else family
    Y, classes = _response(y, family)
    present = weight[target_rows] > 0
    used = [target_rows[present], *drawn]
    counted = np.concatenate(used)
    Z = np.empty((len(X), X.shape[1] + 1))
    Z[counted] = evidence.design(_imputed(X[counted]), weight[counted])
    origin = 0.0
    if family == "linear":
        origin = np.average(Y[used[0]], axis=0, weights=weight[used[0]])
    rows = [Rows(Z[r], Y[r] - origin, weight[r]) for r in used]
    response = None if target_response is None else target_response[present] - origin
    return FamilyRows(family, classes, list(split.sources), target_rows, drawn, rows, response)


def _imputed(X):
    if not np.isnan(X).any():
        return X
    return SimpleImputer(strategy="median", keep_empty_features=True).fit_transform(X)


def _family_of(y):
    """Return the family for outcomes of a kind."""
    if y.dtype.kind not in "iuf":
        return "logistic"
    whole = y.ndim == 1 and np.all(y == np.floor(y))
    return "logistic" if whole and len(np.unique(y)) <= MAX_CLASSES else "linear"


def _response(y, family):
    """Return outcomes as the family's responses (n, q), and the classes."""
    if family == "logistic":
        if y.ndim > 1:
            raise ValueError(
                f"y has {y.shape[1]} columns, but family='logistic' compares domains by one "
                "column of classes; choose family='linear' or 'poisson', or one column."
            )
        classes, codes = np.unique(y, return_inverse=True)
        if y.dtype.kind == "f" and not np.all(classes == np.floor(classes)):
            raise ValueError(
                f"y holds numbers such as {classes[classes != np.floor(classes)][0]:g}, but "
                "family='logistic' compares domains by classes; choose family='linear', or make "
                "classes of y."
            )
        if len(classes) < 2:
            raise ValueError(
                f"y has one class only, {str(classes[0])!r}; there is nothing to learn."
            )
        return families.indicators(codes, len(classes)), classes
    try:
        Y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"y must be numeric for family={family!r} ({error}); "
            "family='logistic' compares domains by classes."
        ) from error
    if family == "poisson" and np.any(Y < 0):
        raise ValueError(f"y must be >= 0 for family='poisson'; its least value is {Y.min():g}.")
    return Y, None
