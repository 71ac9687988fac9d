"""Frames with categories and times as numbers, for the comparison of domains."""

import numpy as np

# Indicators of the most frequent categories of a column; the rest is one more.
MOST_CATEGORIES = 20


def numeric_view(X):
    """Return a frame with columns that are no numbers as indicators, anything else as it is.

    Sources are compared in a linear model, which needs numbers; the estimator that is trained may
    take categories, and gets the frame itself. Of many categories the most frequent count.
    """
    if not hasattr(X, "columns") or not hasattr(X, "iloc"):
        return X
    kinds = {name: _kind(X[name]) for name in X.columns}
    if all(kind == "number" for kind in kinds.values()):
        return X
    return np.column_stack([_VIEWS[kind](X[name]) for name, kind in kinds.items()])


def _kind(column):
    numeric = getattr(column.dtype, "_is_numeric", False) or column.dtype.kind in "biuf"
    if numeric:
        return "number"
    return "time" if column.dtype.kind in "mM" else "category"


def _numbers(column):
    return column.to_numpy(dtype=float, na_value=np.nan)


def _times(column):
    return np.where(column.isna(), np.nan, column.astype("int64").to_numpy(dtype=float))


def _indicators(column):
    text = column.astype(object).where(column.notna(), "").map(str).to_numpy(dtype=str)
    names, codes, counts = np.unique(text, return_inverse=True, return_counts=True)
    frequent = np.argsort(-counts, kind="stable")[: min(len(names), MOST_CATEGORIES + 1)]
    return (codes[:, None] == np.sort(frequent)[None, 1:]).astype(float)


_VIEWS = {"number": _numbers, "time": _times, "category": _indicators}
