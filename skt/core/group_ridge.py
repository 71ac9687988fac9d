"""Ridge regression with a common part and a part of each group, from moments of the groups.

Slopes and level of group g are ``b + c_g``; the objective is

    sum_g ||y_g - U_g (b + c_g)||^2 + common ||b||^2 + own sum_g ||c_g||^2

Both penalties are chosen together by generalised cross-validation over the rows of all groups: the
groups themselves tell how far groups differ. Own penalties without end are pooling.

Notation
--------
p features; U_g (n_g, p + 1) : features and a column of ones; the level has no common part, since
the mean of all outcomes is taken away first.
S_g, r_g, t_g : ``U'U`` (p + 1, p + 1), ``U'y`` (p + 1,) and ``y'y`` of group g.
s, V : eigenvalues and eigenvectors (p + 1, r) of S_g; a : the own penalty.
B (p, p), r (p,) : what is left to the common part when every c_g is profiled out,
``sum_g V a s / (s + a) V'`` and ``sum_g V a / (s + a) V'r_g``, without the level.
"""

from typing import NamedTuple

import numpy as np

from skt.core._typing import Array

# Features are standardised, and a penalty counts rows. Generalised cross-validation is blind where
# groups of few rows are all but interpolated: without a floor it had twice the error on one table.
OWN = np.logspace(0.5, 5, 9)
# Common penalties, none above the own one: what groups have in common is the larger part.
COMMON = np.logspace(0.5, 3.5, 4)


class GroupMoments(NamedTuple):
    """Moments of one group, outcomes less the mean of all."""

    n: float
    S: Array  # (p + 1, p + 1)
    r: Array  # (p + 1,)
    t: float


class GroupFit(NamedTuple):
    """Coefficients of the first group, level last, and how they were chosen."""

    coef: Array  # (p + 1,)
    own: float
    common: float
    score: float


def group_moments(X: Array, y: Array, weight: Array) -> GroupMoments:
    """Return the moments of rows with a level."""
    U = np.column_stack([X, np.ones(len(X))])
    WU = weight[:, None] * U
    return GroupMoments(float(weight.sum()), U.T @ WU, WU.T @ y, float(weight @ y**2))


def objective(b: Array, c: Array, groups: list[GroupMoments], own: float, common: float) -> float:
    """Return the objective at b (p,) and c (G, p + 1)."""
    total = common * b @ b + own * np.sum(c**2)
    for each, group in zip(c, groups, strict=True):
        coef = np.append(b, 0.0) + each
        total += group.t - 2 * coef @ group.r + coef @ group.S @ coef
    return float(total)


def fit_groups(groups: list[GroupMoments], own: Array = OWN, common: Array = COMMON) -> GroupFit:
    """Return the fit of least generalised cross-validation error over both penalties."""
    spectra = [_spectrum(group) for group in groups]
    fits = [fit for a in own for fit in _fits(groups, spectra, float(a), common)]
    return min(fits, key=lambda fit: fit.score)


def _spectrum(group: GroupMoments) -> tuple[Array, Array]:
    """Return eigenvalues and vectors of S_g that are not nothing."""
    s, V = np.linalg.eigh(group.S)
    kept = s > 1e-12 * max(s[-1], 1e-300)
    return s[kept], V[:, kept]


def _fits(groups: list[GroupMoments], spectra: list, a: float, commons: Array) -> list[GroupFit]:
    """Return the fits of one own penalty."""
    p = len(groups[0].r) - 1
    B, right, noise = np.zeros((p, p)), np.zeros(p), np.zeros((p, p))
    for group, (s, V) in zip(groups, spectra, strict=True):
        W = V[:p]
        B += (W * (a * s / (s + a))) @ W.T
        noise += (W * (a**2 * s / (s + a) ** 2)) @ W.T
        right += group.r[:p] - W @ (s / (s + a) * (V.T @ group.r))
    e, Q = np.linalg.eigh(B)
    rotated, spread = Q.T @ right, np.sum(Q * (noise @ Q), axis=0)
    own_df = sum(float(np.sum(s / (s + a))) for s, _ in spectra)
    n = sum(group.n for group in groups)
    fits = []
    for common in np.unique(np.minimum(commons, a)):
        b = Q @ (rotated / (np.maximum(e, 0) + common))
        df = own_df + float(np.sum(spread / (np.maximum(e, 0) + common)))
        parts = [_rest(b, g, s, V, a) for g, (s, V) in zip(groups, spectra, strict=True)]
        left = max(1 - df / n, 1e-6)
        score = max(sum(rss for rss, _ in parts), 0.0) / n / left**2
        fits.append(GroupFit(np.append(b, 0.0) + parts[0][1], a, float(common), score))
    return fits


def _rest(b: Array, group: GroupMoments, s: Array, V: Array, a: float) -> tuple[float, Array]:
    """Return the residual sum of squares of a group, and its own part c_g."""
    b = np.append(b, 0.0)
    Sb = group.S @ b
    q = V.T @ (group.r - Sb)
    squares = group.t - 2 * b @ group.r + b @ Sb
    rss = squares - np.sum(q**2 * (2 / (s + a) - s / (s + a) ** 2))
    return float(rss), V @ (q / (s + a))
