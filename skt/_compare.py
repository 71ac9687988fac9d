"""Does borrowing help on these data? Repeated target-only hold-out of a table of methods."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array, check_consistent_length

from skt._comparison import Comparison
from skt._losses import CLASSIFICATION, REGRESSION, Kind
from skt._methods import Task, select_methods
from skt.sources import _is_missing, as_sample_domain, split_domains
from skt.study import run_study

__all__ = ["Comparison", "compare", "compare_each"]

# Fewer rows give neither a model nor a variance.
MIN_TRAIN_ROWS = 2
MIN_TEST_ROWS = 2


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
    tasks = [_target_task("target", X, y, np.asarray(sample_domain), target_size, kind)]
    return _run(tasks, (methods, estimator), n_repeats, random_state, n_jobs, progress)


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
    n_jobs=None,
    progress=True,
):
    """Run :func:`compare` with each domain as the target in turn, all others being sources.

    Losses are averaged over the targets.

    Parameters
    ----------
    X, y, task, methods, estimator, n_repeats, target_size, random_state, n_jobs, progress
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
    labels = _spelled(targets or [])
    if targets is None:
        labels = _possible_targets(domains, y, target_size, kind)
    tasks = [
        _target_task(str(label), X, y, as_sample_domain(domains, target=label), target_size, kind)
        for label in labels
    ]
    return _run(tasks, (methods, estimator), n_repeats, random_state, n_jobs, progress)


def _run(tasks, methods, n_repeats, random_state, n_jobs, progress):
    if not isinstance(n_repeats, Integral) or n_repeats < 2:
        raise ValueError(
            f"n_repeats must be a whole number of at least 2, or there is no error to report; "
            f"got {n_repeats!r}."
        )
    kind = tasks[0].kind
    methods, baseline = select_methods(*methods, kind, [task.description for task in tasks])
    options = {"n_repeats": n_repeats, "random_state": random_state, "n_jobs": n_jobs}
    records = []
    for task in _with_progress(tasks, progress):
        # The name of a design seeds its splits: one that no renaming and no other domain changes.
        design = f"{len(task.domains[0])} target rows"
        study = run_study(
            {design: task}, methods, metrics=kind.metrics, progress=progress, **options
        )
        records += [record | {"design": task.name} for record in study]
    return Comparison(records, tasks, kind, baseline)


def _with_progress(tasks, progress):
    """Yield the tasks, showing how many of several are done; a study shows its own fits."""
    if len(tasks) == 1:
        return tasks
    from tqdm import tqdm  # here, so that importing skt stays light

    return tqdm(tasks, disable=not progress, unit="target", leave=False)


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
    plain_loss: np.ndarray  # to be expected of a model without features, per output


@dataclass(frozen=True)
class TargetTask:
    """Design of a study: random splits of the rows of one target."""

    name: str
    X: np.ndarray
    y: np.ndarray
    sample_domain: np.ndarray
    target_size: int
    kind: Kind

    def __call__(self, rng):
        """Draw one split."""
        target, _ = self.domains
        test = self._test_rows(target, rng)
        train = np.setdiff1d(np.arange(len(self.X)), test)
        scaler = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
        ).fit(self.X[train])
        return HoldOut(
            X=scaler.transform(self.X[train]),
            y=self.y[train],
            sample_domain=self.sample_domain[train],
            X_test=scaler.transform(self.X[test]),
            y_test=self.y[test],
            test_rows=test,
            # One figure for all splits: that of a split may be next to nothing where few rows test.
            plain_loss=self.kind.plain_loss(self.y[target], self.target_size),
        )

    def _test_rows(self, target, rng):
        """Return the rows that are left when every class has given its part for training."""
        parts = [target]
        if self.kind.classes:
            parts = [target[self.y[target] == each] for each in np.unique(self.y[target])]
        sizes = shares(np.array([len(part) for part in parts]), self.target_size)
        return np.concatenate(
            [rng.permutation(part)[size:] for part, size in zip(parts, sizes, strict=True)]
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


def shares(counts, size):
    """Whole numbers nearest to `counts` in proportion, `size` in all, of each at least one.

    And at most all but one, so that something is left of each.
    """
    exact = counts * (size / counts.sum())
    taken = np.clip(np.floor(exact), 1, counts - 1).astype(int)
    while missing := np.sign(size - taken.sum()):
        possible = taken < counts - 1 if missing > 0 else taken > 1
        taken[np.argmax(np.where(possible, missing * (exact - taken), -np.inf))] += missing
    return taken


# Checks -------------------------------------------------------------------------------------


def _target_task(name, X, y, sample_domain, target_size, kind):
    check_consistent_length(X, sample_domain)
    target, sources = split_domains(sample_domain, len(X))
    if not sources:
        raise ValueError(
            f"comparing needs rows of at least one source, but every row belongs to {name!r}; "
            "stack the rows of the sources and label them in sample_domain."
        )
    if trouble := _trouble(name, y[target], kind):
        raise ValueError(trouble)
    size = _checked_size(name, target_size, y[target], kind)
    return TargetTask(name, X, y, sample_domain, size, kind)


def _trouble(name, y_target, kind):
    """Return what is wrong with the outcome of a target, "" if nothing is."""
    least = MIN_TRAIN_ROWS + MIN_TEST_ROWS
    if len(y_target) < least:
        return (
            f"comparing needs at least {MIN_TRAIN_ROWS} rows of the target to train and "
            f"{MIN_TEST_ROWS} to test, but {name!r} has {len(y_target)}; without held-out rows "
            "there is no way to measure whether borrowing helps."
        )
    if not kind.classes:
        constant = np.any(np.ptp(y_target, axis=0) == 0)
        return _nothing_to_predict(name) if constant else ""
    classes, counts = np.unique(y_target, return_counts=True)
    if len(classes) < 2:
        return _nothing_to_predict(name)
    if counts.min() < 2:
        return (
            f"the class {str(classes[np.argmin(counts)])!r} has one row only among the rows of "
            f"{name!r}, and needs one to train and one to test; merge it with another class, or "
            "leave its rows out."
        )
    return ""


def _nothing_to_predict(name):
    return f"the outcome y does not vary among the rows of {name!r}: there is nothing to predict."


def _checked_size(name, target_size, y_target, kind):
    smallest, left = _least_rows(y_target, kind)
    largest = len(y_target) - left
    if target_size is None:
        return min(max(len(y_target) // 2, smallest), largest)
    if not isinstance(target_size, Integral) or not smallest <= target_size <= largest:
        of_each = ", at least one of each class" if kind.classes else ""
        raise ValueError(
            f"target_size must be a whole number from {smallest} to {largest}, since "
            f"{name!r} has {len(y_target)} rows and {left} must stay for testing{of_each}; "
            f"got {target_size!r}."
        )
    return int(target_size)


def _least_rows(y_target, kind):
    """Return the fewest rows to train and to test: of classes one of each at least."""
    n_classes = len(np.unique(y_target)) if kind.classes else 0
    return max(MIN_TRAIN_ROWS, n_classes), max(MIN_TEST_ROWS, n_classes)


def _spelled(labels):
    """Labels as text, spelt as `as_sample_domain` does."""
    return as_sample_domain(["target", *labels], target="target")[1:]


def _possible_targets(domains, y, target_size, kind):
    """Domains that can be the target; if there is none, the largest, for an error that says why."""
    labels, counts = np.unique(domains, return_counts=True)
    if len(labels) < 2:
        raise ValueError(
            f"comparing needs at least two domains, but every row belongs to {str(labels[0])!r}."
        )
    possible = [label for label in labels if _is_possible(y[domains == label], target_size, kind)]
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
    return X, y, kind


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
