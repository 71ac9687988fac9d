"""Information on the parameters of many domains: small blocks, and low rank between them.

Notation: m domains with b parameters each, and one parameter that they share; ``N = 1 + b m``. The
shared one comes first, then the first parameter of every domain, then the second, and so on.

    H = blocks + F diag(sign) F',   F (N, r)

A step by Newton's method costs O(m r^2) so, and not O(m^3). Where r is not small the matrix is
made and factorised as a whole.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from skt.core._typing import Array

# Eigenvalues count as at least this much in a determinant.
LEAST = 1e-6


class Information(NamedTuple):
    """A positive semi-definite matrix (N, N) in parts."""

    shared: float  # entry of the shared parameter
    blocks: Array  # (m, b, b) of each domain
    factor: Array  # (N, r)
    sign: Array  # (r,) one or minus one

    @property
    def size(self) -> int:
        """Number of parameters, N."""
        return len(self.factor)

    @property
    def is_low_rank(self) -> bool:
        """Whether a solution in parts costs less than one of the whole matrix."""
        return 3 * self.factor.shape[1] < self.size

    @property
    def dense(self) -> Array:
        """The matrix, (N, N)."""
        m, b, _ = self.blocks.shape
        H: Array = (self.factor * self.sign) @ self.factor.T
        H[0, 0] += self.shared
        here = 1 + np.arange(m)
        for a in range(b):
            for c in range(b):
                H[here + a * m, here + c * m] += self.blocks[:, a, c]
        return H

    def scaled(self, by: Array) -> "Information":
        """Return ``diag(by) H diag(by)``."""
        own = self._by_domain(by)
        blocks = self.blocks * own[:, :, None] * own[:, None, :]
        return Information(self.shared * by[0] ** 2, blocks, self.factor * by[:, None], self.sign)

    def plus(self, diagonal: Array, minus: list[Array]) -> "Information":
        """Return ``H + diag(diagonal) - sum_k x_k x_k'``, the x_k (N,) being ``minus``."""
        blocks = self.blocks + self._by_domain(diagonal)[:, :, None] * np.eye(len(self.blocks[0]))
        factor = np.column_stack([self.factor, *minus])
        sign = np.append(self.sign, -np.ones(len(minus)))
        return Information(self.shared + diagonal[0], blocks, factor, sign)

    def step(self, g: Array, free: NDArray[np.bool_], damping: float) -> Array:
        """Return ``-(H + damping I)^{-1} g`` over the free parameters, zero for the others."""
        if self.is_low_rank:
            return _InParts(self, free, damping).solve(-g * free)
        step = np.zeros_like(g)
        step[free] = _solve_dense(self.dense[np.ix_(free, free)], -g[free], damping)
        return step

    def times(self, x: Array) -> Array:
        """Return ``H x``."""
        own = np.einsum("mab,mb->ma", self.blocks, self._by_domain(x))
        low_rank: Array = self.factor @ (self.sign * (self.factor.T @ x))
        return low_rank + np.append(self.shared * x[0], own.T)

    def log_determinant(self, free: NDArray[np.bool_]) -> float:
        """Return that of the free parameters' part, its eigenvalues taken to be ``LEAST`` or more.

        In parts LEAST is added to them instead.
        """
        if self.is_low_rank:
            return _InParts(self, free, LEAST).log_determinant
        e = np.linalg.eigvalsh(self.dense[np.ix_(free, free)]) if free.any() else np.ones(1)
        return float(np.sum(np.log(np.maximum(e, LEAST))))

    def _by_domain(self, values: Array) -> Array:
        """Return values (N,) of all but the shared parameter, (m, b)."""
        return values[1:].reshape(-1, len(self.blocks)).T


class _InParts:
    """Solutions of ``H + damping I`` over the free parameters, in parts (Woodbury)."""

    def __init__(self, H: Information, free: NDArray[np.bool_], damping: float) -> None:
        self.H, own = H, H._by_domain(free)
        blocks = H.blocks * (own[:, :, None] & own[:, None, :])
        raised = np.where(own, damping, 1.0)
        self.blocks = blocks + raised[:, :, None] * np.eye(blocks.shape[1])
        self.inverse = np.linalg.inv(self.blocks)
        self.shared = H.shared + damping if free[0] else 1.0
        self.factor = H.factor * free[:, None]
        self.within = self._over_blocks(self.factor)
        self.between = np.diag(H.sign) + self.factor.T @ self.within

    def _over_blocks(self, A: Array) -> Array:
        """Return ``blocks^{-1} A`` for A (N, k)."""
        m, b, _ = self.blocks.shape
        parts, found = A[1:].reshape(b, m, -1), np.empty_like(A)
        found[0] = A[0] / self.shared
        for a in range(b):  # sums over few parameters cost less than m small products
            entries = self.inverse[:, a, :, None]
            found[1 + a * m : 1 + (a + 1) * m] = sum(entries[:, c] * parts[c] for c in range(b))
        return found

    def solve(self, x: Array) -> Array:
        """Return ``(H + damping I)^{-1} x``, x (N,)."""
        own = self._over_blocks(x[:, None])[:, 0]
        found: Array = own - self.within @ np.linalg.solve(self.between, self.factor.T @ own)
        return found

    @property
    def log_determinant(self) -> float:
        """Logarithm of the determinant of ``H + damping I``."""
        inside = np.sum(np.linalg.slogdet(self.blocks)[1]) + np.log(self.shared)
        return float(inside + np.linalg.slogdet(self.between)[1])


def _solve_dense(H: Array, x: Array, damping: float) -> Array:
    """Return ``(H + damping I)^{-1} x``."""
    raised = H.copy()
    raised[np.diag_indices_from(raised)] += damping
    _, found, failed = lapack.dposv(raised, x, lower=1) if len(x) else (None, x, 0)
    if failed:
        found = x / (np.maximum(np.diag(H), 0.0) + damping)
    return np.asarray(found)
