"""From whom an estimator borrows: weights, what lies behind them, and what they are worth."""

import math
from itertools import pairwise

import numpy as np

from skt.core import allocation

from ._drawing import (
    BLUE,
    LINES,
    MANY_CELLS,
    MANY_LINES,
    MARKS,
    ORANGE,
    Display,
    LinesDisplay,
    beside,
    check_choice,
    fitted_model,
    remove_frame,
    shortened,
    write_cells,
)

WEIGHT_LABEL = "weight of one source row (a target row counts 1)"
KINDS = "UOWQRegressor, SourceWeighted or SourceSampled"
HATCH = "////"
# Points between the target alone and the choice, and between the choice and all rows pooled.
POINTS = 40
# A risk beyond this multiple of the target's own is as bad as any, and would flatten the rest.
FAR = 2.0


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


class EffectiveSampleSizeDisplay(LinesDisplay):
    """Target rows that the target's own rows and each source are worth, one upon the other.

    The first bar is the target's own rows. Each further bar is what a source adds, beginning where
    the last one ended, largest first; the last is all together. Beside it stands how many rows
    there are.

    Parameters
    ----------
    n_target : float
        Rows of the target.
    source_names : list of str
        Names of the sources.
    worth : array-like of shape (n_sources,)
        Target rows that each source adds.
    n_rows : array-like of shape (n_sources,)
        Rows of each source; nan where that is unknown.
    """

    def __init__(self, n_target, source_names, worth, n_rows):
        self.n_target = n_target
        self.source_names = source_names
        self.worth = worth
        self.n_rows = n_rows

    @classmethod
    def from_estimator(cls, fitted, *, ax=None):
        """Draw the effective sample size of a fitted estimator, or of a pipeline's last step.

        Parameters
        ----------
        fitted : UOWQRegressor, SourceWeighted, SourceSampled or Pipeline
            It has ``source_effective_sample_size_``.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        """
        model = fitted_model(fitted, cls, KINDS, "source_effective_sample_size_")
        return cls(
            model.n_target_samples_,
            list(model.source_names_),
            model.source_effective_sample_size_,
            model.n_source_samples_,
        ).plot(ax=ax)

    @property
    def labels(self):
        """What the lines say."""
        return ["target", *self.source_names, "together"]

    def _draw(self, ax):
        worth, n_rows = (np.asarray(v, dtype=float) for v in (self.worth, self.n_rows))
        order = np.argsort(-worth, kind="stable")
        steps = np.append(self.n_target, worth[order])
        ends = np.cumsum(steps)
        starts, lengths = np.append(ends - steps, 0.0), np.append(steps, ends[-1])
        there = np.append(self.n_target, n_rows[order])
        style = {"color": ["black", *[BLUE] * len(order), ORANGE], "edgecolor": "black"}
        ax.barh(range(len(lengths)), lengths, left=starts, height=0.7, **style)
        ax.vlines(ends, np.arange(len(ends)) + 0.35, np.arange(len(ends)) + 0.65, color="0.5")
        self._label_lines(ax, ["target", *(self.source_names[k] for k in order), "together"])
        ax.set_xlim(min(0.0, ends.min()), 1.3 * ends.max())
        ax.set_xlabel("target rows that would be as good")
        self._write(
            ax, lengths, np.maximum(starts, starts + lengths), np.append(there, there.sum())
        )
        remove_frame(ax)

    def _write(self, ax, lengths, places, there):
        """Write what each line is worth, and how many rows there are."""
        style = {"va": "center", "fontsize": 9 if len(lengths) <= MANY_LINES else 7}
        for row, (length, place, rows) in enumerate(zip(lengths, places, there, strict=True)):
            text = f"{length:.1f}" if abs(length) < 100 else f"{length:,.0f}"
            ax.annotate(text, (place, row), (4, 0), textcoords="offset points", **style)
            known = f"of {rows:,.0f}" if np.isfinite(rows) else "of ?"
            right = {"ha": "right", "color": "0.35", "transform": ax.get_yaxis_transform()}
            ax.text(1.0, row, known, **right, **style)


class RiskCurveDisplay(Display):
    """Predicted risk along the weights of the sources, relative to that of the target alone.

    It is the objective that the weights minimise, (B1) of docs/uowq.md, at the estimated
    discrepancies: noise, which falls as sources are added, and discrepancy, which rises. For
    `SourceSampled` it is (A1) of docs/otqms.md, along the rows taken. The star is the choice.

    Parameters
    ----------
    x : array-like of shape (n_points,)
        Where along the weights.
    noise, discrepancy : array-like of shape (n_points,)
        The two parts of the risk, relative to the risk of the target alone.
    chosen : float
        Where on x the choice is.
    x_label : str
        What x is.
    ticks : dict of float to str, default=None
        Names of places on x; None for numbers.
    """

    def __init__(self, x, noise, discrepancy, chosen, x_label, ticks=None):
        self.x = x
        self.noise = noise
        self.discrepancy = discrepancy
        self.chosen = chosen
        self.x_label = x_label
        self.ticks = ticks

    @classmethod
    def from_estimator(cls, fitted, *, source=None, ax=None):
        """Draw the predicted risk of a fitted estimator, or of a pipeline's last step.

        The formula has one weight for each source row. `UOWQRegressor` uses matrices of weights
        where it can (``combination_``), and `SourceSampled` looks at the rows drawn as well:
        neither need sit at the lowest point.

        Parameters
        ----------
        fitted : UOWQRegressor, SourceWeighted, SourceSampled or Pipeline
            Fitted with sources of known numbers of rows.
        source : str, default=None
            Vary the weight of this source only, the others fixed. None varies all, their shares
            in the total weight going straight from none to the choice, and on to those of all
            rows with weight one; the risk is a parabola on either side.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        """
        model = fitted_model(fitted, cls, KINDS, "discrepancy_")
        _check_has_curve(model)
        weights = np.asarray(model.source_weights_, dtype=float)
        if source is None:
            x, path = np.linspace(0, 2, 2 * POINTS + 1), _path(weights, _rows_of(model))
            ticks = {0: "target only", 1: "chosen", 2: "all rows pooled"}
            label = "shares of the sources in the total weight"
            return cls(x, *_risk_parts(model, path), 1.0, label, ticks).plot(ax=ax)
        names = list(model.source_names_)
        check_choice("source", source, names)
        k = names.index(source)
        x = np.linspace(0.0, max(1.0, 1.5 * weights[k]), 2 * POINTS + 1)
        path = np.tile(weights, (len(x), 1))
        path[:, k] = x
        label = f"weight of one row of {shortened(source)!r}, the others fixed"
        return cls(x, *_risk_parts(model, path), weights[k], label).plot(ax=ax)

    def _draw(self, ax):
        risk = np.add(self.noise, self.discrepancy)
        ax.axhline(1.0, color="black", linestyle=":", linewidth=1)
        ax.plot(self.x, risk, color=LINES[2], linewidth=2.5, label="predicted risk")
        parts = {"from noise": self.noise, "from discrepancy": self.discrepancy}
        for number, (label, values) in enumerate(parts.items()):
            style = {"color": LINES[number], "linestyle": ("--", "-.")[number], "markersize": 5}
            ax.plot(self.x, values, **style, marker=MARKS[number], markevery=10, label=label)
        place = self.chosen, np.interp(self.chosen, self.x, risk)
        ax.plot(*place, "*", color=ORANGE, markeredgecolor="black", markersize=14, label="chosen")
        if self.ticks is not None:
            ax.set_xticks(list(self.ticks), list(self.ticks.values()))
        top = min(max(risk.max(), 1.0) * 1.05, FAR)
        ax.set(ylim=(0, top), xlabel=self.x_label, ylabel="risk, relative to the target alone")
        ax.legend(frameon=False)
        if risk[-1] > FAR:
            ax.set_title(f"at the right end {risk[-1]:.3g}", loc="right", fontsize="medium")
        remove_frame(ax)


def _check_has_curve(model):
    """Refuse to draw a risk that is no function of weights, or of what is not known."""
    known = np.isfinite(model.source_weights_) & np.isfinite(model.n_source_samples_)
    if not len(known):
        raise ValueError("RiskCurveDisplay needs sources; this estimator was fitted without.")
    if np.any(getattr(model, "source_scale_", 1.0) != 1):
        raise ValueError(
            "RiskCurveDisplay draws the risk of weighted rows, but this UOWQRegressor has scaled "
            "its sources (source_scale_), which no weight stands for. Fit it with "
            "combination='scalar' to see the curve."
        )
    if not known.all():
        name = model.source_names_[int(np.argmin(known))]
        raise ValueError(
            f"RiskCurveDisplay needs the weight of a row of every source; that of {name!r} is not "
            "known. Give SourceModel(n_samples=...), and a target of at least three rows."
        )


def _rows_of(model):
    """Return the rows of target and sources."""
    return np.append(model.n_target_samples_, model.n_source_samples_)


def _path(weights, n):
    """Return weights from none to those given to one, on straight lines in shares."""
    ends = [
        allocation.shares_from_weights(w, n)
        for w in (np.zeros_like(weights), weights, np.ones_like(weights))
    ]
    t = np.linspace(0, 1, POINTS + 1)[:, None]
    first, second = ((1 - t) * a + t * b for a, b in pairwise(ends))
    shares = np.concatenate([first, second[1:]])
    return np.array([allocation.weights_from_shares(u, n) for u in shares])


def _risk_parts(model, path):
    """Return noise and discrepancy of weights along a path, relative to the target alone."""
    n, M = _rows_of(model), model.discrepancy_

    def risk(weights, M):
        if hasattr(model, "transfer_quantities_"):
            return allocation.quantity_risk(weights * n[1:], n, M)
        # A row of k times the noise is 1/k of a row that weighs k times as much.
        k = model.source_noise_ratio_
        return allocation.risk(weights * k, np.append(n[0], n[1:] / k), M)

    noise = n[0] * np.array([risk(w, np.zeros_like(M)) for w in path])
    return noise, n[0] * np.array([risk(w, M) for w in path]) - noise
