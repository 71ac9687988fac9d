"""Files as people have them: read as numbers, groups and classes, or refused in one sentence."""

import gzip

import numpy as np
import pandas as pd
import pytest

from skt.cli.errors import InputError
from skt.cli.numbers import as_numbers, decimal_of
from skt.cli.table import Options, read_table

pytest.importorskip("skrub")


@pytest.fixture
def read(tmp_path):
    """Write text or a frame to a file and read it; outcome y, group g."""

    def read(content, *, name="data.csv", y="y", g="g", task="auto", encoding="utf-8", **options):
        path = tmp_path / name
        if isinstance(content, pd.DataFrame):
            content = content.to_csv(index=False)
        raw = content if isinstance(content, bytes) else content.encode(encoding)
        path.write_bytes(raw)
        return read_table(path, [y], g, task, Options(**options))

    return read


def lines(header, rows, sep=","):
    return "\n".join(sep.join(row) for row in [header, *rows]) + "\n"


def notes(table):
    return " ".join(table.notes)


@pytest.fixture
def frame(rng):
    n = 60
    return pd.DataFrame(
        {
            "y": rng.normal(size=n).round(4),
            "g": np.repeat(["FR", "DE", "IT"], n // 3),
            "x": rng.normal(size=n).round(4),
            "k": rng.integers(1, 9, size=n),
            "sex": rng.choice(["f", "m"], size=n),
        }
    )


# Numbers ------------------------------------------------------------------------------------

NOTATIONS = {
    "plain": (["1", "2.5", "-3", "1e3", ".5", "+7"], [1, 2.5, -3, 1000, 0.5, 7]),
    "questions": (["1", "?", "2", "-", "", "n/a"], [1, np.nan, 2, np.nan, np.nan, np.nan]),
    "thousands": (["1,234", "5,000", "12", "1,234,567.5"], [1234, 5000, 12, 1234567.5]),
    "decimal commas": (["0,37", "1,5", "10", "1.234,5"], [0.37, 1.5, 10, 1234.5]),
    "per cent": (["12.5%", "3 %", "100%"], [12.5, 3, 100]),
    "money": (["$1,200.00", "$50257", "€ 3"], [1200, 50257, 3]),
    "codes of money": (["50 EUR", "1.250,5 EUR"], [50, 1250.5]),
    "blanks": (["1 234,5", "12 345", "1\u00a0234,0"], [1234.5, 12345, 1234]),
    "apostrophes": (["1'234.5", "12'345'678"], [1234.5, 12345678]),
    "accountants": (["(1,234.50)", "17.0", "\u22125"], [-1234.5, 17, -5]),
    "leading zero": (["0,123", "0,456"], [0.123, 0.456]),
}


@pytest.mark.parametrize("case", NOTATIONS)
def test_notations(case):
    texts, expected = NOTATIONS[case]
    found = as_numbers(pd.Series(texts))
    np.testing.assert_array_equal(found.values, expected)
    assert found.share == 1
    assert found.strange == []


def test_every_digit_of_a_number_is_kept(rng):
    numbers = np.concatenate([rng.normal(size=200), rng.normal(size=50) * 1e-12, [1 / 3, 1e17 / 3]])
    np.testing.assert_array_equal(
        as_numbers(pd.Series(map(repr, numbers.tolist()))).values, numbers
    )
    commas = pd.Series([repr(each).replace(".", ",") for each in numbers.tolist()])
    np.testing.assert_array_equal(as_numbers(commas).values, numbers)


def test_the_file_decides_where_a_column_does_not():
    both = pd.Series(["1,234", "5,678"])
    assert as_numbers(both, ".").values.tolist() == [1234, 5678]
    assert as_numbers(both, ",").values.tolist() == [1.234, 5.678]
    sure = pd.Series(["0,5", "12,25"])
    assert decimal_of([both, sure], ",") == ","
    assert decimal_of([both, pd.Series(["0.5"])], ";") == "."
    assert decimal_of([both], ";") == ","
    assert decimal_of([both], ",") == "."


@pytest.mark.parametrize("text", ["1,2,3", "1.2.3", "12,34.5", "12a", "1 2", "1e", "--1", "12/3"])
def test_what_is_no_number(text):
    assert as_numbers(pd.Series([text])).strange == [text]


SLIPS = ["?", "-", "n/a", "NA", "*", "oops", "<5"]


@pytest.mark.parametrize("slip", SLIPS)
def test_a_column_of_numbers_with_slips_is_numbers(read, frame, slip):
    texts = frame["x"].map(repr)
    texts[[3, 40]] = slip
    table = read(frame.assign(x=texts))
    column = table.X[:, table.feature_names.index("x")]
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(column)), [3, 40])
    np.testing.assert_array_equal(np.delete(column, [3, 40]), frame["x"].drop([3, 40]))
    assert "imputed 2 missing cells" in notes(table)
    assert ("'oops'" in notes(table)) == (slip == "oops")


def test_half_numbers_are_text_and_it_is_said(read, frame):
    texts = frame["k"].map(str).where(frame.index % 4 > 0, "many")
    table = read(frame.assign(k=texts))
    assert "taken as text, since too few cells are numbers: k (75% numbers, but also 'many')" in (
        notes(table)
    )


# Separators, encodings ----------------------------------------------------------------------


def european(frame, sep=";"):
    text = frame.copy()
    for name in ("y", "x"):
        text[name] = frame[name].map(lambda v: repr(v).replace(".", ","))
    return lines(text.columns, text.astype(str).to_numpy().tolist(), sep)


@pytest.mark.parametrize("sep", [";", "\t", "|"])
def test_separators_and_decimal_commas_give_the_clean_table(read, frame, sep):
    clean = read(frame)
    other = read(european(frame, sep))
    np.testing.assert_array_equal(other.X, clean.X)
    np.testing.assert_array_equal(other.y, clean.y)
    assert other.domains.tolist() == clean.domains.tolist()
    assert "guessed columns separated by" in notes(other)
    assert "decimal comma" in notes(other)
    assert "guessed" not in notes(clean)


def test_quoted_decimal_commas_between_commas(read, frame):
    quoted = frame.assign(x=frame["x"].map(lambda v: repr(v).replace(".", ",")))
    table = read(quoted)  # pandas quotes cells that hold the separator
    np.testing.assert_array_equal(table.X, read(frame).X)
    assert "x" in notes(table)


def test_what_is_said_is_done(read, frame):
    clean = read(frame)
    options = {"sep": ";", "decimal": ",", "encoding": "utf-8"}
    said = read(european(frame), **options)
    np.testing.assert_array_equal(said.X, clean.X)
    assert "guessed" not in notes(said)
    wrong = read(european(frame), sep=";", thousands=",")  # as the user wants it
    assert np.abs(wrong.y).max() > 1000


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig", "cp1252"])
def test_encodings(read, frame, encoding):
    other = frame.assign(g=frame["g"].replace("FR", "Île"))
    table = read(other.to_csv(index=False), encoding=encoding)
    assert table.domains[0] == "Île"
    assert ("guessed encoding" in notes(table)) == (encoding != "utf-8-sig")
    assert read(other.to_csv(index=False), encoding=encoding).domains[0] == "Île"


def test_a_line_of_a_spreadsheet(read, frame):
    np.testing.assert_array_equal(read("sep=;\n" + european(frame)).X, read(frame).X)


def test_gzip_is_read_and_half_of_it_refused(read, frame):
    packed = gzip.compress(frame.to_csv(index=False).encode())
    np.testing.assert_array_equal(read(packed, name="data.csv.gz").X, read(frame).X)
    np.testing.assert_array_equal(read(packed, name="data.csv").X, read(frame).X)
    for part in (packed[: len(packed) // 2], packed[:5], packed[:-20] + bytes(20)):
        with pytest.raises(InputError, match="cut short or damaged"):
            read(part, name="data.csv.gz")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sep": ""}, "--sep must be"),
        ({"decimal": ";"}, "--decimal must be a dot or a comma"),
        ({"thousands": "ab"}, "--thousands must be one character"),
        ({"decimal": ",", "thousands": ","}, "--decimal and --thousands are both ','"),
        ({"drop": ("z",)}, "the file has no column 'z'"),
        ({"drop": ("y",)}, "--drop names 'y', which another option needs"),
        ({"split_by": "g"}, "--split-by names 'g'"),
        ({"split_by": "nobody"}, "the file has no column 'nobody'"),
    ],
)
def test_options_that_make_no_sense(read, frame, options, message):
    with pytest.raises(InputError, match=message):
        read(frame, **options)


def test_encodings_that_are_no_use(tmp_path, frame):
    path = tmp_path / "data.csv"
    path.write_bytes(frame.to_csv(index=False).replace("FR", "Île").encode("latin-1"))
    with pytest.raises(InputError, match="--encoding klingon is not known"):
        read_table(path, ["y"], "g", options=Options(encoding="klingon"))
    with pytest.raises(InputError, match="is not utf-8"):
        read_table(path, ["y"], "g", options=Options(encoding="utf-8"))


# Groups -------------------------------------------------------------------------------------


def test_na_is_a_group(read, frame):
    table = read(frame.replace({"g": {"FR": "NA"}}))
    assert table.domains.tolist().count("NA") == 20
    assert "'NA' is a group of 20 rows" in notes(table)
    missing = read(frame.replace({"g": {"FR": "NA"}}), na_values=("NA",))
    assert set(missing.domains) == {"DE", "IT"}
    assert "dropped 20 rows without g, 33 % of all. No row is left of" not in notes(missing)
    assert "dropped 20 rows without g, 33 % of all." in notes(missing)


def test_labels_that_differ_by_blanks_are_one_and_by_case_two(read, frame):
    g = frame["g"].copy()
    g[[0, 1]] = "FR "
    g[[25]] = "de"
    table = read(frame.assign(g=g))
    assert sorted(set(table.domains)) == ["DE", "FR", "IT", "de"]
    assert "blanks around labels of g were left out: 'FR'" in notes(table)
    assert "differ in case, blanks or dashes only" in notes(table)
    assert "'DE' and 'de'" in notes(table)


def test_leading_zeros_stay(read, frame):
    table = read(frame.assign(g=frame["g"].map({"FR": "01", "DE": "1", "IT": "10"})))
    assert sorted(set(table.domains)) == ["01", "1", "10"]


def test_whole_numbers_that_missing_ones_made_decimal(read, frame):
    g = frame["g"].map({"FR": 1.0, "DE": 2.0, "IT": np.nan})
    table = read(frame.assign(g=g))
    assert sorted(set(table.domains)) == ["1", "2"]
    assert "dropped 20 rows without g" in notes(table)


def test_a_group_that_vanishes_is_named(read, frame):
    table = read(frame.assign(y=frame["y"].where(frame["g"] != "IT")))
    assert "dropped 20 rows without y, 33 % of all. No row is left of 1 groups: IT" in notes(table)


# Outcomes -----------------------------------------------------------------------------------

MONEY = {
    "thousands": lambda v: f"{50000 + 1000 * v:,.2f}",
    "sign": lambda v: f"${50000 + round(1000 * v)}",
    "both": lambda v: f"$ {50000 + 1000 * v:,.2f}",
    "code": lambda v: f"{50000 + round(1000 * v)} USD",
}


@pytest.mark.parametrize("kind", MONEY)
def test_money_is_numbers(read, frame, kind):
    table = read(frame.assign(y=frame["y"].map(MONEY[kind])))
    assert table.y.dtype == float
    np.testing.assert_allclose(table.y, 50000 + 1000 * frame["y"], atol=0.6)


def test_amounts_with_a_strange_unit_are_refused(read, rng):
    n = 200
    frame = pd.DataFrame({"x": rng.normal(size=n), "g": np.repeat(["a", "b"], n // 2)})
    with pytest.raises(InputError, match="neither numbers nor up to 50 classes"):
        read(frame.assign(y=[f"{50 + k} bushels" for k in range(n)]))


DATES = ["%Y-%m-%d", "%d/%m/%Y", "%Y-%m-%d %H:%M:%S", "%d.%m.%Y"]


@pytest.mark.parametrize("form", DATES)
def test_a_date_is_no_outcome_but_a_feature(read, frame, form):
    when = pd.date_range("2001-01-17", periods=len(frame), freq="9D").strftime(form)
    with pytest.raises(InputError, match="holds dates or times"):
        read(frame.assign(y=when))
    if form == "%d.%m.%Y":
        return
    table = read(frame.assign(when=when))
    assert "when_year" in table.feature_names
    assert "dates as year, month, day and total seconds: when" in notes(table)


def test_a_typed_date_is_no_outcome(tmp_path, frame):
    path = tmp_path / "data.parquet"
    frame.assign(y=pd.date_range("2001-01-17", periods=len(frame))).to_parquet(path)
    with pytest.raises(InputError, match="holds dates or times"):
        read_table(path, ["y"], "g")


def test_nullable_booleans_are_classes_by_their_names(tmp_path, frame):
    path = tmp_path / "data.parquet"
    values = pd.array([True, False, None] * 20, dtype="boolean")
    frame.assign(y=values).to_parquet(path)
    table = read_table(path, ["y"], "g")
    assert set(table.y) == {"True", "False"}
    assert len(table.y) == 40


def test_few_whole_numbers_say_which_kind_was_taken(read, frame):
    table = read(frame.assign(y=frame["k"] % 3))
    assert "y holds 3 whole numbers, 0, 1, 2: compared as numbers; --task classification" in (
        notes(table)
    )
    two = read(frame.assign(y=frame["k"] % 2))
    assert "compared as classes; --task regression" in notes(two)
    assert "compared as" not in notes(read(frame.assign(y=frame["k"] % 3), task="classification"))


def test_missing_classes_are_left_out(read, frame):
    y = frame["sex"].replace({"f": "ill", "m": "well"})
    y[[0, 1]] = ["NA", ""]
    table = read(frame.assign(y=y))
    assert set(table.y) == {"ill", "well"}
    assert "dropped 2 rows without y, 3 % of all" in notes(table)


def test_numbers_too_large_to_square_are_refused(read, frame):
    with pytest.raises(InputError, match="whose square overflows"):
        read(frame.assign(y=frame["y"] * 1e200))


# Columns ------------------------------------------------------------------------------------


def test_identifiers_are_noted(read, frame, rng):
    numbered = frame.assign(
        id=rng.permutation(len(frame)) + 1000,
        region=frame["g"].map({"FR": 0.5, "DE": 2.5, "IT": 1}),
        name=[f"p{k}" for k in range(len(frame))],
    )
    table = read(numbered)
    assert "id: a different whole number in each row" in notes(table)
    assert "region: one value in each group" in notes(table)
    assert "left out name: text with more than 50 different values" in notes(table)
    assert "id" not in read(numbered, drop=("id",)).feature_names


def test_members_that_repeat_are_noted_and_kept_together(read, frame):
    text = frame.loc[np.repeat(frame.index, 2)].assign(
        patient=np.repeat([f"p{k}" for k in range(60)], 2)
    )
    assert "--split-by patient keeps them on one side" in notes(read(text))
    table = read(text, split_by="patient")
    assert table.members.tolist() == text["patient"].tolist()
    assert "patient" not in " ".join(table.feature_names)


def test_categories_by_skrub_are_the_dummies_of_pandas(read, frame, rng):
    frame["colour"] = rng.choice(["blue", "green", "red"], size=len(frame))
    table = read(frame)
    expected = pd.get_dummies(frame[["sex", "colour"]], drop_first=True).to_numpy(float)
    np.testing.assert_array_equal(table.X[:, 2:], expected)
    assert table.feature_names[2:] == ["sex_m", "colour_green", "colour_red"]


def test_missing_text_is_a_category(read, frame):
    frame.loc[:4, "sex"] = ""
    assert read(frame).X.shape[1] == 4
