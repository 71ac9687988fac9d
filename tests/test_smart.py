"""SMARTRegressor and ReducedRankRegressor: what their docstrings promise."""

import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import KFold, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skt import ADMM, Moments, ReducedRankRegressor, SMARTRegressor, SourceModel, stack_domains
from skt.core.reduced_rank import (
    Factors,
    Folds,
    SecondMoments,
    log_gains,
    mean_errors,
    reduced_rank,
    truncated,
)
from skt.core.smart import objective
from skt.core.smart_choice import Bases, SmartOptions, fit_by_validation, make_problem, rotate
from skt.core.source_bases import source_sides
from skt.datasets import make_spectral_transfer
from skt.model_selection.folds import repeated_folds

REFERENCE = Path(__file__).parent / "data" / "smart_reference.npz"


def draw(seed=0, n=80, p=24, q=16, **kw):
    settings = {"rank": 2, "source_rank": 4, "source_noise": 0.02} | kw
    return make_spectral_transfer(n, p, q, random_state=seed, **settings)


EXACT = ADMM(max_iter=50_000)


def smart(data, ridge=None, **kw):
    """Fitted with the coefficients of the source; a given ridge penalty is not chosen."""
    source = kw.pop("source", data.source_coef)
    model = SMARTRegressor(sources={"a": SourceModel(source)}, **kw)
    if ridge is not None:
        options = model._setting
        model._setting = lambda target, units, bases: options(target, units, bases)._replace(
            ridge=ridge / units.ridge_unit
        )
    return model.fit(data.X, data.y)


def error(model, data):
    return np.linalg.norm(model.coef_ - data.coef)


def simulated_errors(seeds, **kw):
    """Mean errors of SMART and of reduced-rank regression over seeds."""
    pairs = []
    for seed in range(seeds):
        data = draw(seed, **kw)
        alone = ReducedRankRegressor().fit(data.X, data.y)
        pairs.append([error(smart(data, solver=EXACT), data), error(alone, data)])
    return np.mean(pairs, axis=0)


# What it is for -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("relation", "noise", "most"),
    [
        ("shared", 0.02, 0.6),
        ("rotated", 0.02, 0.75),
        ("half-shared", 0.02, 0.95),
        ("shared", 0.5, 1.02),
        ("unrelated", 0.02, 1.02),
    ],
)
def test_sources_help_or_do_no_harm(relation, noise, most):
    ours, alone = simulated_errors(5, relation=relation, source_noise=noise)
    assert ours <= most * alone


@pytest.mark.slow
def test_no_harm_with_few_rows():
    for n in (16, 40):
        ours, alone = simulated_errors(40, relation="unrelated", n=n)
        assert ours <= 1.02 * alone


@pytest.mark.parametrize("n", [80, 20])
@pytest.mark.parametrize("outputs", [1, 16])
def test_no_source_is_reduced_rank_regression(n, outputs):
    data = draw(n=n)
    y = data.y[:, 0] if outputs == 1 else data.y
    ours, plain = SMARTRegressor().fit(data.X, y), ReducedRankRegressor().fit(data.X, y)
    assert_array_equal(ours.coef_, plain.coef_)
    assert_array_equal(ours.intercept_, plain.intercept_)
    assert (ours.alpha_, ours.ridge_, ours.rank_) == ((0.0, 0.0), plain.alpha_, plain.rank_)
    assert ours.alignment_ is None
    assert ours.source_names_ == []


def test_reduced_rank_regression_of_full_rank_is_least_squares():
    data = draw()
    ours = ReducedRankRegressor(rank=16, alpha=0).fit(data.X, data.y)
    theirs = LinearRegression().fit(data.X, data.y)
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-9)
    assert_allclose(ours.predict(data.X), theirs.predict(data.X), atol=1e-9)


def test_penalty_of_reduced_rank_regression_is_ridges():
    data = draw()
    ours = ReducedRankRegressor(rank=16, alpha=0.3).fit(data.X, data.y)
    assert_allclose(ours.coef_, Ridge(0.3 * 80).fit(data.X, data.y).coef_, atol=1e-9)
    assert ours.alpha_ == pytest.approx(0.3)


def test_one_output_without_choice_is_ridge():
    data = draw()
    ours = ReducedRankRegressor(alpha=0.0).fit(data.X, data.y[:, 0])
    theirs = LinearRegression().fit(data.X, data.y[:, 0])
    assert ours.coef_.shape == (24,)
    assert isinstance(float(ours.intercept_), float)
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-9)


# The authors' code --------------------------------------------------------------------------


def reference():
    with np.load(REFERENCE) as archive:
        content = dict(archive)
    meta = json.loads(str(content.pop("meta")))
    return {k: np.asarray(v, dtype=float) for k, v in content.items()}, meta


@pytest.mark.parametrize("number", range(3))
def test_objective_is_not_above_the_authors(number):
    data, meta = reference()
    theirs = meta["fixed_lambda"][number]
    bases = Bases(*source_sides([data["C0"]]))
    m = rotate(SecondMoments(data["G"], data["H"], data["y2"], data["n"]), bases)
    alpha = (theirs["lam"], theirs["lam"])
    setting = SmartOptions(5, (10, 10), alpha, 0.0, 0.0, True, rho=0.1, tol=1e-5, max_iter=5000)
    train = SecondMoments(*(np.asarray(part)[None] for part in m))
    ours = fit_by_validation(Folds(train, train.at(slice(0, 0))), bases, setting)
    assert ours.objective[-1] <= theirs["objective"] * (1 + 1e-6)
    # The figure that was reported is that of their estimate in our objective.
    key = str(theirs["lam"])
    U, V = bases.left.basis.T @ data[f"U_{key}"], bases.right.basis.T @ data[f"V_{key}"]
    problem = make_problem(m, bases, (10, 10), 0.0, entrywise=True)
    value = objective(Factors(U, data[f"d_{key}"], V), problem, alpha)
    assert_allclose(value, theirs["objective"], rtol=1e-6)


def test_bic_is_the_papers():
    """Good sources: structural rank and penalty such that nothing is left outside."""
    data = draw(source_noise=0.001)
    model = smart(data, variant="paper")
    assert model.cv_results_["alpha"].shape[1] == 2
    assert model.alpha_[0] > 0
    assert error(model, data) < 0.7 * error(ReducedRankRegressor().fit(data.X, data.y), data)
    noisy = draw(source_noise=0.5)  # reduced-rank regression is no candidate
    assert smart(noisy, variant="paper").alpha_[0] > 0


# Factors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"alpha": 0.1, "structural_rank": 2}, {"unit": 1e3}])
def test_factors_are_an_ordered_and_signed_decomposition(options):
    """Of coefficients in units of standard deviations, where columns have units of their own."""
    data, options = draw(), dict(options)
    unit = options.pop("unit", None)
    if unit:
        data.X[:, 3] *= unit
        data.source_coef[:, 3] /= unit
    model = smart(data, **options)
    U, d, V = model.left_vectors_, model.singular_values_, model.right_vectors_
    assert_allclose(U.T @ U, np.eye(2), atol=1e-8)
    assert_allclose(V.T @ V, np.eye(2), atol=1e-8)
    assert np.all(np.diff(d) < 0)
    assert np.all(d > 0)
    assert np.all(np.max(U, axis=0) >= -np.min(U, axis=0))
    x = data.X.std(0) if unit else 1.0
    assert_allclose((V * d) @ U.T / x, model.coef_, atol=1e-8)


def test_scores_predict():
    data = draw()
    model = smart(data)
    scores = model.transform(data.X)
    assert_allclose(scores, (data.X - data.X.mean(0)) @ model.left_vectors_, atol=1e-10)
    predicted = scores * model.singular_values_ @ model.right_vectors_.T + data.y.mean(0)
    assert_allclose(predicted, model.predict(data.X), atol=1e-8)
    assert list(model.get_feature_names_out()) == ["smartregressor0", "smartregressor1"]


def test_alignment_is_that_of_the_vectors_and_sparse():
    data = draw(source_noise=0.0)
    model = smart(data, rank=2, structural_rank=0, alpha=0.3)
    left, right = model.alignment_
    assert (left.shape, right.shape) == ((5, 2), (5, 2))
    assert np.sum(left == 0) >= 4
    directions = model.source_directions_[0]
    close = left[:4] - directions.T @ model.left_vectors_
    assert np.abs(close).max() < 1e-3
    # Each factor is one of the source's directions.
    assert_allclose(np.sort(np.abs(left[:4]), axis=0)[-1], 1, atol=1e-3)
    assert_allclose(left[4], 0, atol=1e-3)
    whole = smart(data, rank=2, structural_rank=0, alpha=0.3, variant="paper-cv")
    assert whole.alignment_.left.shape == (25, 2)


def test_path_and_results_belong_together():
    data = draw()
    model = smart(data)
    results = model.cv_results_
    chosen = results["chosen"]
    assert results["log_gain"][chosen] == results["log_gain"].max()
    assert results["log_gain"][0] == 0
    logs = np.log(results["errors"])
    assert_allclose(results["log_gain"], np.mean(logs[0] - logs, axis=1), atol=1e-12)
    assert tuple(results["alpha"][chosen]) == model.alpha_
    assert tuple(results["structural_rank"][chosen]) == model.structural_rank_
    assert_array_equal(results["alpha"][0], 0)
    assert results["errors"].shape == (len(results["alpha"]), 15)  # three times five folds
    assert np.all(np.diff(model.path_["alpha"][:, 0]) > 0)
    place = np.flatnonzero(model.path_["alpha"][:, 0] == model.alpha_[0])[0]
    assert_allclose(model.path_["coef"][place], model.coef_, atol=0.1)
    assert len(model.objective_curve_) == len(model.residual_curve_)


def test_errors_of_validation_are_those_of_the_folds():
    data = draw()
    model = smart(data, rank=2, cv=KFold(4))
    losses = []
    for train, test in KFold(4).split(data.X):
        alone = ReducedRankRegressor(rank=2).fit(data.X[train], data.y[train])
        losses.append(np.mean((data.y[test] - alone.predict(data.X[test])) ** 2))
    assert_allclose(model.cv_results_["errors"][0], losses, rtol=1e-8)


@pytest.mark.parametrize("n", [80, 20])
def test_what_was_chosen_can_be_given(n):
    data = draw(n=n)
    exact = {"solver": ADMM(tol=1e-7, max_iter=50_000)}
    model = smart(data, **exact)
    given = {"rank": model.rank_, "structural_rank": model.structural_rank_, "alpha": model.alpha_}
    again = smart(data, model.ridge_, **exact, **given)
    assert_allclose(again.objective_curve_[-1], model.objective_curve_[-1], rtol=1e-4)
    assert again.cv_results_ == {}


# The stack ----------------------------------------------------------------------------------


def nearest_of_rank(C, G, rank):
    """Eckart and Young in the metric of G, by the square root of G."""
    e, Q = np.linalg.eigh(G)
    left, s, right = np.linalg.svd(np.sqrt(e)[:, None] * (Q.T @ C), full_matrices=False)
    return Q @ ((left[:, :rank] * s[:rank]) / np.sqrt(e)[:, None]) @ right[:rank]


def test_truncated_is_the_nearest_of_its_rank(rng):
    X, C = rng.normal(size=(30, 6)), rng.normal(size=(6, 5))
    G = X.T @ X / 30
    for ridge in (0.0, 0.7):
        expected = nearest_of_rank(C, G + ridge * np.eye(6), 2)
        f = truncated(C, G, 2, ridge)
        assert_allclose(f.C, expected, atol=1e-10)
        assert_allclose(f.U.T @ f.U, np.eye(2), atol=1e-10)
        assert_allclose(f.V.T @ f.V, np.eye(2), atol=1e-10)
    Y = rng.normal(size=(30, 5))
    m = SecondMoments(G, X.T @ Y / 30, np.array(np.sum(Y**2) / 30), np.array(30.0))
    assert_allclose(truncated(np.linalg.solve(G, m.H), G, 3).C, reduced_rank(m, 3).C, atol=1e-10)


def test_a_stack_is_the_mean_of_both_at_its_rank():
    data = draw(1, n=16, relation="half-shared", source_noise=0.1)
    exact = {"solver": ADMM(tol=1e-6, max_iter=50_000)}
    model = smart(data, **exact)
    results, chosen = model.cv_results_, model.cv_results_["chosen"]
    gain, gain_error = results["log_gain"][chosen], results["log_gain_error"][chosen]
    share = model.stacking_weight_
    assert share == pytest.approx(1 - np.exp(-16 / 2 * (gain - gain_error)))
    assert 0.1 < share < 0.9
    given = {"rank": 2, "structural_rank": model.structural_rank_, "alpha": model.alpha_}
    leaning = smart(data, model.ridge_, **given, **exact)
    ridge = results["ridge"][0]
    alone = ReducedRankRegressor(rank=2, alpha=ridge).fit(data.X, data.y)
    assert leaning.stacking_weight_ == 1
    mean = share * leaning.coef_ + (1 - share) * alone.coef_
    X = data.X - data.X.mean(axis=0)
    expected = nearest_of_rank(mean.T, X.T @ X / 16 + ridge * np.eye(24), 2).T
    size = np.linalg.norm(expected)
    assert_allclose(model.coef_, expected, atol=1e-4 * size)
    for other in (alone.coef_, leaning.coef_, mean):
        assert np.linalg.norm(other - expected) > 0.01 * size
    # The vectors are those of the stack, in which no coefficient is zero.
    assert model.rank_ == 2
    left = model.alignment_.left[:-1]
    assert_allclose(left, model.source_directions_[0].T @ model.left_vectors_, atol=1e-10)


def test_a_fold_of_outliers_does_not_decide():
    errors = np.array([[1.0, 1.0, 1.0, 1.0, 50.0], [0.8, 0.8, 0.8, 0.8, 60.0]])
    folds = folds_of_sizes(5, np.ones(5))
    gains, gain_errors = log_gains(errors, folds)
    expected = np.log(errors[0] / errors[1])
    assert gains[1] == pytest.approx(expected.mean())
    assert gain_errors[1] == pytest.approx(expected.std(ddof=1) / np.sqrt(5))
    assert gains[1] > gain_errors[1]
    assert errors[1].mean() > errors[0].mean()


def folds_of_sizes(n, sizes):
    """Folds of which the numbers of rows are all that is known."""
    return Folds(
        SecondMoments(None, None, None, np.array([n])), SecondMoments(None, None, sizes, sizes)
    )


def test_folds_of_the_same_rows_are_not_counted_as_new(rng):
    values = rng.normal(size=(2, 5))
    once = mean_errors(values, folds_of_sizes(10, np.full(5, 2.0)))
    assert_allclose(once, values.std(axis=1, ddof=1) / np.sqrt(5))
    many = rng.normal(size=(2, 15))
    thrice = mean_errors(many, folds_of_sizes(10, np.full(15, 2.0)))
    assert_allclose(thrice, many.std(axis=1, ddof=1) / np.sqrt(5))
    # Folds that leave rows out are as many as they are; one tells no spread.
    some = mean_errors(values, folds_of_sizes(20, np.full(5, 2.0)))
    assert_allclose(some, once)
    assert_array_equal(mean_errors(values[:, :1], folds_of_sizes(10, np.full(1, 2.0))), 0)


# Invariances --------------------------------------------------------------------------------

CHOICES = [{}, {"rank": 2, "structural_rank": 1, "alpha": 0.1}]


def scaled_alpha(options, factor):
    return options | ({"alpha": options["alpha"] * factor} if "alpha" in options else {})


@pytest.mark.parametrize("options", CHOICES)
def test_units_of_y_and_origins_do_not_matter(options):
    data = draw()
    one = smart(data, **options)
    other = SMARTRegressor(
        sources={"a": SourceModel(1e4 * data.source_coef)}, **scaled_alpha(options, 1e8)
    ).fit(data.X + 7.0, 1e4 * data.y - 5.0)
    assert_allclose(other.coef_ / 1e4, one.coef_, atol=1e-8)
    assert_allclose(other.predict(data.X + 7.0), 1e4 * one.predict(data.X) - 5.0, rtol=1e-7)
    assert_allclose(other.alpha_, 1e8 * np.array(one.alpha_), rtol=1e-6)


@pytest.mark.parametrize("options", CHOICES)
def test_unit_of_all_features_does_not_matter(options):
    data = draw()
    other = SMARTRegressor(sources={"a": SourceModel(data.source_coef / 1e3)}, **options)
    other.fit(1e3 * data.X, data.y)
    assert_allclose(other.coef_ * 1e3, smart(data, **options).coef_, atol=1e-8)


@pytest.mark.parametrize("options", CHOICES)
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_order_of_columns_does_not_matter(rng, options, noise):
    """Without noise the null space is large, and its basis another one for each order."""
    data = draw(source_noise=noise)
    i, j = rng.permutation(24), rng.permutation(16)
    model = SMARTRegressor(sources={"a": SourceModel(data.source_coef[j][:, i])}, **options)
    model.fit(data.X[:, i], data.y[:, j])
    assert_allclose(model.coef_, smart(data, **options).coef_[j][:, i], atol=1e-6)


def test_the_papers_penalty_depends_on_the_basis_of_the_null_space(rng):
    data = draw(source_noise=0.0)
    i, options = rng.permutation(24), {"rank": 2, "structural_rank": 1, "alpha": 0.02}
    options |= {"variant": "paper", "solver": ADMM(tol=1e-6, max_iter=50_000)}
    model = SMARTRegressor(sources={"a": SourceModel(data.source_coef[:, i])}, **options)
    model.fit(data.X[:, i], data.y)
    assert np.abs(model.coef_ - smart(data, **options).coef_[:, i]).max() > 1e-4


def test_basis_of_equal_singular_values_does_not_matter(rng):
    left, right = (np.linalg.qr(rng.normal(size=(size, 3)))[0] for size in (24, 16))
    data, options = draw(), {"rank": 2, "structural_rank": 1, "alpha": 0.05}
    coef = (left * [3.0, 1.0, 1.0]) @ right.T
    one = smart(data, source=coef.T, **options)
    shaken = coef + 1e-12 * rng.normal(size=coef.shape)  # another basis of the two
    assert_allclose(smart(data, source=shaken.T, **options).coef_, one.coef_, atol=1e-6)


@pytest.mark.parametrize("options", CHOICES)
def test_where_units_differ_the_unit_of_no_column_matters(rng, options):
    data, found = draw(), []
    for _ in range(2):
        x, y = 10.0 ** rng.uniform(-3, 3, 24), 10.0 ** rng.uniform(-3, 3, 16)
        source = data.source_coef / x * y[:, None]
        model = SMARTRegressor(sources={"a": SourceModel(source)}, **options)
        model.fit(data.X * x, data.y * y)
        found.append(model.predict(data.X * x) / y)
    assert_allclose(*found, atol=1e-7)


def test_one_column_in_another_unit_is_seen(rng):
    """The authors' code has 8.5 times the error then."""
    errors = []
    for seed in range(2):
        data = draw(seed)
        x = np.ones(24)
        x[3] = 1e3
        other = SMARTRegressor(sources={"a": SourceModel(data.source_coef / x)})
        other.fit(data.X * x, data.y)
        errors.append([np.linalg.norm(other.coef_ * x - data.coef), error(smart(data), data)])
    ours, plain = np.mean(errors, axis=0)
    assert ours < 1.5 * plain


def test_same_data_same_answer():
    data = draw()
    assert_array_equal(smart(data).coef_, smart(data).coef_)


@pytest.mark.parametrize("cls", [SMARTRegressor, ReducedRankRegressor])
def test_weight_2_is_the_row_twice(rng, cls):
    data = draw()
    weight = rng.integers(0, 3, size=80)
    twice = np.repeat(np.arange(80), weight)
    options = {"rank": 2, "sources": {"a": SourceModel(data.source_coef)}}
    options |= {"structural_rank": 1, "alpha": 0.1}
    options = options if cls is SMARTRegressor else {}
    one = cls(**options).fit(data.X, data.y, sample_weight=weight)
    other = cls(**options).fit(data.X[twice], data.y[twice])
    assert_allclose(one.coef_, other.coef_, atol=1e-7)
    assert_allclose(one.intercept_, other.intercept_, atol=1e-7)


# Sources ------------------------------------------------------------------------------------


def source_rows(data, rng, n=400):
    X = rng.normal(size=(n, 24)) + 2.0
    return X, X @ data.source_coef.T + 1.0 + 0.5 * rng.normal(size=(n, 16))


def test_rows_are_their_moments(rng):
    data = draw()
    rows = source_rows(data, rng)
    X, y, d = stack_domains((data.X, data.y), {"a": rows})
    one = SMARTRegressor().fit(X, y, sample_domain=d)
    other = SMARTRegressor(sources={"a": Moments.from_data(*rows)}).fit(data.X, data.y)
    assert_allclose(one.coef_, other.coef_, atol=1e-8)
    assert one.source_names_ == ["a"]
    assert error(one, data) < 0.8 * error(ReducedRankRegressor().fit(data.X, data.y), data)


def test_a_frozen_model_is_its_coefficients(rng):
    data = draw()
    model = LinearRegression().fit(*source_rows(data, rng))
    frozen = SMARTRegressor(sources={"a": FrozenEstimator(model)}).fit(data.X, data.y)
    assert_allclose(frozen.coef_, smart(data, source=model.coef_).coef_, atol=1e-8)


def test_several_sources_are_joined(rng):
    """Each knows half of the factors: neither alone helps as both do."""
    data = draw(source_noise=0.0)
    U, d, Vt = np.linalg.svd(data.source_coef, full_matrices=False)
    halves = {
        name: SourceModel((U[:, part] * d[part]) @ Vt[part])
        for name, part in (("a", slice(0, 2)), ("b", slice(2, 4)))
    }
    both = SMARTRegressor(sources=halves).fit(data.X, data.y)
    turned = SMARTRegressor(sources={"b": halves["b"], "a": halves["a"]}).fit(data.X, data.y)
    assert_allclose(turned.coef_, both.coef_, atol=1e-7)
    one = min(
        error(SMARTRegressor(sources={name: halves[name]}).fit(data.X, data.y), data)
        for name in halves
    )
    assert error(both, data) < 0.8 * one
    twice = SMARTRegressor(sources={name: SourceModel(data.source_coef) for name in "ab"}).fit(
        data.X, data.y
    )
    assert_allclose(twice.coef_, smart(data).coef_, atol=1e-7)


def test_a_source_of_zeros_is_none():
    data = draw()
    model = smart(data, source=np.zeros((16, 24)))
    assert_allclose(model.coef_, ReducedRankRegressor().fit(data.X, data.y).coef_, atol=1e-8)


def test_behind_a_scaler_with_rows_of_the_source(rng):
    data = draw()
    X, y, d = stack_domains((data.X, data.y), {"a": source_rows(data, rng)})
    x = 10.0 ** rng.uniform(-2, 2, 24)
    fitted = [
        make_pipeline(StandardScaler(), SMARTRegressor())
        .fit(rows, y, smartregressor__sample_domain=d)
        .predict(rows)
        for rows in (X, X * x)
    ]
    assert_allclose(fitted[0], fitted[1], atol=1e-7)


def test_tables_keep_their_names(rng):
    data = draw()
    table = pd.DataFrame(data.X, columns=[f"x{i}" for i in range(24)])
    model = SMARTRegressor(sources={"a": SourceModel(data.source_coef)}).fit(table, data.y)
    assert list(model.feature_names_in_) == list(table.columns)
    assert_allclose(model.coef_, smart(data).coef_)


# Folds --------------------------------------------------------------------------------------


def test_folds_may_be_given(rng):
    data = draw(n=200)
    default = smart(data)
    assert_allclose(smart(data, cv=KFold(5)).coef_, default.coef_, atol=1e-12)
    splits = list(KFold(5).split(data.X))
    assert_allclose(smart(data, cv=splits).coef_, default.coef_, atol=1e-12)
    shuffled = smart(data, cv=KFold(5, shuffle=True, random_state=3))
    assert np.any(shuffled.cv_results_["errors"][0] != default.cv_results_["errors"][0])


def test_folds_of_few_rows_are_repeated():
    data = draw(n=40)
    model = smart(data)
    splits = list(repeated_folds(5, 40))
    assert len(splits) == 25
    by_hand = smart(data, cv=splits)
    assert_array_equal(model.cv_results_["errors"], by_hand.cv_results_["errors"])
    # Their standard error is that of five folds, whoever made the repeats.
    gains = np.log(model.cv_results_["errors"][0] / model.cv_results_["errors"])
    expected = gains.std(axis=1, ddof=1) / np.sqrt(5)
    assert_allclose(model.cv_results_["log_gain_error"], expected, atol=1e-12)
    assert_allclose(by_hand.cv_results_["log_gain_error"], expected, atol=1e-12)
    assert model.cv_results_["difference_error"].shape == expected.shape
    given = smart(data, cv=KFold(5))
    assert given.cv_results_["errors"].shape[1] == 5


def test_folds_that_leave_rows_out_are_not_taken_away_from_all():
    data = draw()
    model = smart(data, rank=2, cv=TimeSeriesSplit(3))
    losses = []
    for train, test in TimeSeriesSplit(3).split(data.X):
        alone = ReducedRankRegressor(rank=2, alpha=0).fit(data.X[train], data.y[train])
        losses.append(np.mean((data.y[test] - alone.predict(data.X[test])) ** 2))
    assert_allclose(model.cv_results_["errors"][0], losses, rtol=1e-6)


def test_folds_are_of_the_target_alone(rng):
    data = draw()
    X, y, d = stack_domains({"a": source_rows(data, rng)}["a"], {"b": (data.X, data.y)})
    d = np.where(d == "target", "a", "target")
    model = SMARTRegressor().fit(X, y, sample_domain=d)
    known = {"a": Moments.from_data(X[d == "a"], y[d == "a"])}
    other = SMARTRegressor(sources=known).fit(data.X, data.y)
    assert_allclose(model.coef_, other.coef_, atol=1e-8)


# Little or strange data ---------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 6, 23, 24, 25])
@pytest.mark.parametrize("outputs", [1, 3])
def test_few_rows(n, outputs):
    data = draw(n=n)
    y, coef = data.y[:, :outputs], data.source_coef[:outputs]
    model = SMARTRegressor(sources={"a": SourceModel(coef)}, solver=ADMM(max_iter=20_000)).fit(
        data.X, y
    )
    assert np.isfinite(model.coef_).all()


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_rows_predict_their_mean_and_say_so(n):
    data = draw(n=n)
    rows = "1 row " if n == 1 else "2 rows "
    with pytest.warns(UserWarning, match=rf"target's {rows}cannot tell.*UOWQRegressor.*alone"):
        model = smart(data)
    assert_allclose(model.predict(data.X), np.tile(data.y.mean(axis=0), (n, 1)))
    assert model.rank_ == 0
    assert model.transform(data.X).shape == (n, 0)
    with pytest.warns(UserWarning, match="row cannot tell") if n == 1 else nullcontext():
        smart(data, fit_intercept=False)
    SMARTRegressor().fit(data.X, data.y)  # there is nothing that it passes over
    smart(data, rank=0)
    smart(data, 0.1, rank=1, structural_rank=1, alpha=0.1)


def test_one_output_in_one_dimension_or_two():
    data = draw()
    known = {"a": SourceModel(data.source_coef[0])}
    flat = SMARTRegressor(sources=known).fit(data.X, data.y[:, 0])
    known = {"a": SourceModel(data.source_coef[:1])}
    column = SMARTRegressor(sources=known).fit(data.X, data.y[:, :1])
    assert_array_equal(flat.coef_, column.coef_[0])
    assert flat.predict(data.X).shape == (80,)
    assert column.predict(data.X).shape == (80, 1)


@pytest.mark.parametrize("variant", ["group", "paper-cv"])
@pytest.mark.parametrize("n", [80, 20])
def test_constant_columns(variant, n):
    data = draw(n=n)
    data.X[:, 3] = 0.1
    data.y[:, 2] = 1e6
    model = smart(data, variant=variant)
    assert np.isfinite(model.coef_).all()
    assert_allclose(model.predict(data.X)[:, 2], 1e6, rtol=1e-6)


def test_outputs_that_do_not_vary_at_all():
    data = draw()
    model = SMARTRegressor(sources={"a": SourceModel(data.source_coef)})
    model.fit(data.X, np.full((80, 16), 3.0))
    assert_allclose(model.predict(data.X), 3.0)
    assert model.rank_ == 0


def test_collinear_columns():
    data = draw()
    data.X[:, 5] = data.X[:, 6]
    assert np.isfinite(smart(data).coef_).all()


def test_no_intercept():
    data = draw()
    model = smart(data, fit_intercept=False)
    assert_array_equal(model.intercept_, 0)
    alone = ReducedRankRegressor(rank=16, alpha=0, fit_intercept=False).fit(data.X, data.y)
    assert_allclose(alone.coef_, np.linalg.lstsq(data.X, data.y, rcond=None)[0].T, atol=1e-9)


def test_infinite_penalty_leaves_nothing_outside():
    data = draw()
    model = smart(data, rank=2, structural_rank=4, alpha=np.inf)
    assert_allclose(model.alignment_.left[4], 0, atol=1e-10)
    assert model.alpha_ == (np.inf, np.inf)
    assert model.n_iter_ == 1
    nearly = smart(data, rank=2, structural_rank=4, alpha=1e3)
    assert_allclose(nearly.coef_, model.coef_, atol=1e-6)


def test_subspaces_bound_the_rank_where_nothing_is_left_outside():
    data = draw()
    assert smart(data, rank=2, structural_rank=1, alpha=np.inf).rank_ == 1
    nothing = smart(data, rank=2, structural_rank=0, alpha=np.inf)
    assert_array_equal(nothing.coef_, 0)


@pytest.mark.parametrize("variant", ["group", "paper", "paper-cv"])
def test_rank_zero_is_the_mean(variant):
    data = draw()
    model = smart(data, rank=0, variant=variant)
    assert_array_equal(model.coef_, 0)
    assert_allclose(model.predict(data.X)[0], data.y.mean(axis=0))


def test_penalty_given_and_structural_rank_chosen():
    data = draw()
    model = smart(data, rank=2, alpha=0.2)
    penalties = model.cv_results_["alpha"].max(axis=1)
    assert penalties[0] == 0
    assert_allclose(penalties[1:], 0.2)
    assert model.alpha_ in [(0.0, 0.0), pytest.approx((0.2, 0.2))]
    ends = smart(data, rank=2, alpha=np.inf).cv_results_["alpha"][1:]
    assert np.isinf(ends).all()


def test_penalties_may_differ():
    data = draw()
    model = smart(data, rank=2, structural_rank=(0, 4), alpha=(0.5, 0.0))
    assert model.structural_rank_ == (0, 4)
    assert model.alpha_ == pytest.approx((0.5, 0.0))
    assert np.sum(model.alignment_.left == 0) > np.sum(model.alignment_.right == 0)


def test_a_rank_above_the_datas_is_that_of_the_data():
    data = draw(n=5)
    assert ReducedRankRegressor(rank=16, alpha=0).fit(data.X, data.y).rank_ == 4


# Messages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 17}, "rank is 17, but coefficients of 24 features and 16 outputs have a rank"),
        ({"rank": -1}, r"'rank' parameter of SMARTRegressor .*range \[0, inf\).* Got -1"),
        ({"rank": 2.0}, "'rank' parameter .*an int"),
        ({"structural_rank": 17}, "structural_rank is 17, but .* have 16 directions of features"),
        ({"structural_rank": (1, 2, 3)}, "structural_rank must be 'auto', a whole number"),
        ({"structural_rank": "full"}, "'structural_rank' parameter .*'auto'"),
        ({"alpha": -1.0}, "'alpha' parameter .* Got -1.0"),
        ({"alpha": "best"}, "'alpha' parameter .* Got 'best'"),
        ({"alpha": (1.0, -2.0)}, "alpha must be 'auto', a number >= 0 or a pair"),
        ({"alpha": (1.0, np.inf)}, "alpha must be infinite for both sides or for none"),
        ({"variant": "bic"}, "'variant' parameter .*'paper-cv'.* Got 'bic'"),
        ({"variant": None}, "'variant' parameter .* Got None"),
        ({"solver": "admm"}, "'solver' parameter .*ADMM.* or None. Got 'admm'"),
        ({"fit_intercept": "no"}, "'fit_intercept' parameter"),
        ({"cv": 1}, "'cv' parameter .* iterable.* Got 1"),
        ({"cv": "five"}, "'cv' parameter"),
        ({"solver": ADMM(0)}, r"'rho' parameter of ADMM .*\(0.0, inf\). Got 0"),
        ({"solver": ADMM(tol=-1e-3)}, "'tol' parameter"),
        ({"solver": ADMM(max_iter=0)}, "'max_iter' parameter .* Got 0"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        smart(draw(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 17}, "rank is 17"),
        ({"alpha": -1}, "'alpha' parameter of ReducedRankRegressor .* Got -1"),
        ({"cv": 0}, "'cv' parameter"),
        ({"scale": 1.5}, "'scale' parameter"),
    ],
)
def test_wrong_options_of_reduced_rank_regression(options, message):
    data = draw()
    with pytest.raises(ValueError, match=message):
        ReducedRankRegressor(**options).fit(data.X, data.y)


def test_numpys_whole_numbers_are_whole_numbers():
    data = draw()
    model = smart(data, rank=np.int64(2), structural_rank=np.array([1, 2]), alpha=np.float32(0.1))
    assert model.structural_rank_ == (1, 2)


def test_structural_rank_above_that_of_the_sources():
    with pytest.raises(ValueError, match=r"structural_rank is 5, but .* have 4 directions of feat"):
        smart(draw(source_noise=0.0), structural_rank=5)


def test_a_transposed_source_names_both_shapes():
    data = draw()
    with pytest.raises(ValueError, match=r"shape \(24, 16\).*\(16, 24\).*transpose"):
        smart(data, source=data.source_coef.T)


def test_a_source_of_another_shape():
    with pytest.raises(ValueError, match=r"sources\['a'\] has 20 features but X has 24"):
        smart(draw(), source=np.ones((16, 20)))
    with pytest.raises(ValueError, match=r"sources\['a'\] has 15 targets but y has 16"):
        smart(draw(), source=np.ones((15, 24)))


def test_not_a_number_is_refused():
    data = draw()
    data.y[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        smart(data)


def test_iteration_that_does_not_converge_warns():
    data = draw(source_noise=0.1)
    with pytest.warns(ConvergenceWarning, match="after max_iter=5 iterations with residuals .*tol"):
        model = smart(data, rank=2, structural_rank=0, alpha=0.1, solver=ADMM(max_iter=5, tol=1e-9))
    assert model.n_iter_ == 5
