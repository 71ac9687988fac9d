"""First and second moments of (X, y): what every linear method here needs of the rows.

Notation
--------
n rows, p features, q targets; w_i the weight of row i (weight 2 = the row twice);
W = sum_i w_i; m_X, m_y the weighted means; and the centred sums

    Sxx = sum_i w_i (x_i - m_X)(x_i - m_X)'     (p, p)
    Sxy = sum_i w_i (x_i - m_X)(y_i - m_y)'     (p, q)
    Syy = sum_i w_i (y_i - m_y)(y_i - m_y)'     (q, q)

Two sets of rows a and b merge without their rows [1]_:

    S = S_a + S_b + (W_a W_b / W) d d',    d = m_b - m_a.

Centred sums are merged, raw ones never formed: with a mean of 1e8 standard deviations
sum x^2 - n m^2 has lost every digit, while the centred sum keeps nine or more.

References
----------
.. [1] Chan, Golub and LeVeque (1983). Algorithms for computing the sample variance.
   The American Statistician 37, 242-247.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import reduce
from os import PathLike, fspath, getpid, remove
from os import replace as replace_file
from typing import Any, Protocol, Self, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skt.core._typing import Array

__all__ = ["Moments", "check_possible", "moments", "pairwise_sum", "read_only"]


# Rows centred at a time: enough for BLAS to run at full speed, few enough that the
# copy of 100 columns stays in the cache.
BLOCK_ROWS = 4096


class _Addable(Protocol):
    def __add__(self, other: Any, /) -> Any: ...


T = TypeVar("T", bound=_Addable)


@dataclass(frozen=True, eq=False, repr=False)
class Moments:
    """Weight, means and centred sums of squares and products of some rows (X, y).

    Everything a linear method needs to know of a data set, in memory that does not grow
    with its rows. Moments of two data sets add up to the moments of their rows stacked,
    so a source that is too big for memory, spread over machines, or too private to hand
    over as rows can still be a source.

    Make them with `from_data` or `from_batches`; the constructor takes the sums as they
    are. Moments are immutable, and `sklearn.base.clone` returns the same object, so a
    grid search never copies them.

    Parameters
    ----------
    n_samples : int
        Number of rows with positive weight.
    weight : float
        Sum of the row weights; `n_samples` when rows are not weighted. Weights are
        counts: weight 2 says that the row was seen twice.
    mean_X : array of shape (n_features,)
        Weighted mean of every feature.
    mean_y : array of shape (n_targets,)
        Weighted mean of every target.
    Sxx : array of shape (n_features, n_features)
        Centred sums of squares and products of the features, not divided by `weight`.
    Sxy : array of shape (n_features, n_targets)
        Centred sums of products of features and targets.
    Syy : array of shape (n_targets, n_targets)
        Centred sums of squares and products of the targets.
    feature_names : tuple of str, optional
        Names of the features, when they came in a table.

    Examples
    --------
    >>> import numpy as np
    >>> from skt.core.moments import Moments
    >>> X, y = np.arange(12.0).reshape(6, 2), np.arange(6.0)
    >>> first, second = Moments.from_data(X[:4], y[:4]), Moments.from_data(X[4:], y[4:])
    >>> first + second
    Moments(n_samples=6, n_features=2, n_targets=1, weight=6)
    >>> (first + second).mean_X
    array([5., 6.])
    """

    n_samples: int
    weight: float
    mean_X: Array
    mean_y: Array
    Sxx: Array
    Sxy: Array
    Syy: Array
    feature_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        p, q = np.size(self.mean_X), np.size(self.mean_y)
        shapes = {"mean_X": (p,), "mean_y": (q,), "Sxx": (p, p), "Sxy": (p, q), "Syy": (q, q)}
        for name, shape in shapes.items():
            object.__setattr__(self, name, read_only(getattr(self, name), name, shape))
        object.__setattr__(self, "n_samples", _count(self.n_samples))
        object.__setattr__(self, "weight", _positive(self.weight))
        object.__setattr__(self, "feature_names", _names(self.feature_names, p))
        _check_squares("Sxx", self.Sxx)
        _check_squares("Syy", self.Syy)

    @classmethod
    def from_data(cls, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Moments of the rows of a table or array.

        Parameters
        ----------
        X : array-like or table of shape (n_samples, n_features)
            Features. Names are kept when the columns have string names.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), optional
            Number of times every row counts; rows of weight 0 are ignored.

        Returns
        -------
        Moments
            Exact to rounding whatever the offset of the columns; float32 columns are
            summed in float64.
        """
        total = moments(*_as_arrays(X, y, sample_weight))
        return cast(Self, replace(total, feature_names=_column_names(X)))

    @classmethod
    def from_batches(cls, batches: Iterable[tuple[Any, ...]]) -> Self:
        """Moments of rows that come in batches: one pass, in the memory of one batch.

        Parameters
        ----------
        batches : iterable of (X, y) or (X, y, sample_weight)
            As in `from_data`. Batches without a row of positive weight are skipped.

        Returns
        -------
        Moments
            Those of all rows stacked.
        """
        parts = (
            cls._from_batch(number, batch)
            for number, batch in enumerate(batches)
            if not _is_empty(number, batch)
        )
        return pairwise_sum(parts)

    @classmethod
    def _from_batch(cls, number: int, batch: tuple[Any, ...]) -> Self:
        try:
            return cls.from_data(*batch)
        except (TypeError, ValueError) as error:
            raise type(error)(f"batch {number}: {error}") from error

    @property
    def n_features(self) -> int:
        """Number of features."""
        return self.mean_X.size

    @property
    def n_targets(self) -> int:
        """Number of targets."""
        return self.mean_y.size

    @property
    def scale_X(self) -> Array:
        """Standard deviation of every feature, with divisor `weight`."""
        return np.sqrt(np.diagonal(self.Sxx) / self.weight)

    def __add__(self, other: Moments) -> Moments:
        """Moments of the rows of both."""
        if not isinstance(other, Moments):
            return NotImplemented
        names = _common_names(self, other)
        weight = self.weight + other.weight
        share = other.weight / weight
        dx, dy = other.mean_X - self.mean_X, other.mean_y - self.mean_y
        between = self.weight * share
        return Moments(
            n_samples=self.n_samples + other.n_samples,
            weight=weight,
            mean_X=self.mean_X + share * dx,
            mean_y=self.mean_y + share * dy,
            Sxx=self.Sxx + other.Sxx + between * np.outer(dx, dx),
            Sxy=self.Sxy + other.Sxy + between * np.outer(dx, dy),
            Syy=self.Syy + other.Syy + between * np.outer(dy, dy),
            feature_names=names,
        )

    def __radd__(self, other: object) -> Moments:
        """Let `sum` begin with its 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def rescale(self, shift: ArrayLike = 0.0, scale: ArrayLike = 1.0) -> Moments:
        """Moments of (X - shift) / scale; y stays as it is.

        Parameters
        ----------
        shift : float or array of shape (n_features,), default=0
            Subtracted from every feature.
        scale : float or array of shape (n_features,), default=1
            Divides every feature; not zero.

        Returns
        -------
        Moments
            In the units of the rescaled features. Behind a fitted `StandardScaler`:
            ``source.rescale(scaler.mean_, scaler.scale_)``.
        """
        shift = _per_feature("shift", shift, self.n_features)
        scale = _per_feature("scale", scale, self.n_features)
        if not scale.all():
            raise ValueError(
                f"scale[{np.argmin(scale != 0)}] is 0, but features are divided by scale; "
                "use 1 for constant features."
            )
        return replace(
            self,
            mean_X=(self.mean_X - shift) / scale,
            # One factor at a time: the product of two scales may overflow.
            Sxx=self.Sxx / scale / scale[:, None],
            Sxy=self.Sxy / scale[:, None],
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Write to a `.npz` file, without pickle.

        Parameters
        ----------
        path : str or path-like
            File to write; `load` reads it back to the last bit.
        """
        content = {key: value for key, value in _content(self).items() if value is not None}
        # Beside, then in its place: a full disk or a kill leaves the old file as it was.
        beside = f"{fspath(path)}.{getpid()}.part"
        try:
            with open(beside, "wb") as file:
                np.savez(file, **content)
            replace_file(beside, path)
        except BaseException:
            with suppress(OSError):
                remove(beside)
            raise

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read what `save` wrote; refuses pickled content.

        Parameters
        ----------
        path : str or path-like
            File written by `save`.

        Returns
        -------
        Moments
            The same to the last bit.
        """
        with open(path, "rb") as file:
            try:
                with np.load(file, allow_pickle=False) as archive:
                    content = {key: archive[key] for key in archive.files}
                names = content.pop("feature_names", None)
                return cls(**content, feature_names=None if names is None else tuple(names))
            except Exception as error:
                raise ValueError(
                    f"{path} does not hold Moments ({error}); give a file that Moments.save wrote."
                ) from error

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(n_samples={self.n_samples}, n_features={self.n_features}, "
            f"n_targets={self.n_targets}, weight={self.weight:g})"
        )

    def __sklearn_clone__(self) -> Self:
        return self

    # Through the constructor: unpickled arrays would be writeable.
    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(_content(self).values())


def moments(
    X: Array, y: Array, weight: Array | None = None, rows: NDArray[np.integer] | None = None
) -> Moments:
    """Moments of the given rows, taken block by block.

    Parameters
    ----------
    X : array of shape (n, p)
        Features; any real dtype and memory order.
    y : array of shape (n,) or (n, q)
        Targets.
    weight : array of shape (n,), optional
        Nonnegative row weights.
    rows : integer array, optional
        Rows to take; all by default. They are copied one block at a time.

    Returns
    -------
    Moments
        Without feature names.
    """
    y = y if y.ndim == 2 else y[:, None]
    if weight is not None:
        rows = _weighted_rows(weight, rows)
    if (len(X) if rows is None else len(rows)) == 0:
        raise ValueError("no row with positive weight; Moments need at least one.")
    origin = _first_row(X, y, rows)
    # NaN, infinity and overflow are reported by _check_finite, in the user's terms.
    with np.errstate(invalid="ignore", over="ignore"):
        about_origin = pairwise_sum(
            _block_moments(X, y, weight, block, origin) for block in _blocks(len(X), rows)
        )
    p = X.shape[1]
    return replace(
        about_origin,
        mean_X=origin[:p] + about_origin.mean_X,
        mean_y=origin[p:] + about_origin.mean_y,
    )


def pairwise_sum(terms: Iterable[T]) -> T:
    """Sum as a balanced tree, holding at most log2(number of terms) partial sums.

    Rounding grows with the depth of the tree instead of the number of terms.

    Parameters
    ----------
    terms : iterable
        At least one; only ``+`` is asked of them.

    Returns
    -------
    object
        Their sum, in order.
    """
    partial: list[T] = []
    for count, term in enumerate(terms, start=1):
        # As a binary counter carries: equal halves merge as soon as both are there.
        while count % 2 == 0:
            term, count = partial.pop() + term, count // 2
        partial.append(term)
    if not partial:
        raise ValueError("no row with positive weight came; Moments need at least one.")
    return reduce(lambda right, left: left + right, reversed(partial))


def read_only(values: ArrayLike, name: str, shape: tuple[int, ...] | None = None) -> Array:
    """Copy as a finite float64 array that cannot be written to.

    Parameters
    ----------
    values : array-like
        Numbers.
    name : str
        What the user calls them, for messages.
    shape : tuple of int, optional
        Shape they must have.

    Returns
    -------
    array
        The copy.
    """
    if np.iscomplexobj(values):
        raise ValueError(f"{name} holds complex numbers; expected real ones.")
    array = np.array(values, dtype=np.float64)
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; expected {shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity; expected finite numbers.")
    array.flags.writeable = False
    return array


def _blocks(
    n: int, rows: NDArray[np.integer] | None
) -> Iterator[slice] | Iterator[NDArray[np.integer]]:
    if rows is None:
        return (slice(i, i + BLOCK_ROWS) for i in range(0, n, BLOCK_ROWS))
    return (rows[i : i + BLOCK_ROWS] for i in range(0, len(rows), BLOCK_ROWS))


def _first_row(X: Array, y: Array, rows: NDArray[np.integer] | None) -> Array:
    """Any row serves as origin: about it, means and blocks are of the size of the spread."""
    row = 0 if rows is None else rows[0]
    return np.concatenate([X[row], y[row]]).astype(np.float64)


def _block_moments(
    X: Array,
    y: Array,
    weight: Array | None,
    block: slice | NDArray[np.integer],
    origin: Array,
) -> Moments:
    """Moments about the origin of a block of rows, which is centred on itself."""
    p = X.shape[1]
    Xb, yb = X[block], y[block]
    Z = np.empty((len(Xb), len(origin)))
    np.subtract(Xb, origin[:p], out=Z[:, :p])
    np.subtract(yb, origin[p:], out=Z[:, p:])
    w = np.ones(len(Z)) if weight is None else weight[block].astype(np.float64)
    total = w.sum()
    mean = w @ Z / total
    Z -= mean
    if weight is not None:
        Z *= np.sqrt(w)[:, None]
    S = Z.T @ Z
    _check_finite(S, X, y, block)
    return Moments(len(Z), total, mean[:p], mean[p:], S[:p, :p], S[:p, p:], S[p:, p:])


def _check_finite(S: Array, X: Array, y: Array, block: slice | NDArray[np.integer]) -> None:
    """Sums of squares are finite only if every entry is: look for it only if they are not."""
    if np.isfinite(np.diagonal(S)).all():
        return
    for name, array in (("X", X[block]), ("y", y[block])):
        bad = np.argwhere(~np.isfinite(array))
        if bad.size:
            i, j = bad[0]
            row = np.arange(len(X))[block][i]
            raise ValueError(
                f"{name} holds {array[i, j]} in row {row}, column {j}; expected finite numbers. "
                "Impute or drop such rows first."
            )
    raise ValueError(
        "the squares of X or y overflow float64; divide large columns by their scale first."
    )


def _weighted_rows(weight: Array, rows: NDArray[np.integer] | None) -> NDArray[np.integer] | None:
    positive = (weight if rows is None else weight[rows]) > 0
    if positive.all():
        return rows
    return np.flatnonzero(positive) if rows is None else rows[positive]


def _as_arrays(
    X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    """Arrays of numbers, of matching lengths."""
    X, y = _numeric("X", X), _numeric("y", y)
    if X.ndim != 2:
        raise ValueError(f"X has {X.ndim} dimensions; expected 2: (n_samples, n_features).")
    if y.ndim not in (1, 2):
        raise ValueError(f"y has {y.ndim} dimensions; expected 1, or 2 for several targets.")
    if len(X) != len(y):
        raise ValueError(f"X has {len(X)} rows but y has {len(y)}; give one target per row.")
    return X, y, None if sample_weight is None else _as_weight(sample_weight, len(X))


def _as_weight(sample_weight: ArrayLike, n: int) -> Array:
    weight = _numeric("sample_weight", sample_weight)
    if weight.shape != (n,):
        raise ValueError(f"sample_weight has shape {weight.shape}; expected ({n},), as X has rows.")
    if not np.isfinite(weight).all():
        raise ValueError("sample_weight holds NaN or infinity; expected counts of rows.")
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight is negative in row {np.argmax(weight < 0)}; expected counts of rows, "
            "0 for a row to be ignored."
        )
    if not weight.any():
        raise ValueError("sample_weight is zero in every row; at least one row must count.")
    return weight


def _numeric(name: str, values: Any) -> Array:
    if hasattr(values, "toarray"):
        raise TypeError(f"{name} is sparse; Moments need a dense array: give {name}.toarray().")
    array = np.asarray(values)
    if array.dtype.kind in "fiub":
        return array
    try:
        # Complex numbers would lose their imaginary part without an error.
        return array.astype(np.float64, casting="safe" if array.dtype.kind == "c" else "unsafe")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} holds values that are not real numbers ({error}); encode text and impute "
            "missing values first."
        ) from error


def _is_empty(number: int, batch: tuple[Any, ...]) -> bool:
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        raise TypeError(
            f"batch {number} is a {type(batch).__name__}; expected (X, y) or (X, y, sample_weight)."
        )
    weight = batch[2] if len(batch) == 3 else None
    return len(batch[0]) == 0 or (weight is not None and not np.any(np.asarray(weight)))


def _column_names(X: Any) -> tuple[str, ...] | None:
    """Names of the columns of a table (pandas, polars, pyarrow) when they are strings."""
    columns = getattr(X, "column_names", getattr(X, "columns", None))
    if columns is None:
        return None
    names = tuple(columns)
    strings = sum(isinstance(name, str) for name in names)
    if 0 < strings < len(names):
        raise TypeError(
            "X has column names of several types; expected all strings: "
            "X.columns = X.columns.astype(str)."
        )
    return tuple(map(str, names)) if strings else None


def _common_names(a: Moments, b: Moments) -> tuple[str, ...] | None:
    for size in ("n_features", "n_targets"):
        if getattr(a, size) != getattr(b, size):
            raise ValueError(
                f"Moments with {size}={getattr(a, size)} and {size}={getattr(b, size)} cannot be "
                "added; take both from the same columns."
            )
    if a.feature_names and b.feature_names and a.feature_names != b.feature_names:
        j = next(j for j in range(a.n_features) if a.feature_names[j] != b.feature_names[j])
        raise ValueError(
            f"Moments of different features cannot be added: feature {j} is "
            f"{a.feature_names[j]!r} in one and {b.feature_names[j]!r} in the other; select the "
            "same columns in the same order first."
        )
    return a.feature_names or b.feature_names


def _content(m: Moments) -> dict[str, Any]:
    return {field.name: getattr(m, field.name) for field in fields(m)}


def _per_feature(name: str, values: ArrayLike, p: int) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in ((), (p,)):
        raise ValueError(f"{name} has shape {array.shape}; expected a number or shape ({p},).")
    return read_only(np.broadcast_to(array, (p,)), name)


def _names(names: Iterable[str] | None, p: int) -> tuple[str, ...] | None:
    if names is None:
        return None
    names = tuple(map(str, names))
    if len(names) != p:
        raise ValueError(f"feature_names has {len(names)} names but there are {p} features.")
    return names


def _count(n_samples: Any) -> int:
    if int(n_samples) != n_samples or n_samples < 1:
        raise ValueError(f"n_samples is {n_samples}; expected a number of rows, 1 or more.")
    return int(n_samples)


def _positive(weight: Any) -> float:
    if not 0 < weight < np.inf:
        raise ValueError(f"weight is {weight}; expected a positive number, the sum of the weights.")
    return float(weight)


def _check_squares(name: str, S: Array) -> None:
    diagonal = np.diagonal(S)
    if (diagonal < 0).any():
        j = np.argmax(diagonal < 0)
        raise ValueError(f"{name}[{j}, {j}] is {diagonal[j]}; a sum of squares is not negative.")
    # In units of standard deviations, which no scale of the columns can upset.
    unit = np.sqrt(diagonal)
    if (np.abs(S - S.T) > 1e-8 * unit * unit[:, None]).any():
        raise ValueError(f"{name} is not symmetric; expected sums of products of the same columns.")


def check_possible(m: Moments) -> None:
    """Raise ValueError unless some rows have these sums of squares and products.

    All of them, in units of standard deviations, are one positive semi-definite matrix. It costs
    O((p + q)^3), and rounding may upset moments that were computed by differences: it is for
    moments that a user brings.
    """
    S = np.block([[m.Sxx, m.Sxy], [m.Sxy.T, m.Syy]])
    unit = np.sqrt(np.diagonal(S))
    unit = np.where(unit > 0, unit, 1.0)
    least = float(np.linalg.eigvalsh(S / unit / unit[:, None])[0])
    if least < -1e-6 * len(S):
        what = "Sxx" if _least_correlation(m.Sxx) < -1e-6 * len(m.Sxx) else "Sxx, Sxy and Syy"
        raise ValueError(
            f"{what} cannot come from rows: some combination of the columns would have a negative "
            f"sum of squares (least eigenvalue of the correlations {least:.2g}). Take all of them "
            "from the same centred rows."
        )


def _least_correlation(S: Array) -> float:
    unit = np.sqrt(np.diagonal(S))
    unit = np.where(unit > 0, unit, 1.0)
    return float(np.linalg.eigvalsh(S / unit / unit[:, None])[0])


def without(total: Moments, part: Moments) -> Moments:
    """Return the moments of the rows of `total` that are not in `part`.

    The inverse of merging: S = S_total - S_part - (W W_part / W_total) d d'. A column that is
    constant in what is left comes out as rounding error, which is set to zero.
    """
    weight = total.weight - part.weight
    mean_X = (total.weight * total.mean_X - part.weight * part.mean_X) / weight
    mean_y = (total.weight * total.mean_y - part.weight * part.mean_y) / weight
    dx, dy = part.mean_X - mean_X, part.mean_y - mean_y
    between = weight * part.weight / total.weight
    Sxx = total.Sxx - part.Sxx - between * np.outer(dx, dx)
    Syy = total.Syy - part.Syy - between * np.outer(dy, dy)
    Sxy = total.Sxy - part.Sxy - between * np.outer(dx, dy)
    x, y = _left(Sxx, total.Sxx), _left(Syy, total.Syy)
    return Moments(
        n_samples=max(total.n_samples - part.n_samples, 1),
        weight=weight,
        mean_X=mean_X,
        mean_y=mean_y,
        Sxx=Sxx * np.outer(x, x),
        Sxy=Sxy * np.outer(x, y),
        Syy=Syy * np.outer(y, y),
    )


def _left(S: Array, total: Array) -> Array:
    """Return which columns still vary after others were taken away."""
    return np.diag(S) > 1e3 * float(np.finfo(float).eps) * np.diag(total)


def rescaled(m: Moments, x: Array, y: Array) -> Moments:
    """Return the moments of (X / x, Y / y)."""
    return Moments(
        n_samples=m.n_samples,
        weight=m.weight,
        mean_X=m.mean_X / x,
        mean_y=m.mean_y / y,
        Sxx=m.Sxx / x / x[:, None],
        Sxy=m.Sxy / y / x[:, None],
        Syy=m.Syy / y / y[:, None],
    )
