"""What running a study costs beyond the fits, and how fast its records are read.

    python -m benchmarks study [--repeats 5]

Wall time, since waiting counts: run it on a quiet machine. Cells that sleep measure the runner
alone; cells that compute share the processors with whatever else runs.
"""

import time
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from joblib import Parallel, delayed

from benchmarks.harness import Costs, command, load
from benchmarks.timing import in_turns, seconds
from skt.study import load_records, run_study, summarize

CELL = 0.05
N_RECORDS = 100_000


def draw(rng, n=30):
    return {"X": rng.normal(size=(n, 5)), "y": rng.normal(size=n), "coef": np.zeros(5)}


def first(data):
    return data["X"][0, 0]


def sleep(data):
    time.sleep(CELL)


def compute(data):
    end = time.process_time() + CELL
    while time.process_time() < end:
        np.linalg.svd(data["X"])


def itself(fitted, data):
    return fitted


def run(method, n_cells, n_methods=5, **options):
    return run_study(
        {"normal": draw},
        {f"method {i}": method for i in range(n_methods)},
        metrics={"itself": itself},
        n_repeats=n_cells // n_methods,
        random_state=0,
        progress=False,
        **options,
    )


def overhead(repeats, n_cells=2000):
    """Time cells that do nothing."""
    warm_up()
    figures = {}
    for name, n_jobs in (("one process", 1), ("two workers", 2)):
        for written in (False, True):
            times = [overhead_of_one(n_cells, n_jobs, written) for _ in range(repeats)]
            text = "written to a file" if written else "in memory"
            figures[f"overhead of a cell, {name}, {text}: milliseconds"] = median(times)
    return figures


def overhead_of_one(n_cells, n_jobs, written):
    with TemporaryDirectory() as folder:
        out = Path(folder) / "study.jsonl" if written else None
        start = time.perf_counter()
        records = run(first, n_cells, n_jobs=n_jobs, out=out)
        spent = time.perf_counter() - start
    fits = sum(record["fit_seconds"] for record in records) / n_jobs
    return 1e3 * (spent - fits) / n_cells


def warm_up():
    """Start the workers, and let them import the package."""
    Parallel(n_jobs=2)(delayed(run)(first, 10) for _ in range(4))


def speed_up(repeats, n_cells=60):
    """Time the same cells in one process, in two workers, and in two workers without a study.

    The last is what the machine can give just now, whatever else runs on it.
    """
    warm_up()
    figures = {}
    for name, method in (("sleeps", sleep), ("computes", compute)):
        one, two, bare = in_turns(
            partial(run, method, n_cells, n_jobs=1),
            partial(run, method, n_cells, n_jobs=2),
            partial(run_bare, method, n_cells),
            repeats=repeats,
            clock=time.perf_counter,
        )
        figures[f"a cell {name} for 50 ms: time of two workers / one process"] = two / one
        figures[f"a cell {name} for 50 ms: time of two workers / joblib alone"] = two / bare
    return figures


def run_bare(method, n_cells):
    data = draw(np.random.default_rng(0))
    return Parallel(n_jobs=2)(delayed(method)(data) for _ in range(n_cells))


def reading(repeats):
    """Load and summarise records, one of each cell, which is the slowest to read."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "study.jsonl"
        run_study(
            {f"n={n}": partial(draw, n=n) for n in range(1, 11)},
            {f"method {i}": first for i in range(10)},
            metrics={"itself": itself},
            n_repeats=N_RECORDS // 100,
            random_state=0,
            out=out,
            progress=False,
        )
        times = [
            seconds(lambda: summarize(load_records(out), baseline="method 0"), clock=clock)
            for clock in (time.perf_counter, time.process_time)
            for _ in range(repeats)
        ]
    return {
        "100,000 records loaded and summarised: seconds": median(times[:repeats]),
        "100,000 records loaded and summarised: CPU seconds": median(times[repeats:]),
    }


STUDY = Costs(
    name="study",
    question="What does running a study cost beyond the fits, and reading its records?",
    measurements={"overhead": overhead, "speed-up": speed_up, "reading": reading},
    bars={
        **{
            f"overhead of a cell, {name}, {where}: milliseconds": 2.0
            for name in ("one process", "two workers")
            for where in ("in memory", "written to a file")
        },
        "a cell sleeps for 50 ms: time of two workers / one process": 1 / 1.7,
        "a cell computes for 50 ms: time of two workers / one process": 1 / 1.7,
        # One process that does nothing but compute: its CPU time is its time on a quiet machine.
        "100,000 records loaded and summarised: CPU seconds": 1.0,
    },
    repeats=5,
)
BENCHMARKS = (STUDY,)
TABLES = {"study": lambda: STUDY.table(load("study"))}

if __name__ == "__main__":
    command(BENCHMARKS)
