"""Comparisons with rows that belong together, and those that are written as they are made."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from skt import compare, compare_each
from skt.choice.hold_out import _target_task
from skt.choice.losses import CLASSIFICATION, REGRESSION


@pytest.fixture
def patients(rng):
    """Two rows for each of 60 patients, who may be in two hospitals."""
    n = 120
    X = rng.normal(size=(n, 3))
    patient = rng.permutation(np.repeat(np.arange(60), 2))
    y = X[:, 0] + rng.normal(size=60)[patient] + 0.1 * rng.normal(size=n)
    return X, y, np.repeat(["target", "north"], [50, 70]), patient


def split(patients, kind=REGRESSION, y=None, size=20):
    X, numbers, domain, patient = patients
    y = numbers if y is None else y
    return _target_task("target", X, y, domain, size, kind, patient)


@pytest.mark.parametrize("seed", range(5))
def test_no_patient_is_on_both_sides(patients, seed):
    X, _, _, patient = patients
    task = split(patients)
    data = task(np.random.default_rng(seed))
    assert len(data.y) + len(data.y_test) < len(X)  # some rows of the north are left out
    position = {value: k for k, value in enumerate(patients[1])}
    trained = {patient[position[value]] for value in data.y}
    tested = {patient[position[value]] for value in data.y_test}
    assert not trained & tested
    assert set(data.test_rows) == tested  # errors count patients
    n_train = np.sum(data.sample_domain == "target")
    assert abs(n_train - 20) <= 2


@pytest.mark.parametrize("seed", range(5))
def test_classes_are_on_both_sides_if_they_can(patients, seed):
    y = np.where(patients[3] % 12 == 0, "rare", "common")
    data = split(patients, CLASSIFICATION, y)(np.random.default_rng(seed))
    target = data.sample_domain == "target"
    assert set(data.y[target]) == set(data.y_test) == {"rare", "common"}


def test_too_few_groups_are_refused(patients):
    X, y, domain, _ = patients
    few = np.arange(len(y)) % 3
    with pytest.raises(ValueError, match="groups must hold at least 4 different values"):
        compare(X, y, domain, groups=few, progress=False)
    with pytest.raises(ValueError, match="inconsistent"):
        compare(X, y, domain, groups=few[:-1], progress=False)


def test_errors_count_groups(rng):
    """Rows of a group that are copies add nothing to what is known."""
    X = rng.normal(size=(160, 2))
    y = X[:, 0] + rng.normal(size=160)
    domain = np.repeat(["target", "north"], 80)
    options = {"methods": ["pooled ridge"], "n_repeats": 6, "progress": False}
    once = compare(X, y, domain, **options)
    four = [np.repeat(each, 4, axis=0) for each in (X, y, domain)]
    copies = compare(*four, groups=np.repeat(np.arange(160), 4), **options)
    blind = compare(*four, **options)
    honest = copies.summary[1]["ratio_error"] / once.summary[1]["ratio_error"]
    assert 0.6 < honest < 1.7
    assert blind.summary[1]["ratio_error"] < 0.7 * once.summary[1]["ratio_error"]
    assert copies.critical_errors == pytest.approx(once.critical_errors, rel=0.02)


# Records ------------------------------------------------------------------------------------


def figures(comparison):
    rows = [*comparison.by_target, *comparison.source_weights, *comparison.effective_sample_sizes]
    return [[value for value in row.values() if value == value] for row in rows]


@pytest.fixture
def shops(rng):
    X, shop = rng.normal(size=(90, 4)), np.repeat(["north", "south", "west/side"], 30)
    return X, X @ [1.0, 0.5, -1.0, 0.0] + rng.normal(size=90), shop


OPTIONS = {"methods": ["pooled ridge", "UOWQ"], "progress": False}


def test_written_and_in_memory_are_the_same(shops, tmp_path):
    written = compare_each(*shops, n_repeats=3, out=tmp_path, **OPTIONS)
    assert figures(written) == figures(compare_each(*shops, n_repeats=3, **OPTIONS))
    assert len(list(tmp_path.iterdir())) == 3


def test_what_was_cut_off_is_done_again(shops, tmp_path):
    whole = figures(compare_each(*shops, n_repeats=4, **OPTIONS))
    compare_each(*shops, n_repeats=4, out=tmp_path, **OPTIONS)
    first, second, third = sorted(tmp_path.iterdir())
    content = first.read_bytes()
    first.write_bytes(content[: len(content) // 2])
    second.unlink()
    before = third.stat().st_size
    with pytest.warns(UserWarning, match="was cut short"):
        again = compare_each(*shops, n_repeats=4, out=tmp_path, **OPTIONS)
    assert figures(again) == whole
    assert third.stat().st_size == before


def test_more_repeats_and_methods_join(shops, tmp_path):
    compare_each(*shops, n_repeats=2, out=tmp_path, methods=["UOWQ"], progress=False)
    joined = compare_each(*shops, n_repeats=4, out=tmp_path, **OPTIONS)
    assert figures(joined) == figures(compare_each(*shops, n_repeats=4, **OPTIONS))


def test_other_data_are_refused(shops, tmp_path):
    X, y, shop = shops
    compare_each(X, y, shop, n_repeats=2, out=tmp_path, **OPTIONS)
    with pytest.raises(ValueError, match="holds another study"):
        compare_each(X, y + 1, shop, n_repeats=2, out=tmp_path, **OPTIONS)
    with pytest.raises(ValueError, match="holds another study"):
        compare_each(X, y, shop, n_repeats=2, random_state=1, out=tmp_path, **OPTIONS)


def test_classes_are_written_too(shops, tmp_path):
    X, y, shop = shops
    options = {"n_repeats": 2, "methods": ["L2-SP"], "progress": False}
    written = compare_each(X, y > 0, shop, out=tmp_path, **options)
    assert figures(written) == figures(compare_each(X, y > 0, shop, **options))


def test_a_group_named_target(shops):
    X, y, shop = shops
    renamed = np.where(shop == "south", "target", shop)
    expected = compare_each(X, y, shop, n_repeats=2, **OPTIONS)
    found = compare_each(X, y, renamed, n_repeats=2, **OPTIONS)
    by_name = {row["target"]: row["mean"] for row in found.by_target}
    assert by_name["target"] == {r["target"]: r["mean"] for r in expected.by_target}["south"]
    assert {row["source"] for row in found.source_weights} == {"north", "target", "west/side"}


@pytest.mark.slow
def test_a_killed_command_goes_on(tmp_path, shops):
    pytest.importorskip("pandas")
    X, y, shop = shops
    file, out = tmp_path / "data.csv", tmp_path / "out"
    rows = [",".join(map(str, row)) for row in np.column_stack([X, y, shop])]
    file.write_text("\n".join(["a,b,c,d,y,g", *rows]))
    command = [sys.executable, "-m", "skt", "compare", str(file), "--target-column", "y"]
    command += [
        "--domain-column",
        "g",
        "--repeats",
        "150",
        "--methods",
        "pooled ridge",
        "--jobs",
        "1",
        "--out",
        str(out),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    records = out / "records"

    def n_done():
        files = records.glob("*.jsonl") if records.exists() else []
        return sum(len(path.read_bytes().splitlines()) for path in files)

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and n_done() <= 40:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert n_done() > 40
    whole = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    fresh = subprocess.run(
        [*command[:-1], str(tmp_path / "fresh")], capture_output=True, text=True, check=True
    ).stdout
    assert whole.replace(str(out), "") == fresh.replace(str(tmp_path / "fresh"), "")
    for path in records.iterdir():
        for line in path.read_bytes().splitlines():
            json.loads(line)
