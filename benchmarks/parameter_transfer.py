"""Partial parameter transfer: benefit, harm, and how much to inherit.

    python -m benchmarks parameter_transfer parameter_digits [--repeats 10]

The simulated settings are those of ``python -m skt reproduce parameter-transfer``. Beside what is
inherited stands the same network from scratch whose filters start alike: all filters of a class
equal, those of the two classes opposite. It borrows nothing, and tells what part of a gain is due
to the start and not to the source.
"""

import warnings
from functools import cache, partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV

from benchmarks import data
from benchmarks.harness import Study, command, load
from skt import ParameterTransferClassifier
from skt.reproductions import parameter_transfer as paper
from skt.study import summarize

ALIKE = "from scratch, filters alike"
MNIST_ROWS = 500


def alike(drawn):
    """Train from filters that are equal within a class and opposite between the two."""
    X = drawn["X"][drawn["sample_domain"] == "target"]
    size = np.sqrt(np.mean(np.sum(X**2, axis=1)) / 2)
    w = np.random.default_rng(drawn["seed"]).standard_normal((1, X.shape[1] // 2)) * 0.04 / size
    labels = np.repeat([-1, 1], 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return ParameterTransferClassifier(
            (labels[:, None] * w, labels),
            inherit_scale=1,
            n_patches=2,
            max_iter=paper.STEPS,
            random_state=0,
        ).fit(X, drawn["y"][drawn["sample_domain"] == "target"])


METHODS = {paper.SCRATCH: paper.METHODS[paper.SCRATCH], ALIKE: alike} | paper.METHODS


# Digits ---------------------------------------------------------------------------------------


@cache
def images():
    return data.handwritten_digits()


def draw_digits(rng, per_class, flipped=False):
    """Draw labelled digits and MNIST images; ``flipped`` gives the latter wrong labels."""
    table = images()
    own = rng.permutation(np.flatnonzero(table.groups == "digits"))
    train = np.concatenate([own[table.y[own] == c][:per_class] for c in range(10)])
    other = rng.permutation(np.flatnonzero(table.groups == "mnist"))[:MNIST_ROWS]
    y = np.concatenate([table.y[train], (table.y[other] + 3 * flipped) % 10])
    test = np.setdiff1d(own, train)
    return {
        "X": np.vstack([table.X[train], table.X[other]]),
        "y": y,
        "sample_domain": np.repeat(["target", "mnist"], [len(train), len(other)]),
        "X_test": table.X[test],
        "y_test": table.y[test],
        "seed": int(rng.integers(2**31)),
    }


def network(drawn, rows="all", **options):
    kept = np.isin(drawn["sample_domain"], ["target"] if rows == "target" else ["target", "mnist"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return ParameterTransferClassifier(random_state=drawn["seed"], max_iter=400, **options).fit(
            *(drawn[key][kept] for key in ("X", "y", "sample_domain"))
        )


def logistic(drawn, rows):
    kept = np.ones(len(drawn["y"]), bool) if rows == "all" else drawn["sample_domain"] == "target"
    return LogisticRegressionCV(Cs=5, cv=2, max_iter=500, use_legacy_attributes=False).fit(
        drawn["X"][kept], drawn["y"][kept]
    )


DIGITS = {
    f"digits, {n} per class{', wrong labels' * wrong}": partial(
        draw_digits, per_class=n, flipped=wrong
    )
    for wrong in (False, True)
    for n in (5, 20)
}
DIGIT_METHODS = {
    paper.SCRATCH: partial(network, rows="target"),
    paper.inherited(0.5): partial(network, inherit_fraction=0.5, inherit_scale=1),
    paper.inherited(1.0): partial(network, inherit_scale=1),
    paper.AUTO: network,
    "logistic regression, target alone": partial(logistic, rows="target"),
    "logistic regression, all rows": partial(logistic, rows="all"),
}


# Report ---------------------------------------------------------------------------------------


def report(records, run):
    """Keep accuracies by method and setting."""
    keys = ("design", "method", "mean", "standard_error")
    failures = sum(bool(record["error"]) for record in records)
    return {"rows": [{k: r[k] for k in keys} for r in summarize(records)], "failures": failures}


def show(result):
    """Return a table of accuracies, a line a setting."""
    rows = {(row["design"], row["method"]): row for row in result["rows"]}
    methods = list(dict.fromkeys(method for _, method in rows))
    lines = [
        f"Accuracy on the target, {result['setting']['repeats']} draws, {result['failures']} "
        "failures.",
        "",
        f"| setting | {' | '.join(methods)} |",
        "|---" * (len(methods) + 1) + "|",
    ]
    for design in dict.fromkeys(design for design, _ in rows):
        cells = (rows[design, method] for method in methods)
        line = " | ".join(f"{c['mean']:.3f} ± {c['standard_error']:.3f}" for c in cells)
        lines.append(f"| {design} | {line} |")
    return "\n".join(lines)


BENCHMARKS = (
    Study(
        name="parameter_transfer",
        question="Which part of a source's filters should a network inherit, and at what scale?",
        designs=paper.DESIGNS,
        methods=METHODS,
        metrics={paper.ACCURACY: paper.accuracy},
        report=report,
        show=show,
        repeats=8,
    ),
    Study(
        name="parameter_digits",
        question="Do inherited filters help on digits, and do filters with wrong labels harm?",
        designs=DIGITS,
        methods=DIGIT_METHODS,
        metrics={paper.ACCURACY: paper.accuracy},
        report=report,
        show=show,
        repeats=8,
    ),
)
TABLES = {
    "parameter_transfer": lambda: show(load("parameter_transfer")),
    "parameter_digits": lambda: show(load("parameter_digits")),
}

if __name__ == "__main__":
    command(BENCHMARKS, prefix="parameter_")
