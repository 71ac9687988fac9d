"""The parameter `sources` of an estimator, checked against the target."""

import warnings
from collections.abc import Mapping

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from skt.core.moments import Moments, check_possible
from skt.sources.forms import SourceModel
from skt.sources.frozen import UNITS_FACTOR, UnitsWarning, _as_source_model, _check_features
from skt.sources.labels import _source_names

__all__ = ["check_sources"]
# So are all columns if in half of them, besides this factor, the means differ by this number of
# standard deviations: one column may hold what tells the domains apart, such as a year, not half
# of them. Between groups of nine real tables they never do (tests/test_loaders.py).
HALF_FACTOR, HALF_SHIFT = 2.0, 2.0
# Fewer columns have no half that means anything.
LEAST_COLUMNS = 5


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
        try:
            check_possible(source)
        except ValueError as error:
            raise ValueError(f"{call}: {error}") from error
        _warn_of_units(call, source, X)
    return source


def _check_class_source(call, source, classes, n_targets):
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
