"""Many small fits of (G1) at once: of several penalties, centres and weights to the same rows.

Notation: as in ``glm``. m fits; A (n, k) the centred features and, for an intercept, ones;
x (m, k, q) what is added to the centres, and the intercepts.

A fit of a few coefficients to a few hundred rows takes as long as the calls that it is made of. All
fits take their steps of Newton's method together; those that have converged drop out.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skt.core import glm
from skt.core._typing import Array
from skt.core.families import Family

# Numbers in all Hessians' terms up to which fits are made together.
MOST_AT_ONCE = 10**8


class ManyFits(NamedTuple):
    """Minimisers of (G1)."""

    coef: Array  # (m, p, q)
    intercept: Array  # (m, q)

    def linear_predictor(self, X: Array) -> Array:
        """Return eta of rows under every fit, (m, n, q)."""
        eta: Array = X @ self.coef + self.intercept[:, None, :]
        return eta


def fit_many(
    family: Family,
    X: Array,
    Y: Array,
    *,
    alpha: Array,
    weight: Array,
    centre: Array | None = None,
    intercept: bool = True,
    tol: float = 1e-9,
    max_iter: int = 200,
) -> ManyFits:
    """Minimise (G1) for every ``alpha`` (m,), ``weight`` (m, n) and ``centre`` (m, p, q).

    As `glm.fit` in all else. Larger problems are fitted one after the other, each started at the
    one before: neighbours should be alike.
    """
    (n, p), q = X.shape, Y.shape[1]
    centre = np.zeros((len(alpha), p, q)) if centre is None else centre
    if len(alpha) * n * ((p + intercept) * q) ** 2 > MOST_AT_ONCE:
        return _one_by_one(family, X, Y, alpha, weight, centre, intercept, tol, max_iter)
    weight = weight / np.sum(weight, axis=1, keepdims=True)
    mean = np.mean(weight, axis=0) @ X if intercept else np.zeros(p)
    A = np.column_stack([X - mean, np.ones((n, int(intercept)))])
    problem = _Problems(family, A, Y, weight, (X - mean) @ centre, alpha, p)
    x = problem.search(tol, max_iter)
    coef = centre + x[:, :p]
    at_mean = x[:, p] if intercept else np.zeros((len(alpha), q))
    return ManyFits(coef, at_mean - mean @ coef)


def _one_by_one(
    family: Family,
    X: Array,
    Y: Array,
    alpha: Array,
    weight: Array,
    centre: Array,
    intercept: bool,
    tol: float,
    max_iter: int,
) -> ManyFits:
    fits: list[glm.Fit] = []
    for a, w, c in zip(alpha, weight, centre, strict=True):
        used = w > 0
        fit = glm.fit(
            family,
            X[used],
            Y[used],
            alpha=a,
            weight=w[used],
            centre=c,
            intercept=intercept,
            tol=tol,
            max_iter=max_iter,
            start=fits[-1] if fits else None,
        )
        fits.append(fit)
    return ManyFits(np.array([f.coef for f in fits]), np.array([f.intercept for f in fits]))


class _Problems:
    """(G1) of all fits in the coordinates that the search moves."""

    def __init__(
        self, family: Family, A: Array, Y: Array, weight: Array, base: Array, alpha: Array, p: int
    ) -> None:
        self.family, self.A, self.Y, self.weight, self.base = family, A, Y, weight, base
        m, k = len(alpha), A.shape[1]
        finite = np.isfinite(alpha)
        penalised = (np.arange(k) < p) & finite[:, None]
        self.penalty = np.where(penalised, 2 * np.where(finite, alpha, 0.0)[:, None], 0.0)[
            ..., None
        ]
        self.free = np.broadcast_to(
            (penalised | (np.arange(k) >= p))[..., None], (m, k, Y.shape[1])
        )
        unit = np.sqrt(weight @ A**2)
        size = np.maximum(1.0, np.sqrt(np.mean(weight @ Y**2, axis=1)))
        self.unit = np.where(unit > 0, unit, 1.0)[..., None] * size[:, None, None]
        self.products = (A[:, :, None] * A[:, None, :]).reshape(len(A), -1)

    def eta(self, x: Array, of: NDArray[np.integer]) -> Array:
        """Return the linear predictors of the fits ``of``, (m, n, q)."""
        eta: Array = self.A @ x + self.base[of]
        return eta

    def value(self, x: Array, of: NDArray[np.integer]) -> Array:
        eta = self.eta(x, of)
        loss = self.family.loss(eta.reshape(-1, eta.shape[2]), np.tile(self.Y, (len(of), 1)))
        fit = np.sum(self.weight[of] * loss.reshape(len(of), -1), axis=1)
        return np.asarray(fit + np.sum(self.penalty[of] * x**2, axis=(1, 2)) / 2)

    def start(self) -> Array:
        """Return the better of the mean response as intercept, and zero, for each fit."""
        every = np.arange(len(self.weight))
        x = np.zeros(self.free.shape)
        if not self.free[:, -1].all() or not np.all(self.A[:, -1] == 1):
            return x
        at_mean = x.copy()
        for i, w in enumerate(self.weight):
            at_mean[i, -1] = self.family.link(w @ self.Y) - w @ self.base[i]
        better = self.value(at_mean, every) < self.value(x, every)
        return np.where(better[:, None, None], at_mean, x)

    def search(self, tol: float, max_iter: int) -> Array:
        """Return where Newton's method ends, by fit."""
        x, of = self.start(), np.arange(len(self.weight))
        value = self.value(x, of)
        for _ in range(max_iter):
            eta = self.eta(x[of], of)
            rows = eta.reshape(-1, eta.shape[2])
            r = self.weight[of][..., None] * (self.family.mean(rows).reshape(eta.shape) - self.Y)
            g = (self.A.T @ r + self.penalty[of] * x[of]) * self.free[of]
            left = np.max(np.abs(g) / self.unit[of], axis=(1, 2), initial=0.0) > tol
            if not left.any():
                break
            of, g, eta = of[left], g[left], eta[left]
            step = -self._newton(g, eta, of)
            moved = self._line_search(x, value, step, np.sum(g * step, axis=(1, 2)), of)
            of = of[moved]
            if not len(of):
                break
        return x

    def _newton(self, g: Array, eta: Array, of: NDArray[np.integer]) -> Array:
        """Return ``H^{-1} g``; along what H does not see, next to nothing."""
        m, k, q = g.shape
        V = self.family.variance(eta.reshape(-1, q)).reshape(m, -1, q, q)
        V = V * self.weight[of][..., None, None]
        blocks = np.empty((m, k, q, k, q))
        for c in range(q):
            for d in range(c, q):
                block = (V[:, :, c, d] @ self.products).reshape(m, k, k)
                blocks[:, :, c, :, d] = blocks[:, :, d, :, c] = block
        H = blocks.reshape(m, k * q, k * q)
        free = self.free[of].reshape(m, -1)
        H *= free[:, :, None] * free[:, None, :]
        here = np.arange(k * q)
        H[:, here, here] += np.where(free, np.repeat(self.penalty[of][..., 0], q, axis=1), 1.0)
        diagonal = H[:, here, here]
        scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        H /= scale[:, :, None] * scale[:, None, :]
        H[:, here, here] += 1e-13 * k * q
        found = np.linalg.solve(H, (g.reshape(m, -1) / scale)[..., None])[..., 0] / scale
        return np.asarray(found.reshape(g.shape))

    def _line_search(
        self, x: Array, value: Array, step: Array, slope: Array, of: NDArray[np.integer]
    ) -> NDArray[np.bool_]:
        """Move x and value by halved steps of descent; return which fits moved."""
        waiting, length = np.arange(len(of)), 1.0
        start = value[of]
        slack = 4 * np.finfo(float).eps * (1 + np.abs(start))
        for _ in range(60):
            at = of[waiting]
            trial = x[at] + length * step[waiting]
            end = self.value(trial, at)
            fell = end <= start[waiting] + 1e-4 * length * slope[waiting] + slack[waiting]
            x[at[fell]], value[at[fell]] = trial[fell], end[fell]
            waiting, length = waiting[~fell], length / 2
            if not len(waiting):
                break
        return ~np.isin(np.arange(len(of)), waiting)
