"""The search for the parameters of ``random_effects``: their priors, Newton's method, two models.

Notation: as in ``random_effects``. z : coordinates of all parameters, in the order of
`random_effects.Effects`: logarithms of pi, tau_i and v_i, and the scales rho_i as they are.

Domains are exchangeable. How far they differ is told by all of them together, before the target's
few rows say anything, and a domain that is unlike the rest is found out by the tails:

    log tau_i = mu + s_i t_1,    log v_i = nu + s_v t_4,    mu, nu unknown                      (P1)
    rho_i = c + s_r t_2,    c ~ N(1, 1),    or rho_i = 1                                        (P2)

with t_k Student's t of k degrees of freedom. The target has the larger s_0: a bias that sources
share shows as an offset of the target from all of them. Parameters are where likelihood times
prior is largest. Steps are Newton's with the average information in place of the Hessian: some
ten, whatever K is.
"""

from collections.abc import Callable
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skt.core import random_effects
from skt.core._typing import Array
from skt.core.information import LEAST, Information
from skt.core.random_effects import Domains, Effects, Latent

# Spreads and degrees of freedom of (P1) and (P2), chosen by hand on simulated designs and on eight
# real tables. Between .3 and 2 the spread of sources changes little; a tighter target trusts a
# bias that all sources share, and lighter tails lose where one source is far off.
OWN_SPREAD, TARGET_SPREAD, OWN_DF = 1.0, 2.0, 1.0
NOISE_SPREAD, NOISE_DF = 0.5, 4.0
SCALE_SPREAD, SCALE_DF, COMMON_SCALE_SPREAD = 0.3, 2.0, 1.0

# Variances are sought within these factors of the size that the data suggest.
RANGE = np.exp(12.0)
# A step changes a logarithm of a variance, or a scale, by this much at most.
LONGEST_STEP = 3.0
# The search ends where a step is expected to lower the objective by less: the parameters are then
# within a twentieth of their standard errors.
TOLERANCE = 1e-3
# From several starts the search goes this far before it goes on from the best.
ROUGH = 1.0
MOST_STEPS = 100
# After so many steps the last few correct the information.
STEPS_UNCORRECTED, MEMORY = 10, 3
# Stands for the logarithm of zero: the exponential of it is zero.
LOG_ZERO = -1000.0


class Search(NamedTuple):
    """How the search for the parameters ended."""

    evidence: float  # logarithm of the marginal likelihood, up to a constant (Laplace)
    n_iter: int
    converged: bool
    noise_df: float = np.inf  # Satterthwaite's, of the target's noise variance


class Model(NamedTuple):
    """A fitted model and its weight among others."""

    effects: Effects
    search: Search
    weight: float = 1.0


def fit_effects(
    domains: Domains,
    *,
    noise: Array | None = None,
    prior: float | None = None,
    scaled: bool = False,
) -> Model:
    """Maximise likelihood times prior over the parameters that are not given.

    ``noise`` (K+1,) and ``prior`` are estimated when None; scales are one unless ``scaled``.
    """
    space = _Space(domains, noise, prior, scaled)
    at = partial(_Point, space)
    starts = space.starts()
    if len(starts) > 1:
        ends = [newton(at, x, space.bounds, tolerance=ROUGH)[0] for x in starts]
        starts = [min(ends, key=lambda point: point.value).x]
    end, n_iter, converged = newton(at, starts[0], space.bounds, tolerance=TOLERANCE)
    return Model(end.effects, Search(end.evidence, n_iter, converged, end.noise_df))


def fit_models(
    domains: Domains, *, noise: Array | None = None, prior: float | None = None
) -> list[Model]:
    """Fit the model without scales and the one with; their weights are by evidence.

    Scales serve outcomes in other units and sources that point the wrong way. Where the data do
    not tell, both count: to switch from one to the other at a threshold wastes what evidence
    there is.
    """
    fit = partial(fit_effects, domains, noise=noise, prior=prior)
    models = [fit(), fit(scaled=True)] if domains.sizes[0] else [fit()]
    evidence = np.array([model.search.evidence for model in models])
    odds = np.exp(np.maximum(evidence - np.max(evidence), -700.0))
    weights = odds / np.sum(odds)
    return [
        model._replace(weight=float(w))
        for model, w in zip(models, weights, strict=True)
        if w > 1e-3
    ]


# Newton's method ---------------------------------------------------------------------------------


def newton(
    at: Callable[[Array], "_Point"], x: Array, bounds: tuple[Array, Array], *, tolerance: float
) -> tuple["_Point", int, bool]:
    """Minimise within bounds; return the end, the number of steps, and whether it converged.

    A coordinate on its bound is held while the slope points outwards. The damping falls after a
    step that kept what it promised, and rises after one that did not, until a step does. A search
    that takes long goes along a valley where the information overstates the curvature: then the
    changes of the slope over the last steps correct it (`_corrected`).
    """
    low, high = bounds
    point, damping = at(np.clip(x, low, high)), 1e-2
    changes: list[tuple[Array, Array]] = []
    for n_iter in range(1, MOST_STEPS + 1):
        g, H = point.gradient, point.information
        outwards = (point.x <= low) & (g > 0) | (point.x >= high) & (g < 0)
        free, kept = (low < high) & ~outwards, 0.0
        while kept < 0.01:
            whole = _corrected(partial(H.step, free=free, damping=damping), g * free, changes)
            if not -float(g @ whole) >= tolerance:
                return point, n_iter, _little_is_left(g, H, free)
            step = np.clip(whole, -LONGEST_STEP, LONGEST_STEP)
            step = np.clip(point.x + step, low, high) - point.x
            expected = -float(g @ step + step @ (-g if changes else H.times(step)) / 2)
            if expected <= tolerance / 10:  # the limits have bent the step
                damping, changes = 10.0 * damping, []  # a correction does not shrink with damping
                continue
            trial = at(point.x + step)
            kept = (point.value - trial.value) / expected if np.isfinite(trial.value) else -1.0
            damping *= 10.0 if kept < 0.25 else 0.1 if kept > 0.75 else 1.0
            damping = max(damping, 1e-6)
            if kept < 0.01:
                changes = []
        if n_iter >= STEPS_UNCORRECTED:
            changes = [*changes[1 - MEMORY :], (trial.x - point.x, trial.gradient - g)]
        point = trial
    return point, MOST_STEPS, False


def _corrected(
    step: Callable[[Array], Array], g: Array, changes: list[tuple[Array, Array]]
) -> Array:
    """Return the step to slope g, with the inverse information corrected as by L-BFGS.

    ``step(g)`` is Newton's; ``changes`` hold what the last steps changed, and the slopes by them.
    Coordinates that are held have slope zero in g, and do not move.
    """
    moving, used = g != 0, []
    for dx, dg in reversed(changes):
        dx, dg = dx * moving, dg * moving
        curvature = float(dx @ dg)
        if curvature > 1e-10 * np.sqrt((dx @ dx) * (dg @ dg)):
            part = float(dx @ g) / curvature
            g = g - part * dg
            used.append((dx, dg, curvature, part))
    found = step(g)
    for dx, dg, curvature, part in reversed(used):
        found = found - (part + float(dg @ found) / curvature) * dx
    return found


def _little_is_left(g: Array, H: Information, free: NDArray[np.bool_]) -> bool:
    """Whether a step that is damped by one only would lower the objective by little.

    Where the damping is higher a step promises little because it is short.
    """
    return bool(-float(g @ H.step(g, free, 1.0)) < 0.1)


class _Point:
    """The objective at coordinates x; derivatives are computed where they are asked for."""

    def __init__(self, space: "_Space", x: Array) -> None:
        self.x, self.space = x, space
        self.effects = space.effects(x)
        self.latent = Latent(space.domains, self.effects)
        self.priors = space.priors(x)
        self.value = random_effects.minus_log_likelihood(self.latent)
        self.value += sum(prior.value for _, prior in self.priors)

    @cached_property
    def slopes(self) -> Array:
        """Derivatives of the parameters by their coordinates."""
        one = np.ones_like(self.effects.scale)
        return random_effects.vector(self.effects._replace(scale=one))

    @cached_property
    def gradient(self) -> Array:
        """Derivatives by x."""
        g = random_effects.vector(random_effects.gradient(self.latent)) * self.slopes
        for here, prior in self.priors:
            g[here] += prior.slope
        return g

    @cached_property
    def information(self) -> Information:
        """Average information on x, and the curvature of the priors."""
        # The second derivative by log(tau) is tau^2 I and tau times the slope by tau. It keeps the
        # step towards a variance of zero, where the objective is flat, within two; where it is
        # negative it would not keep H positive.
        diagonal = np.where(self.space.is_log, np.maximum(self.gradient, 0.0) / 2, 0.0)
        common = []
        for here, prior in self.priors:
            diagonal[here] += prior.weight
            common.append(np.zeros_like(self.x))
            common[-1][here] = prior.common
        return random_effects.information(self.latent).scaled(self.slopes).plus(diagonal, common)

    @property
    def evidence(self) -> float:
        """Laplace's approximation of the logarithm of the marginal likelihood."""
        return -self.value - self.information.log_determinant(self.space.free) / 2

    @property
    def noise_df(self) -> float:
        """Degrees of freedom of the target's noise, ``2 / Var(log v_0)`` by the information."""
        place = self.space.noise.start
        if not self.space.free[place]:
            return np.inf
        log_noise = np.eye(1, len(self.x), place)[0]
        variance = -self.information.step(log_noise, self.space.free, LEAST)[place]
        return 2 / max(float(variance), LEAST)


# Priors ------------------------------------------------------------------------------------------


class Prior(NamedTuple):
    """Minus the logarithm of a prior, its slope, and a curvature that is never negative."""

    value: float
    slope: Array  # (m,)
    weight: Array  # (m,) diagonal of the curvature, ...
    common: Array  # (m,) ... less the square of this

    @property
    def curvature(self) -> Array:
        """Curvature of the prior, the common part taken off, (m, m)."""
        return np.diag(self.weight) - np.outer(self.common, self.common)


def alike(
    values: Array, spread: Array | float, df: float, centre: float = 0.0, precision: float = 0.0
) -> Prior:
    """Return the prior of values that are ``c + spread t_df``, c where it is best.

    c has the prior ``N(centre, 1 / precision)``, or a flat one. The weights by which it is found
    are those of Student's t as a mixture of normals; they stand for the curvature as well. With its
    tails there are several good places; the search starts from every tenth of the values. A step
    is Newton's, at most twice that of the mixture: up to there the loss cannot rise.
    """
    scale = 1 / np.broadcast_to(np.square(spread), values.shape)
    c = np.quantile(values, np.linspace(0, 1, 11), method="nearest")

    def weights(c: Array) -> Array:
        return scale * (df + 1) / (df + scale * (values - c[:, None]) ** 2)

    def loss(c: Array) -> Array:
        tails = (df + 1) * np.log1p(scale * (values - c[:, None]) ** 2 / df)
        return (np.sum(tails, axis=1) + precision * (c - centre) ** 2) / 2

    def moved(c: Array) -> Array:
        w = weights(c)
        slope = w @ values - np.sum(w, axis=1) * c + precision * (centre - c)
        mixture = np.sum(w, axis=1) + precision
        newton = 2 * df / (df + 1) * (w**2 @ (1 / scale)) - np.sum(w, axis=1) + precision
        return slope / np.maximum(newton, mixture / 2)

    width = np.min(spread)
    for most, close in ((20, 1e-2 * width), (100, 1e-10 * width)):
        for _ in range(most):
            step = moved(c)
            c = c + step
            if np.all(np.abs(step) <= close):
                break
        c = c[[np.argmin(loss(c))]]
    w = weights(c)[0]
    common = w / np.sqrt(np.sum(w) + precision)
    return Prior(float(loss(c)[0]), w * (values - c), w, common)


# Coordinates -------------------------------------------------------------------------------------


class _Space:
    """Coordinates of all parameters: where they start, which are free, and their bounds."""

    def __init__(
        self, domains: Domains, noise: Array | None, prior: float | None, scaled: bool
    ) -> None:
        self.domains, self.scaled, self.noise_free = domains, scaled, noise is None
        K = domains.sizes[0]
        self.own, self.scale, self.noise = (
            slice(1 + k * (K + 1), 1 + (k + 1) * (K + 1)) for k in range(3)
        )
        size, variance, residual = _sizes(domains)
        own = np.full(K + 1, 0.1 * size if K else 0.0)
        start = Effects(
            1 / size if prior is None else prior,
            own,
            np.ones(K + 1),
            residual if noise is None else noise,
        )
        every, source = np.full(K + 1, True), np.arange(K + 1) > 0
        free = Effects(prior is None, every & (K > 0), source & scaled, every & (noise is None))
        self.free = random_effects.vector(free).astype(bool)
        self.is_log = np.full(len(self.free), True)
        self.is_log[self.scale] = False
        self.values = self._coordinates(start)
        low = Effects(1 / size / RANGE, own / RANGE, np.full(K + 1, -20.0), 1e-7 * variance)
        high = Effects(RANGE / size, own * RANGE, np.full(K + 1, 20.0), 3.0 * variance)
        self.bounds = self._limit(low), self._limit(high)

    def _limit(self, effects: Effects) -> Array:
        """Return a bound of the coordinates; what is not free stays where it is."""
        return np.where(self.free, self._coordinates(effects), self.values)

    def _coordinates(self, effects: Effects) -> Array:
        z = random_effects.vector(effects)
        with np.errstate(divide="ignore"):  # what is zero is not free, and stays zero
            log = np.maximum(np.log(np.where(self.is_log, z, 1.0)), LOG_ZERO)
        return np.where(self.is_log, log, z)

    def effects(self, z: Array) -> Effects:
        """Return the parameters at coordinates."""
        prior = float(np.exp(z[0]))
        return Effects(prior, np.exp(z[self.own]), z[self.scale], np.exp(z[self.noise]))

    def priors(self, z: Array) -> list[tuple[Array, Prior]]:
        """Return (P1) and (P2), and where in z they apply; curvatures as blocks on its diagonal."""
        index, found = np.arange(len(z)), []
        K = self.domains.sizes[0]
        if K:
            spread = np.append(TARGET_SPREAD, np.full(K, OWN_SPREAD))
            found.append((self.own, alike(z[self.own], spread, OWN_DF)))
        if K and self.noise_free:
            found.append((self.noise, alike(z[self.noise], NOISE_SPREAD, NOISE_DF)))
        if self.scaled:
            here = slice(self.scale.start + 1, self.scale.stop)
            precision = 1 / COMMON_SCALE_SPREAD**2
            found.append((here, alike(z[here], SCALE_SPREAD, SCALE_DF, 1.0, precision)))
        return [(index[here], prior) for here, prior in found]

    def starts(self) -> list[Array]:
        """Return where to begin: domains alike, or as unlike as their own fits are.

        Scaled sources begin as they are, mirrored, or of no use.
        """
        found = [self.values]
        if self.domains.sizes[0] > 1 and not self.scaled:
            unlike = self.values.copy()
            unlike[self.own] = np.log(_gaps(self.domains, np.exp(self.values[self.own])))
            found.append(unlike)
        if self.scaled:
            signs = _signs(self.domains)
            for scales in ([signs] if np.any(signs < 0) else []) + [np.zeros_like(signs)]:
                other = self.values.copy()
                other[self.scale] = np.append(1.0, scales)
                found.append(other)
        return found


def _sizes(domains: Domains) -> tuple[float, Array, Array]:
    """Return a size of coefficients' variance, and variances of outputs and of noise, (K+1,)."""
    q, rows = domains.B.shape[1], np.maximum(domains.n, 1.0)
    total = (domains.sums(domains.fit) + domains.rss) / (q * rows)
    level = max(float(rows @ total / np.sum(rows)), 1e-300)
    variance = np.where(total > 1e-12 * level, total, level)
    df = domains.n - domains.ranks
    residual = np.maximum(domains.rss / (q * np.maximum(df, 1.0)), 1e-6 * variance)
    # Half the variance of the outputs is taken to be explained, to begin with.
    signal = np.sum(domains.s) / np.sum(rows)
    size = float(np.mean(variance) / 2 / max(signal, 1e-300))
    return size, variance, np.where(df > 2, residual, 0.4 * variance)


def _gaps(domains: Domains, least: Array) -> Array:
    """Return how far each domain's own fit is from the median of all, at least so far, (K+1,).

    It is the mean square along the directions that a domain has seen; fits are shrunk a little.
    """
    slack = domains.spread_out(1e-2 * domains.sums(domains.s) / domains.lengths)
    inverse = 1 / np.maximum(domains.s + slack, 1e-300)
    own = inverse[:, None] * domains.B  # (R, q) along each direction
    fits = np.add.reduceat(domains.U[:, :, None] * own, domains.first, axis=1)  # (p, K+1, q)
    gap = own - domains.U.T @ np.median(fits, axis=1)
    seen = domains.s > 0
    mean = domains.sums(seen * np.mean(gap**2, axis=1)) / np.maximum(domains.ranks, 1.0)
    return np.clip(mean, least, 1e3 * least)


def _signs(domains: Domains) -> Array:
    """Return whether the outputs of each source rise or fall with what the target's rise, (K,)."""
    products = np.add.reduceat(domains.U[:, :, None] * domains.B, domains.first, axis=1)
    return np.where(np.einsum("pq,pkq->k", products[:, 0], products)[1:] < 0, -1.0, 1.0)
