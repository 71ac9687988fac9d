"""Weights of several fits, by what they predicted of rows that none of them was fitted on.

Rows come in parts, of which each has its own unit: rehearsals, in which a source plays the target,
and the target's own rows left out. Weights are not negative and sum to one, so that a mean of
predictions is never further off than the worst of them; they are drawn to equal weights, since a
plain mean of good fits is hard to beat and few parts tell little.

Notation
--------
m fits; parts j, each with its count c_j of rows that it stands for.
E (n_rows, m) : residuals of rows left out, one column a fit; w (m,) weights, ``1'w = 1``.
G_j (m, m) : ``E'E / n_rows`` of part j in units of the loss of the target alone, `mean_products`.
P (n_rows, m) : probabilities of the class that each row has.
"""

import numpy as np
from scipy.optimize import nnls

from skt.core._typing import Array

# Steps of the weights of probabilities, which are far from linear in nothing: EM converges slowly
# only where the objective is flat.
EM_STEPS = 500
TOL_OF_WEIGHTS = 1e-7


def mean_products(E: Array, weight: Array, unit: float) -> Array:
    """Return ``E'diag(weight)E / sum(weight) / unit``, (m, m)."""
    return E.T @ (weight[:, None] * E) / (np.sum(weight) * unit)


def joined(products: Array, counts: Array) -> Array:
    """Return the mean of G_j (parts, m, m) with the counts c_j as weights."""
    return np.tensordot(counts / np.sum(counts), products, 1)


def squared_objective(w: Array, G: Array, shrinkage: float) -> float:
    """Return ``w'Gw + shrinkage ||w - 1/m||^2 min(diag G)``.

    The unit is the loss of the best fit: a fit that is wildly wrong must not draw weight to itself
    through the mean loss.
    """
    pull = shrinkage * np.min(np.diag(G))
    return float(w @ G @ w + pull * np.sum((w - 1 / len(w)) ** 2))


def mean_weights(G: Array, shrinkage: float) -> Array:
    """Minimise `squared_objective` over the simplex, exactly.

    On the simplex ``||w - 1/m||^2`` is ``w'w - 1/m``, so that the objective is ``||A w||^2`` with
    ``A'A = G + pull I``. Its minimum is that of ``||A u||^2 + (1'u - 1)^2`` over u >= 0, divided by
    its sum.
    """
    m = len(G)
    losses = np.diag(G)
    size = np.min(losses)
    if not size > 0:  # exact fits share all
        exact = (losses <= 0).astype(float)
        return exact / exact.sum()
    e, U = np.linalg.eigh(G / size + shrinkage * np.eye(m))
    root = (U * np.sqrt(np.maximum(e, 0.0))) @ U.T
    u, _ = nnls(np.vstack([root, np.ones(m)]), np.append(np.zeros(m), 1.0), maxiter=100 * m)
    return u / u.sum()


def log_objective(w: Array, P: Array, weight: Array, prior: float) -> float:
    """Return ``-sum_i weight_i log (P w)_i - prior / m sum_k log w_k``."""
    return float(-weight @ np.log(P @ w) - prior / len(w) * np.sum(np.log(w)))


def probability_weights(P: Array, weight: Array, prior: float) -> Array:
    """Minimise `log_objective` over the simplex, by EM.

    The prior is Dirichlet's, with as many rows' worth of evidence as ``prior`` for equal weights.
    """
    m = P.shape[1]
    w = np.full(m, 1 / m)
    total = np.sum(weight) + prior
    for _ in range(EM_STEPS):
        parts = P * w
        told = (weight / np.sum(parts, axis=1)) @ parts
        new = (told + prior / m) / total
        if np.max(np.abs(new - w)) < TOL_OF_WEIGHTS:
            return new
        w = new
    return w
