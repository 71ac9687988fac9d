"""Estimators that a comparison holds the suite against."""

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.utils.metaestimators import available_if

from skt.model_selection.alone import ValidatedLogistic
from skt.sources.labels import split_domains

__all__ = ["FitOn", "SourceResidual", "ValidatedLogistic"]

# Baselines ----------------------------------------------------------------------------------


class FitOn(MetaEstimatorMixin, BaseEstimator):
    """Fit an estimator that knows no domains on the rows of some of them.

    Parameters
    ----------
    estimator : estimator
        What is fitted.
    rows : {"target", "sources", "all"}, default="target"
        The rows it is fitted on.
    """

    def __init__(self, estimator, rows="target"):
        self.estimator = estimator
        self.rows = rows

    def fit(self, X, y, sample_domain=None):
        """Fit a clone of the estimator on the chosen rows."""
        rows = _rows_of(self.rows, sample_domain, len(X))
        self.estimator_ = clone(self.estimator).fit(X[rows], y[rows])
        return self

    def predict(self, X):
        """Predict with the fitted clone."""
        return self.estimator_.predict(X)

    @available_if(lambda self: hasattr(self.estimator, "predict_proba"))
    def predict_proba(self, X):
        """Probabilities of the classes by the fitted clone."""
        return self.estimator_.predict_proba(X)

    @property
    def classes_(self):
        """Classes that the rows hold."""
        return self.estimator_.classes_


class SourceResidual(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Fit the sources first, then what they leave unexplained in the target.

    Parameters
    ----------
    estimator : estimator
        Fitted twice: on the source rows, and on the target's residuals.
    """

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y, sample_domain=None):
        """Fit both stages."""
        self.source_ = FitOn(self.estimator, rows="sources").fit(X, y, sample_domain)
        residual = y - self.source_.predict(X)
        self.residual_ = FitOn(self.estimator).fit(X, residual, sample_domain)
        return self

    def predict(self, X):
        """Sum of both stages."""
        return self.source_.predict(X) + self.residual_.predict(X)


def _rows_of(which, sample_domain, n_samples):
    target, sources = split_domains(sample_domain, n_samples)
    if which == "all":
        return np.arange(n_samples)
    if which == "sources" and not sources:
        raise ValueError("sample_domain names no source, whose rows this method is fitted on.")
    return target if which == "target" else np.concatenate(list(sources.values()))
