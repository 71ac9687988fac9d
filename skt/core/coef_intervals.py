"""How far the target's coefficients may be from where its sources say: errors for intervals.

Notation: as in `random_effects`. The target's least squares along its eigenvectors,
``z_k = u_k'(b_0 - m)`` with m from the sources alone, has the covariance

    V(tau) = diag(v_0 / s_k) + U'C U + tau I                                                  (I1)

tau being the variance of the target's own offset. The posterior of ``W_0`` takes tau as it is
estimated, by the sources' differences among each other above all. A bias that all sources share
is told by nothing but z, and so is its bound (the Q-profile of meta-analysis): tau+ at which
``z'V(tau+)^{-1} z`` is no more than the quantile LEVEL of its distribution, chi-squared of as many
degrees as there are z. With ``S = v_0 / (v_0 + tau s)`` the part that the target leaves to the
others, the estimate has

    posterior covariance + max(tau+ - tau, 0) S^2                                             (I2)

as its mean squared error if tau+ is the variance: the weights were those of tau.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri, stdtrit

from skt.core._typing import Array
from skt.core.random_effects import Domains, Effects, Latent

# Probability that the offset's variance is beyond its bound. A half would be as often too small as
# too large; a twentieth would take back what good sources are worth. Chosen by simulation
# (benchmarks/coverage.py).
LEVEL = 0.2


class Errors(NamedTuple):
    """Coefficients and the variances of their errors."""

    centre: Array  # (p, q); in the user's units (q, p)
    variance: Array  # (p,) of any output; in the user's units (q, p)
    df: float  # of the noise variance behind them


def least_squares_errors(domains: Domains, n_varying: int) -> Errors | None:
    """Return the target's least squares; None where its rows do not tell all coefficients.

    ``n_varying`` features vary in some domain.
    """
    s, U, B = domains.part(0)
    df = float(domains.n[0]) - len(s)
    if len(s) < n_varying or df < 1:
        return None
    q = B.shape[1]
    noise = float(domains.rss[0]) / (q * df)
    return Errors(U @ (B / s[:, None]), noise * (U**2 @ (1 / s)), df * q)


def ends(errors: Errors, coverage: float) -> Array:
    """Return the lower and upper ends of Student's intervals, in the user's units, (q, p, 2)."""
    half = float(stdtrit(errors.df, (1 + coverage) / 2)) * np.sqrt(errors.variance)
    return np.stack([errors.centre - half, errors.centre + half], axis=-1)


def bias_variance(domains: Domains, effects: Effects) -> Array:
    """Return what (I2) adds to the variance of every coefficient, (n_features,)."""
    s, U, B = domains.part(0)
    if not len(s):
        return np.zeros(domains.n_features)
    v, tau = effects.noise[0], effects.common
    m = Latent(domains.sources, effects.of_sources)
    inside = U if domains.basis is None else domains.basis.T @ U
    z = B / s[:, None] - inside.T @ m.mean
    variance, Q = np.linalg.eigh(np.diag(v / s) + inside.T @ m.covariance @ inside)
    lost = int(np.any(effects.scale != 1))  # a scale was fitted to the target's least squares
    df = max(B.size - lost, 1)
    bound = offset_bound(np.sum((Q.T @ z) ** 2, axis=1), np.maximum(variance, 1e-300), df)
    gap = max(bound - tau, 0.0)
    left = v / (v + tau * s)
    outside = np.maximum(1 - np.sum(U**2, axis=1), 0.0)
    return gap * (U**2 @ left**2 + outside)


def offset_bound(square: Array, variance: Array, df: float) -> float:
    """Return tau+: where ``sum_k square_k / (variance_k + tau)`` is the quantile, or zero."""
    quantile = float(chdtri(df, 1 - LEVEL))

    def excess(tau: float) -> float:
        return float(np.sum(square / (variance + tau))) - quantile

    if excess(0.0) <= 0:
        return 0.0
    return float(brentq(excess, 0.0, float(np.sum(square)) / quantile, rtol=1e-6))
