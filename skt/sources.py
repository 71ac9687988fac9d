"""Where the rows come from: the domain convention, and every form of a source.

Rows of several domains are stacked and labelled by `sample_domain`: integers below 0 or
the string "target" mark the target, every other label is the name of a source. What is
known of a source without its rows is a `Moments`, a `SourceModel`, or a fitted linear
model inside scikit-learn's `FrozenEstimator`.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from itertools import starmap

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from skt.core.moments import Moments, read_only

__all__ = [
    "Moments",
    "SourceModel",
    "UnitsWarning",
    "as_sample_domain",
    "check_sources",
    "split_domains",
    "stack_domains",
]

TARGET = "target"

CONVENTION = (
    f"Target rows are marked by the string {TARGET!r} or by an integer below 0, source rows by "
    "any other label of the same type; as_sample_domain(labels, target=...) makes such labels "
    "from any column."
)

# Rows and directions on which a frozen model must be affine, and how nearly.
CHECK_ROWS = 256
AFFINE_TOL = 1e-6

# A column whose standard deviations differ by this factor is in other units.
UNITS_FACTOR = 100.0
# So are all columns if in half of them, besides this factor, the means differ by this number of
# standard deviations: one column may hold what tells the domains apart, such as a year, not half
# of them. Between groups of nine real tables they never do (tests/test_loaders.py).
HALF_FACTOR, HALF_SHIFT = 2.0, 2.0
# Fewer columns have no half that means anything.
LEAST_COLUMNS = 5


class UnitsWarning(UserWarning):
    """Columns of a source differ so much from the target's that units must differ."""


# ---------------------------------------------------------------------------------------
# Labels
# ---------------------------------------------------------------------------------------


def as_sample_domain(labels, *, target):
    """Labels of any kind as `sample_domain`: "target" for the target, else the label.

    Labels are compared by their spelling, so that 1, 1.0 and "1" are the same label.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        A column of strings, integers, booleans or categories; left unchanged.
    target : label or list of labels
        The label of the target rows; rows of any label in a list are target rows.

    Returns
    -------
    sample_domain : ndarray of str of shape (n_samples,)
        What every estimator of the package takes as `sample_domain`.

    Examples
    --------
    >>> from skt.sources import as_sample_domain
    >>> as_sample_domain(["FR", "DE", "FR", "IT"], target="FR").tolist()
    ['target', 'DE', 'target', 'IT']
    """
    labels = _label_list(labels)
    n_missing = sum(map(_is_missing, labels))
    if n_missing:
        raise ValueError(
            f"labels has {n_missing} missing values among {len(labels)}; expected the domain of "
            "every row. Drop these rows, or give them a label of their own."
        )
    names = np.array([_spelling(label) for label in labels], dtype=str)
    existing = dict.fromkeys(names.tolist())
    targets = {_spelling(label) for label in _as_list(target)}
    for name in sorted(targets):
        _check_exists(name, existing)
    if TARGET in existing and TARGET not in targets:
        raise ValueError(
            f"labels has a source that is itself called {TARGET!r} while the target is "
            f"{_listing(sorted(targets))}; rename that source first."
        )
    return np.where(np.isin(names, list(targets)), TARGET, names)


def split_domains(sample_domain, n_samples):
    """Rows of the target and of every source.

    Parameters
    ----------
    sample_domain : array-like of shape (n_samples,) or None
        Integers: below 0 is the target, others name a source. Strings: "target" is the
        target, others name a source. None: every row is a target row.
    n_samples : int
        Number of rows of X.

    Returns
    -------
    target_rows : ndarray of int64
        Rows of the target, ascending.
    source_rows : dict of str to ndarray of int64
        Rows of every source, ascending; sources in the order of their labels.

    Examples
    --------
    >>> from skt.sources import split_domains
    >>> target_rows, source_rows = split_domains([-1, 0, -1, 10, 2, 0], 6)
    >>> target_rows.tolist(), {name: rows.tolist() for name, rows in source_rows.items()}
    ([0, 2], {'0': [1, 5], '2': [4], '10': [3]})
    """
    if sample_domain is None:
        return np.arange(n_samples, dtype=np.int64), {}
    labels, codes = _coded(_domain_array(sample_domain, n_samples))
    # One stable sort groups the rows of every label and keeps them ascending.
    order = np.argsort(codes, kind="stable").astype(np.int64, copy=False)
    groups = np.split(order, np.cumsum(np.bincount(codes, minlength=len(labels)))[:-1])
    is_target = [label == TARGET if isinstance(label, str) else label < 0 for label in labels]
    if not any(is_target):
        raise ValueError(
            f"sample_domain has no target row; it holds {_listing(labels)}. {CONVENTION}"
        )
    targets = [rows for rows, mine in zip(groups, is_target, strict=True) if mine]
    source_rows = {
        str(label): rows
        for label, rows, mine in zip(labels, groups, is_target, strict=True)
        if not mine
    }
    return np.sort(np.concatenate(targets)), source_rows


def _label_list(labels):
    """Labels as Python objects; None or NaN for missing ones."""
    if isinstance(labels, str) or len(getattr(labels, "shape", (0,))) != 1:
        raise ValueError(
            f"labels is a {type(labels).__name__}; expected one column: one label per row."
        )
    for method in ("tolist", "to_list", "to_pylist"):
        if hasattr(labels, method):
            return getattr(labels, method)()
    return list(labels)


def _is_missing(label):
    try:
        return label is None or bool(label != label)
    except TypeError:  # pandas.NA compares to NA, which is neither true nor false
        return True


def _spelling(label):
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)


def _as_list(target):
    many = isinstance(target, list | tuple | set | frozenset | np.ndarray)
    if many and len(target) == 0:
        raise ValueError("target is an empty list; expected the label of the target rows.")
    return list(target) if many else [target]


def _check_exists(name, existing):
    if name in existing:
        return
    close = get_close_matches(name, existing, n=3)
    hint = f"; did you mean {_listing(close)}?" if close else "."
    raise ValueError(
        f"target {name!r} is not among the labels{hint} They are {_listing(existing)}."
    )


def _listing(labels, limit=10):
    """Up to `limit` labels, quoted, and how many more there are."""
    labels = list(labels)
    more = f" and {len(labels) - limit} more" if len(labels) > limit else ""
    return ", ".join(map(repr, labels[:limit])) + more


def _domain_array(sample_domain, n_samples):
    """One-dimensional array of int64 or str, of the length of X."""
    if isinstance(sample_domain, list | tuple):  # numpy would spell [1, "a"] as strings
        sample_domain = np.array(sample_domain, dtype=object)
    labels = np.asarray(sample_domain)
    if labels.ndim != 1:
        raise ValueError(
            f"sample_domain has shape {labels.shape}; expected one label per row: ({n_samples},)."
        )
    if len(labels) != n_samples:
        raise ValueError(
            f"sample_domain has {len(labels)} labels but X has {n_samples} rows; expected one "
            "label per row."
        )
    if labels.dtype.kind == "O":
        labels = _typed(labels)
    return _integers(labels) if labels.dtype.kind == "f" else _integers_or_strings(labels)


def _typed(labels):
    """Objects as an array of their common type, if strings or numbers are what they are."""
    missing = sum(map(_is_missing, labels.tolist()))
    if missing:
        raise ValueError(f"sample_domain has {missing} missing labels. {CONVENTION}")
    kinds = set(map(type, labels.tolist()))
    if all(issubclass(kind, str) for kind in kinds):
        return labels.astype(str)
    if all(issubclass(kind, int | float | np.number) and kind is not bool for kind in kinds):
        return labels.astype(np.float64 if any(issubclass(k, float) for k in kinds) else np.int64)
    names = _listing(sorted(kind.__name__ for kind in kinds))
    raise ValueError(f"sample_domain holds labels of type {names}. {CONVENTION}")


def _integers(labels):
    if not np.isfinite(labels).all():
        missing = np.count_nonzero(~np.isfinite(labels))
        raise ValueError(f"sample_domain has {missing} missing labels. {CONVENTION}")
    if (labels != np.floor(labels)).any():
        example = labels[labels != np.floor(labels)][0]
        raise ValueError(f"sample_domain holds {example}, which is no integer. {CONVENTION}")
    return labels.astype(np.int64)


def _integers_or_strings(labels):
    if labels.dtype.kind not in "iuUT":
        raise ValueError(f"sample_domain holds labels of type {labels.dtype}. {CONVENTION}")
    return labels


def _coded(labels):
    """Sorted distinct labels, and the position of every row's label among them."""
    if labels.dtype.kind in "iu":
        distinct, codes = np.unique(labels, return_inverse=True)
        return distinct.tolist(), codes
    # Hashing strings is several times faster than sorting them.
    rows = labels.tolist()
    distinct = sorted(set(rows))
    code = {label: i for i, label in enumerate(distinct)}
    return distinct, np.fromiter(map(code.__getitem__, rows), dtype=np.intp, count=len(rows))


# ---------------------------------------------------------------------------------------
# Stacking
# ---------------------------------------------------------------------------------------


def stack_domains(target, sources):
    """Stack the rows of the target and of named sources, and label them.

    Parameters
    ----------
    target : tuple (X, y)
        Rows of the target: arrays, or pandas or polars tables.
    sources : mapping of str to tuple (X, y)
        Rows of every source, with the columns of the target.

    Returns
    -------
    X, y : of the kind that came in
        All rows, those of the target first.
    sample_domain : ndarray of str
        "target", or the name of the source, for every row.

    Examples
    --------
    >>> import numpy as np
    >>> from skt.sources import stack_domains
    >>> X, y, sample_domain = stack_domains(
    ...     (np.ones((1, 2)), np.ones(1)), {"DE": (np.zeros((2, 2)), np.zeros(2))}
    ... )
    >>> X.shape, sample_domain.tolist()
    ((3, 2), ['target', 'DE', 'DE'])
    """
    if not isinstance(sources, Mapping):
        raise TypeError(
            f"sources is a {type(sources).__name__}; expected a mapping from the name of every "
            "source to its (X, y)."
        )
    names = _source_names(sources)
    calls = ["target", *(f"sources[{name!r}]" for name in sources)]
    pairs = list(starmap(_check_pair, zip(calls, [target, *sources.values()], strict=True)))
    for call, (X, y) in zip(calls[1:], pairs[1:], strict=True):
        _check_same_columns(f"{call}[0]", X, "target[0]", pairs[0][0])
        _check_same_columns(f"{call}[1]", y, "target[1]", pairs[0][1])
    Xs, ys = zip(*pairs, strict=True)
    counts = [len(y) for y in ys]
    return _concatenate(Xs), _concatenate(ys), np.repeat([TARGET, *names], counts)


def _source_names(sources):
    """Names as strings, none of them reserved or met twice."""
    names = list(map(str, sources))
    if TARGET in names:
        raise ValueError(
            f"sources has a source called {TARGET!r}, which marks the target; rename it."
        )
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ValueError(f"sources has several names that are spelled {twice[0]!r}; rename one.")
    return names


def _check_pair(call, pair):
    """(X, y) as tables or arrays, of the same length."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(f"{call} is a {type(pair).__name__}; expected a pair (X, y).")
    X, y = (part if _library(part) != "numpy" else np.asarray(part) for part in pair)
    if len(X) != len(y):
        raise ValueError(f"{call} has {len(X)} rows in X but {len(y)} in y; expected as many.")
    return X, y


def _library(values):
    root = type(values).__module__.partition(".")[0]
    return root if root in ("pandas", "polars") else "numpy"


def _check_same_columns(call, values, target_call, target):
    kinds = _library(values), _library(target)
    if kinds[0] != kinds[1] or len(values.shape) != len(target.shape):
        raise TypeError(
            f"{call} is a {len(values.shape)}-dimensional {type(values).__name__} but "
            f"{target_call} a {len(target.shape)}-dimensional {type(target).__name__}; expected "
            "the same kind, so that they can be stacked."
        )
    if len(target.shape) < 2:
        return
    if hasattr(target, "columns"):
        _check_names(call, list(values.columns), target_call, list(target.columns))
    elif values.shape[1] != target.shape[1]:
        raise ValueError(
            f"{call} has {values.shape[1]} columns but {target_call} has {target.shape[1]}; "
            "select the same columns first."
        )


def _check_names(call, names, target_call, target_names):
    if names == target_names:
        return
    missing = [name for name in target_names if name not in set(names)]
    unexpected = [name for name in names if name not in set(target_names)]
    parts = [
        f"{what} {_listing(which)}"
        for what, which in (("it lacks", missing), ("it also has", unexpected))
        if which
    ]
    difference = " and ".join(parts) or "they are the same, in another order"
    raise ValueError(
        f"{call} has other columns than {target_call}: {difference}. Select the same columns, in "
        "the same order, first."
    )


def _concatenate(parts):
    library = _library(parts[0])
    if library == "pandas":
        import pandas as pd

        return pd.concat(parts, ignore_index=True)
    if library == "polars":
        import polars as pl

        if len(parts[0].shape) == 1:  # only tables of unequal dtypes are concatenated
            return _concatenate([part.rename("").to_frame() for part in parts]).to_series()
        return pl.concat(parts, how="vertical_relaxed")
    return np.concatenate(parts)


# ---------------------------------------------------------------------------------------
# Sources without rows
# ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class SourceModel:
    """A linear model as a source: its coefficients, and what is known of their errors.

    Immutable, and the same object after `sklearn.base.clone`.

    Parameters
    ----------
    coef : array of shape (n_features,) or (n_targets, n_features)
        Coefficients, in the units of the target's features.
    intercept : float or array of shape (n_targets,), default=0.0
        Intercept. Intercepts are not transferred; it only completes the model.
    n_samples : int, optional
        Number of rows the model was fitted on; None if unknown.
    covariance : array of shape (n_features, n_features), optional
        Sampling covariance matrix of the coefficients (R's ``vcov`` without the
        intercept); for one target.
    noise_variance : float or array of shape (n_targets,), optional
        Variance of the residuals.
    feature_names : sequence of str, optional
        Names of the features.

    Examples
    --------
    >>> from skt.sources import SourceModel
    >>> SourceModel([0.5, -1.0], n_samples=400)
    SourceModel(n_features=2, n_targets=1, n_samples=400)
    """

    coef: np.ndarray
    intercept: float | np.ndarray = 0.0
    n_samples: int | None = None
    covariance: np.ndarray | None = None
    noise_variance: float | np.ndarray | None = None
    feature_names: tuple[str, ...] | None = None

    def __post_init__(self):
        coef = read_only(self.coef, "coef")
        if coef.ndim not in (1, 2) or coef.size == 0:
            raise ValueError(
                f"coef has shape {coef.shape}; expected (n_features,) or (n_targets, n_features)."
            )
        checked = {
            "coef": coef,
            "intercept": _per_target("intercept", self.intercept, coef),
            "n_samples": _check_count(self.n_samples),
            "covariance": _check_covariance(self.covariance, coef),
            "noise_variance": _check_variance(self.noise_variance, coef),
            "feature_names": _check_feature_names(self.feature_names, coef),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def n_features(self):
        """Number of features."""
        return self.coef.shape[-1]

    @property
    def n_targets(self):
        """Number of targets."""
        return 1 if self.coef.ndim == 1 else len(self.coef)

    def __repr__(self):
        return (
            f"{type(self).__name__}(n_features={self.n_features}, n_targets={self.n_targets}, "
            f"n_samples={self.n_samples})"
        )

    def __sklearn_clone__(self):
        return self

    # Through the constructor: unpickled arrays would be writeable.
    def __reduce__(self):
        return type(self), tuple(getattr(self, field.name) for field in fields(self))


def _per_target(name, values, coef):
    """A float for coef of shape (n_features,), else a read-only array (n_targets,)."""
    shape = coef.shape[:-1]
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in ((), (1,), shape):
        raise ValueError(f"{name} has shape {array.shape}; expected a number or shape {shape}.")
    array = read_only(np.broadcast_to(array.ravel() if shape else array.reshape(()), shape), name)
    return array if shape else float(array)


def _check_count(n_samples):
    if n_samples is None:
        return None
    if int(n_samples) != n_samples or n_samples < 1:
        raise ValueError(f"n_samples is {n_samples}; expected a number of rows, or None.")
    return int(n_samples)


def _check_covariance(covariance, coef):
    if covariance is None:
        return None
    if coef.size != coef.shape[-1]:
        raise ValueError(
            f"covariance describes the coefficients of one target but coef has {len(coef)} "
            "targets; leave it out, or give one SourceModel per target."
        )
    C = read_only(covariance, "covariance", (coef.size, coef.size))
    tol = 1e-8 * np.abs(C).max()
    if np.abs(C - C.T).max() > tol:
        raise ValueError("covariance is not symmetric; expected the covariances of coef.")
    if np.linalg.eigvalsh(C)[0] < -tol:
        raise ValueError(
            "covariance has a negative eigenvalue; expected the sampling covariance matrix of "
            "coef, as R's vcov gives it."
        )
    return C


def _check_variance(noise_variance, coef):
    if noise_variance is None:
        return None
    variance = _per_target("noise_variance", noise_variance, coef)
    if np.min(variance) <= 0:
        raise ValueError(f"noise_variance is {noise_variance}; expected positive numbers, or None.")
    return variance


def _check_feature_names(feature_names, coef):
    if feature_names is None:
        return None
    names = tuple(map(str, feature_names))
    if len(names) != coef.shape[-1]:
        raise ValueError(
            f"feature_names has {len(names)} names but coef has {coef.shape[-1]} features."
        )
    return names


# ---------------------------------------------------------------------------------------
# The parameter `sources` of an estimator
# ---------------------------------------------------------------------------------------

ACCEPTED = "Moments, a SourceModel or a FrozenEstimator holding a fitted linear model"


def check_sources(sources, X, *, n_targets, feature_names=None, classes=None):
    """Validate the parameter `sources` of an estimator against the rows of the target.

    Parameters
    ----------
    sources : None or mapping of str to Moments, SourceModel or FrozenEstimator
        As the user gave it; left unchanged.
    X : ndarray of float of shape (n_samples, n_features)
        Features of the target rows.
    n_targets : int
        Number of columns of y.
    feature_names : sequence of str, optional
        Names of the features of the target.
    classes : ndarray, optional
        Classes of the target, if the estimator is a classifier: frozen estimators are then
        classifiers of these classes, whose decision function is linear in X.

    Returns
    -------
    dict of str to Moments or SourceModel
        In the order of `sources`; frozen estimators as a SourceModel.
    """
    if sources is None:
        return {}
    if not isinstance(sources, Mapping):
        raise TypeError(_not_a_mapping(sources))
    return {
        name: _check_source(f"sources[{key!r}]", source, X, n_targets, feature_names, classes)
        for name, (key, source) in zip(_source_names(sources), sources.items(), strict=True)
    }


def _check_source(call, source, X, n_targets, feature_names, classes=None):
    if isinstance(source, FrozenEstimator):
        source = _as_source_model(call, source.estimator, X, feature_names, classes)
    if not isinstance(source, Moments | SourceModel):
        raise TypeError(_refusal(call, source))
    _check_not_transposed(call, source, X.shape[1], n_targets)
    _check_features(call, source.n_features, source.feature_names, X.shape[1], feature_names)
    if classes is not None:
        _check_class_source(call, source, classes, n_targets)
    if source.n_targets != n_targets:
        raise ValueError(
            f"{call} has {source.n_targets} targets but y has {n_targets}; fit the source on the "
            "same targets, or select them first."
        )
    if isinstance(source, Moments):
        _warn_of_units(call, source, X)
    return source


def _check_class_source(call, source, classes, n_targets):
    if isinstance(source, Moments):
        raise TypeError(
            f"{call} is Moments, which do not tell what a classifier needs; give the source as "
            "rows, as a SourceModel or as a FrozenEstimator of a linear classifier."
        )
    if source.n_targets != n_targets:
        raise ValueError(
            f"{call} has coef for {source.n_targets} outputs but there are {len(classes)} "
            f"classes; expected {n_targets}: one row for each class, in the order of classes_, "
            "or a single one for two classes."
        )


def _check_not_transposed(call, source, n_features, n_targets):
    """Refuse coefficients of several outputs that stand on their side."""
    if isinstance(source, SourceModel) and n_features != n_targets > 1:
        shape, wanted = source.coef.shape, (n_targets, n_features)
        if shape == wanted[::-1]:
            raise ValueError(
                f"{call} has coefficients of shape {shape}, but (n_targets, n_features) = {wanted} "
                "is expected; transpose them."
            )


def _not_a_mapping(sources):
    kind = type(sources).__name__
    if isinstance(sources, list | tuple) and any(map(_is_pair, sources)):
        return f"sources is a {kind} of (X, y) pairs. {_ROWS_ARE_DATA}"
    return f"sources is a {kind}; expected a mapping from names to sources, each {ACCEPTED}."


_ROWS_ARE_DATA = (
    "Rows are data, not a parameter: X, y, sample_domain = stack_domains((X, y), {name: (X_source, "
    "y_source)}), then fit(X, y, sample_domain=sample_domain); or give "
    "Moments.from_data(X_source, y_source)."
)


def _is_pair(value):
    return isinstance(value, tuple | list) and len(value) in (2, 3)


def _refusal(call, source):
    if isinstance(source, type):
        return f"{call} is the class {source.__name__}; expected {ACCEPTED}."
    kind = type(source).__name__
    if isinstance(source, BaseEstimator) or (hasattr(source, "fit") and hasattr(source, "predict")):
        article = "an" if kind[0] in "AEIOU" else "a"
        return (
            f"{call} is {article} {kind}; scikit-learn's clone would unfit it. Wrap it: "
            "FrozenEstimator(model)."
        )
    if _is_pair(source):
        return f"{call} is a pair (X, y). {_ROWS_ARE_DATA}"
    return f"{call} is a {kind}; expected {ACCEPTED}."


def _check_features(call, n_features, names, n_features_target, target_names):
    if names is not None and target_names is not None:
        _check_names(call, list(names), "X", list(target_names))
    if n_features != n_features_target:
        raise ValueError(
            f"{call} has {n_features} features but X has {n_features_target}; fit the source on "
            "the same columns, or select them first."
        )


def _warn_of_units(call, source, X):
    trouble = _columns_in_other_units(source, X) or _table_in_other_units(source, X)
    if trouble:
        warnings.warn(
            f"{call} seems to be in other units than X: {trouble}. Bring it to the units of X with "
            "Moments.rescale(shift, scale); behind a fitted StandardScaler: "
            "source.rescale(scaler.mean_, scaler.scale_).",
            UnitsWarning,
            stacklevel=4,
        )


def _columns_in_other_units(source, X):
    """Return what is said of columns that vary far more, or less, than the target's."""
    ratio, varies = _scale_ratio(source.scale_X, X)
    strange = np.flatnonzero(varies & ((ratio > UNITS_FACTOR) | (ratio < 1 / UNITS_FACTOR)))
    if strange.size == 0:
        return ""
    columns = strange if source.feature_names is None else np.array(source.feature_names)[strange]
    factors = ", ".join(
        f"{column!r} (factor {factor:.3g})"
        for column, factor in zip(columns[:3].tolist(), ratio[strange[:3]], strict=True)
    )
    more = f" and {strange.size - 3} more" if strange.size > 3 else ""
    return f"the standard deviations differ in column {factors}{more}"


def _table_in_other_units(source, X):
    """Return what is said where half of the columns lie and vary elsewhere than the target's."""
    ratio, varies = _scale_ratio(source.scale_X, X)
    if np.sum(varies) < LEAST_COLUMNS:
        return ""
    distance = np.abs(source.mean_X - X.mean(axis=0))[varies]
    shift = np.median(distance / np.maximum(source.scale_X, X.std(axis=0))[varies])
    factor = np.exp(np.median(np.abs(np.log(ratio[varies]))))
    if shift < HALF_SHIFT or factor < HALF_FACTOR:
        return ""
    return (
        f"the means of half of the columns differ by {shift:.2g} standard deviations or more, and "
        f"the standard deviations of half by a factor of {factor:.2g} or more"
    )


def _scale_ratio(scale, X):
    """Standard deviations of source over target, and where neither is constant to rounding."""
    target_scale = X.std(axis=0)
    rounding = 16 * np.finfo(np.float64).eps * np.abs(X).max(axis=0)
    varies = (scale > 0) & (target_scale > rounding)
    return np.divide(scale, target_scale, out=np.ones(len(scale)), where=varies), varies


# ---------------------------------------------------------------------------------------
# Frozen estimators
# ---------------------------------------------------------------------------------------


def _as_source_model(call, model, X, feature_names, classes=None):
    """Coefficients of a fitted model whose prediction, or decision function, is affine in X."""
    _check_fitted(call, model)
    if classes is None:
        _check_regressor(call, model)
    else:
        _check_classifier(call, model, classes)
    score = model.predict if classes is None else model.decision_function
    names = getattr(model, "feature_names_in_", None)
    n_features = getattr(model, "n_features_in_", X.shape[1])
    _check_features(call, n_features, names, X.shape[1], feature_names)
    _warn_of_scaler(call, model, X)

    def predict(rows):
        table = rows if names is None else _table(rows, names)
        return np.asarray(score(table), dtype=np.float64)

    coef, intercept = _affine(predict, model, X)
    if coef is None:
        raise ValueError(
            f"{call} holds a {type(model).__name__} whose prediction is not linear in X; only "
            "linear models (and pipelines of linear steps) can be a source here."
        )
    return SourceModel(coef, intercept, feature_names=names)


def _warn_of_scaler(call, model, X):
    """Warn where the scaler in front of a frozen model saw columns in other units than X."""
    scaler = model[0] if isinstance(model, Pipeline) else None
    if not isinstance(scaler, StandardScaler) or scaler.scale_ is None:
        return
    spread = X.std(axis=0)
    varies = (scaler.var_ > 0) & (spread > 16 * np.finfo(np.float64).eps * np.abs(X).max(axis=0))
    ratio = np.divide(scaler.scale_, spread, out=np.ones(len(spread)), where=varies)
    worst = int(np.argmax(np.abs(np.log(ratio))))
    if 1 / UNITS_FACTOR <= ratio[worst] <= UNITS_FACTOR:
        return
    names = getattr(model, "feature_names_in_", range(len(ratio)))
    warnings.warn(
        f"{call} holds a pipeline whose StandardScaler knows other units than those of X: the "
        f"standard deviations of column {names[worst]!r} differ by a factor of "
        f"{ratio[worst]:.3g}. If X was scaled already, freeze a model that was fitted behind the "
        "same scaler; else give X in the units that the pipeline was fitted on.",
        UnitsWarning,
        stacklevel=5,
    )


def _check_fitted(call, model):
    kind = type(model).__name__
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise NotFittedError(
            f"{call} holds a {kind} that is not fitted; fit it first: "
            "FrozenEstimator(model.fit(X_source, y_source))."
        ) from error


def _check_classifier(call, model, classes):
    if not is_classifier(model) or not hasattr(model, "decision_function"):
        raise TypeError(
            f"{call} holds a {type(model).__name__}; only classifiers with a decision function "
            "that is linear in X, such as LogisticRegression, can be a source here."
        )
    if not np.array_equal(model.classes_, classes):
        raise ValueError(
            f"{call} knows the classes {_listing(model.classes_)} but the target has "
            f"{_listing(classes)}; fit the source on the same classes, or leave it out."
        )


def _check_regressor(call, model):
    if is_classifier(model) or not hasattr(model, "predict"):
        raise TypeError(
            f"{call} holds a {type(model).__name__}; only regressors that are linear in X can be "
            "a source here."
        )


def _affine(predict, model, X):
    """(coef, intercept) of an affine `predict`; (None, None) if it is not affine."""
    center, step = X.mean(axis=0, dtype=np.float64), _steps(X)
    check = _check_points(X, center, step)
    with np.errstate(all="ignore"):  # a link function may overflow beyond the rows of X
        wanted = predict(check)
        for coef, intercept in (_stated(model, wanted), _probed(predict, center, step)):
            # A stated coef_ may mean something else: PLS centres X, Poisson has a link.
            if coef is not None and _agrees(check @ coef.T + intercept, wanted):
                return coef, intercept
    return None, None


def _agrees(predicted, wanted):
    error, size = np.abs(predicted - wanted).max(), np.abs(wanted).max()
    return np.isfinite(size) and error <= AFFINE_TOL * size


def _steps(X):
    scale = X.std(axis=0, dtype=np.float64)
    return np.where(scale > 0, scale, 1.0)


def _check_points(X, center, step):
    """Some rows of X, and points beyond them, where a bend would show."""
    rows = X[np.linspace(0, len(X) - 1, min(len(X), CHECK_ROWS)).astype(int)]
    across = step * np.where(np.arange(len(step)) % 2, 1.0, -1.0)
    beyond = np.outer([2.0, -2.0], step), np.outer([3.0, -3.0, -0.5], across)
    return np.vstack([rows, *(center + move for move in beyond)])


def _stated(model, wanted):
    """`coef_` and `intercept_` as the model states them."""
    coef, intercept = getattr(model, "coef_", None), getattr(model, "intercept_", None)
    if coef is None or intercept is None:
        return None, None
    coef, intercept = np.asarray(coef, dtype=np.float64), np.asarray(intercept, dtype=np.float64)
    if wanted.ndim == 1:
        if coef.size != coef.shape[-1] or intercept.size != 1:
            return None, None
        return coef.ravel(), float(intercept.reshape(()))
    return (coef, intercept) if coef.ndim == 2 else (None, None)


def _probed(predict, center, step):
    """Coefficients from the predictions at the centre and one step along every feature."""
    base = predict(center[None])[0]
    moved = predict(center + np.diag(step))
    slopes = (moved - base).T / step
    return slopes, base - slopes @ center


def _table(rows, names):
    """A table, as the model was fitted on one; with whichever library is there."""
    try:
        import pandas as pd
    except ImportError:
        import polars as pl

        return pl.DataFrame(rows, schema=list(names))
    return pd.DataFrame(rows, columns=names)
