"""Summaries and tables of studies, by hand and against brute force."""

import math

import numpy as np
import pytest
from scipy import stats

from skt.study import summarize, summarize_designs, to_latex, to_markdown


def record(method, repeat, value):
    return {"design": "d", "metric": "m", "method": method, "repeat": repeat, "value": value}


def test_summary_by_hand():
    records = [record("base", i, v) for i, v in enumerate([2.0, 4.0, 6.0])]
    records += [record("new", i, v) for i, v in enumerate([1.0, 2.0, 6.0])]
    base, new = summarize(records, baseline="base")
    assert (base["mean"], base["ratio"], base["difference"]) == (4.0, 1.0, 0.0)
    assert base["standard_error"] == pytest.approx(2 / math.sqrt(3))
    assert new["ratio"] == pytest.approx(9 / 12)
    assert new["difference"] == pytest.approx(-1.0)
    assert new["difference_error"] == pytest.approx(1 / math.sqrt(3))


def test_summary_pairs_only_what_succeeded_in_both():
    records = [record("base", i, v) for i, v in enumerate([2.0, math.nan, 6.0])]
    records += [record("new", i, v) for i, v in enumerate([1.0, 2.0, math.inf])]
    base, new = summarize(records, baseline="base")
    assert (base["n_failures"], new["n_failures"]) == (1, 1)
    assert (new["mean"], new["ratio"], new["difference"]) == (1.5, 0.5, -1.0)
    assert math.isnan(new["difference_error"])


def test_summary_leaves_out_what_is_no_number():
    records = [record("base", 0, 1.0), record("base", 0, np.ones(3)) | {"metric": "rows"}]
    assert [row["metric"] for row in summarize(records)] == ["m"]
    assert "ratio" not in summarize(records)[0]


def test_summary_of_an_unknown_baseline():
    with pytest.raises(ValueError, match=r"one of the methods \['base'\]; got 'bass'"):
        summarize([record("base", 0, 1.0)], baseline="bass")


def paired(v, b, metric="m", design="d", **more):
    return [
        {"design": design, "metric": metric, "method": method, "repeat": i, "value": x} | more
        for method, values in (("base", b), ("new", v))
        for i, x in enumerate(values)
    ]


def test_interval_holds_the_ratios_that_a_test_does_not_reject(rng):
    b = rng.gamma(3.0, size=15)
    v = 0.5 * b + rng.gamma(1.0, 0.2, size=15)
    row = summarize(paired(v, b), baseline="base")[1]
    for end in ("ratio_low", "ratio_high"):
        assert stats.ttest_1samp(v - row[end] * b, 0).pvalue == pytest.approx(0.05)
    assert stats.ttest_1samp(v - row["ratio"] * b, 0).pvalue == pytest.approx(1)
    assert row["ratio_low"] < row["ratio"] < row["ratio_high"]


def test_interval_is_unbounded_where_the_baseline_may_be_zero(rng):
    row = summarize(paired(rng.normal(5, 1, 10), rng.normal(0, 1, 10)), baseline="base")[1]
    assert (row["ratio_low"], row["ratio_high"]) == (-math.inf, math.inf)


def test_no_ratio_of_losses_is_below_zero(rng):
    """Fieller's interval, cut at zero where no value is negative."""
    b, v = 1 + 0.1 * rng.gamma(1.0, size=12), np.r_[np.zeros(11), 8.0]
    low, high = interval_of(v, b)
    assert low == 0
    assert stats.ttest_1samp(v - high * b, 0).pvalue == pytest.approx(0.05)
    assert interval_of(v - 1e-9, b)[0] < 0  # one negative value: no losses
    assert interval_of(b, v) == (0, math.inf)  # the baseline's mean is not told from zero


def interval_of(v, b):
    row = summarize(paired(v, b), baseline="base")[1]
    return row["ratio_low"], row["ratio_high"]


def test_baseline_against_itself_and_against_zero():
    base, new = summarize(paired([1.0, 2.0, 3.0], [0.0, 0.0, 0.0]), baseline="base")
    assert math.isnan(new["ratio"])
    assert (new["ratio_low"], new["ratio_high"]) == (0, math.inf)
    base = summarize(paired([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]), baseline="base")[0]
    assert (base["ratio"], base["ratio_low"], base["ratio_high"]) == (1, 1, 1)
    assert base["ratio_error"] == 0


def test_error_of_a_ratio_is_that_of_first_order(rng):
    b = rng.gamma(3.0, size=400)
    v = 0.5 * b + rng.gamma(1.0, 0.2, size=400)
    row = summarize(paired(v, b), baseline="base")[1]
    blocks = np.delete(np.arange(400)[None].repeat(400, 0), np.arange(400) * 401).reshape(400, 399)
    jackknife = v[blocks].sum(1) / b[blocks].sum(1)
    assert row["ratio_error"] == pytest.approx(np.std(jackknife) * math.sqrt(399), rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("losses", "bounds"),
    [
        ("normal", (0.94, 0.96)),
        ("gamma", (0.94, 0.965)),
        ("log", (0.94, 0.98)),
        ("skewed", (0.88, 0.93)),
    ],
)
def test_interval_covers_the_true_ratio(losses, bounds, rng):
    n, tries = 20, 4000
    own, shared = rng.normal(size=(2, tries, n))
    if losses == "normal":
        v, b, truth = 3 + 0.5 * (own + shared), 5 + shared, 0.6
    elif losses == "gamma":
        shared = rng.gamma(1.5, size=(tries, n))
        v = 0.3 * shared + rng.gamma(1.0, 0.3, size=(tries, n))
        b, truth = shared + rng.gamma(1.0, size=(tries, n)), 0.3
    elif losses == "skewed":  # the method's alone: said in the docstring
        v, b = rng.gamma(0.5, 0.2, size=(tries, n)), rng.gamma(5.0, size=(tries, n))
        truth = 0.02
    else:
        v, b, truth = 0.5 * np.exp(0.8 * shared + 0.6 * own), np.exp(shared), 0.5
    rows = [summarize(paired(*each), baseline="base")[1] for each in zip(v, b, strict=True)]
    covered = np.mean([row["ratio_low"] <= truth <= row["ratio_high"] for row in rows])
    assert bounds[0] <= covered <= bounds[1]
    assert min(row["ratio_low"] for row in rows) >= 0


def test_ranks_and_worst_repeats():
    records = paired([1.0, 5.0, 3.0, math.nan], [2.0, 2.0, 3.0, 4.0])
    base, new = summarize(records)
    assert (base["rank"], new["rank"]) == ((2 + 1 + 1.5 + 1) / 4, (1 + 2 + 1.5 + 2) / 4)
    assert (base["worst"], base["worst_repeat"]) == (4.0, 3)
    assert (new["worst"], new["worst_repeat"]) == (5.0, 1)


def test_where_greater_is_better_ranks_turn_round():
    records = paired([1.0, 5.0, 3.0, math.nan], [2.0, 2.0, 3.0, 4.0], metric="accuracy")
    base, new = summarize(records, greater_is_better={"accuracy"})
    assert (base["rank"], new["rank"]) == ((1 + 2 + 1.5 + 1) / 4, (2 + 1 + 1.5 + 2) / 4)
    assert (new["worst"], new["worst_repeat"]) == (1.0, 0)


def test_ranks_over_the_repeats_that_all_methods_have():
    base, new = summarize(paired([1.0], [2.0, 0.0, 0.0]))
    assert (base["rank"], new["rank"]) == (2.0, 1.0)
    assert math.isnan(summarize(paired([], [2.0]) + paired([1.0], [])[:0])[0]["standard_error"])


def test_parameters_of_designs_are_in_the_summary():
    assert summarize(paired([1.0], [2.0], n_target=30))[0]["n_target"] == 30


def test_over_designs_by_hand():
    near = paired([1.0, 2.0], [2.0, 2.0], design="a")
    records = near + paired([6.0, 6.0], [2.0, 4.0], design="b")
    row = summarize_designs(summarize(records, baseline="base"))[1]
    assert (row["n_designs"], row["n_failures"]) == (2, 0)
    assert row["mean_ratio"] == (0.75 + 2) / 2
    assert (row["worst_ratio"], row["worst_design"]) == (2.0, "b")
    errors = [r["ratio_error"] for r in summarize(records, baseline="base") if r["method"] == "new"]
    assert row["mean_ratio_error"] == pytest.approx(math.hypot(*errors) / 2)
    best = summarize_designs(summarize(records, baseline="base"), greater_is_better={"m"})[1]
    assert best["worst_design"] == "a"


def test_over_designs_where_everything_failed():
    records = paired([math.nan] * 2, [1.0, 1.0])
    row = summarize_designs(summarize(records, baseline="base"))[1]
    assert (row["n_failures"], row["worst_design"]) == (2, None)
    assert math.isnan(row["mean_ratio"])


def test_over_designs_needs_ratios():
    with pytest.raises(ValueError, match=r"pass what summarize\(records, baseline=...\) returns"):
        summarize_designs(summarize(paired([1.0], [1.0])))


# Tables -------------------------------------------------------------------------------------


def some_summary():
    records = [
        *paired([1.0, 2.0], [2.0, 2.0], design="x|1", n=10),
        *paired([1.0, 1.0], [2.0, 4.0], design="x|2", n=20),
    ]
    return summarize(records, baseline="base")


def test_markdown_of_designs_escapes_bars():
    assert to_markdown(some_summary(), digits=2).splitlines() == [
        r"| method | x\|1 | x\|2 |",
        "|---|---|---|",
        "| base | 2.00 (0.00) | 3.00 (1.00) |",
        "| new | 1.50 (0.50) | 1.00 (0.00) |",
    ]


def test_markdown_of_a_parameter_with_intervals():
    head, _, base, new = to_markdown(
        some_summary(), statistics=["ratio", "n_repeats"], columns="n", digits=1
    ).splitlines()
    assert head.split(" | ")[1:3] == ["n = 10, ratio", "n = 10, n repeats"]
    assert base == "| base | 1.0 [1.0, 1.0] | 2 | 1.0 [1.0, 1.0] | 2 |"
    assert new.startswith("| new | 0.8 [0.0, 3.9] | 2 | 0.3 [0.0, inf]")


def test_latex_escapes():
    name = "a_b & 5% ~" + chr(92)
    rows = [{"metric": "m", "method": name, "mean_ratio": 1.0, "mean_ratio_error": 0.1}]
    lines = to_latex(rows, statistics=["mean_ratio"], columns=None).splitlines()
    assert lines[0] == r"\begin{tabular}{lr}"
    assert lines[4] == (r"a\_b \& 5\% \textasciitilde{}\textbackslash{} & 1.000 (0.100) \\")


def test_missing_cells_are_empty():
    rows = [row for row in some_summary() if (row["method"], row["n"]) != ("new", 20)]
    assert to_markdown(rows).endswith("|  |")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": "p"}, r"columns must be a key of the rows, \['design', 'n', .* got 'p'"),
        ({"statistics": ["median"]}, r"statistics must be keys of the rows, .* got 'median'"),
        ({"metric": "loss"}, r"metric must be one of \['m'\]; got 'loss'"),
        ({"columns": None}, r"columns=None does not tell 'x\|1' and 'x\|2' apart"),
    ],
)
def test_tables_that_cannot_be_made(options, message):
    with pytest.raises(ValueError, match=message):
        to_markdown(some_summary(), **options)


def test_metric_must_be_chosen_where_there_are_several():
    rows = summarize(paired([1.0], [1.0], metric="a") + paired([1.0], [1.0], metric="b"))
    with pytest.raises(ValueError, match=r"metric must be one of \['a', 'b'\]; got None"):
        to_markdown(rows)
    assert to_markdown(rows, metric="b").count("\n") == 3
