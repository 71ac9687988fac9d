"""How many rows of which source? OTQMS against weights, all rows and none.

    python -m benchmarks otqms_equal-400 otqms_programme
    python -m benchmarks otqms_boosting otqms_digits

The first two are UOWQ's simulation (:mod:`benchmarks.uowq_risk`); the last two are real data, with
accuracy and CPU seconds of training.
"""

import time
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import cvxpy as cp
import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.utils import Bunch

from benchmarks import data, hold_out, oracles, simulation
from benchmarks.harness import Costs, command, load
from benchmarks.uowq_risk import COLUMNS, METHODS, equal, oracle
from skt import OTQMSSampler, SourceSampled, SourceWeighted
from skt.core import allocation, discrepancy, evidence, families
from skt.core.rows import Rows
from skt.sources import split_domains
from skt.study import mean_and_error

# Simulation: least squares without intercept --------------------------------------------------

LEAST_SQUARES = "least squares, target only"
MODEL = LinearRegression(fit_intercept=False)


def sampled(sampler, data, refresh=0, cv=None):
    """Train least squares on the rows that a sampler takes; without cv, whatever comes of it."""
    model = SourceSampled(MODEL, sampler.set_params(random_state=0), refresh=refresh, cv=cv)
    model.fit(data.X, data.y, sample_domain=data.sample_domain)
    n_source_rows = np.sum(data.sample_domain != "target")
    return SimpleNamespace(
        coef_=model.estimator_.coef_,
        risk_=2 * model.risk_,  # the noise has variance one
        taken=model.transfer_quantities_.sum() / n_source_rows,
    )


def by(refresh=0, cv=None, **options):
    """Return a method: OTQMS with some options."""
    return lambda data: sampled(OTQMSSampler("linear", **options), data, refresh, cv)


def unguarded(data):
    """Empirical Bayes without guard, the programme as it is: the table of THEORY B2."""
    domains = split_domains(data.sample_domain, len(data.X))
    rows = [Rows(data.X[r], data.y[r, None], np.ones(len(r)))
            for r in (domains[0], *domains[1].values())]  # fmt: skip
    measured = evidence.measure(families.GAUSSIAN, rows)
    M = discrepancy.variance_components(measured.D, measured.v, offset_exponent=0.0).discrepancy
    return sampled(OTQMSSampler("linear", discrepancy=M, min_samples=0), data)


def least(data):
    """Sources of which fewer rows than features would be taken are left out."""
    d = data.X.shape[1]
    return sampled(OTQMSSampler("linear", min_samples=d), data)


def known(data, **options):
    """The true discrepancy."""
    return sampled(OTQMSSampler("linear", discrepancy=data.discrepancy_matrix, **options), data)


def weighted(data, cv=None):
    """UOWQ's weights in least squares, the intercept's discrepancy measured as well."""
    model = SourceWeighted(MODEL, cv=cv).fit(data.X, data.y, sample_domain=data.sample_domain)
    return model.estimator_


def all_rows(data):
    return clone(MODEL).fit(data.X, data.y)


RISK_METHODS = {
    LEAST_SQUARES: METHODS[LEAST_SQUARES],
    "all rows": all_rows,
    "OTQMS, plug-in (the paper)": by(discrepancy="plugin", min_samples=0),
    "OTQMS, EB without guard": unguarded,
    "OTQMS, EB": by(min_samples=0),
    "OTQMS, EB, min_samples=d": least,
    "OTQMS, checked": by(),
    "OTQMS (default)": by(cv=5),
    "OTQMS, true M": partial(known, min_samples=0),
    "OTQMS, true M, checked": known,
    "SourceWeighted, cv=None": weighted,
    "SourceWeighted (default)": partial(weighted, cv=5),
    "UOWQRegressor": METHODS["eb matrix (default)"],
    "UOWQ, true M": oracle,
}

# What costs several times as much; compared on fewer settings and repeats.
VARIANTS = {
    name: RISK_METHODS[name]
    for name in (LEAST_SQUARES, "OTQMS, plug-in (the paper)", "OTQMS, checked")
} | {
    "OTQMS, plug-in, refreshed (dynamic)": by(3, discrepancy="plugin", min_samples=0),
    "OTQMS, refreshed": by(3),
    "OTQMS, matched": by(selection="matched"),
}


def taken(fitted, data):
    return getattr(fitted, "taken", np.nan)


@dataclass(frozen=True)
class RiskReport(simulation.Report):
    """Ratios, and the part of the source rows that was taken."""

    def __call__(self, records, run):
        """Say how many settings there were, too."""
        return {"settings": len({r["design"] for r in records})} | super().__call__(records, run)

    def rows(self, records):
        """Add the mean part taken, and predicted over simulated risk, to each method."""
        parts, predicted = (simulation.table_of(records, m) for m in ("taken", "predicted risk"))
        risk = simulation.table_of(records, "risk")
        return [
            row
            | {
                "taken": _finite(np.mean([np.mean(v) for v in parts[row["method"]].values()])),
                "predicted": _finite(_ratio(predicted[row["method"]], risk[row["method"]])),
            }
            for row in super().rows(records)
        ]

    def show(self, result):
        """Return one line for each method."""
        lines = [
            f"{result['settings']} settings, {result['repeats']} repeats of each, seed "
            f"{result['seed']}, relative to {result['baseline']}; {result['failures']} failures.",
            "",
            f"| method | mean | s.e. | worst | (s.e.) | where | rows taken | risk_ / risk | "
            f"{' | '.join(COLUMNS)} |",
            "|---" * (8 + len(COLUMNS)) + "|",
        ]
        for r in result["rows"]:
            columns = " | ".join(f"{r['columns'][name]:.2f}" for name in COLUMNS)
            where = r["worst_setting"].replace("|", ", ")  # a bar would end the cell
            lines.append(
                f"| {r['method']} | {r['mean']:.3f} | {r['standard_error']:.3f} | "
                f"{r['worst']:.3f} | {r['worst_error']:.3f} | {where} | "
                f"{_text(r['taken'])} | {_text(r['predicted'])} | {columns} |"
            )
        return "\n".join(lines)


def _ratio(predicted, simulated):
    """Return the geometric mean over designs of the ratio of means."""
    return np.exp(
        np.mean([np.log(np.mean(v) / np.mean(simulated[d])) for d, v in predicted.items()])
    )


def _finite(value):
    return float(value) if np.isfinite(value) else None


def _text(value):
    return "" if value is None else f"{value:.2f}"


RISK_REPORT = RiskReport(LEAST_SQUARES, group=simulation.everything, column=simulation.before_bar)


RISK_METRICS = {
    "risk": simulation.excess_risk,
    "taken": taken,
    "predicted risk": simulation.predicted_risk,
}


# The programme --------------------------------------------------------------------------------


def programme(seed, K=None):
    """Rows and a discrepancy of any rank, of sizes that differ by orders of magnitude."""
    rng = np.random.default_rng(seed)
    K = K or int(rng.integers(1, 51))
    n = np.exp(rng.uniform(np.log(5), np.log(5000), size=K + 1))
    D = rng.normal(size=(int(rng.integers(1, K + 2)), K))
    return n, D.T @ D / len(D) * np.exp(rng.uniform(-5, 4)) / n[0]


def grid_over_totals(n, M, size=25):
    """Return the least risk that the paper's procedure finds: a programme for every total."""
    m, total = cp.Variable(len(M), nonneg=True), cp.Parameter(nonneg=True)
    bias = cp.sum_squares(allocation.square_root(M * n[0]) @ m)
    problem = cp.Problem(cp.Minimize(bias), [cp.sum(m) == total, m <= n[1:] / n[0]])
    risks = [1 / n[0]]
    for s in np.linspace(0, n[1:].sum() / n[0], size + 1)[1:]:
        total.value = s
        problem.solve(solver=cp.CLARABEL)
        found = np.clip(m.value * n[0], 0, n[1:])
        risks.append(allocation.quantity_risk(found, n, M))
    return min(risks)


def exactness(repeats):
    """Compare with the grid and with cvxpy, the largest of all problems."""
    worst = {"over grid": -np.inf, "from cvxpy": 0.0, "optimality residual": 0.0}
    for seed in range(200 * repeats):
        n, M = programme(seed)
        m = allocation.optimal_quantities(n, M)
        risk = allocation.quantity_risk(m, n, M)
        grid, oracle = grid_over_totals(n, M), oracles.optimal_quantities(n, M)
        gap = abs(risk / allocation.quantity_risk(oracle, n, M) - 1)
        worst["over grid"] = max(worst["over grid"], risk / grid - 1)
        worst["from cvxpy"] = max(worst["from cvxpy"], gap)
        residual = allocation.quantity_residual(m, n, M)
        worst["optimality residual"] = max(worst["optimality residual"], residual)
    return {"problems": 200 * repeats} | {f"{k}, relative": float(v) for k, v in worst.items()}


def milliseconds(repeats):
    """CPU time of one programme, median over problems."""
    figures = {}
    for K in (5, 20, 50, 200):
        spent = []
        for seed in range(20 * repeats):
            n, M = programme(seed, K)
            start = time.process_time()
            allocation.optimal_quantities(n, M)
            spent.append(1e3 * (time.process_time() - start))
        figures[f"ms, K = {K}"] = float(np.median(spent))
    return figures


PROGRAMME = Costs(
    name="otqms_programme",
    question="Is the OTQMS programme solved exactly, and how fast?",
    measurements={"exactness": exactness, "milliseconds": milliseconds},
    bars={"over grid, relative": 1e-8, "from cvxpy, relative": 1e-7, "ms, K = 20": 5.0},
    repeats=5,
)

# Real data ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Learning:
    """A design of real data with the estimator that is to learn from them."""

    draw: Any
    estimator: Any

    def __call__(self, rng):
        split = self.draw(rng)
        return Bunch(
            **split._asdict(), rows=split.rows, estimator=self.estimator,
            seed=int(rng.integers(2**31)),
        )  # fmt: skip


def digits_split(rng, n_train):
    """Draw digits to train on and leave the others to test; all of MNIST is the source."""
    table = data.handwritten_digits()
    is_source = table.groups == "mnist"
    X, y = table.X[~is_source], table.y[~is_source]
    X_source, y_source = table.X[is_source], table.y[is_source]
    drawn = rng.permutation(len(X))
    train, test = drawn[:n_train], drawn[n_train:]
    return data.Split(
        np.vstack([X[train], X_source]),
        np.concatenate([y[train], y_source]),
        np.repeat(["target", "mnist"], [n_train, len(X_source)]),
        X[test],
        y[test],
    )


TARGET_ONLY = "target only"


def timed(fit):
    """Return a method that notes CPU seconds and the part of source rows used."""

    def method(data):
        start = time.process_time()
        model, part = fit(data)
        return SimpleNamespace(
            predict=model.predict, seconds=time.process_time() - start, part=part
        )

    return method


def on_rows(which, part, data):
    rows = data.rows(which)
    return clone(data.estimator).fit(data.X[rows], data.y[rows]), part


def on_sample(data, cv=None, **options):
    sampler = OTQMSSampler(random_state=data.seed, **options)
    model = SourceSampled(data.estimator, sampler, cv=cv)
    model.fit(data.X, data.y, sample_domain=data.sample_domain)
    return model, model.transfer_quantities_.sum() / len(data.rows("sources"))


def at_random(data, part=None):
    """Take source rows at random, as many as OTQMS takes, or a part."""
    sources = data.rows("sources")
    part = on_sample(data)[1] if part is None else part
    rng = np.random.default_rng(data.seed)
    chosen = rng.choice(sources, round(part * len(sources)), replace=False)
    rows = np.concatenate([data.rows("target"), chosen])
    return clone(data.estimator).fit(data.X[rows], data.y[rows]), part


def with_weights(data, cv=None):
    model = SourceWeighted(data.estimator, cv=cv)
    return model.fit(data.X, data.y, sample_domain=data.sample_domain), 1.0


LEARNING_METHODS = {
    TARGET_ONLY: timed(partial(on_rows, "target", 0.0)),
    "all rows": timed(partial(on_rows, "all", 1.0)),
    "source rows only": timed(partial(on_rows, "sources", 1.0)),
    "OTQMS, cv=None": timed(on_sample),
    "OTQMS (default)": timed(partial(on_sample, cv=5)),
    "as many rows at random": timed(at_random),
    "half of the rows at random": timed(partial(at_random, part=0.5)),
    "OTQMS, plug-in (the paper)": timed(partial(on_sample, discrepancy="plugin", min_samples=0)),
    "UOWQ's weights, cv=None": timed(with_weights),
    "SourceWeighted (default)": timed(partial(with_weights, cv=5)),
}
MATCHED = {"OTQMS, matched": timed(partial(on_sample, selection="matched"))}


def error(fitted, data):
    """Share of wrong classes, or squared error relative to the target's training mean."""
    predicted = fitted.predict(data.X_test)
    if is_classifier(data.estimator):
        return np.mean(predicted != data.y_test)
    mean = np.mean(data.y[data.rows("target")])
    return np.mean((predicted - data.y_test) ** 2) / np.mean((mean - data.y_test) ** 2)


LEARNING_METRICS = {
    "error": error,
    "seconds": lambda fitted, data: fitted.seconds,
    "part": lambda fitted, data: fitted.part,
}


class LearningReport:
    """Mean error, its paired difference to the target alone, seconds and rows, by design."""

    def __call__(self, records, run):
        """Return what is kept of a study."""
        failures = sorted({f"{r['method']}: {r['error']}" for r in records if r["error"]})
        rows = learning_rows(records)
        return {"repeats": run.repeats, "failures": failures, "rows": rows}

    def show(self, result):
        """Return one table for each design."""
        return learning_table(result)


LEARNING_REPORT = LearningReport()


def learning_rows(records):
    """One row for each method and design."""
    tables = {metric: simulation.table_of(records, metric) for metric in LEARNING_METRICS}
    base = tables["error"][TARGET_ONLY]
    rows = []
    for method, designs in tables["error"].items():
        for design, values in designs.items():
            error, standard_error = mean_and_error(values)
            difference, difference_error = mean_and_error(values - base[design])
            rows.append(
                {
                    "design": design,
                    "method": method,
                    "error": error,
                    "standard_error": standard_error,
                    "difference": difference,
                    "difference_error": difference_error,
                    "seconds": float(np.median(tables["seconds"][method][design])),
                    "part": float(np.mean(tables["part"][method][design])),
                }
            )
    return rows


def learning_table(result):
    """Return one table for each design."""
    parts = [f"{result['repeats']} target samples; {len(result['failures'])} failures."]
    for design in dict.fromkeys(row["design"] for row in result["rows"]):
        lines = [
            f"### {design}",
            "",
            "| rows | error | to target only | part of source rows | CPU seconds |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {r['method']} | {r['error']:.3f} ± {r['standard_error']:.3f} | "
            f"{r['difference']:+.3f} ± {r['difference_error']:.3f} | {r['part']:.2f} | "
            f"{r['seconds']:.2f} |"
            for r in result["rows"]
            if r["design"] == design
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


BOOSTING = HistGradientBoostingRegressor(min_samples_leaf=5, random_state=0)
REGRESSION = LogisticRegression(max_iter=500)
NETWORK = MLPClassifier((32,), max_iter=100, random_state=0)


LEARNING = (
    hold_out.hold_out_study(
        "otqms_boosting",
        "Which source rows should gradient boosting train on? Ames and county murders.",
        {
            "Ames, boosting, 25 target rows": Learning(data.Samples(data.ames), BOOSTING),
            "county murders, boosting, 30 target rows": Learning(
                data.Samples(data.county_murders), BOOSTING
            ),
        },
        # Not for digits, where twenty draws with 650 coefficients take ten seconds.
        LEARNING_METHODS | MATCHED,
        LEARNING_REPORT,
        repeats=50,
        metrics=LEARNING_METRICS,
    ),
    hold_out.hold_out_study(
        "otqms_digits",
        "Which rows of MNIST should a classifier of scikit-learn's digits train on?",
        {
            f"digits, {name}, {n} target rows": Learning(partial(digits_split, n_train=n), model)
            for name, model in (("logistic regression", REGRESSION), ("network", NETWORK))
            for n in (50, 200)
        },
        LEARNING_METHODS,
        LEARNING_REPORT,
        repeats=8,
        metrics=LEARNING_METRICS,
    ),
)

RISKS = (
    simulation.risk_study(
        "otqms_equal-400",
        "Is OTQMS's risk low in UOWQ's simulation, and what does it cost?",
        equal(400),
        RISK_METHODS,
        RISK_REPORT,
        metrics=RISK_METRICS,
    ),
    simulation.risk_study(
        "otqms_variants",
        "Do refreshed quantities (the paper's dynamic version) or matched rows help?",
        {name: design for name, design in equal(400).items() if "d=50" not in name},
        VARIANTS,
        RISK_REPORT,
        repeats=20,
        metrics=RISK_METRICS,
    ),
)

BENCHMARKS = (PROGRAMME, *RISKS, *LEARNING)

TABLES = {
    "otqms programme": lambda: PROGRAMME.table(load("otqms_programme")),
    **{
        study.name.replace("otqms_", "otqms "): partial(
            lambda study: study.show(load(study.name)), study
        )
        for study in (*RISKS, *LEARNING)
    },
}

if __name__ == "__main__":
    command(BENCHMARKS, prefix="otqms_")
