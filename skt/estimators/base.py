"""What every estimator of the suite shares."""

from contextlib import nullcontext
from functools import lru_cache

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import ThreadpoolController

from skt._sklearn import check_parameters
from skt.sources.validate import validated


class FromSources:
    """What learns from a target and its sources, and which forms of sources it takes.

    Rows of all domains come stacked and labelled by ``sample_domain``, which scikit-learn
    routes here without ``set_fit_request``.
    """

    __metadata_request__fit = {"sample_domain": True}
    takes = ("rows",)  # keys of skt.sources.forms.FORMS

    def _check_parameters(self):
        """Check every parameter by itself, then those that go together."""
        check_parameters(self)
        self._check_together()

    def _check_together(self):
        """Refuse parameters that do not go together."""


class TransferEstimator(FromSources, BaseEstimator):
    """Base of estimators that also take prior knowledge, as the parameter ``sources``."""

    takes = ("rows", "moments", "model")

    def _data(self, X, y, sample_domain, sample_weight, *, classes=False):
        """Return target and sources in one shape, `skt.sources.validate.Data`."""
        return validated(
            self, X, y, sample_domain, sample_weight, takers=takers_of, classes=classes
        )


def takers_of(form):
    """Return the names of the public estimators that take a form of sources."""
    return sorted(each.__name__ for each in _public(FromSources) if form in each.takes)


def _public(cls):
    """Return the subclasses that a user can import, at any depth."""
    for each in cls.__subclasses__():
        ours, private = each.__module__.startswith("skt."), each.__name__.startswith("_")
        if ours and not private and hasattr(each, "fit"):
            yield each
        yield from _public(each)


class FittedRows:
    """What every prediction begins with."""

    def _checked(self, X):
        """Return X as a fitted estimator takes it."""
        check_is_fitted(self)
        return validate_data(self, X, dtype=[np.float64, np.float32], reset=False)


class LinearPrediction(FittedRows):
    """Prediction by ``coef_`` and ``intercept_``."""

    def predict(self, X):
        """Predict the target's output.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Predicted means.
        """
        return self._checked(X) @ self.coef_.T + self.intercept_


class Classification(FittedRows):
    """Probabilities and classes by ``_scores(X)`` and ``classes_``.

    Scores have one column for each class; of two classes their log odds alone will do.
    """

    def decision_function(self, X):
        """Scores of the classes, whose exponentials are in proportion to the probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Log odds of the second of two classes, or logarithms of probabilities up to a
            constant of each row.
        """
        return log_odds(self._scores(X))

    def predict_proba(self, X):
        """Probabilities of the classes, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities.
        """
        return probabilities(self._scores(X))

    def predict_log_proba(self, X):
        """Logarithms of the probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms of `predict_proba`.
        """
        return np.log(np.maximum(self.predict_proba(X), np.finfo(float).tiny))

    def predict(self, X):
        """Most probable classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        ndarray of shape (n_samples,)
            Classes.
        """
        codes = most_probable(self._scores(X))
        return self.classes_[codes]


class LinearClassification(Classification):
    """Classification by ``coef_``, ``intercept_`` and ``classes_``."""

    def _scores(self, X):
        return self._checked(X) @ self.coef_.T + self.intercept_


def log_odds(scores):
    """Return the log odds of the second of two classes (n,), or the scores of more (n, C)."""
    if scores.shape[1] == 2:
        return scores[:, 1] - scores[:, 0]
    return scores[:, 0] if scores.shape[1] == 1 else scores


def probabilities(scores):
    """Return the probabilities of all classes, (n, C)."""
    eta = log_odds(scores)
    return np.column_stack([expit(-eta), expit(eta)]) if eta.ndim == 1 else softmax(eta, axis=1)


def most_probable(scores):
    """Return the code of the most probable class of each row, (n,)."""
    eta = log_odds(scores)
    return (eta > 0).astype(int) if eta.ndim == 1 else np.argmax(eta, axis=1)


def centred_intercepts(intercept):
    """Return intercepts (q,); of several classes they are known up to a constant: sum zero."""
    return intercept - (intercept.size > 1) * intercept.mean()


def small_blas(n_features):
    """Return a context in which BLAS runs on one thread if matrices are small.

    A likelihood takes hundreds of tiny factorisations; handing each to a pool of threads
    costs more than the arithmetic, and 20 times as much on a busy machine.
    """
    if n_features > 200:
        return nullcontext()
    return _thread_pools().limit(limits=1, user_api="blas")


@lru_cache(maxsize=1)
def _thread_pools():
    return ThreadpoolController()
