"""The report as one page of HTML."""

import base64
import html

from skt.cli.text import (
    FIGURE_NOTE,
    _failures,
    _loss_note,
    _loss_table,
    _rest,
    _target_table,
    _weight_tables,
    setting,
)

# Rows of a table on the page; the files have all.
PAGE = 100

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
            _target_table(comparison, PAGE),
            f"Loss as a ratio to {comparison.baseline}, +/- one standard error: below 1 is a "
            "gain. Among many targets some look good or bad by chance"
            f"{_rest(len(comparison.targets), PAGE, 'targets', 'targets.csv')}.",
        )


def _html_weights(comparison, figures):
    """Weights by method, with a figure where there is one."""
    tables = _weight_tables(comparison, PAGE)
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


def _weights_name(method):
    return f"weights-{method}".replace(" ", "-").replace("/", "-")
