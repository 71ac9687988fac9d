"""Command line: ``python -m skt compare [data.csv] ...`` and ``python -m skt reproduce NAME``."""

import argparse
import shlex
import sys
import textwrap
from pathlib import Path

import numpy as np

from skt import reproductions
from skt._compare import compare_each
from skt._losses import CLASSIFICATION, REGRESSION
from skt._methods import METHODS
from skt._report import LINE, setting, text_report, write_report
from skt._table import InputError, diabetes, read_table

PROGRAM = "python -m skt"
DEMO_TARGET_SIZE = 30
# What the library calls an option, at the start of its messages.
OPTIONS = {
    "target": "--target",
    "target_size": "--target-size",
    "y": "the outcome",
    "methods": "--methods",
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
    return 0


def _in_options(message):
    """One line, in the words of the command line."""
    for kind in (REGRESSION.name, CLASSIFICATION.name):
        message = message.replace(f"task={kind!r}", f"--task {kind}")
    first, _, rest = " ".join(message.split()).partition(" ")
    return f"{OPTIONS.get(first, first)} {rest}"


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
    _add_study_options(parser.add_argument)


def _methods(kind):
    return ", ".join(method.name for method in METHODS if method.kind == kind.name)


def _add_data_options(add):
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


def _add_study_options(add):
    add(
        "--task",
        choices=["auto", REGRESSION.name, CLASSIFICATION.name],
        default="auto",
        help="whether the outcome is numbers or classes; default: classes if it is text, true or "
        "false, or two numbers",
    )
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
    add("--out", type=Path, metavar="DIR", help="write tables, report.html and figures there")
    add("--jobs", type=_jobs, metavar="N", help="processes (default: 1; -1: all cores)")


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
    comparison = _run(table, args)
    later = _note_sources_only(comparison, table, args.target)
    _say_lines([*later, setting(comparison)])
    _say(f"\n{text_report(comparison)}")
    if args.out is not None:
        _write(comparison, args.out, table.notes + later, command)


def _table(args):
    if args.file is not None:
        return read_table(args.file, args.target_column, args.domain_column, args.task)
    if args.target_column or args.domain_column:
        raise InputError("--target-column and --domain-column need a file; none was given.")
    args.target_size = DEMO_TARGET_SIZE if args.target_size is None else args.target_size
    return diabetes()


def _make_folder(path):
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {path}: cannot write there ({error.strerror}).") from error


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
        n_jobs=args.jobs,
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
        f"the outcome: {', '.join(others)}."
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
