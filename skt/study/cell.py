"""One cell of a study: draw, fit, measure, and what went wrong."""

import copy
import math
import threading
import time
import warnings
from collections.abc import Mapping
from functools import lru_cache
from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import ThreadpoolController

from skt.study.summaries import mean_and_error as mean_and_error

# One cell -----------------------------------------------------------------------------------


class _Cell(NamedTuple):
    """One method on one repeat of one design; its seed is that of the repeat."""

    run: str  # tells studies apart that share a worker
    design_name: str
    repeat: int
    method_name: str
    design: object
    method: object
    metrics: Mapping
    seed: np.random.SeedSequence


class _Last(threading.local):
    """Data of the last repeat in this thread: the next method mostly wants the same."""

    place = None
    data = None


_LAST = _Last()


def _run_cell(cell):
    """Run one method on one data set; whatever goes wrong is recorded."""
    data_seed, method_seed = cell.seed.spawn(2)
    with _one_blas_thread():
        data, error = _attempt(_data_of, cell, data_seed)
        result = (
            _failed(cell.metrics, f"design failed: {error}")
            if error
            else _run_method(cell.method, data, cell.metrics, method_seed)
        )
    place = {"design": cell.design_name, "method": cell.method_name, "repeat": cell.repeat}
    return place | result


def _data_of(cell, seed):
    """Return a copy of the data of the cell's repeat, so that no method sees another's marks."""
    place = cell.run, cell.design_name, cell.repeat
    if _LAST.place != place:
        _LAST.place = None
        _LAST.data = _draw(cell.design, seed)
        _LAST.place = place
    try:
        return copy.deepcopy(_LAST.data)
    except Exception:  # such as a generator or an open file among the data
        return _draw(cell.design, seed)


def _draw(design, seed):
    data = design(np.random.default_rng(seed))
    _check_shapes(data, getattr(design, "shapes", {}))
    return data


def _run_method(method, data, metrics, seed):
    """Fit one method, then measure it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        fitted, error = _attempt(_fit, method, data, seed)
        seconds = time.perf_counter() - start
        result = _failed(metrics, error) if error else _measured(metrics, fitted, data)
    # Many fits repeat one warning many times; each text is worth reading once.
    text = "; ".join(dict.fromkeys(f"{w.category.__name__}: {w.message}" for w in caught))
    return result | {"seconds": seconds, "warnings": text}


def _fit(method, data, seed):
    """Fit an estimator, or call a callable."""
    if not hasattr(method, "fit"):
        return method(data)
    estimator = _seeded(clone(method), seed)
    sample_domain = field(data, "sample_domain")
    fit_params = {} if sample_domain is None else _fit_params(estimator, sample_domain)
    return estimator.fit(field(data, "X"), field(data, "y"), **fit_params)


def _fit_params(estimator, sample_domain):
    keyword = domain_keyword(estimator)
    if keyword is None:
        raise TypeError(
            f"the data hold rows of several domains, but {type(estimator).__name__}.fit takes no "
            "sample_domain; pass a callable that picks the rows it should be fitted on."
        )
    return {keyword: sample_domain}


def _seeded(estimator, seed):
    """Seed every `random_state` that was left at None, nested ones included."""
    unset = sorted(
        name
        for name, value in estimator.get_params().items()
        if name.rpartition("__")[2] == "random_state" and value is None
    )
    seeds = seed.generate_state(len(unset)) if unset else []
    return estimator.set_params(**{name: int(s) for name, s in zip(unset, seeds, strict=True)})


def _measured(metrics, fitted, data):
    measured = {name: _measure(metric, fitted, data) for name, metric in metrics.items()}
    values = {name: math.nan if error else value for name, (value, error) in measured.items()}
    return {"values": values, "errors": {k: error for k, (_, error) in measured.items() if error}}


def _measure(metric, fitted, data):
    try:
        value = metric(fitted, data)
    except Exception as error:
        return None, _missing_field(error, data) or _text_of(error)
    return float(value) if isinstance(value, Real) else value, ""


def _missing_field(error, data):
    """Return what to say if a metric asked the data for something that is not there."""
    name = error.args[0] if isinstance(error, KeyError) and error.args else None
    if isinstance(error, AttributeError) and error.obj is data:
        name = error.name
    if not isinstance(name, str) or field(data, name) is not None:
        return ""
    return (
        f"{type(error).__name__}: the metric needs {name!r}, but the data hold "
        f"{', '.join(_fields(data))}; let the design return it, or leave the metric out."
    )


def _failed(metrics, error):
    return {
        "values": dict.fromkeys(metrics, math.nan),
        "errors": dict.fromkeys(metrics, error),
        "seconds": math.nan,
        "warnings": "",
    }


def _attempt(function, *args):
    """Return a result and "", or None and what went wrong: a study survives any method."""
    try:
        return function(*args), ""
    except Exception as error:
        return None, _text_of(error)


def _text_of(error):
    return f"{type(error).__name__}: {error}"


@lru_cache(maxsize=1)
def _threadpools():
    # Looking through the loaded libraries takes longer than many a fit: once per process.
    return ThreadpoolController()


def _one_blas_thread():
    return _threadpools().limit(limits=1, user_api="blas")


# Data ---------------------------------------------------------------------------------------


def field(data, name, default=None):
    """Read a field of a data set, which may be a mapping or an object."""
    if isinstance(data, Mapping):
        return data.get(name, default)
    return getattr(data, name, default)


def _fields(data):
    """Names of the fields of a data set."""
    if isinstance(data, Mapping):
        return list(map(str, data))
    return list(getattr(data, "_fields", getattr(data, "__dict__", {})))


def _check_shapes(data, promised):
    """Hold a data set to what its design promised, and its rows to each other."""
    for name, shape in promised.items():
        found = np.shape(field(data, name))
        if len(found) != len(shape) or any(p not in (None, f) for p, f in zip(shape, found)):  # noqa: B905
            raise ValueError(
                f"{name} must have the shape {tuple(shape)} that the design promises in `shapes`; "
                f"it returned {found}."
            )
    rows = {name: field(data, name) for name in ("X", "y", "sample_domain")}
    sizes = {name: len(each) for name, each in rows.items() if np.ndim(each) > 0}
    if len(set(sizes.values())) > 1:
        stated = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise ValueError(f"X, y and sample_domain must have as many rows each; {stated}.")


def domain_keyword(estimator):
    """Keyword under which ``estimator.fit`` takes `sample_domain`; None if it takes none.

    Looks into pipelines and estimators that wrap another, with metadata routing on or off.
    """
    if has_fit_parameter(estimator, "sample_domain"):
        return "sample_domain"
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        inner = domain_keyword(last)
        routed = inner is None or get_config()["enable_metadata_routing"]
        return inner if routed else f"{name}__{inner}"
    wrapped = getattr(estimator, "estimator", None)
    return None if wrapped is None else domain_keyword(wrapped)
