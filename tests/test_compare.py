"""The comparison: same splits for all, honest errors, clear refusals."""

import math
import sys
import types

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skt import _compare, _comparison
from skt._compare import BASELINE, METHODS, Method, compare, compare_each
from skt.sources import split_domains

BASELINES = ["pooled ridge", "source-only ridge", "source + residual ridge"]


def domains(slopes, sizes, seed=0, noise=1.0):
    """Rows of several domains; the first is the target."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(sum(sizes), 5))
    label = np.repeat(["target", *(f"s{k}" for k in range(1, len(sizes)))], sizes)
    slope = np.repeat(slopes, sizes, axis=0)
    return X, (X * slope[:, None]).sum(axis=1) + noise * rng.normal(size=len(X)), label


ALIKE = domains([1.0, 1.0, 1.0], [60, 150, 100], noise=2.0)
OPPOSITE = domains([1.0, -1.0], [60, 200])


def run(X, y, label, methods=BASELINES, n_repeats=10, target_size=10, **kwargs):
    options = {"n_repeats": n_repeats, "target_size": target_size, "progress": False}
    return compare(X, y, label, methods=methods, **options | kwargs)


def row(comparison, method):
    return next(row for row in comparison.summary if row["method"] == method)


class Weighing(RegressorMixin, BaseEstimator):
    """Pooled least squares that reports weights as estimators of the suite do."""

    def __init__(self, rows_seen=None):
        self.rows_seen = rows_seen

    def fit(self, X, y, sample_domain=None, sample_weight=None):
        self.model_ = LinearRegression().fit(X, y)
        _, sources = split_domains(sample_domain, len(X))
        self.source_names_ = list(sources)
        self.source_weights_ = np.linspace(0.5, 0.25, len(sources))
        self.effective_sample_size_ = 42.0
        return self

    def predict(self, X):
        return self.model_.predict(X)


def test_sources_alike_help():
    comparison = run(*ALIKE)
    assert row(comparison, "pooled ridge")["ratio"] < 0.95
    assert comparison.verdict.startswith("source-only ridge lowers target-only ridge's error by")
    assert "pooled ridge and source + residual ridge cannot be told from it" in comparison.verdict
    assert "with 10 target rows" in comparison.verdict


def test_opposite_source_hurts():
    comparison = run(*OPPOSITE, methods=["pooled ridge", "source-only ridge"])
    assert row(comparison, "source-only ridge")["ratio"] > 2
    assert comparison.verdict.startswith("Transfer hurts: even pooled ridge raises")


def test_harmful_methods_are_named_beside_a_helpful_one():
    X, y, label = OPPOSITE
    methods = {"truth": _Truth(), "pooled": _compare.FitOn(RidgeCV(), rows="all")}
    comparison = run(X, y, label, methods=methods, target_size=5)
    assert comparison.verdict.startswith("truth lowers")
    assert "pooled (ratio" in comparison.verdict
    assert comparison.verdict.endswith("would hurt.")


class _Truth(RegressorMixin, BaseEstimator):
    """Knows the slope up to the scale of the features."""

    def fit(self, X, y, sample_domain=None):
        target, _ = split_domains(sample_domain, len(X))
        sums = X[target].sum(axis=1)
        self.intercept_ = (y[target] - sums).mean()
        return self

    def predict(self, X):
        return X.sum(axis=1) + self.intercept_


def test_a_method_equal_to_the_baseline_beats_nothing():
    same = {"same": RidgeCV(alphas=np.logspace(-3, 4, 15))}
    comparison = run(*ALIKE, methods=same)
    assert row(comparison, "same")["difference"] == 0.0
    assert comparison.verdict.startswith("No method beats target-only ridge beyond its error")


def test_many_useless_methods_rarely_win():
    """The best of twenty noise methods must not be declared a winner."""
    X, y, label = ALIKE
    rng = np.random.default_rng(0)
    noise = {f"noise {k}": _Perturbed(seed=int(rng.integers(2**31))) for k in range(20)}
    assert "lowers" not in run(X, y, label, methods=noise, n_repeats=20).verdict


class _Perturbed(RegressorMixin, BaseEstimator):
    """Target-only ridge plus noise that is neither better nor worse in a way that lasts."""

    def __init__(self, seed=0):
        self.seed = seed

    def fit(self, X, y):
        self.model_ = RidgeCV(alphas=np.logspace(-3, 4, 15)).fit(X, y)
        return self

    def predict(self, X):
        rng = np.random.default_rng([self.seed, abs(int(X.sum() * 1e6))])
        return self.model_.predict(X) + 0.05 * rng.normal(size=len(X))


def test_loss_of_the_mean_is_one():
    comparison = run(*ALIKE, methods={"mean": DummyRegressor()}, n_repeats=200)
    losses = [
        r["value"] for r in comparison.records if (r["method"], r["metric"]) == ("mean", "loss")
    ]
    # Over all splits it is one exactly; these are some of them.
    error = np.std(losses) / np.sqrt(len(losses))
    assert error < 0.02
    assert np.mean(losses) == pytest.approx(1, abs=3 * error)


def test_loss_stays_finite_where_two_rows_test():
    """The scale of the loss is that of all rows of the target, not of the two of a split."""
    X, y, _ = ALIKE
    y = y.copy()
    y[:4] = [0.0, 1.0, 0.5, 0.5]  # a split that trains on the first two leaves no variance
    comparison = run(X, y, np.r_[["target"] * 4, ["s1"] * 306], target_size=None, n_repeats=50)
    assert all(math.isfinite(record["value"]) for record in comparison.records)


def test_records_hold_paired_losses_of_every_repeat():
    comparison = run(*ALIKE)
    losses = [r for r in comparison.records if r["metric"] == "loss"]
    assert len(losses) == 10 * 4
    means = {m: np.mean([r["value"] for r in losses if r["method"] == m]) for m in BASELINES}
    for method, mean in means.items():
        assert row(comparison, method)["mean"] == pytest.approx(mean)
    assert all(isinstance(r["value"], float) for r in comparison.records)


def test_errors_do_not_vanish_with_more_repeats():
    few, many = (run(*ALIKE, n_repeats=n, methods=["pooled ridge"]) for n in (40, 160))
    errors = [row(c, "pooled ridge")["difference_error"] for c in (few, many)]
    assert errors[1] > 0.7 * errors[0]  # of splits alone it would be half


def test_only_target_rows_test_and_all_source_rows_train():
    X, y, label = ALIKE
    task = _compare._target_task("target", X, y, label, 10)
    split = task(np.random.default_rng(0))
    assert set(label[split.test_rows]) == {"target"}
    assert (np.sum(split.sample_domain == "target"), len(split.test_rows)) == (10, 50)
    assert np.sum(split.sample_domain != "target") == 250
    assert split.X.mean(axis=0) == pytest.approx(0, abs=1e-12)


def test_default_target_size_is_half():
    assert run(*ALIKE, target_size=None, n_repeats=2).target_sizes == {"target": 30}


def test_missing_values_are_imputed():
    X, y, label = ALIKE
    X = X.copy()
    X[::7, 2] = np.nan
    assert math.isfinite(row(run(X, y, label), "pooled ridge")["mean"])


def test_caller_arrays_are_not_changed():
    X, y, label = (array.copy() for array in ALIKE)
    for array in (X, y, label):
        array.flags.writeable = False
    run(X, y, label, n_repeats=2)
    np.testing.assert_array_equal(X, ALIKE[0])


def test_frames_and_integer_labels_give_the_same():
    X, y, label = ALIKE
    codes = np.select([label == "target", label == "s1"], [-1, 0], 1)
    frame = run(pd.DataFrame(X), pd.Series(y), pd.Series(codes), n_repeats=2)
    assert frame.summary == run(X, y, label, n_repeats=2).summary


def test_two_outputs():
    X, y, label = ALIKE
    one, two = run(X, y, label), run(X, np.column_stack([y, 3 * y + 1]), label)
    assert row(two, "source-only ridge")["mean"] == pytest.approx(
        row(one, "source-only ridge")["mean"]
    )


def test_methods_for_many_outputs_join_where_there_are_many():
    X, y, label = ALIKE
    many = ["SMART", "reduced-rank regression"]
    assert not set(many) & set(run(X, y, label, methods=None, n_repeats=2).methods)
    both = run(X, np.column_stack([y, X[:, 0]]), label, methods=None, n_repeats=2)
    assert set(many) <= set(both.methods)
    assert not both.failures


def test_weights_of_estimators_and_of_pipelines():
    pipeline = make_pipeline(StandardScaler(), Weighing())
    comparison = run(*ALIKE, methods={"weighing": Weighing(), "pipeline": pipeline}, n_repeats=2)
    expected = {"source": "s1", "n_rows": 150, "weight": 0.5, "effective_rows": 75.0}
    first, _, piped, _ = comparison.source_weights
    assert first == {"target": "target", "method": "weighing"} | expected
    assert piped == {"target": "target", "method": "pipeline"} | expected
    assert comparison.effective_sample_sizes[0]["effective_sample_size"] == 42.0


def test_estimators_without_domains_see_target_rows_only():
    forest = RandomForestRegressor(n_estimators=5)
    once, again = (run(*ALIKE, methods={"forest": forest}, n_repeats=2) for _ in range(2))
    assert once.summary == again.summary  # seeded, although random_state is None
    least_squares = {"least squares": LinearRegression()}
    assert row(run(*OPPOSITE, methods=least_squares), "least squares")["ratio"] < 2


def test_one_line_joins_the_registry(monkeypatch):
    joined = (
        *METHODS[:2],
        Method("weighing", Weighing),
        Method("never", Weighing, lambda t: False),
    )
    monkeypatch.setattr(_compare, "METHODS", joined)
    assert run(*ALIKE, methods=None, n_repeats=2).methods == [BASELINE, "pooled ridge", "weighing"]
    with pytest.raises(ValueError, match="methods must apply to these data; 'never' does not"):
        run(*ALIKE, methods=["never"])


def test_failing_method_is_shown_not_lost():
    comparison = run(*ALIKE, methods={"broken": _Broken(), "fine": DummyRegressor()})
    assert row(comparison, "broken")["n_failures"] == 10
    assert comparison.failures[0]["error"] == "RuntimeError: no luck"
    assert math.isfinite(row(comparison, "fine")["ratio"])
    assert "Nothing to compare" in run(*ALIKE, methods={"broken": _Broken()}).verdict


class _Broken(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        raise RuntimeError("no luck")


def test_every_domain_in_turn():
    X, y, label = ALIKE
    label = np.where(label == "target", "s0", label)
    comparison = compare_each(
        X, y, label, methods=["pooled ridge"], n_repeats=3, target_size=10, progress=False
    )
    assert comparison.targets == ["s0", "s1", "s2"]
    means = [r["mean"] for r in comparison.by_target if r["method"] == "pooled ridge"]
    assert row(comparison, "pooled ridge")["mean"] == pytest.approx(np.mean(means))
    assert "averaged over 3 targets" in comparison.verdict


def test_frame_and_repr():
    comparison = run(*ALIKE, n_repeats=2)
    assert comparison.to_frame().loc[BASELINE, "ratio"] == 1.0
    assert repr(comparison).startswith("<Comparison of 4 methods on 1 target(s), 2 splits each: ")


def test_frame_without_pandas(monkeypatch):
    comparison = run(*ALIKE, n_repeats=2)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"run `pip install pandas`, or use \.summary"):
        comparison.to_frame()


def test_suite_is_imported_when_used(monkeypatch):
    module = types.ModuleType("skt._uowq")
    module.UOWQRegressor = Weighing
    monkeypatch.setitem(sys.modules, "skt._uowq", module)
    comparison = run(*ALIKE, methods=["UOWQ"], n_repeats=2)
    assert {w["method"] for w in comparison.source_weights} == {"UOWQ"}


X0, Y0, LABEL0 = ALIKE


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"y": np.where(Y0 > 0, "yes", "no")}, "y must be numeric, .* regression only"),
        ({"y": Y0 > 0}, "y must be numeric, .* regression only"),
        (
            {"y": np.where(LABEL0 == "target", 1.0, Y0)},
            "the outcome y does not vary among the rows of 'target'",
        ),
        ({"X": X0.astype(str).astype(object) + "a"}, "X must be a table of finite numbers or nan"),
        ({"X": np.where(X0 > 2, np.inf, X0)}, "X must be a table of finite numbers or nan"),
        ({"X": X0[:-1]}, "inconsistent numbers of samples"),
        ({"label": np.full(len(Y0), "target")}, "needs rows of at least one source"),
        ({"label": np.full(len(Y0), "s1")}, "no target row"),
        ({"label": np.r_[["target"] * 3, ["s1"] * 307]}, "'target' has 3; without held-out rows"),
        ({"target_size": 1}, "target_size must be a whole number from 2 to 58, .* got 1"),
        ({"target_size": 59}, "target_size must be a whole number from 2 to 58, .* got 59"),
        ({"n_repeats": 1}, "n_repeats must be a whole number of at least 2"),
        ({"methods": ["poled ridge"]}, "must be among .*'pooled ridge'.*; got 'poled ridge'"),
        ({"methods": {"ridge": RidgeCV}}, r"methods\['ridge'\] must be an estimator"),
    ],
)
def test_bad_input(wrong, message):
    with pytest.raises((TypeError, ValueError), match=message):
        run(**{"X": X0, "y": Y0, "label": LABEL0} | wrong)


def test_smallest_target():
    X, y, _ = ALIKE
    label = np.r_[["target"] * 4, ["s1"] * 306]
    assert math.isfinite(row(run(X, y, label, target_size=None), "pooled ridge")["mean"])


def test_in_turn_needs_two_domains():
    X, y, _ = ALIKE
    with pytest.raises(ValueError, match="at least two domains"):
        compare_each(X, y, np.full(len(y), "a"), progress=False)


def in_turn(label, y=ALIKE[1], **kwargs):
    options = {"methods": ["pooled ridge"], "n_repeats": 2, "progress": False}
    return compare_each(ALIKE[0], y, label, **options | kwargs)


def test_domains_that_cannot_be_the_target_are_sources_only():
    _, y, label = ALIKE
    label = np.where(label == "target", "s0", label)
    label[:3], label[3:10] = "few", "flat"
    y = np.where(label == "flat", 7.0, y)
    comparison = in_turn(label, y)
    assert comparison.targets == ["s0", "s1", "s2"]
    assert in_turn(label, y, target_size=90).targets == ["s1", "s2"]


def test_a_target_fits_no_domain():
    with pytest.raises(ValueError, match="from 2 to 148, since 's1' has 150 rows"):
        in_turn(np.where(ALIKE[2] == "target", "s0", ALIKE[2]), target_size=500)
    with pytest.raises(ValueError, match="'a0' has 1; without held-out rows"):
        in_turn([f"a{k}" for k in range(310)])
    with pytest.raises(ValueError, match="at least two domains, but every row belongs to 'a'"):
        in_turn(["a"] * 310)


def test_chosen_targets_have_the_splits_of_all_in_turn():
    codes = np.select([ALIKE[2] == "target", ALIKE[2] == "s1"], [7.0, 8.0], 9.0)
    every, chosen = in_turn(codes), in_turn(codes, targets=[8])
    assert (every.targets, chosen.targets) == (["7", "8", "9"], ["8"])
    assert chosen.by_target == [r for r in every.by_target if r["target"] == "8"]


def test_splits_do_not_depend_on_names():
    X, y, label = ALIKE
    methods = {"forest": RandomForestRegressor(n_estimators=3), "pooled": pooled_ridge()}
    plain = run(X, y, label, methods=methods)
    renamed = np.select([label == "target", label == "s1"], ["Zürich", "Bern"], "Basel")
    options = {"methods": methods, "n_repeats": 10, "target_size": 10, "progress": False}
    each = compare_each(X, y, renamed, targets=["Zürich"], **options)
    assert each.summary == plain.summary
    in_turn = compare_each(X, y, renamed, **options)
    assert [r for r in in_turn.by_target if r["target"] == "Zürich"] == each.by_target


def test_splits_do_not_depend_on_the_order_of_other_domains():
    X, y, label = ALIKE
    sources_first = np.argsort(label == "target", kind="stable")
    plain, moved = run(X, y, label), run(*(each[sources_first] for each in (X, y, label)))
    for before, after in zip(plain.summary, moved.summary, strict=True):
        assert before["ratio"] == pytest.approx(after["ratio"], rel=1e-6)


def pooled_ridge():
    return _compare.FitOn(RidgeCV(), rows="all")


def test_missing_and_unknown_domains():
    labels = ALIKE[2].astype(object)
    with pytest.raises(ValueError, match="target 's3' is not among the labels"):
        in_turn(labels, targets=["s3"])
    labels[0] = None
    with pytest.raises(ValueError, match="labels has 1 missing values"):
        in_turn(labels)


def test_verdict_from_few_rows_is_careful():
    """With four rows an error is itself so uncertain that even a great gain proves nothing."""
    X, y, _ = ALIKE
    label = np.r_[["target"] * 4, ["s1"] * 306]
    rivals = {"pooled": _compare.FitOn(RidgeCV(), rows="all")}
    comparison = run(X, y, label, methods=rivals, target_size=None, n_repeats=40)
    gain = row(comparison, "pooled")
    assert -gain["difference"] < 3.1 * gain["difference_error"] or "lowers" in comparison.verdict
    critical = _comparison._critical_errors(comparison.summary[1:], [_four_rows()])
    assert critical == pytest.approx(3.182, abs=0.001)  # Student with three degrees of freedom


def _four_rows():
    return types.SimpleNamespace(domains=(np.arange(4), {}))


# One estimator on other rows ----------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["DecisionTreeRegressor", LinearRegression()])
def test_an_estimator_is_trained_on_other_rows(estimator):
    comparison = run(*ALIKE, methods=["pooled ridge"], estimator=estimator)
    name = estimator if isinstance(estimator, str) else "LinearRegression"
    ways = [f"{way} {name}" for way in ("target-only", "pooled", "OTQMS", "weighted")]
    assert comparison.methods == [BASELINE, "pooled ridge", *ways]
    assert not comparison.failures
    assert row(comparison, ways[1])["mean"] < row(comparison, ways[0])["mean"]
    weighed = {w["method"] for w in comparison.source_weights}
    assert weighed == set(ways[2:])


def test_an_estimator_without_sample_weight_is_not_weighted():
    comparison = run(*ALIKE, methods=[], estimator="KNeighborsRegressor", n_repeats=2)
    assert comparison.methods[1:] == [
        f"{way} KNeighborsRegressor" for way in ("target-only", "pooled", "OTQMS")
    ]


def test_otqms_harms_little_where_the_source_is_opposite():
    comparison = run(*OPPOSITE, methods=["pooled ridge", "OTQMS ridge"], n_repeats=20)
    assert row(comparison, "OTQMS ridge")["ratio"] < 1.05 < row(comparison, "pooled ridge")["ratio"]


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        ("RidgeCW", ValueError, "estimator must be a regressor .* did you mean RidgeCV"),
        ("LogisticClassifier", ValueError, "classification is not compared yet"),
        ("zzz", ValueError, "e.g. RandomForestRegressor"),
        ("StackingRegressor", ValueError, "estimator StackingRegressor cannot be made without"),
        (LinearRegression, TypeError, "estimator must be the name of a regressor"),
    ],
)
def test_estimators_that_cannot_be(estimator, error, message):
    with pytest.raises(error, match=message):
        run(*ALIKE, estimator=estimator)
