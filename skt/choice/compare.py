"""Comparison of methods on one table: entry points and input checks."""

import re
import zlib
from functools import partial
from numbers import Integral
from pathlib import Path

import numpy as np
from sklearn.utils import check_array, check_consistent_length

from skt.choice.comparison import Comparison
from skt.choice.hold_out import (
    MIN_MEMBERS,
    SOURCE_CALLED_TARGET,
    _least_rows,
    _target_task,
    _trouble,
)
from skt.choice.losses import CLASSIFICATION, REGRESSION, plain, restored
from skt.choice.methods import select_methods
from skt.sources.labels import _is_missing, as_sample_domain
from skt.study.run import run_study

__all__ = ["Comparison", "compare", "compare_each"]

# Squares of larger numbers overflow.
LARGEST = 1e100


# Entry points -------------------------------------------------------------------------------


def compare(
    X,
    y,
    sample_domain,
    *,
    task="auto",
    methods=None,
    estimator=None,
    n_repeats=50,
    target_size=None,
    random_state=0,
    groups=None,
    out=None,
    n_jobs=None,
    progress=True,
):
    """Compare methods of borrowing with the target alone, by repeated target-only hold-out.

    Each repeat draws `target_size` target rows for training; all source rows train with them
    and the remaining target rows test. Features are imputed by medians and standardised, both
    learnt from the training rows of all domains, the same way for every method. Of classes every
    split keeps the shares, with at least one target row of each to train and one to test.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Numeric features of the rows of all domains, stacked; nan is a missing value.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Numeric outputs, or one column of classes.
    sample_domain : array-like of shape (n_samples,)
        Domain of each row: ``"target"`` or the name of a source, or integers (< 0 is the
        target). :func:`skt.as_sample_domain` makes it from any labels.
    task : {"auto", "regression", "classification"}, default="auto"
        Whether the outcome is compared as numbers, by squared error, or as classes, by log loss
        of predicted probabilities (of at least 0.001, so that no single row decides). "auto":
        classes are text, booleans, and numbers of two different values.
    methods : list of str or mapping of str to estimator, default=None
        Names of registered methods, or estimators of your own. An estimator whose `fit` takes
        `sample_domain` gets all rows, any other the target rows only. None takes every
        registered method that applies; with `estimator`, none. Ridge on the target alone (for
        classes, logistic regression) always takes part: it is what the others are compared
        with, unless `estimator` is given.
    estimator : str or estimator, default=None
        The model to borrow for, by its name in scikit-learn or as an instance: trained on target
        rows, which is then what all others are compared with, on all rows, on the rows that OTQMS
        takes (:class:`SourceSampled`) and, if it takes ``sample_weight``, on all rows with UOWQ's
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
    groups : array-like of shape (n_samples,), default=None
        What rows belong to, such as the patient: rows of one group are never separated by a
        split, nor trained on in another domain while some of them test, and errors count groups
        instead of rows. The target needs four groups at least. `target_size` is then met as
        nearly as whole groups allow.
    out : path, default=None
        Folder to which the records of each target are appended as they are made. A comparison
        that was interrupted, or has fewer repeats or methods, goes on from there when it is run
        again; one of other data or splits is refused.
    n_jobs : int, default=None
        Number of splits run at once, through joblib.
    progress : bool, default=True
        Whether to show progress on stderr.

    Returns
    -------
    Comparison
        Losses relative to a model without features, with errors and intervals, and a verdict.

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
    >>> print(comparison.verdict[:62])
    Transfer helps: pooled ridge lowers target-only ridge's error
    """
    X, y, kind = _validate(X, y, task)
    members = _members(groups, X)
    tasks = [_target_task("target", X, y, np.asarray(sample_domain), target_size, kind, members)]
    return _run(tasks, (methods, estimator), n_repeats, random_state, out, n_jobs, progress)


def compare_each(
    X,
    y,
    domains,
    *,
    targets=None,
    task="auto",
    methods=None,
    estimator=None,
    n_repeats=50,
    target_size=None,
    random_state=0,
    groups=None,
    out=None,
    n_jobs=None,
    progress=True,
):
    """Run :func:`compare` with each domain as the target in turn, all others being sources.

    Losses are averaged over the targets.

    Parameters
    ----------
    X, y, task, methods, estimator, n_repeats, target_size, random_state, groups, out, n_jobs, \
progress
        As in :func:`compare`.
    domains : array-like of shape (n_samples,)
        Label of the domain of each row; none of them needs to be a target.
    targets : list of labels, default=None
        Domains that are the target in turn. None takes every domain that can be one: its
        outcome varies, and it has `target_size` rows to train and two to test (four in all by
        default); none of its classes has one row only. The others are sources only.

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
    X, y, kind = _validate(X, y, task)
    domains = _spelled(domains)
    check_consistent_length(X, domains)
    members = _members(groups, X)
    labels = _spelled(targets or [])
    if targets is None:
        labels = _possible_targets(domains, y, target_size, kind, members)
    tasks = [
        _target_task(str(label), X, y, _sample_domain(domains, label), target_size, kind, members)
        for label in labels
    ]
    return _run(tasks, (methods, estimator), n_repeats, random_state, out, n_jobs, progress)


def _run(tasks, methods, n_repeats, random_state, out, n_jobs, progress):
    if not isinstance(n_repeats, Integral) or n_repeats < 2:
        raise ValueError(
            f"n_repeats must be a whole number of at least 2, or there is no error to report; "
            f"got {n_repeats!r}."
        )
    kind = tasks[0].kind
    methods, baseline = select_methods(*methods, kind, [task.description for task in tasks])
    options = {"n_repeats": n_repeats, "random_state": random_state, "n_jobs": n_jobs}
    metrics = kind.metrics
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
        metrics = {name: partial(plain, metric) for name, metric in metrics.items()}
    records = []
    for task in _with_progress(tasks, progress):
        # The name of a design seeds its splits: one that no renaming and no other domain changes.
        design = f"{len(task.domains[0])} target rows"
        file = None if out is None else Path(out) / _file_name(task.name)
        study = run_study(
            {design: task}, methods, metrics=metrics, progress=progress, out=file, **options
        )
        records += [restored(record) | {"design": task.name} for record in study]
    return Comparison(records, tasks, kind, baseline)


def _file_name(target):
    """Return a name that any file system takes, and no other target has."""
    legible = re.sub(r"[^A-Za-z0-9]+", "-", target)[:40].strip("-")
    return f"{legible}-{zlib.crc32(target.encode()):08x}.jsonl"


def _with_progress(tasks, progress):
    """Yield the tasks, showing how many of several are done; a study shows its own fits."""
    if len(tasks) == 1:
        return tasks
    from tqdm import tqdm  # here, so that importing skt stays light

    return tqdm(tasks, disable=not progress, unit="target", leave=False)


def _spelled(labels):
    """Labels as text, spelt as `as_sample_domain` does."""
    return as_sample_domain(["target", *labels], target="target")[1:]


def _sample_domain(domains, target):
    """Return `sample_domain`; a source that is itself called "target" gets another name."""
    sources = np.where(domains == "target", SOURCE_CALLED_TARGET, domains)
    return as_sample_domain(np.where(domains == target, target, sources), target=target)


def _members(groups, X):
    """Return the number of the group of each row."""
    if groups is None:
        return None
    check_consistent_length(X, groups)
    return np.unique(_spelled(groups), return_inverse=True)[1]


def _possible_targets(domains, y, target_size, kind, members):
    """Domains that can be the target; if there is none, the largest, for an error that says why."""
    labels, counts = np.unique(domains, return_counts=True)
    if len(labels) < 2:
        raise ValueError(
            f"comparing needs at least two domains, but every row belongs to {str(labels[0])!r}."
        )
    possible = [
        label
        for label in labels
        if _is_possible(y[domains == label], target_size, kind)
        and (members is None or len(np.unique(members[domains == label])) >= MIN_MEMBERS)
    ]
    return possible or [labels[np.argmax(counts)]]


def _is_possible(y_target, target_size, kind):
    if _trouble("", y_target, kind):
        return False
    if not isinstance(target_size, Integral):  # nothing asked for, or an error for all
        return True
    smallest, left = _least_rows(y_target, kind)
    return max(target_size, smallest) + left <= len(y_target)


def _validate(X, y, task):
    try:
        X = check_array(X, dtype=float, ensure_all_finite="allow-nan", input_name="X")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"X must be a table of finite numbers or nan ({error}); encode text columns first, "
            "e.g. with sklearn.preprocessing.OneHotEncoder."
        ) from error
    y, kind = _validate_y(np.asarray(y), task)
    check_consistent_length(X, y)
    _refuse_huge("X", X)
    if not kind.classes:
        _refuse_huge("y", y)
    return X, y, kind


def _refuse_huge(name, values):
    largest = np.nanmax(np.abs(values), initial=0.0)
    if largest > LARGEST:
        raise ValueError(
            f"{name} must hold numbers up to {LARGEST:g}, whose squares do not overflow, but holds "
            f"one of size {largest:g}; divide {name} by a constant, or leave such rows out."
        )


def _validate_y(y, task):
    if task not in ("auto", REGRESSION.name, CLASSIFICATION.name):
        raise ValueError(f"task must be 'auto', 'regression' or 'classification'; got {task!r}.")
    y = y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y
    text = y.dtype.kind in "USb" or any(isinstance(value, str | bool) for value in y.ravel())
    if text and task == REGRESSION.name:
        raise ValueError(
            f"y must be numeric for task='regression', but holds {str(y.ravel()[0])!r}."
        )
    if not text:
        y = check_array(y, dtype=float, ensure_2d=False, input_name="y")
    two_values = not text and y.ndim == 1 and len(np.unique(y)) == 2
    if task == REGRESSION.name or (task == "auto" and not text and not two_values):
        return y, REGRESSION
    return _validate_classes(y), CLASSIFICATION


def _validate_classes(y):
    if y.ndim > 1:
        raise ValueError(
            f"y must be one column where it holds classes, but has {y.shape[1]}; compare them one "
            "at a time."
        )
    missing = sum(map(_is_missing, y.tolist()))
    if missing:
        raise ValueError(f"y has {missing} missing values; leave out the rows without a class.")
    if y.dtype.kind == "f" and np.all(y == np.floor(y)):
        return y.astype(int)
    return y if y.dtype.kind == "b" else y.astype(str)
