"""Frozen feature maps of several sources side by side, ridge on top, and their weights.

Notation
--------
n rows of the target, C columns of responses Y (n, C): indicators of classes, or outputs.
F_k : (n, d_k) features of block k, centred, divided so that ``sum F_k^2 = n``; K_k = F_k F_k'.
w : (B,) weights of blocks, >= 0, of sum one; K(w) = sum_k w_k K_k, of trace n.
P : (n, C) what the sources predict of Y, pooled; b in [0, 1] how much of it is taken.
R = Y - b P; Z = R less its column means; g > 0 the ridge penalty.

    H(w) = tr Z'K(w) (K(w) + g I)^-1 Z                                                        (H1)
    f(x) = b P(x) + m + sum_i K(w)(x, x_i) D_i,   D = (K(w) + g I)^-1 Z                       (H2)

(H1) is the H-score with a ridge, concave in w. (H2) is ridge regression of R on the blocks
``sqrt(w_k) F_k`` side by side, with a free intercept; the residual of a row left out is
``(I - S)R / (1 - S_ii)`` with ``S = 11'/n + K (K + g I)^-1``. With b = 0, Y indicators and one
block (H2) is the maximal correlation regression of arXiv 2312.12489 with a ridge:
``P(y) (1 + f(x)'cov(f)^-1 E[f|y])``.

(H2) is linear in the features, and so is a mean over candidates (w, b, g):

    f = sum_c omega_c t_c f_c,   omega_c ~ exp(-(L_c - min L) / 4),                           (H3)

L_c the loss of rows left out and t_c, of classes, the factor of the scores that makes it least. The
mean has no choice that few rows could get wrong; the quarter is there since they tell losses badly.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh
from scipy.special import logsumexp

from skt.core._typing import Array

# Candidates: penalties, the mean eigenvalue of K(w) being near one; parts of the offset; shares of
# the target's own features; powers to which the sources' gains are raised.
PENALTIES = np.geomspace(0.1, 300.0, 8)
OFFSETS = np.array([0.0, 0.25, 0.5, 0.75])
SHARES = np.array([0.0, 0.3, 0.6, 0.9, 1.0])
POWERS = (0.0, 2.0)
FACTORS = np.geomspace(1.0, 32.0, 11)
SHARPNESS = 0.25
# Where no row can be left out: all of the offset, half of the target's own features beside the
# sources', a mean factor of the scores.
BLIND_OFFSET, BLIND_FACTOR, BLIND_SHARE = 1.0, 4.0, 0.5
BLIND_PENALTIES = {True: 1.0, False: 10.0}  # with an offset and without
# Supports of weights on the simplex are enumerated up to this number of sources.
MOST_SUPPORTS = 12


class Block(NamedTuple):
    """How the features of a block are brought to scale: those of the target's rows decide."""

    mean: Array  # (d,)
    scale: float

    def of(self, F: Array) -> Array:
        """Return features in the units of the block."""
        return (F - self.mean) / self.scale


class Candidates(NamedTuple):
    """What is averaged: weights of blocks, parts of the offset, penalties."""

    weights: Array  # (M, B)
    offsets: Array
    penalties: Array


class Ensemble(NamedTuple):
    """Ensemble (H3): ``offset P + intercept + sum_k F_k coefs_k``."""

    coefs: list[Array]  # (d_k, C) of each block
    intercept: Array  # (C,)
    offset: float
    weights: Array  # (B,) mean weights of blocks
    loss: float  # mean loss of a row left out, averaged over candidates; NaN where none could be


def block(F: Array) -> Block:
    """Return the centre and the scale of features (n, d); dead features count nothing.

    One scale a block: standard deviations of single features would blow up on few rows.
    """
    mean = F.mean(axis=0)
    size = float(np.sqrt(np.mean(np.sum((F - mean) ** 2, axis=1))))
    tiny = 16 * np.finfo(np.float64).eps * float(np.sqrt(np.mean(np.sum(F**2, axis=1))))
    return Block(mean, size if size > tiny else np.inf)


# Weights of sources ---------------------------------------------------------------------------


def ridge_h_score(w: Array, grams: Array, Z: Array, g: float) -> float:
    """Return H(w), equation (H1)."""
    K = np.tensordot(w, grams, 1)
    return float(np.sum(Z * (K @ np.linalg.solve(K + g * np.eye(len(K)), Z))))


def h_weights(grams: Array, Z: Array, g: float, *, n_steps: int = 200, tol: float = 1e-8) -> Array:
    """Return weights that maximise H(w): ``w_k <- w_k sqrt(tr D'K_k D)``, then of sum one."""
    w = np.full(len(grams), 1 / len(grams))
    for _ in range(n_steps):
        K = np.tensordot(w, grams, 1)
        D = np.linalg.solve(K + g * np.eye(len(K)), Z)
        moved = w * np.sqrt(np.maximum(np.einsum("ic,kij,jc->k", D, grams, D, optimize=True), 0))
        if not moved.sum() > 0:
            return w
        moved /= moved.sum()
        if np.abs(moved - w).max() < tol:
            return moved
        w = moved
    return w


def gain_weights(grams: Array, Y: Array, power: float) -> Array:
    """Return weights by the share of Y that each source alone explains of rows left out."""
    if power == 0:
        return np.full(len(grams), 1 / len(grams))
    n = len(Y)
    total = np.sum(((Y - Y.mean(axis=0)) * n / max(n - 1, 1)) ** 2)
    left = np.array([np.sum(_decomposed(K).loo(Y, PENALTIES) ** 2, axis=(1, 2)) for K in grams])
    gain = np.maximum(1 - left.min(axis=1) / total, 0.0) if total > 0 else np.zeros(len(grams))
    raised = (gain + 1e-9) ** power
    return raised / raised.sum()


def scatter(F: Array, codes: Array) -> tuple[Array, Array]:
    """Return between-class and total scatter (K, K) of sources F (K, n, d), summed over d.

    ``a'B a / a'T a`` is the trace ratio ``tr cov(E[f|y]) / tr cov(f)`` of ``f = sum a_k F_k``.
    """
    centred = F - F.mean(axis=1, keepdims=True)
    classes, counts = np.unique(codes, return_counts=True)
    means = np.stack([centred[:, codes == c].mean(axis=1) for c in classes], axis=1)
    n = F.shape[1]
    B = np.einsum("kcd,c,lcd->kl", means, counts / n, means, optimize=True)
    T = np.einsum("knd,lnd->kl", centred, centred, optimize=True) / n
    return B, T


def trace_ratio(B: Array, T: Array, *, positive: bool = False) -> Array:
    """Return the weights (K,) of sum one that maximise ``a'B a / a'T a``.

    ``positive``: on the simplex, by the leading eigenvector of every support for up to
    `MOST_SUPPORTS` sources. Where no eigenvector is of one sign, a single source is best.
    """
    if not positive:
        a = _leading(B, T)[1]
        return a / a.sum() if abs(a.sum()) > 1e-8 * np.abs(a).sum() else np.abs(a) / np.abs(a).sum()
    best, weights = -np.inf, np.full(len(B), 1 / len(B))
    for size in range(1, len(B) + 1):
        for support in combinations(range(len(B)), size):
            part = np.ix_(support, support)
            ratio, a = _leading(B[part], T[part])
            if ratio > best + 1e-12 and (np.all(a >= -1e-12) or np.all(a <= 1e-12)):
                best, weights = ratio, np.zeros(len(B))
                weights[list(support)] = np.abs(a) / np.abs(a).sum()
    return weights


def _leading(B: Array, T: Array) -> tuple[float, Array]:
    ridge = max(1e-10 * float(np.trace(T)) / len(T), np.finfo(np.float64).tiny)
    values, vectors = eigh(B, T + ridge * np.eye(len(T)))
    return float(values[-1]), vectors[:, -1]


# Ridge ----------------------------------------------------------------------------------------


class KernelRidge(NamedTuple):
    """Ridge regression on K(w) at every penalty, by one eigendecomposition."""

    U: Array  # (n, min(n, p)) eigenvectors
    s: Array  # eigenvalues

    def loo(self, R: Array, penalties: Array) -> Array:
        """Return residuals of rows left out (n_penalties, n, C)."""
        n = len(R)
        shrink = self.s / (self.s + penalties[:, None])
        Z = R - R.mean(axis=0)
        fitted = self.U @ (shrink[:, :, None] * (self.U.T @ Z))
        leverage = 1 / n + shrink @ (self.U**2).T
        return (Z - fitted) / np.maximum(1 - leverage, 1e-10)[:, :, None]

    def dual(self, R: Array, g: float) -> Array:
        """Return D (n, C), equation (H2)."""
        # What lies outside U is orthogonal to all features.
        inside = self.U.T @ (R - R.mean(axis=0))
        return self.U @ (inside / (self.s + g)[:, None])


def _decomposed(K: Array) -> KernelRidge:
    s, U = np.linalg.eigh(K)
    return KernelRidge(U, np.maximum(s, 0.0))


def kernel_ridge(features: Sequence[Array], w: Array, grams: Array | None = None) -> KernelRidge:
    """Decompose K(w), through its Gram matrices or, where rows are many, its features."""
    if grams is not None:
        return _decomposed(np.tensordot(w, grams, 1))
    F = np.hstack([np.sqrt(weight) * each for weight, each in zip(w, features, strict=True)])
    U, sigma, _ = np.linalg.svd(F, full_matrices=False)
    return KernelRidge(U, sigma**2)


def gram_matrices(features: Sequence[Array]) -> Array:
    """Return K_k of every block (B, n, n)."""
    return np.array([F @ F.T for F in features])


# Ensemble -------------------------------------------------------------------------------------


def fit_ensemble(
    features: Sequence[Array],
    Y: Array,
    P: Array | None,
    candidates: Candidates,
    *,
    classes: bool,
    grams: Array | None = None,
) -> Ensemble:
    """Return the mean (H3) over candidates.

    Of classes, rows that are the only one of their class are not left out: without them nothing
    is known of it. If that leaves less than half of the rows, or if there are fewer than three,
    candidates count alike and offset, penalty and factor are `BLIND_OFFSET` and so on.
    """
    P = np.zeros_like(Y) if P is None else P
    judged = (Y @ Y.sum(axis=0) > 1.5) if classes else np.ones(len(Y), dtype=bool)
    blind = 2 * judged.sum() < len(Y) or len(Y) < 3
    if blind:
        told = bool(np.any(candidates.offsets > 0))
        offsets = np.array([BLIND_OFFSET if told else 0.0])
        given = candidates.penalties
        penalties = given if len(given) == 1 else np.array([BLIND_PENALTIES[told]])
        candidates = Candidates(candidates.weights, offsets, penalties)
    found, losses, factors = [], [], []
    for w in candidates.weights:
        one = kernel_ridge(features, w, grams)
        for b in candidates.offsets:
            found.append((w, float(b), one))
            if not blind:
                left = one.loo(Y - b * P, candidates.penalties)[:, judged]
                loss, factor = _losses(left, Y[judged], classes=classes)
                losses.append(loss)
                factors.append(factor)
    if blind:
        L = np.zeros((len(found), len(candidates.penalties)))
        t = np.full_like(L, BLIND_FACTOR if classes else 1.0)
    else:
        L, t = np.array(losses), np.array(factors)  # (M, G)
    omega = np.exp(-SHARPNESS * (L - L.min()))
    omega /= omega.sum()
    mean_loss = np.nan if blind else float(np.sum(omega * L) / judged.sum())
    return _average(features, Y, P, candidates.penalties, found, omega, omega * t, mean_loss)


def _average(
    features: Sequence[Array],
    Y: Array,
    P: Array,
    penalties: Array,
    found: list[tuple[Array, float, KernelRidge]],
    omega: Array,
    size: Array,
    loss: float,
) -> Ensemble:
    """Return the sum of candidates, each times its size (M, G)."""
    C, offset = Y.shape[1], 0.0
    intercept, weights = np.zeros(C), np.zeros(len(features))
    coefs = [np.zeros((F.shape[1], C)) for F in features]
    for (w, b, one), row, sizes in zip(found, omega, size, strict=True):
        R = Y - b * P
        offset += b * sizes.sum()
        intercept += sizes.sum() * R.mean(axis=0)
        weights += row.sum() * w
        D = np.zeros_like(R)
        for j in np.flatnonzero(sizes > 1e-12):  # the others change nothing
            D += sizes[j] * one.dual(R, penalties[j])
        for k in np.flatnonzero(w > 0).tolist():
            coefs[k] += w[k] * (features[k].T @ D)
    return Ensemble(coefs, intercept, float(offset), weights, loss)


def _losses(left: Array, Y: Array, *, classes: bool) -> tuple[Array, Array]:
    """Return the loss of rows left out and the factor of the scores, of every penalty (G,)."""
    if not classes:
        n, tiny = len(Y), np.finfo(np.float64).tiny
        squares = np.sum(left**2, axis=1)  # (G, C)
        return n / 2 * np.sum(np.log(np.maximum(squares / n, tiny)), axis=1), np.ones(len(left))
    scores = Y - left
    own = np.sum(scores * Y, axis=2)
    tried = np.array(
        [np.sum(logsumexp(t * scores, axis=2) - t * own, axis=1) for t in FACTORS]
    )  # (T, G)
    return tried.min(axis=0), FACTORS[tried.argmin(axis=0)]


def ensemble_scores(found: Ensemble, features: Sequence[Array], P: Array | None) -> Array:
    """Return f (n, C) of new rows, features in the units of their blocks."""
    total = found.intercept + sum(F @ W for F, W in zip(features, found.coefs, strict=True))
    return total if P is None else total + found.offset * P
