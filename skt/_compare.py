"""Does borrowing help on these data? Repeated target-only hold-out of a table of methods."""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from numbers import Integral
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array, check_consistent_length

from skt.sources import as_sample_domain, split_domains
from skt.study import domain_keyword, mean_and_error, run_study

__all__ = ["Comparison", "compare", "compare_each"]

BASELINE = "target-only ridge"
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


def _of_suite(module, name):
    # Imported when used: a comparison of two methods should not load all of them.
    return getattr(import_module(f"skt.{module}"), name)()


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
)


# Entry points -------------------------------------------------------------------------------


def compare(
    X,
    y,
    sample_domain,
    *,
    methods=None,
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
    n_repeats : int, default=50
        Number of random splits of the target rows, at least 2.
    target_size : int, default=None
        Target rows to train on. None takes half of them: fewer would flatter the sources,
        since the less target there is, the more a source is worth; more would leave too few
        rows to measure the loss. With all target rows the gain is likely smaller than
        measured.
    random_state : int, default=0
        Seed of the splits and of random estimators.
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
    >>> from skt._compare import compare
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(260, 8))
    >>> y = X @ np.ones(8) + 2 * rng.normal(size=260)
    >>> domain = np.repeat(["target", "north"], [60, 200])
    >>> comparison = compare(X, y, domain, methods=["pooled ridge"], target_size=12, progress=False)
    >>> print(comparison.verdict[:46])
    pooled ridge lowers target-only ridge's error
    """
    X, y = _validate(X, y)
    task = _target_task("target", X, y, np.asarray(sample_domain), target_size)
    return _run([task], methods, n_repeats, random_state, n_jobs, progress)


def compare_each(
    X,
    y,
    domains,
    *,
    methods=None,
    n_repeats=50,
    target_size=None,
    random_state=0,
    n_jobs=None,
    progress=True,
):
    """Run :func:`compare` with every domain as the target in turn, all others being sources.

    Losses are averaged over the targets. Domains with fewer than four rows are sources only.

    Parameters
    ----------
    X, y, methods, n_repeats, target_size, random_state, n_jobs, progress
        As in :func:`compare`.
    domains : array-like of shape (n_samples,)
        Label of the domain of each row; none of them needs to be a target.

    Returns
    -------
    Comparison
        Its ``by_target`` has the losses of each target.
    """
    X, y = _validate(X, y)
    domains = np.array([str(label) for label in domains])
    labels = _possible_targets(domains)
    tasks = [
        _target_task(label, X, y, as_sample_domain(domains, target=label), target_size)
        for label in labels
    ]
    return _run(tasks, methods, n_repeats, random_state, n_jobs, progress)


def _run(tasks, methods, n_repeats, random_state, n_jobs, progress):
    if not isinstance(n_repeats, Integral) or n_repeats < 2:
        raise ValueError(
            f"n_repeats must be a whole number of at least 2, or there is no error to report; "
            f"got {n_repeats!r}."
        )
    records = run_study(
        {task.name: task for task in tasks},
        select_methods(methods, [task.description for task in tasks]),
        metrics=METRICS,
        n_repeats=n_repeats,
        random_state=random_state,
        n_jobs=n_jobs,
        progress=progress,
    )
    return Comparison(records, tasks)


def select_methods(methods, tasks=()):
    """Estimators by name, the baseline first; see `methods` of :func:`compare`."""
    registered = {method.name: method for method in METHODS}
    if methods is None:
        chosen = [method for method in METHODS if all(map(method.applies, tasks))]
        return {method.name: method.factory() for method in chosen}
    baseline = {BASELINE: registered[BASELINE].factory()}
    if isinstance(methods, Mapping):
        return baseline | {name: _given(name, method) for name, method in methods.items()}
    names = [methods] if isinstance(methods, str) else list(methods)
    return baseline | {name: _registered(name, registered, tasks) for name in names}


def _registered(name, registered, tasks):
    if name not in registered:
        raise ValueError(
            f"methods must be among {list(registered)}; "
            f"got {name!r}{did_you_mean(name, registered)}"
        )
    method = registered[name]
    unfit = [task for task in tasks if not method.applies(task)]
    if unfit:
        raise ValueError(f"method {name!r} does not apply to these data: {unfit[0]}; leave it out.")
    return method.factory()


def _given(name, estimator):
    """Estimator of the user, fitted on target rows if it knows no domains."""
    if not hasattr(estimator, "fit") or isinstance(estimator, type):
        raise TypeError(
            f"methods[{name!r}] must be an estimator, an instance with fit and predict; "
            f"got {estimator!r}."
        )
    return estimator if domain_keyword(estimator) else FitOn(estimator)


def did_you_mean(name, known):
    """End of a message about an unknown name: close matches, if there are any."""
    close = difflib.get_close_matches(str(name), [str(each) for each in known], n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else "."


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
    mean_loss: np.ndarray  # squared error of the target's training mean, per output


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
        train, test = drawn[: self.target_size], drawn[self.target_size :]
        rows = np.setdiff1d(np.arange(len(self.X)), test)
        scaler = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
        ).fit(self.X[rows])
        return HoldOut(
            X=scaler.transform(self.X[rows]),
            y=self.y[rows],
            sample_domain=self.sample_domain[rows],
            X_test=scaler.transform(self.X[test]),
            y_test=self.y[test],
            test_rows=test,
            mean_loss=np.mean((self.y[test] - self.y[train].mean(axis=0)) ** 2, axis=0),
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
    _check_domains(name, y[target], sources)
    return TargetTask(name, X, y, sample_domain, _checked_size(name, target_size, len(target)))


def _check_domains(name, y_target, sources):
    if not sources:
        raise ValueError(
            f"comparing needs rows of at least one source, but every row belongs to {name!r}; "
            "stack the rows of the sources and label them in sample_domain."
        )
    constant = np.ptp(y_target, axis=0) == 0 if len(y_target) else False
    if np.any(constant):
        raise ValueError(
            f"y does not vary among the rows of {name!r}: there is nothing to predict."
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


def _possible_targets(domains):
    labels, counts = np.unique(domains, return_counts=True)
    possible = labels[counts >= MIN_TRAIN_ROWS + MIN_TEST_ROWS].tolist()
    if len(labels) < 2 or not possible:
        raise ValueError(
            "comparing needs at least two domains, one of them with at least "
            f"{MIN_TRAIN_ROWS + MIN_TEST_ROWS} rows; got {dict(zip(labels, counts, strict=True))}."
        )
    return possible


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


# Metrics ------------------------------------------------------------------------------------


class RowLosses(NamedTuple):
    """Relative loss of each held-out row; their mean is the loss of the split."""

    rows: np.ndarray
    losses: np.ndarray


class SourceWeights(NamedTuple):
    """What a method reports about its sources."""

    weights: dict
    effective_sample_size: float


def _squared_errors(fitted, data):
    prediction = fitted.predict(data.X_test)
    if prediction.shape != data.y_test.shape or not np.isfinite(prediction).all():
        raise ValueError(
            f"predict must return finite numbers of shape {data.y_test.shape}; "
            f"got shape {prediction.shape}."
        )
    return (data.y_test - prediction) ** 2


def _row_losses(fitted, data):
    relative = _squared_errors(fitted, data) / data.mean_loss
    return RowLosses(data.test_rows, relative.reshape(len(relative), -1).mean(axis=1))


def _mean_squared_error(fitted, data):
    return _squared_errors(fitted, data).mean()


def _relative_loss(fitted, data):
    return _row_losses(fitted, data).losses.mean()


def _source_weights(fitted, data):
    model = fitted[-1] if isinstance(fitted, Pipeline) else fitted
    if not hasattr(model, "source_weights_"):
        return None
    weights = np.asarray(model.source_weights_, dtype=float)
    # Weights per output are averaged: the table has one figure for each source.
    weights = weights.reshape(-1, len(model.source_names_)).mean(axis=0)
    named = dict(zip(map(str, model.source_names_), weights.tolist(), strict=True))
    return SourceWeights(named, float(getattr(model, "effective_sample_size_", math.nan)))


METRICS = {
    "loss": _relative_loss,
    "mse": _mean_squared_error,
    "row_losses": _row_losses,
    "source_weights": _source_weights,
}


# Result -------------------------------------------------------------------------------------


class Comparison:
    """What :func:`compare` found.

    A loss is a mean squared error divided by that of predicting the target's training mean: 0
    is perfect, 1 is useless. Errors are one standard error; they add the spread over random
    splits and the spread over the held-out rows, which more repeats do not reduce.

    Attributes
    ----------
    records : list of dict
        One for each target, repeat, method and metric ("loss", "mse").
    summary : list of dict
        One for each method: ``method, n_repeats, n_failures, mean, standard_error, ratio,
        difference, difference_error``; ratio and paired difference are to target-only ridge.
        With several targets, losses are averaged over them.
    by_target : list of dict
        The same for each target.
    source_weights : list of dict
        ``target, method, source, n_rows, weight, effective_rows`` for methods that weigh their
        sources: mean weight of one source row, where a target row has weight 1.
    effective_sample_sizes : list of dict
        ``target, method, target_size, effective_sample_size``.
    failures : list of dict
        Records of the fits that failed, with the error.
    verdict : str
        One sentence.
    """

    def __init__(self, records, tasks):
        self._tasks = {task.name: task for task in tasks}
        self.records = [_by_target(r) for r in records if r["metric"] in ("loss", "mse")]
        self.failures = [r for r in self.records if r["metric"] == "loss" and r["error"]]
        losses = _losses_by_method(records)
        self.by_target = [
            {"target": target} | row
            for target in self._tasks
            for row in _summary({m: {target: losses[m][target]} for m in losses})
        ]
        self.summary = _summary(losses)
        self.source_weights, self.effective_sample_sizes = _weights_by_source(records, self._tasks)
        self.verdict = _verdict(losses, self.summary, list(self._tasks.values()))

    @property
    def baseline(self):
        """Name of the method that the others are compared with."""
        return BASELINE

    @property
    def targets(self):
        """Names of the targets."""
        return list(self._tasks)

    @property
    def target_sizes(self):
        """Training rows of each target, by its name."""
        return {name: task.target_size for name, task in self._tasks.items()}

    @property
    def methods(self):
        """Names of the methods."""
        return [row["method"] for row in self.summary]

    def to_frame(self):
        """Summary as a :class:`pandas.DataFrame`, one row for each method."""
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "to_frame needs pandas: run `pip install pandas`, or use .summary and .records, "
                "which are lists of dicts."
            ) from error
        return pd.DataFrame(self.summary).set_index("method")

    def plot(self, ax=None):
        """Draw the losses relative to target-only ridge; needs matplotlib."""
        from skt.plots import ComparisonDisplay

        return ComparisonDisplay.from_comparison(self).plot(ax=ax)

    def __repr__(self):
        repeats = self.summary[0]["n_repeats"]
        return (
            f"<Comparison of {len(self.methods)} methods on {len(self.targets)} target(s), "
            f"{repeats} fits each: {self.verdict}>"
        )


def _by_target(record):
    return {"target" if key == "design" else key: value for key, value in record.items()}


# Means and their errors ---------------------------------------------------------------------
# `losses[method][target][repeat]` holds the row losses of one fit, None if it failed.


def _losses_by_method(records):
    losses = {}
    for record in records:
        if record["metric"] == "row_losses":
            targets = losses.setdefault(record["method"], {})
            repeats = targets.setdefault(record["design"], {})
            repeats[record["repeat"]] = None if record["error"] else record["value"]
    return losses


def _summary(losses):
    reference, _ = _mean_loss(losses[BASELINE])
    return [_summary_row(method, targets, losses, reference) for method, targets in losses.items()]


def _summary_row(method, targets, losses, reference):
    mean, error = _mean_loss(targets)
    difference, difference_error = _mean_loss(_paired(targets, losses[BASELINE]))
    fits = [fit for repeats in targets.values() for fit in repeats.values()]
    return {
        "method": method,
        "n_repeats": len(fits),
        "n_failures": sum(fit is None for fit in fits),
        "mean": mean,
        "standard_error": error,
        # Through the paired difference, so that failed fits drop out of both sides.
        "ratio": 1 + difference / reference,
        "difference": difference,
        "difference_error": difference_error,
    }


def _paired(targets, reference):
    """Row losses of a method minus those of another, where both succeeded."""
    return {
        target: {
            repeat: RowLosses(fit.rows, fit.losses - reference[target][repeat].losses)
            for repeat, fit in repeats.items()
            if fit is not None and reference[target][repeat] is not None
        }
        for target, repeats in targets.items()
    }


def _mean_loss(targets):
    """Average over the targets and its standard error."""
    means, errors = zip(*map(_mean_of_target, targets.values()), strict=True)
    return float(np.mean(means)), float(np.linalg.norm(errors) / len(errors))


def _mean_of_target(repeats):
    fits = [fit for fit in repeats.values() if fit is not None]
    if not fits:
        return math.nan, math.nan
    mean, split_error = mean_and_error([fit.losses.mean() for fit in fits])
    # Splits of the same rows are no independent samples: their spread alone would shrink to
    # nothing with more repeats, however few target rows there are.
    _, row_error = mean_and_error(_mean_by_row(fits))
    return mean, math.hypot(split_error, row_error)


def _mean_by_row(fits):
    rows = np.concatenate([fit.rows for fit in fits])
    losses = np.concatenate([fit.losses for fit in fits])
    _, place, counts = np.unique(rows, return_inverse=True, return_counts=True)
    return np.bincount(place, weights=losses) / counts


# Weights ------------------------------------------------------------------------------------


def _weights_by_source(records, tasks):
    reported = {}
    for record in records:
        if isinstance(record["value"], SourceWeights):
            reported.setdefault((record["design"], record["method"]), []).append(record["value"])
    weights = [
        {"target": target, "method": method} | row
        for (target, method), values in reported.items()
        for row in _mean_weights(values, tasks[target].domains[1])
    ]
    sizes = [
        {
            "target": target,
            "method": method,
            "target_size": tasks[target].target_size,
            "effective_sample_size": float(np.mean([v.effective_sample_size for v in values])),
        }
        for (target, method), values in reported.items()
    ]
    return weights, sizes


def _mean_weights(values, sources):
    for name, rows in sources.items():
        weight = float(np.mean([value.weights.get(str(name), math.nan) for value in values]))
        yield {
            "source": str(name),
            "n_rows": len(rows),
            "weight": weight,
            "effective_rows": weight * len(rows),
        }


# Verdict ------------------------------------------------------------------------------------


def _verdict(losses, summary, tasks):
    """One sentence, allowing for the number of methods that were tried."""
    rivals = [row for row in summary if row["method"] != BASELINE and math.isfinite(row["ratio"])]
    if not rivals:
        return f"Nothing to compare: no method but {BASELINE} was fitted."
    errors = _critical_errors(len(rivals), min(row["n_repeats"] for row in rivals))
    helpful = [row for row in rivals if row["difference"] < -errors * row["difference_error"]]
    # A method that is better on average but uncertain must not hide one that surely helps.
    best = min(helpful or rivals, key=lambda row: row["difference"])
    if helpful:
        return f"{_change(best)}{_setting(tasks)}{_also(losses, best, rivals, errors)}."
    if all(_is_harmful(row, errors) for row in rivals):
        return f"Transfer hurts: even {_change(best)}{_setting(tasks)}."
    return (
        f"No method beats {BASELINE} beyond its error{_setting(tasks)}; "
        f"the closest is {best['method']} ({_figures(best)})."
    )


def _is_harmful(row, errors):
    return row["difference"] > errors * row["difference_error"]


def _critical_errors(n_comparisons, n_repeats):
    """Number of errors beyond which a difference counts: 5 % in all, shared by the methods."""
    return float(stdtrit(n_repeats - 1, 1 - 0.025 / n_comparisons))


def _change(row):
    verb = "lowers" if row["difference"] < 0 else "raises"
    percent = abs(1 - row["ratio"]) * 100
    return f"{row['method']} {verb} {BASELINE}'s error by {percent:.0f} % ({_figures(row)})"


def _figures(row):
    return (
        f"ratio {row['ratio']:.2f}, paired difference {row['difference']:+.3f} "
        f"+/- {row['difference_error']:.3f}"
    )


def _setting(tasks):
    sizes = sorted({task.target_size for task in tasks})
    rows = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    over = f", averaged over {len(tasks)} targets" if len(tasks) > 1 else ""
    return f" with {rows} target rows{over}"


def _also(losses, best, rivals, errors):
    """Who is as good as the best, and who does harm."""
    others = [row for row in rivals if row is not best]
    close = [row["method"] for row in others if not _is_worse(losses, row, best, errors)]
    harmful = [
        f"{row['method']} (ratio {row['ratio']:.2f})" for row in others if _is_harmful(row, errors)
    ]
    text = f"; {_listed(close)} cannot be told from it" if close else ""
    return text + (f"; {_listed(harmful)} would hurt" if harmful else "")


def _is_worse(losses, row, best, errors):
    gap, error = _mean_loss(_paired(losses[row["method"]], losses[best["method"]]))
    return gap > errors * error


def _listed(names):
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
