"""Many correlated figures at once, and whether they all agree.

Notation: blocks that are independent of each other, each (B, d), B repeats of d figures that share
their draws. z : differences in standard errors. Under agreement z is multivariate Student on B - 1
degrees of freedom, with the correlation of the repeats; critical values and p-values are
simulated from that.
"""

from typing import NamedTuple

import numpy as np

LEVEL, SIMULATIONS = 0.95, 20_000


class Agreement(NamedTuple):
    """How a table of figures agrees with what was expected, all of it at once."""

    largest: float  # deviation of the figure furthest off, in standard errors
    critical: float  # half-width of the simultaneous 95 % band, in standard errors
    p_largest: float
    p_squares: float  # of the sum of squares
    n_beyond: int  # figures outside the band
    n_figures: int

    def __str__(self):
        return (
            f"{self.n_figures - self.n_beyond} of {self.n_figures} within the simultaneous 95 % "
            f"band of {self.critical:.2f} standard errors; the largest deviation is "
            f"{self.largest:.2f} ({p_text(self.p_largest)}), of the sum of squares "
            f"{p_text(self.p_squares)}"
        )


def p_text(p):
    """Return a simulated p-value in words: none was found below it, or as it is."""
    return f"p < {2 / SIMULATIONS:g}" if p < 2 / SIMULATIONS else f"p = {p:.2g}"


def mean_against(blocks, expected):
    """Compare means over the repeats of every block with what is expected, (d,) each."""
    z = [
        (block.mean(axis=0) - e) / (block.std(axis=0, ddof=1) / np.sqrt(len(block)))
        for block, e in zip(blocks, expected, strict=True)
    ]
    return _agreement(z, [_null(block, correlated=True, seed=i) for i, block in enumerate(blocks)])


def one_against(blocks, reported, rounding, *, shared):
    """Compare one more repeat, as reported, with those of every block.

    ``shared`` says whether its figures share draws as those of the blocks do, or are independent.
    Rounding, half a unit of the last digit, adds its variance.
    """
    z, null = [], []
    for i, (block, values) in enumerate(zip(blocks, reported, strict=True)):
        variance = block.var(axis=0, ddof=1) * (1 + 1 / len(block)) + rounding**2 / 3
        z.append((np.asarray(values) - block.mean(axis=0)) / np.sqrt(variance))
        null.append(_null(block, correlated=shared, seed=i))
    return _agreement(z, null)


def shared_p_value(blocks, reported, rounding):
    """Return the p-value of one more repeat whose figures share draws (Hotelling's T^2).

    It asks whether the figures deviate together as those that share draws do, which takes more
    repeats than figures: NaN without.
    """
    if any(len(block) <= block.shape[1] for block in blocks):
        return np.nan
    total, null = 0.0, np.zeros(SIMULATIONS)
    for i, (block, values) in enumerate(zip(blocks, reported, strict=True)):
        B, d = block.shape
        S = np.cov(block.T) * (1 + 1 / B) + np.eye(d) * rounding**2 / 3
        gap = np.asarray(values) - block.mean(axis=0)
        total += gap @ np.linalg.solve(S, gap)
        rng = np.random.default_rng(i)
        null += d * (B - 1) / (B - d) * rng.f(d, B - d, SIMULATIONS)
    return float(np.mean(null >= total))


def _null(block, *, correlated, seed):
    """Return draws of z under agreement, (SIMULATIONS, d)."""
    rng, (B, d) = np.random.default_rng(seed), block.shape
    R = np.corrcoef(block.T) if correlated else np.eye(d)
    e, U = np.linalg.eigh(R)
    normal = rng.standard_normal((SIMULATIONS, d)) @ (U * np.sqrt(np.maximum(e, 0))).T
    return normal / np.sqrt(rng.chisquare(B - 1, (SIMULATIONS, 1)) / (B - 1))


def _agreement(z, null):
    z, null = np.abs(np.concatenate(z)), np.abs(np.hstack(null))
    highest = null.max(axis=1)
    critical = float(np.quantile(highest, LEVEL))
    return Agreement(
        float(z.max()),
        critical,
        float(np.mean(highest >= z.max())),
        float(np.mean(np.sum(null**2, axis=1) >= np.sum(z**2))),
        int(np.sum(z > critical)),
        len(z),
    )
