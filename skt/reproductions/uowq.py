"""Risk of UOWQ in simulation: designs, methods, and what the project's notes report of them.

The paper (arXiv 2601.10779v2) measures accuracy on images only, and takes the discrepancy as
known. The tables B2 and B3 of the notes, called THEORY throughout the project, compare ways of
estimating it, in linear regression. Risk is excess prediction risk, relative to least squares
on the target in the same repeats; a column holds the mean over sizes and numbers of sources.
"""

import math
from functools import partial

import numpy as np
from sklearn.linear_model import LinearRegression, RidgeCV

from skt.core import allocation
from skt.datasets import make_related_regressions
from skt.estimators.uowq import UOWQRegressor
from skt.reproductions.reproduction import Figure, Reproduction
from skt.study.summaries import summarize

__all__ = ["equal_100", "equal_400", "unequal"]

ALPHAS = np.logspace(-4, 4, 41)
UOWQ = partial(UOWQRegressor, fit_intercept=False)
BASELINE = "least squares, target only"
PAPER = "paper: UOWQ, arXiv 2601.10779v2, which has no simulation"


# Designs ------------------------------------------------------------------------------------

# x3: every source's bias does three times the harm of the target's own noise; mix: 0 and 30 in
# turn; shared: one offset of 3 for all sources; spread: from 0.1 to 30.
COLUMNS = ("x0", "x.3", "x1", "x3", "x30", "mix", "shared", "spread")


def discrepancies(column, K):
    """Discrepancy of each of K sources, in units of the target's own noise."""
    if column == "mix":
        return tuple(30.0 * (k % 2) for k in range(K))
    if column == "spread":
        return tuple(np.geomspace(0.1, 30.0, K))
    return (3.0 if column == "shared" else float(column[1:]),) * K


def related(rng, column, K, **settings):
    """Draw regressions with the discrepancies of a column."""
    return make_related_regressions(
        discrepancy=discrepancies(column, K),
        shared=column == "shared",
        random_state=int(rng.integers(2**31)),
        **settings,
    )


def equal_designs(n_source):
    """105 settings: five sizes, one to eight sources, eight patterns of discrepancy."""
    return {
        f"{column}|d={d} n0={n} K={K}": partial(
            related, column=column, K=K, n_features=d, n_target=n, n_source=n_source
        )
        for d, n in ((5, 15), (5, 50), (20, 30), (20, 80), (50, 70))
        for K in (1, 3, 8)
        for column in COLUMNS
        if K > 1 or column.startswith("x")
    }


def unequal_designs():
    """Random covariances of condition 100, three sources: what differs between domains."""
    kinds = {
        "equal": {"n_source": 200},
        "designs of sources differ": {"n_source": 200, "same_design": False},
        "designs and noise differ": {"n_source": 200, "same_design": False, "noise_ratio": 2.0},
        "all differ, 30 rows": {"n_source": 30, "same_design": False, "noise_ratio": 2.0},
    }
    return {
        f"{kind}|{column}": partial(related, column=column, K=3, condition=100.0, **settings)
        for kind, settings in kinds.items()
        for column in COLUMNS
    }


# Methods and metrics ------------------------------------------------------------------------


def names(data):
    """Names of the domains, the target first."""
    return ["target", *(f"source {k}" for k in range(1, len(data.source_coef) + 1))]


def target_rows(data):
    """Rows of the target."""
    rows = data.sample_domain == "target"
    return data.X[rows], data.y[rows]


def least_squares(data):
    """Least squares on the target."""
    return LinearRegression(fit_intercept=False).fit(*target_rows(data))


def ridge(data):
    """Ridge on the target, its penalty by leave-one-out."""
    return RidgeCV(ALPHAS, fit_intercept=False).fit(*target_rows(data))


def pooled(data):
    """Ridge on all rows, as if they were of one domain."""
    return RidgeCV(ALPHAS, fit_intercept=False).fit(data.X, data.y)


def oracle(data):
    """UOWQ as the paper has it: the true discrepancy is known."""
    n = np.array([np.sum(data.sample_domain == name) for name in names(data)], dtype=float)
    shares = allocation.optimal_shares(
        n * data.noise[0] ** 2 / data.noise**2, data.discrepancy_matrix
    )
    weights = allocation.weights_from_shares(shares, n)
    return UOWQ(weights=weights, alpha=0.0).fit(data.X, data.y, sample_domain=data.sample_domain)


METHODS = {
    BASELINE: least_squares,
    "ridge, target only": ridge,
    "pooled ridge": pooled,
    "plugin (paper, static)": UOWQ(weights="plugin", guard=None),
    "iterated (paper, dynamic)": UOWQ(weights="iterated", guard=None),
    "sure": UOWQ(weights="sure", guard=None),
    "eb scalar, no guard": UOWQ(combination="scalar", guard=None),
    "eb scalar": UOWQ(combination="scalar"),
    "oracle scalar": oracle,
}
MATRIX = {"eb matrix, no guard": UOWQ(guard=None), "eb matrix (default)": UOWQ()}


def excess_risk(fitted, data):
    """Excess prediction risk ``(b - beta)' Sigma (b - beta)``, averaged over outputs."""
    error = np.atleast_2d(fitted.coef_ - data["coef"])
    return np.mean(np.sum((error @ data["covariance"]) * error, axis=1))


# Figures ------------------------------------------------------------------------------------


def mean_ratios(summary, part):
    """Mean of the ratios to the baseline and its error, by method and a part of the name.

    ``part(design)`` says to which figure a design belongs.
    """
    cells = {}
    for row in summary:
        cells.setdefault((row["method"], part(row["design"])), []).append(row)
    return {
        key: (
            float(np.mean([row["ratio"] for row in rows])),
            float(np.linalg.norm([row["ratio_error"] for row in rows]) / len(rows)),
        )
        for key, rows in cells.items()
    }


def compared(reported, reported_repeats, part, records, n_repeats):
    """Return figures for what was reported by (method, part).

    No errors were reported: they are taken to be ours, at as many repeats.
    """
    found = mean_ratios(summarize(records, baseline=BASELINE), part)
    scale = math.sqrt(n_repeats / reported_repeats)
    return [
        Figure(
            f"{method}: {place}",
            value,
            found[method, place][1] * scale,
            *found[method, place],
        )
        for (method, place), value in reported.items()
    ]


def everywhere(design):
    """Put all designs into one figure."""
    return "mean of 105 settings"


def column_of(design):
    """Part of a design's name that says which discrepancies it has."""
    return design.split("|")[0]


NO_ERRORS = "The notes give no errors: they are taken to be ours at as many repeats (60 or 40)."


def _over_columns(method, values):
    return {(method, column): value for column, value in zip(COLUMNS, values, strict=True)}


def _equal(n_source, reported_repeats, means, by_column):
    def figures(records, n_repeats):
        means_ = {(method, everywhere("")): value for method, value in means.items()}
        return [
            *compared(means_, reported_repeats, everywhere, records, n_repeats),
            *compared(by_column, reported_repeats, column_of, records, n_repeats),
        ]

    return Reproduction(
        source=f"theory notes of this project, table B2, {n_source} rows a source ({PAPER})",
        designs=equal_designs(n_source),
        methods=METHODS,
        metrics={"risk": excess_risk},
        n_repeats=10,
        figures=figures,
        remark=f"{NO_ERRORS} Worst cases are not compared, being maxima of noisy figures.",
    )


def equal_400():
    """105 settings, all domains of one design, sources of 400 rows."""
    means = {
        "ridge, target only": 0.933,
        "pooled ridge": 1.58,
        "plugin (paper, static)": 0.405,
        "iterated (paper, dynamic)": 0.560,
        "sure": 0.377,
        "eb scalar, no guard": 0.336,
        "eb scalar": 0.371,
        "oracle scalar": 0.235,
    }
    guarded = (0.156, 0.223, 0.320, 0.471, 0.798, 0.141, 0.600, 0.200)
    return _equal(400, 60, means, _over_columns("eb scalar", guarded))


def equal_100():
    """105 settings, all domains of one design, sources of 100 rows."""
    means = {
        "plugin (paper, static)": 0.448,
        "iterated (paper, dynamic)": 0.585,
        "sure": 0.439,
        "eb scalar, no guard": 0.377,
        "eb scalar": 0.413,
        "oracle scalar": 0.289,
    }
    return _equal(100, 40, means, {})


def unequal():
    """32 settings of ten features and 30 target rows, in four groups."""
    rows = {
        "equal": (0.464, 0.454, 0.492, 0.305),
        "designs of sources differ": (0.565, 0.470, 0.519, 0.365),
        "designs and noise differ": (0.709, 0.473, 0.486, 0.390),
        "all differ, 30 rows": (0.755, 0.573, 0.590, 0.455),
    }
    methods = ("eb scalar", "eb matrix, no guard", "eb matrix (default)", "oracle scalar")
    reported = {
        (method, group): value
        for group, values in rows.items()
        for method, value in zip(methods, values, strict=True)
    }
    return Reproduction(
        source=f"theory notes of this project, table B3 ({PAPER})",
        designs=unequal_designs(),
        methods={name: (METHODS | MATRIX)[name] for name in (BASELINE, *methods)},
        metrics={"risk": excess_risk},
        n_repeats=20,
        figures=lambda records, n: compared(reported, 60, column_of, records, n),
        remark=(
            f"{NO_ERRORS} The notes do not say over which discrepancies this table averages; "
            "here they are the eight patterns of B2, so that disagreement is to be expected."
        ),
    )
