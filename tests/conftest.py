"""Fixtures of all tests, and the two processes of the default run."""

import os

# One BLAS thread: the matrices are small, and two processes want two cores for themselves.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """Run the whole suite in two processes, a selection of files in one; -n says otherwise.

    Without pytest-xdist everything runs in one process.
    """
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    is_worker = hasattr(config, "workerinput")
    options = config.option
    if not whole or is_worker or options.usepdb or options.collectonly:
        return
    if getattr(options, "numprocesses", 0) is None:  # with xdist, and without -n
        options.numprocesses, options.dist = 2, "worksteal"


@pytest.fixture
def rng():
    """Random numbers of this test alone."""
    return np.random.default_rng(0)
