"""What all displays share: axes, the palette, and how a fitted estimator is recognised."""

import numpy as np
from sklearn.pipeline import Pipeline

# Blue and orange of Okabe and Ito: told apart by every eye, and by their grey values.
BLUE = "#0072B2"
ORANGE = "#E69F00"
# The same palette for lines, in an order in which neighbours differ in lightness, and marks that
# tell them apart where all is grey.
LINES = ("#000000", "#E69F00", "#0072B2", "#CC79A7", "#009E73", "#56B4E9", "#D55E00")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
# Beyond this many lines of text they move together and shrink.
MANY_LINES = 30
# Beyond this many cells in a line their numbers no longer fit.
MANY_CELLS = 12
# A name longer than this leaves no room for the picture.
LONG_NAME = 34


class Display:
    """Keeps the axes that it draws on; how is said by ``_draw`` of each display."""

    figure_size = (6.4, 4.2)

    def plot(self, ax=None):
        """Draw on the axes given, or on a new figure.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure of ``figure_size``.

        Returns
        -------
        self : Display
            With what was drawn on in ``ax_`` and ``figure_``.
        """
        self.ax_ = _new_axes(self.figure_size) if ax is None else ax
        self.figure_ = self.ax_.figure
        self._draw(self.ax_)
        return self


class LinesDisplay(Display):
    """A display with a line of text for each of its ``labels``."""

    @property
    def figure_size(self):
        """Width and height in inches of a figure that holds all labels."""
        return 6.4, 1.2 + len(self.labels) * (0.25 if len(self.labels) <= MANY_LINES else 0.16)

    def _label_lines(self, ax, labels):
        """Write labels from top to bottom."""
        ax.set_yticks(range(len(labels)), [shortened(label) for label in labels])
        ax.tick_params(axis="y", labelsize=10 if len(labels) <= MANY_LINES else 8)
        ax.set_ylim(len(labels) - 0.4, -0.6)


def _new_axes(figure_size):
    import matplotlib.pyplot as plt  # the extra `plot`; nothing else needs it

    return plt.subplots(figsize=figure_size, layout="constrained")[1]


def beside(ax, share):
    """Give the right-hand part of some axes, a ``share`` of their width, to new ones."""
    figure, spec = ax.figure, ax.get_subplotspec()
    if spec is None:  # axes placed by hand
        x, y, width, height = ax.get_position().bounds
        ax.set_position((x, y, (0.95 - share) * width, height))
        return figure.add_axes((x + (1 - share) * width, y, share * width, height), sharey=ax)
    left, right = spec.subgridspec(1, 2, width_ratios=(1 - share, share), wspace=0.05)
    ax.set_subplotspec(left)
    return figure.add_subplot(right, sharey=ax)


def remove_frame(ax):
    """Leave the two axes of a picture only."""
    ax.spines[["top", "right"]].set_visible(False)


def shortened(name):
    """Return a name that leaves room for the picture; both its ends tell it from others."""
    name, half = str(name), LONG_NAME // 2 - 1
    return name if len(name) <= LONG_NAME else f"{name[:half]}...{name[-half:]}"


def fitted_model(fitted, display, kind, attribute):
    """Return a fitted model, or the last step of a pipeline, that has something to draw."""
    model = fitted[-1] if isinstance(fitted, Pipeline) else fitted
    if getattr(model, attribute, None) is None:
        raise ValueError(
            f"{display.__name__} draws a fitted {kind}; {type(model).__name__} has no {attribute}: "
            "fit it first, with a source."
        )
    return model


def check_choice(what, value, choices):
    """Refuse an option that does not exist, naming those that do."""
    if value not in choices:
        raise ValueError(f"{what} must be one of {choices}; got {value!r}.")


def write_cells(ax, image, texts, size):
    """Write a text into each cell that has one, white on dark ones."""
    shades = np.ma.filled(image.norm(image.get_array()), 0.0)
    for row, column in np.argwhere(np.asarray(texts) != ""):
        color = "white" if shades[row, column] > 0.55 else "black"
        ax.text(
            column, row, texts[row, column], color=color, ha="center", va="center", fontsize=size
        )
