"""What do sources cost that all have the same flaw?

    python -m benchmarks flawed_sources

Real data whose sources are spoilt alike: outcomes shuffled within each source (useless), features
with measurement error of twice their standard deviation (slopes too flat), outcomes with the
sign turned (hostile), or as they are. Losses on held-out target rows relative to ridge on the
target's rows alone.
"""

from dataclasses import dataclass, replace

import numpy as np

from benchmarks import data, hold_out, simulation
from benchmarks.harness import command, load
from skt import L2SPRidge, UOWQRegressor


def as_they_are(X, y, rng):
    return X, y


def shuffled(X, y, rng):
    return X, rng.permutation(y)


def badly_measured(X, y, rng):
    return X + 2 * np.std(X, axis=0) * rng.normal(size=X.shape), y


def sign_turned(X, y, rng):
    return X, -y


FLAWS = {
    "as they are": as_they_are,
    "shuffled": shuffled,
    "badly measured": badly_measured,
    "sign turned": sign_turned,
}


@dataclass(frozen=True)
class Spoilt:
    """A sample of a table, every source spoilt in the same way."""

    table: str
    n_train: int
    flaw: str

    def __call__(self, rng):
        """Draw target rows, then spoil the sources one by one."""
        split = replace(getattr(data, self.table)(), n_train=self.n_train).draw(rng)
        X, y = split.X.copy(), split.y.copy()
        for name in np.unique(split.sample_domain[split.rows("sources")]):
            rows = np.flatnonzero(split.sample_domain == name)
            X[rows], y[rows] = FLAWS[self.flaw](X[rows], y[rows], rng)
        return split._replace(X=X, y=y)


DEFAULT = "UOWQ (default)"
SIZES = (("diabetes", 30), ("exam", 20), ("exam", 40), ("ames", 25))
REPORT = simulation.Report(hold_out.BASELINE, column=str, metric="loss")

BENCHMARKS = (
    hold_out.hold_out_study(
        "flawed_sources",
        "What do sources cost that all have the same flaw?",
        {f"{flaw}|{table} {n}": Spoilt(table, n, flaw) for flaw in FLAWS for table, n in SIZES},
        {
            hold_out.BASELINE: hold_out.RIVALS[hold_out.BASELINE],
            "pooled ridge": hold_out.RIVALS["pooled ridge"],
            "UOWQ, no guard": UOWQRegressor(guard=None),
            DEFAULT: UOWQRegressor(),
            "L2-SP": L2SPRidge(),
        },
        REPORT,
        repeats=20,
        metrics={"loss": hold_out.relative_loss},
    ),
)


def table():
    """Return the default's losses by flaw and table."""
    cells = next(r for r in load("flawed_sources")["rows"] if r["method"] == DEFAULT)["columns"]
    lines = [f"| sources | {' | '.join(f'{t} {n}' for t, n in SIZES)} |", "|---" * 5 + "|"]
    for flaw in FLAWS:
        row = " | ".join(f"{cells[f'{flaw}|{t} {n}']:.3f}" for t, n in SIZES)
        lines.append(f"| {flaw} | {row} |")
    return "\n".join(lines)


TABLES = {"flaws": lambda: REPORT.show(load("flawed_sources")), "flaws by table": table}

if __name__ == "__main__":
    command(BENCHMARKS)
