"""Timing two things in turns, memory and imports in fresh processes.

Two things are timed A B A B ..., so that whatever else the machine does falls on both; figures
are medians. Within a process the clock is CPU time: a neighbour on the machine costs none.
"""

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from math import ceil
from pathlib import Path
from statistics import median

from threadpoolctl import threadpool_limits


def seconds(function, *args, clock=time.process_time):
    """Return the seconds of one call; CPU seconds unless another clock is given."""
    start = clock()
    function(*args)
    return clock() - start


def in_turns(*functions, repeats, clock=time.process_time):
    """Return the median seconds of each function, called alternately after a first round."""
    for function in functions:
        function()
    rounds = [[seconds(f, clock=clock) for f in functions] for _ in range(repeats)]
    return tuple(median(column) for column in zip(*rounds, strict=True))


def limited_seconds(function, limit, clock=time.process_time):
    """Return the seconds of one call in a process of its own; inf if they exceed the limit.

    The process is a copy of this one (POSIX only). The system stops it at the limit of CPU
    seconds, we at that of seconds on the wall, whichever the clock counts.
    """
    on_the_wall = clock is time.perf_counter
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    with warnings.catch_warnings(action="ignore"):  # forking beside threads that only wait
        arguments = theirs, function, clock, None if on_the_wall else limit
        process = context.Process(target=_send_seconds, args=arguments)
        process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(limit if on_the_wall else None) else float("inf")
    except EOFError as error:
        process.join()
        if process.exitcode == -signal.SIGXCPU:
            return float("inf")
        raise RuntimeError("the function that was timed failed; see its traceback.") from error
    finally:
        process.terminate()
        process.join()
        ours.close()


def _send_seconds(pipe, function, clock, limit):
    if limit is not None:
        spent = time.process_time()
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (ceil(spent + limit), hard))
    with threadpool_limits(1), warnings.catch_warnings(action="ignore"):
        pipe.send(seconds(function, clock=clock))


def resident_peak():
    """Return the peak MB of this process.

    Linux only: elsewhere, and in `getrusage` on Linux too, a process that was started by a
    larger one reports the peak of its parent.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**10


def fresh_process(*arguments):
    """Run Python with one BLAS thread and return what it wrote."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=True
    )
