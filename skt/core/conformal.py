"""Intervals from rows that were left out: jackknife+ and CV+ (arXiv 1905.02928).

Notation
--------
n rows, each predicted without itself; w (n_rows,) : their weights, which count copies; W their sum.
R (n_rows,) : size of the residual of each row left out.
f (m, n_rows) : predictions at m new rows by the fits without row i, or without its fold.

    [ the (W + 1)(1 - a) smallest of f_i - R_i counted from above,  of f_i + R_i from below ]  (J1)

The new row is one of W + 1 that could each have been the one left out, and it may be the worst:
no coverage above ``W / (W + 1)`` can be had of W rows without an infinite interval.
"""

import math

import numpy as np

from skt.core._typing import Array


def largest_coverage(n: float) -> float:
    """Return the largest coverage that n rows can promise, ``n / (n + 1)``."""
    return n / (n + 1.0)


def rows_needed(coverage: float) -> int:
    """Return the number of rows from which a coverage can be promised."""
    return math.ceil(round(coverage / (1 - coverage), 9))


def plus_interval(predicted: Array, residual: Array, weight: Array, coverage: float) -> Array:
    """Return (J1), (m, 2); infinite where rows are too few.

    With one fit for all rows, ``predicted`` (m, 1), it is the jackknife.
    """
    size = np.abs(residual)
    upper = _order_statistic(predicted + size, weight, coverage)
    lower = -_order_statistic(size - predicted, weight, coverage)
    return np.column_stack([lower, upper])


def _order_statistic(values: Array, weight: Array, coverage: float) -> Array:
    """Return the least value that rows of weight ``coverage (W + 1)`` do not exceed, (m,)."""
    order = np.argsort(values, axis=1)
    below = np.cumsum(weight[order], axis=1)
    wanted = coverage * (np.sum(weight) + 1)
    enough = below >= wanted * (1 - 1e-12)
    place = np.argmax(enough, axis=1)[:, None]
    found = np.take_along_axis(values, np.take_along_axis(order, place, 1), 1)[:, 0]
    return np.where(enough[:, -1], found, np.inf)
