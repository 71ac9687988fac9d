"""Rows of all domains in the units of a family, and the options that concern them."""

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.utils.validation import validate_data

from skt._base import _check_weight
from skt.core import glm, row_choice
from skt.sources import split_domains

FAMILIES = {"linear": row_choice.GAUSSIAN, "logistic": glm.LOGISTIC, "poisson": glm.POISSON}
DISCREPANCIES = ("eb", "plugin")

# Outcomes with more different numbers are no classes, unless the user says so.
MAX_CLASSES = 20


class Domains(NamedTuple):
    """Rows of all domains as the family sees them."""

    family: str
    classes: np.ndarray | None
    names: list
    target_rows: np.ndarray
    source_rows: list
    rows: list  # of row_choice.Rows, target first
    response: np.ndarray | None = None  # in place of the target's outcomes in its fit


def split(X, y, sample_domain, sample_weight, family, target_response=None):
    """Return the rows of every domain in the family's units."""
    target_rows, source_rows = split_domains(sample_domain, len(X))
    weight = _check_weight(sample_weight, X, target_rows, source_rows)
    drawn = [rows[weight[rows] > 0] for rows in source_rows.values()]
    if not drawn:
        return Domains(family, None, [], target_rows, [], [])
    family = _family_of(y) if family == "auto" else family
    Y, classes = _response(y, family)
    present = weight[target_rows] > 0
    used = [target_rows[present], *drawn]
    counted = np.concatenate(used)
    Z = np.empty((len(X), X.shape[1] + 1))
    Z[counted] = row_choice.design(_imputed(X[counted]), weight[counted])
    origin = 0.0
    if family == "linear":
        origin = np.average(Y[used[0]], axis=0, weights=weight[used[0]])
    rows = [row_choice.Rows(Z[r], Y[r] - origin, weight[r]) for r in used]
    response = None if target_response is None else target_response[present] - origin
    return Domains(family, classes, list(source_rows), target_rows, drawn, rows, response)


def doubts_of_few_rows(target):
    """Return what to warn of where the target's rows cannot tell how sources differ from it."""
    if target.size >= 3 and np.ptp(target.Z, axis=0).any():
        return []
    few = f"The target's {target.size:g} row{'s' * (target.size > 1)}"
    return [
        f"{few} cannot tell slopes (fewer than three rows, or no feature varies), and so not which "
        "sources are like it: what is taken of them is hardly more than a guess. A few more "
        "target rows would let the sources be checked; or give discrepancy= what is known."
    ]


def warn(doubts, stacklevel):
    """Warn the caller of fit; a fit that is repeated on folds says it once."""
    for doubt in doubts:
        warnings.warn(doubt, UserWarning, stacklevel=stacklevel + 1)


def _imputed(X):
    if not np.isnan(X).any():
        return X
    return SimpleImputer(strategy="median", keep_empty_features=True).fit_transform(X)


def _family_of(y):
    """Return the family for outcomes of a kind."""
    if y.dtype.kind not in "iuf":
        return "logistic"
    whole = y.ndim == 1 and np.all(y == np.floor(y))
    return "logistic" if whole and len(np.unique(y)) <= MAX_CLASSES else "linear"


def _response(y, family):
    """Return outcomes as the family's responses (n, q), and the classes."""
    if family == "logistic":
        if y.ndim > 1:
            raise ValueError(
                f"y has {y.shape[1]} columns, but family='logistic' compares domains by one "
                "column of classes; choose family='linear' or 'poisson', or one column."
            )
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"y has one class only, {str(classes[0])!r}; there is nothing to learn."
            )
        return glm.indicators(codes, len(classes)), classes
    try:
        Y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"y must be numeric for family={family!r} ({error}); "
            "family='logistic' compares domains by classes."
        ) from error
    if family == "poisson" and np.any(Y < 0):
        raise ValueError(f"y must be >= 0 for family='poisson'; its least value is {Y.min():g}.")
    return Y, None


def discrepancy_of(discrepancy, measured, names):
    """Return M by a rule, or as given."""
    if isinstance(discrepancy, str):
        return row_choice.discrepancy_matrix(measured, discrepancy)
    M = np.asarray(discrepancy, dtype=np.float64)
    K = len(names)
    if M.shape != (K, K):
        raise ValueError(
            f"discrepancy has shape {M.shape} but there are {K} sources ({', '.join(names)}); "
            f"give an array of shape ({K}, {K}) in this order."
        )
    if not np.isfinite(M).all() or not np.allclose(M, M.T):
        raise ValueError("discrepancy must be finite and symmetric.")
    if np.linalg.eigvalsh(M)[0] < -1e-10 * max(np.trace(M), 1e-300):
        raise ValueError("discrepancy must be positive semi-definite; an eigenvalue is negative.")
    return M


def check_arrays(estimator, X, y):
    """Return X and y as arrays; nan is allowed in X only."""
    return validate_data(
        estimator, X, y, dtype=np.float64, ensure_all_finite="allow-nan", multi_output=True
    )


def is_number(value, kind):
    return isinstance(value, kind) and not isinstance(value, bool) and 0 <= value < np.inf


def check_option(name, value, options):
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}; got {value!r}.")
