"""What was reported next to what we get, and the command that says so."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from skt import reproductions
from skt.cli.main import main
from skt.reproductions import Figure, Reproduction, _simultaneous, uowq
from skt.reproductions import l2sp as l2sp_figure
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


# Many figures at once -----------------------------------------------------------------------


def shared_blocks(rng, B, mean, n_blocks=3, d=5):
    """Repeats of figures that share nine tenths of their variance."""
    common = rng.normal(size=(n_blocks, B, 1)) * 0.9**0.5
    return list(mean + common + rng.normal(size=(n_blocks, B, d)) * 0.1**0.5)


def test_p_values_are_uniform_where_all_agrees(rng):
    found = []
    for _ in range(60):
        blocks = shared_blocks(rng, 25, 2.0)
        one = [block[0] for block in shared_blocks(rng, 1, 2.0)]
        both = (
            _simultaneous.mean_against(blocks, [np.full(5, 2.0)] * 3),
            _simultaneous.one_against(blocks, one, 0.0, shared=True),
        )
        p = [agreement.p_largest for agreement in both] + [both[0].p_squares]
        found.append([*p, _simultaneous.shared_p_value(blocks, one, 0.0)])
    assert np.all(np.abs(np.mean(found, axis=0) - 0.5) < 0.13)  # 3.5 standard errors
    assert np.all(np.mean(np.array(found) < 0.05, axis=0) < 0.16)


def test_disagreement_is_found_and_counted(rng):
    blocks = shared_blocks(rng, 40, 2.0)
    expected = [np.full(5, 2.0)] * 3
    expected[1] = np.array([2, 2, 4.0, 2, 2])
    agreement = _simultaneous.mean_against(blocks, expected)
    assert (agreement.n_beyond, agreement.n_figures) == (1, 15)
    assert agreement.p_largest < 0.001
    assert str(agreement).startswith("14 of 15 within the simultaneous 95 % band")
    # Each figure is within its spread, but not all deviations of shared draws have such signs.
    zigzag = [2 + 0.7 * np.array([1, -1, 1, -1, 1.0])] * 3
    assert _simultaneous.one_against(blocks, zigzag, 0.0, shared=True).p_largest > 0.05
    assert _simultaneous.shared_p_value(blocks, zigzag, 0.0) < 0.001


def test_rounding_widens_the_band(rng):
    blocks, one = shared_blocks(rng, 40, 2.0), [np.full(5, 5.5)] * 3
    strict, lax = (
        _simultaneous.one_against(blocks, one, half, shared=False).largest for half in (0.0, 3.0)
    )
    assert lax < 0.7 * strict


# The figure of L2-SP ------------------------------------------------------------------------


def test_curves_from_the_nodes_are_those_computed(rng):
    data = l2sp_figure.draw(rng, 5, 1.0)[0]
    curves = l2sp_figure.curves(data)
    rows = data.sample_domain == "source"
    for j in (7, 30):
        tau = l2sp_figure.PENALTIES[j]
        source = Ridge(100 * tau, fit_intercept=False).fit(data.X[rows], data.y[rows])
        gap = source.coef_ - data.source_coef
        wanted = gap @ data.covariance @ gap
        assert l2sp_figure.on_grid(curves.source)[j] == pytest.approx(wanted, rel=1e-5)
        # The target at alignment .7 is that of another draw of its outputs.
        X, y = data.X[~rows], data.y[~rows] - 0.3 * data.X[~rows] @ data.source_coef
        moved = Ridge(50 * 0.1, fit_intercept=False).fit(X, y - X @ source.coef_).coef_
        gap = source.coef_ + moved - 0.7 * data.source_coef
        found = l2sp_figure.on_grid(l2sp_figure.at_alignments(curves.target))[2, j]
        assert found == pytest.approx(gap @ data.covariance @ gap, rel=1e-5)


def test_the_lowest_point_of_a_curve():
    x = np.log(l2sp_figure.NODES)
    curves = np.array([(x - c) ** 2 * (1 + 0.01 * x) for c in (-1.3, 0.0, 2.2)])
    assert l2sp_figure.lowest(curves) == pytest.approx(np.exp([-1.3, 0.0, 2.2]), rel=1e-9)
    ends = l2sp_figure.lowest(np.array([x, -x]))
    assert ends == pytest.approx([0.01, 100])


def test_power_law_theory_is_one_at_alignment_one_and_falls():
    for decay in (0.0, 1.0):
        curve = [l2sp_figure.theory(2, rho, decay) for rho in (0.6, 1.0, 1.4)]
        assert curve[1] == pytest.approx(1, rel=1e-3)
        assert curve[0] > 1.5 > 1 > curve[2]


def test_summaries_of_ten_draws_by_hand():
    at = l2sp_figure.PENALTIES
    target = np.ones((2, 3, 50))
    # Errors quadratic in the alignment stay so: the same curve at all alignments.
    target[0, :, 10], target[1, :, 20] = 0, 0.5
    source = np.ones((2, 50))
    source[0, 5], source[1, 25] = 0, 0.5
    grid = l2sp_figure.Curves(source, target)
    ratios = at[[10, 20]] / at[[5, 25]]
    for name, wanted in (
        ("mean of ratios", ratios.mean()),
        ("ratio of means", at[[10, 20]].mean() / at[[5, 25]].mean()),
        ("median of ratios", np.median(ratios)),
        ("minimum of the mean curves", at[10] / at[5]),
    ):
        assert l2sp_figure.SUMMARIES[name](grid) == pytest.approx(np.full(11, wanted))


def test_records_of_the_figure_are_read_back(monkeypatch):
    monkeypatch.setattr(l2sp_figure, "PHIS", (5,))
    monkeypatch.setattr(l2sp_figure, "DECAYS", (0.0,))
    figure = reproductions.load("l2sp-ratio")
    assert list(figure.designs) == ["phi=5 decay=0"]
    records = figure.run(3, progress=False)
    block = l2sp_figure.simulated(records, 5)
    assert block.shape == (3, 11)
    assert np.all(np.abs(block.mean(axis=0) / l2sp_figure.points(records).theory[0] - 1) < 0.3)
    monkeypatch.setattr(l2sp_figure, "NOTES", {5: l2sp_figure.NOTES[5]})
    assert len(figure.figures(records, 3)) == 22
    text = figure.conclusions(records)
    assert "* decay 0: " in text
    assert text.count("if all alignments shared their draws, p = nan") == 4
    one = [row for row in records if row["repeat"] == 0]
    assert "from two repeats on" in figure.conclusions(one)
    assert len(figure.figures(one, 1)) == 22
