"""Command line: ``python -m skt compare [data.csv] ...``."""

import argparse
import shlex
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from skt._compare import METHODS, compare, compare_each, did_you_mean, select_methods
from skt._report import LINE, text_report, write_report
from skt.sources import as_sample_domain

PROGRAM = "python -m skt"
# A text column with more different texts is an identifier or prose, not a category.
MAX_CATEGORIES = 50
DEMO_TARGET_SIZE = 30


class InputError(ValueError):
    """What the user gave cannot be used; the message says what to do."""


def main(argv=None):
    """Run the command line and return its exit code: 0, or 2 for input that cannot be used."""
    args = _parser().parse_args(argv)
    try:
        return args.run(args, sys.argv[1:] if argv is None else argv)
    except ValueError as error:
        sys.stderr.write(f"{PROGRAM}: error: {' '.join(str(error).split())}\n")
        return 2


def _say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


# Arguments ----------------------------------------------------------------------------------


def _parser():
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Transfer learning on tables.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_compare(commands)
    return parser


def _add_compare(commands):
    compare_parser = commands.add_parser(
        "compare",
        help="does borrowing from other groups help on these data?",
        description=(
            "Measure whether borrowing from other groups lowers the error on one group, from "
            "which, and by how much. Without a file: scikit-learn's diabetes data, six groups "
            "by sex and age, each in turn the target."
        ),
        epilog="methods: " + ", ".join(method.name for method in METHODS),
    )
    compare_parser.set_defaults(run=_compare)
    add = compare_parser.add_argument
    add("file", nargs="?", type=Path, help="CSV or Parquet, one row per observation (needs pandas)")
    add(
        "--target-column",
        action="append",
        metavar="Y",
        help="column to predict; repeat it for several outputs",
    )
    add("--domain-column", metavar="D", help="column that says to which group a row belongs")
    add(
        "--target",
        metavar="LABEL",
        help="group to predict for, all others are sources; default: each group in turn",
    )
    add("--methods", metavar="A,B", help="names separated by commas; default: all that apply")
    add("--repeats", type=int, default=50, metavar="N", help="random splits (default: 50)")
    add(
        "--target-size",
        type=int,
        metavar="N",
        help="target rows to train on, the others test (default: half; without a file: "
        f"{DEMO_TARGET_SIZE})",
    )
    add("--seed", type=int, default=0, metavar="N", help="seed of the splits (default: 0)")
    add("--out", type=Path, metavar="DIR", help="write table.csv, report.html and figures there")
    add("--jobs", type=int, metavar="N", help="processes (default: 1; -1: all cores)")


# Command ------------------------------------------------------------------------------------


def _compare(args, argv):
    methods = _methods(args.methods)
    table = _diabetes(args) if args.file is None else _read(args)
    for note in table.notes:
        _say(textwrap.fill(note, LINE))
    comparison = _run(table, args, methods)
    _say(textwrap.fill(_setting(comparison, args.repeats), LINE))
    _say(f"\n{text_report(comparison)}")
    if args.out is not None:
        _write(comparison, args.out, table.notes, shlex.join(["python", "-m", "skt", *argv]))
    return 0


def _methods(text):
    if text is None:
        return None
    methods = [name.strip() for name in text.split(",")]
    select_methods(methods)  # an unknown name should not wait for the data to be read
    return methods


def _run(table, args, methods):
    options = {
        "methods": methods,
        "n_repeats": args.repeats,
        "target_size": args.target_size,
        "random_state": args.seed,
        "n_jobs": args.jobs,
    }
    if args.target is None:
        return compare_each(table.X, table.y, table.domains, **options)
    sample_domain = as_sample_domain(table.domains, target=args.target)
    return compare(table.X, table.y, sample_domain, **options)


def _setting(comparison, n_repeats):
    sizes = sorted(set(comparison.target_sizes.values()))
    rows = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    who = "each group in turn is the target" if len(comparison.targets) > 1 else "one target"
    return (
        f"Split: {who}; {rows} of its rows and all rows of the other groups train, the rest of "
        f"its rows test; {n_repeats} random splits."
    )


def _write(comparison, out, notes, command):
    try:
        written, remarks = write_report(comparison, out, notes=notes, command=command)
    except OSError as error:
        raise InputError(f"--out {out}: cannot write there ({error.strerror}).") from error
    for remark in remarks:
        _say(f"Note: {remark}")
    _say(f"Wrote {', '.join(map(str, written))}")


# Data ---------------------------------------------------------------------------------------


@dataclass
class Table:
    """Numeric features, outputs and the domain of each row, with notes on how they came about."""

    X: np.ndarray
    y: np.ndarray
    domains: np.ndarray
    notes: list = field(default_factory=list)


def _diabetes(args):
    """Six tasks from sex and tertile of age; needs nothing but scikit-learn."""
    from sklearn.datasets import load_diabetes

    if args.target_column or args.domain_column:
        raise InputError("--target-column and --domain-column need a file; none was given.")
    args.target_size = DEMO_TARGET_SIZE if args.target_size is None else args.target_size
    X, y = load_diabetes(return_X_y=True, scaled=False)
    note = (
        f"Data: scikit-learn's diabetes data, {len(X)} patients; predicted is the progression of "
        "the disease after a year. Groups: sex x tertile of age."
    )
    return Table(X, y, _sex_by_age(sex=X[:, 1], age=X[:, 0]), [note])


def _sex_by_age(sex, age):
    tertile = np.searchsorted(np.quantile(age, [1 / 3, 2 / 3]), age, side="right")
    spans = {k: f"{age[tertile == k].min():.0f}-{age[tertile == k].max():.0f}" for k in range(3)}
    return np.array([f"sex {s:.0f}, age {spans[k]}" for s, k in zip(sex, tertile, strict=True)])


def _read(args):
    """Table from a file: rows without outcome or domain dropped, text columns one-hot encoded."""
    _require_columns(args)
    frame = _read_frame(args.file)
    for column in [*args.target_column, args.domain_column]:
        _check_column(column, frame.columns)
    frame, notes = _drop_incomplete(frame, [*args.target_column, args.domain_column])
    y = _numbers(frame[args.target_column], "--target-column")
    features = frame.drop(columns=[*args.target_column, args.domain_column])
    features, notes = _encode(features, notes)
    features, notes = _drop_constant(features, notes)
    X = _numbers(features)
    notes += _note_missing(features)
    return Table(X, y, _labels(frame[args.domain_column]), notes)


def _require_columns(args):
    missing = [
        option
        for option, value in (
            ("--target-column", args.target_column),
            ("--domain-column", args.domain_column),
        )
        if not value
    ]
    if missing:
        raise InputError(f"with a file, {' and '.join(missing)} must say which column is meant.")
    if args.domain_column in args.target_column:
        raise InputError(f"--target-column and --domain-column are both {args.domain_column!r}.")


def _read_frame(path):
    try:
        import pandas as pd
    except ImportError as error:
        raise InputError("reading a file needs pandas: run `pip install pandas`.") from error
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".pq": pd.read_parquet}
    suffix = next((s for s in reversed(path.suffixes) if s.lower() != ".gz"), "").lower()
    if suffix not in readers:
        raise InputError(f"{path} must end in .csv, .csv.gz or .parquet.")
    try:
        return readers[suffix](path)
    except ImportError as error:
        raise InputError("reading Parquet needs pyarrow: run `pip install pyarrow`.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _check_column(column, columns):
    if column not in columns:
        raise InputError(
            f"the file has no column {column!r}{did_you_mean(column, columns)} "
            f"It has {', '.join(map(str, columns[:20]))}{', ...' if len(columns) > 20 else ''}."
        )


def _drop_incomplete(frame, columns):
    complete = frame[columns].notna().all(axis=1)
    if not complete.any():
        raise InputError(f"no row has a value in each of the columns {', '.join(columns)}.")
    n_dropped = len(frame) - int(complete.sum())
    notes = [f"Note: dropped {n_dropped} rows without {' or '.join(columns)}."] if n_dropped else []
    return frame[complete], notes


def _encode(features, notes):
    """One-hot columns of text, without the first category, which the others are compared with."""
    import pandas as pd

    text = [c for c in features if not pd.api.types.is_numeric_dtype(features[c])]
    useless = [c for c in text if not _is_category(features[c])]
    if useless:
        notes.append(
            f"Note: left out {', '.join(map(str, useless))}: dates, or text with more than "
            f"{MAX_CATEGORIES} different values."
        )
    text = [c for c in text if c not in useless]
    if not text:
        return features.drop(columns=useless), notes
    notes.append(f"Note: one-hot encoded {', '.join(map(str, text))}; missing text is a category.")
    filled = features.drop(columns=useless)
    # Missing text is information of its own, and a median of text there is none.
    filled[text] = filled[text].astype(object).where(filled[text].notna(), "(missing)").astype(str)
    return pd.get_dummies(filled, columns=text, drop_first=True, dtype=float), notes


def _is_category(column):
    is_date = column.dtype.kind in "mM"
    return not is_date and column.nunique() <= MAX_CATEGORIES


def _drop_constant(features, notes):
    constant = [column for column in features if features[column].nunique() <= 1]
    if constant:
        notes.append(f"Note: left out {', '.join(map(str, constant))}: constant.")
    features = features.drop(columns=constant)
    if features.shape[1] == 0:
        raise InputError("no feature is left to predict from; the file needs more columns.")
    return features, notes


def _note_missing(features):
    missing = features.isna().sum()
    missing = missing[missing > 0]
    if missing.empty:
        return []
    columns = ", ".join(f"{column} ({count})" for column, count in missing.items())
    return [
        f"Note: imputed {missing.sum()} missing cells by the median of the column's training rows, "
        f"of all groups: {columns}."
    ]


def _numbers(frame, option=None):
    """Columns as floats; what is no finite number is an error that names the column."""
    import pandas as pd

    numbers = frame.apply(pd.to_numeric, errors="coerce").astype(float)
    for name in frame:
        wrong = frame[name][(numbers[name].isna() & frame[name].notna()) | np.isinf(numbers[name])]
        if len(wrong):
            remedy = "; regression needs numbers" if option else "; correct the file"
            raise InputError(
                f"{f'{option} ' if option else 'column '}{name!r} must hold finite numbers, but "
                f"it holds {str(wrong.iloc[0])!r}{remedy}."
            )
    return numbers.to_numpy()


def _labels(column):
    """Domain labels as text; whole numbers without the .0 that missing values gave them."""
    if column.dtype.kind == "f" and (column % 1 == 0).all():
        column = column.astype(int)
    return column.astype(str).to_numpy(dtype=str)


if __name__ == "__main__":
    sys.exit(main())
