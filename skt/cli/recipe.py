"""How the columns of one file became numbers, so that those of another become the same.

A recipe is plain data, learnt from the columns that a model was fitted on. Nothing of it is guessed
again for new rows: a category that was never seen, and a number that is none, are missing values,
and are said.
"""

import difflib
from dataclasses import asdict, dataclass, field

import numpy as np

from skt.cli.errors import InputError, listed
from skt.cli.numbers import DOT, as_numbers, is_missing

__all__ = ["DATE", "DURATION", "MOSTLY", "NUMBER", "TEXT", "TRUTH", "Column", "applied", "as_text"]

NUMBER, TRUTH, TEXT, DATE, DURATION = "numbers", "true or false", "text", "dates", "durations"
# A text column of which this part or more are numbers is a column of numbers with slips.
MOSTLY = 0.9
TRUTHS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class Column:
    """One column of the file, and what became of it.

    ``outputs`` are the names of its numeric columns. A column of text has ``codes``: the numbers
    that each text became; one of dates the ``parts`` and the ``format`` by which it is read.
    """

    name: str
    kind: str
    outputs: list
    decimal: str = DOT
    codes: dict = field(default_factory=dict)
    parts: list = field(default_factory=list)
    format: str | None = None

    def as_dict(self):
        """Return the column as plain data."""
        return asdict(self)


def applied(columns, frame, options, file="the file"):
    """Return the numbers (n_rows, n_outputs) of a frame's columns, and notes.

    Parameters
    ----------
    columns : list of Column
        The recipe.
    frame : pandas.DataFrame
        Cells as text, or as they are typed.
    options : Options
        What is known of the file, its ``na_values`` above all.
    file : str, default="the file"
        What messages call it.
    """
    _check_all_there(columns, frame, file)
    parts, notes = [], []
    for column in columns:
        values, remark = READERS[column.kind](column, frame[column.name], options)
        parts.append(values)
        notes += remark
    return np.column_stack(parts), notes


def _check_all_there(columns, frame, file):
    missing = [column.name for column in columns if column.name not in frame]
    if not missing:
        return
    close = difflib.get_close_matches(missing[0], list(frame.columns), cutoff=0.5)
    hint = f"; did you mean {' or '.join(map(repr, close))} by {missing[0]!r}?" if close else "."
    raise InputError(
        f"{file} lacks {len(missing)} of the columns that the model was fitted on: "
        f"{listed(missing)}{hint} Add {'it' if len(missing) == 1 else 'them'}, with empty cells "
        "where a value is not known."
    )


def as_text(column):
    """Cells as text, "" where there is none."""
    return column.astype(object).where(column.notna(), "").map(str)


def _other_type(column, found):
    return InputError(
        f"column {column.name!r} held {column.kind} where the model was fitted, but now holds "
        f"{found}; give it as it was, or leave cells empty whose value is not known."
    )


# Numbers ------------------------------------------------------------------------------------


def _numbers(column, values, options):
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        found = values.to_numpy(float, na_value=np.nan)
        return _finite(column, found)
    if values.dtype.kind in "mM":
        raise _other_type(column, "dates or times")
    found = as_numbers(as_text(values), options.decimal or column.decimal, options)
    if found.strange and found.share < MOSTLY:
        raise _other_type(column, f"text such as {found.strange[0]!r}")
    read, notes = _finite(column, found.values)
    if found.strange:
        notes += [_taken_as_missing(column, found.strange)]
    return read, notes


def _taken_as_missing(column, strange):
    return (
        f"Note: {column.name} is a column of numbers; cells that hold "
        f"{listed(map(repr, strange))} are taken as missing."
    )


def _finite(column, values):
    """Values as a column; what is infinite, or was said to be missing, is missing."""
    infinite = np.isinf(values)
    notes = [_taken_as_missing(column, ["inf"])] if infinite.any() else []
    return np.where(infinite, np.nan, values)[:, None], notes


def _truths(column, values, options):
    text = as_text(values).str.strip().str.lower()
    known = text.isin([*TRUTHS, "0", "1", "0.0", "1.0"])
    there = ~is_missing(text, options.na_values)
    if (there & ~known).any():
        raise _other_type(column, repr(text[there & ~known].iloc[0]))
    numbers = TRUTHS | {"1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0}
    return text.map(numbers).to_numpy(float)[:, None], []


# Text ---------------------------------------------------------------------------------------


def _categories(column, values, options):
    """Numbers of each category; those of one that was never seen are missing."""
    text = as_text(values)
    text = text.where(text.isin(column.codes), text.str.strip())
    text = text.where(text.isin(column.codes), text.str.replace(r"\.0+$", "", regex=True))
    seen = text.isin(column.codes).to_numpy()
    unseen = text[~seen & ~is_missing(text, options.na_values)].unique().tolist()
    if unseen and not seen.any() and _are_numbers(unseen) and not _are_numbers(column.codes):
        raise _other_type(column, f"numbers such as {unseen[0]}")
    unknown = [np.nan] * len(column.outputs)
    numbers = np.array([column.codes.get(each, unknown) for each in text], dtype=float)
    notes = []
    if unseen:
        notes.append(
            f"Note: {column.name} holds {listed(map(repr, unseen))}, which no row had that the "
            "model was fitted on; taken as missing."
        )
    return numbers.reshape(len(text), len(column.outputs)), notes


def _are_numbers(texts):
    import pandas as pd

    return as_numbers(pd.Series(list(texts), dtype=object)).share == 1.0


# Dates --------------------------------------------------------------------------------------


def _dates(column, values, options):
    import pandas as pd

    if values.dtype.kind == "M":
        dates = values
    elif pd.api.types.is_numeric_dtype(values):
        raise _other_type(column, "numbers")
    else:
        text = as_text(values).str.strip()
        there = ~is_missing(text, options.na_values)
        dates = pd.to_datetime(text.where(there), format=column.format, errors="coerce")
        strange = text[there & dates.isna().to_numpy()]
        if len(strange) > (1 - MOSTLY) * max(there.sum(), 1):
            raise _other_type(column, f"{strange.iloc[0]!r}")
        if len(strange):
            cells = listed(map(repr, strange.unique()))
            note = f"Note: {column.name} is a column of dates; taken as missing: {cells}."
            return date_parts(dates, column.parts), [note]
    return date_parts(dates, column.parts), []


def date_parts(dates, parts):
    """Return parts of dates as skrub names and rounds them, (n, n_parts)."""
    import pandas as pd

    found = np.empty((len(dates), len(parts)))
    for k, part in enumerate(parts):
        if part == "total_seconds":
            zone = dates.dt.tz
            zero = pd.Timestamp(0, tz=zone) if zone is not None else pd.Timestamp(0)
            found[:, k] = (dates - zero) / pd.Timedelta(seconds=1)
        else:
            found[:, k] = getattr(dates.dt, part)
    return found.astype(np.float32).astype(float)


def _durations(column, values, options):
    import pandas as pd

    if values.dtype.kind != "m":
        raise _other_type(column, "no durations")
    seconds = (values / pd.Timedelta(seconds=1)).to_numpy(float)
    return seconds.astype(np.float32).astype(float)[:, None], []


READERS = {
    NUMBER: _numbers,
    TRUTH: _truths,
    TEXT: _categories,
    DATE: _dates,
    DURATION: _durations,
}
