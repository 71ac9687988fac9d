"""What was reported next to what we get, and the command that says so."""

from dataclasses import replace
from itertools import islice

import pytest

from skt import reproductions
from skt.__main__ import main
from skt.reproductions import Figure, Reproduction, uowq
from skt.study import load_records


def noise(rng):
    return {"values": rng.normal(size=50)}


def mean(data):
    return data["values"].mean()


def tiny(plot=None):
    def figures(records, n_repeats):
        values = [record["value"] for record in records]
        return [Figure("mean of noise", 0.0, 0.0, sum(values) / len(values), 0.1)]

    return Reproduction(
        source="Nobody (2026), version 1, table 2",
        designs={"noise": noise},
        methods={"mean": mean},
        metrics={"itself": lambda fitted, data: fitted},
        n_repeats=3,
        figures=figures,
        remark="Nothing is known to differ.",
        plot=plot,
    )


@pytest.fixture
def registered(monkeypatch):
    def register(reproduction):
        monkeypatch.setattr(reproductions, "load", lambda name: reproduction)
        return reproduction

    return register


@pytest.mark.parametrize(
    ("value", "error", "reported_error", "agrees"),
    [
        (0.5, 0.0, 0.0, True),
        (0.5004, 0.0, 0.0, True),  # rounding
        (0.51, 0.0, 0.0, False),
        (0.51, 0.005, 0.0, True),
        (0.51, 0.003, 0.004, True),
        (0.51, 0.003, 0.0, False),
        (float("nan"), 0.1, 0.0, False),
    ],
)
def test_agreement_allows_for_both_errors_and_rounding(value, error, reported_error, agrees):
    assert Figure("it", 0.5, reported_error, value, error).agrees is agrees


@pytest.mark.parametrize("name", reproductions.REGISTRY)
def test_every_reproduction_is_made_of_what_it_reports(name):
    reproduction = reproductions.load(name)
    assert "version" in reproduction.source or "v" in reproduction.source
    assert "arXiv" in reproduction.source
    few = replace(reproduction, designs=dict(islice(reproduction.designs.items(), 1)))
    assert len(few.run(1, progress=False)) == len(reproduction.methods) * len(reproduction.metrics)


@pytest.mark.parametrize("name", [name for name in reproductions.REGISTRY if "smart" in name])
def test_figures_of_smart_are_drawn(name):
    """The parameter on the axis must be one of the designs that no column of a summary hides."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    reproduction = reproductions.load(name)
    metrics = {metric: lambda fitted, data: fitted for metric in reproduction.metrics}
    study = replace(reproduction, methods={"one": lambda data: 1.0}, metrics=metrics)
    figure, ax = pyplot.subplots()
    reproduction.plot(study.run(2, progress=False), ax=ax)
    if isinstance(next(iter(study.designs.values())).keywords[ax.get_xlabel()], str):
        assert len(ax.get_xticks()) == len(study.designs)
    else:
        assert len(ax.lines[0].get_xdata()) == len(study.designs)
    pyplot.close(figure)


def test_figures_of_uowq_by_hand():
    designs = [f"{c}|d=5" for c in uowq.COLUMNS]
    records = [
        {"design": d, "method": m, "metric": "risk", "repeat": r, "value": v, "error": ""}
        for d in designs
        for m, values in ((uowq.BASELINE, (1.0, 3.0)), ("eb scalar", (0.5, 1.5)))
        for r, v in enumerate(values)
    ]
    reported = {("eb scalar", "x0"): 0.4, ("eb scalar", uowq.everywhere("")): 0.5}
    column = uowq.compared({("eb scalar", "x0"): 0.4}, 8, uowq.column_of, records, 2)[0]
    assert (column.what, column.reported, column.value) == ("eb scalar: x0", 0.4, 0.5)
    assert column.reported_error == pytest.approx(column.error / 2)
    whole = {key: v for key, v in reported.items() if key[1] != "x0"}
    assert uowq.compared(whole, 8, uowq.everywhere, records, 2)[0].agrees


def test_oracle_and_designs_are_those_of_the_notes():
    assert len(uowq.equal_designs(400)) == 105
    assert len(uowq.unequal_designs()) == 32
    assert uowq.discrepancies("mix", 3) == (0.0, 30.0, 0.0)
    assert uowq.discrepancies("x.3", 2) == (0.3, 0.3)
    assert uowq.discrepancies("spread", 2) == pytest.approx((0.1, 30.0))


@pytest.mark.slow
def test_the_oracle_agrees_with_the_notes():
    reproduction = reproductions.load("uowq-equal-400")
    methods = {name: reproduction.methods[name] for name in (uowq.BASELINE, "oracle scalar")}
    records = replace(reproduction, methods=methods).run(4, progress=False)
    reported = {("oracle scalar", uowq.everywhere("")): 0.235}
    assert uowq.compared(reported, 60, uowq.everywhere, records, 4)[0].agrees


# Command ------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--list"], []])
def test_names_are_listed(capsys, arguments):
    assert main(["reproduce", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(reproductions.REGISTRY)


def test_unknown_name(capsys):
    assert main(["reproduce", "nothing"]) == 2
    assert "NAME must be one of uowq-equal-400, " in capsys.readouterr().err


def test_reported_and_found_are_printed(capsys, registered):
    registered(tiny())
    assert main(["reproduce", "tiny"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Reported: Nobody (2026), version 1, table 2. Here: 3 repeats, 0 fail")
    assert "| mean of noise |    0.000 |    0.000 |" in out
    assert "1 of 1 figures agree within 2 standard errors" in out
    assert out.rstrip().endswith("Nothing is known to differ.")


def test_out_holds_records_and_goes_on_from_them(tmp_path, capsys, registered):
    registered(tiny())
    folder = tmp_path / "new"
    assert main(["reproduce", "tiny", "--out", str(folder), "--repeats", "2"]) == 0
    assert "Wrote tiny.jsonl, tiny.md to" in capsys.readouterr().out
    first = load_records(folder / "tiny.jsonl")
    assert main(["reproduce", "tiny", "--out", str(folder), "--repeats", "4"]) == 0
    assert load_records(folder / "tiny.jsonl")[:2] == first
    text = (folder / "tiny.md").read_text()
    assert "Here: 4 repeats" in text
    assert "python -m skt reproduce tiny --out" in text


def test_out_of_another_study(tmp_path, capsys, registered):
    registered(tiny())
    (tmp_path / "tiny.jsonl").write_text("mine\n")
    assert main(["reproduce", "tiny", "--out", str(tmp_path)]) == 2
    assert "exists and holds no records of a study" in capsys.readouterr().err


def test_figure_is_drawn(tmp_path, registered):
    pytest.importorskip("matplotlib")
    registered(tiny(plot=lambda records, ax: ax.plot([r["value"] for r in records])))
    assert main(["reproduce", "tiny", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "tiny.png").stat().st_size > 1000
