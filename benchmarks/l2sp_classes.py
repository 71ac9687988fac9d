"""L2-SP for classes: does it help, and what does a useless source cost?

    python -m benchmarks l2sp_classes

Simulated: 20 features, log odds of standard deviation two, sources of 300 rows. Real: handwritten
digits, two at a time (MNIST as the source), and use of contraception by district. Log-loss and
errors on new target rows, relative to cross-validated logistic regression on the target alone.
"""

from functools import partial

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.utils import Bunch

from benchmarks import data, hold_out, simulation
from benchmarks.harness import command, load
from skt import L2SPClassifier, stack_domains
from skt.sources import split_domains
from skt.study import summarize

TARGET_ONLY, DEFAULT = "logistic, target only", "L2SPClassifier (default)"
FEATURES, SOURCE_ROWS, LENGTH = 20, 300, 2.0
# Set before the first run: the mean log-loss of the default over that of the target alone.
MOST_HARM = 1.05

# Designs --------------------------------------------------------------------------------------

# Scale and offset of every source, in lengths of the target's coefficients.
PATTERNS = {
    "related": ((1, 0.3),),
    "scaled": ((2.5, 0.3),),
    "mirrored": ((-1, 0.3),),
    "unrelated": ((0, 1),),
    "three mixed": ((1, 0.3), (2, 0.5), (0, 1)),
    "three unrelated": ((0, 1),) * 3,
}


def _rows(rng, n, coef):
    X = rng.standard_normal((n, FEATURES))
    scores = X @ coef + rng.gumbel(size=(n, coef.shape[1]))
    return X, np.argmax(scores, axis=1)


def _direction(rng, classes):
    # Differences of two classes' scores then have the standard deviation LENGTH.
    coef = rng.standard_normal((FEATURES, classes))
    return coef * LENGTH / np.linalg.norm(coef, axis=0).mean() / np.sqrt(2)


def simulated(rng, n_target, pattern, classes=2):
    """Draw a target in which every class has two rows, its sources and test rows."""
    coef = _direction(rng, classes)
    sources = {
        f"source {k}": _rows(rng, SOURCE_ROWS, scale * coef + offset * _direction(rng, classes))
        for k, (scale, offset) in enumerate(pattern, 1)
    }
    counts = np.zeros(classes)
    while counts.min() < 2:
        target = _rows(rng, n_target, coef)
        counts = np.bincount(target[1], minlength=classes)
    X, y, domain = stack_domains(target, sources)
    X_test, y_test = _rows(rng, 2000, coef)
    return Bunch(X=X, y=y, sample_domain=domain, X_test=X_test, y_test=y_test)


class Real(data.Samples):
    """A sample of a table whose target rows hold every class twice."""

    def __call__(self, rng):
        """Draw until they do."""
        while True:
            split = super().__call__(rng)
            counts = np.unique(split.y[split.rows("target")], return_counts=True)[1]
            if len(counts) == len(np.unique(split.y)) and counts.min() >= 2:
                return split


DESIGNS = {
    f"{n} rows|{name}": partial(simulated, n_target=n, pattern=pattern)
    for n in (12, 30, 100)
    for name, pattern in PATTERNS.items()
}
DESIGNS |= {
    f"40 rows, 3 classes|{name}": partial(simulated, n_target=40, pattern=PATTERNS[name], classes=3)
    for name in ("related", "unrelated")
}
DESIGNS |= {
    "real|digits 4, 9": Real(partial(data.two_digits, 4, 9)),
    "real|digits 3, 8": Real(partial(data.two_digits, 3, 8)),
    "real|contraception": Real(data.contraception),
}

# Methods --------------------------------------------------------------------------------------


def logistic(which, sample):
    """Fit logistic regression on the rows of some domains, its penalty by log-loss."""
    target, sources = split_domains(sample.sample_domain, len(sample.X))
    sources = list(sources.values())
    rows = {"target": [target], "sources": sources, "all": [target, *sources]}[which]
    X, y = (part[np.concatenate(rows)] for part in (sample.X, sample.y))
    folds = StratifiedKFold(
        min(5 if which == "target" else 3, np.unique(y, return_counts=True)[1].min())
    )
    search = GridSearchCV(
        LogisticRegression(max_iter=5000),
        {"C": np.geomspace(1e-3, 1e3, 13 if which == "target" else 7)},
        scoring="neg_log_loss",
        cv=folds,
    )
    return search.fit(X, y)


METHODS = {
    TARGET_ONLY: partial(logistic, "target"),
    "logistic, all rows": partial(logistic, "all"),
    "logistic, sources only": partial(logistic, "sources"),
    "L2SPClassifier, scale 1": L2SPClassifier(source_scale=1.0),
    DEFAULT: L2SPClassifier(),
}


def loss(fitted, sample):
    return log_loss(sample.y_test, fitted.predict_proba(sample.X_test), labels=fitted.classes_)


def errors(fitted, sample):
    return np.mean(fitted.predict(sample.X_test) != sample.y_test)


# Report ---------------------------------------------------------------------------------------

BY_LOSS = simulation.Report(TARGET_ONLY, metric="log-loss")
BY_ERRORS = simulation.Report(TARGET_ONLY, metric="errors")


class Report:
    """Ratios of log-loss and of errors, those of the default by setting, and the bar."""

    def __call__(self, records, run):
        """Return what is kept of the study."""
        settings = [
            {key: row[key] for key in ("design", "metric", "mean", "ratio", "ratio_error")}
            for row in summarize(records, baseline=TARGET_ONLY)
            if row["method"] == DEFAULT
        ]
        worst = max(row["ratio"] for row in settings if row["metric"] == "log-loss")
        return BY_LOSS(records, run) | {
            "by_errors": BY_ERRORS.rows(records),
            "settings": settings,
            "bar": {"most_harm": MOST_HARM, "worst": worst, "passed": worst <= MOST_HARM},
        }

    def show(self, result):
        """Return tables of log-loss and of errors, and the verdict."""
        bar = result["bar"]
        verdict = (
            f"Bar {'met' if bar['passed'] else 'MISSED'}: on its worst setting the default has "
            f"{bar['worst']:.3f} of the target's own log-loss (at most {bar['most_harm']:g})."
        )
        errors_table = simulation.table_of_ratios(result["by_errors"])
        parts = ("Log-loss:", BY_LOSS.show(result), "Errors:", errors_table, verdict)
        return "\n\n".join(parts)


REPORT = Report()


def by_setting(result):
    """Return a table of the default's ratios, a line a setting."""
    ratios = {(row["design"], row["metric"]): row for row in result["settings"]}
    lines = ["| setting | log-loss | errors |", "|---|---|---|"]
    for design in dict.fromkeys(row["design"] for row in result["settings"]):
        cells = [
            f"{row['ratio']:.3f} ± {row['ratio_error']:.3f}"
            for row in (ratios[design, "log-loss"], ratios[design, "errors"])
        ]
        lines.append(f"| {design.replace('|', ', ')} | {' | '.join(cells)} |")
    return "\n".join(lines)


BENCHMARKS = (
    hold_out.hold_out_study(
        "l2sp_classes",
        "Does L2-SP help where outcomes are classes, and what does a useless source cost?",
        DESIGNS,
        METHODS,
        REPORT,
        repeats=10,
        metrics={"log-loss": loss, "errors": errors},
    ),
)
TABLES = {
    "l2sp classes": lambda: REPORT.show(load("l2sp_classes")),
    "l2sp classes by setting": lambda: by_setting(load("l2sp_classes")),
}

if __name__ == "__main__":
    command(BENCHMARKS, prefix="l2sp_")
