"""From whom an estimator borrows: weights and what lies behind them."""

import math

import numpy as np

from ._drawing import (
    BLUE,
    MANY_CELLS,
    Display,
    LinesDisplay,
    beside,
    fitted_model,
    remove_frame,
    shortened,
    write_cells,
)

WEIGHT_LABEL = "weight of one source row (a target row counts 1)"
HATCH = "////"


class SourceWeightsDisplay(LinesDisplay):
    """Weight of each source, largest first, and the discrepancy behind it.

    The discrepancy is the squared distance of a source's coefficients from the target's, in units
    of the variance of the target's own estimate. Left of the dashed line a source alone, with many
    rows, is a better estimate than the target alone; right of it the source is worse, and only adds
    what it can. Hatched bars are sources that point the wrong way and are turned round.

    Parameters
    ----------
    source_names : list of str
        Names of the sources.
    weights : array-like of shape (n_sources,)
        What one row of each source counts, where a target row counts 1; nan where that is unknown.
    discrepancies : array-like of shape (n_sources,), default=None
        ``n_0 M_ii`` for each source, at least zero; None leaves out the second panel.
    """

    def __init__(self, source_names, weights, discrepancies=None):
        self.source_names = source_names
        self.weights = weights
        self.discrepancies = discrepancies

    @classmethod
    def from_estimator(cls, fitted, *, ax=None):
        """Draw the weights of a fitted estimator, or of the last step of a pipeline.

        Parameters
        ----------
        fitted : estimator or Pipeline
            It has ``source_names_`` and ``source_weights_``, and the second panel is drawn if it
            has ``discrepancy_`` and ``n_target_samples_``.
        ax : matplotlib Axes, default=None
            Axes to draw on, which the two panels share; None makes a figure.
        """
        model = fitted_model(fitted, cls, "estimator that weighs sources", "source_weights_")
        names = list(model.source_names_)
        weights = np.asarray(model.source_weights_).reshape(-1, len(names)).mean(axis=0)
        discrepancies = None
        if names and hasattr(model, "discrepancy_"):
            discrepancies = model.n_target_samples_ * np.diag(model.discrepancy_)
        return cls(names, weights, discrepancies).plot(ax=ax)

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
    def labels(self):
        """What the lines say."""
        return self.source_names

    @property
    def figure_size(self):
        """Width and height in inches of a figure that holds all labels."""
        width, height = super().figure_size
        return width + (0 if self.discrepancies is None else 2.6), height

    def _draw(self, ax):
        weights = np.asarray(self.weights, dtype=float)
        order = np.argsort(-np.nan_to_num(weights, nan=-np.inf), kind="stable")
        # The edge keeps a weight of zero and a light grey print visible.
        bars = ax.barh(range(len(order)), weights[order], color=BLUE, edgecolor="black", height=0.7)
        for bar, weight in zip(bars, weights[order], strict=True):
            bar.set_hatch(HATCH if weight < 0 else None)
        for row in np.flatnonzero(np.isnan(weights[order])):
            ax.annotate("not known", (0, row), (4, 0), textcoords="offset points", va="center")
        self._label_lines(ax, [self.source_names[k] for k in order])
        ax.set_xlabel("weight of one source row\n(a target row counts 1)")
        remove_frame(ax)
        if self.discrepancies is not None:
            self._draw_discrepancies(beside(ax, 0.42), np.asarray(self.discrepancies)[order])

    def _draw_discrepancies(self, ax, values):
        low, high = _decades(values)
        shown = np.clip(values, low, high)
        ax.axvline(1.0, color="black", linestyle="--", linewidth=1)
        ax.hlines(range(len(values)), low, shown, color="0.75", linewidth=1)
        for row, (value, place) in enumerate(zip(values, shown, strict=True)):
            fill = BLUE if value < 1 else "white"
            mark = "o" if value >= low else "<"
            ax.plot(place, row, mark, color=fill, markeredgecolor="black", clip_on=False)
        ax.set(
            xscale="log",
            xlim=(low, high),
            xlabel="discrepancy, in variances of\nthe target's estimate",
        )
        ax.tick_params(axis="y", left=False, labelleft=False)
        remove_frame(ax)


def _decades(values):
    """Return whole powers of ten around one and the positive values, at most five below one."""
    positive = values[np.isfinite(values) & (values > 0)]
    least, most = np.min(positive, initial=1.0), np.max(positive, initial=1.0)
    low = max(math.floor(math.log10(least)), -5)
    return 10.0 ** min(low, -1), 10.0 ** max(math.ceil(math.log10(most)), 1)


class SourceWeightsMapDisplay(Display):
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

    @classmethod
    def from_estimator(cls, fitted):
        """Make the display of who helps whom among the tasks of a multi-task estimator."""
        model = fitted_model(fitted, cls, "multi-task estimator", "task_weights_")
        weights = np.array(model.task_weights_)
        np.fill_diagonal(weights, math.nan)
        return cls(list(model.task_names_), list(model.task_names_), weights)

    @property
    def figure_size(self):
        """Width and height in inches of a figure that holds all labels."""
        cell = 0.55 if len(self.source_names) <= MANY_CELLS else 0.2
        width, height = (cell * len(names) for names in (self.source_names, self.targets))
        return max(6.4, 3.4 + width), max(2.4, 1.8 + height)

    def _draw(self, ax):
        ax.patch.set(facecolor="white", hatch=HATCH, edgecolor="0.75")
        weights = np.ma.masked_invalid(self.weights)
        image = ax.imshow(weights, cmap="Blues", vmin=0, aspect="auto")
        few = len(self.source_names) <= MANY_CELLS
        size = 10 if few else 7
        rows, columns = (
            [shortened(n) for n in names] for names in (self.targets, self.source_names)
        )
        ax.set_yticks(range(len(rows)), rows, fontsize=size)
        turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        ax.set_xticks(range(len(columns)), columns, fontsize=size, **turned)
        ax.set(xlabel="source", ylabel="target")
        if few:
            texts = [f"{weight:.2f}" for weight in weights.filled(0).ravel()]
            texts = np.where(weights.mask, "", np.reshape(texts, weights.shape))
            write_cells(ax, image, texts, 9)
        ax.figure.colorbar(image, ax=ax, label=WEIGHT_LABEL.replace(" (", "\n("))
