"""The units in which coefficients of many outputs are compared, and the origin of the target."""

from typing import NamedTuple

import numpy as np

from .core.moments import Moments, moments
from .core.reduced_rank import reduced_rank_ridge, rescaled, second_moments

# Columns whose standard deviations differ by more are in different units.
SAME_UNITS = 10.0


class Columns(NamedTuple):
    """What columns are divided by, and the origin of the target.

    Columns that keep their units are divided by one number for all of X, or of Y: then the
    computation is the same in any unit of theirs.
    """

    x: np.ndarray  # (p,)
    y: np.ndarray  # (q,)
    ridge_unit: float  # of a ridge penalty, in the user's units
    alpha_unit: float  # of the objective, in the user's units
    origin_X: np.ndarray
    origin_y: np.ndarray
    intercept: bool

    @classmethod
    def of(cls, target, sources, scale, intercept):
        """Return scales for a target's rows, from all domains whose spread is known."""
        own = moments(target.X, target.y, target.weight)
        known = [own, *(source for source in sources.values() if isinstance(source, Moments))]
        x, ridge_unit = _scales([_spread(m, intercept)[0] for m in known], scale)
        y, alpha_unit = _scales([_spread(m, intercept)[1] for m in known], scale)
        origin = (own.mean_X, own.mean_y) if intercept else (0 * own.mean_X, 0 * own.mean_y)
        return cls(x, y, ridge_unit, alpha_unit, *origin, intercept)

    @property
    def lost(self):
        """Degrees of freedom that the intercept takes."""
        return float(self.intercept)

    def moments(self, m):
        """Return moments in these units."""
        return rescaled(m, self.x, self.y)

    def ridge(self, ridge):
        """Return a ridge penalty in these units."""
        return None if ridge is None else ridge / self.ridge_unit

    def coefficients(self, sources):
        """Return the coefficients of sources, (p, q), in these units."""
        return [self._coefficient(source) for source in sources.values()]

    def _coefficient(self, source):
        if isinstance(source, Moments):
            m = second_moments(self.moments(source), self.intercept)
            return reduced_rank_ridge(m, self.lost).C
        return np.atleast_2d(source.coef).T * self.x[:, None] / self.y


def _spread(m, intercept):
    """Return the mean squares of the columns of X and y, about their means or about zero."""
    x, y = np.diag(m.Sxx) / m.weight, np.diag(m.Syy) / m.weight
    if not intercept:
        return x + m.mean_X**2, y + m.mean_y**2
    # What is left of a constant, of a large mean, is rounding error.
    rounding = (64 * np.finfo(float).eps) ** 2
    return x * (x > rounding * m.mean_X**2), y * (y > rounding * m.mean_y**2)


def _scales(spreads, scale):
    """Return what columns are divided by, and the square of the common unit that they keep."""
    variance = np.mean(spreads, axis=0)
    varies = variance > 0
    if not varies.any():
        return np.ones(len(variance)), 1.0
    spread = np.sqrt(np.where(varies, variance, np.mean(variance[varies])))
    if scale is True or (scale == "auto" and np.max(spread) > SAME_UNITS * np.min(spread)):
        return spread, 1.0
    common = np.sqrt(np.mean(variance[varies]))
    return np.full(len(variance), common), float(common**2)
