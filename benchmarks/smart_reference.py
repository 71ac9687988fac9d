"""SMART next to its authors' code, on data on which that was run.

    SKT_SMART_REFERENCE=FOLDER python -m benchmarks smart_reference

FOLDER holds the authors' outputs, ``smart_*.npz``, which are not shipped: rows ``X`` and ``Y``, the
source's coefficient ``C0``, the truth ``C_true``, and estimates ``C_lam_...`` at fixed penalties,
``C_bic`` and ``C_full`` after their selection, with their costs in ``meta``. Without it the one
case of ``tests/data`` is measured, which holds second moments, and nothing is written.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.harness import load
from benchmarks.peers import stored_data
from benchmarks.smart import cost_of_selection
from skt import SMARTRegressor, SourceModel
from skt.core.reduced_rank import Factors, Folds, SecondMoments
from skt.core.smart import objective
from skt.core.smart_choice import Bases, SmartOptions, fit_by_validation, make_problem, rotate
from skt.core.source_bases import source_sides

FOLDER = os.environ.get("SKT_SMART_REFERENCE")
SHIPPED = Path(__file__).parents[1] / "tests" / "data" / "smart_reference.npz"
SOLVER = {"rho": 0.1, "tol": 1e-5, "max_iter": 5000}
SELECTIONS = {
    "SMART (default)": {},
    "SMART, the paper's penalty and BIC": {"variant": "paper"},
}
BARS = {  # of the project's issue on SMART
    "objective above the authors', relative: largest": ("at most", 1e-6),
    "error of the estimate / the authors', means": ("at most", 1.0),
    "CPU of the authors' selection / ours, in units of RidgeCV": ("at least", 300.0),
}


# Cases --------------------------------------------------------------------------------------


class Case(NamedTuple):
    """Data in the source bases, as second moments, and what the authors' code returned."""

    name: str
    stored: dict
    m: SecondMoments
    bases: Bases

    @classmethod
    def read(cls, path):
        """Read a file of rows, or of second moments."""
        stored = stored_data(path)
        bases = Bases(*source_sides([stored.C0.astype(float)]))
        m = SecondMoments(*(np.asarray(part, dtype=float) for part in _moments(stored)))
        name = path.stem.removeprefix("smart_")
        return cls(f"{name}, n={stored.meta['n']}", stored, rotate(m, bases), bases)

    @property
    def has_rows(self):
        """Whether a selection can be made: folds need rows."""
        return "X" in self.stored

    def their_factors(self, penalty):
        """Return the authors' estimate at a fixed penalty, in the source bases."""
        rank = self.stored.meta["rank"]
        if self.has_rows:
            U, d, Vt = np.linalg.svd(self.stored[f"C_lam_{penalty}"])
            U, d, V = U[:, :rank], d[:rank], Vt[:rank].T
        else:
            U, d, V = (self.stored[f"{part}_{penalty}"].astype(float) for part in "UdV")
        return Factors(self.bases.left.basis.T @ U, d, self.bases.right.basis.T @ V)

    def our_factors(self, penalty):
        """Return ours at the same penalty, rank and structural ranks: the paper's penalty."""
        meta, train = self.stored.meta, SecondMoments(*(part[None] for part in self.m))
        setting = SmartOptions(
            meta["rank"],
            (meta["structural_rank"],) * 2,
            (penalty, penalty),
            ridge=0.0,
            lost=0.0,
            entrywise=True,
            **SOLVER,
        )
        return fit_by_validation(Folds(train, train.at(slice(0, 0))), self.bases, setting).factors

    def objective(self, factors, penalty):
        """Return (S1) of the paper."""
        structural = (self.stored.meta["structural_rank"],) * 2
        problem = make_problem(self.m, self.bases, structural, 0.0, entrywise=True)
        return float(objective(factors, problem, (penalty, penalty)))

    def error(self, C):
        """Return the root-mean-square error of coefficients (p, q), times 100."""
        return float(100 * np.sqrt(np.mean((C - self.stored.C_true) ** 2)))

    def factor_error(self, factors):
        """Return the error of factors in the source bases."""
        return self.error(self.bases.left.basis @ factors.C @ self.bases.right.basis.T)


def _moments(stored):
    if "X" not in stored:
        return stored.G, stored.H, stored.y2, stored.n
    X, Y, n = stored.X, stored.Y, len(stored.X)
    return X.T @ X / n, X.T @ Y / n, np.sum(Y**2) / n, n


# Measurements -------------------------------------------------------------------------------


def at_fixed_penalties(case):
    """Return objectives and errors, theirs and ours, at each penalty of a case."""
    return [_at(case, run["lam"]) for run in case.stored.meta.get("fixed_lambda", [])]


def _at(case, penalty):
    theirs, ours = case.their_factors(penalty), case.our_factors(penalty)
    return {
        "case": case.name,
        "penalty": penalty,
        "objective": [case.objective(f, penalty) for f in (theirs, ours)],
        "error": [case.factor_error(f) for f in (theirs, ours)],
    }


def after_selection(case):
    """Return the errors of estimates after a selection: the authors' BIC, and ours."""
    if not case.has_rows:
        return []
    errors = {"authors, BIC at the true ranks": case.error(case.stored.C_bic)}
    if "C_full" in case.stored:
        errors["authors, whole selection"] = case.error(case.stored.C_full)
    known = {"source": SourceModel(case.stored.C0.T)}
    for name, options in SELECTIONS.items():
        model = SMARTRegressor(sources=known, **options).fit(case.stored.X, case.stored.Y)
        errors[name] = case.error(model.coef_.T)
    return [{"case": case.name, "errors": errors}]


def cost(cases, repeats):
    """Return the cost of the authors' whole selection over ours, each in units of its RidgeCV."""
    theirs = [
        _their_cost(case.stored.meta) for case in cases if "full_selection" in case.stored.meta
    ]
    with threadpool_limits(1):
        ours = next(iter(cost_of_selection(repeats).values()))
    return {"authors / RidgeCV": theirs, "ours / RidgeCV": ours, "ratio": min(theirs) / ours}


def _their_cost(meta):
    yardstick = np.median([run["ridge_cpu_seconds"] for run in meta["fixed_lambda"]])
    return float(meta["full_selection"]["cpu_seconds"] / yardstick)


def figures(fixed, costs):
    """Return the figures that have bars."""
    above = max(ours / theirs - 1 for theirs, ours in (row["objective"] for row in fixed))
    errors = np.mean([row["error"] for row in fixed], axis=0)
    return dict(zip(BARS, (above, float(errors[1] / errors[0]), costs["ratio"]), strict=True))


def typical_ratio(fixed):
    """Return the geometric mean of our errors over theirs, and its standard error."""
    logs = np.diff(np.log([row["error"] for row in fixed]))[:, 0]
    mean = np.exp(logs.mean())
    return float(mean), float(mean * logs.std(ddof=1) / np.sqrt(len(logs)))


def is_met(name, value):
    """Whether a figure meets its bar."""
    kind, bar = BARS[name]
    return value <= bar if kind == "at most" else value >= bar


# The benchmark ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reference:
    """Our solver and selection held against stored outputs of the authors' code.

    Parameters
    ----------
    folder : path or None
        Of the authors' outputs. None: the case of ``tests/data`` alone.
    """

    folder: str | Path | None = None
    name: str = "smart_reference"
    question: str = "Is SMART as good as its authors' code on the same data, and how much faster?"
    repeats: int = 7
    peers: tuple = ()

    @property
    def complete(self):
        """Whether the results are those to be written down."""
        return self.folder is not None

    def paths(self):
        """Return the files of the cases."""
        if self.folder is None:
            return [SHIPPED]
        found = sorted(Path(self.folder).glob("smart_*.npz"))
        if not found:
            raise FileNotFoundError(
                f"SKT_SMART_REFERENCE names {str(self.folder)!r}, which has no smart_*.npz; unset "
                "it to measure the case of tests/data alone."
            )
        return found

    def measure(self, run):
        """Measure every case."""
        cases = [Case.read(path) for path in self.paths()]
        fixed = [row for case in cases for row in at_fixed_penalties(case)]
        costs = cost(cases, run.repeats)
        found = figures(fixed, costs)
        return {
            "fixed": fixed,
            "selection": [row for case in cases for row in after_selection(case)],
            "cost": costs,
            "figures": found,
            "missed": [name for name, value in found.items() if not is_met(name, value)],
        }

    def show(self, result):
        """Return the tables."""
        return table(result)


def table(result):
    """Return Markdown: figures with bars, each fixed penalty, and errors after selection."""
    lines = ["| figure | measured | bar |", "|---|---|---|"]
    for name, value in result["figures"].items():
        mark = "" if is_met(name, value) else " **missed**"
        lines.append(f"| {name} | {value:.3g} | {BARS[name][0]} {BARS[name][1]:g}{mark} |")
    ratio = "{:.3f} ± {:.3f}".format(*typical_ratio(result["fixed"]))
    lines += [
        "",
        f"Our error over theirs, geometric mean of {len(result['fixed'])}: {ratio}.",
        "",
        "| case | penalty | objective: authors | ours | relative | RMSE x 100: authors | ours |",
        "|---|---|---|---|---|---|---|",
        *map(_fixed_line, result["fixed"]),
    ]
    if result["selection"]:
        names = list(dict.fromkeys(n for row in result["selection"] for n in row["errors"]))
        lines += ["", f"| RMSE x 100 after selection | {' | '.join(names)} |"]
        lines += ["|---" * (len(names) + 1) + "|"]
        lines += [_selection_line(row, names) for row in result["selection"]]
    return "\n".join(lines)


def _fixed_line(row):
    (theirs, ours), errors = row["objective"], row["error"]
    cells = [f"{theirs:.5f}", f"{ours:.5f}", f"{ours / theirs - 1:+.1e}"]
    cells += [f"{error:.3f}" for error in errors]
    return f"| {row['case']} | {row['penalty']:g} | {' | '.join(cells)} |"


def _selection_line(row, names):
    cells = [f"{row['errors'][name]:.3f}" if name in row["errors"] else "" for name in names]
    return f"| {row['case']} | {' | '.join(cells)} |"


BENCHMARKS = (Reference(FOLDER),)
TABLES = {"smart_reference": lambda: table(load("smart_reference"))}
