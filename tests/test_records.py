"""Records in a file: resumed, extended, recovered, and never mixed."""

import functools
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge

from skt.study import load_records, run_study
from skt.study.describe import describe, differences, scalar_parameters

ROOT = Path(__file__).parents[1]
NOISE = 1.0


def gaussian(rng, slope=1.0):
    X = rng.normal(size=(15, 2))
    return {"X": X, "y": slope * X[:, 0] + NOISE * rng.normal(size=15)}


def squared_norm(fitted, data):
    return fitted.coef_ @ fitted.coef_


def study(out=None, *, designs=None, methods=None, metrics=None, n_repeats=3, **options):
    return run_study(
        designs or {"a": functools.partial(gaussian, slope=0.0), "b": gaussian},
        methods or {"ols": LinearRegression(), "ridge": Ridge()},
        metrics=metrics or {"norm": squared_norm},
        n_repeats=n_repeats,
        out=out,
        **{"random_state": 0, "progress": False} | options,
    )


def same(records, others):
    """Whether all but the times is the same, bit by bit."""
    timeless = [[{**r, "fit_seconds": None} for r in each] for each in (records, others)]
    return repr(timeless[0]) == repr(timeless[1])


@pytest.fixture
def out(tmp_path):
    return tmp_path / "study.jsonl"


# Resumed and extended -----------------------------------------------------------------------


def test_a_file_changes_nothing(out):
    records = study(out)
    assert same(records, study())
    assert load_records(out) == records


def test_a_finished_study_is_not_run_again(out, monkeypatch):
    records = study(out)
    before = out.read_bytes()
    monkeypatch.setattr("skt.study.run._run_cell", lambda cell: pytest.fail("was run"))
    assert study(out) == records
    assert out.read_bytes() == before


def test_more_repeats_are_appended(out):
    study(out, n_repeats=2)
    before = out.read_bytes()
    records = study(out, n_repeats=5)
    assert out.read_bytes().startswith(before)
    assert same(records, study(n_repeats=5))
    assert load_records(out) == records


def test_fewer_repeats_are_a_part(out):
    study(out, n_repeats=5)
    assert same(study(out, n_repeats=2), study(n_repeats=2))
    assert len(load_records(out)) == 5 * 4


def test_designs_and_methods_may_join_and_be_left_out(out):
    study(out, designs={"b": gaussian}, methods={"ridge": Ridge()})
    records = study(out)
    assert same(records, study())
    order = {"b": 0, "a": 1}, {"ridge": 0, "ols": 1}
    joined = sorted(
        records, key=lambda r: (order[0][r["design"]], r["repeat"], order[1][r["method"]])
    )
    assert load_records(out) == joined
    assert same(study(out, methods={"ols": LinearRegression()}), [
        r for r in records if r["method"] == "ols"
    ])  # fmt: skip


def test_the_order_of_metrics_is_that_of_the_call(out):
    metrics = {"norm": squared_norm, "first": lambda fitted, data: fitted.coef_[0]}
    study(out, metrics=metrics, n_repeats=2)
    turned = dict(reversed(metrics.items()))
    assert same(study(out, metrics=turned), study(metrics=turned))
    assert same(load_records(out), study(metrics=metrics))


def test_an_interrupted_study_goes_on(out):
    def interrupted(data):
        if interrupted.left == 0:
            raise KeyboardInterrupt
        interrupted.left -= 1
        return Ridge().fit(data["X"], data["y"])

    interrupted.left = 4
    methods = {"ols": LinearRegression(), "ridge": interrupted}
    with pytest.raises(KeyboardInterrupt):
        study(out, methods=methods)
    assert len(load_records(out)) == 2 * 4 + 1
    interrupted.left = 100
    assert same(study(out, methods=methods), study())


def test_fresh_seed_is_taken_from_the_file(out):
    first = study(out, random_state=None, n_repeats=2)
    assert study(out, random_state=None, n_repeats=3)[:4] == first[:4]
    assert not same(first, study(random_state=None, n_repeats=2))


@pytest.mark.parametrize("seed", [[1, 2], np.random.SeedSequence(3, spawn_key=(4,))])
def test_seeds_of_any_kind(out, seed):
    records = study(out, random_state=seed)
    assert same(records, study(random_state=seed))
    assert same(study(out, random_state=seed), load_records(out))


def test_values_that_are_no_finite_numbers(out):
    metrics = {
        "nan": lambda fitted, data: math.nan,
        "inf": lambda fitted, data: -math.inf,
        "none": lambda fitted, data: None,
        "third": lambda fitted, data: np.float64(1) / 3,
    }
    records = study(out, metrics=metrics)
    assert repr(load_records(out)) == repr(records)
    assert [repr(r["value"]) for r in records[:4]] == ["nan", "-inf", "None", repr(1 / 3)]
    # Not only Python reads it: no number that JSON does not know.
    assert "NaN" not in out.read_text() and "Infinity" not in out.read_text()  # noqa: PT018


def test_value_that_is_no_number_is_an_error_in_a_file(out):
    records = study(out, metrics={"set": lambda fitted, data: {1, 2}, "norm": squared_norm})
    assert math.isnan(records[0]["value"])
    assert "the metric returned set, but records in a file hold numbers" in records[0]["error"]
    assert records[1]["error"] == ""
    arrays = study(out.with_name("2"), metrics={"a": lambda fitted, data: [np.arange(2)]})
    assert "the metric returned list, but" in arrays[0]["error"]


def test_lists_and_dicts_are_kept(out):
    value = {"rows": [1, 2], "loss": [1 / 3, 0.1], "of": {"a": None, "b": "c"}}
    records = study(out, metrics={"dict": lambda fitted, data: value})
    assert records[0]["value"] == value
    assert load_records(out) == records


def test_failures_and_warnings_are_kept(out):
    def broken(data):
        raise RuntimeError('no "luck"\nat all')

    records = study(out, methods={"broken": broken})
    assert {r["error"] for r in load_records(out)} == {'RuntimeError: no "luck"\nat all'}
    assert repr(load_records(out)) == repr(records)


# Recovered ----------------------------------------------------------------------------------


def test_a_last_line_cut_anywhere_is_recovered(out):
    complete = study(out)
    content = out.read_bytes()
    start = content.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(start + 1, len(content), 7):
        out.write_bytes(content[:end])
        with pytest.warns(UserWarning, match="was cut short, as happens when a study is killed"):
            assert same(study(out), complete)
    assert study(out) == load_records(out)


def test_garbage_at_the_end_is_recovered(out):
    complete = study(out)
    with out.open("ab") as handle:
        handle.write(b"\0\0\0\0\n")
    with pytest.warns(UserWarning, match="It is left out"):
        assert load_records(out) == complete
    with pytest.warns(UserWarning, match="It is removed, and run again"):
        assert study(out) == complete
    assert load_records(out) == complete


def test_a_header_cut_short_is_begun_again(out):
    complete = study(out)
    out.write_bytes(out.read_bytes()[:30])
    with pytest.raises(ValueError, match="holds no study"):
        load_records(out)
    with pytest.warns(UserWarning, match="cut short"):
        assert same(study(out), complete)


def test_a_broken_line_in_the_middle_is_an_error(out):
    study(out)
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join([*lines[:3], lines[3][:20] + b"\n", *lines[4:]]))
    with pytest.raises(ValueError, match=r"line 4 of .* cannot be read, and it is not the last"):
        study(out)


# Never mixed --------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "no newline", "{}\n"])
def test_a_file_of_something_else_is_left_alone(out, content):
    out.write_text(content)
    with pytest.raises(ValueError, match="exists and holds no records of a study"):
        study(out)
    assert out.read_text() == content


def changed_slope():
    return {"designs": {"a": functools.partial(gaussian, slope=2.0), "b": gaussian}}


def changed_code():
    def gaussian(rng, slope=1.0):
        return {"X": rng.normal(size=(16, 2)), "y": rng.normal(size=16)}

    return {"designs": {"b": gaussian}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"random_state": 1}, "random_state: entropy is 1, in the file 0"),
        (changed_slope(), r"designs\['a'\], slope is 2.0, in the file 0.0"),
        (changed_code(), r"designs\['b'\], code has changed"),
        ({"methods": {"ridge": Ridge(3)}}, r"methods\['ridge'\], alpha is 3, in the file 1.0"),
        ({"methods": {"ols": Ridge()}}, r"methods\['ols'\], type is \"Ridge\", in the file \"Lin"),
        ({"metrics": {"x": squared_norm}}, r"metrics x is .* in the file absent"),
        ({"designs": {"c": gaussian}}, "it has none of these designs, but 'a', 'b'"),
        ({"methods": {"lasso": Ridge()}}, "it has none of these methods, but 'ols', 'ridge'"),
    ],
)
def test_another_study_is_refused_and_left_alone(out, change, message):
    study(out)
    before = out.read_bytes()
    with pytest.raises(ValueError, match="holds another study, and records must not be mixed") as e:
        study(out, **change)
    assert re.search(message, str(e.value))
    assert out.read_bytes() == before


def test_changed_constant_of_a_module_is_a_changed_design(out, monkeypatch):
    study(out)
    monkeypatch.setattr(sys.modules[__name__], "NOISE", 2.0)
    with pytest.raises(ValueError, match=r"designs\['b'\], code has changed"):
        study(out)


def test_another_python_is_named_where_code_seems_to_have_changed(out, monkeypatch):
    study(out)
    out.write_text(out.read_text().replace('"python": "3.', '"python": "2.'))
    assert study(out)
    with pytest.raises(ValueError, match=r"written by Python 2\.\S+, this is 3"):
        study(out, **changed_code())


def test_many_differences_are_cut_short(out):
    many = {f"d{i}": functools.partial(gaussian, slope=float(i)) for i in range(9)}
    study(out, designs=many, n_repeats=1)
    others = {f"d{i}": functools.partial(gaussian, slope=-1.0) for i in range(9)}
    with pytest.raises(ValueError, match="; and 4 more"):
        study(out, designs=others, n_repeats=1)


def test_a_file_that_another_process_writes(out):
    pytest.importorskip("fcntl")
    study(out)
    code = (
        "import fcntl, sys\n"
        "handle = open(sys.argv[1] + '.lock', 'ab'); fcntl.lockf(handle, fcntl.LOCK_EX)\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    run = [sys.executable, "-c", code, str(out)]
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(BlockingIOError, match="is being written by another process"):
            study(out)
        assert load_records(out)  # looking is allowed
        other.stdin.close()
    assert study(out)


def test_one_line_for_each_cell(out):
    study(out, metrics={"norm": squared_norm, "first": lambda fitted, data: fitted.coef_[0]})
    header, *lines = map(json.loads, out.read_text().splitlines())
    assert header["format"] == "scikit-transfer study 1"
    assert len(lines) == 2 * 2 * 3
    assert set(lines[0]["values"]) == {"norm", "first"}


# Descriptions -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Design:
    n: int
    name: str = "x"

    def __call__(self, rng):
        return {"X": rng.normal(size=(self.n, 2)), "y": rng.normal(size=self.n)}


class Plain:
    def __init__(self, n):
        self.n, self._hidden = n, object()

    def __call__(self, rng):
        return rng


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Design(3), Design(4)),
        (Plain(3), Plain(4)),
        (Ridge(), Ridge(alpha=2)),
        (functools.partial(gaussian, 1), functools.partial(gaussian, 2)),
        (functools.partial(max, key=abs), functools.partial(min, key=abs)),
        (lambda x: x + 1, lambda x: x + 2),
        (lambda x: x.a, lambda x: x.b),
        (lambda x=1: x, lambda x=2: x),
        (lambda *, x=1: x, lambda *, x=2: x),
        (lambda x: [i for i in x if i > 1], lambda x: [i for i in x if i > 2]),
        (lambda x: x in {"a", "b"}, lambda x: x in {"a", "c"}),
        (Design(3).__call__, Design(4).__call__),
        (Ridge(alpha=np.arange(3)), Ridge(alpha=np.arange(1, 4))),
        (Ridge(alpha=math.nan), Ridge(alpha=math.inf)),
        (functools.cache(lambda: 1), functools.cache(lambda: 2)),
        ({1, 2}, {1, 3}),
    ],
)
def test_what_differs_is_described_differently(one, other):
    assert differences(describe(one), describe(other))
    assert not differences(describe(one), json.loads(json.dumps(describe(one))))


def test_closed_over_values_count():
    def make(slope):
        return lambda rng: slope

    assert describe(make(1)) == describe(make(1))
    assert describe(make(1)) != describe(make(2))


def test_things_that_hold_themselves_have_an_end():
    def calls_itself(n):
        return calls_itself(n - 1) if n else 0

    loop = Plain(1)
    loop.n = loop
    assert describe(calls_itself) == describe(calls_itself)
    assert describe(loop)["n"] == {"type": "Plain"}


def test_what_a_frozen_estimator_learned_counts():
    X, y = np.eye(3), np.arange(3.0)
    models = [Ridge().fit(X, y), Ridge().fit(X, 2 * y), Ridge().fit(X, y)]
    one, other, same = (describe(FrozenEstimator(model)) for model in models)
    assert one == same
    assert differences(one, other, "it") == ["it learned content has changed"]
    assert describe(models[0]) == describe(models[1])  # these are fitted anew


def test_scalar_parameters():
    assert scalar_parameters(functools.partial(gaussian, slope=np.float64(2.0))) == {"slope": 2.0}
    assert scalar_parameters(Design(3)) == {"n": 3, "name": "x"}
    assert scalar_parameters(Plain(np.ones(3))) == {}
    assert scalar_parameters(gaussian) == {}


DESCRIBED = """
import functools
from skt.study.describe import describe
def helper(x): return x in {"one", "two", "three"}
def design(rng, kinds=frozenset(["a", "b", "c"])): return helper(rng)
print(describe(functools.partial(design, kinds={"x", "y", "z"})))
"""


def test_descriptions_do_not_depend_on_the_process():
    runs = [
        subprocess.run(
            [sys.executable, "-c", DESCRIBED],
            cwd=ROOT, env={"PYTHONHASHSEED": str(seed)}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in (1, 2)
    ]  # fmt: skip
    assert runs[0] == runs[1]


# Killed -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fifty_kills_at_random_moments_lose_the_running_cells_only(tmp_path):
    script = ROOT / "tests" / "scripts" / "killed_study.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "50"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["same"]
    assert facts["kills"] == 50
    assert facts["most_lost_by_one_kill"] <= 1
    assert facts["begun"] <= facts["cells"] + facts["kills"]


# Writers ------------------------------------------------------------------------------------


def test_a_reader_in_the_writing_process_keeps_the_lock(out):
    """A POSIX lock on the file itself would be lost as soon as a reader closes it."""
    code = (
        "import sys; from skt.study.records import Study, open_records\n"
        "with open_records(sys.argv[1], Study({}, {'a': None}, {'b': None}, {}, {'a': {}})): pass"
    )

    looked = []

    def looks(fitted, data):
        load_records(out)
        if len(looked) > 1:
            return 1.0
        looked.append(fitted)
        other = subprocess.run([sys.executable, "-c", code, str(out)], capture_output=True)
        return float(b"is being written by another process" in other.stderr)

    records = study(out, metrics={"refused": looks}, n_repeats=1)
    assert [record["value"] for record in records] == [1.0] * len(records)
    assert not out.with_name(f"{out.name}.lock").exists()


def test_a_second_writer_in_the_same_process_is_refused(out):
    def writes(fitted, data):
        study(out)

    (record, *_) = study(out, metrics={"second": writes}, n_repeats=1)
    assert "is being written by this process already" in record["error"]
    assert load_records(out)


def test_cells_that_are_there_twice_count_once(out):
    records = study(out)
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join([*lines, *lines[2:5]]))
    with pytest.warns(UserWarning, match="holds 3 cells more than once"):
        assert load_records(out) == records
    with pytest.warns(UserWarning, match="more than once"):
        assert study(out) == records
