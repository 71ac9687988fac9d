"""The target alone: what every method is compared with, and what the best penalty is for it."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skt.model_selection.folds import stratified_folds
from skt.model_selection.logistic_losses import logistic_losses

# Least probability that a row's class counts with. A forest gives many a class none at all: the
# log loss would be infinite, and near zero a single row would decide it.
LEAST_PROBABILITY = 1e-3


def target_alone(classes):
    """Return the estimator that borrows nothing, for classes or for numbers."""
    if classes:
        return make_pipeline(StandardScaler(), ValidatedLogistic())
    return make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-3, 4, 15)))


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
