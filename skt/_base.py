"""What every estimator of the suite shares: one place that validates and splits by domain."""

from contextlib import nullcontext
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data
from threadpoolctl import ThreadpoolController

from ._sklearn import check_sample_weight
from .core.glm import indicators
from .core.moments import moments
from .sources import check_sources, split_domains


class Target(NamedTuple):
    """Rows of the target."""

    X: np.ndarray  # (n, p)
    y: np.ndarray  # (n, q)
    weight: np.ndarray  # (n,)
    kept: np.ndarray | None = None  # (n_given,) which of the rows given have weight


class TransferEstimator(BaseEstimator):
    """Base of estimators that learn from a target and its sources.

    Rows of all domains come stacked and labelled by ``sample_domain``, which scikit-learn
    routes here without ``set_fit_request``; prior knowledge comes as the parameter
    ``sources``.
    """

    __metadata_request__fit = {"sample_domain": True}

    def _validate(self, X, y, sample_domain, sample_weight):
        """Return the target's rows, the sources by name, and whether y had one dimension."""
        _refuse_pairs(X, y, sample_domain)
        X, y = validate_data(
            self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True
        )
        one_output = y.ndim == 1
        Y = np.asarray(y, dtype=np.float64).reshape(len(X), -1)
        target, source_rows, weight = _split(X, Y, sample_domain, sample_weight)
        known = self._known_sources(target, source_rows)
        rows = {
            name: moments(X, Y, None if sample_weight is None else weight, rows)
            for name, rows in source_rows.items()
        }
        return target, rows | known, one_output

    def _validate_classes(self, X, y, sample_domain, sample_weight):
        """Return the target's rows and the sources by name: rows, or a `SourceModel`.

        Sets ``classes_``, those of all domains; y becomes indicators, one column for two classes.
        """
        _refuse_pairs(X, y, sample_domain)
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y holds one class only, {self.classes_.tolist()[0]!r}; a classifier needs at "
                "least two."
            )
        Y = indicators(codes, len(self.classes_))
        target, source_rows, weight = _split(X, Y, sample_domain, sample_weight)
        known = self._known_sources(target, source_rows, self.classes_)
        rows = {}
        for name, own in source_rows.items():
            own = own[weight[own] > 0]
            rows[name] = Target(X[own].astype(np.float64, copy=False), Y[own], weight[own])
        return target, rows | known

    def _known_sources(self, target, source_rows, classes=None):
        names = getattr(self, "feature_names_in_", None)
        known = check_sources(
            self.sources,
            target.X,
            n_targets=target.y.shape[1],
            feature_names=None if names is None else tuple(names),
            classes=classes,
        )
        _check_distinct(known, source_rows)
        return known


def _split(X, Y, sample_domain, sample_weight):
    """Return the target's rows of positive weight, row numbers by source, and weights."""
    target_rows, source_rows = split_domains(sample_domain, len(X))
    weight = _check_weight(sample_weight, X, target_rows, source_rows)
    kept = weight[target_rows] > 0
    rows = target_rows[kept]
    target = Target(X[rows].astype(np.float64, copy=False), Y[rows], weight[rows], kept)
    return target, source_rows, weight


def _check_weight(sample_weight, X, target_rows, source_rows):
    """Return nonnegative weights with something left in every domain."""
    weight = check_sample_weight(sample_weight, X, dtype=np.float64)
    if np.any(weight < 0):
        raise ValueError(
            f"sample_weight has {np.sum(weight < 0)} negative values; weights count rows and "
            "must be >= 0."
        )
    for name, rows in {"target": target_rows, **source_rows}.items():
        if not np.any(weight[rows] > 0):
            which = "the target" if name == "target" else f"source {name!r}"
            raise ValueError(
                f"sample_weight is zero on every row of {which}; "
                "give one of its rows a positive weight, or leave its rows out."
            )
    return weight


def _check_distinct(known, source_rows):
    both = sorted(known.keys() & source_rows.keys())
    if both:
        raise ValueError(
            f"{both} name sources twice: as a key of `sources` and as a label in sample_domain; "
            "rename one of the two."
        )


def _refuse_pairs(*arguments):
    """Refuse lists of (X, y) pairs, which scikit-learn's helpers would slice as if rows."""
    for argument in arguments:
        if (
            isinstance(argument, list | tuple)
            and len(argument) > 0
            and all(isinstance(item, tuple) and len(item) in (2, 3) for item in argument)
            and any(np.ndim(part) == 2 for part in argument[0] if hasattr(part, "shape"))
        ):
            raise TypeError(
                "fit got a list of (X, y) pairs; it takes rows of all domains stacked. "
                "Write X, y, sample_domain = stack_domains((X_target, y_target), "
                "{'name': (X_source, y_source)}) and fit(X, y, sample_domain=sample_domain)."
            )


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
