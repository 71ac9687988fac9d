"""Faults that users found, each as a test of its kind."""

import os

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from skt import (
    HEnsembleRegressor,
    L2SPClassifier,
    L2SPRidge,
    Moments,
    OTQMSSampler,
    ReducedRankRegressor,
    SMARTRegressor,
    SourceSampled,
    SourceWeighted,
    UOWQClassifier,
    UOWQMultiTaskRegressor,
    UOWQPoissonRegressor,
    UOWQRegressor,
    compare,
    stack_domains,
    theory,
)
from skt.datasets import make_high_dimensional_sources, make_related_regressions
from skt.sources import SourceModel


def domains(rng, n=(20, 60, 60), p=4, shifts=(0.0, 0.2, 1.0), noise=1.0):
    """Target and two sources whose coefficients differ by a shift."""
    beta = rng.normal(size=p)
    tables = []
    for size, shift in zip(n, shifts, strict=True):
        X = rng.normal(size=(size, p))
        y = X @ (beta + shift * rng.normal(size=p)) + noise * rng.normal(size=size)
        tables.append((X, y))
    return stack_domains(tables[0], {"near": tables[1], "far": tables[2]})


# OTQMS with next to no target rows ---------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("refresh", [0, 1])
def test_one_target_row_warns_and_answers(seed, refresh):
    rng = np.random.default_rng(seed)
    X, y, d = domains(rng, n=(1, 20, int(rng.choice([5, 20, 300]))), p=30, noise=0.01)
    with pytest.warns(UserWarning, match="cannot tell"):
        fitted = SourceSampled(Ridge(), OTQMSSampler(random_state=0), refresh=refresh).fit(
            X, y, sample_domain=d
        )
    assert np.isfinite(fitted.predict(X)).all()


# Weights -----------------------------------------------------------------------------------


def test_leaves_of_a_worthless_source_are_not_predicted():
    """A tree predicts a leaf in full, however little its rows weigh."""
    worst = 0.0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(100, 3))
        y = X[:, 0] + 0.3 * rng.normal(size=100)
        X_far = rng.normal(size=(300, 3)) + 0.5
        d = np.repeat(["target", "far"], [30, 300])
        data = np.vstack([X[:30], X_far]), np.append(y[:30], 1e4 * rng.normal(size=300))
        for tree in (DecisionTreeRegressor(random_state=0), RandomForestRegressor(20)):
            tree.set_params(random_state=0)
            both = SourceWeighted(tree).fit(*data, sample_domain=d).predict(X[30:])
            alone = tree.fit(X[:30], y[:30]).predict(X[30:])
            worst = max(worst, np.mean((both - y[30:]) ** 2) / np.mean((alone - y[30:]) ** 2))
    assert worst < 1.5


def test_weights_of_sources_that_weigh_next_to_nothing_are_zero(rng):
    X, y, d = domains(rng, shifts=(0.0, 0.0, 300.0))
    fitted = SourceWeighted(Ridge(), cv=None).fit(X, y, sample_domain=d)
    far, near = (dict(zip(fitted.source_names_, fitted.source_weights_, strict=True))[name]
                 for name in ("far", "near"))  # fmt: skip
    assert far == 0
    assert near > 0.05


@pytest.mark.parametrize("cv", [None, 5])
@pytest.mark.parametrize("n_target", [10, 40])
@pytest.mark.parametrize("seed", range(3))
def test_weight_two_is_the_row_twice(seed, cv, n_target):
    rng = np.random.default_rng(seed)
    X, y, d = domains(rng, n=(n_target, 50, 50), p=19)
    count = rng.integers(1, 4, size=len(y))
    weighted = SourceWeighted(Ridge(), cv=cv).fit(X, y, sample_domain=d, sample_weight=count)
    rows = rng.permutation(np.repeat(np.arange(len(y)), count))
    copied = SourceWeighted(Ridge(), cv=cv).fit(X[rows], y[rows], sample_domain=d[rows])
    np.testing.assert_allclose(copied.predict(X), weighted.predict(X), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["weighted", "sampled"])
def test_an_outcome_of_one_column_is_an_outcome(rng, kind):
    X, y, d = domains(rng)
    model = SourceWeighted(Ridge()) if kind == "weighted" else SourceSampled(
        Ridge(), OTQMSSampler(random_state=0))  # fmt: skip
    flat = model.fit(X, y, sample_domain=d)
    losses, predicted = flat.cv_losses_, flat.predict(X)
    column = model.fit(X, y[:, None], sample_domain=d)
    assert column.cv_losses_ == pytest.approx(losses)
    np.testing.assert_allclose(column.predict(X).ravel(), predicted)


# Frames, routing, families ------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["category", "str", "bool", "datetime"])
def test_a_frame_goes_to_the_estimator_as_it_is(rng, kind):
    X, y, d = domains(rng, n=(40, 60, 60))
    colour = rng.choice(["red", "blue", "green"], size=len(y))
    y = y + 2 * (colour == "red")
    frame = pd.DataFrame(X, columns=list("abcd"))
    days = pd.to_timedelta((colour == "red").astype(int), unit="D")
    frame["colour"] = {
        "category": pd.Categorical(colour),
        "str": colour,
        "bool": colour == "red",
        "datetime": pd.Timestamp("2001-01-01") + days,
    }[kind]

    class Tree(HistGradientBoostingRegressor):
        def fit(self, X, y, sample_weight=None):
            assert list(X.columns) == [*"abcd", "colour"]
            assert X["colour"].dtype == frame["colour"].dtype
            return super().fit(pd.get_dummies(X.assign(colour=X["colour"].astype(str))), y)

        def predict(self, X):
            return super().predict(pd.get_dummies(X.assign(colour=X["colour"].astype(str))))

    for model in (SourceWeighted(Tree()), SourceSampled(Tree(), OTQMSSampler(random_state=0))):
        assert model.fit(frame, y, sample_domain=d).predict(frame).shape == y.shape


def test_categories_of_boosting(rng):
    X, y, d = domains(rng, n=(40, 60, 60))
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame["colour"] = pd.Categorical(rng.choice(["y", "n"], size=len(y)))
    boosting = HistGradientBoostingRegressor(categorical_features="from_dtype", max_iter=5)
    fitted = SourceWeighted(boosting).fit(frame, y, sample_domain=d)
    assert np.isfinite(fitted.predict(frame)).all()


def test_nobody_has_to_set_a_request(rng):
    X, y, d = domains(rng)
    model = SourceWeighted(make_pipeline(StandardScaler(), Ridge()))
    expected = model.fit(X, y, sample_domain=d).predict(X)
    with sklearn.config_context(enable_metadata_routing=True):
        np.testing.assert_array_equal(model.fit(X, y, sample_domain=d).predict(X), expected)
        own = Ridge().set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=True)
        weighed = SourceWeighted(make_pipeline(scaler, own)).fit(X, y, sample_domain=d)
        assert np.abs(weighed.predict(X) - expected).max() > 1e-6  # the scaler has weights too


@pytest.mark.parametrize("model", [OTQMSSampler("logistic"), SourceWeighted(
    LogisticRegression(), family="logistic")])  # fmt: skip
def test_numbers_are_no_classes(rng, model):
    X, y, d = domains(rng)
    with pytest.raises(ValueError, match=r"y holds numbers such as .* family='linear'"):
        model.fit(X, y, sample_domain=d)


def test_constraints_that_a_solver_cannot_take(rng):
    X, y, d = domains(rng)
    for constraints in (
        lambda m: [m >= 1e30, m <= 1e30 + 1],
        lambda m: [1e200 * m <= 1e-200],
        lambda m: [m[0] <= -1],
    ):
        try:
            fitted = OTQMSSampler(constraints=constraints).fit(X, y, sample_domain=d)
        except ValueError as error:
            assert "constraints" in str(error)  # noqa: PT017
        else:
            assert np.isfinite(fitted.risk_)


# Moments ------------------------------------------------------------------------------------


@pytest.fixture
def moments(rng):
    X = rng.normal(size=(50, 3))
    return Moments.from_data(X, X[:, 0] + rng.normal(size=50))


def test_a_save_that_fails_leaves_the_old_file(moments, tmp_path, monkeypatch):
    path = tmp_path / "source.npz"
    moments.save(path)

    def full(file, **content):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(OSError, match="No space"):
            moments.save(path)
    np.testing.assert_array_equal(Moments.load(path).Sxx, moments.Sxx)
    assert os.listdir(tmp_path) == ["source.npz"]


def parts(m):
    names = ("n_samples", "weight", "mean_X", "mean_y", "Sxx", "Sxy", "Syy")
    return {name: getattr(m, name) for name in names}


IMPOSSIBLE = {
    "indefinite": lambda m: {"Sxx": 40 * (1 - 2 * np.eye(3)) * (1 - 2 * np.eye(3) > -1) + 2 * (
        np.ones((3, 3)) - np.eye(3)) * -30},
    "beyond Syy": lambda m: {"Sxy": 100 * m.Sxy},
    "no variance": lambda m: {"Syy": 0 * m.Syy},
}  # fmt: skip


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_moments_of_no_rows_are_refused(moments, rng, case):
    wrong = Moments(**(parts(moments) | IMPOSSIBLE[case](moments)))
    X = rng.normal(size=(20, 3))
    with pytest.raises(ValueError, match=r"sources\['a'\].*cannot come from rows"):
        UOWQRegressor(sources={"a": wrong}).fit(X, X[:, 0])


def test_complex_moments_are_refused(moments):
    with pytest.raises(ValueError, match="Sxx holds complex numbers"):
        Moments(**(parts(moments) | {"Sxx": moments.Sxx * (1 + 0j)}))


# Theory, data ------------------------------------------------------------------------------


def test_alignment_threshold_in_the_limit():
    spectrum = theory.marchenko_pastur(0.5)
    found = theory.alignment_threshold([1.0, 1e6, np.inf], spectrum, noise_to_signal=1.0)
    assert found[0] == pytest.approx(0.5)
    assert found[1] < 1e-5
    assert found[2] == 0
    assert theory.alignment_threshold(np.inf, spectrum, noise_to_signal=1.0) == 0


EXTREME = (0.0, 1e-320, 1e-200, 1e200, np.inf, np.nan, -1.0, "a", None)


@pytest.mark.parametrize("value", EXTREME)
@pytest.mark.parametrize("place", range(6))
def test_theory_answers_or_says_what_is_wrong(value, place):
    spectrum = theory.marchenko_pastur(2.0)
    given = [1.0] * 6
    given[place] = value
    a, b, c, d, e, f = given
    for call in (
        lambda: theory.noise_to_signal(a, b, c, d),
        lambda: theory.optimal_alpha(a, noise_variance=b, n_samples=c, n_features=d),
        lambda: theory.prior_error(
            1.0, spectrum, alignment=b, noise_to_signal=c, target_norm=d, source_scale=e
        ),
        lambda: theory.optimal_source_scale(1.0, spectrum, alignment=b, noise_to_signal=c),
        lambda: theory.transfer_optimal_penalty(
            spectrum, alignment=b, noise_to_signal=c, source_scale=e
        ),
        lambda: theory.stationary_penalties(spectrum, alignment=b, noise_to_signal=c),
        lambda: theory.effective_penalty(a, [1.0, 2.0], f),
    ):
        try:
            answer = call()
        except ValueError as error:
            assert " must be " in str(error)  # noqa: PT017
        else:
            assert not np.isnan(answer).any()


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (make_related_regressions, {"condition": 0}),
        (make_related_regressions, {"condition": 0.5}),
        (make_related_regressions, {"noise_ratio": 0}),
        (make_related_regressions, {"noise_ratio": np.nan}),
        (make_related_regressions, {"discrepancy": (-1,)}),
        (make_related_regressions, {"discrepancy": ()}),
        (make_related_regressions, {"n_target": 0}),
        (make_high_dimensional_sources, {"scale": (1, 2)}),
        (make_high_dimensional_sources, {"offset": (np.inf, 0, 0)}),
        (make_high_dimensional_sources, {"noise": -1}),
        (make_high_dimensional_sources, {"n_features": 2.5}),
    ],
)
def test_data_that_cannot_be_made(make, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        make(**wrong)


# Comparison ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["X", "y"])
def test_numbers_whose_squares_overflow_are_refused(rng, name):
    X, y, d = domains(rng)
    (X[:, 0] if name == "X" else y)[3] = 1e200
    with pytest.raises(ValueError, match=f"{name} must hold numbers up to 1e"):
        compare(X, y, d, progress=False)


REGRESSORS = {
    "uowq": UOWQRegressor(),
    "smart": SMARTRegressor(),
    "l2sp": L2SPRidge(),
    "rank": ReducedRankRegressor(),
    "tasks": UOWQMultiTaskRegressor(),
    "ensemble": HEnsembleRegressor(),
    "weighted": SourceWeighted(Ridge()),
    "sampled": SourceSampled(Ridge(), OTQMSSampler(random_state=0)),
}
TARGET_ALONE = ("rank", "ensemble")  # estimators that know no rows of sources


@pytest.mark.parametrize("name", REGRESSORS)
def test_units_of_the_outcome_change_nothing_or_are_refused(rng, name):
    X, y, d = domains(rng)
    model, given = REGRESSORS[name], {} if name in TARGET_ALONE else {"sample_domain": d}
    expected = model.fit(X, y, **given).predict(X)
    for size in (1e-130, 1e130):
        found = model.fit(X, y * size, **given).predict(X) / size
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    for size in (1e-200, 1e-310):
        with pytest.raises(ValueError, match=r"y varies by .* only, whose square underflows"):
            model.fit(X, y * size, **given)
    with pytest.raises(ValueError, match="squares of X or y overflow"):
        model.fit(X, y * 1e200, **given)


@pytest.mark.parametrize("name", REGRESSORS)
@pytest.mark.parametrize("value", [0.0, 0.1, -3e5])
def test_a_constant_outcome_is_predicted(rng, name, value):
    X, y, d = domains(rng)
    model, given = REGRESSORS[name], {} if name in TARGET_ALONE else {"sample_domain": d}
    predicted = model.fit(X, np.full(len(y), value), **given).predict(X)
    np.testing.assert_allclose(predicted, value, rtol=1e-9)
    if given and name != "tasks":  # sources that vary
        own = d == "target"
        predicted = model.fit(X, np.where(own, value, y), **given).predict(X[own])
        assert np.abs(predicted - value).max() < 0.05 + 1e-6 * abs(value)


# Weights as copies, units and order ------------------------------------------------------------

CLASSIFIERS = {"l2sp": L2SPClassifier(), "uowq": UOWQClassifier()}
COUNTED = {
    **{name: REGRESSORS[name] for name in ("uowq", "l2sp", "tasks")},
    "scalar": UOWQRegressor(combination="scalar"),
    "loo": L2SPRidge(method="loo"),
    "classes": L2SPClassifier(),
    "uowq classes": UOWQClassifier(),
}


@pytest.mark.parametrize("name", COUNTED)
def test_weight_two_is_the_row_twice_with_fewer_rows_than_features(rng, name):
    X, y, d = domains(rng, n=(10, 40, 40), p=19)
    y = np.where(y > 0, 1, 0) if "classes" in name else y
    count = rng.integers(1, 4, size=len(y))
    rows = rng.permutation(np.repeat(np.arange(len(y)), count))
    model = COUNTED[name]
    asked = {"sample_domain": d} if name == "tasks" else {}
    ask = "decision_function" if "classes" in name else "predict"
    weighed = getattr(model.fit(X, y, sample_domain=d, sample_weight=count), ask)(X, **asked)
    copied = getattr(model.fit(X[rows], y[rows], sample_domain=d[rows]), ask)(X, **asked)
    assert np.abs(copied - weighed).max() < 1e-4 * np.std(weighed)


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("seed", range(4))
def test_origin_and_order_of_columns_change_no_classifier(seed, name):
    X, y, d = domains(np.random.default_rng(seed), n=(25, 60, 60), p=6)
    model, y = CLASSIFIERS[name], np.where(y > 0, "yes", "no")
    found = model.fit(X, y, sample_domain=d).decision_function(X)
    for other in (X + 1000.0, X[:, ::-1]):
        again = model.fit(other, y, sample_domain=d).decision_function(other)
        assert np.abs(again - found).max() < 1e-4 * np.std(found)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_class_that_the_target_lacks_has_a_probability(name):
    shares, losses = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)

        def draw(n, rng=rng):
            X = rng.normal(size=(n, 3))
            return X, np.digitize(X @ [1, -1, 0.5] + rng.logistic(size=n), [-1, 2])

        X, y = draw(100)
        own = np.flatnonzero(y < 2)[:15]
        X, y, d = stack_domains((X[own], y[own]), {"source": draw(400)})
        X_new, y_new = draw(2000)
        p = CLASSIFIERS[name].fit(X, y, sample_domain=d).predict_proba(X_new)
        shares.append(p[:, 2].mean())
        losses.append(log_loss(y_new, p))
    assert np.mean(shares) > 0.03  # of .2 in truth, and none in fifteen rows
    assert np.mean(losses) < 1.15  # 4.8 without a prior


# Rare errors of numerics -----------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 6, 30])
@pytest.mark.parametrize("covariance", [0.0, 0.1])
def test_a_model_without_penalty_answers(rng, n, covariance):
    X = rng.normal(size=(n, 8))
    source = SourceModel(np.ones(8), covariance=covariance * np.eye(8), n_samples=50)
    model = UOWQRegressor(alpha=0, sources={"a": source}).fit(
        X, X @ np.ones(8) + rng.normal(size=n)
    )
    mean, std = model.predict(X, return_std=True)
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()


@pytest.mark.parametrize("weights", ["eb", "sure", "plugin"])
@pytest.mark.parametrize("cls", [UOWQClassifier, UOWQPoissonRegressor, UOWQRegressor])
def test_any_rule_of_weights_without_sources_is_the_target_alone(rng, cls, weights):
    """SciPy's non-negative least squares once ended the whole process here."""
    X = rng.normal(size=(30, 3))
    y = np.where(X[:, 0] + rng.normal(size=30) > 0, 1, 0)
    found, expected = (cls(weights=rule).fit(X, y) for rule in (weights, "eb"))
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-6)
    assert found.source_weights_.shape == (0,)


@pytest.mark.parametrize("n", [4, 8, 20])
def test_scalar_weights_without_penalty_have_an_error(rng, n):
    X, y, d = domains(rng, n=(n, 60, 60), p=8)
    model = UOWQRegressor(alpha=0, combination="scalar").fit(X, y, sample_domain=d)
    assert np.isfinite(model.predict(X, return_std=True)[1]).all()


@pytest.mark.parametrize("units", [1e-30, 1e-8, 1e8, 1e30])
def test_reduced_rank_in_any_units(rng, units):
    X, Y = rng.normal(size=(20, 4)), rng.normal(size=(20, 2))
    for size in (1e-8, 1.0, 1e8):
        model = ReducedRankRegressor(alpha=1e8, scale=False).fit(X * units, Y * size)
        assert np.isfinite(model.coef_).all()


def test_classes_without_penalty_and_fewer_rows_than_features(rng):
    for _ in range(4):
        X, y, d = domains(rng, n=(8, 40, 40), p=12)
        model = L2SPClassifier(alpha=0).fit(X, np.where(y > 0, 1, 0), sample_domain=d)
        assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("n", [3, 10, 40])
@pytest.mark.parametrize("outputs", [1, 2])
def test_smart_with_one_feature_warns_of_nothing(rng, n, outputs):
    X = rng.normal(size=(n + 40, 1))
    Y = X @ np.ones((1, outputs)) + rng.normal(size=(n + 40, outputs))
    d = np.repeat(["target", "source"], [n, 40])
    model = SMARTRegressor().fit(X, Y[:, 0] if outputs == 1 else Y, sample_domain=d)
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.filterwarnings("ignore:The target's")
@pytest.mark.parametrize("name", ["uowq", "l2sp"])
def test_a_gain_is_a_share_of_the_risk(name):
    """An estimated loss from transfer is bounded as well: no risk is a billion times another."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        noise = float(rng.choice([1e-12, 1.0]))
        X, y, d = domains(rng, n=(int(rng.choice([3, 5, 20])), 20, 20), noise=noise)
        gain = REGRESSORS[name].fit(X, y, sample_domain=d).transfer_gain_
        assert np.isnan(gain) or -10 < gain <= 1
