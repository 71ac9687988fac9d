"""Folds of the target's rows, and moments of the rows without each fold.

=====================  =============================================================================
`repeated_folds`       K folds in order and then shuffled, several times over where rows are few:
                       which rows are left out together would decide otherwise
`folds_alike`          K folds with outcomes as alike as can be, made once: for candidates of which
                       each costs a fit of any estimator
`stratified_folds`     K shuffled folds with classes in equal parts; a class of one row is never
                       left out
`core.rows.Rows.deal`  K parts in which equal rows stay together, whatever their order: for
                       estimators whose weights count copies
=====================  =============================================================================

A fold is a pair of arrays: rows to train on, and rows to predict. `TargetCV` adds the sources' rows
to the former.
"""

import math
import numbers

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold, check_cv
from sklearn.utils import check_random_state

from skt.core.moments import moments, without
from skt.core.reduced_rank import make_folds

# Folds are repeated until this many rows have been predicted ...
ENOUGH_ROWS = 200
# ... but no more often than this: every repeat costs as much as the first.
MOST_REPEATS = 5


def folds_of(data, units, cv, random_state=None):
    """Return the moments of all target rows and of folds, in the units.

    ``cv=None`` makes no folds: nothing is to be chosen.
    """
    rows, total = data.target, data.own
    n_rows = len(rows.X)
    splits = [] if cv is None or n_rows < 2 else list(_splits(data, cv, random_state))
    parts = [moments(*rows, test) for _, test in splits]
    rest = [
        without(total, part) if len(train) + len(test) == n_rows else moments(*rows, train)
        for (train, test), part in zip(splits, parts, strict=True)
    ]
    return make_folds(
        units.rescaled(total),
        [units.rescaled(m) for m in rest],
        [units.rescaled(m) for m in parts],
        units.intercept,
    )


def _splits(data, cv, random_state):
    """Return the folds; those of an iterable count the target's rows as they were given."""
    if isinstance(cv, numbers.Integral):
        return repeated_folds(int(cv), len(data.target.X), random_state)
    if hasattr(cv, "split"):
        return cv.split(data.target.X, data.target.Y)
    place = np.cumsum(data.kept) - 1
    return [
        tuple(place[rows[data.kept[rows]]] for rows in split)
        for split in check_cv(cv).split(data.target.X)
    ]


def repeated_folds(n_folds, n_rows, random_state=None):
    """Yield K-fold splits of the rows, several times over where these are few.

    With ``random_state=None`` the first folds keep the rows in their order, and the others are
    drawn from a fixed seed.
    """
    n_folds = min(n_folds, n_rows)
    rng = check_random_state(0 if random_state is None else random_state)
    shuffled = KFold(n_folds, shuffle=True, random_state=rng)
    for repeat in range(n_repeats(n_rows)):
        in_order = repeat == 0 and random_state is None
        yield from (KFold(n_folds) if in_order else shuffled).split(np.empty(n_rows))


def n_repeats(n_rows):
    """Return how many times folds of so many rows are made."""
    return min(math.ceil(ENOUGH_ROWS / n_rows), MOST_REPEATS)


def folds_alike(n_folds, y, weight, copies=None):
    """Return folds whose outcomes, the first of several, are alike: rows by outcome, in turn.

    Rows of weight zero are never left out. There are fewer folds where fewer rows have weight.
    ``copies`` numbers the rows such that those of one number stay together, as they would if they
    were one row of more weight.
    """
    outcome = np.asarray(y).reshape(len(y), -1)[:, 0]
    copies = np.arange(len(y)) if copies is None else copies
    order = np.argsort(outcome, kind="stable")
    order = order[weight[order] > 0]
    _, first, code = np.unique(copies[order], return_index=True, return_inverse=True)
    turn = np.argsort(np.argsort(first))[code]  # of each row, its place among distinct ones
    tests = [order[turn % n_folds == k] for k in range(min(n_folds, len(first)))]
    return [_fold(len(y), test) for test in tests]


def copies_of(X, y):
    """Return the number of each row among the distinct rows, by order of appearance, (n,)."""
    table = np.column_stack([_comparable(X), _comparable(y)])
    _, first, code = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[code.ravel()]


def _comparable(values):
    """Return columns of numbers that are equal where the values are."""
    if hasattr(values, "toarray"):
        values = values.toarray()
    columns = np.asarray(values)
    columns = columns.reshape(len(columns), -1)
    if columns.dtype.kind in "biuf":
        return np.nan_to_num(columns.astype(float), nan=np.pi * 1e99)
    return np.column_stack(
        [np.unique(column.astype(str), return_inverse=True)[1] for column in columns.T]
    )


def stratified_folds(n_folds, y):
    """Return shuffled folds of the rows of classes that have two; none if less than two have.

    There are fewer folds where the rarest of these classes has fewer rows.
    """
    _, code, counts = np.unique(y, return_inverse=True, return_counts=True)
    several = np.flatnonzero(counts[code] >= 2)
    repeated = counts[counts >= 2]
    if len(repeated) < 2:
        return []
    splits = StratifiedKFold(min(n_folds, repeated.min()), shuffle=True, random_state=0)
    return [_fold(len(y), several[test]) for _, test in splits.split(several, code[several])]


def _fold(n_rows, test):
    """Return all other rows, and the rows of the fold, both ascending."""
    return np.setdiff1d(np.arange(n_rows), test), np.sort(test)
