"""Columns to predict from: numbers as they are, categories and dates by skrub, with notes.

What is said of a column is said once, and nothing is left out silently.
"""

from typing import NamedTuple

import numpy as np

from skt.cli.errors import InputError, listed
from skt.cli.numbers import as_numbers
from skt.cli.recipe import DATE, DURATION, MOSTLY, NUMBER, TEXT, TRUTH, TRUTHS, Column, as_text

__all__ = ["LARGEST", "features"]

# A text column with more different texts is an identifier or prose, not a category.
MAX_CATEGORIES = 50
# Half of the cells or more are numbers: perhaps meant as numbers.
PARTLY = 0.5
# Squares of larger numbers overflow.
LARGEST = 1e100
# Fewer rows are all different without being identifiers.
LEAST_ROWS = 20


class Columns(NamedTuple):
    """Columns by kind, and notes."""

    numbers: dict  # name -> floats
    others: dict  # name -> pandas.Series of text or dates
    recipe: dict  # name -> Column, of the numbers
    notes: list


class Features(NamedTuple):
    """All usable columns as numbers, and how they came about."""

    table: np.ndarray
    names: list
    recipe: list  # of skt.cli.recipe.Column, whose outputs in order are the names
    notes: list


def features(frame, labels, options, decimal):
    """Array of all usable columns, with notes and the recipe for further rows.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns but those of outcome, group and `split_by`; their rows are those that are used.
    labels : ndarray of str
        Group of each row.
    options : Options
        What the user said of the file.
    decimal : {".", ","}
        Decimal mark of the file.
    """
    frame, notes = _without_row_numbers(frame)
    numbers, others, recipe, more = _by_kind(frame, options, decimal)
    numbers, constant = _varying(numbers)
    encoded, names, others_recipe, more_text, constant_text = _encoded(others, frame)
    notes += more
    if constant or constant_text:
        notes.append(f"Note: left out {listed(constant + constant_text)}: constant.")
    notes += more_text
    if not numbers and not encoded.shape[1]:
        raise InputError("no feature is left to predict from; the file needs more columns.")
    notes += _note_missing(numbers) + _note_identifiers(numbers) + _note_groups(numbers, labels)
    table = np.column_stack([*numbers.values(), encoded]) if numbers else encoded
    recipe = [recipe[name] for name in numbers] + others_recipe
    return Features(table, [*numbers, *names], recipe, notes)


# Kinds --------------------------------------------------------------------------------------


def _without_row_numbers(frame):
    unnamed = [name for name in frame if name == "" or name.startswith("Unnamed: ")]
    notes = ["Note: left out a column without a name: row numbers?"] if unnamed else []
    frame = frame.drop(columns=unnamed)
    counted = [name for name in frame if _is_row_number(frame[name])]
    if counted:
        notes.append(f"Note: left out {listed(counted)}: the numbers of the rows.")
    return frame.drop(columns=counted), notes


def _is_row_number(column):
    """Whether a column only counts the rows of the file, of which some may have been dropped."""
    places = column.index.to_numpy()
    if len(column) < 2 or not (_is_whole(column) or _is_whole_text(column, places)):
        return False
    return bool(np.ptp(column.to_numpy().astype(np.int64) - places) == 0)


def _is_whole(column):
    return column.dtype.kind in "iu" and not column.hasnans


def _is_whole_text(column, places):
    """Whether the cells are texts of whole numbers; most columns fail at their first cell."""
    first = column.iloc[0]
    if not isinstance(first, str) or not first.isdecimal() or len(first) > len(str(places[-1])) + 1:
        return False
    return bool(column.str.fullmatch(r"\d{1,18}").all())


def _by_kind(frame, options, decimal):
    columns = Columns({}, {}, {}, [])
    strange, mixed, marks, said = {}, [], {}, {}

    def add(name, kind, values, decimal=decimal):
        columns.numbers[name] = values
        columns.recipe[name] = Column(name, kind, [name], decimal)

    for name in frame:
        column = frame[name]
        if column.dtype.kind in "iufb" or _is_nullable_number(column):
            add(name, NUMBER, _checked(name, column.to_numpy(float, na_value=np.nan)))
            continue
        if column.dtype.kind in "mM":
            columns.others[name] = column
            continue
        text = as_text(column)
        truth = _truth(text)
        if truth is not None:
            add(name, TRUTH, truth)
            continue
        found = as_numbers(text, decimal, options)
        if found.share >= MOSTLY:
            add(name, NUMBER, _checked(name, found.values), found.decimal)
            if found.strange:
                strange[name] = found
            if found.signs:
                said.setdefault(found.signs, []).append(name)
            if found.decimal != decimal:
                marks.setdefault(found.decimal, []).append(name)
            continue
        if found.share >= PARTLY:
            mixed.append(f"{name} ({found.share:.0%} numbers, but also {found.strange[0]!r})")
        columns.others[name] = text
    columns.notes.extend(_kind_notes(strange, mixed, marks, said))
    return columns


def _kind_notes(strange, mixed, marks, said):
    for name, found in strange.items():
        texts = listed(map(repr, found.strange))
        yield (
            f"Note: {name} is a column of numbers; cells that hold {texts} are taken as missing."
        )
    for signs, names in said.items():
        yield f"Note: read as numbers without their {signs}: {listed(names)}."
    for mark, names in marks.items():
        kind = "comma" if mark == "," else "dot"
        yield f"Note: read with a decimal {kind}, unlike the rest of the file: {listed(names)}."
    if mixed:
        yield (
            f"Note: taken as text, since too few cells are numbers: {listed(mixed)}. "
            "--na-values TEXT makes such a cell missing."
        )


def _is_nullable_number(column):
    import pandas as pd

    return pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)


def _truth(text):
    """Floats of a column that holds "true" and "false" only; None of any other."""
    low = text.str.strip().str.lower()
    there = low[low != ""]
    if there.empty or not there.isin(list(TRUTHS)).all():
        return None
    return low.map(TRUTHS).to_numpy(float)


def _checked(name, values):
    wrong = values[np.isinf(values) | (np.abs(values) > LARGEST)]
    if len(wrong):
        raise InputError(
            f"column {name!r} must hold finite numbers up to {LARGEST:g}, but it holds "
            f"{wrong[0]:g}; --na-values {wrong[0]:g} makes it missing, --drop {name} leaves the "
            "column out."
        )
    return values


# Text and dates -----------------------------------------------------------------------------


def _encoded(others, frame):
    """Numbers of text and dates by skrub, their names, the recipe, notes, and what is constant."""
    if not others:
        return np.empty((len(frame), 0)), [], [], [], []
    pd, TableVectorizer, OneHotEncoder = _skrub()
    # Lists and the like are spelt out: what skrub cannot read is text.
    table = pd.DataFrame(others)
    constant = [name for name in table if table[name].nunique(dropna=False) < 2]
    table = table.drop(columns=constant)
    if not table.shape[1]:
        return np.empty((len(frame), 0)), [], [], [], constant
    vectorizer = TableVectorizer(
        cardinality_threshold=MAX_CATEGORIES + 1,
        low_cardinality=OneHotEncoder(drop="first", sparse_output=False, dtype=np.float64),
        high_cardinality="drop",
        numeric="passthrough",
    )
    encoded = vectorizer.fit_transform(table)
    kinds = vectorizer.kind_to_columns_
    values = encoded.to_numpy(dtype=float)
    varies = np.array([np.unique(column[~np.isnan(column)]).size > 1 for column in values.T], bool)
    names = [name for name, kept in zip(encoded.columns, varies, strict=True) if kept]
    recipe = _recipe(vectorizer, table, encoded[names])
    return values[:, varies], names, recipe, _text_notes(kinds, table), constant


def _recipe(vectorizer, table, encoded):
    """Return how each column of text or dates became columns of numbers, in their order."""
    kind_of = {name: kind for kind, all in vectorizer.kind_to_columns_.items() for name in all}
    recipe = []
    for name, made in vectorizer.input_to_outputs_.items():
        outputs = [each for each in made if each in encoded]
        if outputs:
            recipe.append(RECIPES[kind_of[name]](name, outputs, table[name], encoded[outputs],
                          vectorizer.all_processing_steps_[name]))  # fmt: skip
    return sorted(recipe, key=lambda column: encoded.columns.get_loc(column.outputs[0]))


def _category_recipe(name, outputs, column, encoded, steps):
    """Return the numbers of each text; they are the same in all of its rows."""
    first = ~column.duplicated().to_numpy()
    texts, codes = column[first].tolist(), encoded[first].to_numpy(float).tolist()
    return Column(name, TEXT, outputs, codes=dict(zip(texts, codes, strict=True)))


def _date_recipe(name, outputs, column, encoded, steps):
    (read,) = (step for step in steps if type(step).__name__ == "ToDatetime")
    parts = [output[len(name) + 1 :] for output in outputs]
    return Column(name, DATE, outputs, parts=parts, format=read.format_)


def _number_recipe(name, outputs, column, encoded, steps):
    if column.dtype.kind == "m":
        return Column(name, DURATION, outputs)
    # Text that skrub reads as numbers, and we do not.
    return _category_recipe(name, outputs, column, encoded, steps)


RECIPES = {
    "low_cardinality": _category_recipe,
    "datetime": _date_recipe,
    "numeric": _number_recipe,
}


def _skrub():
    try:
        import pandas as pd
        from sklearn.preprocessing import OneHotEncoder
        from skrub import TableVectorizer
    except ImportError as error:
        raise InputError(
            "columns of text or dates need skrub: pip install scikit-transfer[table]."
        ) from error
    return pd, TableVectorizer, OneHotEncoder


def _text_notes(kinds, table):
    low, high = kinds.get("low_cardinality", []), kinds.get("high_cardinality", [])
    if low:
        yield f"Note: one-hot encoded {listed(low)}; missing text is a category."
    if kinds.get("datetime"):
        yield f"Note: dates as year, month, day and total seconds: {listed(kinds['datetime'])}."
    if high:
        yield (
            f"Note: left out {listed(high)}: text with more than {MAX_CATEGORIES} different values."
        )
    yield from _note_members(high, table)


def _note_members(names, table):
    """A hint where rows seem to belong together."""
    for name in names:
        several = len(table) / table[name].nunique()
        if several >= 1.5:
            yield (
                f"Note: {name} has {several:.1f} rows for each of its values. If rows of one "
                f"{name} are alike, --split-by {name} keeps them on one side of every split."
            )


# Numbers ------------------------------------------------------------------------------------


def _varying(numbers):
    varies = {name: len(np.unique(v[~np.isnan(v)])) > 1 for name, v in numbers.items()}
    kept = {name: values for name, values in numbers.items() if varies[name]}
    return kept, [name for name in numbers if not varies[name]]


def _note_missing(numbers):
    missing = {name: int(np.isnan(values).sum()) for name, values in numbers.items()}
    missing = {name: count for name, count in missing.items() if count}
    if not missing:
        return []
    columns = listed(f"{name} ({count})" for name, count in missing.items())
    return [
        f"Note: imputed {sum(missing.values())} missing cells by the median of the column's "
        f"training rows, of all groups: {columns}."
    ]


def _note_identifiers(numbers):
    found = [name for name, values in numbers.items() if _is_identifier(values)]
    if not found:
        return []
    return [
        f"Note: {listed(found)}: a different whole number in each row, as identifiers have. "
        f"--drop {found[0]} leaves it out; an identifier that follows the outcome is a leak."
    ]


def _is_identifier(values):
    if len(values) < LEAST_ROWS or np.isnan(values).any():
        return False
    return bool(np.all(values == np.floor(values)) and len(np.unique(values)) == len(values))


def _note_groups(numbers, labels):
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if not 2 <= len(counts) <= len(labels) / 2:
        return []
    found = [name for name, values in numbers.items() if _is_of_group(values, codes)]
    if not found:
        return []
    return [
        f"Note: {listed(found)}: one value in each group. It says nothing within the target; if it "
        f"was computed from the outcome, it is a leak. --drop {found[0]} leaves it out."
    ]


def _is_of_group(values, codes):
    filled = np.nan_to_num(values, nan=np.inf)
    order = np.lexsort((filled, codes))
    same = codes[order][1:] == codes[order][:-1]
    return bool(np.all(filled[order][1:][same] == filled[order][:-1][same]))
