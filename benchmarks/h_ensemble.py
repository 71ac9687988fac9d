"""H-ensemble: few labelled digits and frozen networks; tables and boosted sources; cost.

    python -m benchmarks h_ensemble h_ensemble_fresh h_ensemble_tables h_ensemble_cost

Settings A, B and C have eight small networks trained on MNIST and few of scikit-learn's digits. In
A they know the ten digits; two were trained on shuffled labels, one on labels of which half are
noise, one on permuted pixels. In B the target are digits 0 to 4 and the networks know 5 to 9; in
C each knows two of these. What the default averages over was chosen on other networks and draws of
the same kind. The penalty for one label a class was raised when both benchmarks had been seen.
"""

import warnings
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, RidgeCV
from sklearn.metrics import log_loss
from sklearn.neighbors import NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import data, parameter_transfer
from benchmarks.harness import Costs, Study, command, load
from benchmarks.timing import in_turns
from skt import HEnsembleClassifier, HEnsembleRegressor, SourcePredictor
from skt.sources import split_domains

OURS, PAPER = "H-ensemble (default)", "H-ensemble (paper)"
CENTROID, STACK = "nearest centroid, target alone", "stacking with X"
ALONE = "logistic regression, target alone"
HIDDEN, ROWS = 32, 600
PAIRS = ((5, 6), (5, 7), (5, 8), (6, 8), (7, 9), (8, 9), (6, 7), (5, 9))


@dataclass(frozen=True)
class Network:
    """A fitted network whose hidden units are features."""

    fitted: MLPClassifier

    @property
    def classes_(self):
        return self.fitted.classes_

    def transform(self, X):
        return np.maximum(X @ self.fitted.coefs_[0] + self.fitted.intercepts_[0], 0.0)

    def predict_proba(self, X):
        return self.fitted.predict_proba(X)


def trained(seed, X, y):
    model = MLPClassifier((HIDDEN,), max_iter=150, learning_rate_init=0.01, alpha=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return Network(model.set_params(random_state=seed).fit(X, y))


@cache
def networks(setting):
    """Return the eight networks of a setting."""
    table, rng = data.handwritten_digits(), np.random.default_rng(7)
    mnist = np.flatnonzero(table.groups == "mnist")
    found = []
    for k in range(8):
        known = {"A": range(10), "B": range(5, 10), "C": PAIRS[k]}[setting]
        of_these = mnist[np.isin(table.y[mnist], list(known))]
        rows = rng.choice(of_these, min(ROWS, len(of_these)), replace=False)
        X, y = table.X[rows], table.y[rows]
        if setting == "A" and k in (4, 5):
            y = rng.permutation(y)
        if setting == "A" and k == 6:
            y = np.where(rng.random(len(y)) < 0.5, rng.integers(0, 10, len(y)), y)
        if setting == "A" and k == 7:
            X = X[:, rng.permutation(X.shape[1])]
        found.append(trained(k, X, y))
    return found


def draw(rng, setting, per_class):
    """Draw labelled digits; all others test."""
    table = data.handwritten_digits()
    known = range(10) if setting == "A" else range(5)
    own = rng.permutation(np.flatnonzero((table.groups == "digits") & np.isin(table.y, known)))
    train = np.concatenate([own[table.y[own] == c][:per_class] for c in known])
    test = np.setdiff1d(own, train)
    return {
        "X": table.X[train],
        "y": table.y[train],
        "X_test": table.X[test],
        "y_test": table.y[test],
        "models": networks(setting),
    }


def ensemble(drawn, make=HEnsembleClassifier):
    sources = {str(k): SourcePredictor(each) for k, each in enumerate(drawn["models"])}
    return make(sources).fit(drawn["X"], drawn["y"])


class Stacked:
    """Logistic regression on X and all probabilities: scikit-learn's stacking of fitted models."""

    def __init__(self, models):
        self.models = models

    def _table(self, X):
        return np.hstack([X, *(each.predict_proba(X) for each in self.models)])

    def fit(self, X, y):
        self.final = LogisticRegression(max_iter=1000).fit(self._table(X), y)
        return self

    def score(self, X, y):
        return self.final.score(self._table(X), y)


METHODS = {
    ALONE: lambda d: LogisticRegression(max_iter=1000).fit(d["X"], d["y"]),
    CENTROID: lambda d: NearestCentroid().fit(d["X"], d["y"]),
    STACK: lambda d: Stacked(d["models"]).fit(d["X"], d["y"]),
    PAPER: partial(ensemble, make=HEnsembleClassifier.paper),
    OURS: ensemble,
}
DESIGNS = {
    f"{setting}, {n} per class": partial(draw, setting=setting, per_class=n)
    for setting in "ABC"
    for n in (1, 5, 10)
}
# Asked by the project's issue on H-ensemble, of settings whose networks are not known.
ASKED = dict(zip(DESIGNS, (0.783, 0.888, 0.929, *((0.66, 0.897, 0.950) * 2)), strict=True))


def few_labels(name, question):
    return Study(
        name=name,
        question=question,
        designs=DESIGNS if name == "h_ensemble" else {f"{k}, fresh": v for k, v in DESIGNS.items()},
        methods=METHODS,
        metrics={"accuracy": lambda fitted, d: fitted.score(d["X_test"], d["y_test"])},
        report=parameter_transfer.report,
        show=show,
        repeats=10,
    )


def show(result):
    """Return accuracies, and the default against what was asked."""
    rows = {r["design"].removesuffix(", fresh"): r for r in result["rows"] if r["method"] == OURS}
    missed = [
        f"{name}: {row['mean']:.3f} ± {row['standard_error']:.3f}, asked {ASKED[name]:.3f}"
        for name, row in rows.items()
        if row["mean"] + row["standard_error"] < ASKED[name]
    ]
    text = "; ".join(missed) or "none"
    return f"{parameter_transfer.show(result)}\n\nBelow what was asked by an error: {text}."


# Tables ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Boosted:
    """Design: a model boosted on every source, and the target's rows."""

    load: object
    classes: bool

    def __call__(self, rng):
        sample = self.load().draw(rng)
        target, sources = split_domains(sample.sample_domain, len(sample.X))
        make = HistGradientBoostingClassifier if self.classes else HistGradientBoostingRegressor
        models = {
            name: make(max_iter=60, min_samples_leaf=10).fit(sample.X[rows], sample.y[rows])
            for name, rows in sources.items()
            if len(rows) >= 40 and len(np.unique(sample.y[rows])) > 1
        }
        return {
            "X": sample.X[target], "y": sample.y[target], "X_test": sample.X_test,
            "y_test": sample.y_test, "models": models, "classes": self.classes,
        }  # fmt: skip


def alone(d):
    """Ridge or logistic regression on the target, its penalty validated."""
    if d["classes"]:
        model = LogisticRegressionCV(Cs=8, cv=3, max_iter=2000, use_legacy_attributes=False)
        return make_pipeline(StandardScaler(), model).fit(d["X"], d["y"])
    return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 15))).fit(d["X"], d["y"])


def boosted_alone(d):
    make = HistGradientBoostingClassifier if d["classes"] else HistGradientBoostingRegressor
    return make(max_iter=60, min_samples_leaf=5).fit(d["X"], d["y"])


class Continued:
    """Boosting that starts from the mean prediction of the sources (regression)."""

    def __init__(self, d):
        self.models = list(d["models"].values())
        self.rest = HistGradientBoostingRegressor(max_iter=30, min_samples_leaf=5).fit(
            d["X"], d["y"] - self._mean(d["X"])
        )

    def _mean(self, X):
        return np.mean([each.predict(X) for each in self.models], axis=0)

    def predict(self, X):
        return self._mean(X) + self.rest.predict(X)


class Mean:
    """Mean prediction of the sources."""

    def __init__(self, d):
        self.models, self.classes_ = list(d["models"].values()), np.unique(d["y"])

    def predict(self, X):
        return np.mean([each.predict(X) for each in self.models], axis=0)

    def predict_proba(self, X):
        return np.mean([each.predict_proba(X) for each in self.models], axis=0)


def with_sources(d):
    make = HEnsembleClassifier if d["classes"] else HEnsembleRegressor
    sources = {name: SourcePredictor(each) for name, each in d["models"].items()}
    return make(sources).fit(d["X"], d["y"])


def continued(d):
    return Mean(d) if d["classes"] else Continued(d)


def loss(fitted, d):
    """Log-loss, or squared error over that of the target's mean."""
    if d["classes"]:
        return log_loss(d["y_test"], fitted.predict_proba(d["X_test"]), labels=fitted.classes_)
    squares = np.mean((d["y_test"] - fitted.predict(d["X_test"])) ** 2)
    return squares / np.mean((d["y_test"] - d["y"].mean()) ** 2)


TABLES_OF_DATA = Study(
    name="h_ensemble_tables",
    question="Do sources that are boosted models help on tables?",
    designs={
        "Ames, 25 target rows": Boosted(data.ames, classes=False),
        "diabetes, 30 target rows": Boosted(data.diabetes, classes=False),
        "contraception, 20 target rows": Boosted(data.contraception, classes=True),
        "digits 3 and 5, 20 target rows": Boosted(partial(data.two_digits, 3, 5), classes=True),
    },
    methods={
        "target alone, linear": alone,
        "target alone, boosted": boosted_alone,
        "mean of sources": lambda d: Mean(d),
        "continued boosting (classes: mean of sources)": continued,
        OURS: with_sources,
    },
    metrics={"loss": loss},
    report=parameter_transfer.report,
    show=lambda result: parameter_transfer.show(result).replace(
        "Accuracy on the target", "Log-loss, or squared error over that of the target's mean"
    ),
    repeats=20,
)


# Cost -----------------------------------------------------------------------------------------


def cost_of_fifty(repeats):
    rng = np.random.default_rng(0)
    maps = {str(k): partial(_features, rng.normal(size=(64, 32))) for k in range(50)}
    X, y = rng.normal(size=(100, 64)), np.arange(100) % 10
    ours, stack = in_turns(
        lambda: HEnsembleClassifier(maps).fit(X, y),
        lambda: LogisticRegression(max_iter=1000).fit(
            np.hstack([X, *(each(X) for each in maps.values())]), y
        ),
        repeats=repeats,
    )
    return {
        "50 sources, 100 rows, 10 classes: CPU seconds": ours,
        "the same / logistic regression on all features": ours / stack,
    }


def _features(W, X):
    return np.maximum(X @ W, 0.0)


COST = Costs(
    name="h_ensemble_cost",
    question="What does H-ensemble cost with 50 sources?",
    measurements={"fifty": cost_of_fifty},
    bars={"50 sources, 100 rows, 10 classes: CPU seconds": 1.0},
    repeats=5,
)

BENCHMARKS = (
    few_labels("h_ensemble", "Do frozen networks help where few digits are labelled?"),
    few_labels("h_ensemble_fresh", "The same on draws on which nothing was chosen?"),
    TABLES_OF_DATA,
    COST,
)
TABLES = {
    "h_ensemble": lambda: show(load("h_ensemble")),
    "h_ensemble_fresh": lambda: show(load("h_ensemble_fresh")),
    "h_ensemble_tables": lambda: TABLES_OF_DATA.show(load("h_ensemble_tables")),
    "h_ensemble_cost": lambda: COST.table(load("h_ensemble_cost")),
}

if __name__ == "__main__":
    command(BENCHMARKS, prefix="h_ensemble_")
