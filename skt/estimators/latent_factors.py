"""What regressions through a few latent factors share: prediction, scores and checks."""

import numpy as np
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    MultiOutputMixin,
    RegressorMixin,
    TransformerMixin,
)

from skt.core.reduced_rank import Factors
from skt.core.source_bases import signs
from skt.estimators.base import LinearPrediction
from skt.estimators.checks import is_auto


class LatentFactors(
    LinearPrediction,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    RegressorMixin,
    MultiOutputMixin,
):
    """Predict and transform with coefficients ``left_vectors_ @ diag(...) @ right_vectors_.T``."""

    def transform(self, X):
        """Return the scores of the latent factors, ``(X - mean) / scale @ left_vectors_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        scores : ndarray of shape (n_samples, rank)
            One column for each factor, the strongest first.
        """
        return (self._checked(X) - self._origin) / self._scale_X @ self.left_vectors_

    @property
    def _n_features_out(self):
        return self.rank_

    def _store_factors(self, factors, units, one_output):
        """Set the coefficients, in the user's units and shapes; return the order of the factors."""
        (U, d, V), order = ordered(factors)
        coef = units.restored_coef((U * d) @ V.T)
        intercept = units.intercept_of(coef)
        self.coef_ = coef[0] if one_output else coef
        self.intercept_ = intercept[0] if one_output else intercept
        self.left_vectors_, self.right_vectors_ = U, V
        self.singular_values_ = d * units.common_y / units.common_x
        self.rank_ = len(d)
        self._origin, self._scale_X = units.origin()[0], units.scale / units.common_x
        return order


def ordered(factors):
    """Return factors with positive values in decreasing order, signs fixed, and their order.

    The largest weight of each left vector is positive. Factors of no size are left out: fewer
    were found than asked for.
    """
    d = np.abs(factors.d)
    order = np.argsort(-d, kind="stable")
    order = order[d[order] > 1e-12 * np.max(d, initial=0.0)]
    U, V = factors.U[:, order], factors.V[:, order] * np.sign(factors.d[order])
    sign = signs(U)
    return Factors(U * sign, d[order], V * sign), order


# Checks -------------------------------------------------------------------------------------


def check_rank(rank, target):
    """Return the rank, None for "auto"."""
    if is_auto(rank):
        return None
    p, q = target.X.shape[1], target.Y.shape[1]
    if rank > min(p, q):
        raise ValueError(
            f"rank is {rank}, but coefficients of {p} features and {q} outputs have a rank of at "
            f"most {min(p, q)}; lower it, or leave it at 'auto'."
        )
    return int(rank)
