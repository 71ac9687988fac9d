"""Kill a study many times at random moments, and finish it: python killed_study.py FOLDER TRIES.

Writes JSON: whether the records are those of a study that was left alone, and how many cells
were begun, finished and found in the file. Every begun cell leaves a byte in one file, every
finished one a byte in another, before its record can be written.
"""

import json
import os
import random
import signal
import sys
import time
import warnings
from pathlib import Path

from skt.study import load_records, run_study

REPEATS = 400


def draw(rng):
    return {"values": rng.normal(size=5)}


def mean(data):
    mark("begun")
    time.sleep(0.002)
    mark("finished")
    return data["values"].mean()


def largest(data):
    mark("begun")
    mark("finished")
    return data["values"].max()


def mark(name):
    descriptor = os.open(FOLDER / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b".")
    os.close(descriptor)


def study(out):
    return run_study(
        {"normal": draw, "again": draw},
        {"mean": mean, "largest": largest},
        metrics={"itself": lambda fitted, data: fitted, "third": lambda fitted, data: fitted / 3},
        n_repeats=REPEATS,
        random_state=0,
        out=out,
        progress=False,
    )


def killed_once(delay, after_first_cell):
    """Run the study in a child and kill it after a while; return whether it was killed."""
    before = counted("begun")
    child = os.fork()
    if child == 0:
        study(OUT)
        os._exit(0)
    until = time.monotonic() + 10  # it may be finished
    while after_first_cell and counted("begun") == before and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def counted(name):
    path = FOLDER / name
    return path.stat().st_size if path.exists() else 0


def main():
    delays = random.Random(0)
    warnings.simplefilter("ignore")  # lines that were cut short
    kills, lost = 0, []
    for number in range(TRIES):
        kills += killed_once(delays.uniform(0.0, 0.02), after_first_cell=number % 3 > 0)
        found = len(load_records(OUT)) // 2 if OUT.exists() and b"\n" in OUT.read_bytes() else 0
        lost.append(counted("finished") - found)
    resumed = study(OUT)
    begun = counted("begun")
    alone = study(None)
    for record in resumed + alone:
        record["fit_seconds"] = None
    facts = {
        "kills": kills,
        "same": repr(resumed) == repr(alone),
        "cells": len(resumed) // 2,
        "begun": begun,
        "most_lost_by_one_kill": max(b - a for a, b in zip([0, *lost], lost, strict=False)),
    }
    sys.stdout.write(json.dumps(facts))


if __name__ == "__main__":
    FOLDER, TRIES = Path(sys.argv[1]), int(sys.argv[2])
    OUT = FOLDER / "study.jsonl"
    main()
