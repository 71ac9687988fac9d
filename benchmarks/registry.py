"""All benchmarks: a module that joins has BENCHMARKS, and TABLES for the documents."""

from benchmarks import (
    cost,
    cost_of_studies,
    coverage,
    evidence,
    flawed_sources,
    fresh,
    h_ensemble,
    how_many_rows,
    l2sp,
    l2sp_classes,
    l2sp_random_settings,
    misjudged_sources,
    near_interpolation,
    parameter_transfer,
    rank_sources,
    real_data,
    smart,
    smart_paper,
    smart_reference,
    tables,
    transferability_cost,
    uowq_risk,
    which_rows,
)

MODULES = (
    uowq_risk,
    real_data,
    tables,
    fresh,
    flawed_sources,
    near_interpolation,
    coverage,
    how_many_rows,
    which_rows,
    misjudged_sources,
    cost,
    cost_of_studies,
    l2sp,
    l2sp_random_settings,
    l2sp_classes,
    smart,
    smart_reference,
    smart_paper,
    parameter_transfer,
    h_ensemble,
    rank_sources,
    transferability_cost,
    evidence,
)


def benchmarks():
    """Return every benchmark, in the order of the modules."""
    return [benchmark for module in MODULES for benchmark in module.BENCHMARKS]


def document_tables():
    """Return functions without arguments that make the tables of the documents, by marker."""
    return {marker: table for module in MODULES for marker, table in module.TABLES.items()}
