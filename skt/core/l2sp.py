"""L2-SP ridge: a target pulled towards its sources' ridge fits; exact leave-one-out surfaces.

Notation (arXiv 2511.08401v4; its tau_0 is ``source_alpha``, its lambda ``alpha``)
--------
n, p, q : rows (by their weights), features, outputs of the target; K sources.
X, Y, w : rows of the target, centred where an intercept is fitted, and their weights.
B_k(tau) : ridge fit of source k, the minimiser of ``(1/n_k) ||Y_k - X_k B||^2 + tau ||B||^2``.
c : (K,) scale of each source.

    F(W) = (1/n) ||Y - X W||^2 + alpha ||W - sum_k c_k B_k(tau_k)||^2                          (L1)

Leave-one-out. With ``X = L diag(s) V'`` and ``g = n alpha / (s^2 + n alpha)`` the residuals of
rows left out, at the total penalty n alpha, are linear in (Y, c):

    e = R (Y - sum_k c_k X B_k),   R = (I - H) / (1 - h),   I - H = L g L' + (I - L L')        (L2)

H knows neither tau nor c. So one decomposition of the target and one of each source give the
error of every pair of penalties as a quadratic form in c, whose minimiser is exact.

Mixed model. Source coefficients are random, ``W_k = rho_k W_0 + D_k`` (``random_effects``). Given
W_k, the mean of W_0 is ``sum_k c_k W_k``: (L1) with its c and alpha, the sources fitted jointly.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar, nnls

from . import quadratic, random_effects, spectra
from .combination import Task, excess_risk, target_covariance
from .quadratic import Array, eigenspectrum

# Slack below this is rounding error of a row that only itself determines.
SATURATED = 1e-10
# Prior standard deviation of a source's scale around one. At 0.5 a single source that points the
# wrong way is not turned round often enough; with several sources the two are alike.
SCALE_SPREAD = 1.0
# The same of the weight of the mixed model in the stack: below one the mean risk is lower by half a
# percent, but three sources that have nothing to do with the target cost 3 to 7 percent.
STACK_SPREAD = 1.0
# Prior standard deviation of the sum of several sources' scales around one under leave-one-out.
# Without the prior, 18 sources on 25 rows cost more than they give; at 1 and at 0.3 it is alike.
SUM_SPREAD = 0.5
# Rows are dealt into so many parts to estimate what a choice on the surface is worth.
N_PARTS = 10
# Penalties that a search looks at, over ten decades about the mean eigenvalue.
GRID_SIZE = 50


def objective(W: Array, X: Array, Y: Array, weight: Array, alpha: float, centre: Array) -> float:
    """Return (L1) at the centre ``sum_k c_k B_k``."""
    distance = float(np.sum((W - centre) ** 2))
    loss = float(weight @ np.sum((Y - X @ W) ** 2, axis=1) / np.sum(weight))
    return loss + (alpha * distance if distance > 0 else 0.0)


# --- sources ------------------------------------------------------------------------------


class Source(NamedTuple):
    """One source in its eigenbasis, or known by its coefficients alone."""

    n: float
    s: Array  # (r,) eigenvalues of X'X / n
    U: Array  # (p, r)
    B: Array  # (r, q) U'X'Y / n
    square: float  # ||Y||^2 / n
    intercept: bool  # whether one row was spent on it
    given: Array | None = None  # (p, q) coefficients that no penalty changes

    def coef(self, alphas: Array) -> Array:
        """Return ridge coefficients along penalties, (T, p, q); exact at zero and infinity."""
        if self.given is not None:
            return np.repeat(self.given[None], len(alphas), axis=0)
        inverse = 1 / (self.s + alphas[:, None])
        return np.einsum("pr,tr,rq->tpq", self.U, inverse, self.B, optimize=True)

    def grid(self, size: int = GRID_SIZE) -> Array:
        """Return penalties over ten decades about the mean eigenvalue, (size,)."""
        if self.given is not None:
            return np.full(size, np.nan)
        level = self.s.sum() / max(len(self.U), 1)
        return np.geomspace(1e-5, 1e5, size) * (level if level > 0 else 1.0)

    def validation_error(self, alphas: Array) -> Array:
        """Return the generalised cross-validation error of the source's own rows, (T,).

        It needs no rows, only moments: ``(||residual||^2 / n) / (1 - (tr H + intercept) / n)^2``.
        """
        f = self.s / (self.s + alphas[:, None])
        fit = np.divide(
            np.sum(self.B**2, axis=1), self.s, out=np.zeros_like(self.s), where=self.s > 0
        )
        residual = np.maximum(self.square - (2 * f - f**2) @ fit, 1e-14 * self.square)
        slack = 1 - (f.sum(axis=1) + self.intercept) / self.n
        return residual / np.maximum(slack, 1e-12) ** 2

    def own_penalty(self) -> float:
        """Return the penalty that is best for the source itself; NaN if none applies."""
        if self.given is not None:
            return np.nan
        grid = self.grid()
        return refine(grid, lambda a: float(self.validation_error(np.array([a]))[0]))


def source_of_moments(n: float, Sxx: Array, Sxy: Array, Syy: Array, *, intercept: bool) -> Source:
    """Return a source from its moments, (p, p), (p, q), (q, q)."""
    s, U = eigenspectrum(Sxx / n)
    return Source(n, s, U, U.T @ Sxy / n, float(np.trace(Syy)) / n, intercept)


def source_of_coefficients(coef: Array) -> Source:
    """Return a source of which only coefficients (p, q) are known."""
    p, q = coef.shape
    none = np.zeros(0)
    return Source(np.nan, none, np.zeros((p, 0)), np.zeros((0, q)), np.nan, False, coef)


def refine(grid: Array, value: Callable[[float], float]) -> float:
    """Return the minimiser on a logarithmic grid, refined between its neighbours."""
    best = int(np.argmin([value(a) for a in grid]))
    low, high = np.log(grid[max(best - 1, 0)]), np.log(grid[min(best + 1, len(grid) - 1)])
    end = minimize_scalar(lambda x: value(float(np.exp(x))), bounds=(low, high), method="bounded")
    return float(np.exp(end.x)) if end.fun <= value(grid[best]) else float(grid[best])


# --- target -------------------------------------------------------------------------------


class Target(NamedTuple):
    """Rows of the target in their singular basis."""

    L: Array  # (n_rows, r) left vectors, divided by root weights
    s: Array  # (r,) positive singular values
    V: Array  # (p, r)
    LY: Array  # (r, q)
    outside: Array  # (n_rows, q) what of Y no coefficients explain
    slack: Array  # (n_rows,) 1 - h at penalty zero
    weight: Array
    part: Array  # (n_rows,) what is left out: one copy, or the whole of a lighter row

    @property
    def n(self) -> float:
        """Rows, by their weights."""
        return float(np.sum(self.weight))

    def coef(self, alpha: float, centre: Array) -> Array:
        """Minimise (L1); at infinity the centre, at zero the minimiser next to it."""
        if np.isinf(alpha):
            return centre
        gap = self.LY - self.s[:, None] * (self.V.T @ centre)
        return centre + self.V @ ((self.s / (self.s**2 + self.n * alpha))[:, None] * gap)

    def grid(self, size: int = GRID_SIZE) -> Array:
        """Return penalties over ten decades about the mean eigenvalue, (size,)."""
        level = np.sum(self.s**2) / (self.n * max(len(self.V), 1))
        return np.geomspace(1e-5, 1e5, size) * (level if level > 0 else 1.0)

    def complement(self, alpha: float) -> tuple[Array, Array]:
        """Return g and 1 - h; at penalty 0 both up to a common factor where rows are matched."""
        g = _one_minus_shrinkage(self.s**2, self.n * alpha)
        if alpha == 0 and not np.any(self.slack > 0) and len(self.s):
            g = np.min(self.s) ** 2 / self.s**2
        return g, self.slack + self.part * (self.L**2 @ g)


def target_of_rows(X: Array, Y: Array, weight: Array, *, intercept: bool) -> Target:
    """Decompose the target's rows, which are centred where an intercept is fitted."""
    root = np.sqrt(weight)[:, None]
    L, s, Vt = np.linalg.svd(root * X, full_matrices=False)
    seen = s > max(X.shape) * np.finfo(float).eps * s.max(initial=0.0)
    L, s, V = L[:, seen], s[seen], Vt[seen].T
    LY = L.T @ (root * Y)
    L = L / root
    part = np.minimum(weight, 1.0)
    leverage = np.sum(L**2, axis=1) + (1 / weight.sum() if intercept else 0.0)
    slack = 1 - part * leverage
    slack = np.where(slack > SATURATED, slack, 0.0)
    # What rounding leaves of rows that are matched exactly must not count as their error.
    outside = np.where(slack[:, None] > 0, Y - L @ LY, 0.0)
    return Target(L, s, V, LY, outside, slack, weight, part)


def _one_minus_shrinkage(s: Array, penalty: float) -> Array:
    """Return ``penalty / (s + penalty)``, one at infinity."""
    return np.ones_like(s) if np.isinf(penalty) else penalty / (s + penalty)


def loo_residuals(target: Target, alpha: float, predicted: Array | None = None) -> Array:
    """Return ``R Y`` of (L2), (n_rows, q), or ``R (L predicted)`` of predictions (r, m)."""
    g, slack = target.complement(alpha)
    inside = target.LY if predicted is None else predicted
    residual = target.L @ (g[:, None] * inside)
    if predicted is None:
        residual = residual + target.outside
    return residual / np.maximum(slack, 1e-300)[:, None]


# --- the surface --------------------------------------------------------------------------


class Surface(NamedTuple):
    """Leave-one-out error of every pair of penalties as a quadratic form in the scales c.

    ``error = null - 2 c'cross + c'gram c``: means over rows and outputs.
    """

    alphas: Array  # (M,)
    source_alphas: Array  # (T, K)
    null: Array  # (M,) error without sources
    cross: Array  # (M, T, K)
    gram: Array  # (M, T, K, K)
    n: float  # rows

    def error(self, scales: Array) -> Array:
        """Return the error at scales (M, T, K)."""
        linear = np.einsum("mtk,mtk->mt", scales, self.cross)
        square = np.einsum("mtk,mtkl,mtl->mt", scales, self.gram, scales)
        return np.maximum(self.null[:, None] - 2 * linear + square, 0.0)

    def plus(self, other: "Surface", sign: int) -> "Surface":
        """Return the surface with the rows of another added or, sign -1, taken away."""
        names = ("null", "cross", "gram", "n")
        return self._replace(**{a: getattr(self, a) + sign * getattr(other, a) for a in names})


def loo_surface(
    target: Target, sources: list[Source], alphas: Array, source_alphas: Array
) -> Surface:
    """Return the exact surface; source_alphas (T, K) holds the penalties of each source.

    Cost: one product (n_rows, r) by (r, T K q) for each alpha.
    """
    return loo_parts(target, sources, alphas, source_alphas, [slice(None)])[0]


def loo_parts(
    target: Target, sources: list[Source], alphas: Array, source_alphas: Array, parts: list[Any]
) -> list[Surface]:
    """Return what each part of the rows adds to the surface: they sum to it."""
    T, K = source_alphas.shape
    q, M, F = target.LY.shape[1], len(alphas), len(parts)
    predicted = _predicted(target, sources, source_alphas)
    unit = np.sqrt(target.weight / (target.n * q))[:, None]
    null, cross, gram = np.empty((F, M)), np.empty((F, M, T, K)), np.empty((F, M, T, K, K))
    for m, alpha in enumerate(alphas):
        residual = unit * loo_residuals(target, alpha)
        moved = (unit * loo_residuals(target, alpha, predicted)).reshape(len(unit), T, K, q)
        for f, rows in enumerate(parts):
            e, E = residual[rows], moved[rows]
            null[f, m] = np.sum(e**2)
            cross[f, m] = np.tensordot(E, e, axes=([0, 3], [0, 1]))
            gram[f, m] = np.einsum("ntkq,ntlq->tkl", E, E, optimize=True)
    n = [float(np.sum(target.weight[rows])) for rows in parts]
    return [
        Surface(alphas, source_alphas, *sums) for sums in zip(null, cross, gram, n, strict=True)
    ]


def _predicted(target: Target, sources: list[Source], source_alphas: Array) -> Array:
    """Return the fits of all sources on the target's singular directions, (r, T K q)."""
    (T, K), p, q = source_alphas.shape, len(target.V), target.LY.shape[1]
    paths = [s.coef(a) for s, a in zip(sources, source_alphas.T, strict=True)]
    coefs = np.stack(paths, axis=1) if K else np.zeros((T, 0, p, q))
    along = target.V.T @ coefs.transpose(2, 0, 1, 3).reshape(p, T * K * q)
    return target.s[:, None] * along


def best_scales(surface: Surface, total: float | None) -> Array:
    """Return the scales for each pair of penalties, (M, T, K).

    ``total`` None leaves them free: a single source takes its projection, of either sign.
    Several take non-negative least squares with the prior ``N(1/K, SUM_SPREAD^2 / K)`` each, so
    that their sum is ``N(1, SUM_SPREAD^2)``: few rows cannot tell the scales of many sources. A
    number fixes their sum: the centre is then that number times a weighted mean of the sources.
    """
    K = surface.cross.shape[-1]
    if K == 0:
        return surface.cross
    if K == 1:
        square = surface.gram[..., 0]
        free = np.divide(surface.cross, square, out=np.zeros_like(square), where=square > 0)
        return free if total is None else np.full_like(free, total)
    cross, gram = surface.cross.reshape(-1, K), surface.gram.reshape(-1, K, K)
    if total is None:
        pull = surface.null.min() / surface.n * K / SUM_SPREAD**2
        pairs = zip(cross + pull / K, gram + pull * np.eye(K), strict=True)
        scales = [_nnls_of_gram(b, G) for b, G in pairs]
    else:
        null = np.repeat(surface.null, surface.cross.shape[1])
        scales = [_mixture(b, G, a, total) for b, G, a in zip(cross, gram, null, strict=True)]
    return np.array(scales).reshape(surface.cross.shape)


def _mixture(cross: Array, gram: Array, null: float, total: float) -> Array:
    """Minimise over ``c = total u``, u on the simplex.

    There the error is the square ``u'Qu``, and the scale free trick of ``allocation`` applies.
    """
    b = total * cross
    Q = total**2 * gram - b[:, None] - b + null
    u = _nnls_of_gram(np.ones(len(b)), Q / max(np.trace(Q), 1e-300) + 1.0)
    return total * u / u.sum()


def _nnls_of_gram(b: Array, G: Array) -> Array:
    """Minimise ``c'Gc - 2 c'b`` over ``c >= 0`` for b in the span of G."""
    e, U = np.linalg.eigh(G)
    root = np.sqrt(np.maximum(e, 1e-14 * max(e[-1], 1e-300)))
    A = root[:, None] * U.T
    return nnls(A, (U.T @ b) / root, maxiter=100 * len(b))[0]


# --- choice by leave-one-out ----------------------------------------------------------------


class Chosen(NamedTuple):
    """Penalties and scales, and what they are expected to be worth."""

    coef: Array  # (p, q)
    alpha: float
    source_alphas: Array  # (K,) NaN where a source is known by its coefficients
    scales: Array  # (K,)
    source_coefs: Array  # (K, p, q)
    alignment: Array  # (K,)
    risk: float
    target_risk: float
    weight: float = 1.0  # of the mixed model where it is stacked
    converged: bool = True
    n_iter: int = 1
    error: float = np.nan  # mean squared leave-one-out error


def choose_by_loo(
    surface: Surface,
    target: Target,
    sources: list[Source],
    alignment: Array,
    total: float | None,
    parts: list[Array],
) -> Chosen:
    """Return the pair of penalties of least leave-one-out error, and its scales.

    The larger penalty wins a tie. ``parts`` of the rows validate what it is worth (`deal`).
    """
    scales = best_scales(surface, total)
    m, t = _lowest(surface.error(scales))
    alpha, taus = float(surface.alphas[m]), surface.source_alphas[t]
    shape = len(target.V), target.LY.shape[1]
    coefs = np.zeros((len(sources), *shape))
    for k, source in enumerate(sources):
        coefs[k] = source.coef(taus[k : k + 1])[0]
    target_risk = target_only_risk(target, surface)
    gain = validated_gain(target, sources, surface, total, parts) if sources else 0.0
    return Chosen(
        target.coef(alpha, np.tensordot(scales[m, t], coefs, 1)),
        alpha, taus, scales[m, t], coefs, alignment, max(target_risk - gain, 0.0), target_risk,
        error=float(surface.error(scales)[m, t]),
    )  # fmt: skip


def _lowest(error: Array) -> tuple[int, int]:
    """Return the place of the least error; the last of ties."""
    m, t = np.argwhere(error <= error.min() * (1 + 1e-12))[-1]
    return int(m), int(t)


def target_only_risk(target: Target, surface: Surface) -> float:
    """Return the excess risk of the target alone, from its leave-one-out error.

    The error is noise plus risk, a part ``h / (1 - h)`` of noise for each row.
    """
    alone = int(np.argmin(surface.null))
    _, slack = target.complement(float(surface.alphas[alone]))
    ratio = (1 - slack) / np.maximum(slack, 1 / (1 + target.n))
    unit = max(float(np.average(ratio, weights=target.weight)), 0.0)
    return float(surface.null[alone]) * unit / (1 + unit)


def validated_gain(
    target: Target,
    sources: list[Source],
    surface: Surface,
    total: float | None,
    parts: list[Array],
) -> float:
    """Return by how much the sources lower the leave-one-out error, less what choosing pretends.

    The least error of a surface is optimistic. So the penalties and scales for each part of the
    rows, and the penalty of the target alone, are chosen on the others' errors. Every second
    penalty of the target and third of the sources is looked at: errors are flat between them.
    """
    given = surface.alphas[::2], surface.source_alphas[::3]
    sums = loo_parts(target, sources, *given, parts)
    whole = sums[0]
    for part in sums[1:]:
        whole = whole.plus(part, 1)
    gain = 0.0
    for part in sums if len(sums) > 1 else ():
        rest = whole.plus(part, -1)
        scales = best_scales(rest, total)
        chosen = _lowest(rest.error(scales))
        gain += float(part.null[np.argmin(rest.null)] - part.error(scales)[chosen])
    return gain


def deal(X: Array, Y: Array, n_parts: int = N_PARTS) -> list[Array]:
    """Return the rows of each part: distinct rows, by the size of their outputs, dealt in turn.

    Equal rows share a part, and neither the order of rows nor the unit or sign of Y matters.
    """
    table = np.column_stack([np.linalg.norm(Y, axis=1), X])
    _, code = np.unique(table, axis=0, return_inverse=True)
    number = code.reshape(-1) % min(n_parts, code.max() + 1)
    return [np.flatnonzero(number == part) for part in range(number.max() + 1)]


def alignments(target: Target, sources: list[Source], own: Array) -> Array:
    """Return rho of each source: its free scale at its own penalty, where the target's is best."""
    alphas = target.grid()
    rho = np.empty(len(sources))
    for k, source in enumerate(sources):
        surface = loo_surface(target, [source], alphas, own[None, k : k + 1])
        scales = best_scales(surface, None)
        rho[k] = scales[np.argmin(surface.error(scales)[:, 0]), 0, 0]
    return rho


def transfer_optimal_penalty(source: Source, rho: float, own: float, scale: float | None) -> float:
    """Return tau_0* at the source's spectrum, gamma and rho as estimated.

    Where the scale is free it is the source's own optimum: the mismatch is one of scale.
    """
    if scale is None or source.given is not None:
        return own
    s = np.concatenate((source.s, np.zeros(len(source.U) - len(source.s))))
    return spectra.transfer_optimal_penalty(spectra.empirical(s), rho, own, scale)


def mean_source(target: Target, sources: list[Source]) -> Chosen:
    """Return the mean of the sources at their own penalties, for a target without slopes."""
    K = len(sources)
    own = np.array([source.own_penalty() for source in sources])
    coefs = np.array([s.coef(tau[None])[0] for s, tau in zip(sources, own, strict=True)])
    mean = np.full(K, 1 / K)
    unknown = np.full(K, np.nan)
    return Chosen(np.tensordot(mean, coefs, 1), np.inf, own, mean, coefs, unknown, np.nan, np.nan)


def mean_square(target: Target, residuals: Array) -> float:
    """Return the mean over rows and outputs of squared residuals (n_rows, q)."""
    return float(np.average(np.mean(residuals**2, axis=1), weights=target.weight))


def loo_curve(target: Target, alphas: Array) -> Array:
    """Return the leave-one-out error of the target alone at its penalties, (M,)."""
    return loo_surface(target, [], alphas, np.empty((1, 0))).null


# --- choice by marginal likelihood ------------------------------------------------------------


def mixed_model(task: Task, part: Array) -> tuple[Chosen, Array]:
    """Best linear prediction of the target's coefficients, and its leave-one-out residuals.

    Scales, variances and noise by marginal likelihood; ``part`` of each row is left out.
    """
    domains = random_effects.decompose(task.rows, task.Sxx, task.Sxy, task.Syy)
    effects, search = random_effects.fit_effects(
        domains, scale_spread=SCALE_SPREAD, uniform_shares=True
    )
    prediction = random_effects.predict_target(domains, effects)
    leverage = np.sum((task.X @ prediction.covariance) * task.X, axis=1) / effects.noise[0]
    leverage += 1 / task.n[0] if task.intercept else 0.0
    loo = quadratic.loo_residuals(task.Y - task.X @ prediction.coef, (part * leverage)[:, None])
    v = float(effects.noise[0])
    penalty = effects.prior * v
    alpha, taus, scales, alignment = implied_penalties(effects, task.n)
    coefs = [
        quadratic.ridge(S, b, n * tau)
        for S, b, n, tau in zip(task.Sxx[1:], task.Sxy[1:], task.n[1:], taus, strict=True)
    ]
    chosen = Chosen(
        prediction.coef, alpha, taus, scales, np.array(coefs), alignment,
        excess_risk(task, prediction.covariance, v),
        excess_risk(task, target_covariance(task, penalty, v), v),
        converged=search.converged, n_iter=search.n_iter,
    )  # fmt: skip
    return chosen, loo


def implied_penalties(
    effects: random_effects.Effects, n: Array
) -> tuple[float, Array, Array, Array]:
    """Return alpha, source penalties, scales and alignments that the mixed model stands for.

    ``W_0`` given the sources' coefficients has mean ``sum c_k W_k`` and precision
    ``pi + sum rho_k^2 / tau_k``; that of source k alone has variance ``rho_k^2 / pi + tau_k``.
    """
    pi, tau, rho, v = effects.prior, effects.own, effects.scale, effects.noise
    precision = pi + np.sum(rho**2 / tau)
    variance = rho**2 / pi + tau
    alpha = v[0] * precision / n[0]
    return float(alpha), v[1:] / (n[1:] * variance), rho / tau / precision, rho / pi / variance


def stack(chosen: Chosen, loo: Array, target: Target) -> tuple[Chosen, Array]:
    """Stack the mixed model with target-only ridge by exact leave-one-out; return its residuals.

    Its weight b has the prior ``N(1, STACK_SPREAD^2)``: few rows cannot tell it, and then the
    mixed model, which weighs the target against its sources already, is not diluted.
    """
    alphas = target.grid()
    best = float(alphas[np.argmin(loo_curve(target, alphas))])
    ridge_loo = loo_residuals(target, best)
    difference = ridge_loo - loo
    length = np.sum(target.weight[:, None] * difference**2)
    gain = np.sum(target.weight[:, None] * difference * ridge_loo)
    noise = min(mean_square(target, e) for e in (ridge_loo, loo))
    pull = noise / STACK_SPREAD**2
    b = float(np.clip((gain + pull) / (length + pull), 0.0, 1.0)) if length > 0 else 1.0
    ridge = target.coef(best, np.zeros_like(chosen.coef))
    stacked = chosen._replace(
        coef=b * chosen.coef + (1 - b) * ridge,
        risk=b * chosen.risk + (1 - b) * chosen.target_risk,
        weight=b,
    )
    return stacked, b * loo + (1 - b) * ridge_loo
