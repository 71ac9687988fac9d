"""The target's rows as moments: of all of them, without each fold, and of the folds.

Where rows are few, an integer ``cv`` makes its folds several times over, each time from rows in
another order: which two or eight rows are left out together would decide otherwise.
"""

import math
import numbers

import numpy as np
from sklearn.model_selection import KFold, check_cv
from sklearn.utils import check_random_state

from .core.moments import moments
from .core.reduced_rank import make_folds, without

# Folds are repeated until this many rows have been predicted ...
ENOUGH_ROWS = 200
# ... but no more often than this: every repeat costs as much as the first.
MOST_REPEATS = 5


def folds_of(target, columns, cv, random_state):
    """Return the moments of all rows and of folds, in the units of the columns.

    ``cv=None`` makes no folds: nothing is to be chosen.
    """
    rows = target.X, target.y, target.weight
    total = moments(*rows)
    splits = [] if cv is None or len(target.X) < 2 else list(_splits(target, cv, random_state))
    parts = [moments(*rows, test) for _, test in splits]
    rest = [
        without(total, part) if len(train) + len(test) == len(target.X) else moments(*rows, train)
        for (train, test), part in zip(splits, parts, strict=True)
    ]
    return make_folds(
        columns.moments(total),
        [columns.moments(m) for m in rest],
        [columns.moments(m) for m in parts],
        columns.intercept,
    )


def _splits(target, cv, random_state):
    """Return the folds; those of an iterable count the target's rows as they were given."""
    if isinstance(cv, numbers.Integral):
        return repeated_folds(int(cv), len(target.X), random_state)
    if hasattr(cv, "split"):
        return cv.split(target.X, target.y)
    place = np.cumsum(target.kept) - 1
    return [
        tuple(place[rows[target.kept[rows]]] for rows in split)
        for split in check_cv(cv).split(target.X)
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
