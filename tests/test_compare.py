"""The comparison: same splits for all, honest errors, clear refusals."""

import math
import re
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skt.choice import estimates, methods
from skt.choice import verdict as verdicts
from skt.choice.baselines import FitOn, ValidatedLogistic
from skt.choice.compare import compare, compare_each
from skt.choice.hold_out import _target_task, shares
from skt.choice.losses import CLASSIFICATION, REGRESSION, RowLosses
from skt.choice.methods import METHODS, Method
from skt.choice.verdict import VerdictContext
from skt.sources import split_domains
from skt.sources.forms import FORMS
from skt.study.summaries import fieller

BASELINE = REGRESSION.alone
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
    wanted = "Transfer helps: source-only ridge lowers target-only ridge's error by"
    assert comparison.verdict.startswith(wanted)
    assert "pooled ridge and source + residual ridge cannot be told from it" in comparison.verdict
    assert "with 10 target rows" in comparison.verdict


def test_opposite_source_hurts():
    comparison = run(*OPPOSITE, methods=["pooled ridge", "source-only ridge"])
    assert row(comparison, "source-only ridge")["ratio"] > 2
    assert comparison.verdict.startswith("Transfer hurts: even pooled ridge raises")


def test_harmful_methods_are_named_beside_a_helpful_one():
    X, y, label = OPPOSITE
    methods = {"truth": _Truth(), "pooled": FitOn(RidgeCV(), rows="all")}
    comparison = run(X, y, label, methods=methods, target_size=5)
    assert comparison.verdict.startswith("Transfer helps: truth lowers")
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
    wanted = "No clear difference: same changes target-only ridge's error by at "
    assert comparison.verdict.startswith(
        wanted + "most 0 % either way (ratio 1.00, from 1.00 to 1.00)"
    )


def test_many_useless_methods_rarely_win():
    """The best of twenty noise methods must not be declared a winner."""
    X, y, label = ALIKE
    rng = np.random.default_rng(0)
    noise = {f"noise {k}": _Perturbed(seed=int(rng.integers(2**31))) for k in range(20)}
    assert "lowers" not in run(X, y, label, methods=noise).verdict


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
    comparison = run(*ALIKE, methods={"mean": DummyRegressor()}, n_repeats=100)
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
    few, many = (run(*ALIKE, n_repeats=n, methods=["pooled ridge"]) for n in (30, 120))
    errors = [row(c, "pooled ridge")["difference_error"] for c in (few, many)]
    assert errors[1] > 0.7 * errors[0]  # of splits alone it would be half


def test_only_target_rows_test_and_all_source_rows_train():
    X, y, label = ALIKE
    task = _target_task("target", X, y, label, 10, REGRESSION)
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


def test_an_estimator_that_does_not_say_what_it_is():
    comparison = run(*ALIKE, methods={"bare": _Bare()}, n_repeats=2)
    assert not comparison.failures


class _Bare:
    """Has what is needed to be cloned, fitted and asked, and nothing else of scikit-learn."""

    def get_params(self, deep=True):
        return {}

    def set_params(self):
        return self

    def fit(self, X, y):
        self.mean_ = y.mean()
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


def test_one_line_joins_the_registry(monkeypatch):
    joined = (
        *METHODS[:2],
        Method("weighing", Weighing),
        Method("never", Weighing, lambda t: False),
    )
    monkeypatch.setattr(methods, "METHODS", joined)
    assert run(*ALIKE, methods=None, n_repeats=2).methods == [BASELINE, "pooled ridge", "weighing"]
    with pytest.raises(ValueError, match="methods must apply to these data; 'never' does not"):
        run(*ALIKE, methods=["never"])


@pytest.mark.parametrize("method", METHODS, ids=lambda method: f"{method.name}, {method.kind}")
def test_the_registry_says_what_its_estimators_take(method):
    estimator = method.factory()
    from_baseline = () if getattr(estimator, "rows", "all") == "target" else ("rows",)
    assert method.takes == getattr(estimator, "takes", from_baseline)
    assert set(method.takes) <= FORMS.keys()


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


X0, Y0, LABEL0 = ALIKE


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"y": np.where(Y0 > 0, "yes", "no"), "task": "regression"},
            "y must be numeric for task='regression', but holds '(yes|no)'",
        ),
        (
            {"task": "classes"},
            "task must be 'auto', 'regression' or 'classification'; got 'classes'",
        ),
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
    return FitOn(RidgeCV(), rows="all")


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
    rivals = {"pooled": FitOn(RidgeCV(), rows="all")}
    comparison = run(X, y, label, methods=rivals, target_size=None, n_repeats=40)
    gain = row(comparison, "pooled")
    assert -gain["difference"] < 3.1 * gain["difference_error"] or "lowers" in comparison.verdict
    assert comparison.critical_errors == pytest.approx(3.182, abs=0.001)  # Student, three degrees


# Errors and intervals -----------------------------------------------------------------------


def test_errors_of_the_ratio_are_those_of_splits_and_of_rows():
    """Computed another way: from the records of splits, and from losses gathered by row."""
    a, b = synthetic_losses(), synthetic_losses(seed=1)
    found = estimates.estimate({"t": a}, {"t": b})
    splits = np.array([[x.losses.mean(), z.losses.mean()] for x, z in zip(a, b, strict=True)])
    table = np.array([gathered(a), gathered(b)])
    expected = np.cov(splits.T) / len(a) + np.cov(table) / table.shape[1]
    np.testing.assert_allclose(found.means, splits.mean(axis=0))
    np.testing.assert_allclose(found.covariance, expected)
    twice = estimates.estimate({"t": a, "u": a}, {"t": b, "u": b})
    np.testing.assert_allclose(twice.covariance, found.covariance / 2)


def synthetic_losses(n_splits=6, seed=0):
    rng = np.random.default_rng(seed)
    rows = [np.random.default_rng(split).permutation(12)[:7] for split in range(n_splits)]
    return [RowLosses(each, rng.gamma(2.0, size=7)) for each in rows]


def gathered(fits):
    """Mean loss of every row."""
    by_row = {}
    for fit in fits:
        for one, loss in zip(fit.rows, fit.losses, strict=True):
            by_row.setdefault(int(one), []).append(loss)
    return [np.mean(by_row[one]) for one in sorted(by_row)]


def test_failed_fits_drop_out_of_both_sides():
    a, b = synthetic_losses(), synthetic_losses(seed=1)
    a[2] = None
    found = estimates.estimate({"t": a}, {"t": b})
    kept = estimates.estimate({"t": a[:2] + a[3:]}, {"t": b[:2] + b[3:]})
    np.testing.assert_array_equal(found.means, kept.means)


def test_summary_has_the_error_and_the_interval_of_the_ratio():
    comparison = run(*ALIKE, methods=["pooled ridge"], target_size=30, n_repeats=40)
    pooled = row(comparison, "pooled ridge")
    assert pooled["ratio_low"] < pooled["ratio"] < pooled["ratio_high"]
    half = comparison.critical_errors * pooled["ratio_error"]
    assert pooled["ratio_high"] - pooled["ratio_low"] == pytest.approx(2 * half, rel=0.1)
    # The interval holds 1 exactly where the paired difference is within its errors.
    beyond = abs(pooled["difference"]) > comparison.critical_errors * pooled["difference_error"]
    assert beyond == (not pooled["ratio_low"] <= 1 <= pooled["ratio_high"])
    alone = row(comparison, BASELINE)
    assert (alone["ratio_error"], alone["ratio_low"], alone["ratio_high"]) == (0, 1, 1)


def test_no_interval_is_below_zero():
    """Where one row decides the loss of the target alone, nothing is known of any ratio."""
    rng = np.random.default_rng(0)
    fits = [RowLosses(np.arange(6), rng.gamma(0.05, size=6)) for _ in range(5)]
    losses = {name: {"t": [fit._replace(losses=factor * fit.losses[::step]) for fit in fits]}
              for name, factor, step in (("alone", 1, 1), ("a", 2, -1))}  # fmt: skip
    for t in (0.5, 1.0, 2.0, 4.0):
        for each in estimates.summary(losses, {}, "alone", t):
            assert 0 <= each["ratio_low"] <= each["ratio"] <= each["ratio_high"]
            if each["method"] == "a":
                assert each["ratio_low"] > 0
    assert each["ratio_high"] == math.inf


def test_the_lower_end_is_of_the_logarithm_where_fieller_begins_at_zero():
    """Var(log(m_v / m_b)) to first order, by hand."""
    paired = estimates.Estimate(np.array([0.5, 1.0]), np.diag([0.04, 0.01]), np.zeros((2, 2)))
    found = estimates._against(paired, 3.0)
    error = math.sqrt(0.04 / 0.5**2 + 0.01)
    assert found["ratio_low"] == pytest.approx(0.5 * math.exp(-3 * error))
    near = estimates._against(paired, 1.0)
    assert near["ratio_low"] == pytest.approx(fieller((0.5, 1.0), paired.covariance, 1.0)[0])


def test_intervals_are_wider_where_more_methods_are_tried():
    one, three = run(*ALIKE, methods=["pooled ridge"]), run(*ALIKE)
    assert one.critical_errors == pytest.approx(2.262, abs=0.001)  # nine degrees of freedom
    assert three.critical_errors > one.critical_errors
    assert row(one, "pooled ridge")["ratio_high"] < row(three, "pooled ridge")["ratio_high"]


@pytest.mark.slow
def test_intervals_of_all_methods_hold_together():
    """Of 95 % nominally; the true ratios are those of the means over all data sets."""
    few = {"target_size": 10, "n_repeats": 15}
    data = [domains([1.0, 0.5], [24, 150], seed=5000 + k, noise=3.0) for k in range(100)]
    rows = np.array(
        [[list(row.values())[3:] for row in run(*each, **few).summary] for each in data]
    )
    keys = list(run(*data[0], **few).summary[0])[3:]
    mean, low, high = (rows[:, :, keys.index(k)] for k in ("mean", "ratio_low", "ratio_high"))
    true = mean.mean(axis=0) / mean[:, 0].mean()
    held = np.all((low <= true) & (true <= high), axis=1, where=np.arange(4) > 0)
    assert 0.9 <= held.mean() <= 0.99


# Verdicts -----------------------------------------------------------------------------------


def verdict(*ratios, n_rows=60, n_targets=1, by_rows=0.03, alone=0.6):
    """Verdict on methods a, b, ... with these ratios and ends of intervals."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=n_rows)
    noise = by_rows * np.sqrt(n_rows) * (noise - noise.mean()) / noise.std(ddof=1)
    rows, losses = [], {"alone": fits_of(np.ones(n_rows))}
    for name, (ratio, low, high) in zip("abc", ratios, strict=False):
        losses[name] = fits_of(ratio + noise)
        figures = {"ratio": ratio, "ratio_low": low, "ratio_high": high, "difference": ratio - 1}
        figures["mean"] = alone * ratio
        rows.append({"method": name} | figures)
    setting = VerdictContext("alone", "error", [20] * n_targets, n_rows, len(rows))
    return verdicts.verdict(rows, losses, 2.0, setting)


def fits_of(losses):
    return {"t": [RowLosses(np.arange(len(losses)), losses)] * 3}


def test_verdict_on_help_and_harm():
    text = verdict((0.8, 0.7, 0.9), (1.5, 1.2, 1.8))
    assert text == (
        "Transfer helps: a lowers alone's error by 20 % (ratio 0.80, from 0.70 to 0.90) with 20 "
        "target rows; b (ratio 1.50) would hurt."
    )
    text = verdict((1.2, 1.1, 1.3), (1.5, 1.2, 1.8), n_targets=2)
    assert text == (
        "Transfer hurts: even a raises alone's error by 20 % (ratio 1.20, from 1.10 to 1.30) with "
        "20 target rows, averaged over 2 targets."
    )


def test_a_sure_gain_is_not_hidden_by_a_larger_one_that_is_unsure():
    assert verdict((0.7, 0.4, 1.1), (0.9, 0.85, 0.95)).startswith("Transfer helps: b lowers")


def test_a_gain_on_a_model_that_is_worse_than_none_is_called_so():
    text = verdict((0.8, 0.7, 0.9), alone=2.0)
    assert text.endswith("with 20 target rows, but is worse than no model (loss 1.60).")


def test_verdict_on_no_clear_difference():
    text = verdict((0.98, 0.94, 1.03), (1.1, 0.7, 1.5), (1.5, 1.2, 1.8))
    assert text == (
        "No clear difference: a, the best on average, changes alone's error by at most 6 % either "
        "way (ratio 0.98, from 0.94 to 1.03) with 20 target rows; whether b would help is open; "
        "c (ratio 1.50) would hurt."
    )


def test_verdict_on_too_few_rows():
    text = verdict((0.9, 0.7, 1.1), by_rows=0.1)
    assert text == (
        "Too few rows to tell: a may lower alone's error by up to 30 % or "
        "raise it by up to 10 % (ratio 0.90) with 20 target rows. About 230 target rows instead of "
        "60, training on as many as now, would narrow this to 10 % either way."
    )
    several = verdict((0.9, 0.7, 1.1), by_rows=0.1, n_targets=3)
    assert "About 3.9 times as many target rows, training on as many as now" in several
    few = verdict((0.9, 0.7, 1.1), by_rows=0.1, n_rows=8)
    assert few.endswith("with 20 target rows.")  # eight rows do not tell how many would do
    unbounded = verdict((0.9, 0.0, math.inf), by_rows=0.1)
    assert "a may lower or raise alone's error by any amount" in unbounded


@pytest.mark.parametrize("by_rows", [0.045, 0.05, 0.07, 0.1, 0.2])
@pytest.mark.parametrize("n_rows", [11, 60, 97, 986, 9_990])
def test_the_verdict_asks_for_clearly_more_rows_than_there_are(n_rows, by_rows):
    """Two digits of 990 would be 990, and of 1040 fewer than there may be already."""
    text = verdict((0.9, 0.7, 1.1), by_rows=by_rows, n_rows=n_rows)
    if not text.startswith("Too few rows"):
        assert by_rows < 0.055
        return
    asked = re.search(rf"About (\d+) target rows instead of {n_rows},", text)[1]
    assert int(asked) >= 1.1 * n_rows
    assert len(asked.rstrip("0")) <= 2


def test_what_is_measured_worse_is_not_called_as_good_as_the_best():
    """Its errors are so large that it cannot be told from the best, nor from the target alone."""
    noise = np.random.default_rng(1).normal(size=60)
    figures = [("a", 0.8, 0.7, 0.9, 0.0), ("b", 1.3, 0.5, 2.5, 40.0), ("c", 0.85, 0.6, 1.1, 1.0)]
    rows = [
        {"method": name, "ratio": r, "ratio_low": low, "ratio_high": high, "difference": r - 1,
         "mean": r}
        for name, r, low, high, _ in figures
    ]  # fmt: skip
    losses = {"alone": fits_of(np.ones(60))}
    losses |= {name: fits_of(r + spread * noise) for name, r, *_, spread in figures}
    text = verdicts.verdict(rows, losses, 2.0, VerdictContext("alone", "error", [20], 60, 3))
    assert text.endswith("with 20 target rows; c cannot be told from it.")


def test_a_change_of_nothing_is_not_stated_as_zero():
    assert "lowers alone's error by less than 1 % (ratio 1.00" in verdict((0.998, 0.997, 0.999))


def test_an_interval_that_is_not_known_decides_nothing():
    text = verdict((0.9, math.nan, math.nan))
    assert "to tell: a may lower or raise alone's error by any amount (ratio 0.90)" in text


def test_verdict_on_too_few_splits():
    text = verdict((0.9, 0.7, 1.1), by_rows=0.01)
    assert text.startswith("Too few splits to tell: a")
    assert text.endswith("More splits (n_repeats, --repeats) would narrow this to 10 % either way.")


def test_rows_needed_narrow_the_interval():
    needed = verdicts.rows_needed(0.1, 60, 4)
    t = verdicts.critical_errors(4, math.inf, needed)
    assert t * 0.1 * np.sqrt(60 / needed) == pytest.approx(verdicts.NARROW)


def test_nothing_to_compare():
    assert verdict() == "Nothing to compare: no method but alone was fitted."


@pytest.mark.slow
def test_as_many_rows_as_the_verdict_asks_for_are_enough():
    """On average over samples: one alone is too uncertain."""
    found = {seed: sample_of(60, seed).verdict for seed in range(7)}
    reached = []
    for seed, text in found.items():
        if text.startswith("Too few rows to tell"):
            needed = int(re.search(r"About (\d+) target rows instead of 60", text)[1])
            pooled = row(sample_of(needed, 100 + seed), "pooled ridge")
            reached.append((pooled["ratio_high"] - pooled["ratio_low"]) / 2)
    assert len(reached) >= 4
    # Below the 10 % that were promised: "too few" is said rather where an error looks large.
    assert 0.05 < np.mean(reached) < verdicts.NARROW


def sample_of(n_target, seed):
    data = domains([1.0, 0.3], [n_target, 150], seed=seed, noise=3.0)
    return run(*data, methods=["pooled ridge"], n_repeats=150, target_size=20)


# One estimator on other rows ----------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["DecisionTreeRegressor", LinearRegression()])
def test_an_estimator_is_compared_with_itself_alone(estimator):
    comparison = run(*ALIKE, methods=["pooled ridge"], estimator=estimator, n_repeats=5)
    name = estimator if isinstance(estimator, str) else "LinearRegression"
    ways = [f"{way} {name}" for way in ("target-only", "pooled", "OTQMS", "weighted")]
    assert comparison.methods == [*ways, BASELINE, "pooled ridge"]
    assert comparison.baseline == ways[0]
    assert not comparison.failures
    alone = row(comparison, ways[0])
    assert (alone["ratio"], alone["difference"]) == (1, 0)
    pooled = row(comparison, ways[1])
    assert pooled["ratio"] < 1
    assert pooled["ratio"] == pytest.approx(pooled["mean"] / alone["mean"])
    assert f"{ways[0]}'s error" in comparison.verdict
    assert {w["method"] for w in comparison.source_weights} == set(ways[2:])


def test_by_default_an_estimator_brings_only_its_ways_and_ridge_for_orientation():
    comparison = run(*ALIKE, methods=None, estimator="KNeighborsRegressor", n_repeats=2)
    ways = [f"{way} KNeighborsRegressor" for way in ("target-only", "pooled", "OTQMS")]
    assert comparison.methods == [*ways, BASELINE]  # not weighted: it takes no sample_weight


def test_another_model_of_the_target_alone_is_no_transfer():
    """Ridge beats a constant by far, and borrows nothing."""
    comparison = run(*ALIKE, methods=[], estimator=DummyRegressor(), target_size=30)
    assert row(comparison, BASELINE)["ratio_high"] < 0.9
    assert "ridge" not in comparison.verdict
    assert not comparison.verdict.startswith("Transfer helps")


def test_otqms_harms_little_where_the_source_is_opposite():
    comparison = run(*OPPOSITE, methods=["pooled ridge", "OTQMS ridge"])
    assert row(comparison, "OTQMS ridge")["ratio"] < 1.05 < row(comparison, "pooled ridge")["ratio"]


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        ("RidgeCW", ValueError, "estimator must be a regressor .* did you mean RidgeCV"),
        (
            "RandomForestClassifier",
            ValueError,
            "estimator must be a regressor, since y is compared",
        ),
        ("zzz", ValueError, "e.g. RandomForestRegressor"),
        ("StackingRegressor", ValueError, "estimator StackingRegressor cannot be made without"),
        (LinearRegression, TypeError, "estimator must be the name of a regressor"),
    ],
)
def test_estimators_that_cannot_be(estimator, error, message):
    with pytest.raises(error, match=message):
        run(*ALIKE, estimator=estimator)


# Classes ------------------------------------------------------------------------------------


def classes(y, names=("no", "yes")):
    return np.array(names)[np.digitize(y, np.quantile(y, np.arange(1, len(names)) / len(names)))]


@pytest.fixture
def few_penalties(monkeypatch):
    """Logistic regression chooses among three penalties, where the choice is not the matter."""
    monkeypatch.setattr(ValidatedLogistic, "CS", ValidatedLogistic.CS[::3])


CLASS_WAYS = ["pooled logistic", "source-only logistic", "UOWQ", "L2-SP", "weighted logistic"]
CLASS_WAYS += ["OTQMS logistic"]


@pytest.mark.usefixtures("few_penalties")
def test_sources_alike_help_with_classes():
    X, y, label = ALIKE
    methods = ["pooled logistic"]
    comparison = run(X, classes(y), label, methods=methods, target_size=8, n_repeats=20)
    assert comparison.baseline == CLASSIFICATION.alone
    alone, pooled = comparison.summary
    assert pooled["ratio_high"] < 1
    assert alone["accuracy"] < pooled["accuracy"]
    assert 0 < pooled["accuracy_error"] < 0.2
    wanted = "Transfer helps: pooled logistic lowers target-only logistic's log loss by"
    assert comparison.verdict.startswith(wanted)
    losses = [r for r in comparison.records if r["metric"] == "log_loss"]
    assert {r["metric"] for r in comparison.records} == {"loss", "log_loss", "accuracy"}
    assert 0.4 < np.mean([r["value"] for r in losses if r["method"] == "pooled logistic"]) < 0.69


@pytest.mark.usefixtures("few_penalties")
def test_every_method_for_classes():
    """Of three classes one has two target rows: one to train, one to test."""
    X, y, label = ALIKE
    y = classes(y)
    y[:2] = "rarely"
    comparison = run(X, y, label, methods=None, n_repeats=2)
    assert comparison.methods == [CLASSIFICATION.alone, *CLASS_WAYS]
    assert not comparison.failures
    weighed = {w["method"] for w in comparison.source_weights}
    assert weighed == {"UOWQ", "weighted logistic", "OTQMS logistic"}


@pytest.mark.usefixtures("few_penalties")
def test_an_opposite_source_hurts_with_classes():
    X, y, label = OPPOSITE
    methods = ["pooled logistic", "weighted logistic"]
    comparison = run(X, classes(y), label, methods=methods, target_size=30, n_repeats=5)
    assert row(comparison, "pooled logistic")["ratio_low"] > 1.2
    assert row(comparison, "weighted logistic")["ratio"] < 1.05


@pytest.mark.usefixtures("few_penalties")
def test_shares_of_the_classes_cost_one():
    X, y, label = ALIKE
    y = classes(y, ("a", "b", "c"))
    shares_alone = {"shares": DummyClassifier(strategy="prior")}
    comparison = run(X, y, label, methods=shares_alone, n_repeats=20, target_size=30)
    found = row(comparison, "shares")
    # Every split keeps the shares, so that they cost a little less than drawn ones would.
    assert found["mean"] == pytest.approx(1, abs=0.05)
    most = np.mean(y[label == "target"] == _most_frequent(y[label == "target"]))
    assert found["accuracy"] == pytest.approx(most, abs=0.05)


def _most_frequent(y):
    values, counts = np.unique(y, return_counts=True)
    return values[np.argmax(counts)]


@pytest.mark.usefixtures("few_penalties")
def test_spelling_of_classes_does_not_matter():
    X, y, label = ALIKE
    run_ = partial(run, X, label=label, methods=["L2-SP"], n_repeats=2)
    zeros_and_ones = run_(y=(y > 0).astype(int))
    for same in (
        y > 0,
        (y > 0) + 1.5,
        np.where(y > 0, "yes", "no"),
        pd.Series(y > 0).astype(object),
    ):
        again = run_(y=same)
        assert again.task == "classification"
        for one, other in zip(zeros_and_ones.summary, again.summary, strict=True):
            assert one["ratio"] == pytest.approx(other["ratio"])


def test_task_is_detected_and_can_be_given():
    X, y, label = ALIKE
    quick = {"methods": [], "n_repeats": 2}
    assert run(X, y, label, **quick).task == "regression"
    assert run(X, y > 0, label, **quick).task == "classification"
    assert run(X, (y > 0) * 1.0, label, task="regression", **quick).baseline == BASELINE
    thirds = np.digitize(y, [-1, 1])
    assert run(X, thirds, label, **quick).task == "regression"
    assert run(X, thirds, label, task="classification", **quick).task == "classification"


def test_rare_classes_are_in_every_split():
    X, y, label = ALIKE
    y = np.where(y > 0, "often", "seldom")
    y[:2] = "rarely"
    task = _target_task("target", X, y, label, 10, CLASSIFICATION)
    for seed in range(20):
        split = task(np.random.default_rng(seed))
        train = split.y[split.sample_domain == "target"]
        assert (np.sum(train == "rarely"), np.sum(split.y_test == "rarely")) == (1, 1)
        assert len(train) == 10


def test_two_processes_give_the_same_splits_of_classes():
    X, y, label = ALIKE
    options = {"methods": ["pooled logistic"], "n_repeats": 2}
    one, two = (run(X, classes(y), label, n_jobs=n, **options) for n in (1, 2))
    assert one.summary == two.summary


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        ([60], 10, [10]),
        ([30, 30], 10, [5, 5]),
        ([58, 2], 10, [9, 1]),
        ([2, 2, 56], 30, [1, 1, 28]),
        ([2, 2, 2], 3, [1, 1, 1]),
        ([50, 30, 20], 7, [4, 2, 1]),
        ([2, 98], 98, [1, 97]),
    ],
)
def test_shares(counts, size, expected):
    assert shares(np.array(counts), size).tolist() == expected


def test_a_class_that_training_rows_lack_has_no_probability():
    X, y, label = ALIKE
    y = classes(y, ("a", "b", "c"))
    y[(label != "target") & (y == "c")] = "b"
    comparison = run(X, y, label, methods=["source-only logistic"], target_size=30, n_repeats=2)
    assert not comparison.failures
    assert row(comparison, "source-only logistic")["ratio"] > 1


def test_no_single_row_decides():
    """A tree is sure of every row, and wrong of some: the log loss would be infinite."""
    X, y, label = ALIKE
    comparison = run(X, y > 0, label, methods=[], estimator="DecisionTreeClassifier", n_repeats=3)
    worst = -np.log(1e-3) / np.log(2)
    assert all(0 < r["mean"] < worst for r in comparison.summary)


def test_a_classifier_is_compared_with_itself_alone():
    X, y, label = ALIKE
    comparison = run(X, y > 0, label, methods=None, estimator="GaussianNB", n_repeats=3)
    ways = [f"{way} GaussianNB" for way in ("target-only", "pooled", "OTQMS", "weighted")]
    assert comparison.methods == [*ways, CLASSIFICATION.alone]
    assert comparison.baseline == ways[0]
    assert not comparison.failures


def test_domains_whose_classes_are_too_rare_are_sources_only():
    X, y, label = ALIKE
    y = y > 0
    label = np.where(label == "target", "s0", label)
    y[label == "s1"] = np.arange(150) == 3
    options = {"methods": [], "n_repeats": 2, "progress": False}
    assert compare_each(X, y, label, **options).targets == ["s0", "s2"]
    with pytest.raises(
        ValueError, match="the class 'True' has one row only among the rows of 's1'"
    ):
        compare_each(X, y, label, targets=["s1"], **options)


YES0 = np.where(Y0 > 0, "yes", "no")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"y": np.where(LABEL0 == "target", "yes", YES0)}, "the outcome y does not vary among"),
        ({"y": np.column_stack([YES0, YES0])}, "y must be one column where it holds classes"),
        ({"y": np.where(Y0 > 2, None, YES0)}, "y has .* missing values; leave out the rows"),
        (
            {"y": classes(Y0, tuple("abcdef")), "target_size": 4},
            "from 6 to 54, since 'target' has 60 rows and 6 must stay .* one of each class",
        ),
        ({"estimator": "RandomForestRegressor"}, "must be a classifier, since y holds classes"),
        ({"methods": {"ridge": RidgeCV()}}, r"methods\['ridge'\] must be a classifier"),
        ({"estimator": "LinearSVC"}, "estimator must have predict_proba, .* LinearSVC has none"),
        (
            {"estimator": "RandomForest"},
            "must be a classifier .* did you mean RandomForestClassifier",
        ),
        ({"methods": ["SMART"]}, "must be among 'target-only logistic', .*; got 'SMART'"),
    ],
)
def test_bad_input_with_classes(wrong, message):
    with pytest.raises(ValueError, match=message):
        run(**{"X": X0, "y": YES0, "label": LABEL0} | wrong)


def test_predictions_that_are_no_probabilities_are_failures():
    comparison = run(X0, YES0, LABEL0, methods={"broken": _NoProbabilities()}, n_repeats=2)
    assert "predict_proba must return finite numbers" in comparison.failures[0]["error"]


class _NoProbabilities(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.full((len(X), 2), np.nan)


def test_validated_logistic_is_weighted_logistic_regression():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    y = X[:, 0] + rng.logistic(size=80) > 0
    weight = rng.integers(0, 3, size=80)
    model = ValidatedLogistic().fit(X, y, weight)
    assert model.C_ in ValidatedLogistic.CS
    twice = LogisticRegression(C=model.C_).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(model.predict_proba(X), twice.predict_proba(X), atol=1e-3)


def test_validated_logistic_shrinks_where_there_is_nothing_to_learn():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 10))
    noise, signal = rng.random(60) > 0.5, X[:, 0] > 0
    assert ValidatedLogistic().fit(X, noise).C_ < 0.1 < ValidatedLogistic().fit(X, signal).C_


@pytest.mark.parametrize("counts", [(5, 1), (1, 1, 1), (4, 3, 1)])
def test_validated_logistic_with_classes_of_one_row(counts):
    y = np.repeat(np.arange(len(counts)), counts)
    X = np.random.default_rng(0).normal(size=(len(y), 2)) + y[:, None]
    model = ValidatedLogistic().fit(X, y)
    assert model.predict_proba(X).shape == (len(y), len(counts))
    assert (model.C_ == 1) == (sorted(counts)[-2] < 2)
