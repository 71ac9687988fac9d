"""Does borrowing help on these data? Repeated target-only hold-out of a table of methods."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.discovery import all_estimators
from sklearn.utils.validation import has_fit_parameter

from skt._comparison import BASELINE, METRICS, Comparison
from skt.sources import as_sample_domain, split_domains
from skt.study import domain_keyword, run_study

__all__ = ["Comparison", "compare", "compare_each"]

# Fewer rows give neither a model nor a variance.
MIN_TRAIN_ROWS = 2
MIN_TEST_ROWS = 2


# Methods ------------------------------------------------------------------------------------


class FitOn(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
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
    return target if which == "target" else np.concatenate(list(sources.values()))


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


# Every method gets the same standardised features. A new estimator joins with one line.
METHODS = (
    Method(BASELINE, lambda: FitOn(_ridge())),
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
)


def _methods_of(estimator):
    """One estimator trained on other rows: the target's, all, OTQMS's, and all with weights."""
    if estimator is None:
        return ()
    name, model = _named(estimator)
    weighted = Method(f"weighted {name}", partial(_weighted, model))
    return (
        Method(f"target-only {name}", partial(FitOn, model)),
        Method(f"pooled {name}", partial(FitOn, model, rows="all")),
        Method(f"OTQMS {name}", partial(_sampled, model)),
        *([weighted] if has_fit_parameter(model, "sample_weight") else []),
    )


def _named(estimator):
    """Name and instance of a regressor, given either."""
    if isinstance(estimator, str):
        return estimator, _regressor_called(estimator)
    if not hasattr(estimator, "fit") or isinstance(estimator, type):
        raise TypeError(
            "estimator must be the name of a regressor of scikit-learn or an instance with fit "
            f"and predict; got {estimator!r}."
        )
    return type(estimator).__name__, estimator


def _regressor_called(name):
    regressors = dict(all_estimators(type_filter="regressor"))
    if name in regressors:
        try:
            return regressors[name]()
        except TypeError as error:
            raise ValueError(
                f"estimator {name} cannot be made without arguments ({error}); choose another, "
                "or use skt.compare in Python with an instance."
            ) from error
    close = get_close_matches(name, regressors, n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ", e.g. RandomForestRegressor."
    kind = " (classification is not compared yet)" if name.endswith("Classifier") else ""
    raise ValueError(f"estimator must be a regressor of scikit-learn, not {name!r}{kind}{hint}")


# Entry points -------------------------------------------------------------------------------


def compare(
    X,
    y,
    sample_domain,
    *,
    methods=None,
    estimator=None,
    n_repeats=50,
    target_size=None,
    random_state=0,
    n_jobs=None,
    progress=True,
):
    """Compare methods of borrowing with the target alone, by repeated target-only hold-out.

    Each repeat draws `target_size` target rows for training; all source rows train with them
    and the remaining target rows test. Features are imputed by medians and standardised, both
    learnt from the training rows of all domains, the same way for every method.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Numeric features of the rows of all domains, stacked; nan is a missing value.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Numeric outputs.
    sample_domain : array-like of shape (n_samples,)
        Domain of each row: ``"target"`` or the name of a source, or integers (< 0 is the
        target). :func:`skt.as_sample_domain` makes it from any labels.
    methods : list of str or mapping of str to estimator, default=None
        Names of registered methods, or estimators of your own. An estimator whose `fit` takes
        `sample_domain` gets all rows, any other the target rows only. None takes every
        registered method that applies. Target-only ridge always takes part: it is what the
        others are compared with.
    estimator : str or estimator, default=None
        A regressor that is compared as well, by its name in scikit-learn or as an instance:
        trained on target rows, on all rows, on the rows that OTQMS takes
        (:class:`SourceSampled`) and, if it takes ``sample_weight``, on all rows with UOWQ's
        weights (:class:`SourceWeighted`).
    n_repeats : int, default=50
        Number of random splits of the target rows, at least 2.
    target_size : int, default=None
        Target rows to train on. None takes half of them: fewer would flatter the sources,
        since the less target there is, the more a source is worth; more would leave too few
        rows to measure the loss. With all target rows the gain is likely smaller than
        measured.
    random_state : int, default=0
        Seed of the splits and of random estimators. The splits are those of the positions of the
        target's rows: no name and no other domain changes them.
    n_jobs : int, default=None
        Number of splits run at once, through joblib.
    progress : bool, default=True
        Whether to show progress on stderr.

    Returns
    -------
    Comparison
        Losses relative to predicting the target's training mean, with errors, and a verdict.

    See Also
    --------
    compare_each : The same with every domain as the target in turn.

    Examples
    --------
    >>> import numpy as np
    >>> from skt import compare
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(260, 8))
    >>> y = X @ np.ones(8) + 2 * rng.normal(size=260)
    >>> domain = np.repeat(["target", "north"], [60, 200])
    >>> comparison = compare(X, y, domain, methods=["pooled ridge"], target_size=12, progress=False)
    >>> print(comparison.verdict[:46])
    pooled ridge lowers target-only ridge's error
    """
    X, y = _validate(X, y)
    tasks = [_target_task("target", X, y, np.asarray(sample_domain), target_size)]
    return _run(tasks, (methods, estimator), n_repeats, random_state, n_jobs, progress)


def compare_each(
    X,
    y,
    domains,
    *,
    targets=None,
    methods=None,
    estimator=None,
    n_repeats=50,
    target_size=None,
    random_state=0,
    n_jobs=None,
    progress=True,
):
    """Run :func:`compare` with each domain as the target in turn, all others being sources.

    Losses are averaged over the targets.

    Parameters
    ----------
    X, y, methods, estimator, n_repeats, target_size, random_state, n_jobs, progress
        As in :func:`compare`.
    domains : array-like of shape (n_samples,)
        Label of the domain of each row; none of them needs to be a target.
    targets : list of labels, default=None
        Domains that are the target in turn. None takes every domain that can be one: its
        outcome varies, and it has `target_size` rows to train and two to test (four in all by
        default). The others are sources only.

    Returns
    -------
    Comparison
        Its ``by_target`` has the losses of each target.

    Examples
    --------
    >>> import numpy as np
    >>> from skt import compare_each
    >>> rng = np.random.default_rng(0)
    >>> X, shop = rng.normal(size=(90, 4)), np.repeat(["north", "south", "west"], 30)
    >>> y = X @ [1.0, 0.5, -1.0, 0.0] + rng.normal(size=90)
    >>> result = compare_each(X, y, shop, target_size=8, n_repeats=5, progress=False)
    >>> bool(result.summary[-1]["ratio"] < 1)
    True
    """
    X, y = _validate(X, y)
    domains = _spelled(domains)
    check_consistent_length(X, domains)
    labels = _possible_targets(domains, y, target_size) if targets is None else _spelled(targets)
    tasks = [
        _target_task(str(label), X, y, as_sample_domain(domains, target=label), target_size)
        for label in labels
    ]
    return _run(tasks, (methods, estimator), n_repeats, random_state, n_jobs, progress)


def _run(tasks, methods, n_repeats, random_state, n_jobs, progress):
    if not isinstance(n_repeats, Integral) or n_repeats < 2:
        raise ValueError(
            f"n_repeats must be a whole number of at least 2, or there is no error to report; "
            f"got {n_repeats!r}."
        )
    methods = _select_methods(*methods, [task.description for task in tasks])
    options = {"n_repeats": n_repeats, "random_state": random_state, "n_jobs": n_jobs}
    records = []
    for task in _with_progress(tasks, progress):
        # The name of a design seeds its splits: one that no renaming and no other domain changes.
        design = f"{len(task.domains[0])} target rows"
        study = run_study({design: task}, methods, metrics=METRICS, progress=progress, **options)
        records += [record | {"design": task.name} for record in study]
    return Comparison(records, tasks)


def _with_progress(tasks, progress):
    """Yield the tasks, showing how many of several are done; a study shows its own fits."""
    if len(tasks) == 1:
        return tasks
    from tqdm import tqdm  # here, so that importing skt stays light

    return tqdm(tasks, disable=not progress, unit="target", leave=False)


def _select_methods(methods, estimator, tasks):
    """Estimators by name, the baseline first; see `methods` of :func:`compare`."""
    registered = {method.name: method for method in METHODS}
    own = {method.name: method.factory() for method in _methods_of(estimator)}
    if methods is None:
        chosen = [method for method in METHODS if all(map(method.applies, tasks))]
        return {method.name: method.factory() for method in chosen} | own
    baseline = {BASELINE: registered[BASELINE].factory()}
    if isinstance(methods, Mapping):
        return baseline | {name: _given(name, method) for name, method in methods.items()} | own
    names = [methods] if isinstance(methods, str) else methods
    return baseline | {name: _registered(name, registered, tasks) for name in names} | own


def _registered(name, registered, tasks):
    if name not in registered:
        raise ValueError(f"methods must be among {', '.join(map(repr, registered))}; got {name!r}.")
    unfit = [task for task in tasks if not registered[name].applies(task)]
    if unfit:
        raise ValueError(f"methods must apply to these data; {name!r} does not ({unfit[0]}).")
    return registered[name].factory()


def _given(name, estimator):
    """Estimator of the user, fitted on target rows if it knows no domains."""
    if not hasattr(estimator, "fit") or isinstance(estimator, type):
        raise TypeError(
            f"methods[{name!r}] must be an estimator, an instance with fit and predict; "
            f"got {estimator!r}."
        )
    return estimator if domain_keyword(estimator) else FitOn(estimator)


# Data ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HoldOut:
    """One split: training rows of all domains, test rows of the target."""

    X: np.ndarray
    y: np.ndarray
    sample_domain: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    test_rows: np.ndarray
    mean_loss: np.ndarray  # to be expected of the mean of the training rows, per output


@dataclass(frozen=True)
class TargetTask:
    """Design of a study: random splits of the rows of one target."""

    name: str
    X: np.ndarray
    y: np.ndarray
    sample_domain: np.ndarray
    target_size: int

    def __call__(self, rng):
        """Draw one split."""
        target, _ = self.domains
        drawn = rng.permutation(target)
        train = np.setdiff1d(np.arange(len(self.X)), drawn[self.target_size :])
        test = drawn[self.target_size :]
        scaler = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
        ).fit(self.X[train])
        # The variance of a mean adds to that of a row. One figure for all splits: that of a
        # split may be next to nothing where few rows test.
        variance = np.var(self.y[target], axis=0, ddof=1)
        return HoldOut(
            X=scaler.transform(self.X[train]),
            y=self.y[train],
            sample_domain=self.sample_domain[train],
            X_test=scaler.transform(self.X[test]),
            y_test=self.y[test],
            test_rows=test,
            mean_loss=variance * (1 + 1 / self.target_size),
        )

    @property
    def domains(self):
        """Rows of the target and, by name, of the sources."""
        return split_domains(self.sample_domain, len(self.X))

    @property
    def description(self):
        """What the methods are asked whether they apply to."""
        n_targets = 1 if self.y.ndim == 1 else self.y.shape[1]
        return Task(self.X.shape[1], n_targets, len(self.domains[1]), self.target_size)


def _target_task(name, X, y, sample_domain, target_size):
    check_consistent_length(X, sample_domain)
    target, sources = split_domains(sample_domain, len(X))
    size = _checked_size(name, target_size, len(target))
    _check_domains(name, y[target], sources)
    return TargetTask(name, X, y, sample_domain, size)


def _check_domains(name, y_target, sources):
    if not sources:
        raise ValueError(
            f"comparing needs rows of at least one source, but every row belongs to {name!r}; "
            "stack the rows of the sources and label them in sample_domain."
        )
    if np.any(np.ptp(y_target, axis=0) == 0):
        raise ValueError(
            f"the outcome y does not vary among the rows of {name!r}: there is nothing to predict."
        )


def _checked_size(name, target_size, n_target):
    largest = n_target - MIN_TEST_ROWS
    if largest < MIN_TRAIN_ROWS:
        raise ValueError(
            f"comparing needs at least {MIN_TRAIN_ROWS} rows of the target to train and "
            f"{MIN_TEST_ROWS} to test, but {name!r} has {n_target}; without held-out rows there "
            "is no way to measure whether borrowing helps."
        )
    if target_size is None:
        return max(n_target // 2, MIN_TRAIN_ROWS)
    if not isinstance(target_size, Integral) or not MIN_TRAIN_ROWS <= target_size <= largest:
        raise ValueError(
            f"target_size must be a whole number from {MIN_TRAIN_ROWS} to {largest}, since "
            f"{name!r} has {n_target} rows and {MIN_TEST_ROWS} must stay for testing; "
            f"got {target_size!r}."
        )
    return int(target_size)


def _spelled(labels):
    """Labels as text, spelt as `as_sample_domain` does."""
    return as_sample_domain(["target", *labels], target="target")[1:]


def _possible_targets(domains, y, target_size):
    """Domains that can be the target; if there is none, the largest, for an error that says why."""
    labels, counts = np.unique(domains, return_counts=True)
    if len(labels) < 2:
        raise ValueError(
            f"comparing needs at least two domains, but every row belongs to {str(labels[0])!r}."
        )
    smallest = max(target_size or 0, MIN_TRAIN_ROWS) + MIN_TEST_ROWS
    possible = [
        label
        for label, count in zip(labels, counts, strict=True)
        if count >= smallest and np.all(np.ptp(y[domains == label], axis=0) > 0)
    ]
    return possible or [labels[np.argmax(counts)]]


def _validate(X, y):
    try:
        X = check_array(X, dtype=float, ensure_all_finite="allow-nan", input_name="X")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"X must be a table of finite numbers or nan ({error}); encode text columns first, "
            "e.g. with sklearn.preprocessing.OneHotEncoder."
        ) from error
    y = _validate_y(np.asarray(y))
    check_consistent_length(X, y)
    return X, y


def _validate_y(y):
    classes = y.dtype.kind in "USb" or any(isinstance(value, str | bool) for value in y.ravel())
    if classes:
        raise ValueError(
            f"y must be numeric, but it holds {y.ravel()[0]!r}: compare measures regression only, "
            "classification is not supported yet."
        )
    y = check_array(y, dtype=float, ensure_2d=False, input_name="y")
    return y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y
