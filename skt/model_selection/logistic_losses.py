"""Losses of logistic regressions of several penalties on folds, all fitted together."""

import numpy as np

from skt.core import families
from skt.core.glm_batch import fit_many

# Derivatives of the mean loss: far below what tells one penalty from another.
TOL = 1e-6


def logistic_losses(X, y, weight, folds, Cs, least_probability):
    """Return the log loss on the rows of all folds, for each C of ``LogisticRegression``.

    Parameters
    ----------
    X, y, weight : ndarray of shape (n_samples, n_features), (n_samples,) and (n_samples,)
        Rows, classes and weights.
    folds : list of pairs of integer arrays
        Rows to train on, which hold all classes, and rows to predict.
    Cs : ndarray of shape (n_penalties,)
        Inverse penalties.
    least_probability : float
        Probabilities count as at least this.

    Returns
    -------
    ndarray of shape (n_penalties,)
        Sums of weighted losses.
    """
    classes, code = np.unique(y, return_inverse=True)
    Y = families.indicators(code, len(classes))
    trains = np.array([weight * np.isin(np.arange(len(y)), train) for train, _ in folds])
    C, train = np.tile(Cs, len(folds)), np.repeat(trains, len(Cs), axis=0)
    alpha = 1 / (2 * C * np.sum(train, axis=1))
    fits = fit_many(families.LOGISTIC, X, Y, alpha=alpha, weight=train, tol=TOL)
    eta = fits.linear_predictor(X).reshape(len(folds), len(Cs), *Y.shape)
    losses = np.zeros(len(Cs))
    for predictors, (_, test) in zip(eta, folds, strict=True):
        for k, predictor in enumerate(predictors):
            loss = families.LOGISTIC.loss(predictor[test], Y[test])
            losses[k] += weight[test] @ np.minimum(loss, -np.log(least_probability))
    return losses
