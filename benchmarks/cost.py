"""What fits cost, as ratios measured side by side in one run.

    python -m benchmarks cost cost_tables [--repeats 7]

``cost``: a fit of UOWQRegressor from rows and moments, an allocation, an import. ``cost_tables``:
linear methods on a raw table of hundreds of columns and dozens of groups, on hundreds of
sources, on a thousand columns, and how their time grows with rows, columns and sources.

How things are timed: :mod:`benchmarks.timing`. One BLAS thread everywhere: with more, a
neighbour on the machine costs one side ten times what it costs the other.
"""

import time
import warnings
from statistics import median

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, Ridge

from benchmarks import rivals, tables
from benchmarks.harness import Costs, command, load
from benchmarks.timing import fresh_process, in_turns, limited_seconds, seconds
from skt import (
    L2SPRidge,
    Moments,
    OTQMSSampler,
    SMARTRegressor,
    SourceSampled,
    SourceWeighted,
    UOWQRegressor,
    as_sample_domain,
    compare,
)
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
    from benchmarks import oracles

    rng = np.random.default_rng(0)
    problems = [programme(20, rng) for _ in range(n_problems)]
    exact, general = in_turns(
        lambda: [allocation.optimal_shares(*each) for each in problems],
        lambda: [oracles.optimal_shares(*each) for each in problems],
        repeats=repeats,
    )
    gaps = [
        np.abs(allocation.optimal_shares(*each) - oracles.optimal_shares(*each)).max()
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

# Tables as they are -------------------------------------------------------------------------

LINEAR = {
    "UOWQRegressor": UOWQRegressor(),
    "L2SPRidge": L2SPRidge(),
    "SourceWeighted": SourceWeighted(rivals.ridge()),
    "SourceSampled": SourceSampled(rivals.ridge(), OTQMSSampler(random_state=0)),
}
MOST_RIDGES, MOST_SECONDS, MOST_WIDE_SECONDS = 4.0, 1.0, 60.0
MOST_CLASS_SECONDS, MOST_COMPARE_SECONDS = 5.0, 180.0
LIMIT, WIDE_LIMIT, WALL_LIMIT = 20.0, 90.0, 540.0  # seconds after which a fit is stopped: inf
AMES_TARGET, AMES_ROWS = "College_Creek", 30


def ames():
    """Return one hold-out of the raw Ames table: all columns, all other neighbourhoods."""
    found = tables.hold_out(tables.load("ames"), AMES_ROWS, seed=0)
    return next(data for data in found if data.target == AMES_TARGET)


def fit_of(estimator, X, y, domain):
    return lambda: clone(estimator).fit(X, y, sample_domain=domain)


def cost_on_ames(repeats):
    """Hold each linear method against RidgeCV, with 15 penalties, on the same rows."""
    X, y, domain = ames()[1:4]
    yardstick = median(seconds(clone(rivals.ridge()).fit, X, y) for _ in range(repeats))
    spent = {name: limited_seconds(fit_of(m, X, y, domain), LIMIT) for name, m in LINEAR.items()}
    return {
        "raw Ames: rows, columns, sources": f"{len(X)}, {X.shape[1]}, {len(np.unique(domain)) - 1}",
        "raw Ames: seconds of RidgeCV": yardstick,
        **{f"raw Ames: {name} / RidgeCV": value / yardstick for name, value in spent.items()},
    }


def related_rows(K, m, p, n=50, seed=0):
    """Return n rows of a target and m of each of K sources that differ from it a little."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n + K * m, p))
    coefs = rng.normal(size=p) + 0.2 * rng.normal(size=(K + 1, p)) * (np.arange(K + 1) > 0)[:, None]
    of = np.repeat(np.arange(K + 1), [n, *[m] * K])
    y = np.sum(X * coefs[of], axis=1) / np.sqrt(p) + rng.normal(size=len(X))
    labels = np.array(["target", *(f"source {k}" for k in range(1, K + 1))])
    return X, y, labels[of]


# Of hundreds of sources it is the methods that are timed, not the model that they train.
OF_MANY_SOURCES = LINEAR | {
    "L2SPRidge(method='loo')": L2SPRidge(method="loo"),
    "SMARTRegressor": SMARTRegressor(),
    "SourceWeighted": SourceWeighted(Ridge()),
    "SourceSampled": SourceSampled(Ridge(), OTQMSSampler(random_state=0)),
    "OTQMSSampler": OTQMSSampler(random_state=0),
    "OTQMSSampler(discrepancy='plugin')": OTQMSSampler(discrepancy="plugin", random_state=0),
}


def cost_of_many_sources(repeats):
    X, y, domain = related_rows(K=500, m=20, p=10)
    yardstick = median(seconds(clone(rivals.ridge()).fit, X, y) for _ in range(repeats))
    spent = {
        name: limited_seconds(fit_of(method, X, y, domain), LIMIT)
        for name, method in OF_MANY_SOURCES.items()
    }
    return {
        "500 sources, 10 columns: seconds of RidgeCV": yardstick,
        **{f"500 sources, 10 columns: {name}, seconds": value for name, value in spent.items()},
        **{
            f"500 sources, 10 columns: {name} / RidgeCV": value / yardstick
            for name, value in spent.items()
        },
    }


def cost_of_many_columns(repeats):
    X, y, domain = related_rows(K=20, m=500, p=1000)
    yardstick = seconds(clone(rivals.ridge()).fit, X, y)
    spent = {
        name: limited_seconds(fit_of(LINEAR[name], X, y, domain), WIDE_LIMIT)
        for name in ("UOWQRegressor", "L2SPRidge")
    }
    here = "1,000 columns, 10,000 rows, 20 sources"
    return {
        f"{here}: seconds of RidgeCV": yardstick,
        **{f"{here}: {name}, seconds": value for name, value in spent.items()},
        **{f"{here}: {name} / RidgeCV": value / yardstick for name, value in spent.items()},
    }


def cost_of_classes(repeats):
    """Time five splits of a comparison: 300 rows, three columns, two classes, four domains."""
    X, y, domain = related_rows(K=3, m=75, p=3, n=75)

    def five_splits():
        compare(X, (y > 0).astype(str), domain, n_repeats=5, n_jobs=1, progress=False)

    return {"classes, 300 x 3: seconds of five splits": limited_seconds(five_splits, WIDE_LIMIT)}


def cost_of_comparison(repeats):
    """Time a whole comparison on raw Ames, by the clock on the wall, on two cores."""
    table = tables.load("ames")
    domain = as_sample_domain(table.groups, target=AMES_TARGET)

    def whole():
        compare(table.X, table.y, domain, n_repeats=50, n_jobs=2, progress=False)

    spent = limited_seconds(whole, WALL_LIMIT, clock=time.perf_counter)
    return {"compare, raw Ames, 50 repeats, two cores: seconds": spent}


BASE = {"K": 10, "m": 200, "p": 40}
GROWTH = {"m": (200, 400, 800, 1600), "p": (40, 80, 160), "K": (10, 20, 40, 80)}
LETTERS = {"m": "rows of a source", "p": "columns", "K": "sources"}


def slopes(repeats):
    """Return exponents: of time in rows, columns and sources, each grown alone."""
    return {
        f"{name}: exponent of time in {LETTERS[key]}": _slope(method, key, values, repeats)
        for name, method in LINEAR.items()
        if name in ("UOWQRegressor", "L2SPRidge")
        for key, values in GROWTH.items()
    }


def _slope(method, key, values, repeats):
    fits = [fit_of(method, *related_rows(**BASE | {key: value})) for value in values]
    with warnings.catch_warnings(action="ignore"):
        spent = in_turns(*fits, repeats=min(repeats, 3))
    return float(np.polyfit(np.log(values), np.log(spent), 1)[0])


TABLES_COST = Costs(
    name="cost_tables",
    question="What do fits cost on raw tables, hundreds of sources, a thousand columns?",
    measurements={
        "ames": cost_on_ames,
        "sources": cost_of_many_sources,
        "columns": cost_of_many_columns,
        "classes": cost_of_classes,
        "compare": cost_of_comparison,
        "slopes": slopes,
    },
    bars={
        **{f"raw Ames: {name} / RidgeCV": MOST_RIDGES for name in ("UOWQRegressor", "L2SPRidge")},
        **{f"500 sources, 10 columns: {name}, seconds": MOST_SECONDS for name in OF_MANY_SOURCES},
        **{
            f"1,000 columns, 10,000 rows, 20 sources: {name}, seconds": MOST_WIDE_SECONDS
            for name in ("UOWQRegressor", "L2SPRidge")
        },
        "classes, 300 x 3: seconds of five splits": MOST_CLASS_SECONDS,
        "compare, raw Ames, 50 repeats, two cores: seconds": MOST_COMPARE_SECONDS,
    },
    repeats=5,
)

BENCHMARKS = (COST, TABLES_COST)
TABLES = {
    "cost": lambda: COST.table(load("cost")),
    "cost of tables": lambda: TABLES_COST.table(load("cost_tables")),
}

if __name__ == "__main__":
    command(BENCHMARKS)
