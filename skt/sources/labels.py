"""The domain convention: which rows are the target's, which a source's."""

from collections.abc import Mapping
from difflib import get_close_matches
from itertools import starmap

import numpy as np

TARGET = "target"

CONVENTION = (
    f"Target rows are marked by the string {TARGET!r} or by an integer below 0, source rows by "
    "any other label of the same type; as_sample_domain(labels, target=...) makes such labels "
    "from any column."
)


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


def split_every_domain(sample_domain, n_samples):
    """Rows of every domain by its label, all alike; without labels all rows are one domain.

    Parameters
    ----------
    sample_domain : array-like of shape (n_samples,) or None
        Integers or strings.
    n_samples : int
        Number of rows of X.

    Returns
    -------
    dict of str to ndarray of int64
        Rows of every domain, ascending; domains in the order of their labels.
    """
    if sample_domain is None:
        return {"all": np.arange(n_samples, dtype=np.int64)}
    labels, codes = _coded(_domain_array(sample_domain, n_samples))
    order = np.argsort(codes, kind="stable").astype(np.int64, copy=False)
    groups = np.split(order, np.cumsum(np.bincount(codes, minlength=len(labels)))[:-1])
    return {str(label): rows for label, rows in zip(labels, groups, strict=True)}


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
