"""Which source to start from: scores of all, best first."""

import numpy as np

from ._drawing import BLUE, LinesDisplay, remove_frame


class SourceRankingDisplay(LinesDisplay):
    """Score of each source, best first, and the score without a source as a dashed line.

    A bar is two standard errors of the difference from the best source. Points whose bar ends
    below the best source are hollow: these sources are clearly worse.

    Parameters
    ----------
    source_names : list of str
        Names of the sources.
    scores : array-like of shape (n_sources,)
        Larger is better.
    errors : array-like of shape (n_sources,)
        Standard error of the difference from the best score.
    no_source : float, default=nan
        Score without a source; nan draws no line.
    metric : str, default="score"
        What the axis is called.
    """

    def __init__(self, source_names, scores, errors, no_source=np.nan, *, metric="score"):
        self.source_names = source_names
        self.scores = scores
        self.errors = errors
        self.no_source = no_source
        self.metric = metric

    @property
    def labels(self):
        """What the lines say."""
        return self.source_names

    def _draw(self, ax):
        scores, errors = (np.asarray(each, dtype=float) for each in (self.scores, self.errors))
        order = np.argsort(-scores, kind="stable")
        best = scores[order[0]]
        for row, k in enumerate(order):
            worse = best - scores[k] > 2 * errors[k]
            face = "white" if worse else BLUE
            ax.errorbar(scores[k], row, xerr=2 * errors[k], fmt="o", color=BLUE, mfc=face)
        if np.isfinite(self.no_source):
            ax.axvline(self.no_source, color="black", linestyle="--", linewidth=1)
            ax.annotate(
                "no source",
                (self.no_source, 1),
                (0, 2),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center",
                va="bottom",
            )
        self._label_lines(ax, [self.source_names[k] for k in order])
        ax.set_xlabel(f"{self.metric} (larger is better)")
        remove_frame(ax)
