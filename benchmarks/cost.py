"""What UOWQRegressor costs, as ratios measured side by side in one run.

    python -m benchmarks cost [--repeats 7]

How things are timed: :mod:`benchmarks.timing`. One BLAS thread everywhere: with more, a
neighbour on the machine costs one side ten times what it costs the other.
"""

import time
from statistics import median

import numpy as np
from sklearn.linear_model import LinearRegression

from benchmarks.harness import Costs, command, load
from benchmarks.timing import fresh_process, in_turns, seconds
from skt import Moments, UOWQRegressor
from skt.core import allocation

ROWS, FEATURES, SOURCES, TARGET_ROWS = 200_000, 100, 10, 1_000
HEAVY = ("cvxpy", "pandas", "matplotlib")
BARS = {  # from the project's first issue: at most this
    "fit from rows: time / LinearRegression": 1.5,
    "fit from rows: peak memory / LinearRegression": 1.2,
    "fit from moments: time at 1,000,000 rows / at 1,000": 1.5,
    "allocation, K=20: milliseconds": 1.0,
    "allocation, K=20: time / cvxpy": 0.1,
    "allocation, K=20: largest difference from cvxpy": 1e-6,
    "allocation, K=500: seconds": 1.0,
    "import skt: time / import sklearn.linear_model": 1.5,
    "import skt: heavy modules that scikit-learn does not import": 0,
}


# Fit from rows ------------------------------------------------------------------------------


def stacked_rows(rng):
    """Return rows of a small target and ten sources that differ from it a little."""
    X = rng.normal(size=(ROWS, FEATURES))
    domain = np.full(ROWS, "target", dtype="U9")
    y = rng.normal(size=ROWS)
    target = rng.normal(size=FEATURES) / np.sqrt(FEATURES)
    for i, rows in enumerate(np.array_split(np.arange(TARGET_ROWS, ROWS), SOURCES)):
        domain[rows] = f"source {i}"
        y[rows] += X[rows] @ (target + 0.02 * rng.normal(size=FEATURES))
    y[:TARGET_ROWS] += X[:TARGET_ROWS] @ target
    return X, y, domain


def fit_suite(X, y, domain):
    return UOWQRegressor().fit(X, y, sample_domain=domain)


def fit_linear(X, y, domain):
    return LinearRegression().fit(X, y)


def time_of_rows(repeats):
    X, y, domain = stacked_rows(np.random.default_rng(0))
    suite, linear = in_turns(
        lambda: fit_suite(X, y, domain), lambda: fit_linear(X, y, domain), repeats=repeats
    )
    return {
        "fit from rows: time / LinearRegression": suite / linear,
        "fit from rows: seconds": suite,
        "fit from rows: seconds of LinearRegression": linear,
    }


def memory_of_rows(repeats):
    """Compare peaks of the whole process, data included, and what the fit adds to the data."""
    runs = [(peak_memory("fit_suite"), peak_memory("fit_linear")) for _ in range(repeats)]
    (data, suite), (_, linear) = np.median(np.array(runs), axis=0)
    return {
        "fit from rows: peak memory / LinearRegression": suite / linear,
        "fit from rows: MB added by the fit": suite - data,
        "fit from rows: MB added by LinearRegression": linear - data,
        "fit from rows: MB of the process before": data,
    }


def peak_memory(fit):
    """Return peak MB of a fresh process before and after a fit."""
    code = (
        "import numpy as np\n"
        f"from benchmarks.cost import {fit} as fit, stacked_rows\n"
        "from benchmarks.timing import resident_peak\n"
        "rows = stacked_rows(np.random.default_rng(0))\n"
        "before = resident_peak()\n"
        "fit(*rows)\n"
        "print(before, resident_peak())"
    )
    return [float(word) for word in fresh_process("-c", code).stdout.split()]


# Fit from moments ---------------------------------------------------------------------------


def time_of_moments(repeats, p=50):
    """Time the same target with sources that were ever more rows."""
    sizes = [10**k for k in range(3, 7)]
    rng = np.random.default_rng(0)
    beta = rng.normal(size=p)
    X = rng.normal(size=(200, p))
    y = X @ beta + rng.normal(size=200)
    sources = {n: {f"s{i}": moments_of(n, beta, rng) for i in range(SOURCES)} for n in sizes}
    times = {n: [] for n in sizes}
    for _ in range(repeats + 1):
        for n in sizes:
            times[n].append(seconds(UOWQRegressor(sources=sources[n]).fit, X, y))
    medians = {n: median(values[1:]) for n, values in times.items()}
    return {
        "fit from moments: time at 1,000,000 rows / at 1,000": medians[sizes[-1]]
        / medians[sizes[0]],
        "fit from moments: seconds by rows of each source": medians,
    }


def moments_of(n, beta, rng):
    """Return moments of n rows of a source, drawn in batches."""
    beta = beta + 0.05 * rng.normal(size=len(beta))

    def batches():
        for start in range(0, n, 50_000):
            X = rng.normal(size=(min(50_000, n - start), len(beta)))
            yield X, X @ beta + rng.normal(size=len(X))

    return Moments.from_batches(batches())


def throughput(repeats, n=1_000_000, p=50, batch=50_000):
    """Time the moments of many rows against the bare product X'X of the same batches."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, p)), rng.normal(size=n)
    batches = [(X[i : i + batch], y[i : i + batch]) for i in range(0, n, batch)]
    ours, bare = in_turns(
        lambda: Moments.from_batches(batches),
        lambda: sum(Xb.T @ Xb for Xb, _ in batches),
        repeats=repeats,
    )
    return {
        "moments of 1M x 50: time / bare X'X": ours / bare,
        "moments of 1M x 50: seconds": ours,
    }


# Allocation ---------------------------------------------------------------------------------


def programme(K, rng, d=20):
    """Return sizes and discrepancies as they arise: estimated, with a common part."""
    n = np.concatenate(([30.0], rng.integers(50, 1000, K)))
    D = rng.normal(size=(d, 1)) * 0.2 + rng.normal(size=(d, K)) * rng.uniform(0.05, 1, K)
    return n, D.T @ D / d


def cost_of_allocation(repeats, n_problems=20):
    from skt.core import convex

    rng = np.random.default_rng(0)
    problems = [programme(20, rng) for _ in range(n_problems)]
    exact, general = in_turns(
        lambda: [allocation.optimal_shares(*each) for each in problems],
        lambda: [convex.optimal_shares(*each) for each in problems],
        repeats=repeats,
    )
    gaps = [
        np.abs(allocation.optimal_shares(*each) - convex.optimal_shares(*each)).max()
        for each in problems
    ]
    large = programme(500, rng)
    return {
        "allocation, K=20: milliseconds": 1e3 * exact / n_problems,
        "allocation, K=20: milliseconds of cvxpy": 1e3 * general / n_problems,
        "allocation, K=20: time / cvxpy": exact / general,
        "allocation, K=20: largest difference from cvxpy": float(max(gaps)),
        "allocation, K=500: seconds": median(
            seconds(allocation.optimal_shares, *large) for _ in range(repeats)
        ),
        "allocation, K=500: KKT residual": allocation.kkt_residual(
            allocation.optimal_shares(*large), *large
        ),
    }


# Import -------------------------------------------------------------------------------------


def cost_of_import(repeats):
    skt, sklearn, bare = in_turns(
        lambda: fresh_process("-c", "import skt"),
        lambda: fresh_process("-c", "import sklearn.linear_model"),
        lambda: fresh_process("-c", "pass"),
        repeats=repeats,
        clock=time.perf_counter,  # the time of other processes is not this one's
    )
    extra = heavy_modules("skt") - heavy_modules("sklearn.linear_model")
    return {
        "import skt: time / import sklearn.linear_model": (skt - bare) / (sklearn - bare),
        "import skt: seconds": skt - bare,
        "import skt: heavy modules that scikit-learn does not import": len(extra),
        "import skt: slowest of its own": slowest_imports(),
    }


def heavy_modules(module):
    code = f"import sys, {module}; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    return set(fresh_process("-c", code).stdout.split())


def slowest_imports(count=8):
    """Return what `import skt` adds to `import sklearn.linear_model`, in milliseconds."""
    trace = fresh_process("-X", "importtime", "-c", "import sklearn.linear_model, skt").stderr
    lines = [line.removeprefix("import time:").split("|") for line in trace.splitlines()]
    names = [line[-1].strip() for line in lines]
    own = lines[names.index("sklearn.linear_model") + 1 :]
    costs = [(int(total) / 1e3, name.strip()) for _, total, name in own]
    return {name: cost for cost, name in sorted(costs, reverse=True)[:count]}


# Report -------------------------------------------------------------------------------------

MEASUREMENTS = {
    "import": cost_of_import,
    "allocation": cost_of_allocation,
    "moments": time_of_moments,
    "throughput": throughput,
    "rows": time_of_rows,
    "memory": memory_of_rows,
}


COST = Costs(
    name="cost",
    question="What do a fit, an allocation and an import cost?",
    measurements=MEASUREMENTS,
    bars=BARS,
)
BENCHMARKS = (COST,)
TABLES = {"cost": lambda: COST.table(load("cost"))}

if __name__ == "__main__":
    command(BENCHMARKS)
