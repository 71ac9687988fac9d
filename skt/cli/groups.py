"""The column of groups: labels as they are spelt in the file, with what looks wrong said."""

import re

import numpy as np

from skt.cli.errors import listed

__all__ = ["group_labels", "label_notes", "lost_groups"]

WHOLE = re.compile(r"-?\d+\.0+")
# Labels that may be meant as missing, and may as well be Namibia.
PERHAPS_MISSING = ("NA", "N/A", "nan", "NaN", "null", "None")


def group_labels(column, na_values):
    """Label of each row as text, "" where there is none; and notes on blanks around labels.

    Only empty cells are missing, and those that the user says: "NA" is a label. Numbers that were
    written as decimals because some are missing are whole again.
    """
    texts = column.astype(object).where(column.notna(), "").map(_text)
    labels = texts.str.strip()
    blanks = sorted(set(labels[labels != texts]))
    labels = labels.where(~labels.isin([value.strip() for value in na_values]), "")
    there = labels[labels != ""]
    if len(there) and all(WHOLE.fullmatch(label) for label in there.unique()):
        labels = labels.str.replace(r"\.0+$", "", regex=True)
    return labels.to_numpy(dtype=str), _blank_note(column.name, blanks)


def _text(value):
    whole = isinstance(value, float | np.floating) and value == int(value)
    return str(int(value)) if whole else str(value)


def _blank_note(name, blanks):
    if not blanks:
        return []
    return [
        f"Note: blanks around labels of {name} were left out: {listed(map(repr, blanks))}; each "
        "is one group with its like."
    ]


def label_notes(labels, name):
    """Notes on labels that are perhaps the same group, or perhaps none."""
    notes = []
    different = np.unique(labels).tolist()
    alike = {}
    for label in different:
        alike.setdefault(re.sub(r"[\s_-]+", " ", label).casefold(), []).append(label)
    same = [group for group in alike.values() if len(group) > 1]
    if same:
        pairs = [" and ".join(map(repr, group)) for group in same]
        notes.append(
            f"Note: these labels of {name} differ in case, blanks or dashes only and are taken as "
            f"different groups: {listed(pairs)}. If they are one, spell them alike in the file."
        )
    doubtful = [label for label in different if label in PERHAPS_MISSING]
    if doubtful:
        rows = int(np.isin(labels, doubtful).sum())
        notes.append(
            f"Note: {listed(map(repr, doubtful))} is a group of {rows} rows, since the file says "
            f"so; --na-values {doubtful[0]} makes it a missing label."
        )
    return notes


def lost_groups(before, after):
    """Labels that have no row any more."""
    return sorted(set(before.tolist()) - set(after.tolist()) - {""})
