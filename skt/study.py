"""Monte-Carlo studies: designs x methods x repeats -> flat records.

Within one repeat every method sees the same data, so methods are compared pairwise and the noise
they share cancels. Seeds depend on `random_state`, the design's name and the number of the
repeat only: a cell can be rerun alone, 100 repeats contain the first 50, and adding a design or
a method changes nothing that was there before.
"""

import math
import time
import warnings
import zlib
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from numbers import Integral, Real

import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import ThreadpoolController

__all__ = ["run_study", "summarize"]


def run_study(
    designs,
    methods,
    *,
    metrics,
    n_repeats,
    random_state=None,
    n_jobs=None,
    progress=True,
):
    """Run every method on every repeat of every design and measure it.

    Parameters
    ----------
    designs : mapping of str to callable
        ``design(rng)`` draws one data set with the given :class:`numpy.random.Generator`. It
        returns a mapping or an object that holds ``X``, ``y``, perhaps ``sample_domain``, and
        whatever the metrics need.
    methods : mapping of str to estimator or callable
        An estimator is cloned and fitted on ``X, y`` and, where the data have it,
        ``sample_domain``; a `random_state` left at None is seeded. A callable gets the data and
        returns what the metrics measure.
    metrics : mapping of str to callable
        ``metric(fitted, data)`` returns a number. Any other value is recorded as it is and left
        out of :func:`summarize`.
    n_repeats : int
        Data sets drawn from each design.
    random_state : int, sequence of int, SeedSequence or None, default=None
        Seed of the whole study. None draws fresh entropy.
    n_jobs : int, default=None
        Repeats run at once, through joblib; its back ends can be chosen with
        :func:`joblib.parallel_config`. Workers use one BLAS thread each.
    progress : bool, default=True
        Whether to show progress and the remaining time on stderr.

    Returns
    -------
    list of dict
        One record for each design, repeat, method and metric, in this order, with the keys
        ``design, method, repeat, metric, value, fit_seconds, warnings, error``. A cell that
        fails has ``value`` nan and says why in ``error``; it does not stop the study.

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
    _check_named("designs", designs)
    _check_named("methods", methods)
    _check_named("metrics", metrics)
    _check_count("n_repeats", n_repeats)
    root = _seed_sequence(random_state)
    jobs = (
        delayed(_run_repeat)(
            name, design, repeat, _repeat_seed(root, name, repeat), methods, metrics
        )
        for name, design in designs.items()
        for repeat in range(n_repeats)
    )
    finished = Parallel(n_jobs=n_jobs, return_as="generator")(jobs)
    repeats = _with_progress(finished, len(designs) * n_repeats, progress)
    return [record for records in repeats for record in records]


def summarize(records, *, baseline=None):
    """Reduce the records of a study to one row for each design, metric and method.

    Parameters
    ----------
    records : list of dict
        What :func:`run_study` returned.
    baseline : str, default=None
        Method that the others are compared with. None compares with nothing.

    Returns
    -------
    list of dict
        Keys ``design, metric, method, n_repeats, n_failures, mean, standard_error`` and, with a
        baseline, ``ratio, difference, difference_error``: ratio of the means, mean paired
        difference (method - baseline) and its standard error, over the repeats in which both
        succeeded. Standard errors are over repeats. A value that is not finite is a failure.
    """
    cells = _values_by_cell(records)
    if baseline is not None:
        _check_baseline(baseline, cells)
    return [
        {"design": design, "metric": metric, "method": method}
        | _moments_of(values)
        | _against(values, cells.get((design, metric, baseline)), baseline)
        for (design, metric, method), values in cells.items()
    ]


def mean_and_error(values):
    """Mean of independent values and its standard error; nan where there are too few."""
    values = np.asarray(values, dtype=float)
    mean = values.mean() if values.size else math.nan
    error = values.std(ddof=1) / math.sqrt(values.size) if values.size > 1 else math.nan
    return float(mean), float(error)


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


def field(data, name, default=None):
    """Read a field of a data set, which may be a mapping or an object."""
    if isinstance(data, Mapping):
        return data.get(name, default)
    return getattr(data, name, default)


# One repeat ---------------------------------------------------------------------------------


def _run_repeat(design_name, design, repeat, seed, methods, metrics):
    """Run all methods on one data set."""
    data_seed, method_seed = seed.spawn(2)
    with _one_blas_thread():
        data, error = _attempt(design, np.random.default_rng(data_seed))
        cells = {
            name: _failed(metrics, f"design failed: {error}")
            if error
            else _run_method(method, data, metrics, method_seed)
            for name, method in methods.items()
        }
    return [
        {"design": design_name, "method": name, "repeat": repeat} | cell
        for name, records in cells.items()
        for cell in records
    ]


def _run_method(method, data, metrics, seed):
    """Fit one method, then measure it; whatever goes wrong is recorded."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        fitted, error = _attempt(_fit, method, data, seed)
        seconds = time.perf_counter() - start
        records = (
            _failed(metrics, error)
            if error
            else [_measure(name, metric, fitted, data) for name, metric in metrics.items()]
        )
    # Many fits repeat one warning many times; each text is worth reading once.
    text = "; ".join(dict.fromkeys(f"{w.category.__name__}: {w.message}" for w in caught))
    return [record | {"fit_seconds": seconds, "warnings": text} for record in records]


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


def _measure(name, metric, fitted, data):
    value, error = _attempt(metric, fitted, data)
    if isinstance(value, Real):
        value = float(value)
    return {"metric": name, "value": math.nan if error else value, "error": error}


def _failed(metrics, error):
    return [
        {"metric": name, "value": math.nan, "error": error, "fit_seconds": math.nan, "warnings": ""}
        for name in metrics
    ]


def _attempt(function, *args):
    """Return a result and "", or None and what went wrong: a study survives any method."""
    try:
        return function(*args), ""
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


@lru_cache(maxsize=1)
def _threadpools():
    # Looking through the loaded libraries takes longer than many a fit: once per process.
    return ThreadpoolController()


def _one_blas_thread():
    return _threadpools().limit(limits=1, user_api="blas")


# Seeds and progress -------------------------------------------------------------------------


def _seed_sequence(random_state):
    if isinstance(random_state, np.random.SeedSequence):
        return random_state
    return np.random.SeedSequence(random_state)


def _repeat_seed(root, design_name, repeat):
    """Child of the root as `spawn` would make it, at a place that depends on names only."""
    place = (zlib.crc32(design_name.encode()), repeat)
    return np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, *place))


def _with_progress(iterable, total, progress):
    from tqdm import tqdm  # here, so that importing skt stays light

    return tqdm(iterable, total=total, disable=not progress, unit="repeat", leave=False)


# Summaries ----------------------------------------------------------------------------------


def _values_by_cell(records):
    """Values by repeat, for each (design, metric, method) that gives numbers."""
    cells = defaultdict(dict)
    for record in records:
        if isinstance(record["value"], Real):
            key = record["design"], record["metric"], record["method"]
            cells[key][record["repeat"]] = record["value"]
    return dict(cells)


def _moments_of(values):
    finite = [value for value in values.values() if math.isfinite(value)]
    mean, error = mean_and_error(finite)
    return {
        "n_repeats": len(values),
        "n_failures": len(values) - len(finite),
        "mean": mean,
        "standard_error": error,
    }


def _against(values, reference, baseline):
    """Paired comparison with the baseline."""
    if baseline is None:
        return {}
    pairs = _pairs(values, reference or {})
    mean, error = mean_and_error(pairs[:, 0] - pairs[:, 1])
    return {"ratio": _ratio(*pairs.sum(axis=0)), "difference": mean, "difference_error": error}


def _pairs(values, reference):
    pairs = [(values[repeat], reference[repeat]) for repeat in values if repeat in reference]
    pairs = np.array(pairs, dtype=float).reshape(-1, 2)
    return pairs[np.isfinite(pairs).all(axis=1)]


def _ratio(numerator, denominator):
    return float(numerator / denominator) if denominator else math.nan


# Checks -------------------------------------------------------------------------------------


def _check_named(what, mapping):
    if not isinstance(mapping, Mapping) or not mapping:
        raise TypeError(
            f"{what} must be a mapping from names to callables with at least one entry; "
            f"got {mapping!r}."
        )
    wrong = [name for name in mapping if not isinstance(name, str)]
    if wrong:
        raise TypeError(f"the names of {what} must be strings; got {wrong[0]!r}.")


def _check_count(what, value):
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{what} must be a whole number of at least 1; got {value!r}.")


def _check_baseline(baseline, cells):
    methods = sorted({method for _, _, method in cells})
    if baseline not in methods:
        raise ValueError(f"baseline must be one of the methods {methods}; got {baseline!r}.")
