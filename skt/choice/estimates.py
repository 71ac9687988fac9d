"""Mean losses over random splits of the same rows, with their covariances.

Notation: m_v and m_b are the mean losses of a method and of the baseline, c their ratio, t the
quantile of Student's distribution by which errors are multiplied.
"""

import math
from typing import NamedTuple

import numpy as np

from skt.study.summaries import fieller

__all__ = ["Estimate", "by_method", "estimate", "of_targets", "summary"]


class Estimate(NamedTuple):
    """Mean losses of methods on the same splits, and where the covariance of these comes from.

    Splits of the same rows are no independent samples: their spread alone would shrink to
    nothing with more repeats, however few target rows there are.
    """

    means: np.ndarray
    by_splits: np.ndarray  # falls with the number of splits
    by_rows: np.ndarray  # falls with the number of target rows

    @property
    def covariance(self):
        """Covariance of the means."""
        return self.by_splits + self.by_rows


# `losses[method][target]` lists the row losses of the fits, repeat by repeat, None if one failed.


def by_method(records, metric):
    """Row losses of the fits, by method and target."""
    losses = {}
    for record in records:
        if record["metric"] == metric:
            targets = losses.setdefault(record["method"], {})
            fits = targets.setdefault(record["design"], [])
            fits.append(None if record["error"] else record["value"])
    return losses


def of_targets(losses, targets):
    """Row losses of some targets only."""
    return {
        method: {name: fits for name, fits in each.items() if name in targets}
        for method, each in losses.items()
    }


def estimate(*methods):
    """Return means over the splits in which all were fitted, every target counting the same."""
    # Targets count as independent. Those of equally many rows train on the same positions, which
    # matters only where rows are in order, and then little: splits are many.
    parts = [_of_target(fits) for fits in zip(*(each.values() for each in methods), strict=True)]
    means, by_splits, by_rows = (np.array(each) for each in zip(*parts, strict=True))
    number = len(parts) ** 2
    return Estimate(
        means.mean(axis=0), by_splits.sum(axis=0) / number, by_rows.sum(axis=0) / number
    )


def _of_target(methods):
    shared = [fits for fits in zip(*methods, strict=True) if all(fit is not None for fit in fits)]
    if not shared:
        return np.full(len(methods), math.nan), *np.full((2, len(methods), len(methods)), math.nan)
    losses = [np.column_stack([fit.losses for fit in fits]) for fits in shared]
    splits = np.array([table.mean(axis=0) for table in losses])
    rows = np.concatenate([fits[0].rows for fits in shared])
    by_row = _mean_by_row(rows, np.vstack(losses))
    return splits.mean(axis=0), _covariance_of_mean(splits), _covariance_of_mean(by_row)


def _mean_by_row(rows, losses):
    _, place, counts = np.unique(rows, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), losses.shape[1]))
    np.add.at(sums, place, losses)
    return sums / counts[:, None]


def _covariance_of_mean(values):
    n, q = values.shape
    if n < 2:
        return np.full((q, q), math.nan)
    return np.cov(values, rowvar=False).reshape(q, q) / n


# Summary ------------------------------------------------------------------------------------


def summary(losses, hits, baseline, t):
    """Return one row for each method, see :class:`skt.Comparison`."""
    return [_summary_row(method, losses, hits, baseline, t) for method in losses]


def _summary_row(method, losses, hits, baseline, t):
    fits = [fit for each in losses[method].values() for fit in each]
    return {
        "method": method,
        "n_repeats": len(fits),
        "n_failures": sum(fit is None for fit in fits),
        **_mean("mean", "standard_error", losses[method]),
        **_against(estimate(losses[method], losses[baseline]), t),
        **(_mean("accuracy", "accuracy_error", hits[method]) if hits else {}),
    }


def _mean(name, error_name, losses):
    own = estimate(losses)
    return {name: float(own.means[0]), error_name: math.sqrt(own.covariance[0, 0])}


def _against(paired, t):
    """Compare m_v with m_b."""
    m_v, m_b = map(float, paired.means)
    ratio = m_v / m_b if m_b else math.nan
    low, high = fieller(paired.means, paired.covariance, t, least=0.0)  # no loss is negative
    low = low or _low_by_logarithm(paired, t)
    return {
        "ratio": ratio,
        "ratio_error": error_of_ratio(paired.covariance, ratio, m_b),
        "ratio_low": low,
        "ratio_high": high,
        "difference": m_v - m_b,
        "difference_error": _error_of(paired.covariance, [1, -1]),
    }


def _low_by_logarithm(paired, t):
    """Return the lower end of the interval on the scale of logarithms, which is never zero.

    It stands in where Fieller's interval begins at zero: there the errors are so large that the
    losses are not told from zero, which they are known to exceed.
    """
    m_v, m_b = map(float, paired.means)
    if not (m_v > 0 and m_b > 0):
        return 0.0
    return m_v / m_b * math.exp(-t * _error_of(paired.covariance, [1 / m_v, -1 / m_b]))


def error_of_ratio(covariance, ratio, m_b):
    """Return the standard error of m_v / m_b, to first order."""
    return _error_of(covariance, [1, -ratio]) / abs(m_b) if m_b else math.nan


def _error_of(covariance, weights):
    """Return the standard error of a weighted sum of means."""
    variance = np.asarray(weights) @ covariance @ np.asarray(weights)
    return math.sqrt(max(variance, 0.0))  # below zero by rounding where two methods are the same
