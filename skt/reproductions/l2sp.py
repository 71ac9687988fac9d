"""The figure of the L2-SP paper: which source penalty is best for transfer, against alignment.

arXiv 2511.08401v4, figure 1: 500 isotropic features, p / n_source = phi, 50 target rows with
little noise and a small penalty, target coefficients rho times the source's. For each draw the
penalty of the source is sought that makes the target's error least, and the one that makes the
source's own error least; the figure shows their ratio, and the curve of the theory over it.
"""

import math
from functools import partial
from typing import NamedTuple

import numpy as np

from skt.core import l2sp
from skt.datasets import make_aligned_regressions
from skt.reproductions import Figure, Reproduction
from skt.study import summarize
from skt.theory import marchenko_pastur, transfer_optimal_penalty

__all__ = ["ratio_figure"]

FEATURES, TARGET_ROWS, ALPHA = 500, 50, 0.1
PHIS = (1.5, 2, 3, 5)
ALIGNMENTS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5)
PENALTIES = np.logspace(-2, 2, 50)
# What the project's notes found with ten draws, by phi.
NOTES = {
    1.5: (3.47, 2.47, 1.98, 1.58, 1.28, 1.04, 0.83, 0.67, 0.58, 0.53, 0.48),
    2: (3.29, 2.39, 1.98, 1.55, 1.26, 1.02, 0.82, 0.74, 0.63, 0.55, 0.46),
    3: (3.29, 2.39, 1.76, 1.52, 1.19, 1.01, 0.77, 0.68, 0.57, 0.51, 0.38),
    5: (3.05, 2.25, 1.87, 1.55, 1.17, 1.02, 0.79, 0.65, 0.56, 0.47, 0.37),
}
NOTES_REPEATS = 10


class Best(NamedTuple):
    """The penalties of the source that are best for the target and for the source itself."""

    transfer: float
    source: float


def name_of(phi, rho):
    """Return the name of a design."""
    return f"phi={phi:g} rho={rho:g}"


def draw(rng, phi, rho):
    """Draw rows of the paper's design."""
    return make_aligned_regressions(
        n_source=round(FEATURES / phi),
        n_target=TARGET_ROWS,
        n_features=FEATURES,
        alignment=rho,
        random_state=int(rng.integers(2**31)),
    )


def best_penalties(data):
    """Search the penalties of least true error, on the paper's grid and between its points."""
    rows = data.sample_domain == "source"
    X0, y0 = data.X[rows], data.y[rows, None]
    X1, y1 = data.X[~rows], data.y[~rows, None]
    source = l2sp.source_of_moments(len(X0), X0.T @ X0, X0.T @ y0, y0.T @ y0, intercept=False)
    target = l2sp.target_of_rows(X1, y1, np.ones(len(X1)), intercept=False)

    def source_error(tau):
        return float(np.sum((source.coef(np.array([tau]))[0, :, 0] - data.source_coef) ** 2))

    def target_error(tau):
        coef = target.coef(ALPHA, source.coef(np.array([tau]))[0])
        return float(np.sum((coef[:, 0] - data.coef) ** 2))

    return Best(l2sp.refine(PENALTIES, target_error), l2sp.refine(PENALTIES, source_error))


def ratio(best, data):
    """Return the ratio that the figure shows."""
    return best.transfer / best.source


def theory(phi, rho):
    """Return the ratio in the limit; the source's own optimum is gamma = phi."""
    best = transfer_optimal_penalty(marchenko_pastur(phi), alignment=rho, noise_to_signal=phi)
    return best / phi


def cells(records):
    """Return mean and standard error of the ratio by (phi, rho), and how many draws."""
    by_design = {row["design"]: row for row in summarize(records) if row["metric"] == "ratio"}
    return {
        (phi, rho): (by_design[name]["mean"], by_design[name]["standard_error"])
        for phi in PHIS
        for rho in ALIGNMENTS
        if (name := name_of(phi, rho)) in by_design
    }


def figures(records, n_repeats):
    """Compare each point with the theory and with the notes, whose errors are taken as ours."""
    found, scale = cells(records), math.sqrt(n_repeats / NOTES_REPEATS)
    limit = [
        Figure(f"theory: {name_of(*place)}", theory(*place), 0.0, *measured)
        for place, measured in found.items()
    ]
    notes = [
        Figure(
            f"notes: {name_of(phi, rho)}",
            NOTES[phi][ALIGNMENTS.index(rho)],
            error * scale,
            value,
            error,
            rounding=0.005,
        )
        for (phi, rho), (value, error) in found.items()
    ]
    return limit + notes


def plot(records, ax):
    """Draw ratios with two standard errors, and the curves of the theory."""
    found = cells(records)
    # Okabe and Ito, from dark to light; markers and dashes tell them apart in grey too.
    styles = zip(
        PHIS, ("#000000", "#0072B2", "#D55E00", "#E69F00"), "osD^", ("-", "--", "-.", ":"),
        strict=True,
    )  # fmt: skip
    curve = np.linspace(min(ALIGNMENTS), max(ALIGNMENTS), 81)
    for phi, color, marker, line in styles:
        points = [(rho, *found[phi, rho]) for rho in ALIGNMENTS if (phi, rho) in found]
        ax.plot(curve, [theory(phi, rho) for rho in curve], line, color=color, linewidth=1)
        x, y, error = np.array(points).T
        label = f"p / n = {phi:g}"
        ax.errorbar(
            x, y, 2 * error, fmt=marker, color=color, markersize=5, capsize=2, label=label,
            markerfacecolor="white",
        )  # fmt: skip
    ax.axhline(1.0, color="0.6", linewidth=0.8)
    ax.axvline(1.0, color="0.6", linewidth=0.8)
    ax.set_yscale("log")
    ticks = (0.4, 0.6, 1.0, 1.5, 2.0, 3.0)
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set(xlabel="alignment of source and target", ylabel="best source penalty: transfer / source")
    ax.legend(title="points: simulation, lines: theory", frameon=False)


def ratio_figure():
    """Return the reproduction of the paper's figure 1."""
    return Reproduction(
        source="L2-SP, arXiv 2511.08401v4, figure 1, and the notes of this project (10 draws)",
        designs={
            name_of(phi, rho): partial(draw, phi=phi, rho=rho) for phi in PHIS for rho in ALIGNMENTS
        },
        methods={"best penalties": best_penalties},
        metrics={"ratio": ratio},
        n_repeats=40,
        figures=figures,
        remark=(
            "The theory is the limit of many features (Marchenko-Pastur); 500 are close to it. The "
            "notes give no errors: they are taken to be ours at ten draws, which is too little if "
            "they searched the paper's grid only, whose steps are a fifth. The paper shows a "
            "figure only, so that its points cannot be compared."
        ),
        plot=plot,
    )
