"""``python -m skt predict``: new rows of the target by a model that `fit` has kept."""

from dataclasses import replace

import numpy as np

from skt.choice.losses import CLASSIFICATION
from skt.cli.errors import InputError, listed, short
from skt.cli.file import read_file
from skt.cli.groups import group_labels
from skt.cli.recipe import applied

__all__ = ["predict_file", "write_predictions"]


def predict_file(kept, path, options, interval=None):
    """Predict the rows of a file.

    Parameters
    ----------
    kept : Kept
        The model.
    path : pathlib.Path
        Rows to predict, with the columns that the model was fitted on.
    options : Options
        How to read the file; what is not said is as it was in fitting.
    interval : float, default=None
        Coverage of intervals, None for none.

    Returns
    -------
    table : pandas.DataFrame
        Columns of the file that are no features, as they came, and the predictions.
    notes : list of str
        What was guessed, ignored and taken as missing.
    """
    about = kept.about
    options = replace(
        options,
        na_values=(*about["na_values"], *options.na_values),
        thousands=options.thousands or about["thousands"],
    )
    frame, guesses, _ = read_file(path, options)
    if not len(frame):
        raise InputError(f"{path} holds no rows to predict.")
    X, notes = applied(kept.recipe, frame, options, file=str(path))
    guessed = [f"Note: guessed {', '.join(guesses)}."] if guesses else []
    made = _predictions(kept, X, interval)
    others, more = _others(kept, frame, made)
    strange = _note_new(kept, frame) + _note_groups(kept, frame, options)
    return others.assign(**made), [*guessed, *strange, *notes, *more]


def write_predictions(table, path):
    """Write predictions as CSV."""
    try:
        table.to_csv(path, index=False)
    except OSError as error:
        raise InputError(f"--out {path}: cannot write there ({error}).") from error


# Columns that are no features -----------------------------------------------------------------


def _others(kept, frame, made):
    """Return what identifies a row, or the number of the row where nothing does."""
    used = {column.name for column in kept.recipe}
    others = frame[[name for name in frame if name not in used]].reset_index(drop=True)
    taken = [name for name in others if name in made]
    others = others.drop(columns=taken)
    if not others.shape[1]:
        others = others.assign(row=np.arange(1, len(frame) + 1))
    notes = [
        f"Note: {listed(taken)} of the file gave way to the predictions of that name."
    ] if taken else []  # fmt: skip
    return others, notes


def _note_new(kept, frame):
    new = [name for name in frame if name and name not in kept.about["file_columns"]]
    if not new:
        return []
    return [f"Note: not used, since the model was fitted without them: {listed(new)}."]


def _note_groups(kept, frame, options):
    name, target = kept.about["domain_column"], kept.about["target"]
    if name not in frame:
        return []
    labels, _ = group_labels(frame[name], options.na_values)
    others = np.unique(labels[(labels != target) & (labels != "")])
    if not len(others):
        return []
    rows = int(np.isin(labels, others).sum())
    return [
        f"Note: {rows} rows are of {listed(others)}, by their {name}; the model is of "
        f"{short(target)}, and they are predicted as if they were its rows."
    ]


# Predictions ----------------------------------------------------------------------------------


def _predictions(kept, X, interval):
    """Return columns of the output, by name."""
    if kept.about["kind"] == CLASSIFICATION.name:
        if interval is not None:
            raise InputError(
                "--interval is for numbers; of classes the probabilities say how sure it is."
            )
        return _classes(kept.model, X)
    predicted = np.asarray(kept.model.predict(X), dtype=float).reshape(len(X), -1)
    names = kept.about["target_columns"]
    ends = [""] if len(names) == 1 else [f"_{name}" for name in names]
    made = {f"prediction{end}": predicted[:, k] for k, end in enumerate(ends)}
    if interval is None:
        return made
    intervals = _intervals(kept, X, interval).reshape(len(X), -1, 2)
    for k, end in enumerate(ends):
        made[f"lower{end}"], made[f"upper{end}"] = intervals[:, k].T
    return made


def _classes(model, X):
    probability = model.predict_proba(X)
    classes = model[-1].classes_
    named = {f"probability_{c}": probability[:, k] for k, c in enumerate(classes)}
    return {"prediction": classes[np.argmax(probability, axis=1)]} | named


def _intervals(kept, X, coverage):
    method = kept.model[-1]
    if not hasattr(method, "predict_interval"):
        raise InputError(
            "the model was fitted without intervals (one row of the target, or --no-intervals); "
            "fit it again to have them."
        )
    try:
        return method.predict_interval(kept.model[:-1].transform(X), coverage)
    except ValueError as error:
        text = str(error)
        if not text.startswith("coverage="):
            raise
        raise InputError(f"--interval {text.removeprefix('coverage=')}") from error
