"""Risk of UOWQ in simulation, relative to the target alone (THEORY B2, B3 and B4).

    python -m benchmarks [uowq_equal-400 uowq_equal-100 uowq_unequal uowq_wide] [--repeats 60]

What is measured: :mod:`benchmarks.simulation`.
"""

import re
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
from sklearn.utils import Bunch

from benchmarks import simulation
from benchmarks.harness import command, load
from benchmarks.simulation import risk_study, table_of, table_of_columns
from skt.core import discrepancy
from skt.core.uowq import Problem, matrix_combination
from skt.datasets import make_high_dimensional_sources, make_related_regressions
from skt.reproductions import uowq
from skt.reproductions.uowq import COLUMNS, UOWQ, oracle, related, ridge
from skt.reproductions.uowq import equal_designs as equal
from skt.reproductions.uowq import unequal_designs as unequal

METHODS = {
    name: (
        uowq.METHODS
        | uowq.MATRIX
        | {"sure, guarded": UOWQ(weights="sure"), "oracle scalar": oracle}
    )[name]
    for name in (
        "least squares, target only",
        "ridge, target only",
        "pooled ridge",
        "plugin (paper, static)",
        "iterated (paper, dynamic)",
        "sure",
        "sure, guarded",
        "eb scalar, no guard",
        "eb scalar",
        "eb matrix, no guard",
        "eb matrix (default)",
        "oracle scalar",
    )
}

# --- designs ------------------------------------------------------------------------------


def high_dimensional(rng, **settings):
    return make_high_dimensional_sources(random_state=int(rng.integers(2**31)), **settings)


def wide():
    """100 features, 40 target rows, three sources."""
    patterns = {
        "near": {"scale": (1, 1, 1), "offset": (0.2,) * 3},
        "mid": {"scale": (1, 1, 1), "offset": (0.6,) * 3},
        "mix": {"scale": (1, 0, -1), "offset": (0.2,) * 3},
        "unrelated": {"scale": (0, 0, 0), "offset": (1.0,) * 3},
        "scaled": {"scale": (1.5, 0.5, 0), "offset": (0.2,) * 3},
    }
    return {
        f"N_i={n}|{name}": partial(high_dimensional, n_source=n, **pattern)
        for n in (60, 150)
        for name, pattern in patterns.items()
    }


def near_the_switch():
    """Twenty features, from one to three target rows for each: which combination, when."""
    sizes = {"n_features": 20, "n_source": 200}
    scaled = {"scale": (1.5, 0.5, 0), "offset": (0.2,) * 3, "noise": 0.5}
    designs = {}
    for n in (12, 18, 22, 25, 30, 40, 60):
        for column in COLUMNS:
            designs[f"n0={n}|{column}"] = partial(related, column=column, K=3, n_target=n, **sizes)
        designs[f"n0={n}|scaled"] = partial(high_dimensional, n_target=n, **scaled, **sizes)
    return designs


def several_outputs():
    """Four outputs, ten features, three sources: discrepancies alike, or by output."""
    patterns = {
        "alike, none": (0.0,) * 4,
        "alike, x1": (1.0,) * 4,
        "alike, x30": (30.0,) * 4,
        "by output, 0 0 30 30": (0.0, 0.0, 30.0, 30.0),
        "by output, 0 .3 3 30": (0.0, 0.3, 3.0, 30.0),
    }
    return {
        f"n0={n}|{name}": partial(four_outputs, levels=levels, n_target=n)
        for n in (15, 30, 60)
        for name, levels in patterns.items()
    }


def four_outputs(rng, levels, n_target):
    """Outputs of one design, each with its own coefficients and discrepancy."""
    sizes = {"n_target": n_target, "n_source": 200, "n_features": 10}
    seed = int(rng.integers(2**31))
    X = make_related_regressions(random_state=seed, **sizes)
    coef = rng.standard_normal((4, 10))
    y = np.empty((len(X.y), 4))
    for name in uowq.names(X):
        rows = X.sample_domain == name
        unit = rng.standard_normal((4, 10)) * (name != "target")
        shift = unit * np.sqrt(np.array(levels) / n_target)[:, None]
        y[rows] = X.X[rows] @ (coef + shift).T
    X.y = y + rng.standard_normal(y.shape)
    return Bunch(**(X | {"coef": coef}))


def alike_or_biased():
    """Few features, where the evidence of a shared bias is weakest: sources are alike, or biased.

    Columns end in the discrepancy of each source; "shared" is one offset for all of them.
    """
    patterns = {"x0": (0.0, False), "x1": (1.0, False), "x3": (3.0, False)}
    patterns |= {f"shared {x}": (float(x), True) for x in (1, 3, 10, 30)}
    return {
        f"n0={n} K={K}|{name}": partial(offset_design, n_target=n, K=K, x=x, shared=shared)
        for n in (15, 50)
        for K in (3, 8)
        for name, (x, shared) in patterns.items()
    }


def offset_design(rng, n_target, K, x, shared):
    seed = int(rng.integers(2**31))
    return make_related_regressions(n_target, 200, 5, (x,) * K, shared=shared, random_state=seed)


def with_offset_exponent(exponent, data):
    """Fit the default with another weight of the prior of the offset."""
    with patch.object(discrepancy, "OFFSET_EXPONENT", exponent):
        return UOWQ().fit(data.X, data.y, sample_domain=data.sample_domain)


OFFSET_METHODS = {"least squares, target only": METHODS["least squares, target only"]} | {
    f"exponent {a}": partial(with_offset_exponent, a) for a in (0.0, 0.25, 0.5, 1.0)
}


def forced(combination):
    """A method that uses one combination whatever the number of rows."""

    def fit(data):
        rows = [data.sample_domain == name for name in uowq.names(data)]
        scale = np.sqrt(np.mean([np.mean(data.X[r] ** 2, axis=0) for r in rows], axis=0))
        parts = [(data.X[r] / scale, data.y[r, None]) for r in rows]
        sums = [(float(len(X)), X.T @ X, X.T @ y, y.T @ y) for X, y in parts]
        (X, y), n = parts[0], len(parts[0][0])
        moments = (np.array(part) for part in zip(*sums, strict=True))
        problem = Problem(*moments, X, y, np.ones(n), intercept=False)
        return SimpleNamespace(coef_=combination(problem).coef[:, 0] / scale)

    return fit


OUTPUT_METHODS = {
    "ridge, target only": ridge,
    "shared weights (default)": UOWQ(),
    "weights per output": lambda data: SimpleNamespace(
        coef_=np.array(
            [
                UOWQ().fit(data["X"], y, sample_domain=data["sample_domain"]).coef_
                for y in data["y"].T
            ]
        )
    ),
}

SWITCH_METHODS = {
    "ridge, target only": ridge,
    "matrix": forced(partial(matrix_combination, alpha=None, guard=True)),
    "default": UOWQ(),
}

WIDE_METHODS = {
    name: METHODS[name] for name in ("ridge, target only", "pooled ridge", "plugin (paper, static)")
} | {"free scale, stacked (default)": UOWQ()}

# --- report -------------------------------------------------------------------------------


def rows_per_feature(design):
    """Target rows per feature of a design, from its name where sizes vary."""
    sizes = dict(re.findall(r"(d|n0)=(\d+)", design))
    return int(sizes["n0"]) / int(sizes["d"]) if sizes else 3.0


def predictions(records, method, baseline):
    """Compare `risk_` with simulated risk, and the sign of `transfer_gain_` with the truth."""
    risk = table_of(records)
    predicted = table_of(records, "predicted risk")[method]
    ample = [d for d in predicted if rows_per_feature(d) >= 3]
    gains = table_of(records, "predicted gain")[method]
    truth = {d: 1 - v.mean() / risk[baseline][d].mean() for d, v in risk[method].items()}
    clear = [d for d, gain in truth.items() if abs(gain) > 0.1]
    ratio = [predicted[d].mean() / risk[method][d].mean() for d in ample]
    return {
        "method": method,
        "settings_with_3_rows_per_feature": len(ample),
        "mean_ratio_of_predicted_to_simulated_risk": float(np.mean(ratio)),
        "mean_absolute_log_ratio": float(np.mean(np.abs(np.log(ratio)))),
        "settings_with_clear_gain_or_loss": len(clear),
        "share_of_them_with_right_sign": float(
            np.mean([np.sign(gains[d].mean()) == np.sign(truth[d]) for d in clear])
        ),
    }


@dataclass(frozen=True)
class Report(simulation.Report):
    """Ratios, and how well the methods named know their own risk."""

    predict: tuple = ()

    def __call__(self, records, run):
        predicted = [predictions(records, method, self.baseline) for method in self.predict]
        return super().__call__(records, run) | {"predictions": predicted}

    def show(self, result):
        return f"{super().show(result)}\n\n{prediction_table({'': result})}"


def prediction_table(results):
    """How well the estimator knows its own risk."""
    lines = [
        "| study | method | settings | predicted / simulated risk | mean abs. log ratio | "
        "clear gains or losses | right sign |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {p['method']} | {p['settings_with_3_rows_per_feature']} | "
        f"{p['mean_ratio_of_predicted_to_simulated_risk']:.2f} | "
        f"{p['mean_absolute_log_ratio']:.2f} | {p['settings_with_clear_gain_or_loss']} | "
        f"{p['share_of_them_with_right_sign']:.0%} |"
        for name, result in results.items()
        for p in result["predictions"]
    ]
    return "\n".join(lines)


# --- studies ------------------------------------------------------------------------------

LEAST_SQUARES, RIDGE = "least squares, target only", "ridge, target only"
CANDIDATES = ("eb scalar", "eb matrix (default)")
EQUAL = Report(
    LEAST_SQUARES,
    group=simulation.everything,
    column=simulation.before_bar,
    predict=CANDIDATES,
)


BENCHMARKS = (
    risk_study(
        "uowq_equal-400",
        "Is UOWQ's risk low where all rows are alike, and is risk_ right about it?",
        equal(400),
        METHODS,
        EQUAL,
    ),
    risk_study("uowq_equal-100", "The same with sources of 100 rows.", equal(100), METHODS, EQUAL),
    risk_study(
        "uowq_unequal",
        "The same where the rows or the noise of the sources differ from the target's.",
        unequal(),
        METHODS,
        Report(LEAST_SQUARES, predict=CANDIDATES),
    ),
    risk_study(
        "uowq_wide",
        "Is UOWQ's risk low with more features than target rows?",
        wide(),
        WIDE_METHODS,
        simulation.Report(RIDGE),
    ),
    risk_study(
        "uowq_switch",
        "At how many target rows does one combination take over from the other?",
        near_the_switch(),
        SWITCH_METHODS,
        simulation.Report(RIDGE),
    ),
    risk_study(
        "uowq_outputs",
        "Several outputs: shared weights, or weights for each?",
        several_outputs(),
        OUTPUT_METHODS,
        simulation.Report(RIDGE),
    ),
    risk_study(
        "uowq_offset",
        "How much evidence of a bias shared by all sources should it take?",
        alike_or_biased(),
        OFFSET_METHODS,
        simulation.Report(LEAST_SQUARES, group=simulation.everything, column=simulation.after_bar),
    ),
)


def _predictions():
    names = ("equal-400", "equal-100", "unequal")
    return prediction_table({name: load(f"uowq_{name}") for name in names})


def _ratios(benchmark):
    return simulation.Report.show(benchmark.report, load(benchmark.name))


TABLES = {
    **{each.name.removeprefix("uowq_"): partial(_ratios, each) for each in BENCHMARKS},
    "equal-400 by column": lambda: table_of_columns(load("uowq_equal-400")["rows"]),
    "offset by column": lambda: table_of_columns(load("uowq_offset")["rows"]),
    "predictions": _predictions,
}

if __name__ == "__main__":
    command(BENCHMARKS, prefix="uowq_")
