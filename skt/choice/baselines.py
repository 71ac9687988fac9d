"""Estimators that a comparison holds the suite against."""

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    RegressorMixin,
    clone,
)
from sklearn.linear_model import LogisticRegression
from sklearn.utils.metaestimators import available_if

from skt.choice.losses import LEAST_PROBABILITY
from skt.model_selection.folds import stratified_folds
from skt.model_selection.logistic_losses import logistic_losses
from skt.sources.labels import split_domains

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


class ValidatedLogistic(ClassifierMixin, BaseEstimator):
    """Logistic regression whose penalty has the least weighted log loss in five folds.

    Folds are fewer where the rarest class has fewer rows; classes of one row are never left out.
    Where no two classes have two rows there is nothing to validate on, and C is 1.
    """

    def fit(self, X, y, sample_weight=None):
        """Choose C and fit."""
        weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight)
        X, y, weight = X[weight > 0], y[weight > 0], weight[weight > 0]
        folds = stratified_folds(5, y)
        if folds:
            losses = logistic_losses(X, y, weight, folds, self.CS, LEAST_PROBABILITY)
        self.C_ = self.CS[np.argmin(losses)] if folds else 1.0
        self.model_ = self._model(self.C_).fit(X, y, weight)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        """Most probable classes."""
        return self.model_.predict(X)

    def predict_proba(self, X):
        """Probabilities of the classes."""
        return self.model_.predict_proba(X)

    CS = np.geomspace(1e-3, 1e3, 7)

    def _model(self, C):
        return LogisticRegression(C=C, max_iter=1000)


def _rows_of(which, sample_domain, n_samples):
    target, sources = split_domains(sample_domain, n_samples)
    if which == "all":
        return np.arange(n_samples)
    return target if which == "target" else np.concatenate(list(sources.values()))
