"""Designs of one fit of classes or counts: standardised columns of all domains, and back."""

from typing import NamedTuple

import numpy as np

from skt.core.rows import Rows
from skt.core.uowq_glm import OfModel, information_of_rows, without_intercepts
from skt.sources.forms import EXACT


class Restored(NamedTuple):
    """Coefficients in the user's units."""

    coef: np.ndarray  # (q, n_features)
    intercept: np.ndarray  # (q,)


class Design(NamedTuple):
    """Columns are ``(X - origin) / scale``, after a column of ones if there is an intercept."""

    origin: np.ndarray  # (n_features,)
    scale: np.ndarray  # (n_features,)
    intercept: bool

    @classmethod
    def of(cls, tables, intercept):
        """Return the design in which the columns of all tables of `Rows` have unit variance."""
        weight = np.concatenate([rows.weight for rows in tables])
        X = np.vstack([rows.X for rows in tables])
        mean = np.average(X, axis=0, weights=weight)
        origin = mean if intercept else np.zeros_like(mean)
        scale = np.sqrt(np.average((X - origin) ** 2, axis=0, weights=weight))
        varies = scale > 64 * np.finfo(float).eps * np.abs(mean)
        # A column that does not vary is left out: divided by infinity.
        return cls(origin, np.where(varies, scale, np.inf), intercept)

    def slopes(self, q):
        """Return which coefficients (P,) are slopes."""
        return np.repeat(np.arange(self.intercept + len(self.scale)) >= self.intercept, q)

    def rows(self, rows):
        """Return rows with the columns of the design."""
        Z = (rows.X - self.origin) / self.scale
        if self.intercept:
            Z = np.column_stack([np.ones(len(Z)), Z])
        return Rows(Z, rows.Y, rows.weight)

    def model(self, source, family, target):
        """Return the likelihood of a source known by a `SourceModel`.

        Without an information matrix the source's rows are taken to be as the target's (`Rows`
        of this design), as many as it says or else so many that its coefficients stand as they
        are. An intercept of zero is taken as not stated.
        """
        q = target.Y.shape[1]
        point = self.point(source.model, q)
        n = source.n_rows if np.isfinite(source.n_rows) else target.n * EXACT
        stated = bool(np.any(source.model.intercept)) and self.intercept
        if source.model.information is None and source.model.covariance is None:
            H = information_of_rows(family, point, _as_many(target, n))
            H = H if stated or not self.intercept else without_intercepts(H, q)
        else:
            H = self._information(source.model, q)
            if stated:
                ones = _as_many(target._replace(X=target.X[:, :1]), n)
                H[:q, :q] += information_of_rows(family, point[:q], ones)
        return OfModel.fitted(point, H, n)

    def point(self, model, q):
        """Return coefficients of a `SourceModel` in this design, (P,)."""
        coef = np.atleast_2d(model.coef)
        intercept = np.broadcast_to(model.intercept, len(coef)).astype(float)
        if q > 1:  # what is added to all classes alike changes no probability
            coef, intercept = coef - coef.mean(axis=0), intercept - intercept.mean()
        scale = np.where(np.isfinite(self.scale), self.scale, 0.0)
        parts = [intercept + coef @ self.origin] if self.intercept else []
        return np.vstack([*parts, (coef * scale).T]).ravel()

    def _information(self, model, q):
        """Return the information of a model's coefficients in this design, (P, P)."""
        p = len(self.scale)
        information = model.information
        if information is None:
            information = np.linalg.pinv(model.covariance, hermitian=True)
        divisor = np.tile(self.scale, q)
        # From the order of ``coef.ravel()`` to that of its transpose.
        order = np.arange(q * p).reshape(q, p).T.ravel()
        H = (information / divisor / divisor[:, None])[np.ix_(order, order)]
        whole = np.zeros((q * (p + self.intercept),) * 2)
        whole[q * self.intercept :, q * self.intercept :] = H
        return whole

    def restored(self, theta):
        """Return coefficients and intercepts in the user's units."""
        B = theta.reshape(len(self.scale) + self.intercept, -1)
        coef = (B[self.intercept :] / self.scale[:, None]).T
        at_origin = B[0] if self.intercept else np.zeros(B.shape[1])
        return Restored(coef, at_origin - coef @ self.origin)


def _as_many(rows, n):
    """Return rows weighted so that they count n."""
    return rows._replace(weight=rows.weight * n / rows.n)
