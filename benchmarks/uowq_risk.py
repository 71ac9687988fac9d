"""Risk of UOWQ in simulation, relative to the target alone (THEORY B2, B3 and B4).

    python -m benchmarks.uowq_risk [equal-400 equal-100 unequal wide] [--repeats 60] [--jobs 2]

Excess prediction risk ``(b - beta)' Sigma (b - beta)``, averaged over repeats of a setting and
divided by that of the baseline in the same repeats; then mean and worst over settings. The
standard error of the mean over settings is from the spread of repeats.
"""

import argparse
import json
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.utils import Bunch

from skt import Moments, UOWQRegressor
from skt._base import Target
from skt._units import Units
from skt.core import allocation
from skt.core.combination import free_scale_combination, matrix_combination
from skt.datasets import make_high_dimensional_sources, make_related_regressions
from skt.study import run_study

RESULTS = Path(__file__).parent / "results"
ALPHAS = np.logspace(-4, 4, 41)
UOWQ = partial(UOWQRegressor, fit_intercept=False)


def target_rows(data):
    rows = data.sample_domain == "target"
    return data.X[rows], data.y[rows]


def least_squares(data):
    return LinearRegression(fit_intercept=False).fit(*target_rows(data))


def ridge(data):
    return RidgeCV(ALPHAS, fit_intercept=False).fit(*target_rows(data))


def pooled(data):
    return RidgeCV(ALPHAS, fit_intercept=False).fit(data.X, data.y)


def oracle(data):
    """UOWQ as the paper has it: the true discrepancy is known."""
    n = np.array([np.sum(data.sample_domain == name) for name in _names(data)], dtype=float)
    shares = allocation.optimal_shares(
        n * data.noise[0] ** 2 / data.noise**2, data.discrepancy_matrix
    )
    weights = allocation.weights_from_shares(shares, n)
    return UOWQ(weights=weights, alpha=0.0).fit(data.X, data.y, sample_domain=data.sample_domain)


def _names(data):
    return ["target", *(f"source {k}" for k in range(1, len(data.source_coef) + 1))]


METHODS = {
    "least squares, target only": least_squares,
    "ridge, target only": ridge,
    "pooled ridge": pooled,
    "plugin (paper, static)": UOWQ(weights="plugin", guard=None),
    "iterated (paper, dynamic)": UOWQ(weights="iterated", guard=None),
    "sure": UOWQ(weights="sure", guard=None),
    "sure, guarded": UOWQ(weights="sure"),
    "eb scalar, no guard": UOWQ(combination="scalar", guard=None),
    "eb scalar": UOWQ(combination="scalar"),
    "eb matrix, no guard": UOWQ(guard=None),
    "eb matrix (default)": UOWQ(),
    "oracle scalar": oracle,
}


def excess_risk(fitted, data):
    error = np.atleast_2d(fitted.coef_ - data["coef"])
    return np.mean(np.sum((error @ data["covariance"]) * error, axis=1))


def predicted_risk(fitted, data):
    return getattr(fitted, "risk_", np.nan)


def predicted_gain(fitted, data):
    return getattr(fitted, "transfer_gain_", np.nan)


METRICS = {
    "risk": excess_risk,
    "predicted risk": predicted_risk,
    "predicted gain": predicted_gain,
}

# --- designs ------------------------------------------------------------------------------

COLUMNS = ("x0", "x.3", "x1", "x3", "x30", "mix", "shared", "spread")


def discrepancies(column, K):
    """Discrepancy of each of K sources, in units of the target's own noise."""
    if column == "mix":
        return tuple(30.0 * (k % 2) for k in range(K))
    if column == "spread":
        return tuple(np.geomspace(0.1, 30.0, K))
    return (3.0 if column == "shared" else float(column[1:]),) * K


def related(rng, column, K, **settings):
    seed = int(rng.integers(2**31))
    return make_related_regressions(
        discrepancy=discrepancies(column, K),
        shared=column == "shared",
        random_state=seed,
        **settings,
    )


def equal(n_source):
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


def unequal():
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
    for name in _names(X):
        rows = X.sample_domain == name
        unit = rng.standard_normal((4, 10)) * (name != "target")
        shift = unit * np.sqrt(np.array(levels) / n_target)[:, None]
        y[rows] = X.X[rows] @ (coef + shift).T
    X.y = y + rng.standard_normal(y.shape)
    return Bunch(**(X | {"coef": coef}))


def forced(combination):
    """A method that uses one combination whatever the number of rows."""

    def fit(data):
        rows = data.sample_domain == "target"
        target = Target(data.X[rows], data.y[rows, None], np.ones(rows.sum()))
        sources = {
            name: Moments.from_data(
                data.X[data.sample_domain == name], data.y[data.sample_domain == name]
            )
            for name in _names(data)[1:]
        }
        units = Units.of(target, sources, intercept=False)
        return SimpleNamespace(
            coef_=units.restore(combination(units.task(target, sources))).coef[0]
        )

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
    "free scale, stacked": forced(partial(free_scale_combination, alpha=None)),
    "default": UOWQ(),
}

WIDE_METHODS = {
    name: METHODS[name] for name in ("ridge, target only", "pooled ridge", "plugin (paper, static)")
} | {"free scale, stacked (default)": UOWQ()}

STUDIES = {
    "outputs": (several_outputs, OUTPUT_METHODS, "ridge, target only"),
    "switch": (near_the_switch, SWITCH_METHODS, "ridge, target only"),
    "equal-400": (partial(equal, 400), METHODS, "least squares, target only"),
    "equal-100": (partial(equal, 100), METHODS, "least squares, target only"),
    "unequal": (unequal, METHODS, "least squares, target only"),
    "wide": (wide, WIDE_METHODS, "ridge, target only"),
}

# --- summaries ----------------------------------------------------------------------------


def table_of(records, metric="risk"):
    """Return values as {method: {design: array over repeats}}."""
    table = {}
    for r in records:
        if r["metric"] == metric:
            table.setdefault(r["method"], {}).setdefault(r["design"], []).append(r["value"])
    return {m: {d: np.array(v) for d, v in designs.items()} for m, designs in table.items()}


def ratios(values, base):
    """Return ratio of means and its standard error (paired, by the delta method)."""
    ratio = values.mean() / base.mean()
    error = np.std(values - ratio * base, ddof=1) / np.sqrt(len(base)) / base.mean()
    return ratio, error


def group_of(name, design):
    """Wide and unequal designs are reported by the part before the bar, equal ones whole."""
    return "all" if name.startswith("equal-") else design.split("|")[0]


def summarise(name, records, baseline):
    table = table_of(records)
    rows = []
    for method, designs in table.items():
        groups = {}
        for design, values in designs.items():
            pair = ratios(values, table[baseline][design])
            groups.setdefault(group_of(name, design), []).append((*pair, design))
        columns = {}
        for design, values in designs.items():
            key = design.split("|")[0] if name.startswith("equal-") else design.split("|")[1]
            columns.setdefault(key, []).append(ratios(values, table[baseline][design])[0])
        rows += [
            {
                "group": group,
                "method": method,
                "mean": float(np.mean([r for r, _, _ in cells])),
                "standard_error": float(np.sqrt(np.sum([e**2 for _, e, _ in cells])) / len(cells)),
                "worst": float(max(cells)[0]),
                "worst_error": float(max(cells)[1]),
                "worst_setting": max(cells)[2],
                "columns": {k: round(float(np.mean(v)), 3) for k, v in columns.items()},
            }
            for group, cells in groups.items()
        ]
    return rows


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


def markdown(rows):
    lines = [
        "| group | method | mean | s.e. | worst | (s.e.) | where |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['group']} | {r['method']} | {r['mean']:.3f} | {r['standard_error']:.3f} | "
            f"{r['worst']:.3f} | {r['worst_error']:.3f} | {r['worst_setting']} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="*", default=list(STUDIES))
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    for name in options.studies:
        designs, methods, baseline = STUDIES[name]
        records = run_study(
            designs(),
            methods,
            metrics=METRICS,
            n_repeats=options.repeats,
            random_state=options.seed,
            n_jobs=options.jobs,
        )
        failed = [r for r in records if r["metric"] == "risk" and r["error"]]
        rows = summarise(name, records, baseline)
        result = {
            "study": name,
            "baseline": baseline,
            "repeats": options.repeats,
            "seed": options.seed,
            "failures": len(failed),
            "rows": rows,
            "predictions": [
                predictions(records, method, baseline)
                for method in methods
                if name not in ("wide", "switch", "outputs")
                and ("default" in method or method == "eb scalar")
            ],
        }
        (RESULTS / f"uowq_{name}.json").write_text(json.dumps(result, indent=1) + "\n")
        print(f"\n## {name}, {options.repeats} repeats, {len(failed)} failures\n")
        print(markdown(rows))
        for prediction in result["predictions"]:
            print(json.dumps(prediction))


if __name__ == "__main__":
    main()
