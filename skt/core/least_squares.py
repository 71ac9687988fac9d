"""Least squares and ridge from second moments, with exact leave-one-out.

Notation
--------
n, p, q : rows, features, outputs.
X, Y : centred data, (n, p) and (n, q); ``Sxx = X'X`` (p, p), ``Sxy = X'Y`` (p, q).
penalty : total ridge penalty; the suite's objective is
    ``(1/n) ||Y - X W||^2 + alpha ||W||^2`` with ``penalty = n * alpha``.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skt.core._typing import Array

# Directions with less than this share of the largest eigenvalue carry only rounding error
# of the moments, whose conditioning is the square of that of the data.
RANK_TOLERANCE = 1e-12


def eigenspectrum(Sxx: Array) -> tuple[Array, Array]:
    """Return the positive eigenvalues (r,) and eigenvectors (p, r) of a scatter matrix."""
    s, U = np.linalg.eigh(Sxx)
    informed = _informed(s)
    return s[informed], U[:, informed]


def spectrum_of_rows(X: Array) -> tuple[Array, Array]:
    """Return `eigenspectrum` of ``X'X`` for X (n, p), in the span of the rows if that is less."""
    n, p = X.shape
    if n >= p:
        return eigenspectrum(X.T @ X)
    Q, R = np.linalg.qr(X.T)
    s, E = np.linalg.eigh(R @ R.T)
    informed = s > RANK_TOLERANCE * max(s[-1], 0.0) * p
    return s[informed], Q @ E[:, informed]


def objective(W: Array, Sxx: Array, Sxy: Array, Syy: Array, n: float, alpha: float = 0.0) -> float:
    """Return ``(1/n) ||Y - X W||^2 + alpha ||W||^2`` from moments."""
    rss = np.trace(Syy) - 2 * np.sum(W * Sxy) + np.sum(W * (Sxx @ W))
    return float(rss / n + alpha * np.sum(W**2))


def ridge(Sxx: Array, Sxy: Array, penalty: float = 0.0) -> Array:
    """Minimise ``||Y - X W||^2 + penalty ||W||^2``.

    At penalty 0 the solution of minimum norm in columns of unit length, so that the units of
    a column never decide which directions count as informed.
    """
    if penalty > 0:
        return np.linalg.solve(Sxx + penalty * np.eye(len(Sxx)), Sxy)
    scale = column_scale(Sxx)
    s, U = eigenspectrum(Sxx / scale[:, None] / scale)
    return (U / s) @ (U.T @ (Sxy / scale[:, None])) / scale[:, None]


def least_norm(Sxx: Array, Sxy: Array) -> Array:
    """Return `ridge` at penalty 0 of many domains, for (m, p, p) and (m, p, q)."""
    scale = column_scale(Sxx)
    s, U = np.linalg.eigh(Sxx / scale[:, :, None] / scale[:, None, :])
    inverse = np.divide(1.0, s, out=np.zeros_like(s), where=_informed(s))
    turned = np.swapaxes(U, 1, 2) @ (Sxy / scale[:, :, None])
    return (U * inverse[:, None, :]) @ turned / scale[:, :, None]


def ranks(Sxx: Array) -> Array:
    """Return the number of positive eigenvalues of scatter matrices, (m,) for (m, p, p)."""
    return np.sum(_informed(np.linalg.eigvalsh(Sxx)), axis=1)


def _informed(s: Array) -> NDArray[np.bool_]:
    """Whether eigenvalues (..., p) in rising order are positive beyond rounding."""
    return s > RANK_TOLERANCE * np.maximum(s[..., -1:], 0.0) * s.shape[-1]


def column_scale(Sxx: Array) -> Array:
    """Return the root of the diagonal, with one in place of zero; (..., p) for (..., p, p)."""
    scale = np.sqrt(np.diagonal(Sxx, axis1=-2, axis2=-1))
    return np.where(scale > 0, scale, 1.0)


def weighted_moments(w: Array, Sxx: Array, Sxy: Array) -> tuple[Array, Array]:
    """Return ``sum_i w_i Sxx_i`` and ``sum_i w_i Sxy_i``, the moments of weighted rows."""
    return np.tensordot(w, Sxx, 1), np.tensordot(w, Sxy, 1)


def shrinkage(s: Array, penalties: Array) -> Array:
    """Return ``s / (s + penalty)``, (len(penalties), r); 0 where both vanish."""
    total = s + penalties[:, None]
    return np.divide(s, total, out=np.zeros_like(total), where=total > 0)


class RidgePath(NamedTuple):
    """Ridge solutions of one data set along penalties, with leave-one-out residuals."""

    penalties: Array  # (m,)
    coef: Array  # (m, p, q)
    loo_residuals: Array  # (m, n, q)
    weight: Array  # (n,)
    df: Array  # (m,) effective degrees of freedom, the intercept's not counted

    def using_at_most(self, df: float) -> "RidgePath":
        """Return the part of the path with no more degrees of freedom; the last is kept."""
        keep = np.append(self.df[:-1] <= df, True)
        path, residuals = self.coef[keep], self.loo_residuals[keep]
        return RidgePath(self.penalties[keep], path, residuals, self.weight, self.df[keep])

    @property
    def loo_error(self) -> Array:
        """Mean squared leave-one-out residual of every penalty, (m,)."""
        squares = np.mean(self.loo_residuals**2, axis=2)
        return squares @ self.weight / np.sum(self.weight)

    @property
    def best(self) -> int:
        """Index of the least leave-one-out error; the largest penalty wins a tie."""
        error = self.loo_error
        return int(np.flatnonzero(error <= error.min() * (1 + 1e-12))[-1])


def ridge_path(
    X: Array, Y: Array, penalties: Array, weight: Array, *, intercept: bool
) -> RidgePath:
    """Ridge along ``penalties`` from one singular value decomposition, exact leave-one-out.

    X (n, p) and Y (n, q) are centred by their weighted means when ``intercept``. A weight
    counts copies of a row, and one copy is left out: that changes its residual to
    ``e_k / (1 - h_k)``, the intercept's change included, with ``h_k`` the leverage of one copy.
    """
    root = np.sqrt(weight)[:, None]
    L, s, Vt = np.linalg.svd(root * X, full_matrices=False)
    # Centring costs one direction; what is left of it is rounding error, not information.
    s = np.where(s > max(X.shape) * np.finfo(float).eps * s.max(initial=0.0), s, 0.0)
    f = shrinkage(s**2, penalties)
    LY = L.T @ (root * Y)
    L = L / root
    fitted = np.einsum("nr,mr,rq->mnq", L, f, LY)
    leverage = f @ (L**2).T + (1 / weight.sum() if intercept else 0.0)
    coef = np.einsum("rp,mr,rq->mpq", Vt, f / np.where(s > 0, s, 1.0), LY)
    residuals = loo_residuals(Y - fitted, leverage[..., None])
    return RidgePath(penalties, coef, residuals, weight, np.sum(f, axis=1))


def loo_residuals(residuals: Array, leverage: Array) -> Array:
    """Return residuals of rows left out, ``e / (1 - h)``; leverage 1 leaves no information."""
    return residuals / np.maximum(1 - leverage, 1e-12)


def penalty_grid(level: float, size: int = 61, low: float = 1e-5, high: float = 1e5) -> Array:
    """Return penalties from ``low`` to ``high`` times the level, at equal ratios, (size,).

    The level is a mean eigenvalue, about which a penalty shrinks half of the directions; where
    nothing varies it is taken as one.
    """
    return np.geomspace(low, high, size) * (level if level > 0 else 1.0)


def mean_eigenvalue(Sxx: Array) -> float:
    """Return the mean eigenvalue of a scatter matrix."""
    return float(np.trace(Sxx) / len(Sxx))
