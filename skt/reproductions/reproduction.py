"""A study with the figures that somebody reported, and how the two are held side by side."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from skt.study.run import run_study

__all__ = ["Figure", "Reproduction", "report"]

# Standard errors beyond which a figure disagrees with what was reported.
AGREEMENT = 2.0


class Figure(NamedTuple):
    """One figure: what was reported, and what we get, each with its standard error.

    ``rounding`` is half a unit of the last digit reported.
    """

    what: str
    reported: float
    reported_error: float
    value: float
    error: float
    rounding: float = 0.0005

    @property
    def agrees(self):
        """Whether the two differ by no more than two standard errors and the rounding."""
        error = math.hypot(self.error, self.reported_error)
        return abs(self.value - self.reported) <= AGREEMENT * error + self.rounding


@dataclass(frozen=True)
class Reproduction:
    """A study, and what was reported of it.

    Parameters
    ----------
    source : str
        Paper and version, or notes, and the table or figure.
    designs, methods, metrics : mapping
        As in :func:`skt.study.run_study`.
    n_repeats : int
        So many that it takes minutes on two cores.
    figures : callable
        ``figures(records, n_repeats)`` returns a list of :class:`Figure`.
    remark : str
        What is known to differ, and why.
    plot : callable or None, default=None
        ``plot(records, ax)`` draws the figure on matplotlib axes.
    conclusions : callable or None, default=None
        ``conclusions(records)`` returns what is said of all figures at once.
    """

    source: str
    designs: Mapping
    methods: Mapping
    metrics: Mapping
    n_repeats: int
    figures: Callable
    remark: str = ""
    plot: Callable | None = None
    conclusions: Callable | None = None

    def run(self, n_repeats, n_jobs=None, out=None, progress=True):
        """Return the records of the study, with the same seed for everybody."""
        return run_study(
            self.designs,
            self.methods,
            metrics=self.metrics,
            n_repeats=n_repeats,
            random_state=0,
            n_jobs=n_jobs,
            out=out,
            progress=progress,
        )


def report(reproduction, records, n_repeats):
    """Return what was reported and what we get, side by side, with a verdict."""
    figures = reproduction.figures(records, n_repeats)
    failed = sum(bool(record["error"]) for record in records)
    parts = [
        f"Reported: {reproduction.source}. Here: {n_repeats} repeats, {failed} failures.",
        table(figures),
        verdict(figures),
        "" if reproduction.conclusions is None else reproduction.conclusions(records),
        reproduction.remark,
    ]
    return "\n\n".join(filter(None, parts))


def table(figures):
    """Return a table of figures in Markdown, its columns aligned for a terminal."""
    cells = [("figure", "reported", "s.e.", "here", "s.e.", "agrees")]
    cells += [(f.what, *map("{:.3f}".format, f[1:5]), "yes" if f.agrees else "NO") for f in figures]
    width = max(len(line[0]) for line in cells)
    lines = [f"| {line[0]:{width}} | {' | '.join(f'{c:>8}' for c in line[1:])} |" for line in cells]
    rule = f"|{'-' * (width + 2)}|{('-' * 9 + ':|') * 5}"
    return "\n".join([lines[0], rule, *lines[1:]])


def verdict(figures):
    """Return one sentence on how many figures agree."""
    n_agree = sum(figure.agrees for figure in figures)
    return (
        f"{n_agree} of {len(figures)} figures agree within {AGREEMENT:g} standard errors of their "
        "difference (of figures that are the same, one in twenty does not)."
    )
