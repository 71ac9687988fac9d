"""L2-SP for generalised linear models: penalties and scales by cross-validation.

Notation
--------
n, p, q : rows, features, columns of the linear predictor (``glm``); K sources.
B_k : (p, q) coefficients of source k; Z_k = X B_k its linear predictor on the target's rows.
c : (K,) scales of the sources.

    F(B, b) = (1/n) sum_i w_i loss(x_i'B + b, y_i) + alpha ||B - sum_k c_k B_k||^2             (L3)

There is no closed form, so that K-fold validation stands in for leave-one-out, and the scales
are estimated on the predictors ``sum_k c_k Z_k + b`` before the target's own part is added.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from skt.core import glm, glm_batch, least_squares, safeguard
from skt.core._typing import Array
from skt.core.families import Family
from skt.core.rows import Rows

# Prior standard deviation of a source's scale about its part of one, as in `l2sp`.
GLM_SCALE_SPREAD = 1.0
# Standard errors by which a larger penalty may be worse and is still taken. Without, twelve rows
# have a log-loss higher by a tenth; at one, unrelated sources and 30 rows cost a tenth more errors.
CAUTION = 0.5
# Of derivatives, as in `glm.fit`: Newton's last step is far below it.
TOL = 1e-9


def varies(rows: Rows, *, intercept: bool) -> bool:
    """Return whether the rows say anything of slopes; one level of each is the intercept's."""
    return bool(np.any(np.ptp(rows.X, axis=0) > 0) if intercept else np.any(rows.X))


def rows_by_class(rows: Rows) -> Array:
    """Return how many distinct rows each class has, by indicators, (n_classes,)."""
    several = rows.Y if rows.Y.shape[1] > 1 else np.column_stack([1 - rows.Y, rows.Y])
    _, one_of_each = np.unique(rows.distinct, return_index=True)
    return np.sum(several[one_of_each] > 0, axis=0)


def with_one_row(rows: Rows, shares: Array | None = None, weight: float = 1.0) -> Rows:
    """Add a row in the middle of the others that belongs to classes by shares (q,), or to all."""
    w = rows.weight / rows.weight.sum()
    q = rows.Y.shape[1]
    share = np.full(q, 1 / max(q, 2)) if shares is None else shares
    return Rows(
        np.vstack([rows.X, w @ rows.X]), np.vstack([rows.Y, share]), np.append(rows.weight, weight)
    )


def with_lacking_classes(target: Rows, sources: Sequence[Rows]) -> Rows:
    """Add to rows that lack one of several classes what the sources' shares are as a prior.

    The likelihood of rows without a class has its maximum at a probability of zero. One row more,
    of weight sqrt(n), has the shares of all sources' rows, as the estimate of a share of least
    worst risk has it. Of two classes a target has both, or cannot tell slopes.
    """
    if target.Y.shape[1] == 1 or np.all(target.weight @ target.Y > 0) or not sources:
        return target
    total = sum(rows.weight @ rows.Y for rows in sources)
    return with_one_row(target, total / np.sum(total), float(np.sqrt(target.n)))


class Validated(NamedTuple):
    """Validated losses of penalties, with and without the sources."""

    alphas: Array  # (M,)
    losses: Array  # (2, M, n) of each row: scales zero, scales estimated or given
    weight: Array  # (n,)

    @property
    def errors(self) -> Array:
        """Return mean losses, (2, M)."""
        return self.losses @ self.weight / self.weight.sum()

    @property
    def best(self) -> tuple[int, int]:
        """Return whether sources are used, and the penalty; not using them wins a tie."""
        errors = self.errors
        low = errors.min(axis=1)
        used = int(low[1] < low[0])
        # Of equal penalties the largest: it relies most on what is known.
        return used, int(np.flatnonzero(errors[used] <= low[used] * (1 + 1e-12))[-1])

    @property
    def cautious(self) -> tuple[int, int]:
        """Return the same with the largest penalty that is not worse by CAUTION errors."""
        used, m = self.best
        return used, safeguard.most_cautious(self.losses[used], self.weight, m, CAUTION)


def penalties(rows: Rows) -> Array:
    """Return penalties about a quarter of the features' mean variance, and infinity, (M,)."""
    w = rows.weight / rows.weight.sum()
    level = float(np.mean(w @ (rows.X - w @ rows.X) ** 2)) / 4
    return np.append(least_squares.penalty_grid(level, 13, 1e-4, 1e2), np.inf)


def estimate_scales(
    family: Family, rows: Rows, coefs: Array, total: float | None, *, intercept: bool
) -> Array:
    """Return c of least loss of ``sum_k c_k Z_k + b``, (K,).

    Free scales (``total`` None) have the prior ``N(1/K, GLM_SCALE_SPREAD^2)`` and, if there are
    several, are not negative. A total fixes their sum.
    """
    K = len(coefs)
    if total is not None and K == 1:
        return np.array([total])
    start = np.full(K, (1.0 if total is None else total) / K)
    free = (None, None) if K == 1 else (0.0, None) if total is None or total >= 0 else (None, 0.0)
    bounds = [free] * K
    if intercept:
        mean = rows.weight @ rows.Y / rows.weight.sum()
        start = np.append(start, family.link(mean))
        bounds += [(None, None)] * (len(start) - K)
    given: Any = {"jac": True, "bounds": bounds}
    if total is None:
        given |= {"method": "L-BFGS-B", "options": {"ftol": 1e-13, "gtol": 1e-8}}
    else:
        summed = {"type": "eq", "fun": lambda x: x[:K].sum() - total}
        given |= {"method": "SLSQP", "constraints": [summed], "options": {"ftol": 1e-12}}
    Z = np.einsum("np,kpq->knq", rows.X, coefs)
    if intercept:  # which takes up any origin: without it steps would depend on one
        Z = Z - (np.tensordot(rows.weight, Z, axes=(0, 1)) / rows.weight.sum())[:, None]
    return minimize(_scale_criterion(family, rows, Z, total), start, **given).x[:K]


def _scale_criterion(
    family: Family, rows: Rows, Z: Array, total: float | None
) -> Callable[[Array], tuple[float, Array]]:
    """Return value and slope at (c, b) of the loss of Z (K, n, q) and the prior of free scales."""
    K, q = len(Z), rows.Y.shape[1]

    def value_and_slope(x: Array) -> tuple[float, Array]:
        c, intercept = x[:K], len(x) > K
        eta = np.tensordot(c, Z, 1) + (x[K:] if intercept else np.zeros(q))
        residual = rows.weight[:, None] * (family.mean(eta) - rows.Y)
        away = (c - 1 / K) / GLM_SCALE_SPREAD if total is None else np.zeros(K)
        value = rows.weight @ family.loss(eta, rows.Y) + away @ away / 2
        by_scale = np.tensordot(Z, residual, axes=([1, 2], [0, 1])) + away / GLM_SCALE_SPREAD
        return float(value), np.append(by_scale, residual.sum(axis=0) if intercept else [])

    return value_and_slope


def validate(
    family: Family,
    rows: Rows,
    coefs: Array,
    alphas: Array,
    total: float | None,
    n_folds: int,
    *,
    intercept: bool,
) -> Validated:
    """Return the K-fold loss of every penalty without sources and with them."""
    number = rows.deal_by_distance(n_folds)
    losses = np.zeros((2, len(alphas), len(rows.X)))
    n_parts, n_used = (number.max() + 1 if number.max() > 0 else 0), (2 if len(coefs) else 1)
    centres = np.zeros((n_parts, n_used, rows.X.shape[1], rows.Y.shape[1]))
    for fold in range(n_parts if n_used > 1 else 0):
        train = rows.take(number != fold)
        scales = estimate_scales(family, train, coefs, total, intercept=intercept)
        centres[fold, 1] = np.tensordot(scales, coefs, 1)
    for used in range(n_used if n_parts else 0):
        fits = glm_batch.fit_many(
            family,
            rows.X,
            rows.Y,
            alpha=np.tile(alphas, n_parts),
            weight=np.repeat(rows.weight * (number != np.arange(n_parts)[:, None]), len(alphas), 0),
            centre=np.repeat(centres[:, used], len(alphas), axis=0),
            intercept=intercept,
            tol=TOL,
        )
        eta = fits.linear_predictor(rows.X).reshape(n_parts, len(alphas), *rows.Y.shape)
        for m in range(len(alphas)):
            losses[used, m] = family.loss(eta[number, m, np.arange(len(number))], rows.Y)
    if not len(coefs):
        losses[1] = np.inf
    return Validated(alphas, losses, rows.weight)


def fit_rows(
    family: Family, rows: Rows, alpha: float, centre: Array, *, intercept: bool
) -> glm.Fit:
    """Minimise (L3) at a centre ``sum_k c_k B_k``."""
    return glm.fit(
        family,
        rows.X,
        rows.Y,
        alpha=alpha,
        weight=rows.weight,
        centre=centre,
        intercept=intercept,
        tol=TOL,
    )
