"""``python -m skt fit`` and ``predict``: columns as compare reads them, files that are safe."""

import contextlib
import io
import json
import os
import pickle
import shlex
import zipfile

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin

from skt import UOWQRegressor, as_sample_domain
from skt.choice import methods
from skt.cli import model_file
from skt.cli.file import Options, read_file
from skt.cli.main import main
from skt.cli.recipe import applied
from skt.cli.table import read_table

skops = pytest.importorskip("skops.io")


def table(n=150, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"customer": [f"c{i:03d}" for i in range(n)]})
    frame["age"] = rng.normal(40, 10, size=n).round(2)
    frame["price"] = [f"${x:,.2f}" for x in rng.uniform(500, 5000, size=n)]
    frame["sex"] = rng.choice(["f", "m", ""], p=[0.5, 0.4, 0.1], size=n)
    frame["member"] = rng.choice(["true", "false"], size=n)
    frame["since"] = pd.date_range("2019-03-01", periods=n, freq="11D").strftime("%d/%m/%Y")
    frame["country"] = np.repeat(["FR", "DE", "IT"], [n // 3, n // 3, n - 2 * (n // 3)])
    frame["spent"] = (0.1 * frame["age"] + (frame["sex"] == "m") + rng.normal(size=n)).round(3)
    return frame


COLUMNS = ["--target-column", "spent", "--domain-column", "country", "--target", "FR"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a table, a model of it, and rows of it to predict."""
    folder = tmp_path_factory.mktemp("model")
    frame = table()
    frame.to_csv(folder / "table.csv", index=False)
    frame.drop(columns=["spent", "country"]).head(5).to_csv(folder / "new.csv", index=False)
    fit = ["fit", str(folder / "table.csv"), *COLUMNS, "--out", str(folder / "model.skops")]
    assert main(fit) == 0
    return folder


@pytest.fixture
def predict(folder, tmp_path, capsys):
    """Predict a frame; return the exit code, what was printed, and the predictions."""

    def predict(frame, *argv, model=None, suffix=".csv"):
        path, out = tmp_path / f"new{suffix}", tmp_path / "predictions.csv"
        frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path, index=False)
        model = folder / "model.skops" if model is None else model
        code = main(["predict", str(model), str(path), "--out", str(out), *argv])
        said = capsys.readouterr()
        text = " ".join((said.out + said.err).split())
        return code, text, pd.read_csv(out) if code == 0 else None

    return predict


def new_rows(**columns):
    return table().drop(columns=["spent", "country"]).head(5).assign(**columns)


# The columns --------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_recipe_makes_what_compare_reads(tmp_path, suffix):
    frame, path = table().drop(columns="customer"), tmp_path / f"table{suffix}"
    if suffix == ".parquet":
        frame["since"] = pd.to_datetime(frame["since"], format="%d/%m/%Y")
        frame["member"] = frame["member"] == "true"
        frame["stay"] = pd.to_timedelta(np.arange(len(frame)) % 17, unit="h")
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    read = read_table(path, ["spent"], "country")
    X, notes = applied(read.recipe, read_file(path, Options())[0], Options())
    np.testing.assert_array_equal(X, read.X)
    assert [name for column in read.recipe for name in column.outputs] == read.feature_names
    assert notes == []
    json.dumps([column.as_dict() for column in read.recipe])  # plain data


def test_predictions_are_those_of_the_method_in_python(folder, predict):
    read = read_table(folder / "table.csv", ["spent"], "country")
    mean, spread = np.mean(read.X, axis=0), np.std(read.X, axis=0)
    X = (read.X - mean) / spread
    domain = as_sample_domain(read.domains, target="FR")
    expected = UOWQRegressor().fit(X, read.y, sample_domain=domain).predict(X[:5])
    code, _, found = predict(new_rows())
    assert code == 0
    np.testing.assert_allclose(found["prediction"], expected, rtol=1e-6)


def test_columns_that_are_no_features_stay_beside_the_predictions(predict):
    _, _, found = predict(new_rows(), "--interval", ".9")
    assert list(found) == ["customer", "prediction", "lower", "upper"]
    assert found["customer"].tolist() == ["c000", "c001", "c002", "c003", "c004"]
    assert (found["lower"] < found["prediction"]).all()
    assert (found["prediction"] < found["upper"]).all()
    _, _, bare = predict(new_rows().drop(columns="customer"))
    assert bare["row"].tolist() == [1, 2, 3, 4, 5]
    _, said, again = predict(new_rows(prediction="theirs"))
    assert "prediction of the file gave way" in said
    assert again["prediction"].dtype == float


def test_order_and_spelling_of_columns_do_not_matter(predict):
    _, _, plain = predict(new_rows())
    odd = new_rows(price=["1200,50", "1.234,00", "999", "3.000,10", "700,00"])
    same = new_rows(price=["$1,200.50", "1234", "999.00", "3000.1", "700"])
    _, _, one = predict(odd[odd.columns[::-1]])
    _, _, other = predict(same)
    np.testing.assert_allclose(one["prediction"], other["prediction"])
    assert not np.allclose(one["prediction"], plain["prediction"])


def test_missing_columns_are_named(predict):
    code, said, _ = predict(new_rows().drop(columns=["age", "sex"]).assign(agee=1))
    assert code == 2
    assert "lacks 2 of the columns that the model was fitted on: age, sex; did you mean" in said


def test_new_columns_and_other_groups_are_said_to_be_ignored(predict):
    _, _, plain = predict(new_rows())
    code, said, found = predict(new_rows(shoe=40, country=["IT", "FR", "ES", "FR", "IT"]))
    assert code == 0
    assert "not used, since the model was fitted without them: shoe." in said
    assert "3 rows are of ES, IT, by their country; the model is of FR" in said
    np.testing.assert_allclose(found["prediction"], plain["prediction"])


TYPES = {
    "age": ("forty", "column 'age' held numbers where the model was fitted, but now holds text"),
    "member": ("perhaps", "column 'member' held true or false"),
    "since": ("long ago", "column 'since' held dates"),
    "sex": (7, "column 'sex' held text where the model was fitted, but now holds numbers"),
}


@pytest.mark.parametrize("name", TYPES)
def test_columns_of_other_types_are_refused(predict, name):
    value, message = TYPES[name]
    code, said, _ = predict(new_rows(**{name: value}))
    assert code == 2
    assert message in said
    assert len(said.split("python -m skt: error: ")) == 2  # one sentence, no traceback


def test_what_no_row_had_is_missing_and_said(predict):
    code, said, found = predict(new_rows(sex=["f", "x", "m", "f", "m"]))
    assert code == 0
    assert "sex holds 'x', which no row had that the model was fitted on; taken as" in said
    assert found["prediction"].notna().all()
    empty = new_rows(age=np.nan, since="", sex="")
    code, said, found = predict(empty)
    assert code == 0
    assert found["prediction"].notna().all()


def test_no_rows(predict):
    code, said, _ = predict(new_rows().head(0))
    assert code == 2
    assert "holds no rows to predict" in said


# Intervals ----------------------------------------------------------------------------------


def test_more_coverage_than_the_rows_can_promise_is_refused(predict):
    code, said, _ = predict(new_rows(), "--interval", ".99")
    assert code == 2
    assert "error: --interval 0.99 needs 99 target rows, and the fit had 50" in said
    with pytest.raises(SystemExit):
        predict(new_rows(), "--interval", "90")


def fit(folder, *argv, frame=None, columns=COLUMNS):
    path = folder / "t.csv"
    (table() if frame is None else frame).to_csv(path, index=False)
    return main(["fit", str(path), *columns, "--out", str(folder / "m.skops"), *argv])


def test_a_model_without_intervals_says_so(tmp_path, predict):
    assert fit(tmp_path, "--no-intervals", "--method", "pooled ridge") == 0
    code, said, _ = predict(new_rows(), "--interval", ".9", model=tmp_path / "m.skops")
    assert code == 2
    assert "the model was fitted without intervals" in said


def test_methods_without_a_closed_form_have_intervals_too(tmp_path, predict):
    assert fit(tmp_path, "--method", "pooled ridge") == 0
    _, _, found = predict(new_rows(), "--interval", ".9", model=tmp_path / "m.skops")
    assert (found["lower"] < found["upper"]).all()


# Methods and kinds --------------------------------------------------------------------------


def test_classes_have_probabilities(tmp_path, predict, capsys):
    frame = table()
    frame["spent"] = np.where(frame["spent"] > frame["spent"].median(), "much", "little")
    assert fit(tmp_path, frame=frame) == 0
    capsys.readouterr()
    code, _, found = predict(new_rows(), model=tmp_path / "m.skops")
    assert code == 0
    parts = found[["probability_little", "probability_much"]]
    np.testing.assert_allclose(parts.sum(axis=1), 1)
    expected = np.where(parts["probability_much"] > 0.5, "much", "little")
    assert found["prediction"].tolist() == expected.tolist()
    code, said, _ = predict(new_rows(), "--interval", ".9", model=tmp_path / "m.skops")
    assert code == 2
    assert "--interval is for numbers" in said


def test_several_outputs_are_named(tmp_path, predict):
    frame = table()
    frame["owed"] = frame["age"] - frame["spent"]
    columns = ["--target-column", "owed", *COLUMNS]
    assert fit(tmp_path, frame=frame, columns=columns) == 0
    _, _, found = predict(new_rows(), "--interval", ".8", model=tmp_path / "m.skops")
    assert {"prediction_owed", "lower_owed", "upper_owed", "prediction_spent"} <= set(found)


class Noughts(RegressorMixin, BaseEstimator):
    """A method that joins the registry later, of a module that no model file may name."""

    def fit(self, X, y, sample_domain=None):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.zeros(len(X))


def test_a_method_that_joins_the_registry_is_fitted_by_its_name(tmp_path, monkeypatch, capsys):
    more = methods.Method("auto", lambda: UOWQRegressor(guard=None))
    strange = methods.Method("noughts", Noughts)
    monkeypatch.setattr(methods, "METHODS", (*methods.METHODS, more, strange))
    assert fit(tmp_path, "--method", "auto") == 0
    assert model_file.load(tmp_path / "m.skops").model[-1].estimator.guard is None
    capsys.readouterr()
    assert fit(tmp_path, "--method", "noughts") == 2
    assert "a model file cannot hold its" in capsys.readouterr().err
    assert fit(tmp_path, "--method", "magic") == 2
    assert "--method must be among 'target-only ridge'" in capsys.readouterr().err


def test_the_group_must_be_one_of_the_file(tmp_path, capsys):
    assert fit(tmp_path, columns=[*COLUMNS[:-1], "ES"]) == 2
    assert "--target 'ES' is none; country has DE, FR, IT." in capsys.readouterr().err
    assert fit(tmp_path, columns=COLUMNS[:-2]) == 2
    assert "--target must say which group is predicted for" in capsys.readouterr().err


def test_compare_ends_with_the_line_that_fits_its_winner(tmp_path, capsys, monkeypatch):
    frame = table()
    frame.to_csv(tmp_path / "t.csv", index=False, sep=";")
    monkeypatch.chdir(tmp_path)
    quick = ["--methods", "pooled ridge", "--repeats", "4", "--drop", "price", "--sep", ";"]
    assert main(["compare", "t.csv", *COLUMNS, *quick]) == 0
    _, last = capsys.readouterr().out.split(" and keep it:")
    line = " ".join(last.replace("\\\n", " ").split())  # as the shell joins it
    assert line.startswith("python -m skt fit t.csv --target-column spent --domain-column country")
    words = shlex.split(line)[3:]
    assert words[words.index("--method") + 1] in ("pooled ridge", "target-only ridge")
    assert main([*words, "--no-intervals"]) == 0
    assert (tmp_path / "model.skops").exists()


# The file -----------------------------------------------------------------------------------


def refused(content, tmp_path, capsys, folder):
    path = tmp_path / "bad.skops"
    path.write_bytes(content)
    out = str(tmp_path / "p.csv")
    assert main(["predict", str(path), str(folder / "new.csv"), "--out", out]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Traceback" not in said
    return said


class Trap:
    """Runs a command if it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_a_pickle_is_never_read(folder, tmp_path, capsys):
    mark = tmp_path / "ran"
    for protocol in (0, 2, 5):
        said = refused(pickle.dumps(Trap(mark), protocol), tmp_path, capsys, folder)
        assert "is a pickle" in said or "is no model file" in said
    assert not mark.exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.999])
def test_a_file_that_is_cut_short_is_refused(folder, tmp_path, capsys, share):
    whole = (folder / "model.skops").read_bytes()
    said = refused(whole[: int(share * len(whole))], tmp_path, capsys, folder)
    assert "is no model file, or is cut short or damaged; fit the model again" in said


def test_damaged_bytes_are_refused_or_of_no_consequence(folder, tmp_path):
    whole = (folder / "model.skops").read_bytes()
    for place in range(200, len(whole) - 1, len(whole) // 7):
        spoilt = bytearray(whole)
        spoilt[place : place + 4] = b"\x00\xff\x00\xff"
        path = tmp_path / "spoilt.skops"
        path.write_bytes(bytes(spoilt))
        # What is spoilt may be nothing that is read; no other error comes out.
        with contextlib.suppress(model_file.InputError):
            assert model_file.load(path).about["target"] == "FR"


def rewritten(content, change):
    """The archive with its `skt.json` changed."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            new.writestr(name, change(json.loads(text)) if name == "skt.json" else text)
    return made.getvalue()


@pytest.mark.parametrize("name", ["scikit-transfer", "scikit-learn"])
def test_a_file_of_another_version_is_refused(folder, tmp_path, capsys, name):
    def older(meta):
        meta["versions"][name] = "0.0.1"
        return json.dumps(meta)

    whole = (folder / "model.skops").read_bytes()
    said = refused(rewritten(whole, older), tmp_path, capsys, folder)
    assert f"was written with {name} 0.0.1, and here is" in said
    assert "fit the model again" in said


def test_a_file_that_asks_for_other_types_is_refused(folder, tmp_path, capsys):
    mark = tmp_path / "ran"
    made = io.BytesIO(skops.dumps(Trap(mark)))
    meta = zipfile.ZipFile(io.BytesIO((folder / "model.skops").read_bytes())).read("skt.json")
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("skt.json", meta)
    said = refused(made.getvalue(), tmp_path, capsys, folder)
    assert "which could run any code; nothing of it was loaded" in said
    assert "Trap" in said
    assert not mark.exists()


def test_an_archive_of_something_else(folder, tmp_path, capsys):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert "is no model file" in refused(made.getvalue(), tmp_path, capsys, folder)


def test_a_file_that_is_not_there_and_a_place_that_cannot_be_written(folder, tmp_path, capsys):
    out = ["--out", str(tmp_path / "p.csv")]
    assert main(["predict", str(tmp_path / "no.skops"), str(folder / "new.csv"), *out]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert fit(tmp_path, "--out", str(tmp_path / "no" / "m.skops")) == 2
    assert "cannot write there" in capsys.readouterr().err
    nowhere = ["--out", str(tmp_path / "no" / "p.csv")]
    assert main(["predict", str(folder / "model.skops"), str(folder / "new.csv"), *nowhere]) == 2
    assert "cannot write there" in capsys.readouterr().err


def test_nothing_of_a_model_is_trusted_but_ours():
    names = model_file._trusted()
    assert "skt.estimators.uowq.UOWQRegressor" in names
    strange = [n for n in names if not n.startswith("skt.") and n not in model_file.OTHERS]
    assert not strange
