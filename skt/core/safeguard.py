"""Rules by which target rows that were left out speak against the sources.

Every estimator here promises to be hardly worse than the target alone. No model of how domains
differ can keep that promise, since the model may be wrong. Target rows can: each is predicted
without itself, once with the sources and once without. The rules differ in what they decide:

=========================================  ======================================================
decision                                   rule
=========================================  ======================================================
weight of one of two fits, by the          `evidence_weight`: strong evidence only, so that few
evidence that it is better                 rows change little
weight of one of two fits, by the least    `stacking_weight`; `shrunk_stacking_weight` where rows
squared error of their mean                are too few to tell it
one of several candidates, all of them     `winner`: the judged one, unless a rival is better by
fitted anew without the rows               a number of standard errors
candidates to be refused                   `clearly_worse`: than the first, beyond error
the most cautious of a sequence            `most_cautious`: the last that is not clearly worse
=========================================  ======================================================

Notation
--------
m candidates; n rows by their weights w (n_rows,), which count copies.
losses (m, n_rows) : loss of every row left out, under each candidate.
mean, error : mean of ``loss - other`` over rows, and its standard error, as `mean_difference`.
g, s : logarithm of the ratio of two mean losses, and its standard error, as `log_gain`.
"""

import numpy as np
from numpy.typing import NDArray

from skt.core._typing import Array

# Evidence ---------------------------------------------------------------------------------------


def mean_difference(loss: Array, other: Array, weight: Array) -> tuple[Array, Array]:
    """Return the mean of ``loss - other`` over rows, and its standard error, (...,) each.

    ``sqrt(sum_i w_i (d_i - mean)^2 / n / (n - 1))``: paired, since what makes a row hard to
    predict makes it so for both. ``loss`` (..., n_rows) may hold several candidates.
    """
    n = np.sum(weight)
    difference = loss - other
    unit = power_of_two(difference)  # losses in units of next to no noise are huge
    difference = difference / unit
    mean = difference @ weight / n
    variance = (difference - mean[..., None]) ** 2 @ weight / n
    return mean * unit, np.sqrt(variance / max(n - 1, 1.0)) * unit


def power_of_two(values: Array) -> float:
    """Return the power of two below the largest value, by which to divide without rounding."""
    return float(np.ldexp(1.0, np.frexp(np.max(np.abs(values), initial=0.0))[1] - 1))


def log_gain(loss: Array, other: Array, weight: Array) -> tuple[float, float]:
    """Return ``g = log(mean loss / mean other)``, by how much the other is better, and its error s.

    The error is that of the paired difference of losses in units of their means. Both are zero
    where one of the two predicts exactly. Rows alone are too uneven to take logarithms of each,
    as `reduced_rank.log_gains` does of the errors of whole folds.
    """
    n = np.sum(weight)
    means = float(loss @ weight / n), float(other @ weight / n)
    if min(means) <= 0:
        return 0.0, 0.0
    _, error = mean_difference(loss / means[0], other / means[1], weight)
    return float(np.log(means[0] / means[1])), float(error)


# Weight of one of two fits ----------------------------------------------------------------------


def evidence_weight(gain: float, error: float, n: float) -> float:
    """Return the weight of the fit that is better by ``gain`` on rows left out, from 0 to 1.

    ``1 - exp(-n max(g - s, 0) / 2)``. With Gaussian errors of unknown variance ``exp(n g / 2)`` is
    the likelihood ratio of two fits. The gain is lowered by its standard error, and outputs, whose
    errors are correlated, count as one. A fit that is not better by a standard error has no
    weight, and few rows do not bring much of it.

    Used with opposite burdens of proof: by `uowq.unless_refused` for the target alone, against
    the mixed model that has weighed the target already; by `smart_choice.fit_by_validation` for
    the candidate that uses sources, against reduced-rank regression without them. Unlike
    `stacking_weight` it does not ask which mean of the two is best, which few rows do not tell.
    """
    return float(-np.expm1(-n / 2 * max(gain - error, 0.0)))


def stacking_weight(residual: Array, other: Array, weight: Array) -> float:
    """Return b in [0, 1] that minimises ``sum_i w_i |b residual_i + (1 - b) other_i|^2``.

    ``residual`` and ``other`` (n_rows, q) are residuals of rows left out. For two
    fits of which neither is the safe one, so that the better mean of the two is all there is to
    find.
    """
    return _projection(residual, other, weight, 0.0)


def shrunk_stacking_weight(residual: Array, other: Array, weight: Array, spread: float) -> float:
    """Return b in [0, 1] as `stacking_weight`, with the prior ``N(1, spread^2)`` of b.

    Minimises ``sum_i w_i |b residual_i + (1 - b) other_i|^2 + v (b - 1)^2 / spread^2``, v being
    the lower of the two mean squares. Used by `l2sp.stack`, where the first is the safe one: it
    weighs the target against its sources itself, and where few rows cannot tell b, stacking would
    only dilute it.
    """
    squares = [np.average(np.mean(e**2, axis=1), weights=weight) for e in (residual, other)]
    return _projection(residual, other, weight, float(min(squares)) / spread**2)


def _projection(residual: Array, other: Array, weight: Array, pull: float) -> float:
    """Return the part of ``other - residual`` that explains other, pulled towards one."""
    difference = other - residual
    length = np.sum(weight[:, None] * difference**2)
    if length <= 0:
        return 1.0
    product = np.sum(weight[:, None] * other * difference)
    return float(np.clip((product + pull) / (length + pull), 0.0, 1.0))


# One of several candidates ----------------------------------------------------------------------


def winner(losses: Array, weight: Array, thresholds: Array) -> int:
    """Return the candidate to take: the first, unless a rival is clearly better.

    Candidate 0 is what was judged best without these rows. Its rivals 1, 2, ... challenge the
    holder in turn, and rival i takes its place where its mean loss is lower by more than
    ``thresholds[i - 1]`` standard errors of the paired difference. Used by `model_selection.trial`,
    whose candidates are fitted anew for every fold by any estimator: with nothing known of them
    but losses, a mean of two has no meaning, and one is taken whole. The rival that is least
    harmful if wrong should come last, with the lowest threshold.
    """
    holder = 0
    for rival, threshold in enumerate(thresholds, start=1):
        mean, error = mean_difference(losses[holder], losses[rival], weight)
        if mean > threshold * max(error, 1e-300):
            holder = rival
    return holder


def clearly_worse(losses: Array, weight: Array, threshold: float = 1.0) -> NDArray[np.bool_]:
    """Return which candidates are worse than the first, beyond ``threshold`` standard errors, (m,).

    Used by `otqms.choose_rows`, where candidates are refused rather than chosen: which of the rest
    is taken, a better founded estimate of the risk decides. At threshold 0 it is enough to be worse
    at all.
    """
    mean, error = mean_difference(losses, losses[0], weight)
    return (mean > threshold * error) & (np.arange(len(losses)) > 0)


def most_cautious(losses: Array, weight: Array, best: int, threshold: float) -> int:
    """Return the last candidate that is worse than the best by ``threshold`` errors at most.

    Used by `l2sp_glm.Validated.cautious` for penalties in rising order: the larger, the more is
    relied on what is known without the target's rows. So the burden of proof is that of the
    *smaller* penalty, the opposite of `clearly_worse`: few rows that happen to be separable would
    have next to no penalty. Differences of rounding error do not count.
    """
    mean, error = mean_difference(losses, losses[best], weight)
    least = losses[best] @ weight / np.sum(weight)
    alike = mean <= threshold * error + 1e-12 * abs(least)
    return int(np.flatnonzero(alike)[-1])
