"""Rivals, metrics and tables for benchmarks on real data (designs: :mod:`benchmarks.data`).

A loss is the mean squared error divided by that of predicting the target's training mean: 1 is
useless; with several outputs it is averaged over them.

Two ratios to the baseline are given. "Ratio" is that of the mean losses; a few repetitions with
large losses dominate it. "Typical" is the geometric mean of the ratios of single repetitions,
which they do not. Errors are standard errors over repetitions: how sure a figure is for these
groups, not for groups that were never seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import StackingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.harness import Study
from skt.sources import split_domains
from skt.study import summarize

BASELINE = "target-only ridge"

# Methods ------------------------------------------------------------------------------------


def ridge():
    return RidgeCV(alphas=np.logspace(-3, 4, 15))


def fit_on(which, estimator, data):
    """Fit on the rows of some domains."""
    rows = data.rows(which)
    return clone(estimator).fit(data.X[rows], data.y[rows])


class Sum(NamedTuple):
    """Model whose prediction is the sum of two."""

    first: Any
    second: Any

    def predict(self, X):
        return self.first.predict(X) + self.second.predict(X)


def source_and_residual(data):
    """Fit the sources, then what they leave unexplained in the target."""
    source, rows = fit_on("sources", ridge(), data), data.rows("target")
    residual = data.y[rows] - source.predict(data.X[rows])
    return Sum(source, ridge().fit(data.X[rows], residual))


def stacked_sources(passthrough, data):
    """Stack frozen models of the sources on the target's rows, as scikit-learn offers it.

    No source model has seen a target row, so that "prefit" leaks nothing.
    """
    target, sources = split_domains(data.sample_domain, len(data.X))
    models = [
        (f"source {i}", FrozenEstimator(ridge().fit(data.X[rows], data.y[rows])))
        for i, rows in enumerate(sources.values())
    ]
    final = make_pipeline(StandardScaler(), ridge())
    stack = StackingRegressor(models, final, cv="prefit", passthrough=passthrough)
    return stack.fit(data.X[target], data.y[target])


RIVALS = {
    BASELINE: partial(fit_on, "target", ridge()),
    "target-only least squares": partial(fit_on, "target", LinearRegression()),
    "pooled ridge": partial(fit_on, "all", ridge()),
    "source-only ridge": partial(fit_on, "sources", ridge()),
    "source + residual ridge": source_and_residual,
}
STACKING = {
    "stacked source models": partial(stacked_sources, False),
    "stacked source models + features": partial(stacked_sources, True),
}

# Metrics ------------------------------------------------------------------------------------


def squared_error(fitted, data):
    return np.mean((data.y_test - fitted.predict(data.X_test)) ** 2)


def relative_loss(fitted, data):
    mean = np.mean(data.y[data.rows("target")], axis=0)
    error = np.mean((data.y_test - fitted.predict(data.X_test)) ** 2, axis=0)
    return np.mean(error / np.mean((data.y_test - mean) ** 2, axis=0))


METRICS = {"loss": relative_loss, "mse": squared_error}

# Report -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """What is kept of a study on real data, and the bar that one method is held against.

    Parameters
    ----------
    designs : mapping of str to benchmarks.data.Samples
        The study's, for the sizes of the data sets.
    method : str
        The method whose figures the bar is about.
    most_harm : float
        Largest ratio to the baseline on any data set.
    least_wins : int
        On how many data sets it must be the best, or within one standard error of it.
    beside : tuple of str
        Data sets that are shown and do not count.
    """

    designs: Mapping
    method: str
    least_wins: int
    most_harm: float = 1.02
    beside: tuple = ()

    def __call__(self, records, run):
        """Return the bar and, for each data set, sizes and one row for each method."""
        data_sets = {
            name: samples.load().facts()
            | _measured([r for r in records if r["design"] == name], run)
            for name, samples in run.chosen(self.designs).items()
        }
        return {"bar": self.judge(data_sets), "data_sets": data_sets}

    def judge(self, data_sets):
        """Hold the method against the bar, about mean losses; and typical ones, to know."""
        rows = {
            name: next(row for row in facts["methods"] if row["method"] == self.method)
            for name, facts in data_sets.items()
            if name not in self.beside or len(data_sets) == 1
        }
        never_harms = all(row["ratio"] <= self.most_harm for row in rows.values())
        wins = {name: _is_near_best(row, "behind_best") for name, row in rows.items()}
        return {
            "ratio_to_target_only": {name: row["ratio"] for name, row in rows.items()},
            "never_harms": never_harms,
            "best_or_within_one_error": wins,
            "best_or_within_one_error_typically": {
                name: _is_near_best(row, "typical_behind_best") for name, row in rows.items()
            },
            "passed": never_harms and sum(wins.values()) >= min(self.least_wins, len(wins)),
        }

    def show(self, result):
        """Return a table for each data set, and the verdict."""
        parts = [self.table(name, facts) for name, facts in result["data_sets"].items()]
        return "\n\n".join([*parts, self.verdict(result["bar"])])

    def table(self, name, facts):
        lines = [
            f"### {name}",
            "",
            f"{facts['n_rows']} rows x {facts['n_features']} features, {facts['n_groups']} "
            f"groups, {facts['n_possible_targets']} of them possible targets, "
            f"{facts['n_train']} target rows to train, {facts['n_repeats']} repetitions.",
            "",
            "| method | loss | ratio | typical | worst | behind the best | mean squared error |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += map(self._line, sorted(facts["methods"], key=lambda row: row["loss"]))
        return "\n".join([*lines, "", *(f"Failed: {text}" for text in facts["failures"])])

    def _line(self, row):
        cells = (
            _with_error(row, "loss"),
            _with_error(row, "ratio"),
            _with_error(row, "typical"),
            f"{row['worst']:.2f}",
            _with_error(row, "behind_best"),
            f"{row['mse']:.4g} ± {row['mse_error']:.2g}",
        )
        title = f"**{row['method']}**" if row["method"] == self.method else row["method"]
        return f"| {title} | {' | '.join(cells)} |"

    def verdict(self, bar):
        wins, typical = (
            sum(bar[f"best_or_within_one_error{suffix}"].values()) for suffix in ("", "_typically")
        )
        return (
            f"Bar {'met' if bar['passed'] else 'MISSED'}: largest ratio of the default to "
            f"target-only ridge {max(bar['ratio_to_target_only'].values()):.3f} (at most "
            f"{self.most_harm}); best or within one standard error of the best on {wins} of "
            f"{len(bar['best_or_within_one_error'])} (at least {self.least_wins} of "
            f"{len(self.designs) - len(self.beside)}), by typical losses on {typical}."
        )


def hold_out_study(
    name, question, designs, methods, report, repeats=100, metrics=METRICS, peers=()
):
    """Return a study of losses on target rows that were held out.

    Parameters
    ----------
    name, question, methods, repeats, peers
        As of :class:`benchmarks.harness.Study`.
    designs : mapping of str to callable
        ``design(rng)`` draws a :class:`benchmarks.data.Split`.
    report : Report or another callable with ``show``
        What is kept and shown.
    metrics : mapping, default=METRICS
        Losses.
    """
    return Study(name, question, designs, methods, metrics, report, report.show, repeats, peers)


def _measured(records, run):
    return {
        "n_repeats": run.repeats,
        "failures": sorted({f"{r['method']}: {r['error']}" for r in records if r["error"]}),
        "methods": _rows(records),
    }


def _losses(records, metric="loss"):
    losses = {}
    for record in records:
        if record["metric"] == metric:
            losses.setdefault(record["method"], []).append(record["value"])
    return losses


def _rows(records):
    """One row for each method: means, errors, and comparisons with baseline and best."""
    summary = [r for r in summarize(records, baseline=BASELINE) if r["metric"] == "loss"]
    mse = {r["method"]: r for r in summarize(records) if r["metric"] == "mse"}
    losses = {method: np.array(values) for method, values in _losses(records).items()}
    best = min(losses.values(), key=np.nanmean)
    typical_best = min(losses.values(), key=lambda values: np.nanmean(np.log(values)))
    return [
        {
            "method": row["method"],
            "n_failures": row["n_failures"],
            "loss": row["mean"],
            "loss_error": row["standard_error"],
            "mse": mse[row["method"]]["mean"],
            "mse_error": mse[row["method"]]["standard_error"],
        }
        | _compared(losses[row["method"]], losses[BASELINE], best, typical_best)
        for row in summary
    ]


def _compared(losses, baseline, best, typical_best):
    """Paired comparisons; errors of ratios are to first order."""
    behind = np.log(losses / typical_best)
    ratio = np.nanmean(losses) / np.nanmean(baseline)
    logs = np.log(losses / baseline)
    typical = np.exp(np.nanmean(logs))
    return {
        "ratio": float(ratio),
        "ratio_error": _error(losses - ratio * baseline) / float(np.nanmean(baseline)),
        "typical": float(typical),
        "typical_error": float(typical) * _error(logs),
        "worst": float(np.exp(np.nanmax(logs))),
        "behind_best": float(np.nanmean(losses - best)),
        "behind_best_error": _error(losses - best),
        "typical_behind_best": float(np.nanmean(behind)),
        "typical_behind_best_error": _error(behind),
    }


def _error(values):
    values = values[np.isfinite(values)]
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def _is_near_best(row, key):
    return row[key] <= row[f"{key}_error"]


def _with_error(row, key):
    return f"{row[key]:.3f} ± {row[key + '_error']:.3f}"
