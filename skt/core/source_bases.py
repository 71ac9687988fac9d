"""Orthonormal bases of features and outputs taken from source coefficients.

Notation
--------
C_k the coefficients (p, q) of source k. One source: C = U0 S0 V0', and the columns of U0 and V0
are the bases, leading directions first. Several sources are joined by what they have in common:
U0 holds the eigenvectors of sum_k C_k C_k' / ||C_k||^2 and V0 those of sum_k C_k' C_k / ||C_k||^2,
so that each source counts the same, their order does not matter, and one source alone, or the
same source twice, gives its own singular vectors.

Not every singular vector means something. Vectors of equal singular values are any basis of the
space they span, and so are those of the value zero. Where C_k was estimated, the lower singular
values are noise of nearly equal size. Directions without a meaning of their own are treated
together, as one block: the last block holds all directions that do not stand out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from skt.core._typing import EPS, Array

# Singular values closer than this, relative to the largest, share a block: at half of it, the
# vectors of two computers may differ in the eighth digit.
EQUAL_VALUES = 1e-7
# The median of fewer singular values says nothing of noise.
FEWEST_FOR_NOISE = 10


class Side(NamedTuple):
    """Basis of the features or of the outputs."""

    basis: Array  # (p, p) orthogonal
    values: Array  # (p,) singular values, decreasing
    rank: int  # directions that the sources have at all
    signal: int  # directions that stand out from noise


def source_sides(coefs: Sequence[Array]) -> tuple[Side, Side]:
    """Return the bases of features and of outputs for source coefficients (p, q)."""
    unit = [C / np.linalg.norm(C) for C in coefs if np.any(C)] or [np.zeros_like(coefs[0])]
    return side(np.hstack(unit)), side(np.hstack([C.T for C in unit]))


def side(A: Array) -> Side:
    """Return the left singular vectors of A with what is known of them."""
    basis, s, _ = np.linalg.svd(A, full_matrices=True)
    rank = int(np.sum(s > s[0] * max(A.shape) * 10 * EPS))
    values = np.concatenate([s, np.zeros(len(A) - min(A.shape))])
    return Side(basis * signs(basis), values, rank, min(rank, n_above_noise(s, A.shape)))


def signs(A: Array) -> Array:
    """Return the signs that make the largest entry of each column positive."""
    largest = np.argmax(np.abs(A), axis=0)
    return np.where(A[largest, np.arange(A.shape[1])] < 0, -1.0, 1.0)


def n_above_noise(s: Array, shape: tuple[int, ...]) -> int:
    """Return how many singular values stand out from noise of unknown size.

    Those above omega(beta) times their median, the optimal hard threshold of Gavish and Donoho
    (2014, IEEE Transactions on Information Theory 60, 5040-5053), beta the ratio of the sides.
    """
    if len(s) < FEWEST_FOR_NOISE:
        return len(s)
    beta = min(shape) / max(shape)
    omega = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    return int(np.sum(s > omega * np.median(s)))


def blocks(side: Side, structural_rank: int, *, entrywise: bool = False) -> Array:
    """Return the sizes of the blocks of the directions beyond the structural rank.

    Ones for directions of their own, larger numbers for directions that only have a meaning
    together. With `entrywise`, every direction is its own (the paper).
    """
    p = len(side.values)
    if entrywise:
        return np.ones(p - structural_rank, dtype=int)
    signal = whole(side, max(side.signal, structural_rank))
    begins = np.flatnonzero(_differs(side, structural_rank, signal)) + structural_rank
    return np.diff(np.unique(np.concatenate([begins, [signal, p]])))


def _differs(side: Side, first: int, last: int) -> Array:
    """Return which of the directions first..last-1 begin a block."""
    gaps = -np.diff(side.values[first:last])
    return np.concatenate(
        [np.ones(min(last - first, 1), bool), gaps > EQUAL_VALUES * side.values[0]]
    )


def whole(side: Side, structural_rank: int) -> int:
    """Return the structural rank, raised to the end of a run of equal singular values."""
    k = structural_rank
    while (
        0 < k < side.rank and side.values[k - 1] - side.values[k] <= EQUAL_VALUES * side.values[0]
    ):
        k += 1
    return k
