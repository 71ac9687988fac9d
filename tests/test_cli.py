"""``python -m skt compare``: files in, tables out, one clear line for input that is wrong."""

import csv
import re
import sys
import types
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin

from skt import as_sample_domain, compare
from skt.choice import methods
from skt.cli.main import main
from skt.estimators.uowq import UOWQRegressor
from skt.sources import split_domains

QUICK = ["--methods", "pooled ridge", "--repeats", "3"]


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = 160
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=["age", "bmi", "dose"])
    frame["sex"] = rng.choice(["f", "m"], size=n)
    frame["country"] = np.repeat(["FR", "DE", "IT"], [40, 60, 60])
    frame["outcome"] = frame["age"] + (frame["sex"] == "m") + 0.5 * rng.normal(size=n)
    return frame


@pytest.fixture
def run(tmp_path, capsys):
    """Write a table, run the command on it, return exit code, stdout and stderr."""

    def run(frame, *argv, suffix=".csv", columns=("outcome", "country")):
        path = tmp_path / f"data{suffix}"
        frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path, index=False)
        y, domain = columns
        options = ["--target-column", y, "--domain-column", domain]
        code = main(["compare", str(path), *options, *QUICK, *argv])
        return code, *capsys.readouterr()

    return run


def longest(out):
    """Return the length of the longest line but the file's path, which may have any."""
    return max(len(line) for line in out.splitlines() if "data.csv" not in line)


def loss_line(out):
    return next(line for line in out.splitlines() if line.startswith("pooled ridge "))


def test_one_target(run, frame):
    code, out, err = run(frame, "--target", "FR")
    assert code == 0
    assert "the target is FR; 20 of its rows" in out
    assert "one-hot encoded sex" in out
    loss, _, ratio, _, low, high = map(float, loss_line(out).split()[2:])
    assert loss > 0
    assert low < ratio < high
    assert "target-only ridge's error" in " ".join(out.split())
    assert "error:" not in err


def test_command_and_function_agree(run, frame, tmp_path):
    run(frame, "--target", "FR", "--out", str(tmp_path / "out"))
    X = frame[["age", "bmi", "dose"]].assign(sex=(frame["sex"] == "m").astype(float))
    domain = as_sample_domain(frame["country"], target="FR")
    options = {"methods": ["pooled ridge"], "n_repeats": 3, "progress": False}
    expected = compare(X, frame["outcome"], domain, **options).summary
    with (tmp_path / "out" / "table.csv").open() as file:
        for row, mine in zip(csv.DictReader(file), expected, strict=True):
            assert row.pop("method") == mine.pop("method")
            # To the last digits, in which old pandas reads other numbers than were written.
            assert {k: float(v) for k, v in row.items()} == pytest.approx(mine, rel=1e-6)


def test_an_estimator_of_scikit_learn(run, frame):
    code, out, _ = run(frame, "--target", "FR", "--estimator", "DecisionTreeRegressor")
    assert code == 0
    for way in ("target-only", "pooled", "OTQMS", "weighted"):
        assert f"\n{way} DecisionTreeRegressor" in out
    code, _, err = run(frame, "--estimator", "DecisionTree")
    assert code == 2
    assert "error: --estimator must be a regressor of scikit-learn, not 'DecisionTree'" in err


def test_classes(run, frame, tmp_path):
    pytest.importorskip("matplotlib")
    logistic = ("--methods", "pooled logistic")
    folder = tmp_path / "out"
    frame["outcome"] = np.where(frame["outcome"] > 0.5, "ill", "well")
    code, out, _ = run(frame, "--target", "FR", *logistic, "--out", str(folder))
    assert code == 0
    assert "loss: log loss on held-out target rows" in out
    assert out.splitlines()[4].split()[-1] == "accuracy"
    accuracies = [float(line.split()[-1]) for line in out.splitlines() if "logistic  " in line]
    assert len(accuracies) == 2
    assert all(0.4 < accuracy < 1 for accuracy in accuracies)
    assert "accuracy_error" in (folder / "table.csv").read_text()
    assert "log loss" in (folder / "report.html").read_text(encoding="utf-8")


def test_two_numbers_are_classes_unless_said(run, frame):
    frame["outcome"] = (frame["outcome"] > 0.5).astype(int)
    _, out, _ = run(frame, "--target", "FR", "--methods", "pooled logistic")
    note = "Note: outcome holds two values, 0 and 1: compared as classes; --task regression"
    assert note in " ".join(out.split())
    _, out, _ = run(frame, "--target", "FR", "--task", "regression")
    assert "Note: outcome" not in out
    assert loss_line(out)
    _, _, err = run(frame, "--target", "FR", "--estimator", "Ridge")
    assert (
        "--estimator must be a classifier, since y holds classes; Ridge is not. --task reg" in err
    )
    booleans = frame.assign(outcome=frame["outcome"] == 1)
    code, out, _ = run(booleans, "--target", "FR", "--methods", "pooled logistic")
    assert code == 0
    assert "log loss" in out


def test_several_numbers_are_classes_if_said(run, frame):
    frame["outcome"] = np.digitize(frame["outcome"], [0, 1])
    options = ("--target", "FR", "--task", "classification", "--methods", "pooled logistic")
    code, out, _ = run(frame, *options)
    assert code == 0
    assert "log loss" in out


def test_numbers_with_a_slip_are_no_classes(run, frame):
    slip = frame["outcome"].astype(object)
    slip[5] = "1,5"
    code, _, err = run(frame.assign(outcome=slip))
    assert code == 2
    assert "--target-column 'outcome' must hold finite numbers, but it holds '1,5'" in err


def test_every_group_in_turn(run, frame):
    code, out, _ = run(frame)
    assert code == 0
    assert "each group in turn is the target; 20 to 30 of its rows" in out
    assert "averaged over 3 targets" in " ".join(out.split())


def test_parquet_equals_csv(run, frame):
    (_, csv_out, _), (_, parquet_out, _) = (
        run(frame, "--target", "FR", suffix=suffix) for suffix in (".csv", ".parquet")
    )
    assert csv_out == parquet_out.replace("data.parquet", "data.csv")  # in the line that fits


def test_several_outputs(run, frame):
    frame["second"] = frame["bmi"] + 1
    code, out, _ = run(frame, "--target", "FR", "--target-column", "second")
    assert code == 0
    assert loss_line(out)
    many = ("--methods", "SMART,reduced-rank regression")
    code, out, _ = run(frame, "--target", "FR", "--target-column", "second", *many)
    assert code == 0
    assert "\nSMART " in out
    assert "\nreduced-rank regression " in out


def test_methods_for_many_outputs_do_not_apply_to_one(run, frame):
    code, _, err = run(frame, "--target", "FR", "--methods", "SMART")
    assert code == 2
    assert "'SMART' does not" in err


def test_numeric_domains_with_missing_labels(run, frame):
    frame["country"] = frame["country"].map({"FR": 1, "DE": 2, "IT": 3}).astype(float)
    frame.loc[[0, 50], "country"] = np.nan
    frame.loc[[1, 2, 3], "outcome"] = np.nan
    code, out, _ = run(frame, "--target", "1", "--target-size", "15")
    assert code == 0
    assert "dropped 5 rows without outcome or country" in out


def test_notes_on_what_was_done_to_the_columns(run, frame):
    frame.loc[:6, "age"] = np.nan
    frame.loc[:2, "sex"] = None
    frame["unit"] = 1.0
    frame["patient"] = [f"p{k}" for k in range(len(frame))]
    code, out, _ = run(frame, "--target", "FR")
    text = " ".join(out.split())
    assert code == 0
    assert "imputed 7 missing cells by the median" in text
    assert "age (7)" in text
    assert "left out unit: constant" in text
    assert "left out patient: text with more than 50 different values" in text


def test_out_writes_tables_figures_and_page(run, frame, tmp_path):
    pytest.importorskip("matplotlib")
    out = tmp_path / "deep" / "report"
    code, _, _ = run(frame, "--target", "FR", "--out", str(out))
    assert code == 0
    assert {path.name for path in out.iterdir()} == {
        *("table.csv", "losses.png", "report.html", "records")
    }
    with (out / "table.csv").open() as file:
        assert [row["method"] for row in csv.DictReader(file)] == [
            "target-only ridge",
            "pooled ridge",
        ]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in page
    assert "--domain-column country" in page
    assert "http" not in page


def test_tables_survive_without_matplotlib(run, frame, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, _ = run(frame, "--target", "FR", "--out", str(tmp_path / "out"))
    assert code == 0
    assert "pip install scikit-transfer[plot]" in out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"table.csv", "report.html", "records"}


def test_tables_survive_a_broken_figure(run, frame, tmp_path, monkeypatch):
    monkeypatch.setattr("skt.cli.report._draw", lambda display: 1 / 0)
    code, out, _ = run(frame, "--target", "FR", "--out", str(tmp_path / "out"))
    assert code == 0
    assert "could not be drawn: ZeroDivisionError" in out
    assert (tmp_path / "out" / "table.csv").exists()


def test_text_of_the_user_is_escaped(run, frame, tmp_path):
    incomplete = frame.assign(**{"<b>age": frame["age"].where(frame.index > 3)})
    code, _, _ = run(incomplete, "--target", "FR", "--out", str(tmp_path / "out"))
    assert code == 0
    assert "<b>age" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


class Weighing(RegressorMixin, BaseEstimator):
    """Reports weights as estimators of the suite do; predicts the mean."""

    def fit(self, X, y, sample_domain=None):
        _, sources = split_domains(sample_domain, len(X))
        self.mean_ = y.mean()
        self.source_names_ = list(sources)
        self.source_weights_ = np.linspace(0.25, 0.5, len(sources))
        self.effective_sample_size_ = 65.0
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


@pytest.fixture
def uowq(monkeypatch):
    """Stand-in with known weights."""
    standing_in = [
        replace(method, factory=Weighing) if method.factory is UOWQRegressor else method
        for method in methods.METHODS
    ]
    monkeypatch.setattr(methods, "METHODS", tuple(standing_in))


@pytest.mark.usefixtures("uowq")
def test_weights_of_one_target(run, frame, tmp_path):
    """The method predicts the mean: measured worse, it is not praised for its effective rows."""
    pytest.importorskip("matplotlib")
    folder = tmp_path / "out"
    _, out, _ = run(frame, "--target", "FR", "--methods", "UOWQ", "--out", str(folder))
    text = " ".join(out.split())
    assert "the method is no better than target-only ridge (ratio " in text
    assert "effective rows" not in text
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "the method is no better than target-only ridge (ratio " in page
    assert "effective rows" not in page
    weights = [line.split() for line in out.splitlines() if line.startswith(("DE ", "IT "))]
    assert weights == [["IT", "60", "0.500", "30"], ["DE", "60", "0.250", "15"]]
    assert {"weights.csv", "weights-UOWQ.png"} <= {path.name for path in folder.iterdir()}


def test_a_method_measured_better_says_what_its_sources_are_worth(run, frame):
    _, out, _ = run(frame, "--target", "FR", "--methods", "L2-SP,OTQMS ridge")
    sentence = (
        r"of OTQMS ridge \(.*?\): by its own account the sources turn 20 target rows into \d+ "
        "effective rows"
    )
    assert re.search(sentence, " ".join(out.split()))


@pytest.mark.usefixtures("uowq")
def test_weights_of_targets_in_turn(run, frame):
    _, out, _ = run(frame, "--methods", "UOWQ")
    assert "by target; on held-out rows the method is no better" in " ".join(out.split())
    square = [line.split() for line in out.splitlines() if line.startswith("[")]
    assert square[0] == ["[1]", "DE", "-", "0.25", "0.50", "65"]
    assert square[2] == ["[3]", "IT", "0.25", "0.50", "-", "65"]


@pytest.mark.usefixtures("uowq")
def test_report_of_targets_in_turn(run, frame, tmp_path):
    pytest.importorskip("matplotlib")
    frame.loc[:2, "country"] = "SM"
    _, out, _ = run(frame, "--methods", "UOWQ", "--out", str(tmp_path / "out"))
    assert "sources only, never the target, for want of rows" in " ".join(out.split())
    assert "could not be drawn" not in out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "table.csv",
        "targets.csv",
        "weights.csv",
        "losses.png",
        "weights-UOWQ.png",
        "report.html",
        "records",
    }
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for wanted in ("Each target", "What is borrowed from whom", "SM", "each group in turn", "±"):
        assert wanted in page
    assert page.count("<img") == 2
    assert "+/-" not in page
    assert "<script" not in page


@pytest.mark.usefixtures("uowq")
def test_two_hundred_groups_are_one_screen(run, frame, tmp_path):
    many = pd.concat([frame] * 8, ignore_index=True)
    many["country"] = [f"{k % 200:03}" for k in range(len(many))]
    many.loc[0, "country"] = "a label of 300 characters ".ljust(300, "x") + "end"
    folder = tmp_path / "out"
    code, out, _ = run(many, "--methods", "UOWQ", "--repeats", "2", "--out", str(folder))
    assert code == 0
    assert len(out.splitlines()) < 60
    with (folder / "targets.csv").open() as file:
        assert len({row["target"] for row in csv.DictReader(file)}) == 200
    code, out, _ = run(many, "--methods", "UOWQ", "--repeats", "2", "--target", "007")
    assert len(out.splitlines()) < 60
    assert "10 of 200 sources, those that count most, all of them in weights.csv" in (
        " ".join(out.split())
    )
    assert longest(out) <= 88


def test_one_clear_line_where_every_fit_fails(run, frame, monkeypatch):
    monkeypatch.setattr("skt.choice.baselines.FitOn.fit", lambda *_: 1 / 0)
    code, out, err = run(frame, "--target", "FR")
    assert code == 2
    assert "every fit failed, the first with" in err
    assert "loss" not in out


def test_a_run_that_is_stopped_says_how_to_go_on(run, frame, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("skt.choice.comparison.Comparison.__init__", stop)
        code, _, err = run(frame, "--target", "FR", "--out", str(tmp_path / "out"))
        assert code == 130
        assert "the same command goes on from there" in err
        assert "Nothing was kept" in run(frame, "--target", "FR")[2]
    first = run(frame, "--target", "FR")[1]
    again = run(frame, "--target", "FR", "--out", str(tmp_path / "out"))[1]
    assert again.startswith(first)


def test_records_of_another_comparison_are_refused(run, frame, tmp_path):
    out = ("--target", "FR", "--out", str(tmp_path / "out"))
    run(frame, *out)
    code, _, err = run(frame, *out, "--seed", "1")
    assert code == 2
    assert "--out holds the records of another comparison" in err
    assert len(err.strip().splitlines()) == 1 or "fit/s" in err


def test_every_option_on_files_is_understood(run, frame, tmp_path):
    plain = run(frame, "--target", "FR")[1]
    frame["bmi"] = frame["bmi"].where(frame.index != 7, "none given")
    frame["noise"] = 1000.5
    options = ("--sep", ",", "--decimal", ".", "--thousands", "'", "--encoding", "utf-8")
    more = ("--drop", "noise,dose", "--drop", "sex", "--na-values", "none given")
    code, out, _ = run(frame, "--target", "FR", *options, *more)
    assert code == 0
    assert "guessed" not in out
    assert "one-hot" not in out
    assert "bmi (1)" in out
    assert loss_line(out) != loss_line(plain)


@pytest.mark.usefixtures("uowq")
def test_many_targets_fit_the_line(run, frame):
    frame["country"] = [f"country number {k % 20}" for k in range(len(frame))]
    _, out, _ = run(frame, "--methods", "UOWQ")
    assert longest(out) <= 88
    assert "10 of 20 targets, those with most rows, all of them in weights.csv" in (
        " ".join(out.split())
    )


def test_seed_decides_the_result(run, frame):
    first, again, other = (run(frame, "--target", "FR", "--seed", s)[1] for s in "112")
    assert first == again
    assert loss_line(first) != loss_line(other)


def test_default_needs_no_file_and_no_pandas(capsys, monkeypatch):
    # A module that is there but empty: what scikit-learn 1.6 asks of it is answered by "no".
    empty = types.ModuleType("pandas")
    empty.DataFrame = empty.Series = empty.Index = type("Absent", (), {})
    monkeypatch.setitem(sys.modules, "pandas", empty)
    assert main(["compare", *QUICK]) == 0
    out, err = capsys.readouterr()
    assert "diabetes" in out
    assert "30 of its rows" in out
    assert "fit/s" in err  # progress


WRONG = {
    "unknown target": (["--target", "FRA"], "did you mean"),
    "unknown method": (["--methods", "poled ridge"], "--methods must be among 'target-only ridge'"),
    "too many target rows": (
        ["--target", "FR", "--target-size", "39"],
        "--target-size must be a whole number from 2 to 38, since 'FR' has 40 rows",
    ),
    "too many target rows for any": (["--target-size", "99"], "error: --target-size must be"),
    "column twice": (["--target-column", "outcome"], "names the same column twice"),
    "unknown column": (
        ["--target-column", "outcom"],
        "no column 'outcom'; did you mean 'outcome'?",
    ),
    "domain is target": (["--domain-column", "outcome"], "are both 'outcome'"),
    "text to predict": (["--target-column", "sex"], "'sex' must hold finite numbers"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_options(case, run, frame):
    argv, message = WRONG[case]
    code, out, err = run(frame, *argv)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err
    assert "loss" not in out


def test_wrong_files(run, frame, tmp_path, capsys):
    columns = ["--target-column", "y", "--domain-column", "d"]
    (tmp_path / "data.xlsx").write_text("y,d\n1,a\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "twice.csv").write_text("y,y,d\n1,2,a\n")
    (tmp_path / "colons.csv").write_text("y:d:x\n1:a:2\n")
    (tmp_path / "excel.csv").write_bytes(b"PK\x03\x04\x00")
    (tmp_path / "zeros.csv").write_bytes(b"y,d\n1,\xff\x00\n")
    (tmp_path / "ragged.csv").write_text("y,d,x\n1,a,2\n1,a,2,3\n")
    for name, message in {
        "data.xlsx": "must end in .csv, .tsv, .txt (each also with .gz) or .parquet",
        "empty.csv": "it is empty",
        "absent.csv": "there is no file",
        "twice.csv": "two columns are called 'y'",
        "colons.csv": "its only column is 'y:d:x': separate columns by commas",
        "excel.csv": "is no text file but a zip archive or an Excel file",
        "zeros.csv": "it holds zero bytes",
        "ragged.csv": "Expected 3 fields in line 3, saw 4",
    }.items():
        assert main(["compare", str(tmp_path / name), *columns]) == 2
        assert message in capsys.readouterr().err


def test_wrong_content(run, frame):
    for wrong, message in (
        (
            frame.assign(age=np.where(frame.index == 3, 1e300, frame["age"])),
            "column 'age' must hold finite numbers up to 1e+100, but it holds 1e+300; --na-values",
        ),
        (frame.assign(outcome=np.nan), "no row has a value"),
        (frame[["outcome", "country"]], "no feature is left"),
        (frame.assign(country="FR"), "comparing needs at least two groups"),
        (
            frame.assign(outcome=np.where(frame["country"] == "FR", 1.0, frame["outcome"])),
            "the outcome y does not vary among the rows of 'FR'",
        ),
    ):
        code, _, err = run(wrong, "--target", "FR")
        assert code == 2
        assert message in err


def test_columns_are_required_with_a_file_and_senseless_without(tmp_path, capsys):
    assert main(["compare", str(tmp_path / "data.csv"), "--domain-column", "d"]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert main(["compare", "--target-column", "y"]) == 2
    assert "need a file" in capsys.readouterr().err


def test_missing_pandas_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "pandas", None)
    path = str(tmp_path / "data.csv")
    assert main(["compare", path, "--target-column", "y", "--domain-column", "d"]) == 2
    assert "pip install pandas" in capsys.readouterr().err


def test_out_that_is_a_file(run, frame, tmp_path):
    (tmp_path / "taken").write_text("")
    code, out, err = run(frame, "--target", "FR", "--out", str(tmp_path / "taken"))
    assert code == 2
    assert "cannot write there" in err
    assert "loss" not in out  # said before the work, not after it


def test_columns_that_are_not_said(run, frame, tmp_path, capsys):
    run(frame)
    assert main(["compare", str(tmp_path / "data.csv"), "--domain-column", "country"]) == 2
    err = capsys.readouterr().err
    assert "--target-column must say which column is meant; the file has age, bmi, dose" in err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--repeats", "1"], "--repeats: must be a whole number of at least 2, not '1'"),
        (["--seed", "x"], "--seed: must be a whole number of at least 0, not 'x'"),
        (["--jobs", "0"], "--jobs: must be a whole number other than 0, not '0'"),
        (["--target-col", "y"], "unrecognized arguments: --target-col"),
    ],
)
def test_wrong_arguments_are_one_line(argv, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["compare", *argv])
    err = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_row_numbers_are_no_feature(run, frame):
    plain = run(frame, "--target", "FR")[1]
    numbered = run(frame.reset_index(names=""), "--target", "FR")[1]
    assert "left out a column without a name" in numbered
    assert loss_line(numbered) == loss_line(plain)


def test_row_numbers_with_a_name_are_no_feature(run, frame):
    plain = run(frame)[1]
    frame.loc[3, "outcome"] = np.nan  # its row is left out, and its number with it
    fewer = run(frame)[1]
    numbered = run(frame.assign(rownames=np.arange(1, len(frame) + 1)))[1]
    assert "left out rownames: the numbers of the rows" in numbered
    assert numbered.splitlines()[-12:] == fewer.splitlines()[-12:] != plain.splitlines()[-12:]


def test_names_of_any_kind(run, frame):
    names = {"outcome": "år 2023", "country": "the country", "age": "x\t<y>"}
    countries = {"FR": "Île-de-France", "DE": "Köln", "IT": "Città"}
    odd = frame.replace({"country": countries}).rename(columns=names)
    columns = ("år 2023", "the country")
    code, out, _ = run(odd, "--target", "Île-de-France", columns=columns)
    assert code == 0
    assert loss_line(out) == loss_line(run(frame, "--target", "FR")[1]) or "Île-de-France" in out


def test_columns_of_any_kind(run, frame):
    frame["when"] = pd.date_range("2020-01-01", periods=len(frame))
    frame["count"] = pd.array([1, None, 2, None] * 40, dtype="Int64")
    frame["flag"] = pd.array([True, None, False, True] * 40, dtype="boolean")
    frame["lists"] = [[k] for k in range(len(frame))]
    code, out, _ = run(frame, "--target", "FR", suffix=".parquet")
    text = " ".join(out.split())
    assert code == 0
    assert "left out lists: text with more than 50" in text
    assert "dates as year, month, day and total seconds: when" in text
    assert "count (80), flag (40)" in text


def test_two_processes_give_the_same(run, frame):
    assert run(frame, "--jobs", "2")[1] == run(frame)[1]


@pytest.mark.parametrize("argv", [["--help"], ["compare", "--help"]])
def test_help(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 0
    assert "compare" in capsys.readouterr().out


def test_no_command(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
