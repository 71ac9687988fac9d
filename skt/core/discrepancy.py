"""How different each source is from the target: the matrix M that the papers assume known.

Notation
--------
K sources, index 0 the target; d parameters (features x outputs).
theta_i : coefficients of domain i; ``delta_i = theta_i - theta_0``.
J : Fisher information of one target row; ``M_ij = delta_i' J delta_j / d``.
D : (d, K) whitened estimated differences, column i is ``J^{1/2} (theta^_i - theta^_0)``.
v : (K+1,) variance of each entry of ``J^{1/2} theta^_i``, so that a row of D has covariance
    ``M + v_0 11' + diag(v_1..v_K)``: raw differences are biased upwards, and share the
    noise of the target.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import digamma, polygamma

from skt.core._typing import Array

# Variance components are sought on a log scale between these multiples of the target's noise.
SMALLEST, LARGEST = np.exp(-12.0), np.exp(12.0)

# Weight of the prior that sources, as a group, are no further from the target than from each
# other. Raising it trusts sources that agree more, and sees a bias that they share later; chosen
# by simulation (docs/evidence/uowq.md, the prior of the offset).
OFFSET_EXPONENT = 0.5


def plug_in(D: Array) -> Array:
    """Return ``D'D / d``, the discrepancy with all its noise in it (the paper's choice)."""
    return D.T @ D / len(D)


def debiased(D: Array, v: Array) -> Array:
    """Return the unbiased estimate ``D'D/d - v_0 11' - diag(v)``; it may be indefinite."""
    return plug_in(D) - v[0] - np.diag(v[1:])


def positive_part(M: Array) -> Array:
    """Return the nearest positive semi-definite matrix."""
    e, U = np.linalg.eigh(M)
    return (U * np.maximum(e, 0)) @ U.T


class Components(NamedTuple):
    """Variance components of the differences: ``M = common 11' + diag(own)``."""

    common: float
    own: Array  # (K,)

    @property
    def discrepancy(self) -> Array:
        """The discrepancy matrix M, (K, K)."""
        return self.common + np.diag(self.own)


def objective(
    components: Components,
    D: Array,
    v: Array,
    exponent: float = 0.0,
    offset_exponent: float | None = None,
) -> float:
    """Return minus the log-likelihood of D plus the ``penalty``, up to a constant.

    The rows of D are N(0, C) with ``C = (common + v_0) 11' + diag(own + v)``.
    """
    return _likelihood(components, D, v, exponent, offset_exponent)[0]


class Penalty(NamedTuple):
    """Guard and prior of the offset, with their derivatives."""

    value: float
    by_common: float
    by_spread: Array  # (K,)
    by_v_0: float


def penalty(
    common: float, spread: Array, v_0: float, exponent: float, offset_exponent: float | None = None
) -> Penalty:
    """Return ``-exponent log(v*) + a log(1 + common/s)`` of sources of variances ``spread``.

    The guard: ``v* = v_0 + common + s/K`` is the variance of the best single estimate of the
    target made of the sources alone (``james_stein_exponent``). The prior of the offset: s, the
    harmonic mean of ``own_i + v_i``, is how far sources are from each other; if the target is
    one of their kind, common is not larger. With one source the two cannot be told apart.
    Its weight a is ``offset_exponent``, ``OFFSET_EXPONENT`` unless given.
    """
    a = OFFSET_EXPONENT if offset_exponent is None else offset_exponent
    K, precision = len(spread), 1 / spread
    total = max(float(precision.sum()), 1e-300)
    star = v_0 + common + 1 / total
    value, by_star = -exponent * np.log(star), -exponent / star
    by_common = by_mean = by_star
    if K > 1:
        s = K / total
        value += a * np.log1p(common / s)
        by_common += a / (s + common)
        by_mean += K * a * (1 / (s + common) - 1 / s)
    return Penalty(float(value), by_common, by_mean * (precision / total) ** 2, by_star)


def _likelihood(
    components: Components, D: Array, v: Array, exponent: float, offset_exponent: float | None
) -> tuple[float, Array]:
    """Return the objective and its gradient by (common, own), through Sherman-Morrison."""
    d = len(D)
    shared, precision = components.common + v[0], 1 / (components.own + v[1:])
    total = precision.sum()
    damped = shared / (1 + shared * total)
    pooled = D @ precision
    away = D - damped * pooled[:, None]  # D C^{-1} is this times the precision
    value = d * (np.log1p(shared * total) - np.log(precision).sum())
    value += precision @ np.einsum("dk,dk->k", away, D)
    by_own = d * (precision - damped * precision**2)
    by_own -= precision**2 * np.einsum("dk,dk->k", away, away)
    by_common = (d * total - pooled @ pooled / (1 + shared * total)) / (1 + shared * total)
    extra = penalty(components.common, components.own + v[1:], v[0], exponent, offset_exponent)
    gradient = np.concatenate(([by_common], by_own)) / 2
    gradient += np.concatenate(([extra.by_common], extra.by_spread))
    return value / 2 + extra.value, gradient


def variance_components(
    D: Array, v: Array, exponent: float = 0.0, offset_exponent: float | None = None
) -> Components:
    """Return the components that minimise ``objective``: EB1 with the James-Stein guard.

    Without ``common``, the shared offset of all sources from the target, a bias that the
    sources share would be taken for precision. The likelihood can have two maxima, one
    with the offset and one without; both are tried.
    """

    def value_and_gradient(x: Array) -> tuple[float, Array]:
        c = v[0] * np.exp(x)
        value, gradient = _likelihood(Components(c[0], c[1:]), D, v, exponent, offset_exponent)
        return value, gradient * c

    unit = v[0]
    D, v = D / np.sqrt(unit), v / unit
    own = np.maximum(np.mean(D**2, axis=0) - v[0] - v[1:], 0.05 * v[0])
    offset = max(np.mean(np.mean(D, axis=1) ** 2) - v[0] - own.mean() / len(own), 0.05 * v[0])
    starts = [
        np.concatenate(([0.1 * v[0]], own)),
        np.concatenate(([offset], np.maximum(own - offset, 0.05 * v[0]))),
    ]
    bounds = [(np.log(SMALLEST), np.log(LARGEST))] * (D.shape[1] + 1)
    fits = [
        minimize(
            value_and_gradient,
            np.clip(np.log(start / v[0]), *bounds[0]),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
        )
        for start in starts
    ]
    c = np.exp(min(fits, key=lambda fit: fit.fun).x)
    c = unit * np.where(c <= SMALLEST * 1.01, 0.0, c)
    return Components(float(c[0]), c[1:])


def james_stein_exponent(d: int, df: float) -> float:
    """Return the exponent of the guard: it turns d into the James-Stein estimator's d - 2.

    For one source of known noise the penalised maximum is then ``|D|^2 / (d - 2)``, the
    denominator under which borrowing never loses to the target alone, whatever the source.
    With the noise estimated on df degrees of freedom the bound is ``(d - 2) df / (df + 2)``.
    """
    return max(d - max(d - 2, 0) / (1 + 2 / df), 0.0) / 2


def james_stein_cap(u: Array, M_plug: Array, n_0: float, d: int, df: float) -> Array:
    """Cap the total share of the sources at the positive-part James-Stein share.

    The sources in their proportions v act as one source with the plug-in loss
    ``T = v' M_plug v``; at most ``(d - 2)/d * df/(df + 2) / (n_0 T)`` goes to them.

    James-Stein has the target's variance v_0 where ``1/n_0`` stands. A least squares fit on few
    rows has a larger one, so that this cap borrows less: of all shrinkage up to twice
    James-Stein's, which never loses to the target alone, it errs on the side of the target.
    """
    borrowed = 1 - u[0]
    if borrowed <= 0:
        return u
    v = u[1:] / borrowed
    loss = n_0 * (v @ M_plug @ v)
    cap = max(d - 2, 0) / d / (1 + 2 / df) / max(loss, 1e-300)
    return u if borrowed <= cap else np.concatenate(([1 - cap], v * cap))


def moderated_variances(s2: Array, df: Array) -> tuple[Array, float]:
    """Return noise variances shrunk towards each other as far as they agree, and the target's df.

    With few rows the target's own residual variance is the weakest number in the whole
    computation. ``log s2_i`` has mean ``log sigma_i^2 + digamma(df/2) - log(df/2)`` and variance
    ``trigamma(df/2)``; the ``log sigma_i^2`` are taken as normal with a common mean and variance
    (by maximum likelihood), and each is replaced by its posterior mean (Smyth, 2004). A domain
    without degrees of freedom (df = 0, s2 ignored) receives the common mean.
    """
    known = (df > 0) & (np.nan_to_num(s2) > 0)
    half = df[known] / 2
    z = np.log(s2[known]) - digamma(half) + np.log(half)
    noise = polygamma(1, half)
    between = _between_variance(z, noise)
    precision = 1 / (noise + between)
    mean = np.sum(precision * z) / np.sum(precision)
    moderated = np.full(len(s2), mean)
    moderated[known] = mean + between * precision * (z - mean)
    posterior = between * noise[0] * precision[0] if known[0] else between
    posterior += (noise[0] * precision[0] if known[0] else 1.0) ** 2 / np.sum(precision)
    return np.exp(moderated), _degrees_of_freedom(posterior)


def _between_variance(z: Array, noise: Array) -> float:
    """Return the restricted maximum likelihood estimate of the variance between domains."""
    if len(z) < 2:
        return 0.0

    def minus_log_likelihood(log_between: float) -> float:
        precision = 1 / (noise + np.exp(log_between))
        centred = z - np.sum(precision * z) / np.sum(precision)
        value = np.sum(precision * centred**2) - np.sum(np.log(precision))
        return float(value + np.log(np.sum(precision)))

    grid = np.linspace(-14, 4, 37)
    start = grid[np.argmin([minus_log_likelihood(g) for g in grid])]
    fit = minimize_scalar(minus_log_likelihood, bounds=(start - 0.5, start + 0.5), method="bounded")
    return float(np.exp(fit.x))


def _degrees_of_freedom(variance: float) -> float:
    """Return the df at which ``trigamma(df/2)`` equals a variance of a log variance."""
    return max(2 / variance + 1, 1.0) if variance > 0 else np.inf
