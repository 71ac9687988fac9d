"""Folds for transfer learning: every source row trains, only target rows validate."""

from collections.abc import Iterator

import numpy as np
from sklearn.model_selection import BaseCrossValidator, check_cv

from skt._sklearn import num_samples, safe_indexing
from skt.sources.labels import split_domains

__all__ = ["TargetCV"]

NO_DOMAIN = (
    "TargetCV needs sample_domain to tell target rows from source rows, and none reached it. "
    "Either write cv=list(TargetCV(5).split(X, y, sample_domain=d)), or call "
    "sklearn.set_config(enable_metadata_routing=True) once and pass sample_domain=d to fit."
)


class TargetCV(BaseCrossValidator):
    """Cross-validation on the target's rows alone; source rows are in every training set.

    Ordinary folds of stacked rows would score the sources too, and so choose what is best
    for them.

    Parameters
    ----------
    cv : int, splitter or iterable of (train, test), default=5
        How to split the target's rows: that many folds without shuffling, any splitter
        of scikit-learn, or splits whose indices count target rows only.

    Examples
    --------
    >>> import numpy as np
    >>> from skt.model_selection import TargetCV
    >>> d = np.array(["target", "DE", "target", "DE"])
    >>> for train, test in TargetCV(2).split(np.zeros((4, 1)), sample_domain=d):
    ...     print(train, test)
    [1 2 3] [0]
    [0 1 3] [2]
    """

    # Requested without set_split_request, so that one line of configuration is enough.
    __metadata_request__split = {"sample_domain": True, "groups": True}

    def __init__(self, cv=5):
        # Splits that come from an iterator could be used only once.
        self.cv = list(cv) if isinstance(cv, Iterator) else cv
        check_cv(self.cv)  # a wrong cv is reported here, where it is given

    def split(self, X, y=None, groups=None, sample_domain=None):
        """Yield the row indices of every training and test set.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of all domains, stacked.
        y : array-like of shape (n_samples,), optional
            Targets.
        groups : array-like of shape (n_samples,), optional
            Groups, for splitters that use them; only the target's rows count.
        sample_domain : array-like of shape (n_samples,)
            Domain of every row; see `as_sample_domain`.

        Yields
        ------
        train : ndarray
            Every source row, and the training rows of the target; ascending.
        test : ndarray
            Test rows of the target.
        """
        target_rows, source_rows = _split_rows(X, sample_domain)
        inner = check_cv(self.cv)
        for train, test in inner.split(*_at(target_rows, X, y, groups)):
            _check_within(train, test, len(target_rows))
            yield np.sort(np.concatenate([source_rows, target_rows[train]])), target_rows[test]

    def get_n_splits(self, X=None, y=None, groups=None, sample_domain=None):
        """Return the number of splits.

        Parameters
        ----------
        X, y, groups, sample_domain : array-like, optional
            As in `split`; needed only by splitters whose number of splits depends on the
            rows.

        Returns
        -------
        int
            Number of splits.
        """
        inner = check_cv(self.cv)
        if X is None:
            return inner.get_n_splits(None, y, groups)
        target_rows, _ = _split_rows(X, sample_domain)
        return inner.get_n_splits(*_at(target_rows, X, y, groups))


def _split_rows(X, sample_domain):
    """Rows of the target, and rows of all sources."""
    if sample_domain is None:
        raise ValueError(NO_DOMAIN)
    target_rows, source_rows = split_domains(sample_domain, num_samples(X))
    none = np.empty(0, dtype=np.int64)
    return target_rows, np.concatenate([none, *source_rows.values()])


def _at(rows, *arrays):
    return tuple(None if array is None else safe_indexing(array, rows) for array in arrays)


def _check_within(train, test, n_target):
    last = max(np.max(part, initial=-1) for part in (train, test))
    if last >= n_target:
        raise ValueError(
            f"cv gives row {last} but the target has {n_target} rows; the splits given to TargetCV "
            "count target rows only."
        )
