"""What estimators warn of, one wording each, and how the caller of ``fit`` hears of it."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning


def warn(doubts, stacklevel=2):
    """Warn of each doubt, text or Warning, on behalf of a function ``stacklevel`` calls up.

    From ``fit`` itself that is its caller; a fit that is repeated on folds says a thing once.
    """
    for doubt in doubts:
        warnings.warn(doubt, stacklevel=stacklevel + 1)


def few_rows(n):
    """Return the subject of most doubts: the target's few rows."""
    return f"The target's {n:g} row{'s' * (n > 1)}"


def slopes_from_sources(n, because, instead):
    """Return the doubt of a target that cannot tell slopes where sources are all there is."""
    return f"{few_rows(n)} cannot tell slopes ({because}): {instead}"


def doubts_of_few_rows(target):
    """Return what to warn of where the target's rows cannot tell how sources differ from it."""
    if target.n >= 3 and np.ptp(target.X, axis=0).any():
        return []
    return [
        f"{few_rows(target.n)} cannot tell slopes (fewer than three rows, or no feature varies), "
        "and so not which sources are like it: what is taken of them is hardly more than a guess. "
        "A few more target rows would let the sources be checked; or give discrepancy= what is "
        "known."
    ]


def likelihood_not_maximised(search, otherwise=""):
    """Return the doubt of a likelihood whose maximisation did not end; none if it did."""
    if search.converged:
        return []
    return [
        ConvergenceWarning(
            f"The likelihood of the variances was not maximised after {search.n_iter} steps: no "
            "step raises it, and its slope is not zero. Weights may be off; check for outliers, or "
            f"for columns that are nearly collinear in every domain{otherwise}."
        )
    ]
