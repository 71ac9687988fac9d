"""What several estimators allow as values of their parameters, and checks of values with data.

A class declares its ``_parameter_constraints`` with these; rules that join parameters are its own.
"""

from numbers import Integral, Real

import numpy as np

from skt._sklearn import Interval, StrOptions
from skt.core import evidence
from skt.sources.family_rows import FAMILIES

AUTO = StrOptions({"auto"})
COUNT = Interval(Integral, 0, None, closed="left")
NONNEGATIVE = Interval(Real, 0, None, closed="left")
PENALTY = Interval(Real, 0, None, closed="both")  # infinity is a limit of its own
POSITIVE = Interval(Real, 0, None, closed="neither")
SHARE = Interval(Real, 0, 1, closed="both")
NUMBER = Interval(Real, None, None, closed="neither")
FOLDS = [Interval(Integral, 2, None, closed="left"), "cv_object"]
FAMILY = [StrOptions({"auto", *FAMILIES})]
DISCREPANCY = [StrOptions({"eb", "plugin"}), "array-like"]


def check_coverage(coverage):
    """Refuse what is no probability."""
    if not (isinstance(coverage, Real) and 0 < coverage < 1):
        raise ValueError(f"coverage must be a number between 0 and 1; got {coverage!r}.")


def is_auto(value):
    """Whether a value is the word "auto"."""
    return isinstance(value, str) and value == "auto"


def given_weights(weights, names):
    """Return the weight of one row of each source as an array, or the name of a rule."""
    if isinstance(weights, str):
        return weights
    if isinstance(weights, dict):
        raise TypeError(
            "weights is a dict; give an array of one weight per source, in the order of "
            f"source_names_: {', '.join(names)}."
        )
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (len(names),):
        raise ValueError(
            f"weights has shape {weights.shape} but there are {len(names)} sources "
            f"({', '.join(names)}); give one weight per source, in this order."
        )
    if not np.all(np.isfinite(weights) & (weights >= 0)):
        raise ValueError(f"weights must be finite and >= 0; got {weights}.")
    return weights


def discrepancy_of(discrepancy, measured, names):
    """Return M by a rule, or as given."""
    if isinstance(discrepancy, str):
        return evidence.discrepancy_matrix(measured, discrepancy)
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
