"""Leave-one-out error of L2-SP over the whole surface of penalties and scales.

Notation: as in `l2sp`. M penalties alpha of the target, T penalties tau of the sources;
c (K,) scales.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import nnls

from skt.core._typing import Array
from skt.core.l2sp import Chosen, SourceRidge, TargetBasis, residuals_left_out
from skt.core.rows import Rows

# Prior standard deviation of the sum of several sources' scales around one under leave-one-out.
# Without the prior, 18 sources on 25 rows cost more than they give; at 1 and at 0.3 it is alike.
SUM_SPREAD = 0.5
# Rows are dealt into so many parts to estimate what a choice on the surface is worth.
N_PARTS = 10


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
    target: TargetBasis, sources: list[SourceRidge], alphas: Array, source_alphas: Array
) -> Surface:
    """Return the exact surface; source_alphas (T, K) holds the penalties of each source.

    Cost: one product (n_rows, r) by (r, T K q) for each alpha.
    """
    return loo_parts(target, sources, alphas, source_alphas, [slice(None)])[0]


def loo_parts(
    target: TargetBasis,
    sources: list[SourceRidge],
    alphas: Array,
    source_alphas: Array,
    parts: list[Any],
) -> list[Surface]:
    """Return what each part of the rows adds to the surface: they sum to it."""
    T, K = source_alphas.shape
    q, M, F = target.LY.shape[1], len(alphas), len(parts)
    predicted = _predicted(target, sources, source_alphas)
    unit = np.sqrt(target.weight / (target.n * q))[:, None]
    null, cross, gram = np.empty((F, M)), np.empty((F, M, T, K)), np.empty((F, M, T, K, K))
    for m, alpha in enumerate(alphas):
        residual = unit * residuals_left_out(target, alpha)
        moved = (unit * residuals_left_out(target, alpha, predicted)).reshape(len(unit), T, K, q)
        for f, rows in enumerate(parts):
            e, E = residual[rows], moved[rows]
            null[f, m] = np.sum(e**2)
            cross[f, m] = np.tensordot(E, e, axes=([0, 3], [0, 1]))
            gram[f, m] = np.einsum("ntkq,ntlq->tkl", E, E, optimize=True)
    n = [float(np.sum(target.weight[rows])) for rows in parts]
    return [
        Surface(alphas, source_alphas, *sums) for sums in zip(null, cross, gram, n, strict=True)
    ]


def _predicted(target: TargetBasis, sources: list[SourceRidge], source_alphas: Array) -> Array:
    """Return the fits of all sources on the target's singular directions, (r, T K q)."""
    (T, K), p, q = source_alphas.shape, len(target.V), target.LY.shape[1]
    paths = [s.coef(a) for s, a in zip(sources, source_alphas.T, strict=True)]
    coefs = np.stack(paths, axis=1) if K else np.zeros((T, 0, p, q))
    along = target.V.T @ coefs.transpose(2, 0, 1, 3).reshape(p, T * K * q)
    return target.sigma[:, None] * along


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
        scales = nonnegative(cross + pull / K, gram + pull * np.eye(K))
    else:
        null = np.repeat(surface.null, surface.cross.shape[1])
        scales = _mixtures(cross, gram, null, total)
    return scales.reshape(surface.cross.shape)


def _mixtures(cross: Array, gram: Array, null: Array, total: float) -> Array:
    """Minimise over ``c = total u``, u on the simplex, (N, K).

    There the error is the square ``u'Qu``, and the scale free trick of ``allocation`` applies.
    """
    b = total * cross
    Q = total**2 * gram - b[:, :, None] - b[:, None, :] + null[:, None, None]
    size = np.maximum(np.trace(Q, axis1=1, axis2=2), 1e-300)
    u = nonnegative(np.ones_like(b), Q / size[:, None, None] + 1.0)
    return total * u / u.sum(axis=1, keepdims=True)


def nonnegative(b: Array, G: Array) -> Array:
    """Minimise ``c'Gc - 2 c'b`` over ``c >= 0`` for stacks (N, K), (N, K, K), b in the span of G.

    All are decomposed at once. Where the free minimiser has no negative entry it is the answer.
    """
    e, U = np.linalg.eigh(G)
    root = np.sqrt(np.maximum(e, 1e-14 * np.maximum(e[:, -1:], 1e-300)))
    along = np.einsum("nkr,nk->nr", U, b) / root
    c = np.einsum("nkr,nr->nk", U, along / root)
    for i in np.flatnonzero(np.any(c < 0, axis=1)):
        c[i] = nnls(root[i, :, None] * U[i].T, along[i], maxiter=100 * len(b[i]))[0]
    return c


def choose_by_loo(
    surface: Surface,
    target: TargetBasis,
    sources: list[SourceRidge],
    alignment: Array,
    total: float | None,
    parts: list[Array],
) -> tuple[Chosen, Array]:
    """Return the pair of penalties of least leave-one-out error, and the errors of all, (M, T).

    The larger penalty wins a tie. ``parts`` of the rows validate what it is worth (`deal`).
    """
    scales = best_scales(surface, total)
    errors = surface.error(scales)
    m, t = _last_lowest(errors)
    alpha, taus = float(surface.alphas[m]), surface.source_alphas[t]
    shape = len(target.V), target.LY.shape[1]
    coefs = np.zeros((len(sources), *shape))
    for k, source in enumerate(sources):
        coefs[k] = source.coef(taus[k : k + 1])[0]
    target_risk = target_only_risk(target, surface)
    gain = validated_gain(target, sources, surface, total, parts) if sources else 0.0
    chosen = Chosen(
        target.coef(alpha, np.tensordot(scales[m, t], coefs, 1)),
        alpha, taus, scales[m, t], coefs, alignment, max(target_risk - gain, 0.0), target_risk,
        error=float(errors[m, t]),
    )  # fmt: skip
    return chosen, errors


def _last_lowest(error: Array) -> tuple[int, int]:
    """Return the place of the least error; the last of ties."""
    m, t = np.argwhere(error <= error.min() * (1 + 1e-12))[-1]
    return int(m), int(t)


def target_only_risk(target: TargetBasis, surface: Surface) -> float:
    """Return the excess risk of the target alone, from its leave-one-out error.

    The error is noise plus risk, a part ``h / (1 - h)`` of noise for each row.
    """
    alone = int(np.argmin(surface.null))
    _, slack = target.complement(float(surface.alphas[alone]))
    ratio = (1 - slack) / np.maximum(slack, 1 / (1 + target.n))
    unit = max(float(np.average(ratio, weights=target.weight)), 0.0)
    return float(surface.null[alone]) * unit / (1 + unit)


def validated_gain(
    target: TargetBasis,
    sources: list[SourceRidge],
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
        chosen = _last_lowest(rest.error(scales))
        gain += float(part.null[np.argmin(rest.null)] - part.error(scales)[chosen])
    return gain


def deal(X: Array, Y: Array, n_parts: int = N_PARTS) -> list[Array]:
    """Return the rows of each part: distinct rows, by the size of their outputs, dealt in turn.

    As ``Rows.deal``; by size, so that neither the unit nor the sign of Y matters.
    """
    size = np.linalg.norm(Y, axis=1, keepdims=True)
    number = Rows(X, size, np.ones(len(X))).deal(n_parts)
    return [np.flatnonzero(number == part) for part in range(number.max() + 1)]


def alignments(target: TargetBasis, sources: list[SourceRidge], own: Array) -> Array:
    """Return rho of each source: its free scale at its own penalty, where the target's is best."""
    alphas, q = target.grid(), target.LY.shape[1]
    predicted = _predicted(target, sources, own[None])
    weight = (target.weight / (target.n * q))[:, None]
    scales, errors = np.empty((2, len(alphas), len(sources)))
    for m, alpha in enumerate(alphas):
        e = residuals_left_out(target, alpha)
        E = residuals_left_out(target, alpha, predicted).reshape(len(e), len(sources), q)
        cross = np.einsum("nkq,nq->k", E, weight * e)
        square = np.einsum("nkq,nkq->k", E, weight[:, None] * E)
        scales[m] = np.divide(cross, square, out=np.zeros_like(square), where=square > 0)
        errors[m] = np.sum(weight * e**2) - scales[m] * cross
    return scales[np.argmin(errors, axis=0), np.arange(len(sources))]
