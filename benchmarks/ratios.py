"""Losses of methods relative to the target alone: cells, means, errors and worst cells.

A cell is a place (a table or a design), a size n and a target within the place. The ratio of a
cell is the mean loss of a method over seeds by the mean loss of the target alone. A place has
the mean of its cells, a size the mean of its places. Standard errors of a place are over its
single ratios (target and seed), to first order; that of a mean of places combines theirs: it
says how sure the figure is for these places, not for others.
"""

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

CHOOSE, REPORT = "choose", "report"
FIRST_SEED = {CHOOSE: 0, REPORT: 1000}
HARM, LOSS = 1.05, 1.25  # of a cell, of a single draw


def seeds(part, repeats):
    """Return the seeds to choose by, or the others, to report."""
    return range(FIRST_SEED[part], FIRST_SEED[part] + repeats)


class Loss(NamedTuple):
    """One method on one sample; ``loss`` is NaN where the method does not apply or failed."""

    place: str
    n: int
    target: str
    seed: int
    method: str
    loss: float
    seconds: float
    error: str = ""


class Cell(NamedTuple):
    """One method on one place, size and target."""

    place: str
    n: int
    target: str
    ratio: float
    variance: float  # of the ratio, over seeds; NaN with one seed
    singles: np.ndarray  # ratios of single seeds

    @property
    def n_seeds(self):
        """Number of seeds with a loss."""
        return len(self.singles)

    @property
    def error(self):
        """Standard error of the ratio."""
        return float(np.sqrt(self.variance / self.n_seeds))


@dataclass(frozen=True)
class Figures:
    """Losses by place, size, target, seed and method, relative to ``baseline``.

    ``column`` says in which column of the tables a place is shown; each has its own if None.
    """

    losses: list
    baseline: str
    column: Callable | None = None

    @property
    def methods(self):
        return list(dict.fromkeys(each.method for each in self.losses))

    @property
    def sizes(self):
        return sorted({each.n for each in self.losses})

    def cells(self, method, n):
        """Return the cells of one method and size, in the order in which they were measured."""
        own, base = self._by_cell(method, n), self._by_cell(self.baseline, n)
        cells = []
        for (place, target), found in own.items():
            pairs = np.array([(loss, base[place, target][seed]) for seed, loss in found.items()])
            pairs = pairs[np.isfinite(pairs).all(axis=1)]
            if len(pairs):
                cells.append(Cell(place, n, target, *_ratio(pairs)))
        return cells

    def _by_cell(self, method, n):
        cells = {}
        for each in self.losses:
            if (each.method, each.n) == (method, n):
                cells.setdefault((each.place, each.target), {})[each.seed] = each.loss
        return cells

    def row(self, method, n):
        """Return what a table says of one method and size; None where it has no cell."""
        cells = self.cells(method, n)
        if not cells:
            return None
        places = {cell.place: _mean([c for c in cells if c.place == cell.place]) for cell in cells}
        means, errors = np.array(list(places.values())).T
        ratios = np.array([cell.ratio for cell in cells])
        own = [e for e in self.losses if (e.method, e.n) == (method, n)]
        singles = np.concatenate([cell.singles for cell in cells])
        return {
            "mean": float(means.mean()),
            "error": float(np.sqrt(_known_mean(errors**2) / len(errors))),
            "typical": float(np.exp(np.mean(np.log(np.maximum(ratios, 1e-12))))),
            "harm": float(np.mean(ratios > HARM)),
            "lost": float(np.mean(singles > LOSS)),
            "worst_draw": float(singles.max()),
            "worst": max(cells, key=lambda cell: cell.ratio),
            "places": places,
            "seconds": _known_mean(np.array([each.seconds for each in own])),
            "failed": sorted({each.error for each in own if each.error}),
            "n_failed": sum(bool(each.error) for each in own),
        }

    def summary(self):
        """Return what tables show, as what JSON can hold."""
        return {"baseline": self.baseline, "sizes": [self._of_size(n) for n in self.sizes]}

    def _of_size(self, n):
        rows = {method: self.row(method, n) for method in self.methods}
        rows = {method: row for method, row in rows.items() if row}
        common = set.intersection(*(set(row["places"]) for row in rows.values()))
        kept = [self._kept(method, row, common) for method, row in rows.items()]
        return {"n": n, "n_common": len(common), "rows": kept}

    def _kept(self, method, row, common):
        columns = {}
        for place, (ratio, _) in row["places"].items():
            columns.setdefault(self.column(place) if self.column else place, []).append(ratio)
        worst = row["worst"]
        where = ", ".join(filter(None, [worst.place.replace("|", " "), worst.target]))
        kept = ("mean", "error", "typical", "harm", "lost", "worst_draw")
        kept += ("seconds", "failed", "n_failed")
        return {
            "method": method,
            **{key: row[key] for key in kept},
            "worst": worst.ratio,
            "worst_error": worst.error,
            "where": where,
            "n_places": len(row["places"]),
            "common": float(np.mean([row["places"][p][0] for p in common])) if common else None,
            "columns": {column: float(np.mean(each)) for column, each in columns.items()},
        }

    def tables(self):
        """Return a table for each size, places as columns."""
        return show(self.summary())

    def json(self):
        """Return everything as one text, to be kept."""
        return json.dumps([each._asdict() for each in self.losses])


# Tables -------------------------------------------------------------------------------------


def show(summary):
    """Return a table for each size, places as columns."""
    return "\n\n".join(_table(**size) for size in summary["sizes"])


def _table(n, n_common, rows):
    columns = list(dict.fromkeys(column for row in rows for column in row["columns"]))
    n_places = max(row["n_places"] for row in rows)
    head = ["method", "mean", "typical", "harm", *columns, "worst cell"]
    head += [f"draws above {LOSS}", "worst draw", "CPU s"]
    title = [f"### n = {n}", ""] if n else []
    lines = [*title, _line(head), "|---" * len(head) + "|"]
    lines += [_line(_texts(row, columns)) for row in rows]
    fewer = [f"{row['method']} ({row['n_places']})" for row in rows if row["n_places"] < n_places]
    if fewer:
        lines += ["", f"Means over fewer than {n_places} places: {', '.join(fewer)}."]
    if fewer and n_common:
        means = ", ".join(f"{row['method']} {row['common']:.3f}" for row in rows)
        lines += [f"Means over the {n_common} places that all methods have: {means}."]
    lines += [
        f"\n{row['method']}: {row['n_failed']} failures, such as {row['failed'][0]}"
        for row in rows
        if row["failed"]
    ]
    return "\n".join(lines)


def _texts(row, columns):
    return [
        row["method"],
        _with_error(row["mean"], row["error"], 3),
        f"{row['typical']:.2f}",
        f"{row['harm']:.2f}",
        *(f"{row['columns'][c]:.2f}" if c in row["columns"] else "–" for c in columns),
        f"{_with_error(row['worst'], row['worst_error'], 2)} ({row['where']})",
        f"{row['lost']:.1%}",
        f"{row['worst_draw']:.2g}",
        f"{row['seconds']:.2g}",
    ]


def _with_error(value, error, digits):
    known = f" ± {error:.{digits}f}" if np.isfinite(error) else ""
    return f"{value:.{digits}f}{known}"


def _line(cells):
    return f"| {' | '.join(cells)} |"


@dataclass(frozen=True)
class Recorded:
    """A benchmark of ratios that is written down: seeds to report, methods as they are.

    ``study(run)`` returns :class:`Figures`.
    """

    name: str
    question: str
    study: Callable
    repeats: int
    peers: tuple = ()

    def measure(self, run):
        """Return what is worth keeping."""
        return self.study(run).summary()

    def show(self, result):
        """Return the tables."""
        return show(result)


# Arithmetic ---------------------------------------------------------------------------------


def _ratio(pairs):
    """Return the ratio of mean losses, the variance of a single ratio about it, and those."""
    own, base = pairs.mean(axis=0)
    ratio = own / base
    rest = (pairs[:, 0] - ratio * pairs[:, 1]) / base
    variance = np.sum(rest**2) / (len(rest) - 1) if len(rest) > 1 else np.nan
    return float(ratio), float(variance), pairs[:, 0] / pairs[:, 1]


def _mean(cells):
    """Return mean and standard error of the cells of one place.

    The error is over seeds: targets are the place's own, and are the same whenever measured.
    With one seed a cell it is over targets, which is too large.
    """
    ratios = np.array([cell.ratio for cell in cells])
    variance = _known_mean(np.array([cell.variance / cell.n_seeds for cell in cells]))
    if np.isnan(variance) and len(cells) > 1:
        variance = np.var(ratios, ddof=1)
    return float(ratios.mean()), float(np.sqrt(variance / len(cells)))


def _known_mean(values):
    """Return the mean of what is not NaN, NaN if nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


# Running ------------------------------------------------------------------------------------


def measured(tasks: Iterable[Callable[[], list[Loss]]], jobs: int) -> list[Loss]:
    """Run tasks in processes with one BLAS thread each; each returns losses."""
    tasks = list(tasks)
    done: list[Loss] = []
    with threadpool_limits(1):
        found = Parallel(n_jobs=jobs, return_as="generator")(delayed(_one)(t) for t in tasks)
        for k, losses in enumerate(found, start=1):
            done += losses
            if k % max(len(tasks) // 10, 1) == 0:
                print(f"{k} of {len(tasks)}", file=sys.stderr, flush=True)
    return done


def _one(task):
    with threadpool_limits(1):
        return task()
