"""Which rows of a source, once it is known how many? Random draws against others.

    python -m benchmarks which_rows which_rows-boosting

OTQMS with its quantities by the checked programme, in which a row is drawn

- at random,
- "matched": the draw of twenty that promises most (``OTQMSSampler(selection="matched")``),
- by leverage: with probability proportional to ``z'(Z'Z)^{-1} z`` among the source's rows,
- stratified: any number of rows spreads evenly over the source's sorted outcomes.

The last two are prototypes that live here only.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.base import clone
from sklearn.utils import Bunch

from benchmarks import data as real
from benchmarks import hold_out, simulation
from benchmarks.harness import command, load
from benchmarks.how_many_rows import (
    BOOSTING,
    LEARNING_METHODS,
    LEARNING_METRICS,
    LEARNING_REPORT,
    LEAST_SQUARES,
    MODEL,
    TARGET_ONLY,
    Learning,
    learning_table,
    timed,
)
from benchmarks.uowq_risk import METHODS
from skt.core import allocation, evidence, families, otqms
from skt.core.rows import Rows
from skt.datasets import make_related_regressions
from skt.sources import split_domains
from skt.study import mean_and_error

# Orders in which the rows of a source are taken -------------------------------------------------


def at_random(rng, rows):
    return rng.permutation(len(rows.X))


def by_leverage(rng, rows):
    """Draw without replacement: the least of exponential times with the leverages as rates."""
    left = np.linalg.svd(rows.X, full_matrices=False)[0]
    return np.argsort(rng.exponential(size=len(rows.X)) / np.maximum(np.sum(left**2, 1), 1e-12))


def stratified(rng, rows):
    """Return an order whose first rows, however many, are spread over the sorted outcomes.

    It goes through the ranks as the van der Corput sequence, from a random start.
    """
    n, outcome = len(rows.X), rows.Y[:, 0]
    bits = max(int(np.ceil(np.log2(n))), 1)
    sequence = sum(((np.arange(2**bits) >> b) & 1) / 2 ** (b + 1) for b in range(bits))
    ranks = np.floor((sequence + rng.uniform()) % 1 * n).astype(int)
    ranks = ranks[np.sort(np.unique(ranks, return_index=True)[1])]
    order = np.argsort(outcome, kind="stable")[ranks]
    return np.concatenate([order, np.setdiff1d(np.arange(n), order)])


ORDERS = {
    "random": (at_random, 1),
    "matched (twenty draws)": (at_random, 20),
    "by leverage": (by_leverage, 1),
    "stratified by outcome": (stratified, 1),
}

# The sampler, with any order ----------------------------------------------------------------------


def chosen_rows(data, order, draws, rng, design=evidence.design):
    """Return the target's rows, those taken of the sources, and their number."""
    target, sources = split_domains(data.sample_domain, len(data.X))
    Z, origin = design(data.X, np.ones(len(data.X))), np.mean(data.y[target])
    places = [target, *sources.values()]
    domains = [Rows(Z[p], data.y[p, None] - origin, np.ones(len(p))) for p in places]
    measured = evidence.measure(families.GAUSSIAN, domains)
    M = evidence.discrepancy_matrix(measured, "eb")
    sizes = np.array([len(p) for p in places[1:]])
    candidates = [_proposal(measured, multiple * M, sizes) for multiple in otqms.MULTIPLES]
    orders = [[order(rng, rows) for rows in domains[1:]] for _ in range(draws)]
    choice = otqms.choose_rows(measured, M, candidates, orders)
    rows = [target, *(p[o] for p, o in zip(places[1:], choice.rows, strict=True))]
    return np.concatenate(rows), choice.quantities.sum() / sizes.sum()


def _proposal(measured, M, sizes):
    m = allocation.optimal_quantities(measured.programme_rows, M)
    return allocation.whole_quantities(m, sizes, np.ones(len(sizes)), np.inf)


# Simulation -----------------------------------------------------------------------------------


def heavy_tailed(rng, discrepancy, shared, n_target, heavy):
    """Three sources of 400 rows; rows of all domains may have a size of their own (t, 3 df)."""
    data = make_related_regressions(
        n_target, 400, 20, discrepancy, shared=shared, random_state=int(rng.integers(2**31))
    )
    X, y = data.X, data.y
    if heavy:
        X = data.X / np.sqrt(rng.chisquare(3, size=(len(X), 1)))  # of variance one
        names = data.sample_domain
        coefs = {"target": data.coef} | dict(
            zip(sorted(set(names) - {"target"}), data.source_coef, strict=True)
        )
        y = y + np.array([(X[i] - data.X[i]) @ coefs[name] for i, name in enumerate(names)])
    return Bunch(**(data | {"X": X, "y": y}))


def designs():
    patterns = {
        "x.3": ((0.3,) * 3, False),
        "x1": ((1.0,) * 3, False),
        "x3": ((3.0,) * 3, False),
        "shared 3": ((3.0,) * 3, True),
        "mix": ((0.0, 0.0, 30.0), False),
    }
    return {
        f"{name}, {tails}|n0={n}": partial(
            heavy_tailed, discrepancy=x, shared=shared, n_target=n, heavy=tails == "heavy tails"
        )
        for n in (30, 80)
        for tails in ("normal", "heavy tails")
        for name, (x, shared) in patterns.items()
    }


def least_squares_on(order, draws, data):
    rng = np.random.default_rng(0)
    rows, _ = chosen_rows(data, order, draws, rng, design=lambda X, _: X)
    return clone(MODEL).fit(data.X[rows], data.y[rows])


def tails(design):
    return design.split("|")[0].split(", ")[1]


@dataclass(frozen=True)
class Report(simulation.Report):
    """Ratios to the target alone, and paired differences to random draws in the same unit."""

    def __call__(self, records, run):
        """Return what is kept of a study."""
        to_random = differences(simulation.table_of(records))
        return super().__call__(records, run) | {"to random": to_random}

    def show(self, result):
        """Return ratios to the target alone, and what each order differs from random draws."""
        lines = ["| group | order | to random | s.e. |", "|---|---|---|---|"]
        lines += [f"| {g} | {o} | {m:+.3f} | {e:.3f} |" for g, o, m, e in result["to random"]]
        paired = "Paired, in units of the same risk:"
        return "\n\n".join([super().show(result), paired, "\n".join(lines)])


REPORT = Report(LEAST_SQUARES, group=tails)


def differences(risks):
    """Return mean and standard error over settings, by kind of rows and order."""
    base, random = risks[LEAST_SQUARES], risks["random"]
    rows = []
    for group in ("normal", "heavy tails"):
        members = [design for design in random if tails(design) == group]
        for order in [name for name in ORDERS if name != "random"]:
            cells = [
                mean_and_error((risks[order][d] - random[d]) / np.mean(base[d])) for d in members
            ]
            mean, error = np.array(cells).T
            rows.append([group, order, np.mean(mean), np.sqrt(np.sum(error**2)) / len(cells)])
    return rows


SELECTION = simulation.risk_study(
    "which_rows",
    "Which rows of a source does OTQMS best draw: random, matched, by leverage, strata?",
    designs(),
    {LEAST_SQUARES: METHODS[LEAST_SQUARES]}
    | {name: partial(least_squares_on, *how) for name, how in ORDERS.items()},
    REPORT,
    repeats=30,
    metrics={"risk": simulation.excess_risk},
)

# Real data --------------------------------------------------------------------------------------


def boosting_on(order, draws, data):
    """Train on the rows chosen; returns the model and the part of source rows."""
    rows, part = chosen_rows(data, order, draws, np.random.default_rng(data.seed))
    return clone(data.estimator).fit(data.X[rows], data.y[rows]), part


BOOSTED = hold_out.hold_out_study(
    "which_rows-boosting",
    "The same on Ames, with gradient boosting.",
    {"Ames, boosting, 25 target rows": Learning(real.Samples(real.ames), BOOSTING)},
    {TARGET_ONLY: LEARNING_METHODS[TARGET_ONLY]}
    | {name: timed(partial(boosting_on, *how)) for name, how in ORDERS.items()},
    LEARNING_REPORT,
    repeats=30,
    metrics=LEARNING_METRICS,
)

BENCHMARKS = (SELECTION, BOOSTED)

TABLES = {
    "otqms selection": lambda: REPORT.show(load("which_rows")),
    "otqms selection-boosting": lambda: learning_table(load("which_rows-boosting")),
}

if __name__ == "__main__":
    command(BENCHMARKS)
