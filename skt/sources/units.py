"""Units of one fit: scales of features and outputs, and the origin of the target."""

from typing import NamedTuple

import numpy as np

from skt.core.coef_intervals import Errors
from skt.core.moments import Moments, rescaled
from skt.core.uowq import Problem
from skt.core.white_noise import white_turn

# Columns whose standard deviations differ by more are in different units.
SAME_UNITS = 10.0


class Fitted(NamedTuple):
    """A combination in the user's units."""

    coef: np.ndarray  # (q, p)
    intercept: np.ndarray  # (q,)
    covariance: np.ndarray  # (q, p, p)
    noise_variance: np.ndarray  # (q,)
    output_variance: float  # mean squared unit of the outputs
    target: Moments


class Units(NamedTuple):
    """Features are ``(X - origin) / scale`` in these units, outputs ``(Y - origin) @ turn``.

    Columns that keep their own units are divided by one number for all of X, or of Y
    (``common_x``, ``common_y``): the computation is then the same in any unit of theirs.
    """

    scale: np.ndarray  # (p,)
    turn: np.ndarray  # (q, q)
    intercept: bool
    own: Moments  # of the target, in the user's units
    common_x: float = 1.0
    common_y: float = 1.0

    # Which units ---------------------------------------------------------------------------

    @classmethod
    def given(cls, data, intercept):
        """Return the user's own units."""
        own = data.own
        return cls(np.ones(own.n_features), np.eye(own.n_targets), intercept, own)

    @classmethod
    def standard(cls, data, intercept):
        """Return units in which features have unit variance within domains, on average."""
        plain = cls.given(data, intercept)
        spreads = [plain.second_moments(m)[:2] for m in data.summaries if m.weight > 1]
        if not spreads:
            return plain
        variance = np.mean([np.diag(Sxx) / n for n, Sxx in spreads], axis=0)
        return plain._replace(scale=np.where(variance > 0, np.sqrt(variance), 1.0))

    @classmethod
    def comparable(cls, data, intercept, scale):
        """Return units in which columns can be compared: their own, or standard deviations.

        ``scale`` True divides every column by its standard deviation, "auto" where these differ
        by more than a factor of ten.
        """
        plain = cls.given(data, intercept)
        x, y = zip(*map(plain.mean_squares, data.summaries), strict=True)
        (x, common_x), (y, common_y) = _divisors(x, scale), _divisors(y, scale)
        return plain._replace(scale=x, turn=np.diag(1 / y), common_x=common_x, common_y=common_y)

    # Into them -----------------------------------------------------------------------------

    @property
    def lost(self):
        """Degrees of freedom that the intercept takes."""
        return float(self.intercept)

    @property
    def output_scale(self):
        """Divisors of the outputs, (q,), where these are not mixed."""
        return 1 / np.diag(self.turn)

    @property
    def ridge_unit(self):
        """Square of the features' common unit: of a ridge penalty, in the user's units."""
        return self.common_x**2

    @property
    def objective_unit(self):
        """Square of the outputs' common unit: of the objective, in the user's units."""
        return self.common_y**2

    def ridge(self, ridge):
        """Return a ridge penalty of the user's units in these."""
        return None if ridge is None else ridge / self.ridge_unit

    def origin(self):
        """Return what is subtracted from the target's features and outputs."""
        if self.intercept:
            return self.own.mean_X, self.own.mean_y
        return np.zeros(self.own.n_features), np.zeros(self.own.n_targets)

    def problem(self, data):
        """Return the target's rows and the moments of all domains."""
        own = self.second_moments(self.own)
        parts = [own, *(source.second_moments(self, own) for source in data.sources.values())]
        origin_x, origin_y = self.origin()
        return Problem(
            *(np.array(part) for part in zip(*parts, strict=True)),
            (data.target.X - origin_x) / self.scale * (np.diag(own[1]) > 0),
            (data.target.Y - origin_y) @ self.turn,
            data.target.weight,
            self.intercept,
            self._means(data) if self.intercept else None,
        )

    def _means(self, data):
        """Return means of X and Y in each domain less the target's, NaN where they are unknown."""
        known = [self.own, *(source.summary for source in data.sources.values())]
        x = np.full((len(known), len(self.scale)), np.nan)
        y = np.full((len(known), len(self.turn)), np.nan)
        for i, m in enumerate(known):
            if m is not None:
                x[i] = (m.mean_X - self.own.mean_X) / self.scale
                y[i] = (m.mean_y - self.own.mean_y) @ self.turn
        return x, y

    def with_white_noise(self, problem, data):
        """Return the units and the problem with outputs turned so that their noise is white."""
        known = [True, *(source.summary is not None for source in data.sources.values())]
        turn = white_turn(problem, np.array(known))
        return self._replace(turn=self.turn @ turn), problem.turned(turn)

    def second_moments(self, m):
        """Return ``(n, Sxx, Sxy, Syy)``, about zero where no intercept is fitted."""
        Sxx, Sxy, Syy = m.Sxx, m.Sxy, m.Syy
        if not self.intercept:
            Sxx = Sxx + m.weight * np.outer(m.mean_X, m.mean_X)
            Sxy = Sxy + m.weight * np.outer(m.mean_X, m.mean_y)
            Syy = Syy + m.weight * np.outer(m.mean_y, m.mean_y)
        x = _varies(Sxx, m.mean_X, m.weight) / self.scale
        turn = _varies(Syy, m.mean_y, m.weight)[:, None] * self.turn
        return m.weight, Sxx * np.outer(x, x), x[:, None] * Sxy @ turn, turn.T @ Syy @ turn

    def mean_squares(self, m):
        """Return the mean squares of the columns of X and Y, zero where they are constant."""
        n, Sxx, _, Syy = self.second_moments(m)
        return np.diag(Sxx) / n, np.diag(Syy) / n

    def rescaled(self, m):
        """Return `Moments` in these units, their means included."""
        return rescaled(m, self.scale, self.output_scale)

    def coef(self, W):
        """Return coefficients (p, q) of the user's units in these."""
        return W * self.scale[:, None] @ self.turn

    def coef_covariance(self, covariance):
        """Return the covariance (p, p) of one output's coefficients in these units."""
        square = float(np.mean(np.sum(self.turn**2, axis=0)))
        return square * covariance * np.outer(self.scale, self.scale)

    def variance(self, variance):
        """Return the variances of uncorrelated outputs in these units, (q,)."""
        return variance @ self.turn**2

    # And back ------------------------------------------------------------------------------

    def restored_coef(self, W):
        """Return coefficients (..., p, q) in the user's units and shape, (..., q, p)."""
        back = np.linalg.inv(self.turn)
        return np.swapaxes(W @ back, -1, -2) / self.scale

    def restored_outputs(self, Y):
        """Return outputs (n, q) without their origin, such as residuals, in the user's units."""
        return None if Y is None else Y @ np.linalg.inv(self.turn)

    def intercept_of(self, coef, shift=None):
        """Return the intercept (q,) at coefficients (q, p) in the user's units.

        ``shift`` (q,), in these units, is that of the outputs at the target's mean features.
        """
        origin_x, origin_y = self.origin()
        intercept = origin_y - coef @ origin_x
        return intercept if shift is None else intercept + shift @ np.linalg.inv(self.turn)

    def restored_errors(self, errors):
        """Return errors of coefficients in the user's units, (q, p)."""
        with np.errstate(over="ignore"):
            variance = self.output_variances[:, None] * (errors.variance / self.scale / self.scale)
        return Errors(self.restored_coef(errors.centre), variance, errors.df)

    @property
    def output_variances(self):
        """Variances of the outputs in the user's units at white unit noise, (q,)."""
        return np.sum(np.linalg.inv(self.turn) ** 2, axis=0)

    def restore(self, combined):
        """Return coefficients and variances in the user's units."""
        coef, variances = self.restored_coef(combined.coef), self.output_variances
        with np.errstate(over="ignore"):  # at scales of 1e150 variances are beyond floats
            covariance = combined.covariance / self.scale[:, None] / self.scale
            covariance = variances[:, None, None] * covariance
        return Fitted(
            coef,
            self.intercept_of(coef, combined.level.shift),
            covariance,
            variances * combined.noise,
            float(np.mean(variances)),
            self.own,
        )


def _varies(S, mean, weight):
    """Return which columns vary: what is left of a constant, of a large mean, is rounding."""
    return np.diag(S) > weight * (64 * np.finfo(float).eps * np.abs(mean)) ** 2


def _divisors(mean_squares, scale):
    """Return the divisor of each column, and the unit that all columns share."""
    variance = np.mean(mean_squares, axis=0)
    varies = variance > 0
    if not varies.any():
        return np.ones(len(variance)), 1.0
    spread = np.sqrt(np.where(varies, variance, np.mean(variance[varies])))
    if scale is True or (scale == "auto" and np.max(spread) > SAME_UNITS * np.min(spread)):
        return spread, 1.0
    common = float(np.sqrt(np.mean(variance[varies])))
    return np.full(len(variance), common), common
