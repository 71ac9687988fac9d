"""Tables for the command line: a file, or the example data, as numbers with notes."""

import difflib
from dataclasses import dataclass, field

import numpy as np

__all__ = ["InputError", "Table", "diabetes", "read_table"]

# A text column with more different texts is an identifier or prose, not a category.
MAX_CATEGORIES = 50
# A text outcome of which this part or more are numbers is meant as numbers.
MOSTLY = 0.5
# Names that a message lists before it stops.
MAX_LISTED = 20


class InputError(ValueError):
    """What the user gave cannot be used; the message says what to do."""


CLASSES_HINT = (
    " Classes are one column of text or of two numbers; --task classification makes classes of any."
)


@dataclass
class Table:
    """Numeric features, outcomes and the domain of each row, with notes on how they came about."""

    X: np.ndarray
    y: np.ndarray
    domains: np.ndarray
    notes: list = field(default_factory=list)


def diabetes():
    """Six domains from sex and tertile of age; needs nothing but scikit-learn."""
    from skt.datasets import load_diabetes_progression

    patients = load_diabetes_progression()
    note = (
        f"Data: scikit-learn's diabetes data, {len(patients.data)} patients; predicted is the "
        "progression of the disease after a year. Groups: sex x tertile of age."
    )
    return Table(patients.data, patients.target, patients.groups, [note])


def read_table(path, target_columns, domain_column, task="auto"):
    """Read a table from a file, and say what was done to it.

    Rows without outcome or domain are dropped. Numbers stay as they are, missing ones
    included; text with few different values becomes indicators; the rest is left out.

    Parameters
    ----------
    path : pathlib.Path
        A CSV or Parquet file.
    target_columns : list of str or None
        Columns to predict.
    domain_column : str or None
        Column of the domains.
    task : {"auto", "regression", "classification"}, default="auto"
        As in :func:`skt.compare`. Outcomes that are not numbers are kept as text unless it is
        "regression".

    Returns
    -------
    Table
        With one note for each thing that was done.
    """
    frame = _read_frame(path)
    _check_columns(frame.columns, target_columns, domain_column)
    roles = [*target_columns, domain_column]
    frame, notes = _drop_incomplete(frame, roles)
    y, outcome_notes = _outcome(frame[target_columns], task)
    X, feature_notes = _features(frame.drop(columns=roles))
    return Table(X, y, _labels(frame[domain_column]), notes + outcome_notes + feature_notes)


# Files --------------------------------------------------------------------------------------


def _read_frame(path):
    try:
        import pandas as pd
    except ImportError as error:
        raise InputError("reading a file needs pandas: run `pip install pandas`.") from error
    suffix = next((s for s in reversed(path.suffixes) if s.lower() != ".gz"), "").lower()
    readers = {".csv": _read_csv, ".parquet": pd.read_parquet}
    if suffix not in readers:
        raise InputError(f"{path} must end in .csv, .csv.gz or .parquet.")
    try:
        frame = readers[suffix](path)
    except ImportError as error:
        raise InputError("reading Parquet needs pyarrow: run `pip install pyarrow`.") from error
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {path}: save it in UTF-8 ({error}).") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    return frame.set_axis(frame.columns.map(str), axis=1)


def _read_csv(path):
    import pandas as pd

    header = pd.read_csv(path, header=None, nrows=1, dtype=str).iloc[0].dropna()
    if len(header) == 1:
        raise ValueError(f"its only column is {header.iloc[0]!r}; separate columns by commas.")
    twice = header[header.duplicated()]
    if len(twice):
        raise ValueError(f"two columns are called {twice.iloc[0]!r}; rename or drop one.")
    return pd.read_csv(path)


def _check_columns(columns, target_columns, domain_column):
    given = {"--target-column": target_columns, "--domain-column": domain_column}
    missing = [option for option, value in given.items() if not value]
    if missing:
        raise InputError(
            f"{' and '.join(missing)} must say which column is meant; the file has "
            f"{_listed(columns)}."
        )
    for column in [*target_columns, domain_column]:
        _check_column(column, columns)
    if domain_column in target_columns:
        raise InputError(f"--target-column and --domain-column are both {domain_column!r}.")
    if len(set(target_columns)) < len(target_columns):
        raise InputError("--target-column names the same column twice.")


def _check_column(column, columns):
    if column in columns:
        return
    close = difflib.get_close_matches(column, columns, cutoff=0.5)
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else "."
    raise InputError(f"the file has no column {column!r}{hint} It has {_listed(columns)}.")


def _listed(names):
    names = list(map(str, names))
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more


# Columns ------------------------------------------------------------------------------------


def _drop_incomplete(frame, columns):
    complete = frame[columns].notna().all(axis=1)
    if not complete.any():
        raise InputError(f"no row has a value in each of the columns {', '.join(columns)}.")
    n_dropped = int((~complete).sum())
    notes = [f"Note: dropped {n_dropped} rows without {' or '.join(columns)}."] if n_dropped else []
    return frame[complete], notes


def _outcome(frame, task):
    """Numbers, or one column of classes as text, with a note on classes that are numbers."""
    column = frame.iloc[:, 0]
    if frame.shape[1] == 1 and task != "regression" and _is_text(column, task):
        return column.astype(str).to_numpy(dtype=str), []
    numbers = _numbers(frame, "--target-column")
    values = np.unique(numbers)
    if task != "auto" or frame.shape[1] > 1 or len(values) != 2:
        return numbers, []
    return numbers, [
        f"Note: {frame.columns[0]} holds two values, {values[0]:g} and {values[1]:g}: compared as "
        "classes; --task regression compares them as numbers."
    ]


def _is_text(column, task):
    """Whether a column holds classes: no numbers, and not numbers with a few slips."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(column):
        return True
    if pd.api.types.is_numeric_dtype(column):
        return False
    are_numbers = pd.to_numeric(column, errors="coerce").notna().mean()
    return task == "classification" or are_numbers < MOSTLY


def _features(frame):
    """Array of all usable columns, with notes on the others."""
    numbers, text, notes = _usable(frame)
    numbers, text, constant = _varying(numbers, text)
    if constant:
        notes.append(f"Note: left out {_listed(constant)}: constant.")
    if numbers.shape[1] + text.shape[1] == 0:
        raise InputError("no feature is left to predict from; the file needs more columns.")
    if text.shape[1]:
        notes.append(f"Note: one-hot encoded {_listed(text)}; missing text is a category.")
    return np.hstack([_numbers(numbers), _indicators(text)]), notes + _note_missing(numbers)


def _usable(frame):
    """Numbers, categories as text, and notes on what is neither."""
    unnamed = [column for column in frame if column.startswith("Unnamed: ")]
    notes = ["Note: left out a column without a name: row numbers?"] if unnamed else []
    frame = frame.drop(columns=unnamed)
    counted = [column for column in frame if _is_row_number(frame[column])]
    if counted:
        notes.append(f"Note: left out {_listed(counted)}: the numbers of the rows.")
    frame = frame.drop(columns=counted)
    numbers = frame.select_dtypes(["number", "bool"])
    others = frame.drop(columns=numbers.columns)
    text = others.select_dtypes(exclude=["datetime", "datetimetz", "timedelta"])
    # Missing text is information of its own, and a median of text there is none.
    text = text.astype(object).where(text.notna(), "(missing)").astype(str)
    text = text.loc[:, text.nunique() <= MAX_CATEGORIES]
    useless = [column for column in others if column not in text]
    if useless:
        notes.append(
            f"Note: left out {_listed(useless)}: dates, or text with more than "
            f"{MAX_CATEGORIES} different values."
        )
    return numbers, text, notes


def _varying(*frames):
    varies = [frame.nunique() > 1 for frame in frames]
    constant = [name for each in varies for name in each.index[~each]]
    kept = [frame.loc[:, each] for frame, each in zip(frames, varies, strict=True)]
    return *kept, constant


def _indicators(text):
    """One column for each category but the first, which the others are compared with."""
    import pandas as pd

    if text.shape[1] == 0:
        return np.empty((len(text), 0))
    return pd.get_dummies(text, drop_first=True).to_numpy(dtype=float)


def _note_missing(numbers):
    missing = numbers.isna().sum()
    missing = missing[missing > 0]
    if missing.empty:
        return []
    columns = _listed(f"{column} ({count})" for column, count in missing.items())
    return [
        f"Note: imputed {missing.sum()} missing cells by the median of the column's training rows, "
        f"of all groups: {columns}."
    ]


def _is_row_number(column):
    """Whether a column only counts the rows of the file, of which some may have been dropped."""
    values, places = column.to_numpy(), column.index.to_numpy()
    if len(values) < 2 or values.dtype.kind not in "iu" or places.dtype.kind not in "iu":
        return False
    return bool(np.ptp(values - places) == 0)


def _numbers(frame, option="column"):
    """Columns as floats; what is no finite number is an error that names the column."""
    import pandas as pd

    numbers = frame.apply(pd.to_numeric, errors="coerce").astype(float)
    for name in frame:
        wrong = frame[name][(numbers[name].isna() & frame[name].notna()) | np.isinf(numbers[name])]
        if len(wrong):
            hint = "" if option == "column" else CLASSES_HINT
            raise InputError(
                f"{option} {name!r} must hold finite numbers, but it holds {str(wrong.iloc[0])!r}."
                f"{hint}"
            )
    return numbers.to_numpy()


def _labels(column):
    """Domain labels as text; whole numbers without the .0 that missing values gave them."""
    if column.dtype.kind == "f" and (column % 1 == 0).all():
        column = column.astype(int)
    return column.astype(str).to_numpy(dtype=str)
