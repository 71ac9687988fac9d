"""Rows of one domain with their weights; equal rows, and parts in which they stay together.

Notation
--------
X (n_rows, p), Y (n_rows, q), weight (n_rows,) : a weight counts copies of a row.
n : sum of the weights. A row of weight two is the row twice, in everything that follows.
"""

from typing import Any, NamedTuple

import numpy as np

from skt.core._typing import Array


class Rows(NamedTuple):
    """Rows of one domain."""

    X: Array  # (n_rows, p) features, or the columns of a design
    Y: Array  # (n_rows, q) responses
    weight: Array  # (n_rows,)

    @property
    def n(self) -> float:
        """Number of rows, counted by their weights."""
        return float(np.sum(self.weight))

    def take(self, which: Any) -> "Rows":
        """Return some of the rows: by number, by mask or by slice."""
        return Rows(self.X[which], self.Y[which], self.weight[which])

    @property
    def distinct(self) -> Array:
        """Number of each row among the distinct rows, which are sorted by Y, then X, (n_rows,)."""
        return np.unique(np.column_stack([self.Y, self.X]), axis=0, return_inverse=True)[1].ravel()

    def deal(self, n_parts: int) -> Array:
        """Return the part of each row, from 0: distinct rows are dealt out in turn, (n_rows,).

        They are sorted by response first, so that responses are spread over the parts as evenly
        as their number allows. Equal rows share a part, and the order of rows does not matter.
        There are fewer parts where there are fewer distinct rows.
        """
        code = self.distinct
        return code % min(n_parts, code.max() + 1)

    def deal_by_distance(self, n_parts: int) -> Array:
        """Return parts as `deal`, which neither units, origins nor the order of columns change.

        Among equal responses rows are sorted by their distance from the mean of the distinct rows,
        in standard deviations of the columns.
        """
        code = self.distinct
        first = np.unique(code, return_index=True)[1]
        X, Y = self.X[first], self.Y[first]
        spread = X.std(axis=0)
        away = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        distance = np.round(np.sum(away**2, axis=1), 8)  # what differs by rounding is equal
        place = np.empty(len(X), dtype=int)
        place[np.lexsort((distance, *Y.T[::-1]))] = np.arange(len(X))
        return place[code] % min(n_parts, len(X))


def merged(rows: Rows) -> Rows:
    """Return the distinct rows, each with the weight of all its copies."""
    sums = np.sort(np.sum(rows.X, axis=1) + np.sum(rows.Y, axis=1))
    if np.all(sums[1:] > sums[:-1]):  # equal rows have equal sums
        return rows
    code = rows.distinct
    if code.max(initial=-1) + 1 == len(code):
        return rows
    _, first = np.unique(code, return_index=True)
    weight = np.bincount(code, weights=rows.weight)
    order = np.sort(first)
    return Rows(rows.X[order], rows.Y[order], weight[code[order]])
