"""The turn of several outputs that makes their noise white.

Notation: as in `uowq`. R (q, q) is the residual covariance of least squares, pooled over domains;
outputs are multiplied by ``R^{-1/2}`` from the right.
"""

import numpy as np

from skt.core._typing import Array
from skt.core.uowq import Problem


def white_turn(problem: Problem, known: Array) -> Array:
    """Return the matrix that makes the noise of outputs white, (q, q), by the ``known`` domains.

    Without residual degrees of freedom the outputs are only brought to unit variance; the
    residual correlations are shrunk towards none by what q outputs cost in degrees of freedom.
    """
    q, rows, Syy = problem.Syy.shape[1], problem.rows[known], problem.Syy[known]
    total = np.sum(np.diagonal(Syy, axis1=1, axis2=2), axis=0) / max(np.sum(rows), 1.0)
    total = np.where(total > 0, total, 1.0)
    if q == 1:
        return np.diag(1 / np.sqrt(total))
    domains = problem.domains
    df = float(np.sum(np.maximum(rows - domains.ranks[known], 0)))
    if df < 2 * q:
        return np.diag(1 / np.sqrt(total))
    s = domains.s
    inverse = np.divide(domains.spread_out(known), s, out=np.zeros_like(s), where=s > 0)
    explained = (domains.B.T * inverse) @ domains.B
    residual = (Syy.sum(axis=0) - explained) / df
    diagonal = np.maximum(np.diag(residual), 1e-10 * total)
    shrink = min((q + 1) / df, 1.0)
    residual = (1 - shrink) * residual + shrink * np.diag(diagonal)
    residual[np.diag_indices(q)] = diagonal
    return _inverse_root(residual)


def _inverse_root(covariance: Array) -> Array:
    """Return the symmetric inverse square root, small eigenvalues raised to rounding error."""
    scale = np.sqrt(np.diag(covariance))
    e, U = np.linalg.eigh(covariance / np.outer(scale, scale))
    return (U / np.sqrt(np.maximum(e, 1e-8))) @ U.T / scale[:, None]
