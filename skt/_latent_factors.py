"""What regressions through a few latent factors share: prediction, scores and checks."""

import numbers

import numpy as np
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    MultiOutputMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from .core.reduced_rank import Factors
from .core.source_bases import signs


class LatentFactors(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, RegressorMixin, MultiOutputMixin
):
    """Predict and transform with coefficients ``left_vectors_ @ diag(...) @ right_vectors_.T``."""

    def predict(self, X):
        """Predict the outputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Predicted means.
        """
        return self._check_X(X) @ self.coef_.T + self.intercept_

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
        return (self._check_X(X) - self._origin) / self._scale_X @ self.left_vectors_

    def _check_X(self, X):
        check_is_fitted(self)
        return validate_data(self, X, dtype=[np.float64, np.float32], reset=False)

    @property
    def _n_features_out(self):
        return self.rank_

    def _store_factors(self, factors, columns, one_output):
        """Set the coefficients, in the user's units and shapes; return the order of the factors."""
        (U, d, V), order = ordered(factors)
        coef = (V * d) @ U.T * columns.y[:, None] / columns.x
        intercept = columns.origin_y - coef @ columns.origin_X
        self.coef_ = coef[0] if one_output else coef
        self.intercept_ = intercept[0] if one_output else intercept
        self.left_vectors_, self.right_vectors_ = U, V
        self.singular_values_ = d * np.sqrt(columns.alpha_unit / columns.ridge_unit)
        self.rank_ = len(d)
        self._origin, self._scale_X = columns.origin_X, columns.x / np.sqrt(columns.ridge_unit)
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


def check_common(estimator):
    """Refuse a wrong ``scale``, ``fit_intercept`` or ``cv``."""
    scale, cv = estimator.scale, estimator.cv
    if not (isinstance(scale, bool | np.bool_) or (isinstance(scale, str) and scale == "auto")):
        raise ValueError(f"scale must be 'auto', True or False; got {scale!r}.")
    if not isinstance(estimator.fit_intercept, bool | np.bool_):
        raise ValueError(f"fit_intercept must be True or False; got {estimator.fit_intercept!r}.")
    if isinstance(cv, numbers.Number | str) and not is_count(cv, 2):
        raise ValueError(
            f"cv must be a whole number >= 2, a splitter or an iterable of splits; got {cv!r}."
        )


def is_count(value, least):
    """Whether a value is a whole number that is not below another."""
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool | np.bool_)
    return is_whole and value >= least


def is_auto(value):
    """Whether a value is the word "auto"."""
    return isinstance(value, str) and value == "auto"


def check_rank(rank, target):
    """Return the rank, None for "auto"."""
    if is_auto(rank):
        return None
    if not is_count(rank, 0):
        raise ValueError(f"rank must be 'auto' or a whole number >= 0; got {rank!r}.")
    p, q = target.X.shape[1], target.y.shape[1]
    if rank > min(p, q):
        raise ValueError(
            f"rank is {rank}, but coefficients of {p} features and {q} outputs have a rank of at "
            f"most {min(p, q)}; lower it, or leave it at 'auto'."
        )
    return int(rank)


def check_ridge(name, ridge):
    """Return the penalty, None for "auto"."""
    if is_auto(ridge):
        return None
    if not (isinstance(ridge, numbers.Real) and 0 <= ridge < np.inf):
        raise ValueError(f"{name} must be 'auto' or a number >= 0; got {ridge!r}.")
    return float(ridge)
