"""Displays draw what they are given and keep their axes."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from skt import (  # noqa: E402
    ADMM,
    L2SPClassifier,
    L2SPRidge,
    OTQMSSampler,
    SMARTRegressor,
    SourceModel,
    SourceSampled,
    SourceWeighted,
    UOWQRegressor,
    stack_domains,
)
from skt.choice.compare import compare  # noqa: E402
from skt.core import allocation  # noqa: E402
from skt.datasets import make_aligned_regressions, make_spectral_transfer  # noqa: E402
from skt.plots import (  # noqa: E402
    AlignmentDisplay,
    ComparisonDisplay,
    ConvergenceDisplay,
    EffectiveSampleSizeDisplay,
    LooSurfaceDisplay,
    PenaltyCurveDisplay,
    RiskCurveDisplay,
    SelectionDisplay,
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
    display = ComparisonDisplay(
        ["sure", "unsure"], [0.5, 0.95], [(0.4, 0.6), (0.85, 1.05)], "base"
    ).plot()
    sure, unsure = (bar[0] for bar in display.ax_.containers)
    assert sure.get_markerfacecolor() != "white"
    assert unsure.get_markerfacecolor() == "white"


def test_an_interval_without_end_has_no_bar():
    display = ComparisonDisplay(["vague"], [0.5], [(-np.inf, np.inf)], "base").plot()
    (vague,) = display.ax_.containers
    assert vague[0].get_markerfacecolor() == "white"
    assert not vague.has_xerr


def test_one_awful_method_does_not_squeeze_the_others():
    names, good = ["good", "awful"], (0.4, 0.6)
    near = ComparisonDisplay(names, [0.5, 2.0], [good, (1.5, 2.5)], "base").plot().ax_
    far = ComparisonDisplay(names, [0.5, 40.0], [good, (30, 50)], "base").plot().ax_
    alone = ComparisonDisplay(["awful"], [40.0], [(30, 50)], "base").plot().ax_
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
    message = (
        "draws a fitted estimator that weighs sources; LinearRegression has no source_weights_"
    )
    with pytest.raises(ValueError, match=message):
        SourceWeightsDisplay.from_estimator(LinearRegression())


def test_long_names_keep_both_ends():
    names = [f"a source whose name is much too long to be written out, {k}" for k in range(2)]
    written = labels(SourceWeightsDisplay(names, [1, 0]).plot().ax_)
    assert [text[:8] for text in written] == ["a source"] * 2
    assert [text[-3:] for text in written] == [", 0", ", 1"]
    assert max(map(len, written)) < 40


# What lies behind the weights ---------------------------------------------------------------


@pytest.fixture(scope="module")
def stacked():
    rng = np.random.default_rng(3)
    beta = rng.normal(size=6)

    def draw(n, beta):
        X = rng.normal(size=(n, 6))
        return X, X @ beta + rng.normal(size=n)

    sources = {
        "near": draw(200, beta + 0.1),
        "far": draw(150, beta + 1),
        "apart": draw(60, beta - 4),
    }
    return stack_domains(draw(30, beta), sources)


WEIGHING = {
    "UOWQ": UOWQRegressor(),
    "scalar UOWQ": UOWQRegressor(combination="scalar"),
    "weighted": SourceWeighted(Ridge()),
    "sampled": SourceSampled(Ridge(), OTQMSSampler(random_state=0)),
}


@pytest.fixture(params=list(WEIGHING), scope="module")
def weighed(request, stacked):
    X, y, domain = stacked
    return WEIGHING[request.param].fit(X, y, sample_domain=domain)


def test_discrepancy_stands_beside_the_weights(weighed):
    display = SourceWeightsDisplay.from_estimator(make_pipeline(StandardScaler(), weighed))
    weights, discrepancy = display.figure_.axes
    assert weights is display.ax_
    points = [line for line in discrepancy.lines if line.get_marker() == "o"]
    order = np.argsort(-weighed.source_weights_, kind="stable")
    expected = 30 * np.diag(weighed.discrepancy_)[order]
    assert_allclose([point.get_xdata()[0] for point in points], expected[expected > 0])
    hollow = [point.get_markerfacecolor() == "white" for point in points]
    assert hollow == list(expected[expected > 0] >= 1)


def test_weights_above_one_below_zero_and_unknown():
    values = SourceWeightsDisplay(list("abcd"), [-0.2, 2.05, np.nan, 0.0], [30, 1e-9, 2, 0.0])
    ax, beside = values.plot().figure_.axes
    assert labels(ax) == ["b", "d", "a", "c"]
    assert [bar.get_hatch() for bar in ax.patches] == [None, None, "////", None]
    assert [text.get_text() for text in ax.texts] == ["not known"]
    assert [line.get_marker() for line in beside.lines[1:]] == ["<", "<", "o", "o"]
    values.figure_.canvas.draw()


@pytest.mark.parametrize("by_hand", [True, False])
def test_both_panels_share_the_axes_given(by_hand):
    figure, axes = plt.subplots(1, 2)
    ax = figure.add_axes((0.1, 0.1, 0.3, 0.3)) if by_hand else axes[0]
    right = ax.get_position().x1
    display = SourceWeightsDisplay(["a"], [0.5], [2.0]).plot(ax=ax)
    assert display.ax_ is ax
    assert ax.get_position().x1 < figure.axes[-1].get_position().x0
    assert figure.axes[-1].get_position().x1 <= right + 1e-9


def test_effective_sample_size_adds_up(weighed):
    display = EffectiveSampleSizeDisplay.from_estimator(weighed)
    ax = display.ax_
    assert (labels(ax)[0], labels(ax)[-1]) == ("target", "together")
    own, *_, last, total = ax.patches
    assert own.get_width() == 30
    assert last.get_x() + last.get_width() == pytest.approx(weighed.effective_sample_size_)
    assert total.get_width() == pytest.approx(weighed.effective_sample_size_)
    written = [text.get_text() for text in ax.texts if text.get_text().startswith("of")]
    assert written[0] == "of 30"
    assert written[-1] == "of 440"
    display.figure_.canvas.draw()


def test_rows_that_are_not_known(stacked):
    X, y, domain = stacked
    known = {"a": SourceModel(np.ones(6))}
    est = UOWQRegressor(sources=known).fit(X, y, sample_domain=domain)
    written = [t.get_text() for t in EffectiveSampleSizeDisplay.from_estimator(est).ax_.texts]
    assert written.count("of ?") == 2
    with pytest.raises(ValueError, match="the weight of a row of every source; that of 'a' is not"):
        RiskCurveDisplay.from_estimator(est)


def curves(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def test_risk_starts_at_the_target_and_adds_up(weighed):
    lines = curves(RiskCurveDisplay.from_estimator(weighed).ax_)
    x, risk = lines["predicted risk"].get_data()
    assert risk[0] == pytest.approx(1.0)
    parts = lines["from noise"].get_ydata() + lines["from discrepancy"].get_ydata()
    assert_allclose(parts, risk)
    star = lines["chosen"]
    assert star.get_xdata() == 1.0
    assert star.get_ydata() == pytest.approx(risk[np.argmin(np.abs(x - 1))])
    assert star.get_ydata() < 0.9


@pytest.mark.parametrize("name", ["scalar UOWQ", "weighted"])
def test_chosen_weights_are_at_the_minimum(stacked, name):
    X, y, domain = stacked
    est = WEIGHING[name].fit(X, y, sample_domain=domain)
    for source in [None, *est.source_names_]:
        lines = curves(RiskCurveDisplay.from_estimator(est, source=source).ax_)
        x, risk = lines["predicted risk"].get_data()
        near = np.abs(x - lines["chosen"].get_xdata()[0]).argmin()
        assert abs(near - np.argmin(risk)) <= 1


def test_ends_of_the_risk_are_the_target_and_all_rows(stacked):
    X, y, domain = stacked
    est = SourceWeighted(Ridge()).fit(X, y, sample_domain=domain)
    risk = curves(RiskCurveDisplay.from_estimator(est).ax_)["predicted risk"].get_ydata()
    k = est.source_noise_ratio_
    n = np.append(30, est.n_source_samples_ / k)
    assert risk[-1] == pytest.approx(30 * allocation.risk(k, n, est.discrepancy_))


def test_a_far_end_is_written_out():
    display = RiskCurveDisplay([0, 1, 2], [1, 0.5, 0.2], [0, 0.1, 6.8], 1.0, "weights").plot()
    assert display.ax_.get_title(loc="right") == "at the right end 7"
    assert display.ax_.get_ylim() == (0, 2)


def test_risk_that_is_no_function_of_weights(stacked):
    X, y, domain = stacked
    est = UOWQRegressor().fit(X, y)
    with pytest.raises(ValueError, match="needs sources; this estimator was fitted without"):
        RiskCurveDisplay.from_estimator(est)
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(160, 30))
    mirrored = wide.sum(axis=1) * np.where(np.arange(160) < 20, 1, -2) + rng.normal(size=160)
    est.fit(wide, mirrored, sample_domain=np.where(np.arange(160) < 20, "target", "mirror"))
    assert est.source_scale_[0] < -1
    with pytest.raises(ValueError, match=r"has scaled its sources.*combination='scalar'"):
        RiskCurveDisplay.from_estimator(est)
    est = SourceWeighted(Ridge()).fit(X, y, sample_domain=domain)
    with pytest.raises(ValueError, match=r"source must be one of \['apart', 'far', 'near'\]; got"):
        RiskCurveDisplay.from_estimator(est, source="nearby")


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


# Leave-one-out errors of L2-SP ----------------------------------------------------------------


def l2sp(**options):
    data = make_aligned_regressions(60, 40, 20, 0.5, target_noise=0.5, random_state=0)
    return L2SPRidge(**options).fit(data.X, data.y, sample_domain=data.sample_domain)


def test_surface_is_a_map_with_its_choice_marked():
    est = l2sp(source_scale=1.0)
    display = LooSurfaceDisplay.from_estimator(make_pipeline(StandardScaler(), est))
    mark = display.ax_.lines[0]
    assert_allclose(mark.get_xdata(), est.alpha_)
    assert_allclose(mark.get_ydata(), est.source_alpha_)
    assert display.ax_.get_xscale() == display.ax_.get_yscale() == "log"
    display.figure_.canvas.draw()


def test_surface_of_several_sources_and_of_a_known_one():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y, domain = X.sum(axis=1) + rng.normal(size=60), np.repeat(["target", "a", "b"], 20)
    est = L2SPRidge(method="loo", sources={"known": SourceModel(np.ones(3))})
    display = LooSurfaceDisplay.from_estimator(est.fit(X, y, sample_domain=domain))
    assert np.isfinite(display.source_alphas).all()
    display.figure_.canvas.draw()


@pytest.mark.parametrize("options", [{}, {"source_alpha": "source-optimal"}, {"alpha": 0.1}])
def test_no_surface_where_one_penalty_was_looked_at(options):
    with pytest.raises(ValueError, match=r"many pairs of penalties.*PenaltyCurveDisplay draws"):
        LooSurfaceDisplay.from_estimator(l2sp(**options))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"method": "loo"}, ["target alone", "with sources", "chosen"]),
        ({"source_alpha": "source-optimal"}, ["target alone", "with sources", "chosen"]),
        ({}, ["target alone", "sources fitted jointly"]),
        ({"alpha": 0.1}, ["target alone", "with sources", "chosen"]),
    ],
)
def test_errors_along_the_penalty(options, expected):
    _, ax = plt.subplots()
    est = l2sp(**options)
    display = PenaltyCurveDisplay.from_estimator(make_pipeline(StandardScaler(), est), ax=ax)
    assert display.ax_ is ax
    lines = curves(ax)
    assert list(lines) == expected
    least = est.loo_curve_.min()
    assert lines["target alone"].get_ydata().min() == pytest.approx(1.0)
    mark = lines[expected[-1]]
    assert mark.get_ydata()[0] == pytest.approx(est.loo_error_ / least)
    display.figure_.canvas.draw()


def classifier(**options):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(260, 8))
    y = X.sum(axis=1) + 2 * rng.logistic(size=260) > 0
    domain = np.where(np.arange(260) < 60, "target", "near")
    return L2SPClassifier(**options), X, y, domain


def test_validated_losses_along_the_penalty():
    est, X, y, domain = classifier()
    est.fit(X, y, sample_domain=domain)
    lines = curves(PenaltyCurveDisplay.from_estimator(est).ax_)
    least = est.cv_loss_[0].min()
    assert_allclose(np.sort(lines["with sources"].get_ydata()), np.sort(est.cv_loss_[1]) / least)
    assert est.alpha_ == np.inf
    assert lines["chosen"].get_xdata()[0] == lines["with sources"].get_xdata().max()
    assert lines["chosen"].axes.get_xticklabels(minor=True)[0].get_text() == "\ninfinite"
    assert lines["chosen"].get_ydata()[0] == pytest.approx(est.cv_loss_.min() / least)


def test_losses_of_the_target_alone():
    est, X, y, domain = classifier()
    est.fit(X[domain == "target"], y[domain == "target"])
    display = PenaltyCurveDisplay.from_estimator(est)
    assert list(curves(display.ax_)) == ["target alone", "chosen"]
    display.figure_.canvas.draw()


def test_large_errors_do_not_flatten_the_rest():
    errors = {"target alone": [500.0, 1.0, 1.5], "with sources": [np.inf, np.nan, 0.7]}
    ax = PenaltyCurveDisplay([0.1, 1, 10], errors, "error").plot().ax_
    assert ax.get_ylim()[1] == 2.0
    assert ax.get_ylim()[0] < 0.7


def test_penalties_that_were_not_looked_at():
    est, X, y, domain = classifier(alpha=0.1, source_scale=1.0)
    est.fit(X, y, sample_domain=domain)
    with pytest.raises(ValueError, match="alpha and source_scale were both given"):
        PenaltyCurveDisplay.from_estimator(est)
    message = "draws a fitted L2SPRidge or L2SPClassifier; LinearRegression has no alphas_"
    with pytest.raises(ValueError, match=message):
        PenaltyCurveDisplay.from_estimator(LinearRegression())


def test_surface_of_something_else():
    with pytest.raises(ValueError, match="draws a fitted L2SPRidge; LinearRegression has no"):
        LooSurfaceDisplay.from_estimator(LinearRegression())


# SMART --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smart():
    data = make_spectral_transfer(
        80, 24, 16, rank=2, source_rank=4, source_noise=0.02, random_state=0
    )
    model = SMARTRegressor(sources={"a": SourceModel(data.source_coef)})
    return model.fit(data.X, data.y), data


@pytest.mark.parametrize("side", ["features", "outputs"])
def test_alignment_shows_every_direction_and_the_rest(smart, side):
    model, _ = smart
    display = AlignmentDisplay.from_estimator(model, side=side)
    assert labels(display.ax_) == ["1", "2", "3", "4", "outside"]
    assert side in display.ax_.get_ylabel()
    shown = display.ax_.images[0].get_array()
    part = model.alignment_[side == "outputs"]
    assert np.array_equal(np.ma.getmaskarray(shown), part == 0)
    assert shown.max() == pytest.approx(np.abs(part).max())


def test_alignment_marks_what_is_free(smart):
    _, data = smart
    known = {"a": SourceModel(data.source_coef)}
    model = SMARTRegressor(2, structural_rank=(3, 2), alpha=0.1, sources=known)
    model.fit(data.X, data.y)
    lines = [
        AlignmentDisplay.from_estimator(model, side=side).ax_.lines[0].get_ydata()[0]
        for side in ("features", "outputs")
    ]
    assert lines == [2.5, 1.5]


def test_selection_shows_paths_ends_and_choice(smart):
    model, _ = smart
    display = SelectionDisplay.from_estimator(model)
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert {"chosen", "infinite alpha", "structural rank 0, 0"} <= set(texts)
    star = next(line for line in display.ax_.lines if line.get_label() == "chosen")
    results = model.cv_results_
    expected = results["difference"][results["chosen"]] / results["mean_error"][0]
    assert star.get_ydata()[0] == pytest.approx(expected)
    assert star.get_xdata()[0] == pytest.approx(model.alpha_[0])


def test_convergence_shows_residuals_and_tolerance(smart):
    _, data = smart
    known = {"a": SourceModel(data.source_coef)}
    model = SMARTRegressor(2, structural_rank=0, alpha=0.05, solver=ADMM(tol=1e-6), sources=known)
    display = ConvergenceDisplay.from_estimator(make_pipeline(model.fit(data.X, data.y)))
    primal, dual, _, tol = display.ax_.lines
    assert primal.get_ydata()[-1] <= 1e-6 == tol.get_ydata()[0]
    assert dual.get_xdata()[-1] == model.n_iter_
    assert display.figure_ is display.ax_.figure


def test_what_cannot_be_drawn_says_why(smart):
    model, data = smart
    known = {"a": SourceModel(data.source_coef)}
    closed = SMARTRegressor(2, structural_rank=4, alpha=np.inf, sources=known)
    closed.fit(data.X, data.y)
    with pytest.raises(ValueError, match="this one is a closed form"):
        ConvergenceDisplay.from_estimator(closed)
    with pytest.raises(ValueError, match="has chosen by cross-validation"):
        SelectionDisplay.from_estimator(closed)
    message = "draws a fitted SMARTRegressor; LinearRegression has no alignment_: fit it first"
    with pytest.raises(ValueError, match=message):
        AlignmentDisplay.from_estimator(LinearRegression())
    with pytest.raises(
        ValueError, match=r"side must be one of \['features', 'outputs'\]; got 'rows'"
    ):
        AlignmentDisplay.from_estimator(model, side="rows")


def test_displays_draw_on_given_axes(smart):
    model, _ = smart
    _, axes = plt.subplots(1, 2)
    assert AlignmentDisplay.from_estimator(model, ax=axes[0]).ax_ is axes[0]
    assert SelectionDisplay.from_estimator(model, ax=axes[1]).ax_ is axes[1]
