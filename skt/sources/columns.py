"""Columns of any kind as standardised numbers: learnt from the rows of a fit, kept for others.

Members of an ensemble see one table. Missing numbers are medians, marked in a column of their own;
text and categories are one column for each frequent category. `numeric_view` does without what is
kept, since it only compares domains once.
"""

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skt.sources.numeric_view import MOST_CATEGORIES, _kind, _numbers, _times

__all__ = ["Columns", "holds_text"]


def holds_text(X):
    """Whether X is a data frame with columns that are no numbers."""
    is_frame = hasattr(X, "columns") and hasattr(X, "iloc")
    return is_frame and any(_kind(X[name]) != "number" for name in X.columns)


class Columns:
    """The preparation of columns, learnt from rows.

    Parameters
    ----------
    X : ndarray of floats, or data frame with columns of any kind
        Rows of all domains.
    weight : ndarray of shape (n_samples,) or None
        Their weights, which count for means and standard deviations.
    """

    def __init__(self, X, weight=None):
        self._kinds = {name: _kind(X[name]) for name in X.columns} if holds_text(X) else None
        self._numbers = SimpleImputer(
            strategy="median", add_indicator=True, keep_empty_features=True
        )
        self._text = OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            max_categories=MOST_CATEGORIES + 1,
            sparse_output=False,
        )
        numbers, text = self._split(X)
        self._numbers.fit(numbers)
        if text is not None:
            self._text.fit(text)
        self._scaler = StandardScaler().fit(self.plain(X), sample_weight=weight)

    def plain(self, X):
        """Return rows as finite numbers, in units of their own."""
        numbers, text = self._split(X)
        filled = self._numbers.transform(numbers)
        return filled if text is None else np.hstack([filled, self._text.transform(text)])

    def standardised(self, X):
        """Return rows as numbers in standard deviations of the rows learnt from."""
        return self._scaler.transform(self.plain(X))

    def _split(self, X):
        """Return numbers, and text or None."""
        if self._kinds is None:
            return np.asarray(X, dtype=float), None
        numbers = [
            _NUMERIC[kind](X[name]) for name, kind in self._kinds.items() if kind in _NUMERIC
        ]
        text = [_spelt(X[name]) for name, kind in self._kinds.items() if kind not in _NUMERIC]
        n = len(X)
        return (
            np.column_stack(numbers) if numbers else np.zeros((n, 1)),
            np.column_stack(text) if text else None,
        )


def _spelt(column):
    """Return categories as text, a missing one as a category of its own."""
    return column.astype(object).where(column.notna(), "").map(str).to_numpy(dtype=object)


_NUMERIC = {"number": _numbers, "time": _times}
