"""Metrics and tables for benchmarks in simulation: risk relative to a baseline.

Excess prediction risk ``(b - beta)' Sigma (b - beta)``, averaged over repeats of a setting and
divided by that of the baseline in the same repeats; then mean and worst over settings. The
standard error of the mean over settings is from the spread of repeats.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.harness import Study
from skt.reproductions.uowq import excess_risk
from skt.study import summarize

# Metrics: data hold `coef` and `covariance` --------------------------------------------------


def predicted_risk(fitted, data):
    return getattr(fitted, "risk_", np.nan)


def predicted_gain(fitted, data):
    return getattr(fitted, "transfer_gain_", np.nan)


METRICS = {
    "risk": excess_risk,
    "predicted risk": predicted_risk,
    "predicted gain": predicted_gain,
}

# Summaries ----------------------------------------------------------------------------------


def before_bar(design):
    """Return the part of a design's name before the bar."""
    return design.split("|")[0]


def after_bar(design):
    """Return the part of a design's name after the bar."""
    return design.split("|")[-1]


def everything(design):
    """Put all designs into one group."""
    return "all"


@dataclass(frozen=True)
class Report:
    """Ratios of one metric to the baseline, by group of designs.

    Parameters
    ----------
    baseline : str
        Method that the others are compared with.
    group, column : callable
        Of a design's name: to which group of rows it belongs, and to which column of the
        table of columns.
    metric : str, default="risk"
        Less is better.
    """

    baseline: str
    group: object = before_bar
    column: object = after_bar
    metric: str = "risk"

    def __call__(self, records, run):
        """Return what is kept of a study."""
        failed = [r for r in records if r["metric"] == self.metric and r["error"]]
        return {
            "baseline": self.baseline,
            "repeats": run.repeats,
            "seed": run.seed,
            "failures": len(failed),
            "rows": self.rows(records),
        }

    def rows(self, records):
        """One row for each method and group: mean and worst ratio."""
        summary = summarize(records, baseline=self.baseline)
        table = {}
        for row in summary:
            if row["metric"] == self.metric:
                cell = row["ratio"], row["ratio_error"]
                table.setdefault(row["method"], {})[row["design"]] = cell
        rows = []
        for method, cells in table.items():
            columns = _by(self.column, {d: ratio for d, (ratio, _) in cells.items()})
            means = {key: round(float(np.mean(list(v.values()))), 3) for key, v in columns.items()}
            rows += [
                {"group": group, "method": method} | _spread(members) | {"columns": means}
                for group, members in _by(self.group, cells).items()
            ]
        return rows

    def show(self, result):
        """Return the table of means and worst cases with what it rests on."""
        return "\n".join(
            [
                f"{result['repeats']} repeats a setting, seed {result['seed']}, relative to "
                f"{result['baseline']}; {result['failures']} failures.",
                "",
                table_of_ratios(result["rows"]),
            ]
        )


def risk_study(name, question, designs, methods, report, repeats=60, metrics=METRICS):
    """Return a study of risk in simulation.

    Parameters
    ----------
    name, question, designs, methods, repeats
        As of :class:`benchmarks.harness.Study`.
    report : Report
        What is kept and shown: baseline, groups and columns.
    metrics : mapping, default=METRICS
        Excess risk, and what methods predict of it.
    """
    return Study(name, question, designs, methods, metrics, report, report.show, repeats)


def table_of(records, metric="risk"):
    """Return values as {method: {design: array over repeats}}."""
    table = {}
    for r in records:
        if r["metric"] == metric:
            table.setdefault(r["method"], {}).setdefault(r["design"], []).append(r["value"])
    return {m: {d: np.array(v) for d, v in designs.items()} for m, designs in table.items()}


def _by(key, cells):
    groups = {}
    for design, cell in cells.items():
        groups.setdefault(key(design), {})[design] = cell
    return groups


def _spread(cells):
    """Return mean and worst of ratios with errors."""
    worst, error, design = max((*cell, design) for design, cell in cells.items())
    ratio, errors = np.array(list(cells.values())).T
    return {
        "mean": float(np.mean(ratio)),
        "standard_error": float(np.sqrt(np.sum(errors**2)) / len(cells)),
        "worst": float(worst),
        "worst_error": float(error),
        "worst_setting": design,
    }


# Tables -------------------------------------------------------------------------------------


def table_of_ratios(rows):
    """Mean and worst ratio of every method, by group of settings."""
    lines = [
        "| group | method | mean | s.e. | worst | (s.e.) | where |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['group']} | {r['method']} | {r['mean']:.3f} | {r['standard_error']:.3f} | "
            f"{r['worst']:.3f} | {r['worst_error']:.3f} | {_in_a_cell(r['worst_setting'])} |"
        )
    return "\n".join(lines)


def _in_a_cell(design):
    """Return a design's name without bars, which end a cell."""
    return design.replace("|", ", ")


def table_of_columns(rows, group="all"):
    """Mean ratio by column of settings, methods below each other."""
    rows = [r for r in rows if r["group"] == group]
    columns = list(rows[0]["columns"])
    lines = [f"| method | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for r in rows:
        cells = " | ".join(f"{r['columns'][name]:.3f}" for name in columns)
        lines.append(f"| {r['method']} | {cells} |")
    return "\n".join(lines)
