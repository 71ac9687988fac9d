"""What a comparison comes to, in a sentence or two.

All statements allow for the number of methods tried: the intervals of the ratios hold for all of
them together, and a method differs clearly if its interval does not hold 1.
"""

import math
from typing import NamedTuple

from scipy.special import stdtrit

from skt.choice.estimates import error_of_ratio, estimate

__all__ = ["LEVEL", "critical_errors", "rows_needed", "verdict", "winner"]

# Of the intervals of all methods together.
LEVEL = 0.95
# An interval this near to 1 leaves nothing that matters: no clear difference, and rows enough.
NARROW = 0.1
# An error that comes from fewer rows is too uncertain itself to say how many would do.
LEAST_ROWS = 10


class VerdictContext(NamedTuple):
    """What the verdict is about."""

    baseline: str
    loss: str  # what the loss is called
    target_sizes: list
    n_rows: int  # of all targets
    n_rivals: int
    unit: str = "rows"  # what differs by chance: rows, or groups that are kept whole


def critical_errors(n_rivals, n_splits, n_rows):
    """Number of errors beyond which a difference counts: 5 % in all, shared by the methods.

    Student's quantile: an error from few splits, or from few rows, is itself uncertain.
    """
    tail = (1 - LEVEL) / 2 / max(n_rivals, 1)
    return float(stdtrit(min(n_splits, n_rows) - 1, 1 - tail))


def verdict(rows, losses, t, setting):
    """Return the verdict on methods, given their rows of the summary and all row losses."""
    if not rows:
        return f"Nothing to compare: no method but {setting.baseline} was fitted."
    helpful = [row for row in rows if row["ratio_high"] < 1]
    harmful = [row for row in rows if row["ratio_low"] > 1]
    undecided = [row for row in rows if row not in helpful and row not in harmful]
    # A method that is better on average but uncertain must not hide one that surely helps.
    best = min(helpful or undecided or rows, key=lambda row: row["difference"])
    others = [row for row in rows if row is not best]
    if helpful:
        close = [r for r in others if r["ratio"] < 1 and not _is_worse(losses, r, best, t)]
        change = f"{_change(best, setting)}{_useless(best)}"
        return f"Transfer helps: {change}{_equals(close)}{_hurts(harmful)}."
    if not undecided:
        return f"Transfer hurts: even {_change(best, setting)}."
    if _is_narrow(best):
        doubtful = [row for row in undecided if row["ratio_low"] < 1 - NARROW]
        return f"{_no_difference(best, setting)}{_unclear(doubtful)}{_hurts(harmful)}."
    return _cannot_tell(best, losses, setting)


def winner(rows, baseline):
    """Return the method to take: the best of those that clearly help, else the baseline."""
    helpful = [row for row in rows if row["ratio_high"] < 1]
    return min(helpful, key=lambda row: row["difference"])["method"] if helpful else baseline


def _is_narrow(row):
    return row["ratio_low"] >= 1 - NARROW and row["ratio_high"] <= 1 + NARROW


def _is_worse(losses, row, best, t):
    paired = estimate(losses[row["method"]], losses[best["method"]])
    gap = paired.means[0] - paired.means[1]
    return gap > t * error_of_ratio(paired.covariance, 1.0, 1.0)


# Too few rows -------------------------------------------------------------------------------


def _cannot_tell(best, losses, setting):
    paired = estimate(losses[best["method"]], losses[setting.baseline])
    error = error_of_ratio(paired.by_rows, best["ratio"], paired.means[1])
    needed = rows_needed(error, setting.n_rows, setting.n_rivals)
    too_few = "splits" if needed <= setting.n_rows else setting.unit
    return f"Too few {too_few} to tell: {_may(best, setting)}.{_remedy(needed, setting)}"


def rows_needed(error, n_rows, n_rivals):
    """Return the target rows that would narrow an interval to 10 % either way.

    The error of the ratio falls with the root of the rows, of the same kind, as long as no more of
    them train than now, and splits are many.
    """
    needed = float(n_rows)
    for _ in range(10):  # Student's quantile falls with the rows as well
        t = critical_errors(n_rivals, math.inf, max(needed, 2.0))
        needed = n_rows * (t * error / NARROW) ** 2
    return needed


def _remedy(needed, setting):
    narrow = f"would narrow this to {NARROW:.0%} either way".replace("%", " %")
    if needed <= setting.n_rows:
        return f" More splits (n_repeats, --repeats) {narrow}."
    if setting.n_rows < LEAST_ROWS or not math.isfinite(needed):
        return ""
    if len(setting.target_sizes) > 1:
        rows = f"{max(needed / setting.n_rows, 1.1):.2g} times as many target {setting.unit}"
    else:
        more = _some_more(needed, setting.n_rows)
        rows = f"{more} target {setting.unit} instead of {setting.n_rows}"
    return f" About {rows}, training on as many as now, {narrow}."


def _some_more(needed, n_rows):
    """Two digits of the rows needed, the rest being guesses; at least a tenth more than now."""
    unit = 10 ** max(math.floor(math.log10(needed)) - 1, 0)
    return max(round(needed / unit), math.ceil(1.1 * n_rows / unit)) * unit


# Words --------------------------------------------------------------------------------------


def _change(row, setting):
    verb = "lowers" if row["ratio"] < 1 else "raises"
    return (
        f"{row['method']} {verb} {setting.baseline}'s {setting.loss} by "
        f"{_percent(abs(1 - row['ratio']))} % ({_interval(row)}){_with(setting)}"
    )


def _percent(share):
    return "less than 1" if share < 0.005 else f"{100 * share:.0f}"


def _useless(row):
    """A gain on a model that is worse than none may not be worth having."""
    return f", but is worse than no model (loss {row['mean']:.2f})" if row["mean"] > 1 else ""


def _no_difference(row, setting):
    most = f"by at most {max(_ends(row))} % either way"
    return (
        f"No clear difference: {_best(row, setting)} changes {setting.baseline}'s {setting.loss} "
        f"{most} ({_interval(row)}){_with(setting)}"
    )


def _may(row, setting):
    whose = f"{setting.baseline}'s {setting.loss}"
    what = f"lower or raise {whose} by any amount"
    if math.isfinite(row["ratio_high"]):
        less, more = _ends(row)
        what = f"lower {whose} by up to {less} % or raise it by up to {more} %"
    return f"{_best(row, setting)} may {what} (ratio {row['ratio']:.2f}){_with(setting)}"


def _best(row, setting):
    return row["method"] + (", the best on average," if setting.n_rivals > 1 else "")


def _ends(row):
    """Most that the loss may fall and rise, in whole per cent."""
    ends = 1 - row["ratio_low"], row["ratio_high"] - 1
    return [math.ceil(round(100 * end, 6)) for end in ends]


def _interval(row):
    return f"ratio {row['ratio']:.2f}, from {row['ratio_low']:.2f} to {row['ratio_high']:.2f}"


def _with(setting):
    sizes = sorted(set(setting.target_sizes))
    rows = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    number = len(setting.target_sizes)
    return f" with {rows} target rows" + (f", averaged over {number} targets" if number > 1 else "")


def _equals(rows):
    return f"; {_listed(rows)} cannot be told from it" if rows else ""


def _unclear(rows):
    return f"; whether {_listed(rows)} would help is open" if rows else ""


def _hurts(rows):
    return f"; {_listed(rows, ratios=True)} would hurt" if rows else ""


def _listed(rows, ratios=False):
    names = [f"{r['method']} (ratio {r['ratio']:.2f})" if ratios else r["method"] for r in rows]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
