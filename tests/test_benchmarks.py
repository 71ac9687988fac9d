"""The harness of the benchmarks: what is run, written, shown and skipped."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LinearRegression, Ridge

from benchmarks import (
    data,
    evidence,
    hold_out,
    l2sp_classes,
    l2sp_fresh,
    peers,
    registry,
    report,
    simulation,
    smart_paper,
    smart_reference,
    timing,
)
from benchmarks.harness import Costs, Run, Study, command, execute, load
from skt import reproductions
from skt.datasets import make_spectral_transfer
from skt.reproductions import Figure, Reproduction
from skt.study import load_records

ROOT = Path(__file__).parents[1]


def regression(rng, slope):
    X = rng.normal(size=(20, 2))
    coef = np.array([slope, 0.0])
    y = X @ coef + rng.normal(size=20)
    return {"X": X, "y": y, "coef": coef, "covariance": np.eye(2)}


def a_study(**changes):
    ratios = simulation.Report("ols")
    fields = {
        "name": "tiny",
        "question": "Does it run?",
        "designs": {f"slope|{s}": partial(regression, slope=float(s)) for s in (0, 1)},
        "methods": {"ols": LinearRegression(), "ridge": Ridge(100.0)},
        "metrics": simulation.METRICS,
        "report": ratios,
        "show": ratios.show,
        "repeats": 5,
    }
    return Study(**fields | changes)


def test_study_is_printed_and_written_with_its_setting(tmp_path, capsys):
    result = execute(a_study(), Run(4, seed=3), results=tmp_path)
    assert load("tiny", tmp_path) == json.loads(json.dumps(result))
    assert {"python", "versions", "machine", "processors"} <= set(result["setting"])
    assert (result["setting"]["seed"], result["setting"]["repeats"]) == (3, 4)
    ridge = next(row for row in result["rows"] if row["method"] == "ridge")
    assert ridge["columns"].keys() == {"0", "1"}
    assert ridge["columns"]["0"] < 1 < ridge["columns"]["1"]
    assert "4 repeats a setting, seed 3, relative to ols; 0 failures" in capsys.readouterr().out


def test_part_of_a_study_is_printed_and_not_written(tmp_path, capsys):
    result = execute(a_study(), Run(2, only=("*0",)), results=tmp_path)
    assert result["rows"][0]["columns"].keys() == {"0"}
    assert "| slope | ridge |" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_records_are_kept_where_it_is_wanted(tmp_path):
    run = Run(2, records=tmp_path)
    result = execute(a_study(), run, results=tmp_path)
    assert len(load_records(tmp_path / "tiny.jsonl")) == 2 * 2 * 2 * 3
    assert execute(a_study(), run, results=tmp_path)["rows"] == result["rows"]


def test_part_that_does_not_exist(tmp_path):
    with pytest.raises(ValueError, match=r"--only must match one of slope\|0, slope\|1; got"):
        execute(a_study(), Run(2, only=("none",)), results=tmp_path)


def test_costs_are_held_against_their_bars(tmp_path, capsys):
    costs = Costs(
        "fast",
        "How fast?",
        {"one": lambda repeats: {"good": 0.5, "bad": 2.0}, "two": lambda repeats: {"n": repeats}},
        bars={"good": 1.0, "bad": 1.0},
    )
    result = execute(costs, Run(3), results=tmp_path)
    assert result["missed"] == ["bad"]
    assert result["figures"]["n"] == 3
    assert "| bad | 2 | 1 **missed** |" in capsys.readouterr().out


def test_things_are_timed_in_turns():
    calls, ticks = [], iter(range(100))
    times = timing.in_turns(
        lambda: calls.append("a"), lambda: calls.append("b"), repeats=2, clock=lambda: next(ticks)
    )
    assert calls == list("ababab")
    assert times == (1, 1)


def test_command_lists_and_runs_what_is_named(capsys, monkeypatch, tmp_path):
    run = []
    monkeypatch.setattr("benchmarks.harness.execute", lambda each, how: run.append((each, how)))
    assert not command([a_study()], ["--list"])
    assert capsys.readouterr().out == "tiny  Does it run?\n"
    folder = str(tmp_path / "new")
    command([a_study()], ["ny", "--repeats", "7", "--jobs", "1", "--records", folder], prefix="ti")
    assert run[0][1].records == tmp_path / "new"
    assert command([a_study()], [])
    assert [(each.name, how.repeats, how.jobs) for each, how in run] == [
        ("tiny", 7, 1),
        ("tiny", 5, 2),
    ]


def test_unknown_benchmark():
    with pytest.raises(SystemExit, match="no benchmark 'none'; --list shows them"):
        command([a_study()], ["none"])


def test_names_are_unique_and_every_table_has_a_page():
    names = [each.name for each in registry.benchmarks()]
    assert len(set(names)) == len(names)
    paths = [*report.DOCS.glob("*.md"), report.DOCS.parent / "README.md"]
    pages = "".join(path.read_text(encoding="utf-8") for path in paths)
    assert not [name for name in registry.tables() if f"<!-- {name} -->" not in pages]


def test_tables_are_filled_between_their_marks():
    page = "before\n<!-- t -->\nold\nold\n<!-- end -->\nafter"
    made = "before\n<!-- t -->\nnew\n<!-- end -->\nafter"
    assert report.filled(page, {"t": lambda: "new"}) == (made, [])
    with pytest.raises(ValueError, match="there is no table 't'; there are u"):
        report.filled(page, {"u": str})


def test_stale_pages_are_found_and_written(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("<!-- t -->\nold\n<!-- end -->\n")
    (tmp_path / "other.md").write_text("no table\n")
    monkeypatch.setattr(registry, "tables", lambda: {"t": lambda: "new"})
    assert list(report.stale(tmp_path)[0]) == [page]
    report.write(tmp_path)
    assert page.read_text() == "<!-- t -->\nnew\n<!-- end -->\n"
    assert report.stale(tmp_path) == ({}, [])


def test_table_whose_results_are_missing_stays_and_is_said(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text("<!-- t -->\nold\n<!-- end -->\n<!-- u -->\nold\n<!-- end -->\n")
    tables = {"t": lambda: load("nothing", tmp_path), "u": lambda: "new"}
    monkeypatch.setattr(registry, "tables", lambda: tables)
    report.write(tmp_path)
    assert page.read_text() == "<!-- t -->\nold\n<!-- end -->\n<!-- u -->\nnew\n<!-- end -->\n"
    assert "nothing.json is not there; run python -m benchmarks nothing" in capsys.readouterr().err
    monkeypatch.setattr(report, "stale", lambda: ({page: ""}, ["nothing is there"]))
    monkeypatch.setattr(sys, "argv", ["report", "--check"])
    with pytest.raises(SystemExit, match=r"page\.md is stale.*\nnothing is there"):
        report.main()


def test_result_that_was_never_made(tmp_path):
    with pytest.raises(FileNotFoundError, match="run python -m benchmarks nothing"):
        load("nothing", tmp_path)


def test_command_of_a_module_knows_its_own_names():
    run = [sys.executable, "-m", "benchmarks.uowq_risk", "wide", "--list"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    assert {line.split("_")[0] for line in done.stdout.splitlines()} == {"uowq"}


# Real data and peers ------------------------------------------------------------------------


def test_diabetes_as_the_design_of_a_study(tmp_path):
    designs = {"diabetes": data.Samples(data.diabetes)}
    found = hold_out.Report(designs, "pooled ridge", least_wins=1)
    study = a_study(
        designs=designs,
        methods={name: hold_out.RIVALS[name] for name in (hold_out.BASELINE, "pooled ridge")},
        metrics=hold_out.METRICS,
        report=found,
        show=found.show,
    )
    result = execute(study, Run(3), results=tmp_path)
    facts = result["data_sets"]["diabetes"]
    assert (facts["n_rows"], facts["n_groups"], facts["n_repeats"]) == (442, 6, 3)
    pooled = facts["methods"][1]
    assert pooled["ratio"] == pytest.approx(pooled["loss"] / facts["methods"][0]["loss"])
    assert found.verdict(result["bar"]).startswith("Bar")


def test_a_sample_holds_no_test_row():
    table = data.GroupedTable(np.eye(30), np.arange(30.0), np.repeat(["a", "b"], 15), n_train=4)
    split = table.draw(np.random.default_rng(0))
    assert len(split.rows("target")) == 4
    assert not set(split.y) & set(split.y_test)
    assert sorted([*split.y, *split.y_test]) == list(range(30))


def test_only_the_groups_named_are_targets():
    groups = np.repeat(["a", "b", "few"], [20, 20, 5])
    table = data.GroupedTable(np.eye(45), np.ones(45), groups, n_train=5)
    assert list(table.targets) == ["a", "b"]
    one = data.GroupedTable(np.eye(45), np.ones(45), groups, 5, may_be_target=("b",))
    assert list(one.targets) == ["b"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load_table", "shape", "n_groups"),
    [
        (data.diabetes, (442, 10), 6),
        (data.ames, (2767, 114), 19),
        (data.county_murders, (34966, 11), 33),
        (data.county_murders_but_one, (34965, 11), 33),
        (data.exam, (4059, 10), 65),
        (data.meats, (215, 100), 2),
        (data.chicago, (3858, 47), 2),
        (data.tissues, (189, 480), 7),
        (data.handwritten_digits, (6797, 64), 2),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_real_data_have_the_sizes_stated(load_table, shape, n_groups):
    try:
        table = load_table()
    except ImportError as error:
        pytest.skip(str(error))
    assert table.X.shape == shape
    assert np.isfinite(table.X).all()
    assert len(np.unique(table.groups)) == n_groups
    split = table.draw(np.random.default_rng(0))
    assert len(split.rows("target")) == table.n_train


def a_peer(module, **changes):
    return peers.Peer("rival", "a-package", (module,), LinearRegression, **changes)


def test_peer_that_is_not_installed_is_skipped_and_said(capsys, tmp_path):
    missing = a_peer("no_such_module")
    assert peers.installed(missing, a_peer("numpy")) == {"rival": LinearRegression}
    assert peers.installed(missing) == {}
    result = execute(a_study(peers=(missing,)), Run(2), results=tmp_path)
    assert result["setting"]["peers"] == {"rival": "a-package is not installed; skipped"}
    assert "rival: a-package is not installed; skipped" in capsys.readouterr().err


def test_peer_with_a_stand_in_takes_part():
    peer = a_peer("no_such_module", stand_in="its formula stands in")
    assert peers.installed(peer) == {"rival": LinearRegression}
    assert peer.state() == "a-package is not installed; its formula stands in"


@pytest.mark.parametrize("n_outputs", [None, 2])
def test_regular_transfer_pulls_towards_the_sources(n_outputs, rng):
    shape = (60,) if n_outputs is None else (60, n_outputs)
    X = rng.normal(size=(60, 3))
    y = np.broadcast_to((X @ [1.0, 2.0, 3.0]).reshape(60, *[1] * (len(shape) - 1)), shape)
    domain = np.repeat(["target", "source"], [10, 50])
    fitted = peers.regular_transfer(data.Split(X, y.copy(), domain, X, y))
    np.testing.assert_allclose(fitted.predict(X), y, atol=1e-6)


def test_skada_where_it_is_installed():
    pytest.importorskip("skada", reason="skada is not installed")
    split = data.diabetes().draw(np.random.default_rng(0))
    before = split.y.copy()
    assert hold_out.relative_loss(peers.reweighted_sources(split), split) < 1
    np.testing.assert_array_equal(split.y, before)
    assert not sklearn.get_config()["enable_metadata_routing"]


def test_labels_for_skada_are_signs():
    signs = peers._signs(np.array(["b", "target", "a"]))
    assert signs[1] < 0 < signs[2] < signs[0]


def test_stored_outputs_of_others(tmp_path):
    path = tmp_path / "theirs.npz"
    np.savez(path, X=np.eye(2), C_bic=np.ones(2), meta=json.dumps({"seconds": 3}))
    stored = peers.stored_data(path)
    assert stored.meta == {"seconds": 3}
    np.testing.assert_array_equal(peers.stored_output("C_bic")(stored).coef_, np.ones(2))
    assert peers.stored_data(tmp_path / "none.npz") is None
    assert isinstance(peers.stored_output("X")(stored), SimpleNamespace)


def test_commands_of_the_claims_exist():
    names = {benchmark.name for benchmark in registry.benchmarks()} | set(reproductions.REGISTRY)
    for claim in evidence.CLAIMS:
        _, _, module, *words = claim.command.split()
        assert module in ("skt", "benchmarks")
        assert set(words) - {"reproduce"} <= names


def test_verdicts_follow_the_results(monkeypatch):
    static, dynamic = ({"method": m, "mean": 0.5, "worst": 0.9} for m in (evidence.STATIC, "x"))
    results = {"rows": [static, dynamic | {"method": evidence.DYNAMIC, "mean": 0.4}]}
    monkeypatch.setattr(evidence, "load", lambda name: results)
    claim = next(claim for claim in evidence.CLAIMS if "dynamic" in claim.says)
    assert claim.verdict() == evidence.CONFIRMED
    results["rows"][1]["mean"] = 0.6
    assert claim.verdict() == evidence.REFUTED
    assert "0.60, at worst 0.90" in claim.figure()


def test_result_without_the_row_asked_for():
    with pytest.raises(KeyError, match="has no row"):
        evidence.row("uowq_equal-400", "no such method")


# L2-SP ----------------------------------------------------------------------------------------


def test_fresh_settings_are_always_the_same_and_in_their_ranges():
    drawn = l2sp_fresh.settings()
    assert list(drawn) == list(l2sp_fresh.settings())
    assert len(drawn) == l2sp_fresh.N_SETTINGS
    for setting in drawn.values():
        assert 10 <= setting.p <= 150
        assert 10 <= setting.n_target <= 300
        assert 1 <= len(setting.sources) <= 4
        assert all(20 <= n <= 500 for n, *_ in setting.sources)
    correlated = [setting.correlation > 0 for setting in drawn.values()]
    assert 10 < sum(correlated) < 30


def test_a_fresh_sample_has_the_relations_it_names():
    setting = l2sp_fresh.Setting(6, 4000, 0.5, 0.8, ((4000, -0.5, 0.3, 1.0),))
    sample = setting(np.random.default_rng(0))
    assert np.linalg.norm(sample.coef) == pytest.approx(1)
    assert sample.source_coef[0] @ sample.coef == pytest.approx(-0.5)
    assert np.linalg.norm(sample.source_coef[0] + 0.5 * sample.coef) == pytest.approx(0.3)
    X = sample.X[sample.sample_domain == "target"]
    assert np.allclose(np.cov(X.T), sample.covariance, atol=0.1)
    found = l2sp_fresh.oracle(sample).coef_
    assert np.allclose(found, sample.coef, atol=0.06)


def test_samples_of_classes_hold_every_class_twice():
    rng = np.random.default_rng(0)
    for name in ("12 rows|unrelated", "40 rows, 3 classes|related"):
        sample = l2sp_classes.DESIGNS[name](rng)
        target = sample.y[sample.sample_domain == "target"]
        assert np.unique(target, return_counts=True)[1].min() >= 2
        assert sample.X_test.shape == (2000, 20)


def test_classes_are_reported_with_their_bar(tmp_path):
    few = {name: l2sp_classes.DESIGNS[name] for name in ("30 rows|related",)}
    study = replace(l2sp_classes.BENCHMARKS[0], designs=few)
    result = execute(study, Run(2), results=tmp_path)
    assert result["bar"]["worst"] == result["settings"][0]["ratio"] < 1
    assert "Bar met: on its worst setting" in study.show(result)
    assert l2sp_classes.by_setting(result).splitlines()[2].startswith("| 30 rows, related | 0.")
    assert {row["method"] for row in result["by_errors"]} == set(l2sp_classes.METHODS)


@pytest.mark.slow
def test_classes_of_real_data_have_the_sizes_stated():
    try:
        tables = data.two_digits(4, 9), data.contraception()
    except ImportError as error:
        pytest.skip(str(error))
    assert [table.X.shape[1] for table in tables] == [64, 6]
    assert (len(tables[1].X), len(np.unique(tables[1].groups))) == (1934, 60)
    for table in tables:
        assert set(table.y) <= {0.0, 1.0, 4, 9}
        split = l2sp_classes.Real(lambda table=table: table)(np.random.default_rng(0))
        assert len(split.rows("target")) == 20


# Experiments of a paper ---------------------------------------------------------------------


def test_experiments_are_held_against_what_was_reported(tmp_path, monkeypatch, capsys):
    figures = [Figure("one", 1.0, 0.1, 1.1, 0.1), Figure("other", 1.0, 0.1, 2.0, 0.1)]
    fields = {"designs": {"slope": partial(regression, slope=1.0)}, "methods": {"ols": np.size}}
    fields |= {"metrics": {"rmse": lambda fitted, data: 1.0}, "n_repeats": 9}
    tiny = Reproduction("Nobody (2026)", figures=lambda records, n_repeats: figures, **fields)
    monkeypatch.setattr(smart_paper.reproductions, "load", lambda name: tiny)
    benchmark = smart_paper.Experiments(("smart-tiny",), "tiny", "Does it agree?")
    result = execute(benchmark, Run(3, records=tmp_path), results=tmp_path)
    assert load("tiny", tmp_path)["experiments"].keys() == {"smart-tiny"}
    (means,) = result["experiments"]["smart-tiny"]["means"]
    assert (means["design"], means["mean"], means["standard_error"]) == ("slope", 1.0, 0.0)
    assert len(load_records(tmp_path / "smart-tiny.jsonl")) == 3
    out = capsys.readouterr().out
    assert "3 repeats, 0 failures: 1 of 2 figures agree within 2 standard errors" in out
    assert "| smart-tiny | other | 1.000 | 2.000 ± 0.100 | **no** |" in out


# Authors' outputs ---------------------------------------------------------------------------


def stored_case(folder, n=40, p=12, q=8):
    """Write what an author's code might have returned: at penalties, and after a selection."""
    drawn = make_spectral_transfer(n, p, q, rank=2, source_rank=3, random_state=0)
    X, Y = drawn.X - drawn.X.mean(axis=0), drawn.y - drawn.y.mean(axis=0)
    U, d, Vt = np.linalg.svd(drawn.coef.T + 0.2)
    estimate = U[:, :2] * d[:2] @ Vt[:2]
    runs = [{"lam": lam, "ridge_cpu_seconds": 0.5} for lam in (0.1, 1.0)]
    meta = {"n": n, "rank": 2, "structural_rank": 3, "fixed_lambda": runs}
    meta["full_selection"] = {"cpu_seconds": 1000.0}
    arrays = {"X": X, "Y": Y, "C0": drawn.source_coef.T, "C_true": drawn.coef.T}
    arrays |= dict.fromkeys(("C_lam_0.1", "C_lam_1.0", "C_bic", "C_full"), estimate)
    np.savez(folder / "smart_one.npz", meta=json.dumps(meta), **arrays)
    return SimpleNamespace(estimate=estimate, **arrays)


def test_authors_outputs_are_held_against_ours(tmp_path, capsys):
    theirs = stored_case(tmp_path)
    benchmark = smart_reference.Reference(tmp_path)
    result = execute(benchmark, Run(1), results=tmp_path)
    assert load("smart_reference", tmp_path)["missed"] == result["missed"] == []
    assert [row["penalty"] for row in result["fixed"]] == [0.1, 1.0]
    one, other = (np.diff(row["objective"])[0] for row in result["fixed"])
    assert max(one, other) < 0
    error = 100 * np.sqrt(np.mean((theirs.estimate - theirs.C_true) ** 2))
    errors = result["selection"][0]["errors"]
    assert errors["authors, whole selection"] == pytest.approx(error)
    assert result["fixed"][0]["error"][0] == pytest.approx(error)
    assert errors["SMART (default)"] < error
    assert result["cost"]["authors / RidgeCV"] == [2000.0]
    assert "| one, n=40 | 0.1 |" in capsys.readouterr().out


def test_objective_of_authors_outputs_is_the_papers(tmp_path):
    theirs = stored_case(tmp_path)
    case = smart_reference.Case.read(tmp_path / "smart_one.npz")
    U0, _, V0t = np.linalg.svd(theirs.C0)
    U, _, Vt = np.linalg.svd(theirs.estimate)
    outside = np.abs(U0[:, 3:].T @ U[:, :2]).sum() + np.abs(V0t[3:] @ Vt[:2].T).sum()
    loss = np.sum((theirs.Y - theirs.X @ theirs.estimate) ** 2) / 80
    found = case.objective(case.their_factors(0.1), 0.1)
    np.testing.assert_allclose(found, loss + 0.1 * outside, rtol=1e-10)


def test_without_the_authors_outputs_there_is_one_case(tmp_path):
    benchmark = smart_reference.Reference()
    assert not benchmark.complete
    (path,) = benchmark.paths()
    case = smart_reference.Case.read(path)
    (known, *_), row = case.stored.meta["fixed_lambda"], smart_reference._at(case, 0.01)
    assert row["objective"][0] == pytest.approx(known["objective"], rel=1e-6)
    assert row["objective"][1] <= known["objective"] * (1 + 1e-6)
    assert row["error"][0] == pytest.approx(100 * known["rmse"], rel=1e-5)
    assert smart_reference.after_selection(case) == []
    with pytest.raises(FileNotFoundError, match=r"SKT_SMART_REFERENCE names .* unset it"):
        smart_reference.Reference(tmp_path).paths()


def test_what_lacks_its_data_is_not_written(tmp_path, capsys):
    benchmark = SimpleNamespace(
        name="part", complete=False, peers=(), measure=lambda run: {}, show=lambda result: "shown"
    )
    execute(benchmark, Run(1), results=tmp_path)
    assert "shown" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
