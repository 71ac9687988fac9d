"""Records of a study in a file: JSON lines that are appended and never changed.

The first line describes the study: format, seed, designs, methods, metrics. Another such line
follows wherever designs or methods joined later. Every other line is one cell, that is one
method on one repeat of one design::

    {"format": "scikit-transfer study 1", "seed": {...}, "designs": {...}, ...}
    {"design": "a", "method": "ridge", "repeat": 0, "seconds": 0.001, "values": {"loss": 0.5}}

A line is handed to the operating system as soon as its cell is done, and the file is forced to
the disk at least every second: a kill loses the cells that were running, a power cut a second
more. What a kill can leave behind is a last line that is cut short. It is removed, and its cell
is run again.
"""

import json
import math
import os
import platform
import threading
import time
import warnings
import zlib
from contextlib import contextmanager, suppress
from itertools import chain
from typing import NamedTuple

import numpy as np

from skt.study.describe import differences

__all__ = ["Study", "flat_records", "key_of_design", "open_records", "read_records"]

FORMAT = "scikit-transfer study 1"
START = json.dumps({"format": FORMAT})[:-1].encode()
SECONDS_BETWEEN_SYNCS = 1.0
# Differences that a message lists before it stops.
MAX_LISTED = 5
# Columns of a record that are not parameters of its design.
COLUMNS = (
    *("design", "method", "repeat", "seed", "metric"),
    *("value", "fit_seconds", "warnings", "error"),
)


class Study(NamedTuple):
    """What a study is: its seed and, by name, descriptions of all that takes part.

    ``seed`` is None where any will do; ``parameters`` holds the scalars of each design.
    """

    seed: dict | None
    designs: dict
    methods: dict
    metrics: dict
    parameters: dict
    python: str = platform.python_version()


# Records, as the user sees them -------------------------------------------------------------


def flat_records(study, cells):
    """Return one dict for each cell and metric."""
    fixed = {name: _fixed(study, name) for name in study.designs}
    metrics = list(study.metrics)
    return list(chain.from_iterable(_flat(cell, metrics, *fixed[cell["design"]]) for cell in cells))


def _fixed(study, design):
    """Return the columns that all records of a design share, and how their seeds begin."""
    seed = "-".join(map(str, np.ravel(study.seed["entropy"])))
    places = "".join(f"/{place}" for place in (*study.seed["spawn_key"], key_of_design(design)))
    return {"design": design} | study.parameters[design], seed + places


def key_of_design(design):
    """Return the number that stands for a design in the seeds of its repeats."""
    return zlib.crc32(design.encode())


def _flat(cell, metrics, fixed, seed):
    values, errors, text = cell["values"], cell.get("errors", {}), cell.get("warnings", "")
    method, repeat, seconds = cell["method"], cell["repeat"], cell["seconds"]
    seed = f"{seed}/{repeat}"
    return [
        {
            **fixed,
            "method": method,
            "repeat": repeat,
            "seed": seed,
            "metric": metric,
            "value": values[metric],
            "fit_seconds": seconds,
            "warnings": text,
            "error": errors.get(metric, ""),
        }
        for metric in metrics
    ]


def _key(cell):
    return cell["design"], cell["repeat"], cell["method"]


# Writing ------------------------------------------------------------------------------------


@contextmanager
def open_records(path, study):
    """Open the records of a study, those in the file included; None keeps them in memory."""
    if path is None:
        yield MemoryRecords(study)
        return
    path = os.fspath(path)
    with _locked(path), open(path, "a+b") as handle:
        records = FileRecords(handle, path, study)
        try:
            yield records
        finally:
            records.sync()


class MemoryRecords:
    """Cells by design, repeat and method; values may be anything."""

    def __init__(self, study):
        if study.seed is None:
            study = study._replace(seed=seed_of(np.random.SeedSequence()))
        self.study = study
        self.cells = {}

    def append(self, cell):
        """Keep a cell."""
        self.cells[_key(cell)] = cell


class FileRecords(MemoryRecords):
    """The same in a file, which may hold cells of the study already; values are plain."""

    def __init__(self, handle, path, study):
        self._handle, self._synced = handle, -math.inf
        handle.seek(0)
        stored = _parse(handle.read(), path)
        if stored.study is not None:
            _check_same(path, stored.study, study)
            study = study._replace(seed=stored.study.seed)
        if stored.is_cut:
            warnings.warn(f"{_lost(path)} It is removed, and run again.", stacklevel=5)
            handle.truncate(stored.size)
        super().__init__(study)
        self.cells.update((_key(cell), cell) for cell in stored.cells)
        self._write_new_parts(stored.study)

    def _write_new_parts(self, stored):
        new = self.study
        if stored is not None:
            designs, methods = (
                {name: each for name, each in now.items() if name not in then}
                for now, then in zip(new[1:3], stored[1:3], strict=True)
            )
            new = new._replace(designs=designs, methods=methods)
        if new.designs or new.methods:
            parameters = {name: new.parameters[name] for name in new.designs}
            self._write({"format": FORMAT} | new._replace(parameters=parameters)._asdict())

    def append(self, cell):
        """Keep a cell and write it."""
        cell = _only_plain(cell)
        super().append(cell)
        self._write(_encoded(cell))

    def _write(self, line):
        self._handle.write(json.dumps(line).encode() + b"\n")
        self._handle.flush()
        if time.monotonic() > self._synced + SECONDS_BETWEEN_SYNCS:
            self.sync()

    def sync(self):
        """Force what was written to the disk."""
        os.fsync(self._handle.fileno())
        self._synced = time.monotonic()


def seed_of(sequence):
    """Return what determines a SeedSequence, as plain data."""
    entropy = np.asarray(sequence.entropy, dtype=object)
    plain = [int(each) for each in entropy.ravel()] if entropy.ndim else int(sequence.entropy)
    return {"entropy": plain, "spawn_key": [int(each) for each in sequence.spawn_key]}


# Locks ------------------------------------------------------------------------------------
# A POSIX lock is lost when its process closes any descriptor of the file, such as that of a reader
# in a thread, and it keeps no other thread out. So the lock is on a file that nothing else opens,
# and this process remembers what it writes. Not flock, which forked workers would share and keep
# beyond the death of this process.

_WRITTEN_HERE = set()
_GUARD = threading.Lock()


@contextmanager
def _locked(path):
    """Keep other writers out; the lock ends with the process, however it ends."""
    place = os.path.realpath(path)
    with _GUARD:
        if place in _WRITTEN_HERE:
            raise _taken(path, "this process already")
        _WRITTEN_HERE.add(place)
    try:
        with _lock_file(place, path):
            yield
    finally:
        _WRITTEN_HERE.discard(place)


@contextmanager
def _lock_file(place, path):
    try:
        import fcntl
    except ImportError:  # there is none on Windows
        yield
        return
    name = f"{place}.lock"
    with open(name, "a+b") as handle:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _taken(path, "another process") from error
        if not _is_file(handle, name):  # its last owner has just removed it
            raise _taken(path, "another process")
        try:
            yield
        finally:
            with suppress(OSError):
                os.unlink(name)


def _is_file(handle, name):
    with suppress(OSError):
        return os.path.samestat(os.fstat(handle.fileno()), os.stat(name))
    return False


def _taken(path, by_whom):
    return BlockingIOError(
        f"out={path!r} is being written by {by_whom}; wait for it, or choose another file."
    )


def _only_plain(cell):
    """Turn values that a file cannot hold into errors."""
    wrong = {
        metric: f"TypeError: the metric returned {type(value).__name__}, but records in a file "
        "hold numbers, and lists and dicts of numbers and text; return one of these, or leave "
        "out=None."
        for metric, value in cell["values"].items()
        if not (isinstance(value, float | None) or _is_plain(value))
    }
    if not wrong:
        return cell
    values = cell["values"] | dict.fromkeys(wrong, math.nan)
    return cell | {"values": values, "errors": cell.get("errors", {}) | wrong}


def _is_plain(value):
    """Whether a list or dict comes back from JSON as it is."""
    if type(value) is dict:
        return all(type(key) is str for key in value) and all(map(_is_part, value.values()))
    return type(value) is list and all(map(_is_part, value))


def _is_part(value):
    return type(value) in (int, float, str, bool, type(None)) or _is_plain(value)


def _encoded(cell):
    """Leave out what is empty, and write as text what JSON has no number for."""
    cell = {name: each for name, each in cell.items() if each not in ("", {})}
    values = {metric: _text_if_not_finite(value) for metric, value in cell["values"].items()}
    return cell | {"values": values, "seconds": _text_if_not_finite(cell["seconds"])}


def _text_if_not_finite(value):
    is_odd = isinstance(value, float) and not math.isfinite(value)
    return repr(value) if is_odd else value


# Reading ------------------------------------------------------------------------------------


class Stored(NamedTuple):
    """What is in a file; ``size`` is that of its whole lines, ``is_cut`` if there is more."""

    study: Study | None
    cells: list
    size: int
    is_cut: bool


def read_records(path):
    """Return the study and all cells of a file, ordered by design, repeat and method."""
    path = os.fspath(path)
    with open(path, "rb") as handle:
        stored = _parse(handle.read(), path)
    if stored.study is None:
        raise ValueError(f"{path!r} holds no study.")
    if stored.is_cut:
        warnings.warn(f"{_lost(path)} It is left out.", stacklevel=3)
    designs, methods = ({name: i for i, name in enumerate(each)} for each in stored.study[1:3])
    cells = sorted(
        stored.cells, key=lambda c: (designs[c["design"]], c["repeat"], methods[c["method"]])
    )
    return stored.study, cells


def _lost(path):
    return (
        f"the last line of {path!r} was cut short, as happens when a study is killed: one cell "
        "is lost."
    )


def _parse(content, path):
    """Return what a file holds, up to a last line that is cut short."""
    if not content.startswith(START[: len(content)]):
        raise ValueError(
            f"out={path!r} exists and holds no records of a study; choose another file."
        )
    lines = content.split(b"\n")[:-1]
    found = _decoded(lines, path)
    size = sum(map(len, lines[: len(found)])) + len(found)
    studies = [each for each in found if "format" in each]
    cells = _each_once([_number_values(each) for each in found if "format" not in each], path)
    study = _merged(studies) if studies else None
    return Stored(study, cells, size, is_cut=size < len(content))


def _each_once(cells, path):
    """Return the first of cells that are there several times, as two writers leave them."""
    first = {}
    for cell in cells:
        first.setdefault(_key(cell), cell)
    if len(first) < len(cells):
        warnings.warn(
            f"{path!r} holds {len(cells) - len(first)} cells more than once, as if two processes "
            "had written to it; the first of each is taken.",
            stacklevel=5,
        )
    return list(first.values())


def _decoded(lines, path):
    """Return the lines as dicts, without a last one that cannot be read."""
    try:
        found = json.loads(b"[" + b",".join(lines) + b"]")  # at once: much faster
    except ValueError:
        found = [_decoded_line(line) for line in lines]
    broken = next((number for number, each in enumerate(found) if not _is_line(each)), None)
    if broken is None:
        return found
    if broken < len(lines) - 1:
        raise ValueError(
            f"line {broken + 1} of {path!r} cannot be read, and it is not the last: the file "
            "was changed by something else. Delete that line to run its cell again."
        )
    return found[:-1]


def _decoded_line(line):
    try:
        return json.loads(line)
    except ValueError:
        return None


def _is_line(each):
    return type(each) is dict and ("values" in each or "format" in each)


def _number_values(cell):
    values = cell["values"]
    if str in map(type, values.values()):
        values = {k: float(v) if isinstance(v, str) else v for k, v in values.items()}
        cell["values"] = values
    if isinstance(cell["seconds"], str):
        cell["seconds"] = float(cell["seconds"])
    return cell


def _merged(headers):
    """Return one study from all lines that describe it."""
    first, *later = (Study(**{k: v for k, v in h.items() if k != "format"}) for h in headers)
    for each in later:
        first.designs.update(each.designs)
        first.methods.update(each.methods)
        first.parameters.update(each.parameters)
    return first


# Same study? --------------------------------------------------------------------------------


def _check_same(path, stored, study):
    """Refuse to mix; designs and methods may join or be left out, nothing may change."""
    found = [
        *_seed_difference(stored.seed, study.seed),
        *differences(stored.metrics, study.metrics, "metrics"),
        *_shared_differences("designs", stored.designs, study.designs),
        *_shared_differences("methods", stored.methods, study.methods),
    ]
    if not found:
        return
    more = f"; and {len(found) - MAX_LISTED} more" if len(found) > MAX_LISTED else ""
    raise ValueError(
        f"out={path!r} holds another study, and records must not be mixed: "
        f"{'; '.join(found[:MAX_LISTED])}{more}. Choose another file, or undo the change."
        f"{_python_hint(stored, study, found)}"
    )


def _seed_difference(stored, seed):
    return [] if seed is None else differences(stored, seed, "random_state:")


def _shared_differences(what, stored, new):
    shared = [name for name in new if name in stored]
    if not shared:
        return [f"it has none of these {what}, but {', '.join(map(repr, stored))}"]
    return [
        line
        for name in shared
        for line in differences(stored[name], new[name], f"{what}[{name!r}]")
    ]


def _python_hint(stored, study, found):
    if stored.python == study.python or not any("code has changed" in line for line in found):
        return ""
    return (
        f" (The file was written by Python {stored.python}, this is {study.python}; code may "
        "be compiled differently.)"
    )
