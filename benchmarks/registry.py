"""All benchmarks. A module joins with one line; it has BENCHMARKS, and TABLES for the documents."""

from importlib import import_module

MODULES = (
    "uowq_risk",
    "real_data",
    "uowq_flaws",
    "uowq_few",
    "otqms",
    "otqms_selection",
    "otqms_harm",
    "cost",
    "study_cost",
    "l2sp",
    "l2sp_fresh",
    "l2sp_classes",
    "smart",
    "smart_reference",
    "smart_paper",
    "evidence",
)


def _collected(name):
    return [getattr(import_module(f"benchmarks.{module}"), name) for module in MODULES]


def benchmarks():
    """Return every benchmark, in the order of the modules."""
    return [benchmark for each in _collected("BENCHMARKS") for benchmark in each]


def tables():
    """Return functions without arguments that make the tables of the documents, by marker."""
    return {marker: table for each in _collected("TABLES") for marker, table in each.items()}
