"""Monte-Carlo studies: designs x methods x repeats -> flat records.

Within one repeat every method sees the same data, so methods are compared pairwise and the noise
they share cancels. Seeds depend on `random_state`, the design's name and the number of the
repeat only: a cell, that is one method on one repeat, can be rerun alone, 100 repeats contain the
first 50, and adding a design or a method changes nothing that was there before.
"""

from collections.abc import Mapping
from itertools import islice
from numbers import Integral
from uuid import uuid4

import numpy as np
from joblib import effective_n_jobs
from joblib.parallel import get_active_backend
from sklearn.utils.parallel import Parallel, delayed

from skt.study.cell import _LAST, _Cell, _draw, _fit, _one_blas_thread, _run_cell
from skt.study.describe import describe, scalar_parameters
from skt.study.records import (
    COLUMNS,
    Study,
    flat_records,
    key_of_design,
    open_records,
    read_records,
    seed_of,
)

__all__ = ["load_records", "rerun", "run_study"]

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
        out of :func:`summarize`; in a file it is an error, unless it is a list or dict of plain
        values.
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
    with open_records(out, study) as written:
        missing = [key for key in keys if key not in written.cells]
        cells = _cells(missing, designs, methods, metrics, written.study.seed)
        finished = _finished(map(delayed(_run_cell), cells), n_jobs)
        for cell in _with_progress(finished, len(missing), len(keys), progress):
            written.append(cell)
    _LAST.place = _LAST.data = None
    return flat_records(written.study, [written.cells[key] for key in keys])


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
    return flat_records(*read_records(path))


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
    seed = None if random_state is None else seed_of(_seed_sequence(random_state))
    parameters = {name: scalar_parameters(design) for name, design in designs.items()}
    return Study(seed, *described, parameters)


def _seed_sequence(random_state):
    if isinstance(random_state, np.random.SeedSequence):
        return random_state
    return np.random.SeedSequence(random_state)


def _repeat_seed(root, design, repeat):
    """Child of the root as `spawn` would make it, at a place that depends on names only."""
    place = (key_of_design(design), repeat)
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
        taken = sorted(set(scalar_parameters(design)) & set(COLUMNS))
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
