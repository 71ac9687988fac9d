"""A fitted model as a file: skops for the model, JSON for the rest, never a pickle.

The file is a zip archive: that of skops, which holds arrays and the names of types, and `skt.json`
with versions, the recipe of the columns and what the model is about. Versions are read before
anything is rebuilt, and nothing is rebuilt but types that are trusted: those that skops trusts of
scikit-learn, NumPy and SciPy, and the classes of this package.
"""

import io
import json
import os
import sys
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from skt.cli.errors import InputError, listed
from skt.cli.recipe import Column

__all__ = ["Kept", "load", "save"]

META = "skt.json"
FORMAT = 1
# Distributions whose version a model depends on, and how many of its parts must agree.
DEPENDS = {"scikit-transfer": None, "scikit-learn": 2}
# Types of others that a fitted model may hold; nothing that runs code when it is rebuilt.
OTHERS = ("collections.OrderedDict", "collections.defaultdict", "numpy.dtype")
ADVICE = "fit the model again with `python -m skt fit`"


@dataclass(frozen=True)
class Kept:
    """A model, how columns become its features, and what it is about.

    ``about`` is plain data: target, target_columns, domain_column, kind, method, file_columns,
    na_values, thousands, n_rows.
    """

    model: object
    recipe: list
    about: dict


def save(kept, path):
    """Write a model beside, then in place of what was there."""
    content = io.BytesIO(_skops().dumps(kept.model, compression=zipfile.ZIP_DEFLATED))
    unknown = _untrusted(content.getvalue())
    if unknown:
        raise InputError(
            f"--method {kept.about['method']}: a model file cannot hold its {listed(unknown)}; "
            "choose another method, or fit it in Python."
        )
    recipe = [column.as_dict() for column in kept.recipe]
    meta = {"format": FORMAT, "versions": _versions(), "about": kept.about, "recipe": recipe}
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(META, json.dumps(meta))
    _write(Path(path), content.getvalue())


def load(path):
    """Read a model; what is no model, not whole, not of this version or not safe is refused."""
    content = _content(Path(path))
    meta = _meta(content, path)
    _check_versions(meta, path)
    unknown = _untrusted(content)
    if unknown:
        raise InputError(
            f"{path} asks for {listed(unknown)}, which no model of `python -m skt fit` holds and "
            "which could run any code; nothing of it was loaded."
        )
    try:
        model = _skops().loads(content, trusted=sorted(_trusted()))
        recipe = [Column(**column) for column in meta["recipe"]]
    except Exception as error:  # whatever a damaged file makes of what is rebuilt
        raise _damaged(path) from error
    return Kept(model, recipe, meta["about"])


def _skops():
    try:
        import skops.io
    except ImportError as error:
        raise InputError(
            "model files need skops: run `pip install scikit-transfer[model]`."
        ) from error
    return skops.io


def _damaged(path):
    return InputError(f"{path} is no model file, or is cut short or damaged; {ADVICE}.")


def _content(path):
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}.") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from error
    if content[:1] == b"\x80":
        raise InputError(
            f"{path} is a pickle, which could run any code, and was not read; only files of "
            "`python -m skt fit` are."
        )
    return content


def _meta(content, path):
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            broken = archive.testzip()
            meta = json.loads(archive.read(META))
        whole = broken is None and {"format", "versions", "about", "recipe"} <= set(meta)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError, OSError) as error:
        raise _damaged(path) from error
    except Exception as error:  # zlib and others, of bytes that happen to be no archive
        raise _damaged(path) from error
    if not whole:
        raise _damaged(path)
    return meta


def _write(path, content):
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    except OSError as error:
        raise InputError(f"--out {path}: cannot write there ({error.strerror}).") from error


# Versions -----------------------------------------------------------------------------------


def _versions():
    return {name: _version(name) for name in DEPENDS}


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def _check_versions(meta, path):
    here = {"the format of model files": FORMAT, **_versions()}
    then = {"the format of model files": meta["format"], **dict(meta["versions"])}
    for name, now in here.items():
        if _compared(name, then.get(name)) != _compared(name, now):
            raise InputError(
                f"{path} was written with {name} {then.get(name, 'unknown')}, and here is {now}; "
                f"{ADVICE}, or install the version that it was written with."
            )


def _compared(name, version):
    """Return the part of a version that must agree."""
    parts = DEPENDS.get(name)
    return str(version) if parts is None else str(version).split(".")[:parts]


# Types --------------------------------------------------------------------------------------


def _untrusted(content):
    found = _skops().get_untrusted_types(data=content)
    return sorted(set(found) - _trusted())


def _trusted():
    """Names of types that are rebuilt besides those that skops trusts: ours, and a few more."""
    ours = {
        f"{each.__module__}.{each.__qualname__}"
        for name, module in list(sys.modules.items())
        if name.startswith("skt.")
        for each in list(vars(module).values())
        if isinstance(each, type) and each.__module__ == name
    }
    return ours | set(OTHERS)
