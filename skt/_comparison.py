"""What a comparison found: losses with honest errors, weights of sources, a verdict."""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit
from sklearn.pipeline import Pipeline

from skt._summaries import mean_and_error

__all__ = ["BASELINE", "METRICS", "Comparison"]

BASELINE = "target-only ridge"


# What is measured of one fit ------------------------------------------------------------------


class RowLosses(NamedTuple):
    """Loss of each held-out row of one fit; their mean is the loss of the fit."""

    rows: np.ndarray
    losses: np.ndarray


class SourceWeights(NamedTuple):
    """What one fit says of its sources."""

    weights: dict
    effective_sample_size: float


def _squared_errors(fitted, data):
    prediction = fitted.predict(data.X_test)
    if prediction.shape != data.y_test.shape or not np.isfinite(prediction).all():
        raise ValueError(
            f"predict must return finite numbers of shape {data.y_test.shape}; "
            f"got shape {prediction.shape}."
        )
    return (data.y_test - prediction) ** 2


def _row_losses(fitted, data):
    relative = _squared_errors(fitted, data) / data.mean_loss
    return RowLosses(data.test_rows, relative.reshape(len(relative), -1).mean(axis=1))


def _mean_squared_error(fitted, data):
    return _squared_errors(fitted, data).mean()


def _relative_loss(fitted, data):
    return _row_losses(fitted, data).losses.mean()


def _source_weights(fitted, data):
    model = fitted[-1] if isinstance(fitted, Pipeline) else fitted
    if not hasattr(model, "source_weights_"):
        return None
    weights = np.asarray(model.source_weights_, dtype=float)
    # Weights per output are averaged: the table has one figure for each source.
    weights = weights.reshape(-1, len(model.source_names_)).mean(axis=0)
    named = dict(zip(map(str, model.source_names_), weights.tolist(), strict=True))
    return SourceWeights(named, float(getattr(model, "effective_sample_size_", math.nan)))


METRICS = {
    "loss": _relative_loss,
    "mse": _mean_squared_error,
    "row_losses": _row_losses,
    "source_weights": _source_weights,
}


# Result ---------------------------------------------------------------------------------------


class Comparison:
    """What :func:`compare` found.

    A loss is a mean squared error divided by what predicting the mean of the target's training
    rows would give on average: 0 is perfect, 1 is useless. Errors are one standard error; they
    add the spread over random splits and the spread over the held-out rows, which more repeats
    do not reduce.

    Attributes
    ----------
    records : list of dict
        One for each target, repeat, method and metric ("loss", "mse").
    summary : list of dict
        One for each method: ``method, n_repeats, n_failures, mean, standard_error, ratio,
        difference, difference_error``; ratio and paired difference are to target-only ridge.
        With several targets, losses are averaged over them.
    by_target : list of dict
        The same for each target.
    source_weights : list of dict
        ``target, method, source, n_rows, weight, effective_rows`` for methods that weigh their
        sources: mean weight of one source row, where a target row has weight 1.
    effective_sample_sizes : list of dict
        ``target, method, target_size, effective_sample_size``.
    targets, methods : list of str
        Names.
    target_sizes : dict of str to int
        Training rows of each target.
    n_repeats : int
        Random splits of each target.
    failures : list of dict
        Records of the fits that failed, with the error.
    verdict : str
        One sentence.
    """

    baseline = BASELINE

    def __init__(self, records, tasks):
        by_name = {task.name: task for task in tasks}
        losses = _losses_by_method(records)
        self.targets = list(by_name)
        self.methods = list(losses)
        self.target_sizes = {task.name: task.target_size for task in tasks}
        self.n_repeats = len(losses[BASELINE][self.targets[0]])
        self.records = [_by_target(r) for r in records if r["metric"] in ("loss", "mse")]
        self.failures = [r for r in self.records if r["metric"] == "loss" and r["error"]]
        self.summary = _summary(losses)
        self.by_target = [
            {"target": target} | row
            for target in self.targets
            for row in _summary({method: {target: losses[method][target]} for method in losses})
        ]
        self.source_weights, self.effective_sample_sizes = _weights_by_source(records, by_name)
        self.verdict = _verdict(losses, self.summary, tasks)

    def to_frame(self):
        """Summary as a :class:`pandas.DataFrame`, one row for each method."""
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "to_frame needs pandas: run `pip install pandas`, or use .summary and .records, "
                "which are lists of dicts."
            ) from error
        return pd.DataFrame(self.summary).set_index("method")

    def plot(self, ax=None):
        """Draw the losses relative to target-only ridge; needs matplotlib."""
        from skt.plots import ComparisonDisplay

        return ComparisonDisplay.from_comparison(self).plot(ax=ax)

    def __repr__(self):
        return (
            f"<Comparison of {len(self.methods)} methods on {len(self.targets)} target(s), "
            f"{self.n_repeats} splits each: {self.verdict}>"
        )


def _by_target(record):
    design = record["design"]  # named after its target
    return {"target": design} | {k: v for k, v in record.items() if k not in ("design", "name")}


# Means and their errors ---------------------------------------------------------------------
# `losses[method][target][repeat]` holds the row losses of one fit, None if it failed.


def _losses_by_method(records):
    losses = {}
    for record in records:
        if record["metric"] == "row_losses":
            targets = losses.setdefault(record["method"], {})
            repeats = targets.setdefault(record["design"], {})
            repeats[record["repeat"]] = None if record["error"] else record["value"]
    return losses


def _summary(losses):
    reference, _ = _mean_loss(losses[BASELINE])
    return [_summary_row(method, targets, losses, reference) for method, targets in losses.items()]


def _summary_row(method, targets, losses, reference):
    mean, error = _mean_loss(targets)
    difference, difference_error = _mean_loss(_paired(targets, losses[BASELINE]))
    fits = [fit for repeats in targets.values() for fit in repeats.values()]
    return {
        "method": method,
        "n_repeats": len(fits),
        "n_failures": sum(fit is None for fit in fits),
        "mean": mean,
        "standard_error": error,
        # Through the paired difference, so that failed fits drop out of both sides.
        "ratio": 1 + difference / reference,
        "difference": difference,
        "difference_error": difference_error,
    }


def _paired(targets, reference):
    """Row losses of a method minus those of another, where both succeeded."""
    return {
        target: {
            repeat: RowLosses(fit.rows, fit.losses - reference[target][repeat].losses)
            for repeat, fit in repeats.items()
            if fit is not None and reference[target][repeat] is not None
        }
        for target, repeats in targets.items()
    }


def _mean_loss(targets):
    """Average over the targets and its standard error."""
    means, errors = zip(*map(_mean_of_target, targets.values()), strict=True)
    return float(np.mean(means)), float(np.linalg.norm(errors) / len(errors))


def _mean_of_target(repeats):
    fits = [fit for fit in repeats.values() if fit is not None]
    if not fits:
        return math.nan, math.nan
    mean, split_error = mean_and_error([fit.losses.mean() for fit in fits])
    # Splits of the same rows are no independent samples: their spread alone would shrink to
    # nothing with more repeats, however few target rows there are.
    _, row_error = mean_and_error(_mean_by_row(fits))
    return mean, math.hypot(split_error, row_error)


def _mean_by_row(fits):
    rows = np.concatenate([fit.rows for fit in fits])
    losses = np.concatenate([fit.losses for fit in fits])
    _, place, counts = np.unique(rows, return_inverse=True, return_counts=True)
    return np.bincount(place, weights=losses) / counts


# Weights ------------------------------------------------------------------------------------


def _weights_by_source(records, tasks):
    weights, sizes = [], []
    for (target, method), fits in _reported_weights(records).items():
        task, key = tasks[target], {"target": target, "method": method}
        weights += [key | row for row in _mean_weights(fits, task.domains[1])]
        size = float(np.mean([fit.effective_sample_size for fit in fits]))
        sizes.append(key | {"target_size": task.target_size, "effective_sample_size": size})
    return weights, sizes


def _reported_weights(records):
    reported = {}
    for record in records:
        if isinstance(record["value"], SourceWeights):
            reported.setdefault((record["design"], record["method"]), []).append(record["value"])
    return reported


def _mean_weights(fits, sources):
    for name, rows in sources.items():
        weight = float(np.mean([fit.weights.get(name, math.nan) for fit in fits]))
        yield {
            "source": name,
            "n_rows": len(rows),
            "weight": weight,
            "effective_rows": weight * len(rows),
        }


# Verdict ------------------------------------------------------------------------------------


def _verdict(losses, summary, tasks):
    """One sentence, allowing for the number of methods that were tried."""
    rivals = [row for row in summary if row["method"] != BASELINE and math.isfinite(row["ratio"])]
    if not rivals:
        return f"Nothing to compare: no method but {BASELINE} was fitted."
    errors = _critical_errors(rivals, tasks)
    helpful = [row for row in rivals if row["difference"] < -errors * row["difference_error"]]
    # A method that is better on average but uncertain must not hide one that surely helps.
    best = min(helpful or rivals, key=lambda row: row["difference"])
    if helpful:
        return f"{_change(best)}{_setting(tasks)}{_also(losses, best, rivals, errors)}."
    if all(_is_harmful(row, errors) for row in rivals):
        return f"Transfer hurts: even {_change(best)}{_setting(tasks)}."
    return (
        f"No method beats {BASELINE} beyond its error{_setting(tasks)}; "
        f"the closest is {best['method']} ({_figures(best)})."
    )


def _critical_errors(rivals, tasks):
    """Number of errors beyond which a difference counts: 5 % in all, shared by the methods.

    Student's quantile: an error from few splits, or from few rows, is itself uncertain.
    """
    n_splits = min(row["n_repeats"] for row in rivals)
    n_rows = sum(len(task.domains[0]) for task in tasks)
    return float(stdtrit(min(n_splits, n_rows) - 1, 1 - 0.025 / len(rivals)))


def _is_harmful(row, errors):
    return row["difference"] > errors * row["difference_error"]


def _change(row):
    verb = "lowers" if row["difference"] < 0 else "raises"
    percent = abs(1 - row["ratio"]) * 100
    return f"{row['method']} {verb} {BASELINE}'s error by {percent:.0f} % ({_figures(row)})"


def _figures(row):
    return (
        f"ratio {row['ratio']:.2f}, paired difference {row['difference']:+.3f} "
        f"+/- {row['difference_error']:.3f}"
    )


def _setting(tasks):
    sizes = sorted({task.target_size for task in tasks})
    rows = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    over = f", averaged over {len(tasks)} targets" if len(tasks) > 1 else ""
    return f" with {rows} target rows{over}"


def _also(losses, best, rivals, errors):
    """Who is as good as the best, and who does harm."""
    others = [row for row in rivals if row is not best]
    close = [row["method"] for row in others if not _is_worse(losses, row, best, errors)]
    harmful = [
        f"{row['method']} (ratio {row['ratio']:.2f})" for row in others if _is_harmful(row, errors)
    ]
    text = f"; {_listed(close)} cannot be told from it" if close else ""
    return text + (f"; {_listed(harmful)} would hurt" if harmful else "")


def _is_worse(losses, row, best, errors):
    gap, error = _mean_loss(_paired(losses[row["method"]], losses[best["method"]]))
    return gap > errors * error


def _listed(names):
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
