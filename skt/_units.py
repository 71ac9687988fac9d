"""The units a combination is computed in, and the way back to the user's.

Features are divided by their standard deviation within domains, outputs are turned so that
their noise is uncorrelated and of unit variance: then one variance is a sensible prior for
all coefficients, and nothing depends on the units of a column.
"""

from typing import NamedTuple

import numpy as np

from .core import random_effects
from .core.combination import Task
from .core.moments import Moments, moments

# A source whose number of rows is unknown counts as this many times the target's: its
# coefficients are taken as they stand, and their error becomes part of the discrepancy.
EXACT = 1e6


class Fitted(NamedTuple):
    """A combination in the user's units."""

    coef: np.ndarray  # (q, p)
    intercept: np.ndarray  # (q,)
    covariance: np.ndarray  # (q, p, p)
    noise_variance: np.ndarray  # (q,)
    output_variance: float  # mean squared unit of the outputs
    target: Moments


class Units(NamedTuple):
    """Scales of features and outputs, and the origin of the target."""

    scale: np.ndarray  # (p,)
    turn: np.ndarray  # (q, q); outputs are multiplied by it from the right
    intercept: bool
    target: Moments

    @classmethod
    def of(cls, target, sources, intercept):
        """Return units fit for a target's rows and its sources."""
        plain = cls.plain(target, intercept)
        known = [plain.target, *(s for s in sources.values() if isinstance(s, Moments))]
        units = plain._replace(scale=_feature_scale(*plain._stack(known)[:2]))
        return units._replace(turn=_output_turn(*units._stack(known), lost=float(intercept)))

    @classmethod
    def plain(cls, target, intercept):
        """Return the user's own units."""
        own = moments(target.X, target.y, target.weight)
        return cls(np.ones(own.n_features), np.eye(own.n_targets), intercept, own)

    def task(self, target, sources):
        """Return the target's rows and the moments of all domains in these units."""
        own = self._moments(self.target)
        parts = [own]
        for source in sources.values():
            parts.append(
                self._moments(source)
                if isinstance(source, Moments)
                else self._model_moments(source, own)
            )
        origin_x, origin_y = self.origin()
        return Task(
            *(np.array(part) for part in zip(*parts, strict=True)),
            (target.X - origin_x) / self.scale * (np.diag(own[1]) > 0),
            (target.y - origin_y) @ self.turn,
            target.weight,
            self.intercept,
        )

    def restore(self, combined):
        """Return coefficients and variances in the user's units."""
        back = np.linalg.inv(self.turn)
        coef = (combined.coef @ back).T / self.scale
        variances = np.sum(back**2, axis=0)
        origin_x, origin_y = self.origin()
        with np.errstate(over="ignore"):  # at scales of 1e150 variances are beyond floats
            covariance = combined.covariance / self.scale[:, None] / self.scale
            covariance = variances[:, None, None] * covariance
        return Fitted(
            coef,
            origin_y - coef @ origin_x,
            covariance,
            variances * combined.noise,
            float(np.mean(variances)),
            self.target,
        )

    def origin(self):
        """Return what is subtracted from the target's features and outputs."""
        own = self.target
        if self.intercept:
            return own.mean_X, own.mean_y
        return np.zeros(own.n_features), np.zeros(own.n_targets)

    def _stack(self, known):
        return tuple(np.array(part) for part in zip(*map(self._moments, known), strict=True))

    def _moments(self, m):
        """Return (n, Sxx, Sxy, Syy), about zero where no intercept is fitted."""
        Sxx, Sxy, Syy = m.Sxx, m.Sxy, m.Syy
        if not self.intercept:
            Sxx = Sxx + m.weight * np.outer(m.mean_X, m.mean_X)
            Sxy = Sxy + m.weight * np.outer(m.mean_X, m.mean_y)
            Syy = Syy + m.weight * np.outer(m.mean_y, m.mean_y)
        x = _varies(Sxx, m.mean_X, m.weight) / self.scale
        turn = _varies(Syy, m.mean_y, m.weight)[:, None] * self.turn
        return m.weight, Sxx * np.outer(x, x), x[:, None] * Sxy @ turn, turn.T @ Syy @ turn

    def _model_moments(self, model, own):
        """Return the moments of data on which least squares would have given this model.

        Its design is its coefficients' covariance inverted, or else the target's.
        """
        n_target, Sxx_target, _, Syy_target = own
        coef = np.atleast_2d(model.coef).T * self.scale[:, None] @ self.turn
        noise = self._model_noise(model, Syy_target, n_target)
        design = _full_rank(Sxx_target / n_target)
        if model.covariance is not None:
            covariance = model.covariance * np.outer(self.scale, self.scale)
            Sxx = np.mean(noise) * np.linalg.pinv(covariance, hermitian=True)
            n = model.n_samples or np.trace(Sxx) / np.trace(design)
        else:
            n = model.n_samples or n_target * EXACT
            Sxx = n * design
        df = max(n - len(coef) - self.intercept, 1.0)
        return float(n), Sxx, Sxx @ coef, coef.T @ Sxx @ coef + df * np.diag(noise)

    def _model_noise(self, model, Syy_target, n_target):
        """Return the model's residual variances, half the target's variance if not known."""
        if model.noise_variance is None:
            return np.maximum(np.diag(Syy_target) / n_target / 2, 1e-12)
        variance = np.broadcast_to(model.noise_variance, len(self.turn))
        return np.diag(self.turn.T @ np.diag(variance) @ self.turn)


def _varies(S, mean, weight):
    """Return which columns vary: what is left of a constant, of a large mean, is rounding."""
    return np.diag(S) > weight * (64 * np.finfo(float).eps * np.abs(mean)) ** 2


def _full_rank(design):
    """Return a design with all directions in it: half its own, half its diagonal."""
    diagonal = np.diag(design)
    spread = np.where(diagonal > 0, diagonal, np.mean(diagonal) or 1.0)
    return (design + np.diag(spread)) / 2


def _feature_scale(n, Sxx):
    """Return root mean within-domain variances, (p,); one where no domain varies."""
    several = n > 1
    if not several.any():
        return np.ones(Sxx.shape[1])
    variance = np.mean(np.diagonal(Sxx, axis1=1, axis2=2)[several] / n[several, None], axis=0)
    return np.where(variance > 0, np.sqrt(variance), 1.0)


def _output_turn(n, Sxx, Sxy, Syy, lost):
    """Return the matrix that makes the noise of outputs white, (q, q).

    Without residual degrees of freedom the outputs are only brought to unit variance; the
    residual correlations are shrunk towards none by what q outputs cost in degrees of freedom.
    """
    q = Syy.shape[1]
    domains = random_effects.decompose(n - lost, Sxx, Sxy, Syy)
    df = float(np.sum(np.maximum(n - lost - np.sum(domains.s > 0, axis=1), 0)))
    total = np.sum(np.diagonal(Syy, axis1=1, axis2=2), axis=0) / max(np.sum(n - lost), 1.0)
    total = np.where(total > 0, total, 1.0)
    if q == 1 or df < 2 * q:
        return np.diag(1 / np.sqrt(total))
    inverse = np.divide(1.0, domains.s, out=np.zeros_like(domains.s), where=domains.s > 0)
    explained = np.einsum("kri,kr,krj->ij", domains.B, inverse, domains.B)
    residual = (Syy.sum(axis=0) - explained) / df
    diagonal = np.maximum(np.diag(residual), 1e-10 * total)
    shrink = min((q + 1) / df, 1.0)
    residual = (1 - shrink) * residual + shrink * np.diag(diagonal)
    residual[np.diag_indices(q)] = diagonal
    return _inverse_root(residual)


def _inverse_root(covariance):
    """Return the symmetric inverse square root, small eigenvalues raised to rounding error."""
    scale = np.sqrt(np.diag(covariance))
    e, U = np.linalg.eigh(covariance / np.outer(scale, scale))
    return (U / np.sqrt(np.maximum(e, 1e-8))) @ U.T / scale[:, None]
