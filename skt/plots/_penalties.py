"""What penalties do: errors by leave-one-out or validation that the choice was made from."""

import numpy as np

from ._drawing import LINES, MARKS, ORANGE, Display, fitted_model, remove_frame

# Errors beyond this multiple of the least are all the same, and would flatten the rest.
FAR = 2.0


class PenaltyCurveDisplay(Display):
    """Error along the target's penalty: by the target alone, and with the sources.

    Relative to the least error of the target alone: a curve below the dashed line is a gain. The
    star is the choice. A level stands for a fit in which target and sources have penalties of
    their own.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,)
        Penalties of the target, in whatever order.
    curves : dict of str to array-like of shape (n_alphas,)
        Errors, the target alone first; infinite or nan where there are none.
    what : str
        The error's name.
    level : float, default=None
        Error of a joint fit.
    chosen : tuple of float, default=None
        Penalty and error of the choice.
    """

    def __init__(self, alphas, curves, what, level=None, chosen=None):
        self.alphas = alphas
        self.curves = curves
        self.what = what
        self.level = level
        self.chosen = chosen

    @classmethod
    def from_estimator(cls, fitted, *, ax=None):
        """Draw the curves of a fitted estimator, or of the last step of a pipeline.

        Parameters
        ----------
        fitted : L2SPRidge, L2SPClassifier or Pipeline
            For `L2SPRidge` exact leave-one-out errors, at each penalty with the best penalties
            and scales of the sources; the joint fit (``method_`` "ml" or "stacked") is a level.
            For `L2SPClassifier` the validated log-loss.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        """
        model = fitted_model(fitted, cls, "L2SPRidge or L2SPClassifier", "alphas_")
        make = cls._of_losses if hasattr(model, "cv_loss_") else cls._of_loo_errors
        return make(model).plot(ax=ax)

    @classmethod
    def _of_losses(cls, model):
        alone, both = model.cv_loss_
        if np.isnan(alone).all():
            raise ValueError(
                "PenaltyCurveDisplay needs penalties that were validated; alpha and source_scale "
                "were both given, so that nothing was. Leave alpha at 'auto'."
            )
        used = int(bool(model.transfer_gain_ > 0))
        error = model.cv_loss_[used][np.argmax(model.alphas_ == model.alpha_)]
        curves = {"target alone": alone, "with sources": both}
        return cls(model.alphas_, curves, "validated log-loss", chosen=(model.alpha_, error))

    @classmethod
    def _of_loo_errors(cls, model):
        curves, level = {"target alone": model.loo_curve_}, None
        if model.method_ != "loo":
            level = model.loo_error_
        elif model.source_names_:
            curves["with sources"] = np.min(model.loo_surface_, axis=0)
        chosen = None if level is not None else (model.alpha_, model.loo_error_)
        return cls(model.alphas_, curves, "leave-one-out error", level, chosen)

    def _draw(self, ax):
        least = np.nanmin(next(iter(self.curves.values())))
        x, _ = _finite_places(self.alphas)
        order = np.argsort(x, kind="stable")
        for number, (label, values) in enumerate(self.curves.items()):
            ratio = np.asarray(values, dtype=float)[order] / least
            if np.isfinite(ratio).any():
                self._draw_curve(ax, number, label, x[order], ratio)
        ax.axhline(1.0, color="black", linestyle=":", linewidth=1)
        if self.level is not None and np.isfinite(self.level):
            level = self.level / least
            ax.axhline(level, color=LINES[2], linestyle="-.", label="sources fitted jointly")
        if self.chosen is not None:
            place = x[np.argmax(np.equal(self.alphas, self.chosen[0]))], self.chosen[1] / least
            ax.plot(
                *place, "*", color=ORANGE, markeredgecolor="black", markersize=14, label="chosen"
            )
        ax.set_xscale("log")
        if np.isinf(self.alphas).any():
            ax.set_xticks([x.max()], ["\ninfinite"], minor=True)
        self._limit(ax, least)
        ax.set(
            xlabel="alpha, the target's penalty",
            ylabel=f"{self.what}, relative to the target alone",
        )
        ax.legend(frameon=False)
        remove_frame(ax)

    def _draw_curve(self, ax, number, label, alphas, ratio):
        every = max(len(alphas) // 8, 1)
        style = {"color": (LINES[0], LINES[2])[number], "linestyle": ("--", "-")[number]}
        ax.plot(alphas, ratio, **style, marker=MARKS[number], markevery=every, label=label)

    def _limit(self, ax, least):
        """Leave out errors that are so large that they would flatten the rest."""
        shown = np.concatenate([np.asarray(v, dtype=float) for v in self.curves.values()]) / least
        shown = np.append(shown[np.isfinite(shown)], [1.0, (self.level or least) / least])
        if shown.max() > FAR:
            low = np.nanmin(shown)
            ax.set_ylim(low - 0.05 * (FAR - low), FAR)


class LooSurfaceDisplay(Display):
    """Leave-one-out error of L2-SP ridge against both its penalties, relative to the target alone.

    Dark is a low error, the dashed line is where the sources stop to help, and the mark is the
    choice. For one penalty alone see `PenaltyCurveDisplay`.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,)
        Penalties of the target.
    source_alphas : array-like of shape (n_source_alphas,)
        Penalties of the sources.
    ratios : array-like of shape (n_source_alphas, n_alphas)
        Error with the sources, relative to the least error of the target alone.
    """

    def __init__(self, alphas, source_alphas, ratios):
        self.alphas = alphas
        self.source_alphas = source_alphas
        self.ratios = ratios

    @classmethod
    def from_estimator(cls, fitted, *, ax=None):
        """Draw the errors of a fitted `L2SPRidge`, or of the last step of a pipeline.

        Parameters
        ----------
        fitted : L2SPRidge or Pipeline
            Fitted with ``method="loo"`` and neither penalty given. Where there are several
            sources, the geometric mean of their penalties is drawn.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.
        """
        model = fitted_model(fitted, cls, "L2SPRidge", "loo_curve_")
        surface = getattr(model, "loo_surface_", np.empty((0, 0)))
        if min(surface.shape) < 2:
            raise ValueError(
                "LooSurfaceDisplay needs many pairs of penalties: sources, method='loo', and alpha "
                f"and source_alpha at 'auto'; this L2SPRidge, of method_ {model.method_!r}, has "
                "not looked at that many. PenaltyCurveDisplay draws what it has."
            )
        source_alphas = np.exp(np.nanmean(np.log(model.source_alphas_), axis=1))
        return cls(model.alphas_, source_alphas, surface / model.loo_curve_.min()).plot(ax=ax)

    def _draw(self, ax):
        x, y, ratios = self.alphas, self.source_alphas, np.asarray(self.ratios)
        top = max(min(ratios.max(), FAR), 1.01)
        shown = np.minimum(ratios, top)
        image = ax.pcolormesh(x, y, shown, cmap="Blues_r", vmax=top, shading="nearest")
        if ratios.min() < 1 < ratios.max():
            ax.contour(x, y, ratios, [1.0], colors="black", linestyles="--")
        row, column = np.unravel_index(np.argmin(ratios), ratios.shape)
        style = {"color": ORANGE, "markeredgecolor": "black", "markersize": 14, "clip_on": False}
        ax.plot(np.asarray(x)[column], np.asarray(y)[row], "*", **style)
        ax.set(xscale="log", xlabel="alpha, the target's penalty")
        ax.set(yscale="log", ylabel="source_alpha, the sources' penalty")
        label = "leave-one-out error, relative to the target alone"
        extend = "max" if ratios.max() > top else "neither"
        ax.figure.colorbar(image, ax=ax, label=label, extend=extend)


class SelectionDisplay(Display):
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
    """

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
        model = fitted_model(fitted, cls, "SMARTRegressor", "cv_results_")
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

    def _draw(self, ax):
        x, is_path = _finite_places(self.alpha)
        ax.axhline(0.0, color="black", linestyle="--", linewidth=1)
        self._draw_paths(ax, x, np.flatnonzero(is_path))
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
        remove_frame(ax)

    def _draw_paths(self, ax, x, on_paths):
        pairs = dict.fromkeys(self.structural_rank[i] for i in on_paths)
        for number, pair in enumerate(pairs):
            same = [i for i in on_paths if self.structural_rank[i] == pair]
            self._draw_path(ax, x, np.array(same), number, f"structural rank {pair[0]}, {pair[1]}")

    def _draw_path(self, ax, x, order, number, label):
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
            (10, -4),
            textcoords="offset points",
        )


def _finite_places(alpha):
    """Return places on a logarithmic axis, infinity right of the rest, and which are finite."""
    alpha = np.asarray(alpha, dtype=float)
    is_path = np.isfinite(alpha) & (alpha > 0)
    largest = np.max(alpha[is_path], initial=0.0) or 1.0
    return np.where(np.isinf(alpha), 4 * largest, alpha), is_path
