"""HASTE: scores on the hardest rows of the target only."""

from numbers import Integral

import numpy as np
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from skt.core import transferability
from skt.metrics.registry import score
from skt.metrics.scores import check_features, class_codes, is_regression, rows_of

__all__ = ["haste_score", "sample_hardness"]


def sample_hardness(Z, *, y=None, source_features=None, n_neighbors=10):
    """How unlike the source, or its own class, each row of the target is.

    With ``source_features`` (class-agnostic): 1 - the mean of the ``n_neighbors`` largest cosines
    between the row's features and those of source rows. With ``y`` (class-specific): distance of
    Mahalanobis from the mean of the row's class; the covariance within classes is pooled and
    shrunk by Ledoit and Wolf's weight.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_features)
        Features that the source gives to rows of the target.
    y : array-like of shape (n_samples,), default=None
        Classes of these rows, of any type. The only row of a class is never hard.
    source_features : array-like of shape (n_source_samples, n_features), default=None
        Features that the source gives to its own rows. Either this or ``y``.
    n_neighbors : int, default=10
        Source rows that each row is compared with. More of them say less of the nearest.

    Returns
    -------
    ndarray of shape (n_samples,)
        Larger is harder.

    Notes
    -----
    After "HASTE", arXiv 2301.06928. The two kinds of hardness are the paper's; their formulas are
    ours.

    Examples
    --------
    >>> from skt.metrics import sample_hardness
    >>> Z = [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    >>> sample_hardness(Z, source_features=[[2.0, 0.0], [3.0, 0.1]], n_neighbors=1).round(1)
    array([0. , 0.3, 1. ])
    """
    if (y is None) == (source_features is None):
        raise ValueError(
            "give either y, for hardness within classes, or source_features, for distance from "
            "the source's rows."
        )
    if y is not None:
        return transferability.unlike_class(*rows_of(Z, y))
    Z = check_features(Z)
    source = check_array(source_features, dtype=np.float64, input_name="source_features")
    if source.shape[1] != Z.shape[1]:
        raise ValueError(
            f"source_features has {source.shape[1]} features but Z has {Z.shape[1]}; both must "
            "come from the same source model."
        )
    if not isinstance(n_neighbors, Integral) or n_neighbors < 1:
        raise ValueError(f"n_neighbors must be a whole number of at least 1; got {n_neighbors}.")
    return transferability.unlike_source(Z, source, int(n_neighbors))


def haste_score(metric, Z, y, *, hardness, fraction=0.5):
    """A score on the hardest rows: of every class the hardest fraction, and at least two rows.

    Parameters
    ----------
    metric : str or callable
        Name of a score ("h", "logme", "leep", "nce", "nleep", "gbc", "transrate", "loo_ridge"), or
        ``metric(Z, y)``.
    Z : array-like of shape (n_samples, n_features) or (n_samples,)
        What the score takes: features, probabilities for "leep", predicted labels for "nce".
    y : array-like of shape (n_samples,)
        Classes of these rows, or numbers, which count as one class.
    hardness : array-like of shape (n_samples,)
        As `sample_hardness` returns it; it may come from other features than Z.
    fraction : float, default=0.5
        Share of the rows that is kept. 1 is the score itself; a smaller one leaves fewer rows.

    Returns
    -------
    float
        Larger is better.

    Notes
    -----
    arXiv 2301.06928. The gains that it reports did not come again, and most rankings became worse:
    see ``docs/evidence/transferability.md``.

    Examples
    --------
    >>> import numpy as np
    >>> from skt.metrics import haste_score, sample_hardness
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["cat", "dog"], 30)
    >>> Z = rng.normal(size=(60, 3)) + 2 * (y == "dog")[:, None]
    >>> hardness = sample_hardness(Z, y=y)
    >>> all_rows = haste_score("logme", Z, y, hardness=hardness, fraction=1)
    >>> haste_score("logme", Z, y, hardness=hardness) < all_rows
    True
    """
    y = np.asarray(y)
    codes = np.zeros(len(y), dtype=int) if is_regression(y) else class_codes(y)
    hardness = column_or_1d(check_array(hardness, ensure_2d=False, input_name="hardness"))
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be above 0 and at most 1; got {fraction}.")
    check_consistent_length(Z, y, hardness)
    rows = transferability.hardest(hardness, codes, fraction)
    return score(metric, np.asarray(Z)[rows], y[rows])
