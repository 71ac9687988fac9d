"""Tables for the command line: a file, or the example data, as numbers with notes."""

import difflib
from dataclasses import dataclass, field

import numpy as np

from skt.cli.errors import InputError, listed
from skt.cli.features import features
from skt.cli.file import Options, read_file
from skt.cli.groups import group_labels, label_notes, lost_groups
from skt.cli.numbers import COMMA, DOT, decimal_of
from skt.cli.outcome import outcome

__all__ = ["InputError", "Options", "Table", "checked_options", "diabetes", "read_table"]

# Rows from which the decimal mark is guessed.
SAMPLE = 2000


@dataclass
class Table:
    """Numeric features, outcomes and the domain of each row, with notes on how they came about.

    ``members`` has the value of the column `split_by` for each row, None without one;
    ``feature_names`` has the name of each column of ``X``, ``recipe`` how each column of the file
    became some of these, and ``file_columns`` all columns of the file.
    """

    X: np.ndarray
    y: np.ndarray
    domains: np.ndarray
    notes: list = field(default_factory=list)
    members: np.ndarray | None = None
    feature_names: list = field(default_factory=list)
    recipe: list = field(default_factory=list)
    file_columns: list = field(default_factory=list)


def diabetes():
    """Six domains from sex and tertile of age; needs nothing but scikit-learn."""
    from skt.datasets import load_diabetes_progression

    patients = load_diabetes_progression()
    note = (
        f"Data: scikit-learn's diabetes data, {len(patients.data)} patients; predicted is the "
        "progression of the disease after a year. Groups: sex x tertile of age."
    )
    return Table(patients.data, patients.target, patients.groups, [note])


def read_table(path, target_columns, domain_column, task="auto", options=None):
    """Read a table from a file, and say what was guessed and what was done to it.

    Rows without outcome or group are left out. Numbers stay as they are, missing ones included;
    text with few different values becomes indicators and a date its parts; the rest is left out.

    Parameters
    ----------
    path : pathlib.Path
        A file of text with separated columns, or a Parquet file.
    target_columns : list of str or None
        Columns to predict.
    domain_column : str or None
        Column of the groups.
    task : {"auto", "regression", "classification"}, default="auto"
        As in :func:`skt.compare`. Outcomes that are not numbers are kept as text unless it is
        "regression".
    options : Options, default=None
        What is known of the file; None guesses all of it.

    Returns
    -------
    Table
        With one note for each thing that was guessed or done.
    """
    options = checked_options(options or Options())
    _need_pandas()
    frame, guesses, sep = read_file(path, options)
    target_columns = target_columns and [name.strip() for name in target_columns]
    _check_columns(list(frame.columns), target_columns, domain_column, options)
    file_columns = list(frame.columns)
    frame = frame.drop(columns=list(options.drop))
    decimal, decimal_guess = _decimal(frame, domain_column, options, sep)
    notes = _guess_note([*guesses, *decimal_guess])
    labels, members, label_remarks = _labels(frame, domain_column, options)
    found = outcome(frame[target_columns], task, options, decimal)
    kept, dropped = _complete(found, labels, members, target_columns, domain_column, options)
    roles = [*target_columns, domain_column, *filter(None, [options.split_by])]
    X, names, recipe, remarks = features(
        frame.drop(columns=dict.fromkeys(roles))[kept], labels[kept], options, decimal
    )
    notes += [*label_remarks, *dropped, *label_notes(labels[kept], domain_column)]
    y = found.values[kept]
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if members is not None:
        members = members[kept]
        notes.append(
            f"Note: rows with the same {options.split_by} ({len(np.unique(members))} values) are "
            "never separated by a split, and errors count these values instead of rows."
        )
    notes = [*notes, *found.notes, *remarks]
    return Table(X, y, labels[kept], notes, members, names, recipe, file_columns)


def _need_pandas():
    try:
        import pandas  # noqa: F401
    except ImportError as error:
        raise InputError(
            "reading a file needs pandas: run `pip install pandas`, or better "
            "`pip install scikit-transfer[table]`."
        ) from error


# Options ------------------------------------------------------------------------------------


def checked_options(options):
    """Return the options, if they can be meant."""
    for name in ("decimal", "thousands"):
        value = getattr(options, name)
        if value is not None and len(value) != 1:
            raise InputError(f"--{name} must be one character, not {value!r}.")
    if options.decimal not in (None, DOT, COMMA):
        raise InputError(f"--decimal must be a dot or a comma, not {options.decimal!r}.")
    if options.decimal is not None and options.decimal == options.thousands:
        raise InputError(f"--decimal and --thousands are both {options.decimal!r}.")
    if options.sep == "":
        raise InputError("--sep must be a character, or tab; it is empty.")
    return options


def _check_columns(columns, target_columns, domain_column, options):
    given = {"--target-column": target_columns, "--domain-column": domain_column}
    missing = [option for option, value in given.items() if not value]
    if missing:
        raise InputError(
            f"{' and '.join(missing)} must say which column is meant; the file has "
            f"{listed(columns)}."
        )
    roles = [*target_columns, domain_column]
    for column in [*roles, *options.drop, *filter(None, [options.split_by])]:
        _check_column(column, columns)
    if domain_column in target_columns:
        raise InputError(f"--target-column and --domain-column are both {domain_column!r}.")
    if len(set(target_columns)) < len(target_columns):
        raise InputError("--target-column names the same column twice.")
    lost = [column for column in options.drop if column in [*roles, options.split_by]]
    if lost:
        raise InputError(f"--drop names {lost[0]!r}, which another option needs.")
    if options.split_by in roles:
        raise InputError(
            f"--split-by names {options.split_by!r}, which is the outcome or the group; it needs a "
            "column of its own."
        )


def _check_column(column, columns):
    if column in columns:
        return
    close = difflib.get_close_matches(column, columns, cutoff=0.5)
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else "."
    raise InputError(f"the file has no column {column!r}{hint} It has {listed(columns)}.")


# Guesses ------------------------------------------------------------------------------------


def _decimal(frame, domain_column, options, sep):
    if options.decimal is not None:
        return options.decimal, []
    if options.thousands is not None and options.thousands in (DOT, COMMA):
        return (DOT if options.thousands == COMMA else COMMA), []
    text = frame.drop(columns=domain_column).iloc[:SAMPLE]
    text = [text[name] for name in text if text[name].dtype.kind not in "iufbmM"]
    text = [column for column in text if column.map(type).eq(str).all()]
    decimal = decimal_of(text, sep)
    return decimal, ["decimal comma"] if decimal == COMMA else []


def _guess_note(guesses):
    if not guesses:
        return []
    return [f"Note: guessed {', '.join(guesses)}; --encoding, --sep and --decimal say otherwise."]


# Rows ---------------------------------------------------------------------------------------


def _labels(frame, domain_column, options):
    labels, notes = group_labels(frame[domain_column], options.na_values)
    if options.split_by is None:
        return labels, None, notes
    members, more = group_labels(frame[options.split_by], options.na_values)
    return labels, members, notes + more


def _complete(found, labels, members, target_columns, domain_column, options):
    """Rows that can be used, and a note on the others."""
    absent = {" or ".join(target_columns): ~found.is_there, domain_column: labels == ""}
    if members is not None:
        absent[options.split_by] = members == ""
    kept = ~np.any(list(absent.values()), axis=0)
    if not kept.any():
        raise InputError(f"no row has a value in each of the columns {', '.join(absent)}.")
    n_dropped = int((~kept).sum())
    if not n_dropped:
        return kept, []
    why = [f"{int(rows.sum())} without {name}" for name, rows in absent.items() if rows.any()]
    lost = lost_groups(labels, labels[kept])
    gone = f" No row is left of {len(lost)} groups: {listed(lost)}." if lost else ""
    share = n_dropped / len(kept)
    percent = "less than 1" if share < 0.005 else f"{100 * share:.0f}"
    names = " or ".join(name for name, rows in absent.items() if rows.any())
    detail = f": {', '.join(why)}" if len(why) > 1 else ""
    return kept, [
        f"Note: dropped {n_dropped} rows without {names}, {percent} % of all{detail}.{gone}"
    ]
