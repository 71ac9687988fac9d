"""Results of comparisons and studies."""

import math

import numpy as np

from ._drawing import (
    BLUE,
    DASHES,
    LINES,
    MARKS,
    ORANGE,
    Display,
    LinesDisplay,
    check_choice,
    remove_frame,
)

# A ratio beyond this puts the others on top of each other, unless the axis is logarithmic.
FAR = 3.0


class ComparisonDisplay(LinesDisplay):
    """Loss of each method relative to the target alone, with intervals.

    The interval of a filled point does not reach the reference line; that of a hollow one does.
    In a :class:`skt.Comparison` intervals are of 95 % for all methods together. They are of the
    ratio on the same splits, so the reference itself has none.

    Parameters
    ----------
    methods : list of str
        Names, drawn from top to bottom.
    ratios : list of float
        Loss relative to the baseline.
    intervals : list of (float, float)
        Lower and upper end for each ratio.
    baseline : str
        Name of the reference line.
    """

    def __init__(self, methods, ratios, intervals, baseline):
        self.methods = methods
        self.ratios = ratios
        self.intervals = intervals
        self.baseline = baseline

    @classmethod
    def from_comparison(cls, comparison):
        """Make the display of a :class:`skt.Comparison`, best method first."""
        rows = {row["method"]: row for row in comparison.summary}
        del rows[comparison.baseline]
        drawn = [row for row in rows.values() if math.isfinite(row["ratio"])]
        drawn.sort(key=lambda row: row["ratio"])
        return cls(
            [row["method"] for row in drawn],
            [row["ratio"] for row in drawn],
            [(row["ratio_low"], row["ratio_high"]) for row in drawn],
            comparison.baseline,
        )

    @property
    def labels(self):
        """What the lines say."""
        return self.methods

    def _draw(self, ax):
        ax.axvline(1.0, color="black", linestyle="--", linewidth=1)
        for row, estimate in enumerate(zip(self.ratios, self.intervals, strict=True)):
            _draw_estimate(ax, row, *estimate)
        self._label_lines(ax, self.methods)
        _spread_out(ax, self.ratios)
        ax.set_xlabel(f"loss relative to {self.baseline}; bars: joint 95 % intervals")
        _mark_sides(ax)


def _draw_estimate(ax, row, ratio, interval):
    """One point with its bar, filled where it is clear of the reference."""
    low, high = interval
    clear = not low <= 1 <= high
    # Without end, an interval has no bar.
    bar = [[ratio - low], [high - ratio]] if np.isfinite(interval).all() else None
    color = BLUE if ratio < 1 else ORANGE
    ax.errorbar(
        ratio,
        row,
        xerr=bar,
        fmt="o" if ratio < 1 else "s",
        color=color,
        markerfacecolor=color if clear else "white",
        markeredgecolor="black" if clear else color,
        capsize=3,
    )


def _spread_out(ax, ratios):
    """Logarithmic axis if one ratio is so large that it would squeeze the others together."""
    if max(ratios, default=1) <= FAR:
        return
    left, right = min(*ratios, 1) / 1.5, max(ratios) * 1.5
    ax.set_xscale("log")
    ax.set_xlim(left, right)
    ticks = [unit * 10.0**power for power in range(-3, 7) for unit in (1, 2, 5)]
    ax.set_xticks([tick for tick in ticks if left <= tick <= right])
    ax.xaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()


def _mark_sides(ax):
    """Say which side is which, at the reference line."""
    transform = ax.get_xaxis_transform()
    for text, shift, side in (("better", -4, "right"), ("worse", 4, "left")):
        ax.annotate(
            text, (1.0, 1.0), (shift, 3), xycoords=transform, textcoords="offset points", ha=side
        )
    remove_frame(ax)


class StudyDisplay(Display):
    """Lines of a study over a parameter of its designs, with bands of uncertainty.

    Parameters
    ----------
    x : array-like of shape (n_points,)
        Values of the parameter, ascending.
    lines : mapping of str to array-like of shape (n_points, 3)
        For each method the figure, and the lower and upper end of its band; nan where there
        is none.
    x_label, y_label : str
        What the axes show.
    """

    def __init__(self, x, lines, x_label, y_label):
        self.x = x
        self.lines = lines
        self.x_label = x_label
        self.y_label = y_label

    @classmethod
    def from_study(cls, summary, x, *, metric=None, statistic="mean", methods=None, ax=None):
        """Draw what :func:`skt.study.summarize` returned.

        Parameters
        ----------
        summary : list of dict
            Rows of one study; the designs drawn must differ in the parameter `x` only.
        x : str
            Parameter of the designs along the horizontal axis.
        metric : str, default=None
            Which metric; may be left out if there is one.
        statistic : {"mean", "ratio"}, default="mean"
            Means with bands of two standard errors, or ratios to the baseline with their 95 %
            intervals.
        methods : list of str, default=None
            Methods to draw; None draws all. The baseline's ratios are the line at one.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        """
        rows = _rows_to_draw(summary, x, metric, statistic, methods)
        places = sorted({row[x] for row in rows})
        lines = {
            method: _points(places, [row for row in rows if row["method"] == method], x, statistic)
            for method in dict.fromkeys(row["method"] for row in rows)
        }
        label = {"mean": "{}", "ratio": "{}, ratio to the baseline"}[statistic]
        return cls(places, lines, x, label.format(rows[0]["metric"])).plot(ax=ax)

    def _draw(self, ax):
        for number, (method, points) in enumerate(self.lines.items()):
            _draw_line(ax, number, method, self.x, np.asarray(points, dtype=float))
        if all(isinstance(value, str) for value in self.x):
            ax.tick_params(axis="x", rotation=30)
        ax.set(xlabel=self.x_label, ylabel=self.y_label)
        ax.legend(frameon=False)
        remove_frame(ax)


BANDS = {
    "mean": lambda row: (
        row["mean"] - 2 * row["standard_error"],
        row["mean"] + 2 * row["standard_error"],
    ),
    "ratio": lambda row: (row["ratio_low"], row["ratio_high"]),
}


def _rows_to_draw(summary, x, metric, statistic, methods):
    """Rows of one metric and the methods wanted, each with the parameter and the statistic."""
    metrics = list(dict.fromkeys(row["metric"] for row in summary))
    if metric is None and len(metrics) == 1:
        metric = metrics[0]
    names = list(dict.fromkeys(row["method"] for row in summary))
    check_choice("metric", metric, metrics)
    check_choice("statistic", statistic, list(BANDS))
    for method in methods or ():
        check_choice("methods", method, names)
    rows = [r for r in summary if r["metric"] == metric and r["method"] in (methods or names)]
    lacking = next((row for row in rows if x not in row), None)
    if lacking is not None:
        raise ValueError(
            f"x must be a parameter of every design; {lacking['design']!r} has no {x!r}."
        )
    if statistic not in rows[0]:
        raise ValueError("statistic='ratio' needs summarize(records, baseline=...).")
    return rows


def _points(places, rows, x, statistic):
    """Figure and band of one method at each place, nan where it has none."""
    found = {}
    for row in rows:
        if row[x] in found:
            raise ValueError(
                f"{found[row[x]]['design']!r} and {row['design']!r} both have {x} = {row[x]!r}; "
                "pass rows of designs that differ in nothing else."
            )
        found[row[x]] = row
    nothing = (math.nan,) * 3
    return [
        (found[place][statistic], *BANDS[statistic](found[place])) if place in found else nothing
        for place in places
    ]


def _draw_line(ax, number, method, x, points):
    color = LINES[number % len(LINES)]
    style = DASHES[number // len(LINES) % len(DASHES)]
    mark = MARKS[number % len(MARKS)]
    middle, low, high = points.T
    ax.plot(x, middle, color=color, linestyle=style, marker=mark, markersize=5, label=method)
    # An unbounded interval has no band.
    bounded = np.isfinite(low) & np.isfinite(high)
    ax.fill_between(x, low, high, where=bounded, color=color, alpha=0.2, linewidth=0)
