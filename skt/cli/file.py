"""Files as they are: encoding and separator guessed, every cell read as the text it is.

No cell is interpreted here. ``NA`` may be a group and ``01`` is not 1, which is known only when it
is known what a column is for.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from textwrap import shorten

from skt.cli.errors import InputError

__all__ = ["Options", "read_file"]

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
# Lines from which the separator is guessed.
SAMPLE = 100
# First bytes of files that are no text, whatever they are called.
BINARY = {
    b"PK\x03\x04": "a zip archive or an Excel file; save the sheet as CSV, or unpack it",
    b"\xd0\xcf\x11\xe0": "an old Excel file; save the sheet as CSV",
    b"PAR1": "a Parquet file; rename it to .parquet",
    b"%PDF": "a PDF",
}
GZIP = b"\x1f\x8b"
SPACES = r"\s+"


@dataclass(frozen=True)
class Options:
    """How to read a file; None is guessed, and the guess is said.

    ``sep`` separates columns, ``decimal`` the decimals and ``thousands`` groups of three digits;
    ``na_values`` are further texts that stand for a missing value. Columns in ``drop`` are left
    out. Rows that share a value of the column ``split_by`` are never separated by a split.
    """

    sep: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    na_values: tuple = ()
    encoding: str | None = None
    drop: tuple = ()
    split_by: str | None = None


def read_file(path, options):
    """Read a file.

    Returns
    -------
    frame : pandas.DataFrame
        Of a CSV file all cells as text, "" where there is none; of a Parquet file as it is typed.
    guesses : list of str
        What was guessed of encoding and separator.
    sep : str
        Separator of the columns, "" of a Parquet file.
    """
    suffix = next((s for s in reversed(path.suffixes) if s.lower() != ".gz"), "").lower()
    if suffix not in (".csv", ".tsv", ".txt", ".parquet"):
        raise InputError(f"{path} must end in .csv, .tsv, .txt (each also with .gz) or .parquet.")
    try:
        if suffix == ".parquet":
            frame, guesses, sep = _parquet(path), [], ""
        else:
            frame, guesses, sep = _csv(path, options)
    except ImportError as error:
        raise InputError("reading Parquet needs pyarrow: run `pip install pyarrow`.") from error
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}.") from error
    except InputError:
        raise
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"cannot unpack {path}: it is cut short or damaged ({error}); copy it again."
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    names = [str(name).strip() for name in frame.columns]
    _check_names(names)
    return frame.set_axis(names, axis=1), guesses, sep


def _check_names(names):
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"two columns are called {twice!r}; rename or drop one.")


def _parquet(path):
    import pandas as pd

    return pd.read_parquet(path)


def _csv(path, options):

    content = path.read_bytes()
    content = gzip.decompress(content) if content.startswith(GZIP) else content
    kind = next((what for first, what in BINARY.items() if content.startswith(first)), None)
    if kind is not None:
        raise InputError(f"{path} is no text file but {kind}.")
    text, encoding_guess = _decoded(content, options.encoding, path)
    text, said = _without_sep_line(text)
    if not text.strip():
        raise InputError(f"cannot read {path}: it is empty.")
    sep, sep_guess = _separator(text, options.sep or said)
    return _cells(text, sep), [*encoding_guess, *sep_guess], sep


def _cells(text, sep):
    """All cells as text; rows that are too long are an error, those too short end in ""."""
    import pandas as pd

    # The header is a row like any other: pandas would rename columns that share a name.
    whole = pd.read_csv(
        io.StringIO(text),
        sep=SPACES if sep == " " else sep,
        header=None,
        dtype=str,
        na_filter=False,
        skipinitialspace=True,
        index_col=False,
        names=None,
    )
    whole = whole.fillna("")
    body = whole.iloc[1:].reset_index(drop=True)
    return body.set_axis([str(name) for name in whole.iloc[0]], axis=1)


# Encoding -----------------------------------------------------------------------------------


def _decoded(content, encoding, path):
    """Text, and what was guessed of its encoding."""
    if encoding is not None:
        try:
            return content.decode(encoding), []
        except LookupError as error:
            raise InputError(
                f"--encoding {encoding} is not known; try utf-8, cp1252 or latin-1."
            ) from error
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path} is not {encoding}: {error}; try another --encoding, e.g. latin-1, which "
                "reads every byte."
            ) from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace"), ["encoding UTF-16"]
    with suppress(UnicodeDecodeError):
        return content.decode("utf-8-sig"), []
    if content.count(0) > 0:
        raise InputError(f"{path} is no text file: it holds zero bytes. Save the table as CSV.")
    with suppress(UnicodeDecodeError):
        return content.decode("cp1252"), ["encoding Windows-1252 (Western European)"]
    return content.decode("latin-1"), ["encoding Latin-1"]


# Separator ----------------------------------------------------------------------------------


def _without_sep_line(text):
    """Text without a first line such as ``sep=;``, which spreadsheets write, and its separator."""
    first, _, rest = text.partition("\n")
    found = re.fullmatch(r"\"?sep=(.)\"?\s*", first, re.IGNORECASE)
    return (rest, found[1]) if found else (text, None)


def _separator(text, given):
    """Separator, and what was guessed: that which divides most lines alike into most parts."""
    if given is not None:
        return {"\\t": "\t", "tab": "\t"}.get(given, given), []
    lines = list(islice((line for line in io.StringIO(text) if line.strip()), SAMPLE))
    fits = {sep: _fit(lines, sep) for sep in SEPARATORS}
    sep = max(fits, key=fits.get)
    if fits[sep][1] > 1:
        return sep, [] if sep == "," else [f"columns separated by {SEPARATORS[sep]}"]
    parts = [len(line.split()) for line in lines]
    if parts[0] > 1 and len(set(parts)) == 1:
        return " ", ["columns separated by blanks"]
    raise InputError(
        f"its only column is {shorten(lines[0], 80)!r}: separate columns by commas, semicolons or "
        "tabs, or say --sep."
    )


def _fit(lines, sep):
    """Share of rows as long as the header, and that length; an only column is no fit."""
    rows = list(csv.reader(lines, delimiter=sep, skipinitialspace=True))
    width = len(rows[0])
    alike = sum(len(row) == width for row in rows) / len(rows)
    return (alike if width > 1 else 0.0), width
