"""Timing two things in turns, memory and imports in fresh processes.

Two things are timed A B A B ..., so that whatever else the machine does falls on both; figures
are medians. Within a process the clock is CPU time: a neighbour on the machine costs none.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median


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
