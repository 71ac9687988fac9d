"""What the benchmark of rankings computes from scores."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from benchmarks import rank_sources
from benchmarks.harness import Run

TRUE = np.array([0.9, 0.8, 0.7, 0.6])
DRAWN = {"task": "a task", "n": 5}


@pytest.fixture(autouse=True)
def known_truth(monkeypatch):
    monkeypatch.setattr(rank_sources, "truth", lambda task, n: TRUE)


def test_tau_of_right_wrong_and_no_order():
    assert_allclose(rank_sources.tau(TRUE**2, DRAWN), 1)
    assert_allclose(rank_sources.tau(-TRUE, DRAWN), -1)
    assert rank_sources.tau(np.zeros(4), DRAWN) == 0


def test_accuracy_lost_by_taking_the_first():
    assert_allclose(rank_sources.lost(TRUE, DRAWN), 0)
    assert_allclose(rank_sources.lost(np.array([0, 1, 0, 0]), DRAWN), 0.1)
    assert_allclose(rank_sources.lost(np.zeros(4), DRAWN), 0.15)  # any of them


def record(metric, method, task, value):
    return {"metric": metric, "method": method, "task": task, "n": 5, "value": value, "error": ""}


def test_report_is_over_tasks_and_gains_are_paired():
    records = [
        record(metric, method, task, value + step)
        for metric in ("tau", "lost")
        for method, value in (("leep", 0.5), ("leep, far from the source", 0.6))
        for task in ("one", "two")
        for step in (0.0, 0.2)
    ]
    every = [(f"leep, {which}", 0.6) for which in rank_sources.HARDNESS][1:]
    records += [
        record(metric, method, task, value + step)
        for metric in ("tau", "lost")
        for method, value in every
        for task in ("one", "two")
        for step in (0.0, 0.2)
    ]
    result = rank_sources.report(records, Run(2))
    leep = next(row for row in result["rows"] if row["method"] == "leep")
    assert_allclose([leep["tau"], leep["tau_error"]], [0.6, 0.1 / np.sqrt(2)])
    gain = result["gains"][0]
    assert (gain["score"], gain["n"]) == ("leep", 5)
    assert_allclose([gain["gain"], gain["gain_error"]], [0.1, 0.0], atol=1e-12)
    assert result["failures"] == 0
