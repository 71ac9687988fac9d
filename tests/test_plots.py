"""Displays draw what they are given and keep their axes."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from skt._compare import compare  # noqa: E402
from skt.plots import (  # noqa: E402
    ComparisonDisplay,
    SourceWeightsDisplay,
    SourceWeightsMapDisplay,
    StudyDisplay,
)
from skt.study import summarize  # noqa: E402


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def comparison():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 4))
    label = np.repeat(["target", "north"], [50, 100])
    methods = ["pooled ridge", "source-only ridge"]
    options = {"target_size": 10, "n_repeats": 5, "progress": False}
    return compare(X, X.sum(axis=1) + rng.normal(size=150), label, methods=methods, **options)


def labels(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def weighing(names, weights):
    model = LinearRegression()
    model.source_names_, model.source_weights_ = names, np.asarray(weights)
    return model


def test_comparison_is_drawn_best_first(comparison):
    display = comparison.plot()
    ratios = {row["method"]: row["ratio"] for row in comparison.summary[1:]}
    assert labels(display.ax_) == sorted(ratios, key=ratios.get)
    assert display.figure_ is display.ax_.figure
    assert "relative to target-only ridge" in display.ax_.get_xlabel()


def test_comparison_on_given_axes(comparison):
    _, ax = plt.subplots()
    assert ComparisonDisplay.from_comparison(comparison).plot(ax=ax).ax_ is ax
    assert len(plt.get_fignums()) == 1


def test_point_is_filled_only_when_clear_of_the_reference():
    display = ComparisonDisplay(["sure", "unsure"], [0.5, 0.95], [0.1, 0.1], "base").plot()
    sure, unsure = (bar[0] for bar in display.ax_.containers)
    assert sure.get_markerfacecolor() != "white"
    assert unsure.get_markerfacecolor() == "white"


def test_one_awful_method_does_not_squeeze_the_others():
    names, errors = ["good", "awful"], [0.1, 5.0]
    near = ComparisonDisplay(names, [0.5, 2.0], errors, "base").plot().ax_
    far = ComparisonDisplay(names, [0.5, 40.0], errors, "base").plot().ax_
    alone = ComparisonDisplay(["awful"], [40.0], [5.0], "base").plot().ax_
    assert alone.get_xlim()[0] < 1
    assert (near.get_xscale(), far.get_xscale()) == ("linear", "log")
    far.figure.canvas.draw()
    ticks = [text.get_text() for text in far.get_xticklabels()]
    assert ticks == ["0.5", "1", "2", "5", "10", "20", "50"]


def test_weights_are_drawn_largest_first():
    display = SourceWeightsDisplay.from_estimator(weighing(["a", "b", "c"], [0.1, 0.9, 0.0]))
    assert labels(display.ax_) == ["b", "a", "c"]
    assert [bar.get_width() for bar in display.ax_.patches] == [0.9, 0.1, 0.0]


def test_weights_of_a_pipeline_on_given_axes():
    _, ax = plt.subplots()
    pipeline = make_pipeline(StandardScaler(), weighing(["a"], [0.5]))
    assert SourceWeightsDisplay.from_estimator(pipeline, ax=ax).ax_ is ax


def test_sixty_names_do_not_overlap():
    names = [f"a source with a long name, number {k}" for k in range(60)]
    display = SourceWeightsDisplay(names, np.linspace(1, 0, 60)).plot()
    display.figure_.canvas.draw()
    boxes = [text.get_window_extent() for text in display.ax_.get_yticklabels()]
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(boxes))
    assert min(box.x0 for box in boxes) >= 0


def test_estimator_without_weights():
    with pytest.raises(ValueError, match="LinearRegression has none: fit it first"):
        SourceWeightsDisplay.from_estimator(LinearRegression())


def rows_of_weights(targets, sources):
    return [
        {"target": t, "source": s, "method": "UOWQ", "weight": 0.1 * i + j}
        for i, t in enumerate(targets)
        for j, s in enumerate(sources)
        if s != t
    ]


def map_of(targets, sources):
    comparison = SimpleNamespace(targets=targets, source_weights=rows_of_weights(targets, sources))
    return SourceWeightsMapDisplay.from_comparison(comparison, "UOWQ")


def test_map_of_weights():
    display = map_of(["b", "a"], ["a", "b", "only a source"])
    assert display.source_names == ["b", "a", "only a source"]
    np.testing.assert_allclose(display.weights, [[np.nan, 0, 2], [1.1, np.nan, 2.1]])
    ax = display.plot().ax_
    assert labels(ax) == ["b", "a"]
    assert [text.get_text() for text in ax.texts] == ["0.00", "2.00", "1.10", "2.10"]
    assert ax.texts[0].get_color() == "black"
    assert ax.texts[3].get_color() == "white"


def test_map_is_read_in_black_and_white():
    image = map_of(["a", "b"], ["a", "b"]).plot().ax_.images[0]
    grey = image.cmap(np.linspace(0, 1, 20))[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(grey) < 0).all()


def test_map_of_forty_names_does_not_overlap():
    names = [f"group {k}" for k in range(40)]
    display = map_of(names, names).plot()
    assert not display.ax_.texts
    display.figure_.canvas.draw()
    boxes = [text.get_window_extent() for text in display.ax_.get_yticklabels()]
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(boxes))


# Studies ------------------------------------------------------------------------------------


def summary_of(sizes=(30, 10, 20), metric="risk", **more):
    rng = np.random.default_rng(0)
    records = [
        {"design": f"n={n}", "n": n, "metric": metric, "method": m, "repeat": r, "value": v} | more
        for n in sizes
        for m, level in (("ols", 10.0), ("ridge", 5.0))
        for r, v in enumerate(level / n + 0.01 * rng.normal(size=8))
    ]
    return summarize(records, baseline="ols")


def test_study_is_drawn_over_a_parameter():
    ax = StudyDisplay.from_study(summary_of(), "n").ax_
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ols", "ridge"]
    ols, ridge = ax.lines
    assert list(ols.get_xdata()) == [10, 20, 30]
    np.testing.assert_allclose(ridge.get_ydata(), [0.5, 0.25, 1 / 6], atol=0.02)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("n", "risk")
    assert len(ax.collections) == 2


def test_bands_are_two_standard_errors_or_the_interval():
    summary = summary_of(sizes=(10, 20))
    row = summary[1]
    means = StudyDisplay.from_study(summary, "n").lines["ridge"][0]
    assert means[1:] == (row["mean"] - 2 * row["standard_error"],
                         row["mean"] + 2 * row["standard_error"])  # fmt: skip
    ratios = StudyDisplay.from_study(summary, "n", statistic="ratio")
    assert ratios.lines["ridge"][0] == (row["ratio"], row["ratio_low"], row["ratio_high"])
    assert ratios.lines["ols"] == [(1.0, 1.0, 1.0)] * 2
    assert ratios.ax_.get_ylabel() == "risk, ratio to the baseline"


def test_study_on_given_axes_with_some_methods_and_a_gap():
    _, ax = plt.subplots()
    summary = [row for row in summary_of() if (row["method"], row["n"]) != ("ridge", 20)]
    display = StudyDisplay.from_study(summary, "n", methods=["ridge"], ax=ax)
    assert display.ax_ is ax
    assert list(display.lines) == ["ridge"]
    both = StudyDisplay.from_study(summary, "n").lines["ridge"]
    assert np.isnan(both[1]).all() and not np.isnan(both[2]).any()  # noqa: PT018


def test_lines_of_a_study_are_told_apart_without_colour():
    points = np.ones((2, 3))
    display = StudyDisplay([1, 2], {f"method {k}": points for k in range(28)}, "n", "risk").plot()
    looks = {(line.get_linestyle(), line.get_marker()) for line in display.ax_.lines}
    assert len(looks) == 28


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": "p"}, "x must be a parameter of every design; 'n=30' has no 'p'"),
        ({"metric": "loss"}, r"metric must be one of \['risk'\]; got 'loss'"),
        ({"statistic": "median"}, r"statistic must be one of \['mean', 'ratio'\]; got 'median'"),
        ({"methods": ["lasso"]}, r"methods must be one of \['ols', 'ridge'\]; got 'lasso'"),
        ({"x": "p", "p": 1}, "'n=30' and 'n=10' both have p = 1; pass rows of designs that differ"),
    ],
)
def test_study_that_cannot_be_drawn(change, message):
    options = {"x": "n"} | change
    summary = summary_of(**{key: options.pop(key) for key in ("p",) if key in options})
    with pytest.raises(ValueError, match=message):
        StudyDisplay.from_study(summary, options.pop("x"), **options)


def test_ratios_that_were_not_made():
    rows = [{"design": "a", "n": 1, "metric": "m", "method": "x", "mean": 1, "standard_error": 0}]
    with pytest.raises(ValueError, match=r"needs summarize\(records, baseline=...\)"):
        StudyDisplay.from_study(rows, "n", statistic="ratio")
