"""Cells of text as numbers, as people write them.

Two notations are known. In one the decimals follow a dot and commas part thousands, in the other
it is the other way round. ``1,234`` can be read in both; the rest of the column decides, then the
rest of the file. Blanks and apostrophes between digits, signs of money and of per cent are left
out. skrub's ``ToFloat`` is not taken here: it keeps 24 bits, and reads ``0,37`` as 37 where the
comma is said to part thousands.
"""

import re
from typing import NamedTuple

import numpy as np

__all__ = ["DOT", "MISSING", "Numbers", "as_numbers", "decimal_of", "is_missing", "notation_of"]

# Texts that stand for a missing value; those of skrub and pandas, and dashes and dots.
MISSING = frozenset(
    {"", "-", "--", "---", "—", "–", ".", "..", "...", "?", "??", "*", "na", "n/a", "n.a."}
    | {"#n/a", "#na", "#n/a n/a", "<na>", "nan", "-nan", "null", "nil", "none", "missing"}
    | {"(missing)", "unknown", "#value!", "#div/0!", "#ref!", "1.#qnan", "1.#ind", "-1.#ind"}
)
DOT, COMMA = ".", ","
DIGITS = r"[+-]?{first}\d{{0,2}}({mark}\d{{3}})+({point}\d*)?"
EXPONENT = r"([eE][+-]?\d+)?"
# By decimal mark: numbers without and with thousands. A group of thousands never begins with 0.
PATTERNS = {
    mark: re.compile(
        rf"[+-]?(\d+{re.escape(mark)}?\d*|{re.escape(mark)}\d+){EXPONENT}"
        "|" + DIGITS.format(first="[1-9]", mark=re.escape(other), point=re.escape(mark))
    )
    for mark, other in ((DOT, COMMA), (COMMA, DOT))
}
MONEY = r"[$€£¥₹₽₩]|\b(?:USD|EUR|GBP|CHF|JPY|CAD|AUD|SEK|NOK|DKK)\b"
SIGNS = re.compile(MONEY)
# Blanks, thin ones too, and apostrophes that part thousands.
PARTED = re.compile("(?<=\\d)[ \u00a0\u2009\u202f'\u2019](?=\\d{3})")


class Numbers(NamedTuple):
    """A column read as numbers."""

    values: np.ndarray  # nan is missing
    share: float  # of the cells that are there, those that are numbers
    strange: list  # different texts that are neither numbers nor missing
    decimal: str
    signs: str  # "%", "$" and the like that were left out, "" if none


def is_missing(texts, na_values=()):
    """Whether each text stands for a missing value."""
    more = {value.strip() for value in na_values}
    return np.array([text.lower() in MISSING or text in more for text in texts], dtype=bool)


def as_numbers(column, default=DOT, options=None):
    """Read a column of text as numbers.

    Parameters
    ----------
    column : pandas.Series
        Text.
    default : {".", ","}
        Decimal mark of the file, which decides where the column does not.
    options : Options, default=None
        What the user said of decimals, thousands and missing values.

    Returns
    -------
    Numbers
    """
    codes, texts = column.factorize()
    texts = [str(text).strip() for text in texts]
    missing = is_missing(texts, options.na_values if options else ())
    bare, signs = _bare(texts, missing, options)
    decimal = notation_of(bare, default) if options is None or not options.decimal else default
    right = np.array([bool(PATTERNS[decimal].fullmatch(text)) for text in bare], dtype=bool)
    right &= ~missing
    values = np.full(len(texts), np.nan)
    values[right] = [_value(text, decimal) for text, is_right in zip(bare, right) if is_right]  # noqa: B905
    counts = np.bincount(codes, minlength=len(texts))
    there = counts[~missing].sum()
    strange = [text for text, off in zip(texts, ~right & ~missing, strict=True) if off]
    share = counts[right].sum() / there if there else 0.0
    return Numbers(values[codes], float(share), strange, decimal, signs)


def notation_of(bare, default):
    """Return the decimal mark by which more texts are numbers; `default` if both fit alike."""
    fits = {mark: sum(map(bool, map(PATTERNS[mark].fullmatch, bare))) for mark in PATTERNS}
    if fits[DOT] == fits[COMMA]:
        return default
    return max(fits, key=fits.get)


def decimal_of(columns, sep):
    """Return the decimal mark of a file.

    Columns that can be read in one way only decide. Where none does, commas in the numbers of a
    file that is separated by semicolons are decimal commas: that is why it has semicolons.
    """
    votes = {DOT: 0, COMMA: 0}
    commas = 0
    for column in columns:
        bare, _ = _bare([str(text).strip() for text in column.unique()], None, None)
        fits = {mark: sum(map(bool, map(PATTERNS[mark].fullmatch, bare))) for mark in PATTERNS}
        commas += any("," in text for text in bare) and fits[COMMA] > len(bare) / 2
        if max(fits.values()) > len(bare) / 2 and fits[DOT] != fits[COMMA]:
            votes[max(fits, key=fits.get)] += 1
    if votes[COMMA] > votes[DOT]:
        return COMMA
    return COMMA if sep == ";" and commas and not votes[DOT] else DOT


def _bare(texts, missing, options):
    """Texts without signs and blanks, and which signs there were."""
    signs = set()
    missing = np.zeros(len(texts), dtype=bool) if missing is None else missing
    bare = [text if off else _without_signs(text, signs) for text, off in zip(texts, missing)]  # noqa: B905
    if options is not None and options.thousands:
        bare = [text.replace(options.thousands, "") for text in bare]
    return bare, " ".join(sorted(signs))


def _without_signs(text, signs):
    text = text.replace("\u2212", "-")  # the minus of typesetters
    if not any(each.isdigit() for each in text):
        return text
    for sign in SIGNS.findall(text):
        signs.add(sign)
    text = SIGNS.sub("", text).strip()
    if text.endswith("%"):
        signs.add("%")
        text = text[:-1].strip()
    if text.startswith("(") and text.endswith(")"):  # as accountants write negative numbers
        text = f"-{text[1:-1].strip()}"
    text = re.sub(r"^([+-])\s+(?=[\d.,])", r"\1", text)
    return PARTED.sub("", text)


def _value(text, decimal):
    other = COMMA if decimal == DOT else DOT
    return float(text.replace(other, "").replace(decimal, "."))
