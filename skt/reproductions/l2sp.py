"""The figure of the L2-SP paper: which source penalty is best for transfer, against alignment.

arXiv 2511.08401v4, figure 1: 500 features, p / n_source = phi, 50 target rows with little noise and
a small penalty, target coefficients rho times the source's, ten draws; rows isotropic, or of
variances k^-decay. The figure shows the source penalty that makes the target's error least over
that which makes the source's own error least, and the curve of the theory.

A repeat is ten draws, as in the paper, each with all alignments: same rows, noise and source
coefficients. The theory is about expected error, so that it is held against the minimum of the mean
of the ten curves. How the notes made one number of ten draws is not written down; `SUMMARIES` has
the plausible ways, all on the grid alone, and the report says which of them agree.
"""

from functools import cache, partial
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev

from skt.core import l2sp
from skt.datasets import make_aligned_regressions
from skt.reproductions._simultaneous import mean_against, one_against, p_text, shared_p_value
from skt.reproductions.reproduction import Figure, Reproduction
from skt.theory import (
    equivalent_prior_error,
    equivalent_risk,
    marchenko_pastur,
    transfer_optimal_penalty,
)

__all__ = ["ratio_figure"]

FEATURES, TARGET_ROWS, ALPHA, DRAWS = 500, 50, 0.1, 10
SOURCE_NOISE, TARGET_NOISE = 1.0, 0.1
PHIS = (1.5, 2, 3, 5)
DECAYS = (0.0, 0.5, 1.0, 2.0)
ALIGNMENTS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5)
PENALTIES = np.logspace(-2, 2, 50)
# What the project's notes found with ten draws, by phi.
NOTES = {
    1.5: (3.47, 2.47, 1.98, 1.58, 1.28, 1.04, 0.83, 0.67, 0.58, 0.53, 0.48),
    2: (3.29, 2.39, 1.98, 1.55, 1.26, 1.02, 0.82, 0.74, 0.63, 0.55, 0.46),
    3: (3.29, 2.39, 1.76, 1.52, 1.19, 1.01, 0.77, 0.68, 0.57, 0.51, 0.38),
    5: (3.05, 2.25, 1.87, 1.55, 1.17, 1.02, 0.79, 0.65, 0.56, 0.47, 0.37),
}
ROUNDING = 0.005


# Simulation -----------------------------------------------------------------------------------

# Errors are smooth in the logarithm of the penalty: known at Chebyshev's nodes, they are known to a
# millionth on the whole grid.
ENDS = np.log(PENALTIES[[0, -1]])
NODES = np.exp(ENDS.mean() + np.diff(ENDS) / 2 * chebyshev.chebpts1(24))
# At given penalties a target's error is quadratic in the alignment.
RECORDED = (0.5, 1.0, 1.5)


class Curves(NamedTuple):
    """Errors along the nodes; the last axis is that of penalties."""

    source: np.ndarray  # of the source fit for the source
    target: np.ndarray  # (.., n_recorded, n_nodes) of the target's fit


def name_of(phi, decay):
    """Return the name of a design."""
    return f"phi={phi:g} decay={decay:g}"


def draw(rng, phi, decay):
    """Draw rows of the paper's design ten times, at alignment one."""
    return [
        make_aligned_regressions(
            n_source=round(FEATURES / phi),
            n_target=TARGET_ROWS,
            n_features=FEATURES,
            decay=decay,
            source_noise=SOURCE_NOISE,
            target_noise=TARGET_NOISE,
            random_state=int(rng.integers(2**31)),
        )
        for _ in range(DRAWS)
    ]


def curves(data):
    """Return excess prediction errors of one draw."""
    rows, w0 = data.sample_domain == "source", data.source_coef[:, None]
    rho, variances = np.array(RECORDED), np.diag(data.covariance)
    X0, X1 = data.X[rows], data.X[~rows]
    # The target's coefficients are rho w_0: only the signal in its outputs changes with rho.
    Y1 = data.y[~rows, None] + (X1 @ w0) * (rho - 1)
    source = l2sp.target_of_rows(X0, data.y[rows, None], np.ones(len(X0)), intercept=False)
    target = l2sp.target_of_rows(X1, Y1, np.ones(len(X1)), intercept=False)
    fits = [source.coef(tau, np.zeros_like(w0)) for tau in NODES]
    moved = [target.coef(ALPHA, b) for b in fits]
    return Curves(
        np.array([variances @ (b - w0)[:, 0] ** 2 for b in fits]),
        np.array([variances @ (b - rho * w0) ** 2 for b in moved]).T,
    )


def ten_draws(data):
    """Return the mean curves of the draws, and what the notes may have made of them."""
    every = Curves(*map(np.array, zip(*map(curves, data), strict=True)))
    grid = Curves(on_grid(every.source), on_grid(every.target))
    return {
        "curves": Curves(*(part.mean(axis=0) for part in every)),
        **{name: summary(grid) for name, summary in SUMMARIES.items()},
    }


def polynomial(errors):
    """Return the coefficients of curves known at the nodes, (24, ..)."""
    basis = chebyshev.chebvander(_position(NODES), len(NODES) - 1)
    return np.linalg.solve(basis, np.moveaxis(errors, -1, 0).reshape(len(NODES), -1))


def on_grid(errors):
    """Return curves at the paper's penalties, from the nodes."""
    basis = chebyshev.chebvander(_position(PENALTIES), len(NODES) - 1)
    return (basis @ polynomial(errors)).T.reshape(*errors.shape[:-1], len(PENALTIES))


def _position(penalties):
    return (np.log(penalties) - ENDS.mean()) / (np.diff(ENDS) / 2)


def at_alignments(target):
    """Return curves at all alignments from those recorded, (.., n_alignments, n_penalties)."""
    quadratic = np.vander(ALIGNMENTS, 3) @ np.linalg.inv(np.vander(RECORDED, 3))
    return quadratic @ target


def lowest(errors):
    """Return the penalties of least error of curves known at the nodes."""
    x = np.linspace(-1, 1, 2001)
    best = x[np.argmin(chebyshev.chebval(x, polynomial(errors)), axis=1)]
    series = polynomial(errors)
    slope, bend = chebyshev.chebder(series), chebyshev.chebder(series, 2)
    for _ in range(3):  # Newton's steps from a grid of half a percent
        down = chebyshev.chebval(best, slope, tensor=False)
        step = down / chebyshev.chebval(best, bend, tensor=False)
        best = np.where(np.abs(best) < 1, best - step, best)
    return np.exp(ENDS.mean() + np.diff(ENDS) / 2 * best)


def ratios(found):
    """Return where the target's curves are lowest over where the source's is."""
    return lowest(at_alignments(found.target)) / lowest(found.source)


# Ten draws in one number for each alignment, as the notes may have done it -----------------------


def _least(errors):
    return PENALTIES[np.argmin(errors, axis=-1)]


def mean_of_ratios(grid):
    return np.mean(_least(at_alignments(grid.target)) / _least(grid.source)[:, None], axis=0)


def ratio_of_means(grid):
    return np.mean(_least(at_alignments(grid.target)), axis=0) / np.mean(_least(grid.source))


def median_of_ratios(grid):
    return np.median(_least(at_alignments(grid.target)) / _least(grid.source)[:, None], axis=0)


def minimum_of_mean(grid):
    return _least(at_alignments(grid.target.mean(axis=0))) / _least(grid.source.mean(axis=0))


SUMMARIES = {
    "mean of ratios": mean_of_ratios,
    "ratio of means": ratio_of_means,
    "median of ratios": median_of_ratios,
    "minimum of the mean curves": minimum_of_mean,
}


# Records --------------------------------------------------------------------------------------


def metrics():
    """Return one metric for each point of the mean curves, and of each summary."""
    points = {f"source, node {j}": partial(_source_at, j) for j in range(len(NODES))}
    points |= {
        f"target rho={rho:g}, node {j}": partial(_target_at, i, j)
        for i, rho in enumerate(RECORDED)
        for j in range(len(NODES))
    }
    return points | {
        f"{name}: rho={rho:g}": partial(_entry, name, i)
        for name in SUMMARIES
        for i, rho in enumerate(ALIGNMENTS)
    }


def _source_at(j, fitted, data):
    return float(fitted["curves"].source[j])


def _target_at(i, j, fitted, data):
    return float(fitted["curves"].target[i, j])


def _entry(name, i, fitted, data):
    return float(fitted[name][i])


def repeats_of(records, phi, decay, names):
    """Return the values of some metrics in every repeat, (n_repeats, n_names)."""
    places, values = {name: i for i, name in enumerate(names)}, {}
    for row in records:
        if row["design"] == name_of(phi, decay) and row["metric"] in places:
            values.setdefault(row["repeat"], {})[places[row["metric"]]] = row["value"]
    return np.array([[found[i] for i in range(len(names))] for _, found in sorted(values.items())])


def simulated(records, phi, decay=0.0):
    """Return jackknife pseudo-values of the ratios, (n_repeats, n_alignments).

    The ratio is that at the minimum of the mean over all draws; each repeat left out gives its
    pseudo-value, and their mean and covariance are those of the ratio.
    """
    values = repeats_of(records, phi, decay, list(metrics())[: 4 * len(NODES)])
    values = values.reshape(len(values), 4, len(NODES))
    total, n = values.sum(axis=0), len(values)
    whole = ratios(Curves(total[0], total[1:]))
    if n == 1:
        return whole[None]
    rest = [ratios(Curves(total[0] - v[0], total[1:] - v[1:])) for v in values]
    return n * whole - (n - 1) * np.array(rest)


def noted(records, phi, summary):
    """Return a summary of the isotropic design in every repeat, (n_repeats, n_alignments)."""
    names = [f"{summary}: rho={rho:g}" for rho in ALIGNMENTS]
    return repeats_of(records, phi, 0.0, names)


# Theory ---------------------------------------------------------------------------------------


def theory(phi, rho, decay=0.0):
    """Return the ratio in the limit of many features.

    Isotropic: the Marchenko-Pastur law, and the source's own optimum is gamma = phi. Otherwise
    deterministic equivalents at the mean over directions of w_0.
    """
    if decay == 0:
        best = transfer_optimal_penalty(marchenko_pastur(phi), alignment=rho, noise_to_signal=phi)
        return best / phi
    return _lowest_equivalent(phi, decay, rho) / _lowest_equivalent(phi, decay)


@cache
def _lowest_equivalent(phi, decay, rho=None):
    """Return the penalty of least equivalent error of the target, or of the source (rho None)."""
    variances = np.arange(1, FEATURES + 1) ** -decay
    variances *= FEATURES / variances.sum()
    w0 = np.full(FEATURES, FEATURES**-0.5)
    known = {"n_source": round(FEATURES / phi), "source_noise_variance": SOURCE_NOISE**2}

    def error(tau):
        if rho is None:
            return equivalent_prior_error(tau, variances, w0, w0, metric=variances, **known)
        return equivalent_risk(
            ALPHA, tau, variances, w0, rho * w0,
            n_target=TARGET_ROWS, target_noise_variance=TARGET_NOISE**2, **known,
        )  # fmt: skip

    return l2sp.refine(PENALTIES, error)


# What is said of it ---------------------------------------------------------------------------


class Points(NamedTuple):
    """The ratios of one spectrum, a row for each phi."""

    blocks: list  # of pseudo-values
    theory: np.ndarray

    @property
    def mean(self):
        """Return the ratios."""
        return np.array([block.mean(axis=0) for block in self.blocks])

    @property
    def error(self):
        """Return their standard errors."""
        return np.array([_spread(block) / len(block) ** 0.5 for block in self.blocks])


def _spread(block):
    """Return standard deviations over repeats; one repeat has none."""
    return block.std(axis=0, ddof=1) if len(block) > 1 else np.full(block.shape[1], np.nan)


def points(records, decay=0.0):
    """Return ratios and theory of one spectrum."""
    curve = np.array([[theory(phi, rho, decay) for rho in ALIGNMENTS] for phi in PHIS])
    return Points([simulated(records, phi, decay) for phi in PHIS], curve)


def agreement_with_theory(records, decay=0.0):
    """Compare all ratios of one spectrum with the curves of the theory."""
    found = points(records, decay)
    return mean_against(found.blocks, found.theory)


def agreement_with_notes(records, summary, *, shared):
    """Compare the notes, each entry one of our repeats if made the same way."""
    blocks = [noted(records, phi, summary) for phi in PHIS]
    return one_against(blocks, NOTES.values(), ROUNDING, shared=shared)


def notes_share_draws(records, summary):
    """Return the p-value of the notes having used the same draws at all alignments."""
    blocks = [noted(records, phi, summary) for phi in PHIS]
    return shared_p_value(blocks, NOTES.values(), ROUNDING)


def figures(records, n_repeats):
    """Compare each point with the theory, and with the notes as one more repeat."""
    limit = [
        Figure(f"theory: {name_of(phi, decay)} rho={rho:g}", expected, 0.0, value, error)
        for decay in DECAYS
        for phi, *rows in zip(PHIS, *_table(points(records, decay)), strict=True)
        for rho, expected, value, error in zip(ALIGNMENTS, *rows, strict=True)
    ]
    notes = []
    for phi in PHIS:
        block = noted(records, phi, "mean of ratios")
        spread = _spread(block)
        notes += [
            Figure(f"notes: {name_of(phi, 0)} rho={rho:g}", *row, ROUNDING)
            for rho, *row in zip(
                ALIGNMENTS, NOTES[phi], spread, block.mean(axis=0), spread / len(block) ** 0.5,
                strict=True,
            )
        ]  # fmt: skip
    return limit + notes


def _table(found):
    return found.theory, found.mean, found.error


def conclusions(records):
    """Return sentences on all points at once."""
    if len(noted(records, PHIS[0], "mean of ratios")) < 2:
        return "All points at once are compared from two repeats on."
    lines = ["All points of a spectrum at once, against the theory (largest relative gap):", ""]
    for decay in DECAYS:
        gap = points(records, decay)
        gap = np.max(np.abs(gap.mean / gap.theory - 1))
        lines.append(f"* decay {decay:g}: {agreement_with_theory(records, decay)} ({gap:.1%}).")
    lines += ["", "The notes' table as one more ten draws, by how ten draws become one number:", ""]
    lines += [
        f"* {name}: {agreement_with_notes(records, name, shared=False)}; if all alignments shared "
        f"their draws, {p_text(notes_share_draws(records, name))}."
        for name in SUMMARIES
    ]
    return "\n".join(lines)


# Figure ---------------------------------------------------------------------------------------

# Okabe and Ito, from dark to light; markers and dashes tell them apart in grey too.
STYLES = dict(
    zip(
        PHIS,
        zip(("#000000", "#0072B2", "#D55E00", "#E69F00"), "osD^", ("-", "--", "-.", ":"),
            strict=True),
        strict=True,
    )
)  # fmt: skip


def plot(records, ax):
    """Draw ratios with two standard errors and the curves of the theory, a panel a spectrum."""
    figure, place = ax.figure, ax.get_subplotspec()
    ax.remove()
    figure.set_size_inches(9, 7)
    panels = place.subgridspec(2, 2).subplots(sharex=True, sharey=True)
    for panel, decay in zip(panels.flat, DECAYS, strict=True):
        _draw_panel(records, panel, decay)
    for panel in panels[-1]:
        panel.set_xlabel("alignment of source and target")
    for panel in panels[:, 0]:
        panel.set_ylabel("best source penalty: transfer / source")
    panels[0, 0].legend(title="points: simulation, lines: theory", frameon=False)


def _draw_panel(records, ax, decay):
    found, curve = points(records, decay), np.linspace(min(ALIGNMENTS), max(ALIGNMENTS), 41)
    for phi, value, error in zip(PHIS, found.mean, found.error, strict=True):
        color, marker, line = STYLES[phi]
        ax.plot(curve, [theory(phi, rho, decay) for rho in curve], line, color=color, linewidth=1)
        ax.errorbar(
            ALIGNMENTS, value, 2 * error, fmt=marker, color=color, markersize=5, capsize=2,
            label=f"p / n = {phi:g}", markerfacecolor="white",
        )  # fmt: skip
    ax.axhline(1.0, color="0.6", linewidth=0.8)
    ax.axvline(1.0, color="0.6", linewidth=0.8)
    ax.set_yscale("log")
    ticks = (0.2, 0.4, 0.6, 1.0, 1.5, 2.0, 3.0, 5.0)
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set_title("isotropic" if decay == 0 else f"variances k^-{decay:g}", fontsize="medium")


def ratio_figure():
    """Return the reproduction of the paper's figure 1."""
    return Reproduction(
        source="L2-SP, arXiv 2511.08401v4, figure 1, and the notes of this project (10 draws)",
        designs={
            name_of(phi, decay): partial(draw, phi=phi, decay=decay)
            for decay in DECAYS
            for phi in PHIS
        },
        methods={"ten draws": ten_draws},
        metrics=metrics(),
        n_repeats=40,
        figures=figures,
        conclusions=conclusions,
        remark=(
            "A repeat is ten draws. The theory is the limit of many features, and about expected "
            "error: it is held against the minimum of the mean curve of all draws (errors: "
            "jackknife over repeats). The notes searched the paper's grid only, whose steps are a "
            "fifth. The paper shows a figure only, so that its points cannot be compared."
        ),
        plot=plot,
    )
