"""Records of a study in few numbers: means, paired ratios, ranks, worst cases, tables.

Notation: v_r and b_r are the values of a method and of the baseline in repeat r = 1..R, m_v and
m_b their means, s_vv, s_vb, s_bb the covariances of these means, t Student's quantile for R - 1
degrees of freedom.
"""

import math
from collections import defaultdict
from numbers import Real

import numpy as np
from scipy.special import stdtrit
from scipy.stats import rankdata

from skt.study.records import COLUMNS

__all__ = ["mean_and_error", "summarize", "summarize_designs"]

LEVEL = 0.95


def summarize(records, *, baseline=None, greater_is_better=()):
    """Reduce the records of a study to one row for each design, metric and method.

    Parameters
    ----------
    records : list of dict
        What :func:`run_study` or :func:`load_records` returned.
    baseline : str, default=None
        Method that the others are compared with. None compares with nothing.
    greater_is_better : collection of str, default=()
        Metrics of which more is better, which turns ranks and worst values round.

    Returns
    -------
    list of dict
        Keys: ``design``, its parameters, ``metric, method, n_repeats, n_failures, mean,
        standard_error, rank, worst, worst_repeat``. Standard errors are over repeats. ``rank``
        is the mean, over repeats, of the method's place among all, 1 being the best; a failure
        is last. A value that is not finite is a failure.

        With a baseline also ``ratio, ratio_error, ratio_low, ratio_high, difference,
        difference_error``, over the repeats in which both succeeded: the ratio of the means
        with its standard error (to first order) and Fieller's 95 % interval, and the mean
        paired difference (method - baseline) with its standard error.

    Notes
    -----
    Fieller's interval holds the ratios c for which the mean of v - c b is not told from zero by
    Student's test. It is exact where v and b are jointly normal, keeps its level better than
    intervals of first order where they are skewed, and is unbounded where the baseline's mean
    is not told from zero. Where no value is negative the interval ends at zero: it is (0, inf)
    where nothing is known of the ratio. Simulated coverage at 10 to 50 repeats: 95 to 97 % for
    gamma distributed losses, 96 to 97 % for log-normal ones, where the interval of the logarithm
    to first order covers 90 to 95 % and 89 to 93 %; down to 77 % where only one method's losses
    are very skewed (log-normal, sigma 1.5), 81 to 87 % for the logarithm.

    References
    ----------
    E. C. Fieller (1954), Some problems in interval estimation, JRSS B 16(2), 175-185.

    Examples
    --------
    >>> from skt.study import summarize
    >>> records = [
    ...     {"design": "d", "method": m, "repeat": r, "metric": "loss", "value": value}
    ...     for m, values in {"old": [2.0, 4.0, 6.0], "new": [1.0, 2.5, 2.5]}.items()
    ...     for r, value in enumerate(values)
    ... ]
    >>> new = summarize(records, baseline="old")[1]
    >>> new["mean"], new["ratio"], new["difference"], new["rank"]
    (2.0, 0.5, -2.0, 1.0)
    """
    parameters, groups = _grouped(records)
    if baseline is not None:
        _check_baseline(baseline, groups)
    return [
        {"design": design, **parameters[design], "metric": metric, "method": method}
        | _moments(values)
        | standing
        | _against(values, methods.get(baseline), baseline)
        for (design, metric), methods in groups.items()
        for (method, values), standing in zip(
            methods.items(), _standings(methods, metric in greater_is_better), strict=True
        )
    ]


def summarize_designs(summary, *, greater_is_better=()):
    """Reduce a summary further, to one row for each metric and method over all designs.

    Parameters
    ----------
    summary : list of dict
        What :func:`summarize` returned with a baseline.
    greater_is_better : collection of str, default=()
        As in :func:`summarize`.

    Returns
    -------
    list of dict
        Keys: ``metric, method, n_designs, n_failures, mean_ratio, mean_ratio_error,
        worst_ratio, worst_ratio_error, worst_design, rank``. Every design counts the same; the
        error of the mean is from the repeats, so it is about these designs and no others. A
        worst case is the largest of many noisy figures and looks worse than it is.

    Examples
    --------
    >>> from skt.study import summarize, summarize_designs
    >>> records = [
    ...     {"design": d, "method": m, "repeat": r, "metric": "loss", "value": v * (r + 1.0)}
    ...     for d, m, v in [("a", "old", 2), ("a", "new", 1), ("b", "old", 1), ("b", "new", 2)]
    ...     for r in range(3)
    ... ]
    >>> new = summarize_designs(summarize(records, baseline="old"))[1]
    >>> new["mean_ratio"], new["worst_ratio"], new["worst_design"]
    (1.25, 2.0, 'b')
    """
    if any("ratio" not in row for row in summary):
        raise ValueError(
            "summarize_designs needs ratios; pass what summarize(records, baseline=...) returns."
        )
    groups = defaultdict(list)
    for row in summary:
        groups[row["metric"], row["method"]].append(row)
    return [
        {"metric": metric, "method": method} | _over_designs(rows, metric in greater_is_better)
        for (metric, method), rows in groups.items()
    ]


def mean_and_error(values):
    """Mean of independent values and its standard error; nan where there are too few."""
    values = np.asarray(values, dtype=float)
    mean = values.mean() if values.size else math.nan
    error = values.std(ddof=1) / math.sqrt(values.size) if values.size > 1 else math.nan
    return float(mean), float(error)


# Rows ---------------------------------------------------------------------------------------
# `groups[design, metric][method]` holds values by repeat.


def _grouped(records):
    """Parameters by design, and values of all cells that give numbers."""
    parameters, groups = {}, defaultdict(lambda: defaultdict(dict))
    for record in records:
        design, value = record["design"], record["value"]
        if type(value) is float or isinstance(value, Real):  # the first is faster
            groups[design, record["metric"]][record["method"]][record["repeat"]] = value
        if design not in parameters:
            parameters[design] = {k: v for k, v in record.items() if k not in COLUMNS}
    return parameters, groups


def _moments(values):
    finite = [value for value in values.values() if math.isfinite(value)]
    mean, error = mean_and_error(finite)
    return {
        "n_repeats": len(values),
        "n_failures": len(values) - len(finite),
        "mean": mean,
        "standard_error": error,
    }


def _standings(methods, greater_is_better):
    """Mean rank and worst repeat of each method."""
    shared = sorted(set.intersection(*map(set, methods.values())))
    table = np.array([[values[r] for r in shared] for values in methods.values()], dtype=float)
    sign = -1 if greater_is_better else 1
    losses = np.where(np.isfinite(table), sign * table, np.inf)
    ranks = rankdata(losses, axis=0).mean(axis=1) if shared else np.full(len(methods), math.nan)
    return [
        {"rank": float(rank)} | _worst(values, sign)
        for rank, values in zip(ranks, methods.values(), strict=True)
    ]


def _worst(values, sign):
    finite = {repeat: value for repeat, value in values.items() if math.isfinite(value)}
    repeat = max(finite, key=lambda r: sign * finite[r], default=None)
    return {"worst": finite.get(repeat, math.nan), "worst_repeat": repeat}


def _against(values, reference, baseline):
    """Paired comparison with the baseline."""
    if baseline is None:
        return {}
    v, b = _pairs(values, reference or {})
    difference, error = mean_and_error(v - b)
    ratio = float(v.sum() / b.sum()) if b.sum() else math.nan
    low, high = _fieller(v, b) if values is not reference else (ratio, ratio)
    return {
        "ratio": ratio,
        "ratio_error": mean_and_error(v - ratio * b)[1] / abs(float(np.mean(b))) if ratio == ratio
        else math.nan,
        "ratio_low": low,
        "ratio_high": high,
        "difference": difference,
        "difference_error": error,
    }  # fmt: skip


def _pairs(values, reference):
    pairs = [(values[repeat], reference[repeat]) for repeat in values if repeat in reference]
    pairs = np.array(pairs, dtype=float).reshape(-1, 2)
    return pairs[np.isfinite(pairs).all(axis=1)].T


def _fieller(v, b):
    """Interval of the ratio of the means of paired values."""
    if len(v) < 2:
        return math.nan, math.nan
    t = stdtrit(len(v) - 1, (1 + LEVEL) / 2)
    least = 0.0 if min(v.min(), b.min()) >= 0 else -math.inf
    return fieller((v.mean(), b.mean()), np.cov(v, b) / len(v), t, least=least)


def fieller(means, covariance, t, *, least=-math.inf):
    """Interval of the ratio of means: all c with (m_v - c m_b)^2 <= t^2 Var(m_v - c m_b).

    No ratio is below `least`: zero for means of losses.
    """
    m_v, m_b = means
    (s_vv, s_vb), (_, s_bb) = covariance
    # a c^2 - 2 h c + d <= 0
    a, h, d = m_b**2 - t**2 * s_bb, m_v * m_b - t**2 * s_vb, m_v**2 - t**2 * s_vv
    if a <= 0:
        return least, math.inf
    half = math.sqrt(max(h**2 - a * d, 0.0))
    return max(float((h - half) / a), least), float((h + half) / a)


def _over_designs(rows, greater_is_better):
    known = [row for row in rows if math.isfinite(row["ratio"])]
    pick = min if greater_is_better else max
    worst = pick(known, key=lambda row: row["ratio"], default={})
    errors = np.array([row["ratio_error"] for row in known])
    return {
        "n_designs": len(rows),
        "n_failures": sum(row["n_failures"] for row in rows),
        "mean_ratio": float(np.mean([row["ratio"] for row in known])) if known else math.nan,
        "mean_ratio_error": float(np.linalg.norm(errors) / len(known)) if known else math.nan,
        "worst_ratio": worst.get("ratio", math.nan),
        "worst_ratio_error": worst.get("ratio_error", math.nan),
        "worst_design": worst.get("design"),
        "rank": float(np.mean([row["rank"] for row in rows])),
    }


def _check_baseline(baseline, groups):
    methods = sorted({method for group in groups.values() for method in group})
    if baseline not in methods:
        raise ValueError(f"baseline must be one of the methods {methods}; got {baseline!r}.")
