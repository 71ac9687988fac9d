"""The target alone: what every method is compared with, and what the best penalty is for it."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skt.core import families
from skt.core.glm_batch import fit_many
from skt.model_selection.folds import stratified_folds

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
        losses = self._validated(X, y, weight, folds) if folds else []
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

    def _validated(self, X, y, weight, folds):
        """Return the loss of every C on the rows of the folds."""
        classes, code = np.unique(y, return_inverse=True)
        left = np.array([weight * np.isin(np.arange(len(y)), train) for train, _ in folds])
        C = np.tile(self.CS, len(folds))  # folds by penalties
        train = np.repeat(left, len(self.CS), axis=0)
        Y = families.indicators(code, len(classes))
        alpha = 1 / (2 * C * np.sum(train, axis=1))
        fits = fit_many(families.LOGISTIC, X, Y, alpha=alpha, weight=train, tol=1e-6)
        eta = fits.linear_predictor(X).reshape(len(folds), len(self.CS), *Y.shape)
        losses = np.zeros(len(self.CS))
        for fold, (_, test) in enumerate(folds):
            for k in range(len(self.CS)):
                loss = families.LOGISTIC.loss(eta[fold, k, test], Y[test])
                losses[k] += weight[test] @ np.minimum(loss, -np.log(LEAST_PROBABILITY))
        return losses
