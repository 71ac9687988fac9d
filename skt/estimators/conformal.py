"""Intervals for predictions of any regressor of the suite, from target rows left out."""

import numbers
from copy import deepcopy
from typing import NamedTuple

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags, indexable
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skt._sklearn import HasMethods, num_samples, safe_indexing
from skt.core import conformal
from skt.estimators.base import FromSources
from skt.estimators.checks import AUTO, FOLDS, check_coverage, is_auto
from skt.estimators.docstrings import COPIES_IN_ONE_FOLD, documents_rows
from skt.model_selection.folds import copies_of, folds_alike
from skt.model_selection.target_cv import TargetCV
from skt.model_selection.trial import LabelledRows
from skt.sources.labels import split_domains
from skt.sources.validate import refuse_pairs, split_rows

# Folds of the target where no closed form gives the residuals.
FOLDS_OF_TARGET = 10


class ConformalRegressor(FromSources, MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Give any regressor of the suite intervals for its predictions.

    Every row of the target is predicted without itself, and the sizes of these errors are those to
    expect of a new row. Sources' rows train and are never counted: a source may be noisier, or
    wrong. An interval is

        [ q-(f_i(x) - R_i),  q+(f_i(x) + R_i) ]

    over target rows i, with ``R_i`` the residual of row i left out, ``f_i`` the fit without it and
    q-, q+ the ``(n + 1) coverage``-th value from either end (CV+, arXiv 1905.02928). It takes no
    model to be right, only new rows that are drawn as the target's were. ``n`` target rows cannot
    promise more than ``1 - 1 / (n + 1)``: nine rows 90 %, nineteen 95 %.

    Parameters
    ----------
    estimator : estimator
        What predicts: a clone of it, trained on the rows of all domains. Its ``fit`` takes
        ``sample_domain``, also as the last step of a Pipeline; without sources any regressor's will
        do.
    cv : "auto", int, splitter or iterable, default="auto"
        Folds over the target's rows, each a further fit; as many as rows is the jackknife+. "auto":
        residuals in closed form where the fitted estimator has ``left_out_residuals_``
        (`UOWQRegressor`, `L2SPRidge`), which costs no further fit, else ten folds. In closed form
        what was estimated of how far domains differ is not estimated anew without each row.

    Attributes
    ----------
    estimator_ : estimator
        Trained on all rows.
    estimators_ : list of estimators
        Trained without each fold; empty in closed form.
    left_out_residuals_ : ndarray of shape (n_target_samples,) or (n_target_samples, n_targets)
        Outcome less prediction of every target row, in their order, left out.
    largest_coverage_ : float
        The largest coverage that can be asked for, ``1 - 1 / (n + 1)``.

    Raises
    ------
    ValueError
        If the target has less than two rows.

    Notes
    -----
    The coverage that CV+ is sure to have, whatever the estimator and the distribution, is lower:
    ``2 coverage - 1`` less about ``sqrt(2 / n)``. It has ``coverage``, or nearly so, unless
    the estimator is very unstable; benchmarks/coverage.py measures it.

    Examples
    --------
    >>> import numpy as np
    >>> from skt import ConformalRegressor, UOWQRegressor, stack_domains
    >>> rng = np.random.default_rng(0)
    >>> beta = rng.normal(size=15)
    >>> def draw(n):
    ...     X = rng.normal(size=(n, 15))
    ...     return X, X @ beta + rng.normal(size=n)
    >>> X, y, d = stack_domains(draw(30), {"near": draw(300)})
    >>> X_new, y_new = draw(1000)
    >>> alone = ConformalRegressor(UOWQRegressor()).fit(X[:30], y[:30])
    >>> both = ConformalRegressor(UOWQRegressor()).fit(X, y, sample_domain=d)
    >>> for model in (alone, both):
    ...     low, high = model.predict_interval(X_new, coverage=0.9).T
    ...     inside = np.mean((low <= y_new) & (y_new <= high))
    ...     print(f"{inside:.2f} inside, mean width {np.mean(high - low):.1f}")
    0.94 inside, mean width 6.2
    0.94 inside, mean width 3.9
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict"])],
        "cv": [AUTO, *FOLDS],
    }

    def __init__(self, estimator, *, cv="auto"):
        self.estimator = estimator
        self.cv = cv

    @documents_rows(weight=COPIES_IN_ONE_FOLD)
    def fit(self, X, y, sample_domain=None, sample_weight=None):
        """Train, and predict every target row without itself."""
        self._check_parameters()
        refuse_pairs(X, y, sample_domain)
        data, target = _labelled(X, y, sample_domain, sample_weight)
        self.estimator_ = _trained(self.estimator, data)
        return self._store(self._left_out(data, target), data, target)

    def _left_out(self, data, target):
        """Return residuals of the target's rows, in closed form or by folds."""
        if is_auto(self.cv) and hasattr(self.estimator_, "left_out_residuals_"):
            residuals = np.asarray(self.estimator_.left_out_residuals_)
            return _LeftOut(residuals, [], np.zeros(len(residuals), dtype=int))
        cv = FOLDS_OF_TARGET if is_auto(self.cv) else self.cv
        return _by_folds(self.estimator, data, target, cv)

    def _store(self, left, data, target):
        self.left_out_residuals_, self.estimators_, self._fold = left
        weight = data.weight(target)
        self._weight = weight[weight > 0]
        self.largest_coverage_ = conformal.largest_coverage(float(np.sum(self._weight)))
        return self

    def predict(self, X):
        """Predict the target's output by the fit on all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_targets)
            Predictions.
        """
        check_is_fitted(self)
        return self.estimator_.predict(X)

    def predict_interval(self, X, coverage=0.9):
        """Return intervals that hold new outcomes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the target.
        coverage : float, default=0.9
            Share of new outcomes inside, of every output by itself.

        Returns
        -------
        ndarray of shape (n_samples, 2) or (n_samples, n_targets, 2)
            Lower and upper ends.

        Raises
        ------
        ValueError
            If the target's rows are too few for the coverage.
        """
        check_is_fitted(self)
        check_coverage(coverage)
        _check_promise(coverage, self.largest_coverage_, float(np.sum(self._weight)))
        fits = self.estimators_ or [self.estimator_]
        predicted = np.array([np.asarray(fit.predict(X), dtype=float) for fit in fits])
        residuals = self.left_out_residuals_
        columns = residuals.reshape(len(residuals), -1).T
        of_rows = predicted.reshape(len(fits), predicted.shape[1], -1)[self._fold]
        ends = [
            conformal.plus_interval(of_rows[:, :, k].T, column, self._weight, coverage)
            for k, column in enumerate(columns)
        ]
        return ends[0] if predicted.ndim == 2 else np.stack(ends, axis=1)

    def __sklearn_tags__(self):
        tags = deepcopy(get_tags(self.estimator))
        tags.estimator_type = "regressor"
        return tags

    @property
    def n_features_in_(self):
        """Number of features seen in fit."""
        return self._fitted.n_features_in_

    @property
    def feature_names_in_(self):
        """Names of the features seen in fit."""
        return self._fitted.feature_names_in_

    @property
    def _fitted(self):
        if not hasattr(self, "estimator_"):
            raise AttributeError(f"{type(self).__name__} is not fitted yet")
        return self.estimator_


class _LeftOut(NamedTuple):
    """Residuals of target rows, the fits that left them out, and which of these did."""

    residuals: np.ndarray
    estimators: list
    fold: np.ndarray  # (n,)


def _labelled(X, y, sample_domain, sample_weight):
    """Return rows of all domains, and the numbers of the target's."""
    n_rows = num_samples(X)
    X, y = indexable(X, y)
    domain = None if sample_domain is None else np.asarray(sample_domain)
    if sample_weight is None:
        return LabelledRows(X, y, domain, None), split_domains(domain, n_rows)[0]
    split = split_rows(X, domain, sample_weight)
    return LabelledRows(X, y, domain, split.weight), split.target


def _by_folds(estimator, data, target, cv):
    """Train without each fold of the target, and predict it; rows of weight zero do not count."""
    y, weight = np.asarray(safe_indexing(data.y, target), dtype=float), data.weight(target)
    if np.sum(weight > 0) < 2:
        raise ValueError(
            "intervals need target rows that can be left out, but the target has 1 sample only."
        )
    if isinstance(cv, numbers.Integral):
        copies = copies_of(safe_indexing(data.X, target), y)
        cv = folds_alike(cv, y, weight, copies)
    n_rows = num_samples(data.X)
    domain = np.full(n_rows, "target") if data.sample_domain is None else data.sample_domain
    place = np.empty(n_rows, dtype=int)
    place[target] = np.arange(len(target))
    residuals, fold, fits = np.empty_like(y), np.full(len(y), -1), []
    for rest, test in TargetCV(cv).split(data.X, data.y, sample_domain=domain):
        fits.append(_trained(estimator, data.at(rest)))
        here = place[test]
        predicted = np.asarray(fits[-1].predict(safe_indexing(data.X, test)), dtype=float)
        residuals[here] = y[here] - predicted.reshape(y[here].shape)
        fold[here] = len(fits) - 1
    _check_each_left_out(fold[weight > 0])
    return _LeftOut(residuals[weight > 0], fits, fold[weight > 0])


def _check_each_left_out(fold):
    if np.any(fold < 0):
        raise ValueError(
            f"cv must leave out every target row once, but {np.sum(fold < 0)} are never left out."
        )


def _check_promise(coverage, largest, n):
    if coverage > largest + 1e-12:
        raise ValueError(
            f"coverage={coverage:g} needs {conformal.rows_needed(coverage)} target rows, and the "
            f"fit had {n:g}: so few can promise 1 - 1/(n + 1) = {largest:.3f} at most. Ask for "
            "that, or fit on more rows."
        )


# Fits -----------------------------------------------------------------------------------------


def _trained(estimator, data):
    """Return a clone, trained on rows of all domains."""
    given = {"sample_domain": data.sample_domain, "sample_weight": data.sample_weight}
    given = {name: value for name, value in given.items() if value is not None}
    return clone(estimator).fit(data.X, data.y, **_keywords(estimator, given))


def _keywords(estimator, given):
    """Return the keywords of ``fit`` as the last step of a Pipeline takes them."""
    last, path = estimator, []
    while isinstance(last, Pipeline):
        name, last = last.steps[-1]
        path.append(name)
    for name in given:
        if not has_fit_parameter(last, name):
            raise TypeError(
                f"{type(last).__name__}.fit takes no {name}; take an estimator of the suite, or "
                "give the target's rows alone."
            )
    if get_config()["enable_metadata_routing"]:
        return given
    return {"__".join([*path, name]): value for name, value in given.items()}
