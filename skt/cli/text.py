"""The report as text."""

import math
import textwrap

from skt.choice.losses import CLASSIFICATION, REGRESSION
from skt.cli.errors import short

__all__ = ["setting", "text_report"]
LINE = 88
KINDS = {kind.name: kind for kind in (REGRESSION, CLASSIFICATION)}
# A square of weights wider than this does not fit a terminal.
WIDEST_SQUARE = 9
# Rows of a table on the screen; the files have all.
SCREEN = 10


def setting(comparison):
    """One sentence on what was compared."""
    sizes = sorted(set(comparison.target_sizes.values()))
    rows = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    many = len(comparison.targets) > 1
    one = short(comparison.targets[0])
    who = "each group in turn is the target" if many else f"the target is {one}"
    return (
        f"Split: {who}; {rows} of its rows and all rows of the other groups train, the rest of "
        f"its rows test; {comparison.n_repeats} random splits."
    )


def text_report(comparison):
    """Tables and verdict as plain text.

    Parameters
    ----------
    comparison : Comparison
        What :func:`skt.compare` returned.

    Returns
    -------
    str
        Text of several lines.
    """
    parts = [_text_table(_loss_table(comparison)), textwrap.fill(_loss_note(comparison), LINE)]
    parts += [
        f"\n{textwrap.fill(title, LINE)}\n{_text_table(table)}"
        for title, table in _weight_tables(comparison, SCREEN).values()
    ]
    failures = [textwrap.fill(line, LINE) for line in _failures(comparison)]
    parts += ["", *failures, textwrap.fill(comparison.verdict, LINE)]
    return "\n".join(parts)


FIGURE_NOTE = "Bars are the intervals of the table; filled points are clear of the dashed line."


def _loss_note(comparison):
    """What the columns of the table are, and what the verdict makes of them."""
    return (
        f"loss: {KINDS[comparison.task].note}; +/-: one standard error, over random splits and "
        f"held-out rows; ratio: to {comparison.baseline}, on the same splits; from, to: its 95 % "
        f"interval, for all methods together ({comparison.critical_errors:.1f} errors either way): "
        "a difference is clear if 1 is not inside"
    )


def _of_classes(comparison):
    return comparison.task == CLASSIFICATION.name


# Tables: a header and rows of strings --------------------------------------------------------


def _loss_table(comparison):
    heads, keys = zip(*COLUMNS, *(ACCURACY if _of_classes(comparison) else ()), strict=True)
    rows = [
        [row["method"], *(_cell(row, key, comparison.baseline) for key in keys)]
        for row in comparison.summary
    ]
    return [["method", *heads], *rows]


# Heads of columns and keys of the summary.
COLUMNS = (
    ("loss", "mean"),
    ("+/-", "standard_error"),
    ("ratio", "ratio"),
    ("+/-", "ratio_error"),
    ("from", "ratio_low"),
    ("to", "ratio_high"),
)
ACCURACY = (("accuracy", "accuracy"),)


def _cell(row, key, baseline):
    if row["method"] == baseline and key.startswith("ratio"):
        return "1" if key == "ratio" else ""
    return _number(row[key])


def _target_table(comparison, most):
    """Ratios of each target, with what the methods make of its rows; largest targets first."""
    rivals = [method for method in comparison.methods if method != comparison.baseline]
    cells = {(row["target"], row["method"]): row for row in comparison.by_target}
    rows = [
        [short(target), str(size), *(_ratio(cells[target, method]) for method in rivals)]
        for target, size in _largest(comparison, most).items()
    ]
    return [["target", "training rows", *rivals], *rows]


def _largest(comparison, most):
    """Training rows by target; if there are too many, of those with most rows."""
    sizes = comparison.target_sizes
    if len(sizes) <= most:
        return sizes
    return dict(sorted(sizes.items(), key=lambda item: -item[1])[:most])


def _rest(number, most, what, file):
    """Return what a title says of rows that a table leaves out."""
    if number <= most:
        return ""
    return f"; {most} of {number} {what}, all of them in {file} (--out)"


def _ratio(row):
    return f"{_number(row['ratio'], '.2f')} +/- {_number(row['ratio_error'], '.2f')}"


def _weight_tables(comparison, most):
    """Title and table of weights, by each method that weighs its sources; so many rows at most."""
    methods = dict.fromkeys(row["method"] for row in comparison.source_weights)
    table = _weights_of_one if len(comparison.targets) == 1 else _weights_of_each
    return {method: table(comparison, method, most) for method in methods}


def _weights_of_one(comparison, method, most):
    weights = sorted(_weights(comparison, method), key=lambda row: -row["effective_rows"])
    rows = [
        [
            short(row["source"]),
            str(row["n_rows"]),
            _number(row["weight"]),
            _number(row["effective_rows"], ".0f"),
        ]
        for row in weights[:most]
    ]
    title = f"Mean weights of {method} (a target row counts 1)"
    claim = _measured_worse(comparison, method) or _worth(comparison, method)
    rest = _rest(len(weights), most, "sources, those that count most", "weights.csv")
    return title + claim + rest, [["source", "rows", "weight per row", "weighted rows"], *rows]


def _worth(comparison, method):
    (size,) = (s for s in comparison.effective_sample_sizes if s["method"] == method)
    (row,) = (row for row in comparison.summary if row["method"] == method)
    doubt = "" if row["ratio_high"] < 1 else ", which held-out rows do not confirm"
    return (
        f": by its own account the sources turn {size['target_size']} target rows into "
        f"{_number(size['effective_sample_size'], '.0f')} effective rows{doubt}"
    )


def _measured_worse(comparison, method):
    """A reservation about weights of a method that did no better than the target alone."""
    (ratio,) = (row["ratio"] for row in comparison.summary if row["method"] == method)
    if ratio < 1:  # not so of nan
        return ""
    return (
        f"; on held-out rows the method is no better than {comparison.baseline} "
        f"(ratio {_number(ratio, '.2f')}), whatever rows it takes its sources to be worth"
    )


def _weights_of_each(comparison, method, most):
    """Targets down, sources across where that fits; else the worth of all sources together."""
    sizes = [s for s in comparison.effective_sample_sizes if s["method"] == method]
    worth = {s["target"]: _number(s["effective_sample_size"], ".0f") for s in sizes}
    title = f"Mean weights of {method}, one source row (a target row counts 1), by target"
    title += _measured_worse(comparison, method)
    square = _square(comparison, method, worth)
    if len(square[0]) - 2 <= WIDEST_SQUARE:
        return title, square
    rows = [[short(name), worth[name]] for name in _largest(comparison, most) if name in worth]
    title += _rest(len(worth), most, "targets, those with most rows", "weights.csv")
    return title, [["target", "effective rows"], *rows]


def _square(comparison, method, worth):
    weights = {(w["target"], w["source"]): w["weight"] for w in _weights(comparison, method)}
    numbers = {name: f"[{k}]" for k, name in enumerate(comparison.targets, start=1)}
    # Sources that are never a target have no row that says what a number stands for.
    header = numbers | {source: short(source) for _, source in weights if source not in numbers}
    rows = [
        [
            f"{number} {short(name)}",
            *(_number(weights.get((name, s)), ".2f") for s in header),
            worth[name],
        ]
        for name, number in numbers.items()
    ]
    return [["target \\ source", *header.values(), "effective rows"], *rows]


def _weights(comparison, method):
    return [row for row in comparison.source_weights if row["method"] == method]


def _failures(comparison):
    """One line for each method with failed fits: how many, and why the first did."""
    first = {}
    for record in comparison.failures:
        first.setdefault(record["method"], record["error"])
    failed = {row["method"]: row for row in comparison.summary if row["n_failures"]}
    return [
        f"{method}: {failed[method]['n_failures']} of {failed[method]['n_repeats']} fits failed, "
        f"the first with {error}"
        for method, error in first.items()
    ]


def _number(value, form=".3f"):
    if value is None or math.isnan(value):
        return "-"
    # What is positive is not shown as zero.
    return "<.001" if form == ".3f" and 0 < value < 0.0005 else format(value, form)


def _text_table(table):
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [_text_line(row, widths) for row in table]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _text_line(row, widths):
    first, *rest = zip(row, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])
