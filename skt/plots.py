"""Displays in scikit-learn's manner: made from a result, drawn by ``plot``, never fitting."""

import math

import numpy as np
from sklearn.pipeline import Pipeline

__all__ = ["ComparisonDisplay", "SourceWeightsDisplay", "SourceWeightsMapDisplay", "StudyDisplay"]

# Blue and orange of Okabe and Ito: told apart by every eye, and by their grey values.
BLUE = "#0072B2"
ORANGE = "#E69F00"
# The same palette for lines, in an order in which neighbours differ in lightness, and marks that
# tell them apart where all is grey.
LINES = ("#000000", "#E69F00", "#0072B2", "#CC79A7", "#009E73", "#56B4E9", "#D55E00")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
# A ratio beyond this puts the others on top of each other, unless the axis is logarithmic.
FAR = 3.0
# Beyond this many sources the lines move together and the labels shrink.
MANY_LINES = 30
# Beyond this many cells in a line their numbers no longer fit.
MANY_CELLS = 12
WEIGHT_LABEL = "weight of one source row (a target row counts 1)"


class ComparisonDisplay:
    """Loss of each method relative to target-only ridge, with bars of two standard errors.

    A filled point lies further from the reference line than its bar is long; a hollow one does
    not. The bars are those of the paired difference, so the reference itself has none.

    Parameters
    ----------
    methods : list of str
        Names, drawn from top to bottom.
    ratios, errors : list of float
        Loss relative to the baseline and its standard error.
    baseline : str
        Name of the reference line.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that were drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    """

    def __init__(self, methods, ratios, errors, baseline):
        self.methods = methods
        self.ratios = ratios
        self.errors = errors
        self.baseline = baseline

    @classmethod
    def from_comparison(cls, comparison):
        """Make the display of a :class:`skt.Comparison`, best method first."""
        rows = {row["method"]: row for row in comparison.summary}
        reference = rows.pop(comparison.baseline)["mean"]
        drawn = [row for row in rows.values() if math.isfinite(row["ratio"])]
        drawn.sort(key=lambda row: row["ratio"])
        return cls(
            [row["method"] for row in drawn],
            [row["ratio"] for row in drawn],
            [row["difference_error"] / reference for row in drawn],
            comparison.baseline,
        )

    @property
    def figure_size(self):
        """Width and height in inches of a figure that holds all labels."""
        return _size_of_lines(self.methods)

    def plot(self, ax=None):
        """Draw on the axes given, or on a new figure."""
        ax = _axes(ax, self.figure_size)
        ax.axvline(1.0, color="black", linestyle="--", linewidth=1)
        for row, estimate in enumerate(zip(self.ratios, self.errors, strict=True)):
            _draw_estimate(ax, row, *estimate)
        ax.set_yticks(range(len(self.methods)), self.methods)
        ax.set_ylim(len(self.methods) - 0.4, -0.6)
        _spread_out(ax, self.ratios)
        ax.set_xlabel(f"loss relative to {self.baseline}; bars: 2 standard errors")
        _mark_sides(ax)
        return _keep(self, ax)


class SourceWeightsDisplay:
    """Weight of each source, largest first.

    Parameters
    ----------
    source_names : list of str
        Names of the sources.
    weights : array-like of shape (n_sources,)
        What one row of each source counts, where a target row counts 1.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that were drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    """

    def __init__(self, source_names, weights):
        self.source_names = source_names
        self.weights = weights

    @classmethod
    def from_estimator(cls, fitted, *, ax=None):
        """Draw the weights of a fitted estimator, or of the last step of a pipeline.

        Parameters
        ----------
        fitted : estimator
            It has ``source_names_`` and ``source_weights_``.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        """
        model = fitted[-1] if isinstance(fitted, Pipeline) else fitted
        if not hasattr(model, "source_weights_"):
            raise ValueError(
                f"drawing weights needs a fitted estimator with source_weights_; "
                f"{type(model).__name__} has none: fit it first, or use one that weighs sources."
            )
        weights = np.asarray(model.source_weights_).reshape(-1, len(model.source_names_))
        return cls(list(model.source_names_), weights.mean(axis=0)).plot(ax=ax)

    @classmethod
    def from_comparison(cls, comparison, method, *, target=None):
        """Make the display of the mean weights in a comparison; `target` defaults to the first."""
        target = comparison.targets[0] if target is None else target
        rows = [
            row
            for row in comparison.source_weights
            if row["method"] == method and row["target"] == target
        ]
        return cls([row["source"] for row in rows], [row["weight"] for row in rows])

    @property
    def figure_size(self):
        """Width and height in inches of a figure that holds all labels."""
        return _size_of_lines(self.source_names)

    def plot(self, ax=None):
        """Draw on the axes given, or on a new figure."""
        ax = _axes(ax, self.figure_size)
        order = np.argsort(-np.asarray(self.weights), kind="stable")
        places = np.arange(len(order))
        # The edge keeps a weight of zero and a light grey print visible.
        ax.barh(places, np.asarray(self.weights)[order], color=BLUE, edgecolor="black", height=0.7)
        ax.set_yticks(places, [str(self.source_names[k]) for k in order])
        ax.tick_params(axis="y", labelsize=10 if len(order) <= MANY_LINES else 8)
        ax.set_ylim(len(order) - 0.4, -0.6)
        ax.set_xlabel(WEIGHT_LABEL)
        _remove_frame(ax)
        return _keep(self, ax)


class SourceWeightsMapDisplay:
    """Weight of each source for each target, as a map from light (little) to dark (much).

    One hue whose lightness alone tells the weight: it is read the same by every eye and in
    black and white. Hatched cells have no weight, such as a target as its own source.

    Parameters
    ----------
    targets, source_names : list of str
        Names of the rows and of the columns.
    weights : array-like of shape (n_targets, n_sources)
        What one row of each source counts, where a target row counts 1; nan where there is
        none.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that were drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    """

    def __init__(self, targets, source_names, weights):
        self.targets = targets
        self.source_names = source_names
        self.weights = weights

    @classmethod
    def from_comparison(cls, comparison, method):
        """Make the display of the mean weights of one method in a comparison."""
        rows = [row for row in comparison.source_weights if row["method"] == method]
        weight = {(row["target"], row["source"]): row["weight"] for row in rows}
        names = list(dict.fromkeys([*comparison.targets, *(row["source"] for row in rows)]))
        cells = [[weight.get((t, s), math.nan) for s in names] for t in comparison.targets]
        return cls(comparison.targets, names, np.array(cells))

    @property
    def figure_size(self):
        """Width and height in inches of a figure that holds all labels."""
        cell = 0.55 if len(self.source_names) <= MANY_CELLS else 0.2
        width, height = (cell * len(names) for names in (self.source_names, self.targets))
        return max(6.4, 3.4 + width), max(2.4, 1.8 + height)

    def plot(self, ax=None):
        """Draw on the axes given, or on a new figure."""
        ax = _axes(ax, self.figure_size)
        ax.patch.set(facecolor="white", hatch="////", edgecolor="0.75")
        image = ax.imshow(np.ma.masked_invalid(self.weights), cmap="Blues", vmin=0, aspect="auto")
        few = len(self.source_names) <= MANY_CELLS
        size = 10 if few else 7
        ax.set_yticks(range(len(self.targets)), self.targets, fontsize=size)
        places, rotation = range(len(self.source_names)), {"rotation": 45, "ha": "right"}
        ax.set_xticks(places, self.source_names, fontsize=size, rotation_mode="anchor", **rotation)
        ax.set(xlabel="source", ylabel="target")
        if few:
            _write_cells(ax, image)
        ax.figure.colorbar(image, ax=ax, label=WEIGHT_LABEL.replace(" (", "\n("))
        return _keep(self, ax)


def _write_cells(ax, image):
    """Write the number into each cell, white on dark ones."""
    for (row, column), value in np.ma.ndenumerate(image.get_array()):
        color = "white" if image.norm(value) > 0.55 else "black"
        ax.text(column, row, f"{value:.2f}", color=color, ha="center", va="center", fontsize=9)


def _draw_estimate(ax, row, ratio, error):
    """One point with its bar, filled where it is clear of the reference."""
    clear = abs(ratio - 1) > 2 * error
    color = BLUE if ratio < 1 else ORANGE
    ax.errorbar(
        ratio,
        row,
        xerr=2 * error,
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
    _remove_frame(ax)


def _axes(ax, figure_size):
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt  # the extra `plot`; nothing else needs it

    return plt.subplots(figsize=figure_size, layout="constrained")[1]


def _size_of_lines(labels):
    return 6.4, 1.2 + len(labels) * (0.25 if len(labels) <= MANY_LINES else 0.16)


def _remove_frame(ax):
    ax.spines[["top", "right"]].set_visible(False)


def _keep(display, ax):
    display.ax_, display.figure_ = ax, ax.figure
    return display


class StudyDisplay:
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

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that were drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    """

    figure_size = (6.4, 4.2)

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

    def plot(self, ax=None):
        """Draw on the axes given, or on a new figure."""
        ax = _axes(ax, self.figure_size)
        for number, (method, points) in enumerate(self.lines.items()):
            _draw_line(ax, number, method, self.x, np.asarray(points, dtype=float))
        if all(isinstance(value, str) for value in self.x):
            ax.tick_params(axis="x", rotation=30)
        ax.set(xlabel=self.x_label, ylabel=self.y_label)
        ax.legend(frameon=False)
        _remove_frame(ax)
        return _keep(self, ax)


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
    _check_choice("metric", metric, metrics)
    _check_choice("statistic", statistic, list(BANDS))
    for method in methods or ():
        _check_choice("methods", method, names)
    rows = [r for r in summary if r["metric"] == metric and r["method"] in (methods or names)]
    lacking = next((row for row in rows if x not in row), None)
    if lacking is not None:
        raise ValueError(
            f"x must be a parameter of every design; {lacking['design']!r} has no {x!r}."
        )
    if statistic not in rows[0]:
        raise ValueError("statistic='ratio' needs summarize(records, baseline=...).")
    return rows


def _check_choice(what, value, choices):
    if value not in choices:
        raise ValueError(f"{what} must be one of {choices}; got {value!r}.")


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
