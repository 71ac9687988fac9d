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
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar, nnls

from .quadratic import Array, eigenspectrum

# Slack below this is rounding error of a row that only itself determines.
SATURATED = 1e-10
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
        level = self.s.sum() / max(len(self.U), 1)
        return np.geomspace(1e-5, 1e5, size) * (level if level > 0 else 1.0)

    def validation_error(self, alphas: Array) -> Array:
        """Return the generalised cross-validation error of the source's own rows, (T,).

        It needs no rows, only moments: ``(||residual||^2 / n) / (1 - (tr H + intercept) / n)^2``.
        """
        f = self.s / (self.s + alphas[:, None])
        fit = np.divide(np.sum(self.B**2, axis=1), self.s, out=np.zeros_like(self.s), where=self.s > 0)
        residual = np.maximum(self.square - (2 * f - f**2) @ fit, 1e-14 * self.square)
        slack = 1 - (f.sum(axis=1) + self.intercept) / self.n
        return residual / np.maximum(slack, 1e-12) ** 2

    def own_penalty(self) -> float:
        """Return the penalty that is best for the source itself."""
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


def refine(grid: Array, value) -> float:  # type: ignore[no-untyped-def]
    """Return the minimiser on a logarithmic grid, refined between its neighbours."""
    best = int(np.argmin([value(a) for a in grid]))
    low, high = np.log(grid[max(best - 1, 0)]), np.log(grid[min(best + 1, len(grid) - 1)])
    end = minimize_scalar(lambda x: value(np.exp(x)), bounds=(low, high), method="bounded")
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
    """Return ``R Y`` of (L2), (n_rows, q), or R of predictions ``L predicted``, predicted (r, m)."""
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

    def error(self, scales: Array) -> Array:
        """Return the error at scales (M, T, K)."""
        linear = np.einsum("mtk,mtk->mt", scales, self.cross)
        square = np.einsum("mtk,mtkl,mtl->mt", scales, self.gram, scales)
        return self.null[:, None] - 2 * linear + square


def loo_surface(target: Target, sources: list[Source], alphas: Array, source_alphas: Array) -> Surface:
    """Return the exact surface; source_alphas (T, K) holds the penalties of each source.

    Cost: one product (n_rows, r) by (r, T K q) for each alpha.
    """
    T, K = source_alphas.shape
    q = target.LY.shape[1]
    paths = [s.coef(a) for s, a in zip(sources, source_alphas.T, strict=True)]
    coefs = np.stack(paths, axis=1) if K else np.zeros((T, 0, len(target.V), q))
    along = target.V.T @ coefs.transpose(2, 0, 1, 3).reshape(len(target.V), -1)
    predicted = target.s[:, None] * along  # (r, T K q)
    unit = np.sqrt(target.weight / (target.n * q))[:, None]
    null, cross, gram = np.empty(len(alphas)), np.empty((len(alphas), T, K)), []
    for m, alpha in enumerate(alphas):
        e = unit * loo_residuals(target, alpha)
        E = (unit * loo_residuals(target, alpha, predicted)).reshape(len(e), T, K, q)
        null[m] = np.sum(e**2)
        cross[m] = np.tensordot(E, e, axes=([0, 3], [0, 1]))
        gram.append(np.einsum("ntkq,ntlq->tkl", E, E, optimize=True))
    return Surface(alphas, source_alphas, null, cross, np.array(gram).reshape(-1, T, K, K))


def best_scales(surface: Surface, total: float | None) -> Array:
    """Return the scales of least error for each pair of penalties, (M, T, K).

    ``total`` None leaves them free: a single source takes its projection, of either sign;
    several are turned to face the target and take non-negative least squares. A number fixes
    their sum: the centre is then that number times a weighted mean of the sources.
    """
    K = surface.cross.shape[-1]
    if K == 0:
        return surface.cross
    if K == 1:
        square = surface.gram[..., 0]
        free = np.divide(surface.cross, square, out=np.zeros_like(square), where=square > 0)
        return free if total is None else np.full_like(free, total)
    flat = surface.cross.reshape(-1, K), surface.gram.reshape(-1, K, K)
    if total is None:
        scales = [_free_scales(b, G) for b, G in zip(*flat, strict=True)]
    else:
        null = np.repeat(surface.null, surface.cross.shape[1])
        scales = [_mixture(b, G, a, total) for b, G, a in zip(*flat, null, strict=True)]
    return np.array(scales).reshape(surface.cross.shape)


def _free_scales(cross: Array, gram: Array) -> Array:
    """Minimise ``c'Gc - 2c'b`` over c with the signs of b, which turn sources to the target."""
    sign = np.where(cross < 0, -1.0, 1.0)
    return sign * _nnls_of_gram(sign * cross, gram * np.outer(sign, sign))


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
