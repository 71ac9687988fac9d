"""The registry of methods, and the selection among them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

import numpy as np
from sklearn.base import (
    is_classifier,
    is_regressor,
)
from sklearn.linear_model import RidgeCV
from sklearn.utils.discovery import all_estimators
from sklearn.utils.validation import has_fit_parameter

from skt.choice.baselines import FitOn, SourceResidual, ValidatedLogistic
from skt.choice.losses import CLASSIFICATION, REGRESSION
from skt.estimators.l2sp import L2SPRidge
from skt.estimators.l2sp_classifier import L2SPClassifier
from skt.estimators.otqms_sampler import OTQMSSampler
from skt.estimators.reduced_rank import ReducedRankRegressor
from skt.estimators.smart import SMARTRegressor
from skt.estimators.source_sampled import SourceSampled
from skt.estimators.source_weighted import SourceWeighted
from skt.estimators.uowq import UOWQRegressor
from skt.estimators.uowq_classifier import UOWQClassifier
from skt.study.cell import domain_keyword

__all__ = ["METHODS", "Method", "method_called", "select_methods"]


# Registry -----------------------------------------------------------------------------------


def _ridge():
    return RidgeCV(alphas=np.logspace(-3, 4, 15))


def _sampled(estimator):
    return SourceSampled(estimator, OTQMSSampler())


CLASSES = CLASSIFICATION.name


class DataShape(NamedTuple):
    """What a method may need to know before it says that it applies."""

    n_features: int
    n_targets: int
    n_sources: int
    target_size: int


@dataclass(frozen=True)
class Method:
    """One line of the registry: a factory of estimators and the tasks they apply to.

    ``takes`` are the forms of sources that the estimators learn from, keys of
    `skt.sources.forms.FORMS`; those that learn from none are fitted on the target alone.
    """

    name: str
    factory: Callable
    applies: Callable = lambda task: True
    kind: str = REGRESSION.name
    takes: tuple = ("rows",)


# Every method gets the same standardised features. A new estimator joins with one line.
METHODS = (
    Method(REGRESSION.alone, lambda: FitOn(_ridge()), takes=()),
    Method("pooled ridge", lambda: FitOn(_ridge(), rows="all")),
    Method("source-only ridge", lambda: FitOn(_ridge(), rows="sources")),
    Method("source + residual ridge", lambda: SourceResidual(_ridge())),
    Method("UOWQ", UOWQRegressor, takes=UOWQRegressor.takes),
    Method("L2-SP", L2SPRidge, takes=L2SPRidge.takes),
    Method(
        "reduced-rank regression",
        lambda: FitOn(ReducedRankRegressor()),
        applies=lambda task: task.n_targets > 1,
        takes=(),
    ),
    Method(
        "SMART",
        SMARTRegressor,
        applies=lambda task: task.n_targets > 1,
        takes=SMARTRegressor.takes,
    ),
    Method("OTQMS ridge", lambda: _sampled(_ridge())),
    Method(CLASSIFICATION.alone, lambda: FitOn(ValidatedLogistic()), kind=CLASSES, takes=()),
    Method("pooled logistic", lambda: FitOn(ValidatedLogistic(), rows="all"), kind=CLASSES),
    Method(
        "source-only logistic", lambda: FitOn(ValidatedLogistic(), rows="sources"), kind=CLASSES
    ),
    Method("UOWQ", UOWQClassifier, kind=CLASSES, takes=UOWQClassifier.takes),
    Method("L2-SP", L2SPClassifier, kind=CLASSES, takes=L2SPClassifier.takes),
    Method("weighted logistic", lambda: SourceWeighted(ValidatedLogistic()), kind=CLASSES),
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


def method_called(name, kind, task, estimator=None):
    """Return the estimator that a comparison calls so, with ``estimator`` as it is given there."""
    registered = {method.name: method for method in METHODS if method.kind == kind.name}
    own = {} if estimator is None else _ways(*_named(estimator, kind))
    return own[name] if name in own else _registered(name, registered, [task], "method")


def _registered(name, registered, tasks, what="methods"):
    if name not in registered:
        raise ValueError(f"{what} must be among {', '.join(map(repr, registered))}; got {name!r}.")
    unfit = [task for task in tasks if not registered[name].applies(task)]
    if unfit:
        raise ValueError(f"{what} must apply to these data; {name!r} does not ({unfit[0]}).")
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
        ways[f"weighted {name}"] = SourceWeighted(model)
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
