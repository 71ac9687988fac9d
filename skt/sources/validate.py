"""The one way in: rows of all domains and known sources as target and sources in one shape."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from skt._sklearn import check_sample_weight, num_samples
from skt.core.families import indicators
from skt.core.moments import Moments, moments
from skt.core.rows import Rows
from skt.sources.checks import check_sources
from skt.sources.forms import FORMS, SourceRows, as_source, form_of
from skt.sources.labels import split_domains
from skt.sources.numeric_view import numeric_view

__all__ = [
    "Data",
    "Split",
    "check_arrays",
    "classes_and_codes",
    "refuse_extremes",
    "refuse_pairs",
    "split_rows",
    "validated",
]

# Squares of numbers below 1e-154 are rounded to nothing.
LEAST_SPREAD = 1e-151
# Those of larger numbers, summed over ten thousand rows, overflow.
LARGEST = 1e152


@dataclass(frozen=True, eq=False)
class Data:
    """Target and sources of one fit."""

    target: Rows  # rows of positive weight
    kept: np.ndarray  # (n_given,) which of the target's rows, as they were given, these are
    sources: dict  # name -> skt.sources.forms.Source
    one_output: bool  # whether y came with one dimension
    classes: np.ndarray | None = None  # of all domains, where y holds classes

    @cached_property
    def own(self) -> Moments:
        """Moments of the target."""
        return moments(*self.target)

    @property
    def summaries(self):
        """Moments of the target, and of all sources of which they are known."""
        known = (source.summary for source in self.sources.values())
        return [self.own, *(summary for summary in known if summary is not None)]


def validated(estimator, X, y, sample_domain, sample_weight, *, takers, classes=False):
    """Validate the arguments of ``fit`` and the parameter ``sources`` of an estimator.

    Parameters
    ----------
    estimator : estimator
        Its ``takes`` says which forms of sources it takes; ``n_features_in_`` and
        ``feature_names_in_`` are set.
    X, y, sample_domain, sample_weight
        As the user gave them to ``fit``.
    takers : callable
        ``takers(form)`` returns the names of the estimators that take a form.
    classes : bool, default=False
        Whether y holds classes, which become indicators: one column for two classes.

    Returns
    -------
    Data
        Outputs as float64 with two dimensions.
    """
    refuse_pairs(X, y, sample_domain)
    X, Y, one_output, labels = (_classes if classes else _numbers)(estimator, X, y)
    split = split_rows(X, sample_domain, sample_weight)
    table = Rows(X, Y, split.weight)
    kept = split.weight[split.target] > 0
    target = table.take(split.target[kept])
    target = target._replace(X=target.X.astype(np.float64, copy=False))
    _check_forms(estimator, split.sources, takers)
    names = getattr(estimator, "feature_names_in_", None)
    known = check_sources(
        estimator.sources,
        target.X,
        n_targets=Y.shape[1],
        feature_names=None if names is None else tuple(names),
        classes=labels,
    )
    _check_distinct(known, split.sources)
    weighted = sample_weight is not None
    sources = {name: SourceRows(table, rows, weighted) for name, rows in split.sources.items()}
    sources |= {name: as_source(source) for name, source in known.items()}
    return Data(target, kept, sources, one_output, labels)


def _numbers(estimator, X, y):
    """Return X, outputs (n, q), whether y had one dimension, and no classes."""
    X, y = validate_data(
        estimator, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True
    )
    Y = np.asarray(y, dtype=np.float64).reshape(len(X), -1)
    refuse_extremes(X, Y)
    return X, Y, y.ndim == 1, None


def refuse_extremes(X, Y):
    """Refuse numbers whose squares overflow, and outcomes whose squares underflow.

    No variance could be computed of them.
    """
    if max(float(np.nanmax(np.abs(part), initial=0.0)) for part in (X, Y)) > LARGEST:
        raise ValueError(
            "the squares of X or y overflow float64; divide large columns by their scale first."
        )
    spread = np.ptp(Y, axis=0)
    tiny = spread[(spread > 0) & (spread < LEAST_SPREAD)]
    if tiny.size:
        raise ValueError(
            f"y varies by {tiny[0]:.2g} only, whose square underflows; multiply y by a constant."
        )


def _classes(estimator, X, y):
    """Return X, indicators (n, q), True, and the classes of all domains."""
    X, labels, codes = classes_and_codes(estimator, X, y)
    return X, indicators(codes, len(labels)), True, labels


def classes_and_codes(estimator, X, y):
    """Return X, the classes of all rows, of which there are two at least, and codes of rows."""
    X, y = validate_data(estimator, X, y, dtype=[np.float64, np.float32])
    check_classification_targets(y)
    labels, codes = np.unique(y, return_inverse=True)
    if len(labels) < 2:
        raise ValueError(
            f"y holds one class only, {labels.tolist()[0]!r}; a classifier needs at least two."
        )
    refuse_extremes(X, np.zeros(1))
    return X, labels, codes


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of every domain, and weights of all rows."""

    target: np.ndarray
    sources: dict  # name -> row numbers
    weight: np.ndarray  # (n,)


def split_rows(X, sample_domain, sample_weight):
    """Return the rows of every domain, of which each must have some weight."""
    target, sources = split_domains(sample_domain, num_samples(X))
    weight = check_sample_weight(sample_weight, X, dtype=np.float64)
    if np.any(weight < 0):
        raise ValueError(
            f"sample_weight has {np.sum(weight < 0)} negative values; weights count rows and "
            "must be >= 0."
        )
    for name, rows in {"target": target, **sources}.items():
        if not np.any(weight[rows] > 0):
            which = "the target" if name == "target" else f"source {name!r}"
            raise ValueError(
                f"sample_weight is zero on every row of {which}; "
                "give one of its rows a positive weight, or leave its rows out."
            )
    return Split(target, sources, weight)


def _check_distinct(known, source_rows):
    both = sorted(known.keys() & source_rows.keys())
    if both:
        raise ValueError(
            f"{both} name sources twice: as a key of `sources` and as a label in sample_domain; "
            "rename one of the two."
        )


def _check_forms(estimator, source_rows, takers):
    """Refuse forms of sources that the estimator does not take, and say which estimators do."""
    known = estimator.sources if isinstance(estimator.sources, Mapping) else {}
    forms = dict.fromkeys(source_rows, "rows")
    forms |= {f"sources[{name!r}]": form_of(source) for name, source in known.items()}
    for name, form in forms.items():
        if form is not None and form not in estimator.takes:
            others = " or ".join(takers(form)) or "no estimator yet"
            wanted = " or ".join(FORMS[each] for each in estimator.takes)
            raise TypeError(
                f"{name} comes as {FORMS[form]}, which {type(estimator).__name__} does not take; "
                f"give it {wanted}, or give the source to {others}."
            )


def check_arrays(estimator, X, y, sample_domain):
    """Return X and y as arrays; nan is allowed in X only."""
    refuse_pairs(X, y, sample_domain)
    X, y = validate_data(
        estimator,
        numeric_view(X),
        y,
        dtype=np.float64,
        ensure_all_finite="allow-nan",
        multi_output=True,
    )
    refuse_extremes(X, y if np.asarray(y).dtype.kind == "f" else np.zeros(1))
    return X, y


def refuse_pairs(*arguments):
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
