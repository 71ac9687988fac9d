"""Transferability scores: how well a source's features or predictions tell the target's classes.

Notation
--------
n, d : rows of the target, features. C, S : classes of the target, of the source.
F (n, d) : features. Of F'F (d, d) and FF' (n, n) the smaller is decomposed.
codes (n,) : classes as 0..C-1, each of which occurs, n_c times.
Z (n, C) : 1 / sqrt(n_c) where the row is of class c, else 0, so that Z'Z = I.
theta (n, S) : the source's probabilities of its own classes.
s (r,) : positive eigenvalues of F'F. x (r, q) : coordinates of responses in the left singular
    vectors of F, so that the sum of x^2 is what the features can explain.
Every score is larger where the source fits better.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from skt.core._typing import Array
from skt.core.least_squares import eigenspectrum, loo_residuals, penalty_grid

Codes = NDArray[np.integer]

# Penalties of the evidence, relative to the mean eigenvalue: four in each of 24 decades.
EVIDENCE_GRID = np.geomspace(1e-12, 1e12, 97)
GOLDEN = (np.sqrt(5.0) - 1) / 2
GOLDEN_STEPS = 20  # half a decade shrinks to 3e-5 of one; the evidence errs by its square
# Residuals below this share of the response are rounding, not noise.
LEAST_NOISE = 1e-14
# A class varies in each direction by at least this share of all classes' pooled variance.
VARIANCE_FLOOR = 1e-6

# Linear algebra on the small side ---------------------------------------------------------------


def centred(F: Array) -> Array:
    """Return the features less their means; constant columns are exactly zero."""
    constant = np.all(F[0] == F, axis=0)
    F = F - np.mean(F, axis=0)
    F[:, constant] = 0.0  # not the rounding of their mean
    return F


def unit_columns(F: Array) -> Array:
    """Return centred features of unit variance; constant columns are zero."""
    F = centred(F)
    return F / _nonzero(np.std(F, axis=0))


def unit_scale(F: Array) -> Array:
    """Return the features divided by their largest size, so that no square overflows."""
    return F / _nonzero(np.max(np.abs(F)))


def _nonzero(scale: Array) -> Array:
    return np.where(scale > 0, scale, 1.0)


def gram(F: Array) -> Array:
    """Return F'F or FF', whichever is smaller; their positive eigenvalues are the same."""
    return F @ F.T if F.shape[0] < F.shape[1] else F.T @ F


def coordinates(F: Array, Y: Array) -> tuple[Array, Array]:
    """Return s (r,) and x (r, q), the coordinates of Y (n, q) in F's left singular vectors."""
    s, V = eigenspectrum(gram(F))
    if F.shape[0] < F.shape[1]:
        return s, V.T @ Y
    return s, V.T @ (F.T @ Y) / np.sqrt(s)[:, None]


def left_vectors(F: Array) -> tuple[Array, Array]:
    """Return s (r,) and the left singular vectors of F, (n, r)."""
    s, V = eigenspectrum(gram(F))
    return s, V if F.shape[0] < F.shape[1] else F @ V / np.sqrt(s)


def principal_components(F: Array) -> Array:
    """Return the coordinates of rows in the principal axes, largest variance first, (n, r)."""
    s, U = left_vectors(centred(F))
    return (U * np.sqrt(s))[:, ::-1]


def explained(F: Array, G: Array, Y: Array, penalty: float) -> float:
    """Return ``tr Y'F (F'F + penalty I)^{-1} F'Y``; G is the Gram matrix, penalty positive."""
    factor = cho_factor(plus(G, penalty))
    if F.shape[0] < F.shape[1]:
        return float(np.sum(Y * Y) - penalty * np.sum(Y * cho_solve(factor, Y)))
    FY = F.T @ Y
    return float(np.sum(FY * cho_solve(factor, FY)))


def plus(A: Array, number: float) -> Array:
    """Return A with a number added to its diagonal."""
    A = A.copy()
    A[np.diag_indices_from(A)] += number
    return A


def one_hot(codes: Codes) -> Array:
    """Return one column of zeros and ones for each class, (n, C)."""
    return np.eye(np.max(codes) + 1)[codes]


def normalised_one_hot(codes: Codes) -> Array:
    """Return Z (n, C)."""
    return one_hot(codes) / np.sqrt(np.bincount(codes))


# H-score ----------------------------------------------------------------------------------------


def h_score(F: Array, codes: Codes) -> float:
    """Return ``tr(cov(F)^+ cov(E[F | class]))``, from 0 to C - 1.

    It is ``||P Z||^2`` with P the projection on the centred features, and so the same for every
    invertible linear map of these. With n <= d + 1 it is C - 1 for almost all features.
    """
    return float(np.sum(coordinates(unit_columns(F), normalised_one_hot(codes))[1] ** 2))


def shrinkage_weight(F: Array, G: Array) -> float:
    """Return the weight r of Ledoit and Wolf for centred features with Gram matrix G, 0 to 1.

    ``(1 - r) S + r mu I`` with S = F'F/n and mu its mean eigenvalue is nearest to the covariance.
    """
    n, d = F.shape
    square = np.sum(G**2) / n**2  # ||S||^2
    mu = np.trace(G) / n / d
    spread = square / d - mu**2
    length = np.diag(G) if n < d else np.einsum("ij,ij->i", F, F)
    noise = (np.mean(length**2) - square) / n / d
    return float(np.clip(noise / spread, 0.0, 1.0)) if spread > 1e-14 * mu**2 else 1.0


def shrunk_h_score(F: Array, codes: Codes) -> float:
    """Return ``(1 - r) tr(S_r^{-1} B)``: the H-score with Ledoit and Wolf's covariance.

    S_r = (1 - r) S + r mu I, and B the covariance of class means, both with divisor n. With
    r = 1 nothing is left of the features and the score is 0.
    """
    F = unit_scale(centred(F))
    n, d = F.shape
    G = gram(F)
    r, mu = shrinkage_weight(F, G), np.trace(G) / n / d
    if r == 1 or mu == 0:
        return 0.0
    if r == 0:
        return h_score(F, codes)
    # Less their means: nothing of a constant is explained, and no digits are lost to it.
    return explained(F, G, centred(normalised_one_hot(codes)), n * r * mu / (1 - r))


# LogME ------------------------------------------------------------------------------------------


def log_evidence(t: Array, s: Array, x: Array, rest: Array, n: int) -> Array:
    """Return the log evidence of each response at its penalty t, the noise chosen best, (q,).

    Bayesian regression without intercept has coefficients N(0, I/a) and noise N(0, 1/b). With
    t = a/b and ``R(t) = rest + sum x^2 t / (s + t)`` the best b is n / R, and the log evidence
    ``-n/2 log(2 pi R / n) - n/2 + 1/2 sum log(t / (s + t))``.

    Directions without a feature (d > r) cancel: log a of the prior against log a of the posterior.
    """
    share = t / (t + s[:, None])  # (r, q)
    R = rest + np.sum(x**2 * share, axis=0)
    return -n / 2 * (np.log(2 * np.pi * R / n) + 1) + np.sum(np.log(share), axis=0) / 2


def logme(F: Array, Y: Array) -> float:
    """Return the maximal log evidence per row, mean over the columns of Y (n, q).

    The maximum over t is taken on a grid first, since there may be two, then by golden sections;
    t = infinity, features without use, counts too. All columns search together.
    """
    n = len(Y)
    s, x = coordinates(F, Y)
    total = np.sum(Y**2, axis=0)
    rest = np.maximum(total - np.sum(x**2, axis=0), LEAST_NOISE * total)
    useless = -n / 2 * (np.log(2 * np.pi * total / n) + 1)
    if not len(s):
        return float(np.mean(useless) / n)
    best = _maximum(s, x, rest, n)
    return float(np.mean(np.maximum(best, useless)) / n)


def _maximum(s: Array, x: Array, rest: Array, n: int) -> Array:
    """Maximise `log_evidence` over t, (q,)."""

    def at(u: Array) -> Array:
        return log_evidence(np.exp(u), s, x, rest, n)

    grid = np.log(EVIDENCE_GRID * np.mean(s))
    on_grid = _on_grid(np.exp(grid), s, x, rest, n)
    first = np.argmax(on_grid, axis=0)
    low, high = grid[np.maximum(first - 1, 0)], grid[np.minimum(first + 1, len(grid) - 1)]
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = at(left), at(right)
    for _ in range(GOLDEN_STEPS):
        rising = at_left < at_right
        low, high = np.where(rising, left, low), np.where(rising, high, right)
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        new = at(np.where(rising, right, left))
        at_left, at_right = np.where(rising, at_right, new), np.where(rising, new, at_left)
    return np.max([*on_grid, at_left, at_right], axis=0)


def _on_grid(t: Array, s: Array, x: Array, rest: Array, n: int) -> Array:
    """Return `log_evidence` of all columns at penalties that they share, (len(t), q)."""
    share = t[:, None] / (t[:, None] + s)
    R = rest + share @ x**2
    return -n / 2 * (np.log(2 * np.pi * R / n) + 1) + np.sum(np.log(share), axis=1)[:, None] / 2


# Scores from the source's predictions -----------------------------------------------------------


def leep(theta: Array, codes: Codes) -> float:
    """Return ``mean_i log sum_z P(y_i | z) theta_iz``, at most 0.

    P(y | z) is the mean of theta over the rows of class y, relative to that over all rows.
    """
    joint = one_hot(codes).T @ theta  # (C, S)
    marginal = np.sum(joint, axis=0)
    conditional = np.divide(joint, marginal, out=np.zeros_like(joint), where=marginal > 0)
    return float(np.mean(np.log(np.sum(conditional[codes] * theta, axis=1))))


def nce(source_codes: Codes, codes: Codes) -> float:
    """Return minus the conditional entropy of the target's classes given the source's labels."""
    shape = np.max(codes) + 1, np.max(source_codes) + 1
    cell = np.ravel_multi_index((codes, source_codes), shape)
    joint = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    occurs = joint > 0
    conditional = (joint / np.maximum(np.sum(joint, axis=0), 1))[occurs]
    return float(joint[occurs] @ np.log(conditional) / len(codes))


# Scores from the spread of classes --------------------------------------------------------------


def gbc(F: Array, codes: Codes) -> float:
    """Return ``-sum_{i != j} exp(-D_ij)``, D the distance of Bhattacharyya between classes.

    Classes are Gaussian with diagonal covariance. A class of one row has no variance of its own
    and takes that of all classes, pooled.
    """
    mean, variance = class_moments(F, codes)
    middle = (variance[:, None] + variance) / 2
    apart = np.sum((mean[:, None] - mean) ** 2 / middle, axis=2) / 8
    root = (np.log(variance)[:, None] + np.log(variance)) / 2
    overlap = np.exp(-apart - np.sum(np.log(middle) - root, axis=2) / 2)
    return float(-np.sum(overlap) + np.trace(overlap))


def class_moments(F: Array, codes: Codes) -> tuple[Array, Array]:
    """Return means and positive variances of every class, (C, d) each, with divisor n_c."""
    member, size = one_hot(codes), np.bincount(codes)[:, None]
    mean = member.T @ F / size
    variance = member.T @ (F - mean[codes]) ** 2 / size
    pooled = np.sum(size * variance, axis=0) / len(F)
    pooled = np.where(pooled > 0, pooled, np.maximum(np.var(F, axis=0), np.finfo(float).tiny))
    variance = np.where(size == 1, pooled, variance)
    return mean, np.maximum(variance, VARIANCE_FLOOR * pooled)


def coding_rate(F: Array, eps: float) -> float:
    """Return ``1/2 log det(I + F'F / (n eps))``."""
    A = plus(gram(F) / (len(F) * eps), 1.0)
    return float(np.sum(np.log(np.diag(cho_factor(A)[0]))))


def transrate(F: Array, codes: Codes, eps: float) -> float:
    """Return ``R(F) - sum_c (n_c / n) R(F_c)`` of centred features, R the coding rate."""
    F = centred(F)
    classes = [F[codes == c] for c in range(np.max(codes) + 1)]
    within = sum(len(part) * coding_rate(part, eps) for part in classes) / len(F)
    return coding_rate(F, eps) - float(within)


# Leave-one-out ----------------------------------------------------------------------------------


def loo_ridge(F: Array, Y: Array) -> float:
    """Return the share of Y's variance that ridge predicts for rows left out, from 0 to 1.

    ``1 - sum e_i^2 / sum m_i^2``: e are leave-one-out residuals at the best penalty, m those of
    the mean. Features are taken in unit variance, and an intercept is fitted.
    """
    n = len(Y)
    Y = centred(Y)
    s, U = left_vectors(unit_columns(F))
    if not len(s):
        return 0.0
    UY, squares = U.T @ Y, U**2
    least = alone = np.sum(loo_residuals(Y, np.full((n, 1), 1 / n)) ** 2)
    for penalty in penalty_grid(float(np.mean(s)), size=31):
        share = s / (s + penalty)
        leverage = squares @ share + 1 / n
        residuals = loo_residuals(Y - U @ (share[:, None] * UY), leverage[:, None])
        least = min(least, np.sum(residuals**2))
    return float(1 - least / alone)


# HASTE ------------------------------------------------------------------------------------------


def unlike_source(F: Array, source: Array, n_neighbors: int) -> Array:
    """Return 1 - mean of the largest cosines between a row and source rows (N, d), (n,)."""
    F, source = (rows / _nonzero(np.linalg.norm(rows, axis=1))[:, None] for rows in (F, source))
    k = min(n_neighbors, len(source))
    blocks = np.array_split(F, max(1, len(F) * len(source) // 10**7))  # 80 MB at a time
    nearest = [np.partition(block @ source.T, -k, axis=1)[:, -k:] for block in blocks]
    return 1 - np.mean(np.vstack(nearest), axis=1)


def unlike_class(F: Array, codes: Codes) -> Array:
    """Return each row's distance of Mahalanobis from the mean of its class, (n,).

    The covariance within classes is pooled and shrunk by Ledoit and Wolf's weight.
    """
    member = one_hot(codes)
    W = unit_scale(F - (member.T @ F / np.bincount(codes)[:, None])[codes])
    n, d = W.shape
    G = gram(W)
    r, mu = shrinkage_weight(W, G), np.trace(G) / n / d
    if mu == 0:
        return np.zeros(n)
    A = plus((1 - r) / n * G, max(r, 1e-10) * mu)
    if n < d:
        squares = np.diag(cho_solve(cho_factor(A), W @ W.T))
    else:
        squares = np.sum(W * cho_solve(cho_factor(A), W.T).T, axis=1)
    return np.sqrt(np.maximum(squares, 0.0))


def hardest(hardness: Array, codes: Codes, fraction: float, least: int = 2) -> NDArray[np.intp]:
    """Return the rows, in order, that are hardest in their class: a fraction, at least two."""
    kept = []
    for c in range(np.max(codes) + 1):
        rows = np.flatnonzero(codes == c)
        size = max(least, int(np.ceil(fraction * len(rows))))
        kept.append(rows[np.argsort(-hardness[rows], kind="stable")[:size]])
    return np.sort(np.concatenate(kept))
