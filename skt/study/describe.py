"""What a design, a method or a metric is, in words that can be stored and compared.

A description is plain JSON. It survives another process and another start of Python, and
changes when parameters, defaults, closed-over values or compiled code change: of a function,
of the functions and constants of its own module that it uses, and of an object's ``__call__``.
What a frozen estimator has learned counts, what another one has does not: it is fitted anew.
It does not follow into other modules: a new version of a library is no other study.
"""

import dataclasses
import functools
import hashlib
import json
import types
from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
from sklearn.frozen import FrozenEstimator

__all__ = ["describe", "differences", "scalar_parameters"]

# A parameter of a parameter ... deeper down than this, the type alone counts.
DEPTH = 6


def describe(thing):
    """Return what a callable or an object is: its name, parameters and code."""
    return _plain(thing, DEPTH, frozenset())


def differences(old, new, name=""):
    """Return lines that say where two descriptions differ, the old one being in a file."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for key in dict.fromkeys([*old, *new])
            for line in differences(old.get(key), new.get(key), _place(name, key))
        ]
    if old == new:
        return []
    if name.endswith((" code", " content")):
        return [f"{name} has changed"]
    return [f"{name} is {_short(new)}, in the file {_short(old)}"]


def scalar_parameters(thing):
    """Return the parameters of an object that are numbers, text or truth values, by name."""
    named = _parameters(thing)
    return {name: _item(value) for name, value in named.items() if _is_scalar(value)}


def _place(name, key):
    return f"{name}, {key}" if name.endswith("]") else f"{name} {key}".strip()


def _short(value):
    text = "absent" if value is None else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


# Values -------------------------------------------------------------------------------------


def _is_scalar(value):
    return value is None or isinstance(value, str | bool | np.bool_ | Real)


def _item(value):
    return value.item() if isinstance(value, np.generic) else value


def _plain(value, depth, seen):
    """Return plain data that equal values share."""
    if _is_scalar(value):
        return _number(_item(value))
    if isinstance(value, np.ndarray):
        return {"array": f"{value.dtype} {value.shape}", "content": _digest(_bytes_of(value))}
    if isinstance(value, Mapping):
        return {str(key): _plain(each, depth, seen) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, depth, seen) for each in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(each, depth, seen) for each in value), key=json.dumps)
    if depth == 0 or id(value) in seen:
        return {"type": _name(type(value))}
    return _object(value, depth - 1, seen | {id(value)})


def _number(value):
    """Numbers that JSON has no word for are text; the rest stay as they are."""
    if isinstance(value, Integral) or not isinstance(value, Real):
        return value
    value = float(value)
    return value if np.isfinite(value) else repr(value)


def _bytes_of(array):
    return repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()


def _digest(content):
    return hashlib.sha256(content).hexdigest()[:16]


# Objects ------------------------------------------------------------------------------------


def _object(value, depth, seen):
    if isinstance(value, type | types.BuiltinFunctionType | np.ufunc):
        return {"type": _name(value)}
    value = _unwrapped(value)
    if isinstance(value, types.MethodType):
        return _object(value.__func__, depth, seen) | {"of": _plain(value.__self__, depth, seen)}
    if isinstance(value, types.FunctionType):
        return {"type": _name(value), "code": _code_of(value, depth, seen)}
    if isinstance(value, functools.partial):
        return {"function": _plain(value.func, depth, seen)} | _given(value, depth, seen)
    described = {"type": _name(type(value))} | _given(value, depth, seen)
    if isinstance(value, FrozenEstimator):
        described["learned"] = {"content": _learned(value.estimator, depth, seen)}
    called = vars(type(value)).get("__call__")
    if isinstance(called, types.FunctionType):
        described["code"] = _code_of(called, depth, seen)
    return described


def _learned(estimator, depth, seen):
    """Return a digest of the fitted attributes of an estimator that is never fitted again."""
    fitted = {k: v for k, v in vars(estimator).items() if k.endswith("_") and k[0] != "_"}
    return _digest(json.dumps(_plain(fitted, depth, seen)).encode())


def _unwrapped(value):
    """Return what a decorator such as :func:`functools.cache` was put around."""
    return getattr(value, "__wrapped__", value) if callable(value) else value


def _name(thing):
    # Without the module: a script has another one when it is imported.
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", type(thing).__name__)
    return name.replace("<locals>.", "")


def _given(value, depth, seen):
    positional = list(value.args) if isinstance(value, functools.partial) else []
    named = {name: _plain(each, depth, seen) for name, each in _parameters(value).items()}
    return named | ({"arguments": _plain(positional, depth, seen)} if positional else {})


def _parameters(value):
    """Return by name what an object was made from."""
    if isinstance(value, functools.partial):
        return value.keywords
    if isinstance(value, type | types.FunctionType | types.MethodType):
        return {}
    if hasattr(value, "get_params"):
        return value.get_params(deep=False)
    if dataclasses.is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    return {name: each for name, each in getattr(value, "__dict__", {}).items() if name[0] != "_"}


# Code ---------------------------------------------------------------------------------------


def _code_of(function, depth, seen):
    """Return a digest of compiled code, defaults, closed-over values and own helpers."""
    parts = [
        _code_parts(function.__code__),
        _plain(function.__defaults__, depth, seen),
        _plain(function.__kwdefaults__, depth, seen),
        [_plain(each, depth, seen) for each in _closed_over(function)],
        {name: _plain(each, depth, seen) for name, each in _helpers(function).items()},
    ]
    return _digest(json.dumps(parts).encode())


def _code_parts(code):
    """Return instructions, names and constants, without the places where they stand."""
    constants = [
        _code_parts(each) if isinstance(each, types.CodeType) else _constant(each)
        for each in code.co_consts
    ]
    return [code.co_code.hex(), list(code.co_names), constants]


def _constant(value):
    # The order of a set differs from one process to the next.
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


def _closed_over(function):
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet: a function that calls itself
            continue


def _helpers(function):
    """Return the functions and constants of the function's own module that it names."""
    found = {name: function.__globals__.get(name) for name in sorted(_names(function.__code__))}
    return {name: value for name, value in found.items() if _is_own(value, function)}


def _names(code):
    inner = [each for each in code.co_consts if isinstance(each, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _is_own(value, function):
    if isinstance(value, types.FunctionType):
        return value.__module__ == function.__module__
    return isinstance(value, str | Real | np.ndarray | tuple | list | dict)
