"""The target's mean output as one of a family of domains' means.

Notation: as in `random_effects`. x_i, y_i : (p,), (q,) mean features and outputs of domain i, both
less the target's, so that ``x_0 = y_0 = 0``. a_i (q,) : mean output of domain i at the target's
mean features; T^2 the variance of the a_i.

    a_i = mu + e_i,   e_i ~ N(0, T^2 I),   y_i = a_i + x_i'W_i + noise of variance v_i / n_i

Given the coefficients' posterior the y_i have, for every output, the covariance

    T^2 I + V,   V = diag(v_i / n_i + tau_i |x_i|^2) + (rho_i x_i'C x_j rho_j)_ij

and ``a_0`` given all of them is a mean of the target's own output, whose weight is kappa, and of
what the others say. T has a flat prior, under which few domains do not force each other together,
and is integrated out on a grid.
"""

from typing import NamedTuple

import numpy as np

from skt.core._typing import Array
from skt.core.random_effects import Latent

# T from a hundredth of the standard error of the target's mean to a hundred of them.
GRID = np.geomspace(1e-2, 1e2, 41)


class Level(NamedTuple):
    """The target's output at its mean features, less the mean of its rows' outputs."""

    shift: Array  # (q,)
    weight: float  # kappa, of the mean of the target's own rows


def own_level(q: int) -> Level:
    """Return the level of a target that stands alone."""
    return Level(np.zeros(q), 1.0)


def target_level(m: Latent, n: Array, x: Array, y: Array) -> Level:
    """Return the posterior mean of a_0; domains whose means are NaN do not take part.

    n (K+1,), x (K+1, p), y (K+1, q).
    """
    known: Array = np.isfinite(np.hstack((x, y))).all(axis=1)
    if np.sum(known) < 2 or n[0] <= 0:
        return own_level(y.shape[1])
    V, z = (
        _covariance(m, n, x, known),
        (y - m.effects.scale[:, None] * (_in_coordinates(m, x) @ m.mean)),
    )
    e, Q = np.linalg.eigh(V)
    one, first, z = Q.T @ np.ones(len(e)), Q[0], Q.T @ z[known]
    T = np.sqrt(m.effects.noise[0] / n[0]) * GRID[:, None]
    w = 1 / (np.maximum(e, 0.0) + T**2)  # (T, K+1)
    total = w @ one**2
    mu = (w * one) @ z / total[:, None]
    gap = z - one[:, None] * mu[:, None, :]  # (T, K+1, q)
    fit = y.shape[1] * (np.sum(np.log(w), axis=1) - np.log(total))
    fit = fit - np.einsum("tk,tkq,tkq->t", w, gap, gap)
    odds = np.exp((fit - np.max(fit)) / 2) * T[:, 0]  # the grid is even in the logarithm of T
    odds = odds / np.sum(odds)
    square = T[:, 0] ** 2
    shifts = mu + square[:, None] * np.einsum("k,tk,tkq->tq", first, w, gap)
    by_mu = (w * one) @ first / total
    pull = w @ first**2 - (w @ (first * one)) * by_mu
    return Level(odds @ shifts, float(odds @ (by_mu + square * pull)))


def _in_coordinates(m: Latent, x: Array) -> Array:
    """Return differences of means in the coordinates of m."""
    basis = m.domains.basis
    x = np.where(np.isfinite(x), x, 0.0)
    return x if basis is None else x @ basis


def _covariance(m: Latent, n: Array, x: Array, known: Array) -> Array:
    """Return V of the domains that are known."""
    effects, x = m.effects, x[known]
    inside, square = _in_coordinates(m, x), np.sum(x**2, axis=1)
    outside = np.maximum(square - np.sum(inside**2, axis=1), 0.0)
    rho, v, tau = effects.scale[known], effects.noise[known], effects.own[known]
    scaled = rho[:, None] * inside
    unseen = rho**2 * outside / max(effects.prior, 1e-300)
    return scaled @ m.covariance @ scaled.T + np.diag(v / n[known] + tau * square + unseen)
