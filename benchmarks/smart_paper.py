"""The experiments of SMART's paper, next to what was reported of them.

    python -m benchmarks smart_paper [--repeats 20]

The experiments are those of ``python -m skt reproduce smart-...``, which also draws their figures.
"""

from dataclasses import dataclass

from benchmarks.harness import load
from skt import reproductions
from skt.reproductions.reproduction import AGREEMENT
from skt.study import summarize


@dataclass(frozen=True)
class Experiments:
    """Reproductions, run in turn and kept in one file.

    Parameters
    ----------
    names : tuple of str
        Of reproductions, as in ``skt.reproductions.REGISTRY``.
    name, question : str
        As of every benchmark.
    repeats : int
        Unless the command line says otherwise.
    """

    names: tuple
    name: str
    question: str
    repeats: int = 20
    peers: tuple = ()

    def measure(self, run):
        """Run every experiment; return its figures and all means."""
        chosen = run.chosen({name: reproductions.load(name) for name in self.names})
        return {"experiments": {name: _measured(name, each, run) for name, each in chosen.items()}}

    def show(self, result):
        """Return the table of figures."""
        return table(result)


def _measured(name, reproduction, run):
    out = run.records and run.records / f"{name}.jsonl"
    records = reproduction.run(run.repeats, n_jobs=run.jobs, out=out, progress=False)
    keys = ("design", "method", "mean", "standard_error")
    return {
        "figures": [
            figure._asdict() | {"agrees": figure.agrees}
            for figure in reproduction.figures(records, run.repeats)
        ],
        "means": [{key: row[key] for key in keys} for row in summarize(records)],
        "failures": sum(bool(record["error"]) for record in records),
    }


def table(result):
    """Return one line for each figure that was reported, and how many agree."""
    experiments = result["experiments"]
    figures = [(name, f) for name, each in experiments.items() for f in each["figures"]]
    agree = sum(figure["agrees"] for _, figure in figures)
    failures = sum(each["failures"] for each in experiments.values())
    lines = [
        f"RMSE x 100, {result['setting']['repeats']} repeats, {failures} failures: {agree} of "
        f"{len(figures)} figures agree within {AGREEMENT:g} standard errors of their "
        "difference.",
        "",
        "| `python -m skt reproduce` | figure | reported | here | agrees |",
        "|---|---|---|---|---|",
    ]
    lines += [_line(name, figure) for name, figure in figures]
    return "\n".join(lines)


def _line(name, figure):
    here = f"{figure['value']:.3f} ± {figure['error']:.3f}"
    agrees = "yes" if figure["agrees"] else "**no**"
    return f"| {name} | {figure['what']} | {figure['reported']:.3f} | {here} | {agrees} |"


PAPER = Experiments(
    tuple(name for name in reproductions.REGISTRY if name.startswith("smart-")),
    name="smart_paper",
    question="Do the experiments of SMART's paper come out as reported?",
)
BENCHMARKS = (PAPER,)
TABLES = {"smart_paper": lambda: table(load("smart_paper"))}
