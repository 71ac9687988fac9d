"""The outcome: numbers or classes, and an error for what is neither."""

from typing import NamedTuple

import numpy as np

from skt.cli.errors import InputError, listed
from skt.cli.features import LARGEST, PARTLY
from skt.cli.numbers import as_numbers

__all__ = ["Outcome", "outcome"]

# More different texts are no classes.
MAX_CLASSES = 50
# Whole numbers of so few values may be meant as classes.
FEW = 10
# Texts that stand for a missing class; "none" and "unknown" may be classes.
NO_CLASS = ("", "NA", "N/A", "#N/A", "nan", "NaN", "<NA>", "null", "NULL")
OPTION = "--target-column"
CLASSES_HINT = (
    " Classes are one column of text or of two numbers; --task classification makes classes of any."
)


class Outcome(NamedTuple):
    """Values, whether each row has one, and notes."""

    values: np.ndarray
    is_there: np.ndarray
    notes: list


def outcome(frame, task, options, decimal):
    """Read the columns to predict: floats, or classes as text if it is one column of them."""
    for name in frame:
        _refuse_dates(frame[name])
    if frame.shape[1] == 1 and task != "regression":
        classes = _classes(frame.iloc[:, 0], task, options, decimal)
        if classes is not None:
            return classes
    read = [_numbers(frame[name], options, decimal) for name in frame]
    values = np.column_stack([each.values for each in read])
    notes = [note for each in read for note in each.notes]
    is_there = ~np.isnan(values).any(axis=1)
    if frame.shape[1] == 1:
        notes += _kind_notes(frame.columns[0], values[is_there, 0], task)
    return Outcome(values, is_there, notes)


def _is_typed_number(column):
    import pandas as pd

    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _text(column):
    return column.astype(object).where(column.notna(), "").map(lambda value: str(value).strip())


# Dates --------------------------------------------------------------------------------------


def _refuse_dates(column):
    if column.dtype.kind not in "mM" and not _is_date_text(column):
        return
    raise InputError(
        f"{OPTION} {column.name!r} holds dates or times, which are neither numbers nor classes; "
        "make numbers of them, e.g. the days since a first day."
    )


def _is_date_text(column):
    if column.dtype.kind in "iufcb" or _is_typed_number(column):
        return False
    text = _text(column)
    text = text[text != ""].iloc[:1000]
    # A date has digits, and more than digits with one mark among them.
    if text.empty or text.str.contains(r"\d.*\D.*\d.*\D.*\d").mean() < 0.5:
        return False
    if as_numbers(text).share >= PARTLY:
        return False
    return _parsed_as_dates(text)


def _parsed_as_dates(text):
    try:
        from skrub import ToDatetime
    except ImportError:  # then it is text
        return False
    try:
        ToDatetime().fit_transform(text.astype(object))
    except ValueError:  # skrub's refusal
        return False
    return True


# Classes ------------------------------------------------------------------------------------


def _classes(column, task, options, decimal):
    """Classes as text; None if the column holds numbers."""
    if _is_typed_number(column):
        return None
    text = _text(column)
    missing = text.isin([*NO_CLASS, *(value.strip() for value in options.na_values)])
    there = text[~missing]
    share = as_numbers(there, decimal, options).share if len(there) else 0.0
    if share == 1.0 or (share >= PARTLY and task != "classification"):
        return None
    different = there.unique()
    if len(different) > MAX_CLASSES:
        raise InputError(
            f"{OPTION} {column.name!r} holds {len(different)} different texts, such as "
            f"{different[0]!r} and {different[1]!r}: these are neither numbers nor up to "
            f"{MAX_CLASSES} classes. Numbers with a unit need the unit taken off; --decimal and "
            "--thousands say how numbers are written."
        )
    return Outcome(text.to_numpy(dtype=str), ~missing.to_numpy(), [])


# Numbers ------------------------------------------------------------------------------------


def _numbers(column, options, decimal):
    if _is_typed_number(column) or column.dtype.kind == "b":
        values = column.to_numpy(float, na_value=np.nan)
        return Outcome(_checked(column.name, values), ~np.isnan(values), [])
    text = _text(column)
    found = as_numbers(text, decimal, options)
    if found.strange:
        raise InputError(
            f"{OPTION} {column.name!r} must hold finite numbers, but it holds "
            f"{found.strange[0]!r}; --na-values {found.strange[0]!r} leaves such rows out."
            f"{CLASSES_HINT}"
        )
    notes = []
    if found.signs:
        notes.append(f"Note: {column.name} read as numbers without their {found.signs}.")
    if found.decimal != decimal:
        kind = "comma" if found.decimal == "," else "dot"
        notes.append(f"Note: {column.name} read with a decimal {kind}.")
    return Outcome(_checked(column.name, found.values), ~np.isnan(found.values), notes)


def _checked(name, values):
    wrong = values[np.isinf(values) | (np.abs(values) > LARGEST)]
    if len(wrong):
        raise InputError(
            f"{OPTION} {name!r} must hold finite numbers up to {LARGEST:g}, but it holds "
            f"{wrong[0]:g}, whose square overflows; divide the column, or leave such rows out by "
            f"--na-values {wrong[0]:g}."
        )
    return values


def _kind_notes(name, values, task):
    """Say which kind was taken where it could be the other."""
    different = np.unique(values)
    if task != "auto":
        return []
    if len(different) == 2:
        return [
            f"Note: {name} holds two values, {different[0]:g} and {different[1]:g}: compared as "
            "classes; --task regression compares them as numbers."
        ]
    if 2 < len(different) <= FEW and np.all(different == np.floor(different)):
        few = listed(f"{value:g}" for value in different)
        return [
            f"Note: {name} holds {len(different)} whole numbers, {few}: compared as numbers; "
            "--task classification compares them as classes."
        ]
    return []
