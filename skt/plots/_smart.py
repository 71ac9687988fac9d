"""What SMART found: how factors lean on the sources' directions, and how it got there."""

import numpy as np

from ._drawing import (
    LINES,
    MANY_CELLS,
    MANY_LINES,
    MARKS,
    Display,
    check_choice,
    fitted_model,
    remove_frame,
    write_cells,
)


class AlignmentDisplay(Display):
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
        model = fitted_model(fitted, cls, "SMARTRegressor", "alignment_")
        check_choice("side", side, ["features", "outputs"])
        number = ("features", "outputs").index(side)
        free = model.structural_rank_[number] if max(model.alpha_) > 0 else 0
        return cls(model.alignment_[number], free, side).plot(ax=ax)

    @property
    def figure_size(self):
        """Width and height in inches of a figure that holds all labels."""
        rows, columns = np.shape(self.coefficients)
        return 2.6 + 0.55 * columns, 1.4 + (0.3 if rows <= MANY_LINES else 0.16) * rows

    def _draw(self, ax):
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
            write_cells(ax, image, _signed(values), 8)
        ax.figure.colorbar(image, ax=ax, label="size of coefficient")


class ConvergenceDisplay(Display):
    """Residuals of an iteration and what its objective lies above its least, by iteration.

    Parameters
    ----------
    iterations : array-like of shape (n_checks,)
        Numbers of the iterations.
    primal, dual, excess : array-like of shape (n_checks,)
        Both residuals, and the objective less its least value, relative to it.
    tol : float
        What the residuals are brought below.
    """

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
        model = fitted_model(fitted, cls, "SMARTRegressor", "residual_curve_")
        if len(model.residual_curve_) == 0:
            raise ValueError(
                "drawing the convergence needs a solution by iteration; this one is a closed form."
            )
        curve = model.objective_curve_
        excess = (curve - curve.min()) / abs(curve.min())
        iterations = np.linspace(model.n_iter_ / len(curve), model.n_iter_, len(curve))
        return cls(iterations, *model.residual_curve_.T, excess, model.solver_.tol).plot(ax=ax)

    def _draw(self, ax):
        lines = {"primal": self.primal, "dual": self.dual, "objective above its least": self.excess}
        for number, (label, values) in enumerate(lines.items()):
            shown = np.where(np.asarray(values) > 0, values, np.nan)
            every = max(len(shown) // 10, 1)
            style = {"color": LINES[number], "marker": MARKS[number], "markevery": every}
            ax.semilogy(self.iterations, shown, label=label, markersize=5, **style)
        ax.axhline(self.tol, color="black", linestyle="--", linewidth=1, label="tol")
        ax.set(xlabel="iteration", ylabel="residual")
        ax.legend(frameon=False)
        remove_frame(ax)


def _signed(values):
    """Return numbers with signs as texts, none where they are zero."""
    texts = [f"{value:.2f}".replace("0.", ".") for value in values.ravel()]
    return np.where(np.abs(values) >= 0.005, np.reshape(texts, values.shape), "")
