"""Do intervals of nominal 95 % hold what they are said to hold, and how wide are they?

    python -m benchmarks coverage [--repeats 60]

Designs of the studies of UOWQ's risk (`benchmarks.uowq_risk`): rows of all domains alike, designs
and noise that differ, fewer rows than features; and hostile sources, among them some that share
an offset, which only the target's few rows can tell, and some that are turned round. Coefficients:
the share of true ones inside `coef_interval`. Predictions: the share of new outcomes of the target
inside `ConformalRegressor`'s intervals; of fewer than 19 rows none is promised and none counted.
Widths are relative to the same of the target alone, of coefficients to Student's t of least squares
on its rows; where these do not exceed the features it has none. Standard errors are over repeats.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.utils import Bunch

from benchmarks.harness import Study, command, load
from benchmarks.uowq_risk import wide
from skt import ConformalRegressor, UOWQRegressor
from skt.reproductions.uowq import equal_designs, unequal_designs

COVERAGE, BAR, WIDTH_BAR = 0.95, 0.93, 0.85
N_NEW = 300
GOOD = ("x0", "x.3", "x1", "near")
SIZES = ("d=5 n0=15 K=3", "d=20 n0=30 K=3", "d=20 n0=80 K=8")
UNEQUAL = ("designs of sources differ", "all differ, 30 rows")


def mirrored(rng, n_target, n_features):
    """Draw one source with the target's coefficients turned round."""
    coef = rng.normal(size=n_features)
    X = rng.normal(size=(n_target + 200, n_features))
    sign = np.where(np.arange(len(X)) < n_target, 1.0, -1.0)
    y = sign * (X @ coef) + rng.normal(size=len(X))
    domain = np.where(sign > 0, "target", "source 1")
    covariance, noise = np.eye(n_features), np.ones(2)
    return Bunch(X=X, y=y, sample_domain=domain, coef=coef, covariance=covariance, noise=noise)


def designs():
    """Return the cells by name, ``family|pattern|sizes``."""
    found = {}
    for name, design in equal_designs(400).items():
        column, sizes = name.split("|")
        if sizes in SIZES:
            found[f"equal|{column}|{sizes}"] = design
    for name, design in unequal_designs().items():
        kind, column = name.split("|")
        if kind in UNEQUAL and column in ("x0", "x1", "x3", "x30", "mix", "shared"):
            found[f"unequal|{column}|{kind}"] = design
    for name, design in wide().items():
        kind, pattern = name.split("|")
        if kind == "N_i=60":
            found[f"wide|{pattern}|d=100 n0=40 K=3"] = design
    for n, p in ((12, 5), (30, 10), (20, 40)):
        sizes = {"n_target": n, "n_features": p}
        found[f"mirrored|mirrored|d={p} n0={n} K=1"] = partial(mirrored, **sizes)
    return found


# Methods and metrics ------------------------------------------------------------------------


def with_sources(data):
    """Fit the default on all rows."""
    model = ConformalRegressor(UOWQRegressor())
    return model.fit(data.X, data.y, sample_domain=data.sample_domain)


def alone(data):
    """Fit the default on the target's rows."""
    rows = data.sample_domain == "target"
    return ConformalRegressor(UOWQRegressor()).fit(data.X[rows], data.y[rows])


def of_coefficients(fitted, data):
    """Return the share of true coefficients inside."""
    low, high = fitted.estimator_.coef_interval(COVERAGE).T
    return float(np.mean((low <= data.coef) & (data.coef <= high)))


def width_of_coefficients(fitted, data):
    """Return the mean width of coefficients' intervals."""
    return float(np.mean(np.diff(fitted.estimator_.coef_interval(COVERAGE))))


def _new_intervals(fitted, data):
    """Return ends of intervals, and the outcomes that they are for."""
    rng = np.random.default_rng(0)
    X = rng.multivariate_normal(np.zeros(len(data.coef)), data.covariance, size=N_NEW)
    noise = float(np.ravel(data.get("noise", 0.5))[0])  # half where it is not said
    return fitted.predict_interval(X, COVERAGE), X @ data.coef + noise * rng.normal(size=N_NEW)


def of_predictions(fitted, data):
    """Return the share of new outcomes inside; nan where the rows are too few to promise any."""
    if fitted.largest_coverage_ < COVERAGE:
        return np.nan
    ends, y = _new_intervals(fitted, data)
    return float(np.mean((ends[:, 0] <= y) & (y <= ends[:, 1])))


def width_of_predictions(fitted, data):
    """Return the mean width of predictions' intervals."""
    if fitted.largest_coverage_ < COVERAGE:
        return np.nan
    return float(np.mean(np.diff(_new_intervals(fitted, data)[0])))


METRICS = {
    "coefficients": of_coefficients,
    "predictions": of_predictions,
    "width of coefficients": width_of_coefficients,
    "width of predictions": width_of_predictions,
}
METHODS = {"with sources": with_sources, "target alone": alone}

HEAD = (
    "designs",
    "sources",
    "sizes",
    "coefficients (s.e.)",
    "width",
    "predictions (s.e.)",
    "width",
)

# Report -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """What one design gave, of one method."""

    values: dict  # metric -> array over repeats

    def mean(self, metric):
        """Return mean and standard error."""
        v = self.values[metric]
        v = v[np.isfinite(v)]
        if not len(v):
            return None, None
        return float(np.mean(v)), float(np.std(v, ddof=1) / np.sqrt(len(v)))


def report(records, run):
    """Return one row for each cell."""
    cells = {}
    for r in records:
        value = np.nan if r["error"] else r["value"]
        at = cells.setdefault((r["design"], r["method"]), {})
        at.setdefault(r["metric"], []).append(np.nan if value is None else value)
    cells = {k: Cell({m: np.array(v) for m, v in c.items()}) for k, c in cells.items()}
    names = list(dict.fromkeys(r["design"] for r in records))
    rows = [_row(name, *(cells[name, method] for method in METHODS)) for name in names]
    failed = sum(1 for r in records if r["error"] and r["method"] == "with sources")
    return {"repeats": run.repeats, "seed": run.seed, "failures": failed, "rows": rows}


def _row(name, ours, own):
    family, pattern, sizes = name.split("|")
    row = {"family": family, "pattern": pattern, "sizes": sizes}
    for what in ("coefficients", "predictions"):
        row[what], row[f"{what}_error"] = ours.mean(what)
        row[f"{what}_alone"] = own.mean(what)[0]
        wide, plain = (cell.mean(f"width of {what}")[0] for cell in (ours, own))
        row[f"{what}_width"] = None if wide is None or plain is None else wide / plain
    return row


def missed(rows):
    """Return the cells below the bar, for coefficients and for predictions."""
    return {
        what: [r for r in rows if r[what] is not None and r[what] < BAR]
        for what in ("coefficients", "predictions")
    }


def good_width(rows, what):
    """Return the mean width over cells of good sources whose target alone has an interval."""
    good = [r for r in rows if r["pattern"] in GOOD and r["family"] != "wide"]
    widths = [r[f"{what}_width"] for r in good if r[f"{what}_width"] is not None]
    return float(np.mean(widths)) if widths else np.nan


def show(result):
    """Return the table, and which cells miss the bar."""
    rows = result["rows"]
    lines = [
        f"{result['repeats']} repeats a cell, seed {result['seed']}; {result['failures']} figures "
        "do not exist.",
        "",
        f"| {' | '.join(HEAD)} |",
        "|---|---|---|---|---|---|---|",
        *map(_line, rows),
        "",
    ]
    for what, cells in missed(rows).items():
        where = ", ".join(f"{r['family']} {r['pattern']} {r['sizes']}" for r in cells) or "none"
        n = sum(r[what] is not None for r in rows)
        lines.append(f"Below {BAR} of {what}: {len(cells)} of {n} cells ({where}).")
    widths = ", ".join(f"{good_width(rows, w):.2f} ({w})" for w in ("coefficients", "predictions"))
    return "\n".join([*lines, f"Mean width where sources are good: {widths}; bar {WIDTH_BAR}."])


def _line(r):
    cells = [r["family"], r["pattern"], r["sizes"]]
    for what in ("coefficients", "predictions"):
        known = r[what] is not None
        cells.append(f"{r[what]:.3f} ({r[f'{what}_error']:.3f})" if known else "-")
        width = r[f"{what}_width"]
        cells.append("-" if width is None else f"{width:.2f}")
    return f"| {' | '.join(cells)} |"


BENCHMARKS = (
    Study(
        "coverage",
        "Do intervals of nominal 95 % hold that much, and how wide are they?",
        designs(),
        METHODS,
        METRICS,
        report,
        show,
        repeats=60,
    ),
)
TABLES = {"coverage": lambda: show(load("coverage"))}

if __name__ == "__main__":
    command(BENCHMARKS)
