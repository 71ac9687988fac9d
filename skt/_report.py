"""A comparison as text, CSV and one self-contained HTML page."""

import base64
import csv
import html
import io
import math
import textwrap

from skt.plots import ComparisonDisplay, SourceWeightsDisplay, figure_size

__all__ = ["text_report", "write_report"]

NO_PLOTS = "no figures: matplotlib is not installed (pip install scikit-transfer[plot])"
LINE = 88
# A square of weights wider than this does not fit a terminal.
WIDEST_SQUARE = 9


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
    parts = [_text_table(_loss_table(comparison)), LOSS_NOTE]
    parts += [
        f"\n{title}\n{_text_table(table)}" for title, table in _weight_tables(comparison).items()
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
    # Tables first: nothing that a figure does may lose them.
    written = [_write_csv(out / "table.csv", comparison.summary)]
    if len(comparison.targets) > 1:
        written.append(_write_csv(out / "targets.csv", comparison.by_target))
    if comparison.source_weights:
        written.append(_write_csv(out / "weights.csv", comparison.source_weights))
    figures, remarks = _figures(comparison)
    written += [_write_bytes(out / f"{name}.png", image) for name, image in figures.items()]
    page = _html_page(comparison, figures, [*notes, *remarks], command)
    return [*written, _write_bytes(out / "report.html", page.encode())], remarks


LOSS_NOTE = (
    "loss: mean squared error on held-out target rows; 1 = predicting the target's training mean\n"
    "+/-: one standard error, over random splits and held-out rows; ratio and paired difference:\n"
    "to target-only ridge"
)


# Tables: a header and rows of strings --------------------------------------------------------


def _loss_table(comparison):
    rows = [
        [
            row["method"],
            _number(row["mean"]),
            _number(row["standard_error"]),
            *_against_baseline(row, comparison.baseline),
        ]
        for row in comparison.summary
    ]
    return [["method", "loss", "+/-", "ratio", "difference", "+/-"], *rows]


def _against_baseline(row, baseline):
    if row["method"] == baseline:
        return ["1", "", ""]
    difference = _number(row["difference"], "+.3f")
    return [_number(row["ratio"]), difference, _number(row["difference_error"])]


def _weight_tables(comparison):
    """Tables of weights by title, one for each method that weighs its sources."""
    methods = dict.fromkeys(row["method"] for row in comparison.source_weights)
    table = _weights_of_one if len(comparison.targets) == 1 else _weights_of_each
    return {title: rows for method in methods for title, rows in [table(comparison, method)]}


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
    if len(comparison.targets) > WIDEST_SQUARE:
        rows = [[target, worth[target]] for target in comparison.targets]
        return title, [["target", "effective rows"], *rows]
    return title, _square(comparison, method, worth)


def _square(comparison, method, worth):
    weights = {(w["target"], w["source"]): w["weight"] for w in _weights(comparison, method)}
    names = list(dict.fromkeys([*comparison.targets, *(source for _, source in weights)]))
    numbers = [f"[{k}]" for k in range(1, len(names) + 1)]
    rows = [
        [f"{number} {name}", *(_number(weights.get((name, s)), ".2f") for s in names), worth[name]]
        for number, name in zip(numbers, names, strict=True)
        if name in worth
    ]
    return [["target \\ source", *numbers, "effective rows"], *rows]


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
    if len(comparison.targets) == 1:
        for method in dict.fromkeys(row["method"] for row in comparison.source_weights):
            name = f"weights-{method}".replace(" ", "-").replace("/", "-")
            displays[name] = SourceWeightsDisplay.from_comparison(comparison, method)
    return displays


def _draw(display):
    from matplotlib.figure import Figure  # not pyplot: no window system is needed

    n_lines = len(getattr(display, "source_names", getattr(display, "methods", ())))
    figure = Figure(figsize=figure_size(n_lines), layout="constrained")
    display.plot(ax=figure.add_subplot())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


# Page ---------------------------------------------------------------------------------------

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem; border-bottom: 1px solid #ccc; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.verdict { font-size: 1.15rem; font-weight: 600; }
.verdict { border-left: 4px solid #0072B2; padding-left: 1rem; }
img { max-width: 100%; } pre { white-space: pre-wrap; background: #f4f4f4; padding: .6rem; }
"""


def _html_page(comparison, figures, notes, command):
    sections = [
        "<h1>Does transfer help?</h1>",
        f'<p class="verdict">{html.escape(comparison.verdict)}</p>',
        _html_table(_loss_table(comparison)),
        f"<p>{html.escape(LOSS_NOTE).replace(chr(10), '<br>')}</p>",
        *(_html_image(name, image) for name, image in figures.items()),
        *_html_weights(comparison),
        _html_list("Failures", _failures(comparison)),
        _html_list("Notes on the data", notes),
        f"<h2>Again</h2><pre>{html.escape(command)}</pre>" if command else "",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>Does transfer help?</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(sections)
        + "\n</body></html>\n"
    )


def _html_weights(comparison):
    for title, table in _weight_tables(comparison).items():
        yield f"<h2>{html.escape(title)}</h2>{_html_table(table)}"


def _html_table(table):
    header, *rows = (list(map(html.escape, row)) for row in table)
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html_image(name, image):
    data = base64.b64encode(image).decode()
    return f'<p><img alt="{html.escape(name)}" src="data:image/png;base64,{data}"></p>'


def _html_list(title, lines):
    if not lines:
        return ""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{items}</ul>"
