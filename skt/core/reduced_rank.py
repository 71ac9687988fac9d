"""Reduced-rank regression from second moments, and the choice of its rank and ridge penalty.

Notation
--------
n rows (the sum of their weights), p features, q outputs, centred where an intercept is fitted:

    G = X'X/n  (p, p),   H = X'Y/n  (p, q),   y2 = ||Y||^2/n,

and C the coefficients (p, q). With a ridge penalty gamma,

    (1/2n) ||Y - X C||^2 + (gamma/2) ||C||^2 = (y2 - 2 <H, C> + <C, (G + gamma I) C>) / 2      (R1)

is minimised under rank C <= r by C_r = W [W H]_r, where W = (G + gamma I)^(-1/2) and [.]_r is the
truncated singular value decomposition: Eckart and Young in the metric of G.

Nothing here depends on n. Every array may have leading dimensions (folds, say): functions
broadcast over them. With far fewer rows than features, all that is learnt from several sets of
rows lies in the span of their rows, and is computed there (`span`).

References
----------
Bunea, She and Wegkamp (2011). Optimal selection of reduced rank estimators of
high-dimensional matrices. The Annals of Statistics 39, 1282-1309.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from skt.core._typing import EPS, Array
from skt.core.least_squares import penalty_grid
from skt.core.moments import Moments
from skt.core.safeguard import power_of_two

# Below this many rows per direction of X the residual variance, on which the criterion of the
# rank rests, is a poor estimate, and least squares a poor start: cross-validate instead.
AMPLE_ROWS = 1.5
# Several sets of rows are looked at within the span of their rows, if it has less than this part
# of the dimensions.
NARROW = 1 / 3
# Errors of validation that are closer than this, relatively, are equal: the lower rank is taken.
EQUAL_ERRORS = 1e-12
# Errors of validation below this part of ||Y||^2/n are rounding error.
ROUNDING = 1e-13


class SecondMoments(NamedTuple):
    """Second moments of rows, perhaps of several sets of rows at once."""

    G: Array  # (..., p, p)
    H: Array  # (..., p, q)
    y2: Array  # (...,)
    n: Array  # (...,)

    def at(self, index: Any) -> SecondMoments:
        """Return the moments of one set of rows, or of a slice of them."""
        return SecondMoments(*(part[index] for part in self))


class Factors(NamedTuple):
    """Coefficients as a singular value decomposition, C = U diag(d) V'."""

    U: Array  # (..., p, r)
    d: Array  # (..., r)
    V: Array  # (..., q, r)

    @property
    def C(self) -> Array:
        """Coefficients, (..., p, q)."""
        return self.U * self.d[..., None, :] @ transpose(self.V)

    def at(self, index: Any) -> Factors:
        """Return the factors of one set of rows, or of a slice of them."""
        return Factors(*(part[index] for part in self))


class Folds(NamedTuple):
    """Rows to learn from, all of them first and then without each fold; and the folds."""

    train: SecondMoments  # (1 + n_folds, ...)
    test: SecondMoments  # (n_folds, ...)


class RankChoice(NamedTuple):
    """Rank and ridge penalty, and how they were chosen."""

    rank: int
    ridge: float
    errors: Array  # (n_ridges, n_ranks) mean errors of validation; empty if not by validation
    ridges: Array  # (n_ridges,)
    lowest: tuple[int, float]  # rank and ridge of the lowest error, be it lower by chance or not

    @property
    def of_lowest_error(self) -> RankChoice:
        """The choice that gives chance no weight, for candidates that must yet prove better."""
        return self._replace(rank=self.lowest[0], ridge=self.lowest[1])


def transpose(A: Array) -> Array:
    """Return the transposed matrices."""
    return np.swapaxes(A, -1, -2)


# Moments and folds --------------------------------------------------------------------------


def second_moments(m: Moments, intercept: bool) -> SecondMoments:
    """Return the moments about the mean, or about zero where no intercept is fitted."""
    if intercept:
        return _about(m, m.mean_X, m.mean_y)
    return _about(m, np.zeros(m.n_features), np.zeros(m.n_targets))


def _about(m: Moments, x: Array, y: Array) -> SecondMoments:
    dx, dy = m.mean_X - x, m.mean_y - y
    y2 = np.trace(m.Syy) / m.weight + dy @ dy
    return SecondMoments(
        m.Sxx / m.weight + np.outer(dx, dx),
        m.Sxy / m.weight + np.outer(dx, dy),
        np.array(y2),
        np.array(m.weight),
    )


def make_folds(
    total: Moments, rest: Sequence[Moments], parts: Sequence[Moments], intercept: bool
) -> Folds:
    """Return the moments of all rows and of those without each fold, and of the folds.

    A fold is tested about the means of the rows it is predicted from. There may be no folds.
    """
    train = _stack([second_moments(m, intercept) for m in (total, *rest)])
    if not parts:
        return Folds(train, train.at(slice(0, 0)))
    zero = 0 * total.mean_X, 0 * total.mean_y
    origins = [(m.mean_X, m.mean_y) if intercept else zero for m in rest]
    test = [_about(part, *origin) for part, origin in zip(parts, origins, strict=True)]
    return Folds(train, _stack(test))


def _stack(sets: Sequence[SecondMoments]) -> SecondMoments:
    return SecondMoments(*(np.array(part) for part in zip(*sets, strict=True)))


# Objective and solution ---------------------------------------------------------------------


def objective(C: Array, m: SecondMoments, ridge: float = 0.0) -> Array:
    """Return (R1) at the coefficients C."""
    return squared_error(C, m) / 2 + ridge / 2 * np.sum(C**2, axis=(-1, -2))


def squared_error(C: Array, m: SecondMoments) -> Array:
    """Return ||Y - X C||^2 / n from the moments."""
    return m.y2 + np.sum(C * (m.G @ C - 2 * m.H), axis=(-1, -2))


def factor_error(f: Factors, m: SecondMoments, gram: Array | None = None) -> Array:
    """Return ||Y - X U D V'||^2 / n, which needs only the diagonals: V'V = I.

    `gram` is G U, where it is known.
    """
    gram = m.G @ f.U if gram is None else gram
    linear = np.sum(f.d * np.sum(f.U * (m.H @ f.V), axis=-2), axis=-1)
    return m.y2 - 2 * linear + np.sum(f.d**2 * np.sum(f.U * gram, axis=-2), axis=-1)


def inverse_root(G: Array, ridge: float = 0.0) -> Array:
    """Return (G + ridge I)^(-1/2) on the range of G, zero elsewhere.

    Outside the range of G there is nothing to learn, with any penalty.
    """
    return _root_of_spectrum(*np.linalg.eigh(G), ridge)


def _root_of_spectrum(e: Array, Q: Array, ridge: float) -> Array:
    inside = e > _negligible(e)
    root = np.where(inside, 1 / np.sqrt(np.where(inside, e + ridge, 1.0)), 0.0)
    return Q * root[..., None, :] @ transpose(Q)


def _negligible(e: Array) -> Array:
    """Return the size of eigenvalues that are rounding error."""
    return np.maximum(e[..., -1:], 0.0) * (10 * e.shape[-1] * EPS)


def span(G: Array, least: int = 0, rounding: float = 0.0) -> Array | None:
    """Return an orthonormal basis, (p, k), of the ranges of all G together.

    Of at least `least` dimensions. None where it has so many that to work in it does not pay.
    Eigenvalues up to `rounding` are zero.
    """
    p = G.shape[-1]
    e, Q = np.linalg.eigh(np.mean(G.reshape(-1, p, p), axis=0))
    k = max(int(np.sum(e > np.maximum(_negligible(e), rounding))), least)
    return Q[:, p - k :] if 0 < k < NARROW * p else None


def narrowed(m: SecondMoments) -> tuple[Array | None, SecondMoments]:
    """Return a basis Q of the span of several sets of rows, and the moments of X Q.

    C = Q (Q'C) for what is learnt of them. One set is left as it is, and so are rows whose span is
    not much smaller than the space: then there is no Q.
    """
    several = m.G.ndim > 2 and len(m.G) > 1
    Q = span(m.G, min(m.H.shape[-2:])) if several else None
    return Q, m if Q is None else within(Q, m)


def within(Q: Array, m: SecondMoments) -> SecondMoments:
    """Return the moments of X Q."""
    return m._replace(G=Q.T @ m.G @ Q, H=Q.T @ m.H)


def rank_of(G: Array) -> int:
    """Return the numerical rank of X, from G = X'X/n."""
    e = np.linalg.eigvalsh(G)
    return int(np.sum(e > _negligible(e)))


def reduced_rank(m: SecondMoments, rank: int, ridge: float = 0.0) -> Factors:
    """Return the minimiser of (R1) among coefficients of the given rank."""
    Q, m = narrowed(m)
    W = inverse_root(m.G, ridge)
    left, s, right = np.linalg.svd(W @ m.H, full_matrices=False)
    A = W @ (left[..., :rank] * s[..., None, :rank])  # C = A right'
    U, d, rotation = np.linalg.svd(A, full_matrices=False)
    return Factors(U if Q is None else Q @ U, d, transpose(rotation @ right[..., :rank, :]))


def truncated(C: Array, G: Array, rank: int, ridge: float = 0.0) -> Factors:
    """Return the coefficients of the given rank whose predictions are nearest to those of C.

    They minimise tr (B - C)'(G + ridge I)(B - C): B = C P, where P projects on the leading
    eigenvectors of C'(G + ridge I)C. Where C is least squares it is `reduced_rank`.
    """
    _, Q = np.linalg.eigh(transpose(C) @ (G @ C) + ridge * transpose(C) @ C)
    leading = Q[..., Q.shape[-1] - rank :]
    U, d, rotation = np.linalg.svd(C @ leading, full_matrices=False)
    return Factors(U, d, leading @ transpose(rotation))


# Choice of rank and penalty -----------------------------------------------------------------


def rsc_rank(m: SecondMoments, lost: float = 0.0) -> int:
    """Return the rank by the rank selection criterion (Bunea, She and Wegkamp 2011).

    The number of eigenvalues of Y'PY, P the projection on the columns of X, that reach
    (1 + theta)^2 s^2 (sqrt q + sqrt k)^2 with theta = 1, k = rank X and s^2 the residual
    variance: what noise alone reaches with small probability. Eigenvalues of Y'PY are
    n times squared singular values of W H: no n x n projection is formed.

    Parameters
    ----------
    m : SecondMoments
        Of more rows than rank X.
    lost : float, default=0
        Degrees of freedom that an intercept has taken.

    Returns
    -------
    int
        From 0 to min(k, q).
    """
    q, k = m.H.shape[-1], rank_of(m.G)
    e = np.linalg.svd(inverse_root(m.G) @ m.H, compute_uv=False) ** 2
    variance = max(m.y2 - np.sum(e), EPS * m.y2) * m.n / (q * (m.n - lost - k))
    reached = m.n * e >= 4 * variance * (np.sqrt(q) + np.sqrt(k)) ** 2
    return int(np.sum((reached & (e > 0))[:k]))


def rank_errors(
    train: SecondMoments, test: SecondMoments, ridges: Sequence[float] | Array
) -> Array:
    """Return the errors of validation of every penalty and rank, (n_ridges, ..., n_ranks).

    In C_r = sum_j a_j b_j' the b_j are orthonormal, so that each j adds its own term: all
    ranks, 0, 1, ..., cost one decomposition.
    """
    Q, train = narrowed(train)
    test = test if Q is None else within(Q, test)
    e, Q = np.linalg.eigh(train.G)
    return np.array([_errors_of_ranks(_root_of_spectrum(e, Q, r), train.H, test) for r in ridges])


def _errors_of_ranks(W: Array, H: Array, test: SecondMoments) -> Array:
    left, s, right = np.linalg.svd(W @ H, full_matrices=False)
    A, B = W @ (left * s[..., None, :]), transpose(right)
    added = np.sum(A * (test.G @ A - 2 * (test.H @ B)), axis=-2)
    start = np.zeros((*added.shape[:-1], 1))
    return test.y2[..., None] + np.cumsum(np.concatenate([start, added], axis=-1), axis=-1)


def ridge_grid(G: Array) -> Array:
    """Return the penalties to try, in units of the mean eigenvalue of G."""
    level = max(float(np.trace(G)) / max(rank_of(G), 1), float(np.finfo(float).tiny))
    return penalty_grid(level, 9, 1e-3, 1e1)


def is_ample(m: SecondMoments, lost: float = 0.0) -> bool:
    """Return whether there are rows enough for least squares and the criterion of the rank."""
    return bool(m.n - lost >= AMPLE_ROWS * rank_of(m.G) + 1)


def choose_rank(folds: Folds, rank: int | None, ridge: float | None, lost: float) -> RankChoice:
    """Choose what is None: by the criterion of the rank without penalty, or by validation.

    Parameters
    ----------
    folds : Folds
        Of the target's rows.
    rank, ridge : int, float or None
        What is given.
    lost : float
        Degrees of freedom that an intercept has taken.

    Returns
    -------
    RankChoice
        Where rows are ample, no penalty and the rank by `rsc_rank`, at least one; otherwise by
        `validated`.
    """
    total = folds.train.at(0)
    if is_ample(total, lost):
        ridge = 0.0 if ridge is None else ridge
        rank = max(rsc_rank(total, lost), 1) if rank is None and ridge == 0.0 else rank
    if rank is not None and ridge is not None:
        return RankChoice(rank, ridge, np.empty((0, 0)), np.array([ridge]), (rank, ridge))
    if len(folds.test.n) == 0:  # one row tells the mean
        return RankChoice(0, ridge or 0.0, np.empty((0, 0)), np.zeros(1), (0, ridge or 0.0))
    return validated(folds, rank, ridge_grid(total.G) if ridge is None else np.array([ridge]))


def validated(folds: Folds, rank: int | None, ridges: Array) -> RankChoice:
    """Choose the penalty, and the rank if it is None, by cross-validation.

    A rank below that of ridge regression is taken where it lowers the error by more than one
    standard error: the least of many noisy errors is low by chance, and where rows are few, what
    a wrong rank costs is more than what the right one brings.
    """
    each = rank_errors(folds.train.at(slice(1, None)), folds.test, ridges)
    errors = folds.test.n / np.sum(folds.test.n) @ each
    if rank is not None:
        ridge = float(ridges[_lowest(errors[:, rank : rank + 1])[0]])
        return RankChoice(rank, ridge, errors, ridges, (rank, ridge))
    best, lowest = ((k, float(ridges[row])) for row, k in _with_doubt(each, errors, folds))
    return RankChoice(*best, errors, ridges, lowest)


def _with_doubt(each: Array, errors: Array, folds: Folds) -> tuple[tuple[int, int], ...]:
    """Return penalty and rank, as places in `errors`: to be taken, and of the lowest error."""
    lowest, full = _lowest(errors), min(rank_of(folds.train.G[0]), errors.shape[1] - 1)
    free = _lowest(errors[:, full:])[0], full
    gains, spread = log_gains(np.array([each[row, :, k] for row, k in (free, lowest)]), folds)
    useless = lowest[1] == 0 and gains[1] <= EQUAL_ERRORS  # nothing is better than the mean
    return (lowest if useless or gains[1] > spread[1] + EQUAL_ERRORS else free), lowest


def _lowest(errors: Array) -> tuple[int, int]:
    """Return row and column of the lowest error; of equal ones the first."""
    least = errors <= np.min(errors) + EQUAL_ERRORS * np.abs(np.min(errors))
    row, column = np.unravel_index(int(np.argmax(least)), errors.shape)
    return int(row), int(column)


def log_gains(errors: Array, folds: Folds) -> tuple[Array, Array]:
    """Return the means over folds of log(error of the first / error), and their standard errors.

    Of errors (n, n_folds). Logarithms, since a fold of outliers would decide on its own.
    """
    least = np.maximum(ROUNDING * folds.test.y2, np.finfo(float).tiny)
    logs = np.log(np.maximum(errors, least))
    gains = logs[0] - logs
    mean = gains.mean(axis=1) if gains.size else np.zeros(len(gains))
    return mean, mean_errors(gains, folds)


def mean_errors(values: Array, folds: Folds) -> Array:
    """Return the standard errors of means over folds, (n, n_folds) -> (n,).

    Folds that predict the same rows again are not independent: they tell the spread of a fold,
    and count as often as it takes to predict every row once. A single fold has no standard
    error; it counts as zero.
    """
    n_folds = values.shape[1]
    if n_folds == 0:
        return np.zeros(len(values))
    once = min(float(folds.train.n[0] / np.sum(folds.test.n)), 1.0)
    unit = power_of_two(values)
    away = (values - values.mean(axis=1)[:, None]) / unit
    spread = np.sum(away**2, axis=1) / max(n_folds - 1, 1)
    return np.sqrt(spread / (once * n_folds)) * unit


# A coefficient to start from ----------------------------------------------------------------


def reduced_rank_ridge(m: SecondMoments, lost: float = 0.0) -> Factors:
    """Return coefficients of a source: ridge by generalised cross-validation, rank by `rsc_rank`.

    Both need moments only. Without rows enough for the criterion of the rank, it is full.
    """
    k = min(rank_of(m.G), m.H.shape[-1])
    rank = max(rsc_rank(m, lost), 1) if is_ample(m, lost) else k
    return reduced_rank(m, rank, gcv_ridge(m, lost))


def gcv_ridge(m: SecondMoments, lost: float = 0.0) -> float:
    """Return the penalty with the least RSS / (1 - df/n)^2, none included where n > rank X."""
    e, Q = np.linalg.eigh(m.G)
    inside = e > _negligible(e)
    e, B2 = e[inside], np.sum((Q.T @ m.H)[inside] ** 2, axis=1)
    grid = ridge_grid(m.G)
    ridges = np.concatenate([[0.0], grid]) if m.n - lost > len(e) else grid
    shrunk = 1 / (e + ridges[:, None])
    rss = np.maximum(m.y2 - (2 * shrunk - e * shrunk**2) @ B2, 0.0)
    df = (e * shrunk).sum(axis=1) + lost
    left = 1 - df / m.n
    if left[-1] <= ROUNDING:  # no row is left to tell errors by: the strongest penalty
        return float(ridges[-1])
    scores = np.divide(rss, left**2, out=np.full_like(rss, np.inf), where=left > ROUNDING)
    return float(ridges[np.argmin(scores)])
