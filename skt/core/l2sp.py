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
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from skt.core import l2sp_theory, random_effects, safeguard, uowq, variance_search
from skt.core._typing import Array
from skt.core.least_squares import eigenspectrum, penalty_grid
from skt.core.uowq import Problem

# Slack below this is rounding error of a row that only itself determines.
SATURATED = 1e-10
# The same of the weight of the mixed model in the stack: below one the mean risk is lower by half a
# percent, but three sources that have nothing to do with the target cost 3 to 7 percent.
STACK_SPREAD = 1.0
# Penalties that a search looks at, over ten decades about the mean eigenvalue.
GRID_SIZE = 50


def objective(W: Array, X: Array, Y: Array, weight: Array, alpha: float, centre: Array) -> float:
    """Return (L1) at the centre ``sum_k c_k B_k``."""
    distance = float(np.sum((W - centre) ** 2))
    loss = float(weight @ np.sum((Y - X @ W) ** 2, axis=1) / np.sum(weight))
    return loss + (alpha * distance if distance > 0 else 0.0)


# --- sources ------------------------------------------------------------------------------


class SourceRidge(NamedTuple):
    """One source in its eigenbasis, or known by its coefficients alone."""

    n: float
    s: Array  # (r,) eigenvalues of X'X
    U: Array  # (p, r)
    B: Array  # (r, q) U'X'Y
    square: float  # ||Y||^2
    intercept: bool  # whether one row was spent on it
    given: Array | None = None  # (p, q) coefficients that no penalty changes

    def coef(self, alphas: Array) -> Array:
        """Return ridge coefficients along penalties, (T, p, q); exact at zero and infinity."""
        if self.given is not None:
            return np.repeat(self.given[None], len(alphas), axis=0)
        inverse = 1 / (self.s + self.n * alphas[:, None])
        return np.einsum("pr,tr,rq->tpq", self.U, inverse, self.B, optimize=True)

    def grid(self, size: int = GRID_SIZE) -> Array:
        """Return penalties over ten decades about the mean eigenvalue, (size,)."""
        if self.given is not None:
            return np.full(size, np.nan)
        level = float(self.s.sum()) / (self.n * max(len(self.U), 1))
        return penalty_grid(level, size)

    def validation_error(self, alphas: Array) -> Array:
        """Return the generalised cross-validation error of the source's own rows, (T,).

        It needs no rows, only moments: ``(||residual||^2 / n) / (1 - (tr H + intercept) / n)^2``.
        """
        f = self.s / (self.s + self.n * alphas[:, None])
        fit = np.divide(
            np.sum(self.B**2, axis=1), self.s, out=np.zeros_like(self.s), where=self.s > 0
        )
        residual = np.maximum(self.square - (2 * f - f**2) @ fit, 1e-14 * self.square) / self.n
        slack = 1 - (f.sum(axis=1) + self.intercept) / self.n
        return residual / np.maximum(slack, 1e-12) ** 2

    def own_penalty(self) -> float:
        """Return the penalty that is best for the source itself; NaN if none applies."""
        if self.given is not None:
            return np.nan
        grid = self.grid()
        return refine(grid, lambda a: float(self.validation_error(np.array([a]))[0]))


def sources_of(problem: Problem, given: list[Array | None]) -> list[SourceRidge]:
    """Return the sources of a problem; ``given`` holds coefficients that no penalty changes."""
    domains, total = problem.domains, np.trace(problem.Syy, axis1=1, axis2=2)
    sources = []
    for k, coef in enumerate(given, start=1):
        if coef is not None:
            sources.append(source_of_coefficients(coef))
            continue
        basis = domains.part(k)
        sources.append(SourceRidge(float(problem.n[k]), *basis, float(total[k]), problem.intercept))
    return sources


def source_of_moments(
    n: float, Sxx: Array, Sxy: Array, Syy: Array, *, intercept: bool
) -> SourceRidge:
    """Return a source from its moments, (p, p), (p, q), (q, q)."""
    s, U = eigenspectrum(Sxx)
    return SourceRidge(n, s, U, U.T @ Sxy, float(np.trace(Syy)), intercept)


def source_of_coefficients(coef: Array) -> SourceRidge:
    """Return a source of which only coefficients (p, q) are known."""
    p, q = coef.shape
    none = np.zeros(0)
    return SourceRidge(np.nan, none, np.zeros((p, 0)), np.zeros((0, q)), np.nan, False, coef)


def refine(grid: Array, value: Callable[[float], float]) -> float:
    """Return the minimiser on a logarithmic grid, refined between its neighbours."""
    best = int(np.argmin([value(a) for a in grid]))
    low, high = np.log(grid[max(best - 1, 0)]), np.log(grid[min(best + 1, len(grid) - 1)])
    end = minimize_scalar(lambda x: value(float(np.exp(x))), bounds=(low, high), method="bounded")
    return float(np.exp(end.x)) if end.fun <= value(grid[best]) else float(grid[best])


# --- target -------------------------------------------------------------------------------


class TargetBasis(NamedTuple):
    """Rows of the target in their singular basis."""

    L: Array  # (n_rows, r) left vectors, divided by root weights
    sigma: Array  # (r,) positive singular values
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
        gap = self.LY - self.sigma[:, None] * (self.V.T @ centre)
        return centre + self.V @ ((self.sigma / (self.sigma**2 + self.n * alpha))[:, None] * gap)

    def turned(self, turn: Array) -> "TargetBasis":
        """Return the target with outputs multiplied by ``turn`` (q, q) from the right."""
        return self._replace(LY=self.LY @ turn, outside=self.outside @ turn)

    def grid(self, size: int = GRID_SIZE) -> Array:
        """Return penalties over ten decades about the mean eigenvalue, (size,)."""
        level = float(np.sum(self.sigma**2)) / (self.n * max(len(self.V), 1))
        return penalty_grid(level, size)

    def complement(self, alpha: float) -> tuple[Array, Array]:
        """Return g and 1 - h; at penalty 0 both up to a common factor where rows are matched."""
        g = _one_minus_shrinkage(self.sigma**2, self.n * alpha)
        if alpha == 0 and not np.any(self.slack > 0) and len(self.sigma):
            g = np.min(self.sigma) ** 2 / self.sigma**2
        return g, self.slack + self.part * (self.L**2 @ g)


def target_of_rows(X: Array, Y: Array, weight: Array, *, intercept: bool) -> TargetBasis:
    """Decompose the target's rows, which are centred where an intercept is fitted."""
    root = np.sqrt(weight)[:, None]
    L, sigma, Vt = np.linalg.svd(root * X, full_matrices=False)
    seen = sigma > max(X.shape) * np.finfo(float).eps * sigma.max(initial=0.0)
    L, sigma, V = L[:, seen], sigma[seen], Vt[seen].T
    LY = L.T @ (root * Y)
    L = L / root
    part = np.minimum(weight, 1.0)
    h = np.sum(L**2, axis=1) + (1 / weight.sum() if intercept else 0.0)
    slack = 1 - part * h
    slack = np.where(slack > SATURATED, slack, 0.0)
    # What rounding leaves of rows that are matched exactly must not count as their error.
    outside = np.where(slack[:, None] > 0, Y - L @ LY, 0.0)
    return TargetBasis(L, sigma, V, LY, outside, slack, weight, part)


def _one_minus_shrinkage(s: Array, penalty: float) -> Array:
    """Return ``penalty / (s + penalty)``, one at infinity."""
    return np.ones_like(s) if np.isinf(penalty) else penalty / (s + penalty)


def residuals_left_out(target: TargetBasis, alpha: float, predicted: Array | None = None) -> Array:
    """Return ``R Y`` of (L2), (n_rows, q), or ``R (L predicted)`` of predictions (r, m)."""
    g, slack = target.complement(alpha)
    inside = target.LY if predicted is None else predicted
    residual = target.L @ (g[:, None] * inside)
    if predicted is None:
        residual = residual + target.outside
    return residual / np.maximum(slack, 1e-300)[:, None]


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
    shift: Array | None = None  # (q,) of the intercept, towards what the sources predict


def penalty_for_transfer(source: SourceRidge, rho: float, own: float, scale: float | None) -> float:
    """Return tau_0* at the source's spectrum, gamma and rho as estimated.

    Where the scale is free it is the source's own optimum: the mismatch is one of scale.
    """
    if scale is None or source.given is not None:
        return own
    s = np.concatenate((source.s / source.n, np.zeros(len(source.U) - len(source.s))))
    return l2sp_theory.transfer_optimal_penalty(l2sp_theory.empirical(s), rho, own, scale)


def mean_source(target: TargetBasis, sources: list[SourceRidge]) -> Chosen:
    """Return the mean of the sources at their own penalties, for a target without slopes."""
    K = len(sources)
    own = np.array([source.own_penalty() for source in sources])
    coefs = np.array([s.coef(tau[None])[0] for s, tau in zip(sources, own, strict=True)])
    mean = np.full(K, 1 / K)
    unknown = np.full(K, np.nan)
    return Chosen(np.tensordot(mean, coefs, 1), np.inf, own, mean, coefs, unknown, np.nan, np.nan)


def loo_curves(target: TargetBasis, alphas: Array, *turns: Array) -> Array:
    """Return the leave-one-out error of the target alone at its penalties, (1 + turns, M).

    First in the units of the outputs, then with residuals multiplied by each turn (q, q).
    """
    curves = np.empty((1 + len(turns), len(alphas)))
    for m, alpha in enumerate(alphas):
        e = residuals_left_out(target, alpha)
        curves[:, m] = [mean_square(target, each) for each in (e, *(e @ turn for turn in turns))]
    return curves


def mean_square(target: TargetBasis, residuals: Array) -> float:
    """Return the mean over rows and outputs of squared residuals (n_rows, q)."""
    return float(np.average(np.mean(residuals**2, axis=1), weights=target.weight))


# --- choice by marginal likelihood ------------------------------------------------------------


def mixed_model(problem: Problem) -> tuple[Chosen, Array]:
    """Best linear prediction of the target's coefficients, and its leave-one-out residuals.

    Scales, variances and noise by marginal likelihood; models with and without scales are averaged
    by their evidence.
    """
    models = variance_search.fit_models(problem.domains)
    fit = uowq.mixture(problem, models)
    weight = np.array([model.weight for model in models])
    weight = weight / np.sum(weight)
    implied = [implied_penalties(model.effects, problem.n) for model in models]
    inverse, scales, alignment = (
        np.tensordot(weight, np.array(part), 1) for part in zip(*implied, strict=True)
    )
    alpha, taus = float(1 / inverse[0]), 1 / inverse[1:]
    sources = sources_of(problem, [None] * len(taus))
    coefs = [source.coef(tau[None])[0] for source, tau in zip(sources, taus, strict=True)]
    chosen = Chosen(
        fit.coef, alpha, taus, scales, np.array(coefs), alignment, fit.risk, fit.target_risk,
        converged=fit.search.converged, n_iter=fit.search.n_iter, shift=fit.level.shift,
    )  # fmt: skip
    return chosen, uowq.loo_residuals_of(problem, fit)


def implied_penalties(effects: random_effects.Effects, n: Array) -> tuple[Array, Array, Array]:
    """Return what a mixed model stands for in (L1): inverse penalties (K+1,), scales, alignments.

    ``W_0`` given the sources' coefficients has mean ``sum c_k W_k`` and variance
    ``tau_0 + 1 / (pi + sum rho_k^2 / tau_k)``; that of source k alone has variance
    ``rho_k^2 / pi + tau_k``. The inverse penalty is ``n_i / v_i`` times the variance.
    """
    pi, tau, rho = effects.prior, effects.own[1:], effects.scale[1:]
    precision = pi + np.sum(rho**2 / tau)
    variance = rho**2 / pi + tau
    variances = np.append(effects.common + 1 / precision, variance)
    return n / effects.noise * variances, rho / tau / precision, rho / pi / variance


def stack(
    chosen: Chosen, loo: Array, target: TargetBasis, alphas: Array, curve: Array
) -> tuple[Chosen, Array]:
    """Stack the mixed model with target-only ridge by exact leave-one-out; return its residuals.

    The ridge has the penalty of the least error on its ``curve`` over ``alphas``. The weight b of
    the mixed model has the prior ``N(1, STACK_SPREAD^2)``: few rows cannot tell it, and then the
    mixed model, which weighs the target against its sources already, is not diluted.
    """
    best = float(alphas[np.argmin(curve)])
    ridge_loo = residuals_left_out(target, best)
    b = safeguard.shrunk_stacking_weight(loo, ridge_loo, target.weight, STACK_SPREAD)
    ridge = target.coef(best, np.zeros_like(chosen.coef))
    stacked = chosen._replace(
        coef=b * chosen.coef + (1 - b) * ridge,
        risk=b * chosen.risk + (1 - b) * chosen.target_risk,
        weight=b,
        shift=None if chosen.shift is None else b * chosen.shift,
    )
    return stacked, b * loo + (1 - b) * ridge_loo
