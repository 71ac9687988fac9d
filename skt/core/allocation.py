"""How far to lean on each source: the UOWQ programme, solved exactly.

Notation (arXiv 2601.10779v2)
-----------------------------
K : sources; index 0 is the target.
n : (K+1,) rows of each domain; a noise level that differs enters as ``n_i sigma_0^2/sigma_i^2``.
M : (K, K) discrepancy, ``M_ij = delta_i' J delta_j / d``, positive semi-definite.
w : (K,) weight of one row of each source, a target row having weight 1.
u : (K+1,) share of each domain in the total weight, on the simplex;
    ``w_i = (u_i / n_i) / (u_0 / n_0)``, a bijection as long as ``u_0 > 0``, which is always
    so at the optimum.

The paper minimises over w and the number of rows used. All rows are optimal: for a fixed
product ``w_i n_i`` the risk falls in ``n_i``. What is left is one convex quadratic programme,

    min u'Qu  over the simplex,   Q = diag(1/n) + blockdiag(0, M),

and since ``(1'u)^2 / u'Qu`` does not depend on the scale of u, any minimiser of
``||A u||^2 + (1'u - 1)^2`` over ``u >= 0`` with ``A'A = Q``, a non-negative least squares
problem, is a solution once normalised.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Array = NDArray[Any]


def risk(w: Array, n: Array, M: Array) -> float:
    """Return the risk per parameter of weights w: eq. (B1) of docs/uowq.md, the paper's K-L.

    ``[n_0 + sum_i w_i^2 n_i + (wn)' M (wn)] / (n_0 + sum_i w_i n_i)^2``.
    """
    m = w * n[1:]
    return float((n[0] + w @ m + m @ M @ m) / (n[0] + m.sum()) ** 2)


def share_risk(u: Array, n: Array, M: Array) -> float:
    """Return the same risk as a function of shares, ``u'Qu`` on the simplex."""
    return float(u**2 @ (1 / n) + u[1:] @ M @ u[1:])


def weights_from_shares(u: Array, n: Array) -> Array:
    """Return the weight of one source row relative to a target row, (K,)."""
    return (u[1:] / n[1:]) / (u[0] / n[0])


def shares_from_weights(w: Array, n: Array) -> Array:
    """Return the share of each domain in the total weight, (K+1,)."""
    total = np.concatenate(([1.0], w)) * n
    return total / total.sum()


def optimal_shares(n: Array, M: Array) -> Array:
    """Minimise ``share_risk`` over the simplex, exactly, by non-negative least squares."""
    K = len(n) - 1
    A = np.zeros((2 * K + 1, K + 1))
    np.fill_diagonal(A, np.sqrt(n[0] / n))
    A[K + 1 :, 1:] = square_root(M * n[0])
    return _normalised_nnls(A)


def mallows_shares(M_plug: Array, v_0: float) -> Array:
    """Minimise ``u_s' M_plug u_s + 2 v_0 u_0`` over the simplex: unbiased risk estimation.

    Up to a constant this is ``u'Qu`` with the discrepancy's noise taken off (B3). In
    proportions t of the sources and their total share k it is ``k^2 t'M t - 2 v_0 k``: the best
    t does not depend on k, and then ``k = v_0 / t'M t``, at most one.
    """
    size = max(np.trace(M_plug), 1e-300)
    t = _normalised_nnls(square_root(M_plug / size))
    k = min(1.0, v_0 / max(float(t @ M_plug @ t), 1e-300))
    return np.concatenate(([1 - k], k * t))


def floor_target(u: Array, least: float) -> Array:
    """Return shares with at least ``least`` for the target, the sources in proportion."""
    if u[0] >= least:
        return u
    return np.concatenate(([least], u[1:] / u[1:].sum() * (1 - least)))


def kkt_residual(u: Array, n: Array, M: Array) -> float:
    """Return how far shares are from optimal: 0 at the solution, relative to the risk.

    At the optimum ``(Qu)_i = u'Qu`` where ``u_i > 0`` and ``(Qu)_i >= u'Qu`` elsewhere.
    """
    Qu = u / n
    Qu[1:] += M @ u[1:]
    level = u @ Qu
    excess = Qu - level
    violation = np.where(u > 0, np.abs(excess) * u, np.maximum(-excess, 0))
    return float(violation.max() / level)


def square_root(M: Array) -> Array:
    """Return the symmetric square root of a positive semi-definite matrix."""
    e, U = np.linalg.eigh(M)
    return (U * np.sqrt(np.maximum(e, 0))) @ U.T


def _normalised_nnls(A: Array) -> Array:
    """Minimise ``||A u||^2`` over the simplex through ``||A u||^2 + (1'u - 1)^2, u >= 0``."""
    system = np.vstack([A, np.ones(A.shape[1])])
    wanted = np.zeros(len(system))
    wanted[-1] = 1.0
    u, _ = nnls(system, wanted, maxiter=30 * A.shape[1])
    return u / u.sum()
