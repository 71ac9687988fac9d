"""Displays in scikit-learn's manner: made from a result, drawn by ``plot``, never fitting."""

import math

import numpy as np
from sklearn.pipeline import Pipeline

__all__ = [
    "AlignmentDisplay",
    "ComparisonDisplay",
    "ConvergenceDisplay",
    "LooSurfaceDisplay",
    "SelectionDisplay",
    "SourceWeightsDisplay",
    "SourceWeightsMapDisplay",
    "StudyDisplay",
]

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


class LooSurfaceDisplay:
    """Leave-one-out error of L2-SP ridge against its penalties, relative to the target alone.

    With one penalty of the sources to look at it draws curves over the target's penalty: the
    target alone, and with the sources. With many it draws a map: dark is a low error, the
    dashed line is where the sources stop to help, and the mark is the choice.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,)
        Penalties of the target.
    curve : array-like of shape (n_alphas,)
        Error of the target alone.
    source_alphas : array-like of shape (n_source_alphas,), default=None
        Penalties of the sources.
    surface : array-like of shape (n_source_alphas, n_alphas), default=None
        Error with the sources.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that were drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    """

    figure_size = (6.4, 4.4)

    def __init__(self, alphas, curve, source_alphas=None, surface=None):
        self.alphas = alphas
        self.curve = curve
        self.source_alphas = source_alphas
        self.surface = surface

    @classmethod
    def from_estimator(cls, fitted, *, ax=None):
        """Draw the errors of a fitted `L2SPRidge`, or of the last step of a pipeline.

        Parameters
        ----------
        fitted : estimator
            It has ``loo_curve_`` and, if ``method="loo"`` chose, ``loo_surface_``. Where there
            are several sources, the geometric mean of their penalties is drawn.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        """
        model = fitted[-1] if isinstance(fitted, Pipeline) else fitted
        if not hasattr(model, "loo_curve_"):
            raise ValueError(
                f"drawing leave-one-out errors needs a fitted L2SPRidge; {type(model).__name__} "
                "has no loo_curve_."
            )
        if not len(model.source_names_) or not hasattr(model, "loo_surface_"):
            return cls(model.alphas_, model.loo_curve_).plot(ax=ax)
        return cls(
            model.alphas_,
            model.loo_curve_,
            np.exp(np.mean(np.log(model.source_alphas_), axis=1)),
            model.loo_surface_,
        ).plot(ax=ax)

    def plot(self, ax=None):
        """Draw on the axes given, or on a new figure."""
        ax = _axes(ax, self.figure_size)
        least = np.min(self.curve)
        if self.surface is None or len(self.surface) == 1 or len(self.alphas) == 1:
            self._plot_curves(ax, least)
        else:
            self._plot_map(ax, np.asarray(self.surface) / least)
        ax.set_xscale("log")
        ax.set_xlabel("alpha, the target's penalty")
        return _keep(self, ax)

    def _plot_curves(self, ax, least):
        curves = {"target alone": self.curve}
        if self.surface is not None:
            curves["with sources"] = np.min(self.surface, axis=0)
        for number, (label, values) in enumerate(curves.items()):
            ratio = np.asarray(values) / least
            color, line = (LINES[0], LINES[2])[number], ("--", "-")[number]
            ax.plot(self.alphas, ratio, line, color=color, label=label)
            best = np.argmin(ratio)
            ax.plot(self.alphas[best], ratio[best], MARKS[number], color=color, markersize=7)
        ax.set_ylabel("leave-one-out error relative to the target alone")
        ax.legend(frameon=False)
        _remove_frame(ax)

    def _plot_map(self, ax, ratio):
        top = max(min(float(ratio.max()), 2.0), 1.01)
        image = ax.pcolormesh(
            self.alphas,
            self.source_alphas,
            np.minimum(ratio, top),
            cmap="Blues_r",
            vmax=top,
            shading="nearest",
        )
        if ratio.min() < 1 < ratio.max():
            ax.contour(
                self.alphas, self.source_alphas, ratio, [1.0], colors="black", linestyles="--"
            )
        row, column = np.unravel_index(np.argmin(ratio), ratio.shape)
        ax.plot(
            self.alphas[column],
            self.source_alphas[row],
            "o",
            color=ORANGE,
            markeredgecolor="black",
            markersize=9,
        )
        ax.set_yscale("log")
        ax.set_ylabel("source_alpha, the sources' penalty")
        label = "leave-one-out error relative to the target alone"
        ax.figure.colorbar(
            image, ax=ax, label=label, extend="max" if ratio.max() > top else "neither"
        )


class AlignmentDisplay:
    """Coefficients of a model's factors in the directions of its sources, as a map.

    Lightness tells the size, and few numbers are written out with their signs; an empty cell is
    zero: the penalty has cut the factor loose from that direction. The last line is the length
    of what lies outside all directions.

    Parameters
    ----------
    coefficients : array-like of shape (n_directions, rank)
        One column for each factor; the last row is the length outside.
    n_free : int
        Directions that are not penalised; a line is drawn below them.
    what : str
        Features or outputs.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that were drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    """

    def __init__(self, coefficients, n_free, what):
        self.coefficients = coefficients
        self.n_free = n_free
        self.what = what

    @classmethod
    def from_estimator(cls, fitted, *, side="features", ax=None):
        """Draw the alignment of a fitted :class:`skt.SMARTRegressor`.

        Parameters
        ----------
        fitted : SMARTRegressor or Pipeline
            Fitted with at least one source.
        side : {"features", "outputs"}, default="features"
            Which vectors.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        """
        model = _last_step(fitted, "alignment_")
        if side not in ("features", "outputs"):
            raise ValueError(f"side must be 'features' or 'outputs'; got {side!r}.")
        number = ("features", "outputs").index(side)
        free = model.structural_rank_[number] if max(model.alpha_) > 0 else 0
        return cls(model.alignment_[number], free, side).plot(ax=ax)

    @property
    def figure_size(self):
        """Width and height in inches of a figure that holds all labels."""
        rows, columns = np.shape(self.coefficients)
        return 2.6 + 0.55 * columns, 1.4 + (0.3 if rows <= MANY_LINES else 0.16) * rows

    def plot(self, ax=None):
        """Draw on the axes given, or on a new figure."""
        ax = _axes(ax, self.figure_size)
        values = np.asarray(self.coefficients)
        rows, columns = values.shape
        size = np.ma.masked_equal(np.abs(values), 0)
        image = ax.imshow(size, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        ax.set_xticks(range(columns), range(1, columns + 1))
        ax.set_yticks(range(rows), [*range(1, rows), "outside"])
        if self.n_free:
            ax.axhline(self.n_free - 0.5, color="black", linewidth=1.5)
        ax.axhline(rows - 1.5, color="black", linewidth=0.8, linestyle=":")
        ax.set(xlabel="factor of the target", ylabel=f"source direction of {self.what}")
        if columns <= MANY_CELLS and rows <= MANY_LINES:
            _write_signed(ax, image, values)
        ax.figure.colorbar(image, ax=ax, label="size of coefficient")
        return _keep(self, ax)


class SelectionDisplay:
    """Error of validation along the penalty, one line for each structural rank.

    The reference is plain reduced-rank regression; bars are one standard error of the paired
    difference from it over folds. The choice is by logarithms of errors, so that the chosen
    candidate need not be the lowest. Closed forms, with an infinite penalty, stand at the right.

    Parameters
    ----------
    alpha : array-like of shape (n_candidates,)
        Penalties; inf for closed forms.
    difference, error : array-like of shape (n_candidates,)
        Difference of the error of validation from the reference, relative to it, and its
        standard error.
    structural_rank : list of tuple
        Of each candidate.
    chosen : int
        Which one was chosen; 0 is the reference.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that were drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    """

    figure_size = (6.4, 4.2)

    def __init__(self, alpha, difference, error, structural_rank, chosen):
        self.alpha = alpha
        self.difference = difference
        self.error = error
        self.structural_rank = structural_rank
        self.chosen = chosen

    @classmethod
    def from_estimator(cls, fitted, *, ax=None):
        """Draw what a fitted :class:`skt.SMARTRegressor` compared.

        Parameters
        ----------
        fitted : SMARTRegressor or Pipeline
            Fitted with cross-validation.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        """
        model = _last_step(fitted, "cv_results_")
        results = model.cv_results_
        if "difference" not in results:
            raise ValueError(
                "drawing the selection needs a SMARTRegressor that has chosen by "
                "cross-validation; structural_rank and alpha were given, or it had no sources."
            )
        reference = results["mean_error"][0]
        return cls(
            results["alpha"].max(axis=1),
            results["difference"] / reference,
            results["difference_error"] / reference,
            [tuple(pair) for pair in results["structural_rank"].tolist()],
            results["chosen"],
        ).plot(ax=ax)

    def plot(self, ax=None):
        """Draw on the axes given, or on a new figure."""
        ax = _axes(ax, self.figure_size)
        x, is_path = _finite_places(self.alpha)
        ax.axhline(0.0, color="black", linestyle="--", linewidth=1)
        on_paths = np.flatnonzero(is_path)
        pairs = dict.fromkeys(self.structural_rank[i] for i in on_paths)
        for number, pair in enumerate(pairs):
            same = [i for i in on_paths if self.structural_rank[i] == pair]
            self._draw(ax, x, np.array(same), number, f"structural rank {pair[0]}, {pair[1]}")
        ends = np.flatnonzero(np.isinf(self.alpha))
        if len(ends):
            self._draw_ends(ax, x, ends)
        # Candidates that are far worse would put all others on one line.
        lowest = np.min(np.asarray(self.difference) - self.error)
        ax.set_ylim(1.1 * lowest - 0.01, max(-2 * lowest, 0.1))
        if self.chosen:
            place = x[self.chosen], self.difference[self.chosen]
            ax.plot(*place, "*", color="black", markersize=16, fillstyle="none", label="chosen")
        ax.set(xlabel="alpha", ylabel="error relative to reduced-rank regression, less 1")
        ax.legend(frameon=False)
        _remove_frame(ax)
        return _keep(self, ax)

    def _draw(self, ax, x, order, number, label):
        order = order[np.argsort(np.asarray(self.alpha)[order], kind="stable")]
        color, mark = LINES[number % len(LINES)], MARKS[number % len(MARKS)]
        y, error = np.asarray(self.difference)[order], np.asarray(self.error)[order]
        ax.errorbar(
            x[order], y, yerr=error, color=color, marker=mark, markersize=5, capsize=2, label=label
        )
        ax.set_xscale("log")

    def _draw_ends(self, ax, x, ends):
        """Write the structural rank to the best of the closed forms only: they lie close."""
        best = ends[np.argmin(np.asarray(self.difference)[ends])]
        y = np.asarray(self.difference)[ends]
        ax.set_xscale("log")
        ax.plot(x[ends], y, "_", color="0.4", markersize=12, label="infinite alpha")
        ax.annotate(
            f"{self.structural_rank[best][0]}, {self.structural_rank[best][1]}",
            (x[best], self.difference[best]),
            (6, -4),
            textcoords="offset points",
        )


class ConvergenceDisplay:
    """Residuals of an iteration and what its objective lies above its least, by iteration.

    Parameters
    ----------
    iterations : array-like of shape (n_checks,)
        Numbers of the iterations.
    primal, dual, excess : array-like of shape (n_checks,)
        Both residuals, and the objective less its least value, relative to it.
    tol : float
        What the residuals are brought below.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that were drawn on.
    figure_ : matplotlib Figure
        Figure of the axes.
    """

    figure_size = (6.4, 4.2)

    def __init__(self, iterations, primal, dual, excess, tol):
        self.iterations = iterations
        self.primal = primal
        self.dual = dual
        self.excess = excess
        self.tol = tol

    @classmethod
    def from_estimator(cls, fitted, *, ax=None):
        """Draw the final solution of a fitted :class:`skt.SMARTRegressor`.

        Parameters
        ----------
        fitted : SMARTRegressor or Pipeline
            Fitted, by iteration.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        """
        model = _last_step(fitted, "residual_curve_")
        if len(model.residual_curve_) == 0:
            raise ValueError(
                "drawing the convergence needs a solution by iteration; this one is a closed form."
            )
        curve = model.objective_curve_
        excess = (curve - curve.min()) / abs(curve.min())
        iterations = np.linspace(model.n_iter_ / len(curve), model.n_iter_, len(curve))
        return cls(iterations, *model.residual_curve_.T, excess, model.tol).plot(ax=ax)

    def plot(self, ax=None):
        """Draw on the axes given, or on a new figure."""
        ax = _axes(ax, self.figure_size)
        lines = {"primal": self.primal, "dual": self.dual, "objective above its least": self.excess}
        for number, (label, values) in enumerate(lines.items()):
            shown = np.where(np.asarray(values) > 0, values, np.nan)
            every = max(len(shown) // 10, 1)
            style = {"color": LINES[number], "marker": MARKS[number], "markevery": every}
            ax.semilogy(self.iterations, shown, label=label, markersize=5, **style)
        ax.axhline(self.tol, color="black", linestyle="--", linewidth=1, label="tol")
        ax.set(xlabel="iteration", ylabel="residual")
        ax.legend(frameon=False)
        _remove_frame(ax)
        return _keep(self, ax)


def _last_step(fitted, attribute):
    """Return a fitted model, or the last step of a pipeline, that has something to draw."""
    model = fitted[-1] if isinstance(fitted, Pipeline) else fitted
    if getattr(model, attribute, None) is None:
        raise ValueError(
            f"drawing needs a fitted estimator with {attribute}; {type(model).__name__} has none: "
            "fit it first, with a source."
        )
    return model


def _finite_places(alpha):
    """Return places on a logarithmic axis, infinity right of the rest, and which are finite."""
    alpha = np.asarray(alpha, dtype=float)
    is_path = np.isfinite(alpha) & (alpha > 0)
    largest = np.max(alpha[is_path], initial=0.0) or 1.0
    return np.where(np.isinf(alpha), 4 * largest, alpha), is_path


def _write_signed(ax, image, values):
    """Write numbers with signs into cells that are not zero, white on dark ones."""
    for (row, column), value in np.ndenumerate(values):
        if abs(value) >= 0.005:
            color = "white" if image.norm(abs(value)) > 0.55 else "black"
            text = f"{value:.2f}".replace("0.", ".")
            ax.text(column, row, text, color=color, ha="center", va="center", fontsize=8)
