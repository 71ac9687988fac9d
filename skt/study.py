"""Monte-Carlo studies: designs x methods x repeats -> flat records.

Within one repeat every method sees the same data, so methods are compared pairwise and the noise
they share cancels. Seeds depend on `random_state`, the design's name and the number of the
repeat only: a cell, that is one method on one repeat, can be rerun alone, 100 repeats contain the
first 50, and adding a design or a method changes nothing that was there before.
"""

import copy
import math
import threading
import time
import warnings
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from numbers import Integral, Real
from typing import NamedTuple
from uuid import uuid4

import numpy as np
from joblib import effective_n_jobs
from joblib.parallel import get_active_backend
from sklearn import get_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import ThreadpoolController

from skt import _records
from skt._describe import describe, scalar_parameters
from skt._summaries import mean_and_error as mean_and_error
from skt._summaries import summarize, summarize_designs, to_latex, to_markdown

__all__ = [
    "load_records",
    "rerun",
    "run_study",
    "summarize",
    "summarize_designs",
    "to_latex",
    "to_markdown",
]

# Cells of each worker that are handed to a back end which returns lists only.
CELLS_AT_ONCE = 16


def run_study(
    designs,
    methods,
    *,
    metrics,
    n_repeats,
    random_state=None,
    n_jobs=None,
    out=None,
    progress=True,
):
    """Run every method on every repeat of every design and measure it.

    Parameters
    ----------
    designs : mapping of str to callable
        ``design(rng)`` draws one data set with the given :class:`numpy.random.Generator`. It
        returns a mapping or an object that holds ``X``, ``y``, perhaps ``sample_domain``, and
        whatever the metrics need, such as the truth. A design that is a
        :class:`functools.partial`, a dataclass or another object has parameters: numbers and
        text among them become columns of the records. A design with an attribute ``shapes``,
        such as ``{"X": (None, 5)}``, promises these shapes, and is held to it.
    methods : mapping of str to estimator or callable
        An estimator is cloned and fitted on ``X, y`` and, where the data have it,
        ``sample_domain``; a `random_state` left at None is seeded. A callable gets the data and
        returns what the metrics measure. Each method gets a copy of the data of its own.
    metrics : mapping of str to callable
        ``metric(fitted, data)`` returns a number. Any other value is recorded as it is and left
        out of :func:`summarize`; in a file it is an error.
    n_repeats : int
        Data sets drawn from each design.
    random_state : int, sequence of int, SeedSequence or None, default=None
        Seed of the whole study. None draws fresh entropy, or takes the seed of `out`.
    n_jobs : int, default=None
        Cells run at once, through joblib; its back ends (loky, dask, ray) can be chosen with
        :func:`joblib.parallel_config`. Workers use one BLAS thread each.
    out : path, default=None
        File to which records are appended as they are made. If it exists, the cells in it are
        not run again: an interrupted study goes on where it was, and a study can be extended
        by repeats, designs or methods. A kill at any moment loses the cells that were running
        (quick ones are handed to workers in batches of a fraction of a second).
    progress : bool, default=True
        Whether to show progress and the remaining time on stderr.

    Returns
    -------
    list of dict
        One record for each design, repeat, method and metric, in this order, with the keys
        ``design``, parameters of the design, ``method, repeat, seed, metric, value,
        fit_seconds, warnings, error``. A cell that fails has ``value`` nan and says why in
        ``error``; it does not stop the study, and with `out` it counts as done.

    Raises
    ------
    ValueError
        If two names are the same, or if `out` holds another study: another seed, other metrics,
        or a design or method of the same name that has other parameters or other code. The
        message says what differs. What is compared of a function is its compiled code, what it
        closes over, and the functions and constants of its own module that it names.
    BlockingIOError
        If another process is writing to `out`.

    Warns
    -----
    UserWarning
        If the last line of `out` was cut short by a kill; its cell is run again.

    See Also
    --------
    load_records : Records of a file.
    rerun : One cell alone, with its errors and its data.
    summarize : Means, errors, ratios to a baseline, ranks.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression, Ridge
    >>> from skt.study import run_study, summarize
    >>> def noise_only(rng):
    ...     return {"X": rng.normal(size=(20, 10)), "y": rng.normal(size=20)}
    >>> records = run_study(
    ...     {"noise": noise_only},
    ...     {"least squares": LinearRegression(), "ridge": Ridge(alpha=100.0)},
    ...     metrics={"estimation error": lambda fitted, data: fitted.coef_ @ fitted.coef_},
    ...     n_repeats=20, random_state=0, progress=False,
    ... )
    >>> ridge = summarize(records, baseline="least squares")[1]
    >>> bool(ridge["ratio"] < 0.2)
    True
    """
    designs, methods, metrics = (
        _named(what, members)
        for what, members in (("designs", designs), ("methods", methods), ("metrics", metrics))
    )
    _check_members(designs, methods, metrics)
    _check_count("n_repeats", n_repeats)
    keys = list(_keys(designs, methods, n_repeats))
    study = _description(designs, methods, metrics, random_state, out is not None)
    with _records.open_records(out, study) as records:
        missing = [key for key in keys if key not in records.cells]
        cells = _cells(missing, designs, methods, metrics, records.study.seed)
        finished = _finished(map(delayed(_run_cell), cells), n_jobs)
        for cell in _with_progress(finished, len(missing), len(keys), progress):
            records.append(cell)
    _LAST.place = _LAST.data = None
    return _records.flat_records(records.study, [records.cells[key] for key in keys])


def load_records(path):
    """Return the records in a file that :func:`run_study` wrote.

    Parameters
    ----------
    path : path
        What was `out`. A study that is still running may be looked at.

    Returns
    -------
    list of dict
        As :func:`run_study` returns them, of all cells that are there.

    Warns
    -----
    UserWarning
        If the last line was cut short by a kill, or is just being written.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sklearn.linear_model import Ridge
    >>> from skt.study import load_records, run_study
    >>> def noise(rng):
    ...     return {"X": rng.normal(size=(20, 3)), "y": rng.normal(size=20)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     out = pathlib.Path(folder) / "study.jsonl"
    ...     records = run_study(
    ...         {"noise": noise}, {"ridge": Ridge()}, n_repeats=3, random_state=0, out=out,
    ...         metrics={"size": lambda fitted, data: fitted.coef_ @ fitted.coef_}, progress=False,
    ...     )
    ...     load_records(out) == records
    True
    """
    return _records.flat_records(*_records.read_records(path))


def rerun(design, method, seed):
    """Run one cell alone, to see what happened in it; nothing is caught.

    Parameters
    ----------
    design : callable
        The design of the record.
    method : estimator or callable
        The method of the record.
    seed : str
        The ``seed`` of the record.

    Returns
    -------
    fitted
        What the metrics were given: the fitted estimator, or what the callable returned.
    data
        The data of the repeat.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> from skt.study import rerun, run_study
    >>> def noise(rng):
    ...     return {"X": rng.normal(size=(20, 3)), "y": rng.normal(size=20)}
    >>> def first(fitted, data):
    ...     return fitted.coef_[0]
    >>> options = {"metrics": {"first": first}, "random_state": 0, "progress": False}
    >>> record = run_study({"noise": noise}, {"ols": LinearRegression()}, n_repeats=3, **options)[2]
    >>> fitted, data = rerun(noise, LinearRegression(), record["seed"])
    >>> bool(first(fitted, data) == record["value"])
    True
    """
    entropy, *places = str(seed).split("/")
    entropy = [int(each) for each in entropy.split("-")]
    entropy = entropy if len(entropy) > 1 else entropy[0]
    sequence = np.random.SeedSequence(entropy, spawn_key=tuple(map(int, places)))
    data_seed, method_seed = sequence.spawn(2)
    with _one_blas_thread():
        data = _draw(design, data_seed)
        return _fit(method, data, method_seed), data


# Study --------------------------------------------------------------------------------------


def _keys(designs, methods, n_repeats):
    for design in designs:
        for repeat in range(n_repeats):
            for method in methods:
                yield design, repeat, method


def _cells(keys, designs, methods, metrics, seed):
    run = uuid4().hex
    for design, repeat, method in keys:
        names, members = (design, repeat, method), (designs[design], methods[method], metrics)
        yield _Cell(run, *names, *members, _repeat_seed(seed, design, repeat))


def _description(designs, methods, metrics, random_state, closely):
    """Return what tells this study from others; looking closely takes time, a file needs it."""
    described = (
        {name: describe(each) if closely else None for name, each in members.items()}
        for members in (designs, methods, metrics)
    )
    seed = None if random_state is None else _records.seed_of(_seed_sequence(random_state))
    parameters = {name: scalar_parameters(design) for name, design in designs.items()}
    return _records.Study(seed, *described, parameters)


def _seed_sequence(random_state):
    if isinstance(random_state, np.random.SeedSequence):
        return random_state
    return np.random.SeedSequence(random_state)


def _repeat_seed(root, design, repeat):
    """Child of the root as `spawn` would make it, at a place that depends on names only."""
    place = (_records.key_of_design(design), repeat)
    return np.random.SeedSequence(root["entropy"], spawn_key=(*root["spawn_key"], *place))


def _finished(jobs, n_jobs):
    """Return an iterator over what the jobs return, each as soon as it is done."""
    backend, _ = get_active_backend()
    if getattr(backend, "supports_return_generator", False):
        return Parallel(n_jobs=n_jobs, return_as="generator_unordered")(jobs)
    return _finished_in_lists(jobs, n_jobs)


def _finished_in_lists(jobs, n_jobs):
    """Do the same with a back end such as multiprocessing, and ray, which is built on it."""
    size = CELLS_AT_ONCE * effective_n_jobs(n_jobs)
    with Parallel(n_jobs=n_jobs) as parallel:
        while some := list(islice(jobs, size)):
            yield from parallel(some)


def _with_progress(cells, n_missing, total, progress):
    from tqdm import tqdm  # here, so that importing skt stays light

    options = {"total": total, "initial": total - n_missing, "unit": "fit", "leave": False}
    return tqdm(cells, disable=not progress, **options)


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


# Checks -------------------------------------------------------------------------------------


def _named(what, members):
    """Return a dict of a mapping, or of pairs, in which a name may be given twice."""
    pairs = members.items() if isinstance(members, Mapping) else members
    if not isinstance(members, Mapping | list | tuple) or not members or not _are_pairs(pairs):
        raise TypeError(
            f"{what} must be a mapping from names to callables, or a list of (name, callable) "
            f"pairs, with at least one entry; got {members!r}."
        )
    names = [name for name, _ in pairs]
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise TypeError(f"the names of {what} must be strings; got {wrong[0]!r}.")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{what} holds {twice[0]!r} twice; give each a name of its own.")
    return dict(pairs)


def _are_pairs(pairs):
    return all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs)


def _check_members(designs, methods, metrics):
    for what, members in (("designs", designs), ("metrics", metrics)):
        _check_each(what, members, callable, "callable")
    able = "an estimator, an instance with fit, or a callable"
    _check_each("methods", methods, _is_method, able)
    for name, design in designs.items():
        taken = sorted(set(scalar_parameters(design)) & set(_records.COLUMNS))
        if taken:
            raise ValueError(
                f"designs[{name!r}] has a parameter called {taken[0]!r}, which the records use "
                "themselves; give it another name."
            )


def _check_each(what, members, is_right, wanted):
    for name, member in members.items():
        if not is_right(member):
            raise TypeError(f"{what}[{name!r}] must be {wanted}; got {member!r}.")


def _is_method(method):
    return (hasattr(method, "fit") or callable(method)) and not isinstance(method, type)


def _check_count(what, value):
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{what} must be a whole number of at least 1; got {value!r}.")
