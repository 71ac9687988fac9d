"""A comparison as text, CSV and one self-contained HTML page."""

import base64
import csv
import html
import io
import math
import textwrap

from skt._losses import CLASSIFICATION, REGRESSION
from skt.plots import ComparisonDisplay, SourceWeightsDisplay, SourceWeightsMapDisplay

__all__ = ["setting", "text_report", "write_report"]

NO_PLOTS = "no figures: matplotlib is not installed (pip install scikit-transfer[plot])"
LINE = 88
KINDS = {kind.name: kind for kind in (REGRESSION, CLASSIFICATION)}
# A square of weights wider than this does not fit a terminal.
WIDEST_SQUARE = 9


def setting(comparison):
    """One sentence on what was compared."""
    sizes = sorted(set(comparison.target_sizes.values()))
    rows = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    many = len(comparison.targets) > 1
    who = "each group in turn is the target" if many else f"the target is {comparison.targets[0]}"
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
        for title, table in _weight_tables(comparison).values()
    ]
    parts += ["", *_failures(comparison), textwrap.fill(comparison.verdict, LINE)]
    return "\n".join(parts)


def write_report(comparison, out, *, notes=(), command=""):
    """Write tables, figures and an HTML page into a folder.

    Parameters
    ----------
    comparison : Comparison
        What :func:`skt.compare` returned.
    out : pathlib.Path
        The folder; made if it does not exist.
    notes : sequence of str, default=()
        What was done to the data.
    command : str, default=""
        The command that makes the report again.

    Returns
    -------
    written : list of pathlib.Path
        The files.
    remarks : list of str
        What could not be drawn, and why.
    """
    out.mkdir(parents=True, exist_ok=True)
    # Tables first: whatever a figure does, they are there.
    written = [_write_csv(out / "table.csv", comparison.summary)]
    if len(comparison.targets) > 1:
        written.append(_write_csv(out / "targets.csv", comparison.by_target))
    if comparison.source_weights:
        written.append(_write_csv(out / "weights.csv", comparison.source_weights))
    figures, remarks = _figures(comparison)
    written += [_write_bytes(out / f"{name}.png", image) for name, image in figures.items()]
    page = _html_page(comparison, figures, [*notes, *remarks], command)
    return [*written, _write_bytes(out / "report.html", page.encode())], remarks


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


def _target_table(comparison):
    """Ratios of each target, with what the methods make of its rows."""
    rivals = [method for method in comparison.methods if method != comparison.baseline]
    cells = {(row["target"], row["method"]): row for row in comparison.by_target}
    rows = [
        [target, str(size), *(_ratio(cells[target, method]) for method in rivals)]
        for target, size in comparison.target_sizes.items()
    ]
    return [["target", "training rows", *rivals], *rows]


def _ratio(row):
    return f"{_number(row['ratio'], '.2f')} +/- {_number(row['ratio_error'], '.2f')}"


def _weight_tables(comparison):
    """Title and table of weights, by each method that weighs its sources."""
    methods = dict.fromkeys(row["method"] for row in comparison.source_weights)
    table = _weights_of_one if len(comparison.targets) == 1 else _weights_of_each
    return {method: table(comparison, method) for method in methods}


def _weights_of_one(comparison, method):
    rows = [
        [row["source"], str(row["n_rows"]), _number(row["weight"]), f"{row['effective_rows']:.0f}"]
        for row in sorted(_weights(comparison, method), key=lambda row: -row["weight"])
    ]
    (size,) = (s for s in comparison.effective_sample_sizes if s["method"] == method)
    title = (
        f"Mean weights of {method} (a target row counts 1): the sources turn "
        f"{size['target_size']} target rows into {size['effective_sample_size']:.0f} effective rows"
    )
    return title, [["source", "rows", "weight per row", "weighted rows"], *rows]


def _weights_of_each(comparison, method):
    """Targets down, sources across where that fits; else the worth of all sources together."""
    sizes = [s for s in comparison.effective_sample_sizes if s["method"] == method]
    worth = {s["target"]: f"{s['effective_sample_size']:.0f}" for s in sizes}
    title = f"Mean weights of {method}, one source row (a target row counts 1), by target"
    square = _square(comparison, method, worth)
    if len(square[0]) - 2 <= WIDEST_SQUARE:
        return title, square
    return title, [["target", "effective rows"], *(list(row) for row in worth.items())]


def _square(comparison, method, worth):
    weights = {(w["target"], w["source"]): w["weight"] for w in _weights(comparison, method)}
    numbers = {name: f"[{k}]" for k, name in enumerate(comparison.targets, start=1)}
    # Sources that are never a target have no row that says what a number stands for.
    header = numbers | {source: source for _, source in weights if source not in numbers}
    rows = [
        [f"{number} {name}", *(_number(weights.get((name, s)), ".2f") for s in header), worth[name]]
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
    return "-" if value is None or not math.isfinite(value) else format(value, form)


def _text_table(table):
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [_text_line(row, widths) for row in table]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _text_line(row, widths):
    first, *rest = zip(row, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])


# Files --------------------------------------------------------------------------------------


def _write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _write_bytes(path, content):
    path.write_bytes(content)
    return path


def _figures(comparison):
    """PNG images by name, and remarks on those that could not be drawn."""
    images, remarks = {}, []
    for name, display in _displays(comparison).items():
        try:
            images[name] = _draw(display)
        except ImportError:
            return {}, [NO_PLOTS]
        except Exception as error:  # a figure is worth less than the table it belongs to
            remarks.append(f"figure {name} could not be drawn: {type(error).__name__}: {error}")
    return images, remarks


def _displays(comparison):
    displays = {"losses": ComparisonDisplay.from_comparison(comparison)}
    single = len(comparison.targets) == 1
    kind = SourceWeightsDisplay if single else SourceWeightsMapDisplay
    for method in dict.fromkeys(row["method"] for row in comparison.source_weights):
        displays[_weights_name(method)] = kind.from_comparison(comparison, method)
    return displays


def _weights_name(method):
    return f"weights-{method}".replace(" ", "-").replace("/", "-")


def _draw(display):
    from matplotlib.figure import Figure  # not pyplot: no window system is needed

    figure = Figure(figsize=display.figure_size, layout="constrained")
    display.plot(ax=figure.add_subplot())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


# Page ---------------------------------------------------------------------------------------

STYLE = """
:root { color-scheme: light dark;
  --line: #d5d9de; --soft: #f3f5f7; --dim: #5a6470; --mark: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3d444d; --soft: #1f242a; --dim: #a3adb8; --mark: #56b4e9; }
  body { background: #14171a; color: #e6e9ec; }
}
body { font: 16px/1.55 system-ui, sans-serif; max-width: 58rem; margin: 2.5rem auto;
  padding: 0 1.25rem; }
h1 { font-size: 1.9rem; margin: 0 0 1rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; }
.verdict { font-size: 1.15rem; background: var(--soft); border-left: 5px solid var(--mark);
  border-radius: 4px; padding: .9rem 1.1rem; margin: 0 0 1rem; }
.dim, figcaption, caption { color: var(--dim); font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
caption { text-align: left; padding-bottom: .4rem; }
th, td { padding: .35rem .9rem; border-bottom: 1px solid var(--line); text-align: right; }
td, tbody th { white-space: nowrap; }
thead th { border-bottom: 2px solid var(--dim); vertical-align: bottom; }
th:first-child { text-align: left; padding-left: .2rem; font-weight: inherit; }
thead th:first-child { font-weight: bold; }
figure { margin: 1rem 0; }
img { max-width: 100%; background: white; border-radius: 6px; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--soft); padding: .8rem 1rem;
  border-radius: 4px; }
@media print {
  :root { color-scheme: light; --line: #ccc; --soft: white; --dim: #444; --mark: black; }
  body { margin: 0; max-width: none; font-size: 11pt; background: white; color: black; }
  figure, tr, .verdict { break-inside: avoid; } h2 { break-after: avoid; }
}
"""


def _html_page(comparison, figures, notes, command):
    sections = [
        "<h1>Does transfer help?</h1>",
        f'<p class="verdict">{_html(comparison.verdict)}</p>',
        f"<p>{_html(setting(comparison))}</p>",
        "<h2>Losses</h2>",
        _html_figure(figures, "losses", FIGURE_NOTE),
        _html_table(_loss_table(comparison)),
        f'<p class="dim">{_html(_loss_note(comparison))}.</p>',
        *_html_targets(comparison),
        *_html_weights(comparison, figures),
        _html_list("Fits that failed", _failures(comparison)),
        _html_list("Data", notes),
        f"<h2>The command</h2><pre>{html.escape(command)}</pre>" if command else "",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Does transfer help?</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(filter(None, sections))
        + "\n</body></html>\n"
    )


def _html(text):
    return html.escape(text).replace("+/-", "±")


def _html_targets(comparison):
    if len(comparison.targets) > 1:
        yield "<h2>Each target</h2>"
        yield _html_table(
            _target_table(comparison),
            f"Loss as a ratio to {comparison.baseline}, +/- one standard error: below 1 is a "
            "gain. Among many targets some look good or bad by chance.",
        )


def _html_weights(comparison, figures):
    """Weights by method, with a figure where there is one."""
    tables = _weight_tables(comparison)
    if tables:
        yield "<h2>What is borrowed from whom</h2>"
    for method, (title, table) in tables.items():
        yield _html_figure(figures, _weights_name(method), f"Weights of {method}.")
        yield _html_table(table, f"{title}.")


def _html_table(table, caption=""):
    header, *rows = ([_html(cell) for cell in row] for row in table)
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{name}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        for name, *cells in rows
    )
    caption = f"<caption>{_html(caption)}</caption>" if caption else ""
    return (
        f'<div class="wide"><table>{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _html_figure(figures, name, caption):
    if name not in figures:
        return ""
    data = base64.b64encode(figures[name]).decode()
    return (
        f'<figure><img alt="{html.escape(name)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{_html(caption)}</figcaption></figure>"
    )


def _html_list(title, lines):
    if not lines:
        return ""
    items = "".join(f"<li>{_html(line.removeprefix('Note: '))}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{items}</ul>"
