"""``python -m skt fit``: one method on all rows of a table, kept with the recipe of its columns."""

import warnings

import numpy as np

from skt.choice.fitted import fitted_method
from skt.cli.errors import InputError, listed, short
from skt.cli.model_file import Kept

__all__ = ["fit_table", "largest_coverage", "sentence"]


def fit_table(table, target, target_columns, domain_column, options, **choices):
    """Fit a method on a table for one target.

    Parameters
    ----------
    table : Table
        What `skt.cli.table.read_table` returned.
    target : str
        Group to predict for.
    target_columns, domain_column, options
        As `read_table` got them; new files are read by them.
    **choices
        ``method``, ``estimator``, ``task`` and ``intervals`` of `fitted_method`.

    Returns
    -------
    kept : Kept
        The model, ready to be saved.
    notes : list of str
        What the fit warned of.
    """
    _check_target(target, table.domains, domain_column)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, kind = fitted_method(table.X, table.y, table.domains, target, **choices)
    about = {
        "target": target,
        "target_columns": list(target_columns),
        "domain_column": domain_column,
        "kind": kind.name,
        "method": choices["method"],
        "file_columns": table.file_columns,
        "na_values": list(options.na_values),
        "thousands": options.thousands,
        "n_rows": len(table.X),
        "n_target_rows": int(np.sum(table.domains == target)),
        "n_groups": len(np.unique(table.domains)),
    }
    texts = dict.fromkeys(" ".join(str(w.message).split()) for w in caught)
    return Kept(model, table.recipe, about), [f"Note: {text}" for text in texts]


def _check_target(target, domains, domain_column):
    labels = np.unique(domains)
    if target is None or target not in labels:
        what = "must say which group is predicted for" if target is None else f"{target!r} is none"
        raise InputError(f"--target {what}; {domain_column} has {listed(labels)}.")


def largest_coverage(kept):
    """Return the largest coverage of its intervals, zero where it has none."""
    return getattr(kept.model[-1], "largest_coverage_", 0.0)


def sentence(kept):
    """One sentence on what was fitted."""
    about = kept.about
    others = about["n_rows"] - about["n_target_rows"]
    sources = f" and {others} rows of {about['n_groups'] - 1} other groups" if others else ""
    own = f"{about['n_target_rows']} rows of {short(about['target'])}"
    most = largest_coverage(kept)
    promise = (
        f" Its intervals can promise up to {np.floor(1000 * most) / 10:g} %, for want of more rows "
        "to leave out."
        if most
        else ""
    )
    return f"Fitted {about['method']} on {own}{sources}.{promise}"
