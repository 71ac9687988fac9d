"""Which of 24 networks to start from, told from few labels: every score, with and without HASTE.

    python -m benchmarks rank_sources

Sources are networks with one hidden layer that were trained on MNIST: four widths, each on good
and on flawed data. Targets are four tasks on scikit-learn's digits. Truth is the accuracy of a
logistic regression on the frozen hidden layer, trained on as many labels as the scores see, and
averaged over draws other than those of the study. Beside the scores stand rankers that look at no
label of the target, and the cross-validated accuracy that anybody could compute.
"""

import warnings
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from scipy.stats import weightedtau
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import data as real
from benchmarks.harness import Study, command, load
from skt.metrics import h_score, haste_score, sample_hardness
from skt.metrics.registry import METRICS, score
from skt.study import mean_and_error

WIDTHS = (8, 32, 128, 256)
TRAINED_ON = (
    "all",
    "300 images",
    "digits 0-4",
    "even digits",
    "half of the labels wrong",
    "pixels shuffled",
)
TASKS = ("ten digits", "digits 5-9", "odd or even", "upside down")
NUMBERS = (5, 20, 80)
TRUTH_DRAWS = 8
TRUTH_SEED = 10**6  # far from the seeds of studies

# Sources ----------------------------------------------------------------------------------------


class HiddenLayer:
    """A trained network whose hidden layer gives the features."""

    def __init__(self, network, n_parameters, accuracy):
        self.network = network
        self.n_parameters = n_parameters
        self.accuracy = accuracy  # on source images that were left out

    def transform(self, X):
        return np.maximum(X @ self.network.coefs_[0] + self.network.intercepts_[0], 0)

    def predict_proba(self, X):
        return self.network.predict_proba(X)

    def predict(self, X):
        return self.network.predict(X)


def train(width, kind, seed):
    """Train a network on 4,500 images, or what its kind leaves of them, and test it on 500."""
    rng = np.random.default_rng(seed)
    X, y = mnist()
    rows = rng.permutation(len(X))
    if kind == "pixels shuffled":
        X = X[:, rng.permutation(X.shape[1])]
    if kind == "digits 0-4":
        rows = rows[y[rows] < 5]
    if kind == "even digits":
        rows = rows[y[rows] % 2 == 0]
    train, test = np.split(rows, [int(0.9 * len(rows))])
    train = train[:300] if kind == "300 images" else train
    labels = y[train].copy()
    if kind == "half of the labels wrong":
        wrong = rng.uniform(size=len(train)) < 0.5
        labels[wrong] = rng.permutation(labels[wrong])
    network = MLPClassifier((width,), max_iter=40, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(X[train], labels)
    size = sum(w.size for w in (*network.coefs_, *network.intercepts_))
    return HiddenLayer(network, size, network.score(X[test], y[test]))


@cache
def mnist():
    table = real.handwritten_digits()
    own = table.groups == "mnist"
    return table.X[own], table.y[own]


@cache
def sources():
    kinds = [(width, kind) for kind in TRAINED_ON for width in WIDTHS]
    return [train(*each, seed) for seed, each in enumerate(kinds)]


@cache
def task(name):
    """Return all images of a task and their classes."""
    table = real.handwritten_digits()
    own = table.groups == "digits"
    X, y = table.X[own], table.y[own]
    if name == "digits 5-9":
        X, y = X[y >= 5], y[y >= 5]
    if name == "odd or even":
        y = y % 2
    if name == "upside down":
        X = X[:, ::-1]
    return X, y


@cache
def layers(name):
    """Return the features that each source gives to the images of a task."""
    return [source.transform(task(name)[0]) for source in sources()]


@cache
def source_rows():
    """Return each source's features of 500 of MNIST, for the hardness of HASTE."""
    return [source.transform(mnist()[0][::10]) for source in sources()]


# Truth ------------------------------------------------------------------------------------------


def head():
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))


def draw(y, n, rng):
    """Return n rows of each class."""
    return np.concatenate([rng.permutation(np.flatnonzero(y == c))[:n] for c in np.unique(y)])


@cache
def truth(name, n):
    """Return the mean accuracy that each source leads to from n labels a class."""
    y = task(name)[1]
    draws = [draw(y, n, np.random.default_rng((TRUTH_SEED, d))) for d in range(TRUTH_DRAWS)]
    return np.mean([[accuracy(F, y, rows) for F in layers(name)] for rows in draws], axis=0)


def accuracy(F, y, rows):
    others = np.setdiff1d(np.arange(len(y)), rows)
    return head().fit(F[rows], y[rows]).score(F[others], y[others])


# Rankers ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Labels:
    """Design of the study: n labelled images of each class of a task."""

    task: str
    n: int

    def __call__(self, rng):
        y = task(self.task)[1]
        rows = draw(y, self.n, rng)
        return {"X": rows, "y": y[rows], "task": self.task, "n": self.n}

    def prepare(self):
        truth(self.task, self.n)


def responses(kind, drawn):
    """Return what each source says of the labelled images."""
    if kind == "features":
        return [F[drawn["X"]] for F in layers(drawn["task"])]
    X = task(drawn["task"])[0][drawn["X"]]
    method = {"probabilities": "predict_proba", "labels": "predict"}[kind]
    return [getattr(source, method)(X) for source in sources()]


def scored(metric, kind, drawn):
    return np.array([score(metric, Z, drawn["y"]) for Z in responses(kind, drawn)])


def on_hard_rows(metric, kind, hardness, drawn):
    return np.array(
        [
            haste_score(metric, Z, drawn["y"], hardness=hardness(F, drawn["y"], own))
            for Z, F, own in zip(
                responses(kind, drawn), responses("features", drawn), source_rows(), strict=True
            )
        ]
    )


def unlike_source(F, y, own):
    return sample_hardness(F, source_features=own)


def unlike_class(F, y, own):
    return sample_hardness(F, y=y)


def no_data(attribute, drawn):
    return np.array([getattr(source, attribute, 0.0) for source in sources()], dtype=float)


def cross_validated(drawn):
    """Return the accuracy of the head itself, by three folds."""
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    return np.array(
        [
            np.mean(cross_val_score(head(), F, drawn["y"], cv=folds))
            for F in responses("features", drawn)
        ]
    )


HARDNESS = {"far from the source": unlike_source, "far from the class": unlike_class}
SCORES = {"h, plain": (partial(h_score, shrunk=False), "features")} | {
    name: (name, metric.kind) for name, metric in METRICS.items()
}
ON_HARD_ROWS = [name for name in SCORES if name != "nleep"]  # a mixture takes too long
RANKERS = {
    "any order": partial(no_data, "nothing"),
    "number of parameters": partial(no_data, "n_parameters"),
    "accuracy on the source": partial(no_data, "accuracy"),
    "cross-validated accuracy": cross_validated,
}
METHODS = (
    RANKERS
    | {name: partial(scored, *how) for name, how in SCORES.items()}
    | {
        f"{name}, {which}": partial(on_hard_rows, *SCORES[name], hardness)
        for name in ON_HARD_ROWS
        for which, hardness in HARDNESS.items()
    }
)

# Figures ----------------------------------------------------------------------------------------


def tau(scores, drawn):
    """Return the weighted tau of Vigna between scores and truth; scores that are all equal: 0."""
    if np.ptp(scores) == 0:
        return 0.0
    return float(weightedtau(truth(drawn["task"], drawn["n"]), scores).statistic)


def lost(scores, drawn):
    """Return how much less accurate the source with the best score is than the best source."""
    true = truth(drawn["task"], drawn["n"])
    return float(np.max(true) - np.mean(true[scores == np.max(scores)]))


def report(records, run):
    """Return means over tasks, with errors over draws, by ranker and number of labels."""
    cells = {}
    for record in records:
        place = record["metric"], record["method"], record["n"]
        cells.setdefault(place, {}).setdefault(record["task"], []).append(record["value"])
    rows = [
        {"method": method, "n": n}
        | _over_tasks("tau", cells["tau", method, n])
        | _over_tasks("lost", cells["lost", method, n])
        for _, method, n in cells
        if ("lost", method, n) in cells and _ == "tau"
    ]
    gains = [
        {"score": name, "hardness": which, "n": n}
        | _over_tasks("gain", _less(cells["tau", f"{name}, {which}", n], cells["tau", name, n]))
        for name in ON_HARD_ROWS
        for which in HARDNESS
        for n in NUMBERS
        if ("tau", name, n) in cells
    ]
    return {"rows": rows, "gains": gains, "failures": sum(bool(r["error"]) for r in records)}


def _less(values, others):
    return {name: np.subtract(values[name], others[name]) for name in values}


def _over_tasks(name, values):
    """Return the mean over tasks, and its standard error over draws of the same tasks."""
    means, errors = np.array([mean_and_error(each) for each in values.values()]).T
    error = np.sqrt(np.sum(errors**2)) / len(errors)
    return {name: float(np.mean(means)), f"{name}_error": float(error)}


def _cells(rows, key, name, scale=1.0, sign=""):
    found = {row["n"]: row for row in rows if key(row)}
    return " | ".join(
        f"{scale * found[n][name]:{sign}.2f} ± {scale * found[n][name + '_error']:.2f}"
        for n in NUMBERS
    )


def rankings(result):
    """Return tau, and the accuracy lost by taking the first, of all that ranks all rows."""
    lines = [
        "| ranker | tau, 5 | tau, 20 | tau, 80 | lost, 5 | lost, 20 | lost, 80 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in [*RANKERS, *SCORES]:
        cells = [
            _cells(result["rows"], lambda row, name=name: row["method"] == name, *what)
            for what in (("tau",), ("lost", 100.0))
        ]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def gains(result):
    """Return what each hardness adds to tau."""
    lines = ["| score | " + " | ".join(f"{w}, {n}" for w in HARDNESS for n in NUMBERS) + " |"]
    lines.append("|---" * (1 + len(HARDNESS) * len(NUMBERS)) + "|")
    for name in ON_HARD_ROWS:
        cells = [
            _cells(
                result["gains"],
                lambda row, name=name, which=which: (
                    (row["score"], row["hardness"]) == (name, which)
                ),
                "gain",
                sign="+",
            )
            for which in HARDNESS
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def show(result):
    return f"{rankings(result)}\n\n{gains(result)}\n\n{result['failures']} failures"


RANKING = Study(
    name="rank_sources",
    question="Which of 24 networks to start from: scores, HASTE, and rankers without data?",
    designs={f"{name}|{n}": Labels(name, n) for name in TASKS for n in NUMBERS},
    methods=METHODS,
    metrics={"tau": tau, "lost": lost},
    report=report,
    show=show,
    repeats=5,
)

BENCHMARKS = (RANKING,)

TABLES = {
    "rank_sources": lambda: rankings(load("rank_sources")),
    "rank_sources haste": lambda: gains(load("rank_sources")),
}

if __name__ == "__main__":
    command(BENCHMARKS)
