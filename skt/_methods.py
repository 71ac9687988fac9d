"""What a comparison compares: a registry of methods, and one estimator trained on other rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from typing import NamedTuple

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    RegressorMixin,
    clone,
    is_classifier,
    is_regressor,
)
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.discovery import all_estimators
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import has_fit_parameter

from skt._losses import CLASSIFICATION, LEAST_PROBABILITY, REGRESSION
from skt.sources import split_domains
from skt.study import domain_keyword

__all__ = ["METHODS", "FitOn", "Method", "Task", "select_methods"]


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
        folds = _folds(y)
        losses = [self._validated(C, X, y, weight, folds) for C in self.CS] if folds else []
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

    def _validated(self, C, X, y, weight, folds):
        loss = 0.0
        for train, test in folds:
            model = self._model(C).fit(X[train], y[train], weight[train])
            of_row = model.predict_proba(X[test])[y[test, None] == model.classes_]
            loss -= weight[test] @ np.log(np.maximum(of_row, LEAST_PROBABILITY))
        return loss


def _folds(y):
    """Return stratified folds of the rows of classes that have two, () if less than two have."""
    _, code, counts = np.unique(y, return_inverse=True, return_counts=True)
    several = np.flatnonzero(counts[code] >= 2)
    repeated = counts[counts >= 2]
    if len(repeated) < 2:
        return ()
    splits = StratifiedKFold(min(5, repeated.min()), shuffle=True, random_state=0)
    return [
        (np.setdiff1d(np.arange(len(y)), several[test]), several[test])
        for _, test in splits.split(several, code[several])
    ]


def _rows_of(which, sample_domain, n_samples):
    target, sources = split_domains(sample_domain, n_samples)
    if which == "all":
        return np.arange(n_samples)
    return target if which == "target" else np.concatenate(list(sources.values()))


# Registry -----------------------------------------------------------------------------------


def _ridge():
    return RidgeCV(alphas=np.logspace(-3, 4, 15))


def _of_suite(module, name, *args):
    # Imported when used: a comparison of two methods should not load all of them.
    return getattr(import_module(f"skt.{module}"), name)(*args)


def _sampled(estimator):
    return _of_suite("_otqms", "SourceSampled", estimator, _of_suite("_otqms", "OTQMSSampler"))


def _weighted(estimator):
    return _of_suite("_otqms", "SourceWeighted", estimator)


def _reduced_rank():
    return FitOn(_of_suite("_reduced_rank", "ReducedRankRegressor"))


CLASSES = CLASSIFICATION.name


class Task(NamedTuple):
    """What a method may need to know before it says that it applies."""

    n_features: int
    n_targets: int
    n_sources: int
    target_size: int


@dataclass(frozen=True)
class Method:
    """One line of the registry: a factory of estimators and the tasks they apply to."""

    name: str
    factory: Callable
    applies: Callable = lambda task: True
    kind: str = REGRESSION.name


# Every method gets the same standardised features. A new estimator joins with one line.
METHODS = (
    Method(REGRESSION.alone, lambda: FitOn(_ridge())),
    Method("pooled ridge", lambda: FitOn(_ridge(), rows="all")),
    Method("source-only ridge", lambda: FitOn(_ridge(), rows="sources")),
    Method("source + residual ridge", lambda: SourceResidual(_ridge())),
    Method("UOWQ", partial(_of_suite, "_uowq", "UOWQRegressor")),
    Method("L2-SP", partial(_of_suite, "_l2sp", "L2SPRidge")),
    Method("reduced-rank regression", _reduced_rank, applies=lambda task: task.n_targets > 1),
    Method(
        "SMART",
        partial(_of_suite, "_smart", "SMARTRegressor"),
        applies=lambda task: task.n_targets > 1,
    ),
    Method("OTQMS ridge", lambda: _sampled(_ridge())),
    Method(CLASSIFICATION.alone, lambda: FitOn(ValidatedLogistic()), kind=CLASSES),
    Method("pooled logistic", lambda: FitOn(ValidatedLogistic(), rows="all"), kind=CLASSES),
    Method(
        "source-only logistic", lambda: FitOn(ValidatedLogistic(), rows="sources"), kind=CLASSES
    ),
    Method("L2-SP", partial(_of_suite, "_l2sp", "L2SPClassifier"), kind=CLASSES),
    Method("weighted logistic", lambda: _weighted(ValidatedLogistic()), kind=CLASSES),
    Method("OTQMS logistic", lambda: _sampled(ValidatedLogistic()), kind=CLASSES),
)


# Selection ----------------------------------------------------------------------------------


def select_methods(methods, estimator, kind, tasks):
    """Estimators by name, and which of them is the baseline; see :func:`skt.compare`."""
    registered = {method.name: method for method in METHODS if method.kind == kind.name}
    own = {} if estimator is None else _ways(*_named(estimator, kind))
    first = own | {kind.alone: registered[kind.alone].factory()}
    return first | _chosen(methods, own, registered, kind, tasks), next(iter(first))


def _chosen(methods, own, registered, kind, tasks):
    """Return what is compared besides the baselines and the ways of an estimator."""
    if isinstance(methods, Mapping):
        return {name: _given(name, method, kind) for name, method in methods.items()}
    if methods is None and not own:
        fit = [m for m in registered.values() if all(map(m.applies, tasks))]
        return {method.name: method.factory() for method in fit}
    names = [methods] if isinstance(methods, str) else methods or ()
    return {name: _registered(name, registered, tasks) for name in names}


def _registered(name, registered, tasks):
    if name not in registered:
        raise ValueError(f"methods must be among {', '.join(map(repr, registered))}; got {name!r}.")
    unfit = [task for task in tasks if not registered[name].applies(task)]
    if unfit:
        raise ValueError(f"methods must apply to these data; {name!r} does not ({unfit[0]}).")
    return registered[name].factory()


def _given(name, estimator, kind):
    """Estimator of the user, fitted on target rows if it knows no domains."""
    if not hasattr(estimator, "fit") or isinstance(estimator, type):
        raise TypeError(
            f"methods[{name!r}] must be an estimator, an instance with fit and predict; "
            f"got {estimator!r}."
        )
    _check_kind(f"methods[{name!r}]", estimator, kind)
    return estimator if domain_keyword(estimator) else FitOn(estimator)


def _ways(name, model):
    """One estimator trained on other rows: the target's, all, OTQMS's, and all with weights."""
    ways = {
        f"target-only {name}": FitOn(model),
        f"pooled {name}": FitOn(model, rows="all"),
        f"OTQMS {name}": _sampled(model),
    }
    if has_fit_parameter(model, "sample_weight"):
        ways[f"weighted {name}"] = _weighted(model)
    return ways


def _named(estimator, kind):
    """Name and instance of an estimator, given either."""
    if isinstance(estimator, str):
        name, model = estimator, _estimator_called(estimator, kind)
    elif not hasattr(estimator, "fit") or isinstance(estimator, type):
        raise TypeError(
            f"estimator must be the name of a {kind.estimators} of scikit-learn or an instance "
            f"with fit and predict; got {estimator!r}."
        )
    else:
        name, model = type(estimator).__name__, estimator
    _check_kind("estimator", model, kind)
    return name, model


def _check_kind(what, estimator, kind):
    """Refuse what predicts numbers where classes are wanted, or classes without probabilities."""
    name = type(estimator).__name__
    is_other = is_regressor if kind.classes else is_classifier
    # What does not say what it is, is taken as it comes.
    if hasattr(estimator, "__sklearn_tags__") and is_other(estimator):
        raise ValueError(
            f"{what} must be a {kind.estimators}, since {_OUTCOMES[kind.name]}; {name} is not. "
            f"{_OTHERWISE[kind.name]}"
        )
    if kind.classes and not hasattr(estimator, "predict_proba"):
        raise ValueError(
            f"{what} must have predict_proba, since classes are compared by their log loss; {name} "
            "has none. Choose another, or wrap it in sklearn.calibration.CalibratedClassifierCV."
        )


_OUTCOMES = {REGRESSION.name: "y is compared as numbers", CLASSIFICATION.name: "y holds classes"}
_OTHERWISE = {
    REGRESSION.name: "task='classification' compares whole numbers as classes.",
    CLASSIFICATION.name: "task='regression' compares 0 and 1 as numbers.",
}


def _estimator_called(name, kind):
    known = dict(all_estimators(type_filter=["classifier", "regressor"]))
    if name in known:
        try:
            return known[name]()
        except TypeError as error:
            raise ValueError(
                f"estimator {name} cannot be made without arguments ({error}); choose another, "
                "or use skt.compare in Python with an instance."
            ) from error
    fit = [name for name, _ in all_estimators(type_filter=kind.estimators)]
    close = get_close_matches(name, fit, n=3)
    example = "RandomForest" + kind.estimators.capitalize()
    hint = f"; did you mean {' or '.join(close)}?" if close else f", e.g. {example}."
    raise ValueError(f"estimator must be a {kind.estimators} of scikit-learn, not {name!r}{hint}")
