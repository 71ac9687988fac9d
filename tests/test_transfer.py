"""Rehearsal, and the ensemble that is weighed by it."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skt import (
    TargetCV,
    TransferClassifier,
    TransferRegressor,
    UOWQClassifier,
    UOWQRegressor,
    stack_domains,
)
from skt.estimators.members import GroupIntercepts, GroupRidge, SourceBoosting
from skt.model_selection import rehearse
from skt.model_selection.rehearsal import ALONE, Part, draws
from skt.model_selection.trial import LabelledRows
from skt.model_selection.weighing import Tried, weigh
from skt.plots import EnsembleDisplay, RehearsalDisplay

# UOWQ and L2-SP take most of the time; what is not about them does without.
CHEAP = {"pooled": GroupIntercepts(Ridge(1.0)), "by feature": GroupRidge()}
LOGISTIC = {"pooled": GroupIntercepts(LogisticRegression())}
QUICK = {"candidates": CHEAP, "n_rehearsals": 2, "cv": 2}
ALL = {"n_rehearsals": 1, "cv": 2}
P = 5


def rows(rng, n, beta, classes=False):
    X = rng.normal(size=(n, P))
    eta = X @ beta
    if classes:
        return X, np.where(eta + rng.logistic(size=n) > 0, "yes", "no")
    return X, eta + rng.normal(size=n)


def domains(rng, n=12, *, offset=0.0, spread=0.2, classes=False, K=4, m=50):
    """A target and sources scattered about the target's slopes, or about an offset from them."""
    beta = rng.normal(size=P)
    names = "abcdefgh"[:K]
    sources = {
        name: rows(rng, m, beta + offset + spread * rng.normal(size=P), classes) for name in names
    }
    X, y, d = stack_domains(rows(rng, n, beta, classes), sources)
    return X, y, d, *rows(rng, 500, beta, classes)


def error(fitted, X, y):
    return np.mean((fitted.predict(X) - y) ** 2)


# Rehearsal ----------------------------------------------------------------------------------


def test_every_source_plays_once_before_one_plays_twice(rng):
    X, y, d, *_ = domains(rng)
    told = rehearse({"ridge": Ridge()}, X, y, d, n_rehearsals=6)
    players = [r["source"] for r in told.records if r["candidate"] == "ridge"]
    assert sorted(players[:4]) == list("abcd")
    assert [r["repeat"] for r in told.records if r["candidate"] == ALONE] == [0] * 4 + [1] * 2
    assert told.target_size == 12


def test_the_true_target_takes_no_part(rng):
    X, y, d, *_ = domains(rng)
    spoilt = np.where(d == "target", 1e6, y)
    one, other = (rehearse({"UOWQ": UOWQRegressor()}, X, v, d, n_rehearsals=2) for v in (y, spoilt))
    assert one.records == other.records


def test_the_players_training_rows_are_as_many_as_asked_and_never_test(rng):
    X, y, d, *_ = domains(rng)
    data = LabelledRows(X, y, d, None)
    for cast in draws(data, 7, 5, rng):
        own = cast.train[cast.domain == "target"]
        assert len(own) == 7
        assert set(d[own]) == set(d[cast.test]) == {cast.source}
        assert not set(cast.train) & set(cast.test)
        assert set(d[cast.train]) == set("abcd")
        assert_array_equal(d[cast.train][cast.domain != "target"], cast.domain[7:])


def test_short_sources_play_only_if_no_others_can(rng):
    sizes = {"long": 60, "longer": 90, "short": 10}
    X, y, d = stack_domains(
        rows(rng, 20, np.ones(P)), {k: rows(rng, n, np.ones(P)) for k, n in sizes.items()}
    )
    data = LabelledRows(X, y, d, None)
    assert {cast.source for cast in draws(data, None, 4, rng)} == {"long", "longer"}
    kept = d != "longer"
    few = LabelledRows(X[kept], y[kept], d[kept], None)
    assert {cast.source for cast in draws(few, None, 4, rng)} == {"long", "short"}


def test_ratios_are_to_the_target_alone_and_harm_is_told(rng):
    X, y, d, *_ = domains(rng, spread=0.0)
    told = rehearse(
        {"pooled": GroupIntercepts(Ridge(1.0)), "mean": DummyRegressor()}, X, y, d, n_rehearsals=4
    )
    for record in told.records:
        same = (record["source"], record["repeat"], ALONE)
        alone = next(
            r["loss"] for r in told.records if (r["source"], r["repeat"], r["candidate"]) == same
        )
        assert record["ratio"] == pytest.approx(record["loss"] / alone)
        assert record["harmed"] == (record["ratio"] > 1.05)
    by_name = {row["candidate"]: row for row in told.summary}
    assert by_name["pooled"]["ratio"] < 0.7
    assert by_name["pooled"]["harm"] == 0 < by_name["mean"]["harm"]
    assert by_name["mean"]["worst"] >= by_name["mean"]["ratio"] > 1.05


def test_labels_of_any_kind_and_a_fixed_seed(rng):
    X, y, d, *_ = domains(rng)
    city = np.where(d == "target", "Rome", d)
    options = {"n_rehearsals": 2, "random_state": 3}
    one = rehearse({"ridge": Ridge()}, X, y, d, **options)
    assert one.records == rehearse({"ridge": Ridge()}, X, y, city, target="Rome", **options).records
    other = rehearse({"ridge": Ridge()}, X, y, d, n_rehearsals=2, random_state=4)
    assert one.records != other.records


def test_classes_are_rehearsed_by_log_loss(rng):
    X, y, d, *_ = domains(rng, classes=True, spread=0.0)
    told = rehearse({"pooled": GroupIntercepts(LogisticRegression())}, X, y, d, n_rehearsals=2)
    loss = {r["candidate"]: r["loss"] for r in told.records}
    assert 0.2 < loss["pooled"] < loss[ALONE]


def test_pipelines_and_frames_are_candidates(rng):
    X, y, d, *_ = domains(rng)
    candidates = {
        "UOWQ": UOWQRegressor(),
        "scaled": make_pipeline(StandardScaler(), UOWQRegressor()),
    }
    frame = pd.DataFrame(X, columns=list("vwxyz"))
    told = rehearse(candidates, frame, y, d, n_rehearsals=1)
    first, second = (r["loss"] for r in told.records[1:])
    assert first == pytest.approx(second, rel=1e-6)


def test_what_cannot_be_fitted_is_told(rng):
    X, y, d, *_ = domains(rng)
    told = rehearse({"refusing": Refusing()}, X, y, d, n_rehearsals=1)
    assert told.failures == {"refusing": "ValueError: no luck"}
    assert [r["candidate"] for r in told.records] == [ALONE]


class Refusing(LinearRegression):
    def fit(self, X, y):
        raise ValueError("no luck")


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ([Ridge()], "expected a mapping from names"),
        ({"ridge": Ridge}, r"candidates\['ridge'\] must be an estimator"),
        ({"a": Ridge(), "b": DummyClassifier()}, "all classifiers or all regressors"),
    ],
)
def test_candidates_are_checked(rng, candidates, message):
    X, y, d, *_ = domains(rng)
    with pytest.raises((TypeError, ValueError), match=message):
        rehearse(candidates, X, y, d)


# Weights ------------------------------------------------------------------------------------


def part(rng, source, n, **errors):
    """A part in which candidates err independently with these standard deviations."""
    y = rng.normal(size=n)
    predictions = {name: y + sd * rng.normal(size=n) for name, sd in errors.items()}
    return Part(source, 0, y, np.ones(n), predictions, {})


def weights(rehearsed, own, names=(ALONE, "good", "bad")):
    return weigh(Tried(rehearsed, own), names)


def test_rehearsals_decide_where_few_rows_are_left_out(rng):
    rehearsed = [part(rng, name, 200, **{ALONE: 1.0, "good": 0.4, "bad": 3.0}) for name in "abc"]
    w, refused = weights(rehearsed, part(rng, "target", 8, **{ALONE: 1.0, "good": 0.4, "bad": 3.0}))
    assert w["good"] > 0.6
    assert w.get("bad", 0.0) < 0.05
    assert sum(w.values()) == pytest.approx(1)
    assert set(w) | set(refused) == {ALONE, "good", "bad"}


def test_a_target_unlike_all_sources_is_found_out(rng):
    rehearsed = [part(rng, name, 200, **{ALONE: 1.0, "good": 0.3, "bad": 0.4}) for name in "abc"]
    own = part(rng, "target", 30, **{ALONE: 1.0, "good": 20.0, "bad": 40.0})
    assert weights(rehearsed, None)[0].get(ALONE, 0.0) < 0.2
    w, refused = weights(rehearsed, own)
    assert w[ALONE] > 0.95
    assert refused["bad"].startswith("harms: its loss over that of the target alone is 0.")
    assert "in rehearsals and " in refused["bad"]
    assert refused["bad"].endswith(" on target rows left out")


def test_without_trials_all_count_alike():
    w, refused = weights([], None)
    assert w == pytest.approx(dict.fromkeys((ALONE, "good", "bad"), 1 / 3))
    assert refused == {}


def test_failures_are_refused(rng):
    broken = part(rng, "a", 50, **{ALONE: 1.0, "good": 0.5})._replace(failures={"bad": "no luck"})
    w, refused = weights([broken], None)
    assert "bad" not in w
    assert refused == {"bad": "could not be fitted: no luck"}


# Members ------------------------------------------------------------------------------------


def test_group_ridge_borrows_levels_and_slopes(rng):
    X, y, d, X_test, y_test = domains(rng, spread=0.1)
    alone = UOWQRegressor().fit(X[:12], y[:12])
    assert error(GroupRidge().fit(X, y, d), X_test, y_test) < 0.8 * error(alone, X_test, y_test)


def test_a_column_of_boosting_is_never_told_by_its_own_rows(rng):
    """With outcomes that are noise, what rows were trained on would give themselves away."""
    X, _, d, *_ = domains(rng, m=80)
    y = rng.normal(size=len(X))
    column = SourceBoosting(LabelledRows(X, y, d, None), None, 0)
    sources = d != "target"
    assert abs(np.corrcoef(column.columns[sources, 0], y[sources])[0, 1]) < 0.2
    assert np.corrcoef(column.of(X[sources])[:, 0], y[sources])[0, 1] > 0.6
    assert_allclose(column.columns[~sources], column.of(X[~sources]))


# Ensembles ----------------------------------------------------------------------------------


def test_no_sources_is_the_target_alone(rng):
    X, y = rows(rng, 30, np.ones(P))
    ours = TransferRegressor(mode="full").fit(X, y)
    assert_array_equal(ours.predict(X), UOWQRegressor().fit(X, y).predict(X))
    assert ours.weights_ == {ALONE: 1.0}
    assert ours.records_ == []
    X, y = rows(rng, 30, np.ones(P), classes=True)
    assert_array_equal(
        TransferClassifier().fit(X, y).predict_proba(X), UOWQClassifier().fit(X, y).predict_proba(X)
    )


def test_good_sources_help_and_hostile_ones_hardly_cost(rng):
    good, hostile = [], []
    for _ in range(4):
        for found, offset in ((good, 0.0), (hostile, 3.0)):
            X, y, d, X_test, y_test = domains(rng, 20, offset=offset, spread=0.3)
            both = TransferRegressor(CHEAP).fit(X, y, sample_domain=d)
            alone = UOWQRegressor().fit(X[:20], y[:20])
            found.append(error(both, X_test, y_test) / error(alone, X_test, y_test))
    assert np.mean(good) < 0.9
    assert np.mean(hostile) < 1.1


def test_what_is_stored_fits_together(rng):
    X, y, d, X_test, _ = domains(rng)
    fitted = TransferRegressor(**ALL).fit(X, y, sample_domain=d)
    names = {ALONE, "pooled", "group by feature", "UOWQ", "L2-SP"}
    assert set(fitted.weights_) | set(fitted.refused_) == names
    assert not set(fitted.weights_) & set(fitted.refused_)
    assert set(fitted.members_) == set(fitted.weights_)
    assert sum(fitted.weights_.values()) == pytest.approx(1)
    assert set(fitted.left_out_loss_) == names | {"weighted"}
    assert 0.3 < fitted.left_out_loss_["weighted"] < 5  # in squared units of y
    assert {record["candidate"] for record in fitted.records_} == names
    assert fitted.n_target_samples_ == 12
    assert fitted.n_source_samples_.tolist() == [50] * 4
    assert fitted.source_names_ == list("abcd")
    assert np.isfinite(fitted.predict(X_test)).all()


def test_the_mean_is_that_of_the_members(rng):
    X, y, d, X_test, _ = domains(rng)
    given = {"ridge": Ridge(3.0), "pooled": GroupIntercepts(Ridge(1.0))}
    fitted = TransferRegressor(given, **ALL).fit(X, y, sample_domain=d)
    assert set(fitted.weights_) | set(fitted.refused_) == {ALONE, *given}
    scaled = (X_test - X.mean(axis=0)) / X.std(axis=0)
    mean = sum(w * fitted.members_[k].predict(scaled) for k, w in fitted.weights_.items())
    assert_allclose(fitted.predict(X_test), mean * y.std() + y.mean())


@pytest.mark.parametrize(("a", "b"), [(1e6, -3e6), (-1e-6, 0.0)])
def test_units_do_not_matter(rng, a, b):
    X, y, d, X_test, _ = domains(rng)
    one = TransferRegressor(**QUICK).fit(X, y, sample_domain=d)
    scale = np.array([1e-4, 1, -1e5, 1, 10.0])
    other = TransferRegressor(**QUICK).fit(X * scale, a * y + b, sample_domain=d)
    assert_allclose(
        other.predict(X_test * scale), a * one.predict(X_test) + b, rtol=1e-4, atol=1e-4 * abs(a)
    )


def test_full_mode_sees_what_is_not_linear(rng):
    def bent(n, level):
        X = rng.normal(size=(n, 3))
        return X, 3 * np.abs(X[:, 0]) + X[:, 1] + level + 0.5 * rng.normal(size=n)

    X, y, d = stack_domains(bent(20, 1.0), {k: bent(150, 0.3 * k) for k in range(3)})
    X_test, y_test = bent(500, 1.0)
    linear, full = (
        TransferRegressor(mode=mode, n_rehearsals=1, cv=None).fit(X, y, sample_domain=d)
        for mode in ("linear", "full")
    )
    assert error(full, X_test, y_test) < 0.5 * error(linear, X_test, y_test)
    assert {"boosting", "UOWQ on boosting"} <= full.weights_.keys() | full.refused_.keys()


def test_classes_are_weighed_too(rng):
    X, y, d, X_test, y_test = domains(rng, 16, classes=True)
    both = TransferClassifier(LOGISTIC, **ALL).fit(X, y, sample_domain=d)
    alone = UOWQClassifier().fit(X[:16], y[:16])

    def log_loss(fitted):
        P = fitted.predict_proba(X_test)
        assert_allclose(P.sum(axis=1), 1)
        return -np.mean(np.log(P[np.arange(500), np.searchsorted(fitted.classes_, y_test)]))

    assert log_loss(both) < log_loss(alone)
    assert both.classes_.tolist() == ["no", "yes"]
    assert set(both.predict(X_test)) == {"no", "yes"}
    assert_allclose(np.exp(both.predict_log_proba(X_test)), both.predict_proba(X_test))


@pytest.mark.parametrize("mode", ["linear", "full"])
def test_three_classes_of_which_the_target_has_one(rng, mode):
    X, y, d, X_test, _ = domains(rng, 6, classes=True, K=2)
    y = np.where((X[:, 1] > 1) & (d != "target"), "maybe", y)
    y[d == "target"] = "yes"
    with pytest.warns(UserWarning, match="hold one class only"):
        fitted = TransferClassifier(mode=mode, n_rehearsals=1, cv=None).fit(X, y, sample_domain=d)
    P = fitted.predict_proba(X_test)
    assert P.shape == (500, 3)
    assert_allclose(P.sum(axis=1), 1)


def test_missing_numbers_and_text(rng):
    X, y, d, *_ = domains(rng)
    kind = rng.choice(["red", "green"], len(X))
    y = y + 4 * (kind == "red")
    frame = pd.DataFrame(X, columns=list("vwxyz")).assign(kind=kind)
    frame.loc[::7, "v"] = np.nan
    frame.loc[3, "kind"] = None
    fitted = TransferRegressor(**QUICK).fit(frame, y, sample_domain=d)
    assert fitted.feature_names_in_.tolist() == [*"vwxyz", "kind"]
    assert np.mean((fitted.predict(frame) - y) ** 2) < 2.5
    new = frame.assign(kind="blue")
    assert np.isfinite(fitted.predict(new)).all()
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(frame.rename(columns={"kind": "sort"}))
    missing = np.where(rng.uniform(size=X.shape) < 0.1, np.nan, X)
    assert np.isfinite(TransferRegressor(**QUICK).fit(missing, y, d).predict(missing)).all()


def test_pipelines_grid_search_and_clone(rng):
    X, y, d, *_ = domains(rng)
    pipeline = make_pipeline(StandardScaler(), TransferRegressor(CHEAP, n_rehearsals=1, cv=None))
    grid = {"transferregressor__n_rehearsals": [1, 2]}
    folds = list(TargetCV(2).split(X, y, sample_domain=d))
    off = GridSearchCV(pipeline, grid, cv=folds).fit(X, y, transferregressor__sample_domain=d)
    with sklearn.config_context(enable_metadata_routing=True):
        on = GridSearchCV(pipeline, grid, cv=TargetCV(2)).fit(X, y, sample_domain=d)
    assert_allclose(on.cv_results_["mean_test_score"], off.cv_results_["mean_test_score"])
    twin = clone(off.best_estimator_)
    assert_allclose(
        twin.fit(X, y, transferregressor__sample_domain=d).predict(X), off.predict(X), rtol=1e-9
    )


def test_labels_weights_and_rows_of_weight_zero(rng):
    X, y, d, X_test, _ = domains(rng)
    codes = np.array([{"target": -1, "a": 0, "b": 1, "c": 2, "d": 3}[each] for each in d])
    one = TransferRegressor(**QUICK).fit(X, y, sample_domain=d).predict(X_test)
    other = TransferRegressor(**QUICK).fit(X, y, sample_domain=codes).predict(X_test)
    assert_allclose(one, other)
    w = np.ones(len(X))
    w[[1, 20, 70]] = 0
    kept = w > 0
    weighted = TransferRegressor(**QUICK).fit(X, y, d, w).predict(X_test)
    without = TransferRegressor(**QUICK).fit(X[kept], y[kept], d[kept]).predict(X_test)
    assert_allclose(weighted, without, rtol=1e-6, atol=1e-6)
    heavy = np.where(d == "target", 5.0, 1.0)
    assert not np.allclose(TransferRegressor(**QUICK).fit(X, y, d, heavy).predict(X_test), one)


def test_one_source_and_few_rows(rng):
    for n, K in ((1, 1), (2, 3), (3, 1), (5, 1)):
        X, y, d, X_test, _ = domains(rng, n, K=K)
        with pytest.warns(UserWarning, match="cannot tell slopes") if n < 3 else _nothing():
            fitted = TransferRegressor(**ALL).fit(X, y, sample_domain=d)
        assert np.isfinite(fitted.predict(X_test)).all()


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def test_progress_is_shown_when_asked_for(rng, capsys):
    X, y, d, *_ = domains(rng)
    options = {**QUICK, "candidates": {"ridge": Ridge()}}
    TransferRegressor(**options).fit(X, y, sample_domain=d)
    assert capsys.readouterr().err == ""
    TransferRegressor(progress=True, **options).fit(X, y, sample_domain=d)
    assert "TransferRegressor: 4 trials of 2 fits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "deep"}, "'mode' parameter of TransferRegressor"),
        ({"candidates": "all"}, "'candidates' parameter"),
        ({"candidates": {"a": DummyClassifier()}}, r"candidates\['a'\] must be a regressor"),
        ({"candidates": {"a": Ridge}}, "must be an estimator with fit"),
        ({"n_rehearsals": -1}, "'n_rehearsals' parameter"),
    ],
)
def test_options_are_checked(rng, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        TransferRegressor(**options).fit(*rows(rng, 20, np.ones(P)))


def test_several_outputs_are_refused(rng):
    X = rng.normal(size=(20, 3))
    with pytest.raises(ValueError, match="1d array"):
        TransferRegressor().fit(X, X[:, :2])


# Pictures -----------------------------------------------------------------------------------


def test_displays_draw_what_was_found(rng):
    pytest.importorskip("matplotlib").use("Agg")
    import matplotlib.pyplot as plt

    X, y, d, *_ = domains(rng)
    fitted = TransferRegressor(**QUICK).fit(X, y, sample_domain=d)
    display = EnsembleDisplay.from_estimator(make_pipeline(StandardScaler(), fitted))
    shown = dict(zip(display.members, display.weights, strict=True))
    assert shown == {**dict.fromkeys(fitted.refused_, 0.0), **fitted.weights_}
    assert list(display.weights) == sorted(display.weights, reverse=True)
    assert len(display.ax_.patches) == 3
    rehearsal = RehearsalDisplay.from_estimator(fitted)
    assert sorted(rehearsal.candidates) == ["by feature", "pooled"]
    assert all(len(each) == 2 for each in rehearsal.ratios)
    told = rehearse({"ridge": Ridge(), "mean": DummyRegressor()}, X, y, d, n_rehearsals=3)
    drawn = RehearsalDisplay.from_rehearsal(told).plot()
    means = [line.get_xdata()[0] for line in drawn.ax_.lines if len(line.get_xdata()) == 2][1:]
    assert means == sorted(means)
    with pytest.raises(ValueError, match="fit it first"):
        EnsembleDisplay.from_estimator(TransferRegressor())
    plt.close("all")
