"""What rehearsals and an ensemble say: ratios of candidates, and weights of members."""

import numpy as np

from ._drawing import BLUE, ORANGE, LinesDisplay, fitted_model, remove_frame


class RehearsalDisplay(LinesDisplay):
    """Loss of each candidate over that of the target alone, one mark for each rehearsal.

    Marks right of the dashed line are rehearsals that harmed. The bar is the mean over sources.

    Parameters
    ----------
    candidates : list of str
        Names, drawn from top to bottom.
    ratios : list of array-like
        Of each candidate its ratios, one for each rehearsal.
    """

    def __init__(self, candidates, ratios):
        self.candidates = candidates
        self.ratios = ratios

    @classmethod
    def from_rehearsal(cls, rehearsal):
        """Make the display of a `skt.model_selection.Rehearsal`, best candidate first."""
        return cls._of(rehearsal.records, rehearsal.baseline)

    @classmethod
    def from_estimator(cls, fitted, *, ax=None):
        """Draw the rehearsals of a fitted `skt.TransferRegressor` or classifier.

        Parameters
        ----------
        fitted : estimator or Pipeline
            It has ``records_``.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        """
        model = fitted_model(fitted, cls, "estimator that rehearses", "records_")
        return cls._of(model.records_, "target alone").plot(ax=ax)

    @classmethod
    def _of(cls, records, baseline):
        ratios = {}
        for record in records:
            if record["candidate"] != baseline:
                ratios.setdefault(record["candidate"], []).append(record["ratio"])
        names = sorted(ratios, key=lambda name: np.mean(ratios[name]))
        return cls(names, [ratios[name] for name in names])

    @property
    def labels(self):
        """What the lines say."""
        return self.candidates

    def _draw(self, ax):
        ax.axvline(1.0, color="black", linestyle="--", linewidth=1)
        for row, ratios in enumerate(self.ratios):
            values = np.asarray(ratios, dtype=float)
            for value in values:
                harmed = value > 1
                ax.plot(
                    value,
                    row,
                    "s" if harmed else "o",
                    color=ORANGE if harmed else BLUE,
                    markeredgecolor="black",
                    alpha=0.7,
                )
            ax.plot([values.mean()] * 2, [row - 0.3, row + 0.3], color="black", linewidth=2)
        self._label_lines(ax, self.candidates)
        ax.set_xlabel("loss relative to the target alone, in each rehearsal")
        remove_frame(ax)


class EnsembleDisplay(LinesDisplay):
    """Weight of each member, and its loss on target rows left out over that of the target alone.

    Parameters
    ----------
    members : list of str
        Names of all candidates, drawn from top to bottom.
    weights : array-like of shape (n_members,)
        Weights; they sum to one.
    ratios : array-like of shape (n_members,)
        Loss on left-out rows over that of the target alone; nan where nothing was left out.
    """

    def __init__(self, members, weights, ratios):
        self.members = members
        self.weights = weights
        self.ratios = ratios

    @classmethod
    def from_estimator(cls, fitted, *, ax=None):
        """Draw the members of a fitted `skt.TransferRegressor` or classifier, heaviest first.

        Parameters
        ----------
        fitted : estimator or Pipeline
            It has ``weights_``, ``refused_`` and ``left_out_loss_``.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        """
        model = fitted_model(fitted, cls, "ensemble", "refused_")
        losses = model.left_out_loss_
        weights = dict.fromkeys(model.refused_, 0.0) | model.weights_
        names = sorted(weights, key=lambda name: -weights[name])
        alone = losses.get("target alone", np.nan)
        ratios = [losses.get(name, np.nan) / alone if alone else np.nan for name in names]
        return cls(names, [weights[name] for name in names], ratios).plot(ax=ax)

    @property
    def labels(self):
        """What the lines say."""
        return self.members

    def _draw(self, ax):
        ax.barh(range(len(self.members)), self.weights, color=BLUE, edgecolor="black", height=0.7)
        for row, (weight, ratio) in enumerate(zip(self.weights, self.ratios, strict=True)):
            if np.isfinite(ratio):
                ax.annotate(
                    f"{ratio:.2f}", (weight, row), (4, 0), textcoords="offset points", va="center"
                )
        self._label_lines(ax, self.members)
        ax.set_xlim(0, 1.15 * max([*self.weights, 0.1]))
        ax.set_xlabel(
            "weight (figures: loss on left-out target rows,\nrelative to the target alone)"
        )
        remove_frame(ax)
