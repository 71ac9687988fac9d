"""What a comparison found: losses with honest errors, weights of sources, a verdict."""

import math

import numpy as np

from skt.choice.estimates import by_method, estimate, of_targets, summary
from skt.choice.hold_out import SOURCE_CALLED_TARGET
from skt.choice.losses import SourceWeights
from skt.choice.verdict import VerdictContext, critical_errors, verdict, winner

__all__ = ["Comparison"]

# Result ---------------------------------------------------------------------------------------


class Comparison:
    """What :func:`compare` found.

    A loss is divided by that of a model without features: 0 is perfect, 1 is useless. For numbers
    it is the mean squared error over what predicting the mean of the target's training rows
    would give on average, for classes the log loss over that of their shares. Errors are one
    standard error; they add the spread over random splits and the spread over the held-out
    rows, which more repeats do not reduce.

    Attributes
    ----------
    records : list of dict
        One for each target, repeat, method and metric: "loss" and "mse", or of classes "loss",
        "log_loss" and "accuracy".
    summary : list of dict
        One for each method: ``method, n_repeats, n_failures, mean, standard_error, ratio,
        ratio_error, ratio_low, ratio_high, difference, difference_error``, and of classes
        ``accuracy, accuracy_error``. Ratio and paired difference are to `baseline`, over the
        splits in which both were fitted; ``ratio_error`` is to first order. The interval is
        Fieller's, as in :func:`skt.study.summarize`, but of 95 % for all methods together (each
        gets an equal part of the 5 %); where that would begin at zero, the lower end is that of
        the logarithm. The upper end is inf where the splits tell nothing. With several targets,
        losses are averaged over them.
    by_target : list of dict
        The same for each target; its intervals allow for the methods, not for the targets.
    source_weights : list of dict
        ``target, method, source, n_rows, weight, effective_rows`` for methods that weigh their
        sources: mean weight of one source row, where a target row has weight 1.
    effective_sample_sizes : list of dict
        ``target, method, target_size, effective_sample_size``.
    baseline : str
        The method that the others are compared with: the target alone.
    task : str
        "regression" or "classification".
    targets, methods : list of str
        Names.
    target_sizes : dict of str to int
        Training rows of each target.
    n_repeats : int
        Random splits of each target.
    critical_errors : float
        Standard errors by which a method must differ from the baseline to differ clearly.
    failures : list of dict
        Records of the fits that failed, with the error.
    verdict : str
        One or two sentences: transfer helps, hurts, makes no clear difference (its interval
        within 10 % of the baseline), or there are too few rows, or splits, to tell.
    winner : str
        The method to take: the best of those that clearly help, else the baseline.

    Notes
    -----
    A row trains in many splits, which makes these more alike than the errors know. In two simulated
    designs with three methods the intervals held together on 92 (60 target rows) and 94 (24 rows)
    of 100 data sets instead of 95, with a standard error of 3.
    """

    def __init__(self, records, tasks, kind, baseline):
        losses, hits = by_method(records, "row_losses"), by_method(records, "row_hits")
        self.task, self.baseline = kind.name, baseline
        self.targets = [task.name for task in tasks]
        self.methods = list(losses)
        self.target_sizes = {task.name: task.target_size for task in tasks}
        self.n_repeats = len(losses[baseline][self.targets[0]])
        self.records = [_by_target(r) for r in records if r["metric"] in kind.shown]
        self.failures = [r for r in self.records if r["metric"] == "loss" and r["error"]]
        # Another model of the target alone borrows nothing: it is no rival.
        rivals = [method for method in losses if method not in (baseline, kind.alone)]
        self.summary, self.critical_errors = _summary(losses, hits, baseline, rivals, tasks)
        self.by_target = [
            {"target": task.name} | row
            for task in tasks
            for row in _summary(losses, hits, baseline, rivals, [task])[0]
        ]
        self.source_weights, self.effective_sample_sizes = _weights_by_source(records, tasks)
        fitted = [r for r in self.summary if r["method"] in rivals and math.isfinite(r["ratio"])]
        setting = VerdictContext(
            baseline,
            kind.loss,
            list(self.target_sizes.values()),
            _n_rows(tasks),
            len(fitted),
            "rows" if tasks[0].members is None else "groups",
        )
        self.verdict = verdict(fitted, losses, self.critical_errors, setting)
        self.winner = winner(fitted, baseline)

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
        """Draw the losses relative to the baseline; needs matplotlib."""
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


def _summary(losses, hits, baseline, rivals, tasks):
    """Rows of the methods over some targets, and the errors by which their intervals reach."""
    names = [task.name for task in tasks]
    losses, hits = of_targets(losses, names), of_targets(hits, names)
    paired = [estimate(losses[rival], losses[baseline]) for rival in rivals]
    n_fitted = sum(bool(np.isfinite(each.means).all()) for each in paired)
    n_splits = sum(len(fits) for fits in losses[baseline].values())
    t = critical_errors(n_fitted, n_splits, _n_rows(tasks))
    return summary(losses, hits, baseline, t), t


def _n_rows(tasks):
    return sum(task.n_units for task in tasks)


# Weights ------------------------------------------------------------------------------------


def _weights_by_source(records, tasks):
    weights, sizes, by_name = [], [], {task.name: task for task in tasks}
    for (target, method), fits in _reported_weights(records).items():
        task, key = by_name[target], {"target": target, "method": method}
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
            "source": "target" if name == SOURCE_CALLED_TARGET else name,
            "n_rows": len(rows),
            "weight": weight,
            "effective_rows": weight * len(rows),
        }
