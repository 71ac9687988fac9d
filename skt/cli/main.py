"""Command line: ``python -m skt compare``, ``fit``, ``predict`` and ``reproduce``."""

import argparse
import shlex
import sys
import textwrap
from pathlib import Path

import numpy as np

from skt import reproductions
from skt.choice.compare import compare_each
from skt.choice.fitted import DEFAULT
from skt.choice.losses import CLASSIFICATION, REGRESSION
from skt.choice.methods import METHODS
from skt.cli.errors import InputError, listed, short
from skt.cli.fit import fit_table, largest_coverage, sentence
from skt.cli.model_file import load, save
from skt.cli.predict import predict_file, write_predictions
from skt.cli.report import write_report
from skt.cli.table import Options, checked_options, diabetes, read_table
from skt.cli.text import LINE, setting, text_report

PROGRAM = "python -m skt"
DEMO_TARGET_SIZE = 30
# Fewer repeats are done before further processes have started.
WORTH_PROCESSES = 20
# Folder in --out to which the records of each target are written as they are made.
RECORDS = "records"
# What the library calls an option, at the start of its messages.
OPTIONS = {
    "target": "--target",
    "target_size": "--target-size",
    "y": "the outcome",
    "methods": "--methods",
    "method": "--method",
    "estimator": "--estimator",
    "out": "--out",
}


def main(argv=None):
    """Run the command line and return its exit code: 0, or 2 for input that cannot be used."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    try:
        args.run(args, shlex.join(["python", "-m", "skt", *argv]))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{PROGRAM}: error: {_in_options(str(error))}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"{PROGRAM}: stopped. {_what_is_left(args)}\n")
        return 130
    return 0


def _what_is_left(args):
    if getattr(args, "out", None) is None:
        return "Nothing was kept; with --out DIR the same command goes on where it was stopped."
    return f"What was done is in {args.out}; the same command goes on from there."


def _in_options(message):
    """One line, in the words of the command line."""
    for kind in (REGRESSION.name, CLASSIFICATION.name):
        message = message.replace(f"task={kind!r}", f"--task {kind}")
    if "holds another study" in message:
        return (
            f"--out holds the records of another comparison, of other data, splits or options "
            f"({_difference(message)}). Choose another folder, or delete its folder {RECORDS}."
        )
    first, _, rest = " ".join(message.split()).partition(" ")
    return f"{OPTIONS.get(first, first)} {rest}"


def _difference(message):
    """The first difference that the message of the study lists."""
    return message.partition("must not be mixed: ")[2].partition("; ")[0].partition(". Choose")[0]


def _say_lines(notes):
    for note in notes:
        _say(textwrap.fill(note, LINE))


def _say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


# Arguments ----------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message} (--help shows all options)\n")


def _parser():
    parser = _Parser(prog=PROGRAM, description="Transfer learning on tables.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_compare(commands)
    _add_fit(commands)
    _add_predict(commands)
    _add_reproduce(commands)
    return parser


def _add_compare(commands):
    parser = commands.add_parser(
        "compare",
        help="does borrowing from other groups help on these data?",
        description=(
            "Measure whether borrowing from other groups lowers the error on one group, from "
            "which, and by how much. Without a file: scikit-learn's diabetes data, six groups "
            "by sex and age, each in turn the target."
        ),
        epilog=f"methods: {_methods(REGRESSION)}; for classes: {_methods(CLASSIFICATION)}",
        allow_abbrev=False,  # --target is an option of its own, and a prefix of others
    )
    parser.set_defaults(run=_compare)
    _add_data_options(parser.add_argument)
    _add_file_options(parser.add_argument)
    _add_row_options(parser.add_argument)
    _add_study_options(parser.add_argument)


def _add_fit(commands):
    parser = commands.add_parser(
        "fit",
        help="fit a method on a table, for one group, and keep the model in a file",
        description=(
            "Fit one method on all rows of a table for one group, and keep it with what was done "
            "to the columns (needs the extras `table` and `model`)."
        ),
        epilog=f"methods: {_methods(REGRESSION)}; for classes: {_methods(CLASSIFICATION)}",
        allow_abbrev=False,
    )
    parser.set_defaults(run=_fit)
    add = parser.add_argument
    _add_data_options(add, needs_file=True)
    _add_file_options(add)
    add("--drop", action="append", metavar="A,B", help="columns to leave out")
    _add_task(add)
    add("--method", default=DEFAULT, metavar="NAME", help=f"default: {DEFAULT}")
    add("--estimator", metavar="NAME", help="a model of scikit-learn that --method names a way of, "
        "as `compare --estimator` does")  # fmt: skip
    add("--no-intervals", action="store_true", help="spare the further fits that intervals of "
        "predictions need where no closed form gives them")  # fmt: skip
    add("--out", type=Path, required=True, metavar="FILE", help="the model, e.g. model.skops")


def _add_predict(commands):
    parser = commands.add_parser(
        "predict",
        help="predict new rows by a model that `fit` has kept",
        description="Predict new rows of the group that a model was fitted for.",
        allow_abbrev=False,
    )
    parser.set_defaults(run=_predict)
    add = parser.add_argument
    add("model", type=Path, help="what `fit --out` wrote")
    add("file", type=Path, help="CSV or Parquet with the columns that the model was fitted on")
    _add_file_options(add)
    add("--interval", type=_share, metavar="C", help="add the ends of intervals that hold a new "
        "outcome with this probability, e.g. .9")  # fmt: skip
    add("--out", type=Path, required=True, metavar="FILE", help="predictions, as CSV")


def _methods(kind):
    return ", ".join(method.name for method in METHODS if method.kind == kind.name)


def _add_data_options(add, *, needs_file=False):
    add(
        "file",
        nargs=None if needs_file else "?",
        type=Path,
        help="CSV or Parquet, one row per observation (needs the extra `table`)",
    )
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
        help="group to predict for, all others are sources"
        + ("" if needs_file else "; default: each group in turn"),
    )


def _add_file_options(add):
    add("--sep", metavar="C", help="separator of the columns, or `tab`; default: guessed and said")
    add("--decimal", metavar="C", help="decimal mark, . or ,; default: guessed and said")
    add("--thousands", metavar="C", help="mark that parts thousands; default: guessed")
    add(
        "--na-values",
        action="append",
        metavar="A,B",
        help="further texts that stand for a missing value, also of the group",
    )
    add("--encoding", metavar="E", help="e.g. latin-1; default: UTF-8, else guessed and said")


def _add_row_options(add):
    add("--drop", action="append", metavar="A,B", help="columns to leave out")
    add(
        "--split-by",
        metavar="COLUMN",
        help="rows with the same value here, such as a patient's, are never separated by a split",
    )


def _add_task(add):
    add(
        "--task",
        choices=["auto", REGRESSION.name, CLASSIFICATION.name],
        default="auto",
        help="whether the outcome is numbers or classes; default: classes if it is text, true or "
        "false, or two numbers",
    )


def _add_study_options(add):
    _add_task(add)
    add("--methods", metavar="A,B", help="names separated by commas; default: all that apply")
    add(
        "--estimator",
        metavar="NAME",
        help="a model of scikit-learn, e.g. HistGradientBoostingRegressor: does it gain from other "
        "groups? Trained on target rows, which the others are compared with, on all rows, on "
        "OTQMS's rows, and with UOWQ's weights",
    )
    add("--repeats", type=_at_least(2), default=50, metavar="N", help="random splits (default: 50)")
    add(
        "--target-size",
        type=int,
        metavar="N",
        help="target rows to train on, the others test (default: half; without a file: "
        f"{DEMO_TARGET_SIZE})",
    )
    add("--seed", type=_at_least(0), default=0, metavar="N", help="of the splits (default: 0)")
    add(
        "--out",
        type=Path,
        metavar="DIR",
        help="write tables, report.html and figures there; a run that was stopped goes on from "
        "its records",
    )
    add(
        "--jobs",
        type=_jobs,
        metavar="N",
        help=f"processes (-1: all cores; default: all cores, one below {WORTH_PROCESSES} repeats)",
    )


def _add_reproduce(commands):
    parser = commands.add_parser(
        "reproduce",
        help="what papers and notes report, next to what this package gives",
        description="Run a study of a paper again, and say which of its figures agree with ours.",
    )
    parser.set_defaults(run=_reproduce)
    add = parser.add_argument
    add("name", nargs="?", metavar="NAME", help="which one")
    add("--list", action="store_true", help="show the names")
    add("--repeats", type=_at_least(2), metavar="N", help="data sets for each design (default: "
        "so many that it takes minutes on two cores)")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="write records, table and figure there; a study "
        "that was interrupted goes on from its records")  # fmt: skip
    add("--jobs", type=_jobs, metavar="N", help="processes (default: 1; -1: all cores)")


def _at_least(smallest):
    def number(text):
        if not text.isdecimal() or int(text) < smallest:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {smallest}, not {text!r}"
            )
        return int(text)

    return number


def _share(text):
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be a number between 0 and 1, not {text!r}")
    return value


def _jobs(text):
    if not text.lstrip("-").isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a whole number other than 0, not {text!r}")
    return int(text)


# Commands -----------------------------------------------------------------------------------


def _compare(args, command):
    table = _table(args)
    if args.out is not None:
        _make_folder(args.out)  # rather now than after minutes of work
    _say_lines(table.notes)
    _check_groups(table.domains)
    comparison = _run(table, args)
    _check_fits(comparison)
    later = _note_sources_only(comparison, table, args.target)
    _say_lines([*later, setting(comparison)])
    _say(f"\n{text_report(comparison)}")
    if args.file is not None:
        _say(f"\nTo fit {comparison.winner} and keep it:\n\n    {_line_to_fit(comparison, args)}\n")
    if args.out is not None:
        _write(comparison, args.out, table.notes + later, command)


def _line_to_fit(comparison, args):
    """Return the command that fits the winner on the same table, read the same way."""
    one = args.target if args.target is not None else comparison.targets[0]
    words = ["python", "-m", "skt", "fit", str(args.file)]
    for column in args.target_column:
        words += ["--target-column", column]
    words += ["--domain-column", args.domain_column, "--target", one]
    for name in ("sep", "decimal", "thousands", "na_values", "encoding", "drop", "estimator"):
        given = getattr(args, name)
        for value in given if isinstance(given, list) else filter(None, [given]):
            words += [f"--{name.replace('_', '-')}", value]
    if args.split_by is not None:
        words += ["--drop", args.split_by]
    if args.task != "auto":
        words += ["--task", args.task]
    return _wrapped([*words, "--method", comparison.winner, "--out", "model.skops"])


def _wrapped(words):
    """Return a command of the shell in lines that fit, continued by backslashes."""
    lines, room = [""], LINE - len("    ") - len(" \\")
    for word in map(shlex.quote, words):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
            lines.append("    ")
        lines[-1] += word if not lines[-1].strip() else f" {word}"
    return " \\\n    ".join(lines)


def _fit(args, command):
    options = _file_options(args)
    table = read_table(args.file, args.target_column, args.domain_column, args.task, options)
    _say_lines(table.notes)
    kept, notes = fit_table(
        table,
        args.target,
        args.target_column,
        args.domain_column,
        options,
        method=args.method,
        estimator=args.estimator,
        task=args.task,
        intervals=not args.no_intervals,
    )
    save(kept, args.out)
    words = ["python", "-m", "skt", "predict", str(args.out), "new.csv", "--out", "predictions.csv"]
    line = shlex.join([*words, *(["--interval", ".9"] if largest_coverage(kept) >= 0.9 else [])])
    _say_lines([*notes, sentence(kept)])
    _say(f"Wrote {args.out}. To predict new rows:\n\n    {line}\n")


def _predict(args, command):
    options = checked_options(_file_options(args))
    table, notes = predict_file(load(args.model), args.file, options, args.interval)
    _say_lines(notes)
    write_predictions(table, args.out)
    _say(f"Wrote {len(table)} predictions to {args.out}")


def _table(args):
    if args.file is not None:
        options = _file_options(args)
        return read_table(args.file, args.target_column, args.domain_column, args.task, options)
    if args.target_column or args.domain_column or _file_options(args) != Options():
        raise InputError("options on columns and files need a file; none was given.")
    args.target_size = DEMO_TARGET_SIZE if args.target_size is None else args.target_size
    return diabetes()


def _file_options(args):
    return Options(
        sep=args.sep,
        decimal=args.decimal,
        thousands=args.thousands,
        na_values=_parts(args.na_values),
        encoding=args.encoding,
        drop=_parts(getattr(args, "drop", None)),
        split_by=getattr(args, "split_by", None),
    )


def _parts(texts):
    """Texts separated by commas, of an option that may be given several times."""
    return tuple(part.strip() for text in texts or () for part in text.split(","))


def _make_folder(path):
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {path}: cannot write there ({error.strerror}).") from error


def _check_groups(domains):
    labels = np.unique(domains)
    if len(labels) < 2:
        raise InputError(
            f"every row belongs to the group {short(labels[0])!r}: comparing needs at least two "
            "groups, one to predict for and one to borrow from. --domain-column says which column "
            "has them."
        )


def _check_fits(comparison):
    if comparison.failures and not any(row["mean"] == row["mean"] for row in comparison.summary):
        raise InputError(f"every fit failed, the first with {comparison.failures[0]['error']}")


def _run(table, args):
    return compare_each(
        table.X,
        table.y,
        table.domains,
        targets=None if args.target is None else [args.target],
        task=args.task,
        methods=None if args.methods is None else [m.strip() for m in args.methods.split(",")],
        estimator=args.estimator,
        n_repeats=args.repeats,
        target_size=args.target_size,
        random_state=args.seed,
        groups=table.members,
        out=None if args.out is None else args.out / RECORDS,
        n_jobs=args.jobs or (-1 if args.repeats >= WORTH_PROCESSES else 1),
    )


def _write(comparison, out, notes, command):
    written, remarks = write_report(comparison, out, notes=notes, command=command)
    for remark in remarks:
        _say(f"Note: {remark}")
    _say(f"Wrote {', '.join(path.name for path in written)} to {out}")


def _note_sources_only(comparison, table, target):
    others = [label for label in np.unique(table.domains) if label not in comparison.targets]
    if target is not None or not others:
        return []
    return [
        "Note: sources only, never the target, for want of rows (of a class) or of variation in "
        f"the outcome: {listed(others)}."
    ]


def _reproduce(args, command):
    if args.list or args.name is None:
        width = max(map(len, reproductions.REGISTRY))
        lines = [f"{name:{width}}  {e[0]}" for name, e in reproductions.REGISTRY.items()]
        _say("\n".join(lines))
        return
    reproduction = reproductions.load(args.name)
    records_file = None
    if args.out is not None:
        _make_folder(args.out)
        records_file = args.out / f"{args.name}.jsonl"
    n_repeats = args.repeats or reproduction.n_repeats
    records = reproduction.run(n_repeats, args.jobs, records_file)
    text = reproductions.report(reproduction, records, n_repeats)
    _say(text)
    if args.out is not None:
        _write_reproduction(reproduction, records, args.out / args.name, f"{text}\n\n{command}\n")


def _write_reproduction(reproduction, records, path, text):
    written = [path.with_suffix(".jsonl"), path.with_suffix(".md")]
    written[1].write_text(text, encoding="utf-8")
    if reproduction.plot is not None:
        written.append(path.with_suffix(".png"))
        _draw(reproduction.plot, records, written[-1])
    _say(f"Wrote {', '.join(each.name for each in written)} to {path.parent}")


def _draw(plot, records, path):
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("drawing the figure needs matplotlib: pip install matplotlib.") from error
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    plot(records, figure.subplots())
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
