"""Monte-Carlo studies: designs x methods x repeats, records that survive, summaries, tables."""

from .run import load_records, rerun, run_study
from .summaries import mean_and_error as mean_and_error
from .summaries import summarize, summarize_designs
from .tables import to_latex, to_markdown

__all__ = [
    "load_records",
    "rerun",
    "run_study",
    "summarize",
    "summarize_designs",
    "to_latex",
    "to_markdown",
]
