"""Splits of a comparison: target rows held out, everything else trains."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_consistent_length

from skt.choice.losses import Kind
from skt.choice.methods import DataShape
from skt.sources.labels import split_domains

# Fewer rows give neither a model nor a variance.
MIN_TRAIN_ROWS = 2
MIN_TEST_ROWS = 2
# What a source is called meanwhile whose own name is "target".
SOURCE_CALLED_TARGET = "target (a source)"
# Members of a target that are kept whole: fewer tell nothing of their spread.
MIN_MEMBERS = 4
# Draws of whole members, of which the one with most classes on both sides is taken.
DRAWS = 20


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
    members: np.ndarray | None = None  # codes; rows of one member are never separated

    def __call__(self, rng):
        """Draw one split."""
        target, _ = self.domains
        test = self._test_rows(target, rng)
        train = self._train_rows(test)
        scaler = imputed_and_scaled(self.X[train])
        return HoldOut(
            X=scaler.transform(self.X[train]),
            y=self.y[train],
            sample_domain=self.sample_domain[train],
            X_test=scaler.transform(self.X[test]),
            y_test=self.y[test],
            test_rows=test if self.members is None else self.members[test],
            # One figure for all splits: that of a split may be next to nothing where few rows test.
            plain_loss=self.kind.plain_loss(self.y[target], self.target_size),
        )

    def _test_rows(self, target, rng):
        """Return the rows that are left when every class has given its part for training."""
        if self.members is not None:
            return self._test_members(target, rng)
        parts = [target]
        if self.kind.classes:
            parts = [target[self.y[target] == each] for each in np.unique(self.y[target])]
        sizes = shares(np.array([len(part) for part in parts]), self.target_size)
        return np.concatenate(
            [rng.permutation(part)[size:] for part, size in zip(parts, sizes, strict=True)]
        )

    def _test_members(self, target, rng):
        """Return the rows of whole members, such that both sides hold all classes if they can."""
        draws = (self._draw_members(target, rng) for _ in range(DRAWS))
        return max(draws, key=lambda test: self._n_classes_on_both_sides(target, test))

    def _draw_members(self, target, rng):
        names, codes, counts = np.unique(
            self.members[target], return_inverse=True, return_counts=True
        )
        order = rng.permutation(len(names))
        before = np.cumsum(counts[order]) - counts[order]
        # A member trains if most of its rows are among the first `target_size`; one at least.
        trains = before + counts[order] / 2 <= self.target_size
        trains[0], trains[-1] = True, False
        return target[~np.isin(codes, order[trains])]

    def _n_classes_on_both_sides(self, target, test):
        if not self.kind.classes:
            return 0
        train = np.setdiff1d(target, test)
        return len(np.intersect1d(self.y[train], self.y[test]))

    def _train_rows(self, test):
        """Return all rows but those that test, and those of other domains with their members."""
        if self.members is None:
            return np.setdiff1d(np.arange(len(self.X)), test)
        return np.flatnonzero(~np.isin(self.members, self.members[test]))

    @property
    def n_units(self):
        """Number of target rows that differ by chance: of members where these are given."""
        target, _ = self.domains
        return len(target) if self.members is None else len(np.unique(self.members[target]))

    @property
    def domains(self):
        """Rows of the target and, by name, of the sources."""
        return split_domains(self.sample_domain, len(self.X))

    @property
    def description(self):
        """What the methods are asked whether they apply to."""
        n_targets = 1 if self.y.ndim == 1 else self.y.shape[1]
        return DataShape(self.X.shape[1], n_targets, len(self.domains[1]), self.target_size)


def imputed_and_scaled(X):
    """Return what fills missing values by medians and standardises, learnt from rows X."""
    steps = SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    return make_pipeline(*steps).fit(X)


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


def _target_task(name, X, y, sample_domain, target_size, kind, members=None):
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
    if members is not None and len(np.unique(members[target])) < MIN_MEMBERS:
        raise ValueError(
            f"groups must hold at least {MIN_MEMBERS} different values among the rows of {name!r}, "
            "or nothing can be held out; leave groups out, or choose another target."
        )
    return TargetTask(name, X, y, sample_domain, size, kind, members)


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
