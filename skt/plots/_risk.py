"""What sources are worth: effective sample size, and predicted risk along the weights."""

from itertools import pairwise

import numpy as np

from skt.core import allocation

from ._drawing import (
    BLUE,
    LINES,
    MANY_LINES,
    MARKS,
    ORANGE,
    Display,
    LinesDisplay,
    check_choice,
    fitted_model,
    remove_frame,
    shortened,
)

KINDS = "UOWQRegressor, SourceWeighted or SourceSampled"
# Points between the target alone and the choice, and between the choice and all rows pooled.
POINTS = 40
# A risk beyond this multiple of the target's own is as bad as any, and would flatten the rest.
FAR = 2.0


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

    It is the objective that the weights minimise, (B1) of docs/models.md, at the estimated
    discrepancies: noise, which falls as sources are added, and discrepancy, which rises. For
    `SourceSampled` it is (A1) of docs/models.md, along the rows taken. The star is the choice.

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
    # A little of a scale is what averaging two models leaves of none.
    if np.any(np.abs(getattr(model, "source_scale_", 1.0) - 1) > 0.5):
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
