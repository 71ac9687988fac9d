import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import KFold

from skt.core.moments import Moments, moments, rescaled, without
from skt.core.reduced_rank import (
    SecondMoments,
    choose_rank,
    factor_error,
    gcv_ridge,
    is_ample,
    make_folds,
    objective,
    rank_errors,
    rank_of,
    reduced_rank,
    reduced_rank_ridge,
    ridge_grid,
    rsc_rank,
    second_moments,
    span,
    squared_error,
)


def data(rng, n=60, p=6, q=5, rank=2, noise=0.3):
    X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) + 3
    C = rng.normal(size=(p, rank)) @ rng.normal(size=(rank, q))
    return X, X @ C + noise * rng.normal(size=(n, q)), C


def of(X, Y, intercept=True):
    return second_moments(moments(X, Y), intercept)


def folds_of(X, Y, k=4, intercept=True):
    splits = list(KFold(k).split(X))
    total, parts = moments(X, Y), [moments(X[test], Y[test]) for _, test in splits]
    return make_folds(total, [without(total, part) for part in parts], parts, intercept), splits


# Objective and solution ---------------------------------------------------------------------


@pytest.mark.parametrize("intercept", [True, False])
def test_objective_is_that_of_the_rows(rng, intercept):
    X, Y, C = data(rng)
    Xc, Yc = (X - X.mean(0), Y - Y.mean(0)) if intercept else (X, Y)
    expected = np.sum((Yc - Xc @ C) ** 2) / 120 + 0.7 / 2 * np.sum(C**2)
    assert_allclose(objective(C, of(X, Y, intercept), 0.7), expected, rtol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_full_rank_is_ridge(rng, ridge):
    X, Y, _ = data(rng)
    theirs = Ridge(60 * ridge).fit(X, Y) if ridge else LinearRegression().fit(X, Y)
    assert_allclose(reduced_rank(of(X, Y), 5, ridge).C, theirs.coef_.T, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 0.5])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_no_other_coefficients_of_the_rank_are_better(rng, rank, ridge):
    X, Y, _ = data(rng, p=4, q=3, rank=3)
    m = of(X, Y)
    found = objective(reduced_rank(m, rank, ridge).C, m, ridge)

    def value(z):
        A, B = z[: 4 * rank].reshape(4, rank), z[4 * rank :].reshape(rank, 3)
        return objective(A @ B, m, ridge)

    best = min(minimize(value, rng.normal(size=7 * rank)).fun for _ in range(4))
    assert_allclose(found, best, rtol=1e-5)


def test_factors_are_a_singular_value_decomposition(rng):
    X, Y, _ = data(rng)
    f = reduced_rank(of(X, Y), 3)
    assert_allclose(f.U.T @ f.U, np.eye(3), atol=1e-10)
    assert_allclose(f.V.T @ f.V, np.eye(3), atol=1e-10)
    assert np.all(np.diff(f.d) <= 0)
    assert_allclose(factor_error(f, of(X, Y)), squared_error(f.C, of(X, Y)), rtol=1e-9)


def test_fewer_rows_than_features_give_the_minimum_norm(rng):
    X, Y, _ = data(rng, n=5, p=12)
    theirs = LinearRegression().fit(X, Y)
    assert_allclose(reduced_rank(of(X, Y), 5).C, theirs.coef_.T, atol=1e-8)
    assert rank_of(of(X, Y).G) == 4


def test_sets_of_rows_are_solved_side_by_side(rng):
    sets = [of(*data(rng)[:2]) for _ in range(3)]
    stacked = SecondMoments(*(np.array(part) for part in zip(*sets, strict=True)))
    for i, m in enumerate(sets):
        assert_allclose(reduced_rank(stacked, 2).at(i).C, reduced_rank(m, 2).C, atol=1e-9)


# Folds --------------------------------------------------------------------------------------


@pytest.mark.parametrize("intercept", [True, False])
def test_folds_by_taking_away_are_folds_by_selecting(rng, intercept):
    X, Y, _ = data(rng)
    X = X + 1e4
    folds, splits = folds_of(X, Y, intercept=intercept)
    for k, (train, test) in enumerate(splits):
        rest = of(X[train], Y[train], intercept)
        for ours, direct in zip(folds.train.at(k + 1), rest, strict=True):
            assert_allclose(ours, direct, rtol=1e-6, atol=1e-6)
        model = LinearRegression(fit_intercept=intercept).fit(X[train], Y[train])
        loss = np.sum((Y[test] - model.predict(X[test])) ** 2) / len(test)
        assert_allclose(squared_error(model.coef_.T, folds.test.at(k)), loss, rtol=1e-4)


@pytest.mark.parametrize("intercept", [True, False])
def test_few_rows_are_looked_at_within_their_span(rng, intercept, monkeypatch):
    """Nothing comes out otherwise than in all dimensions."""
    X, Y, _ = data(rng, n=9, p=40, q=3)
    folds, _ = folds_of(X, Y, intercept=intercept)

    def results():
        without_folds = folds.train.at(slice(1, None))
        yield from (reduced_rank(folds.train, rank, 0.3).C for rank in (0, 2, 3))
        yield reduced_rank(folds.train, 3).C
        yield rank_errors(without_folds, folds.test, [0.0, 0.3])

    assert span(folds.train.G).shape == (40, 9 - intercept)
    within_span = list(results())
    monkeypatch.setattr("skt.core.reduced_rank.NARROW", 0.0)
    assert span(folds.train.G) is None
    for one, other in zip(within_span, results(), strict=True):
        assert_allclose(one, other, rtol=1e-9, atol=1e-9 * np.max(np.abs(other)))


def test_the_span_is_that_of_all_sets_and_not_less_than_asked_for(rng):
    rows = rng.normal(size=(2, 12))
    G = rows[:, :, None] * rows[:, None, :]
    Q = span(G)
    assert Q.shape == (12, 2)
    assert_allclose(Q @ (Q.T @ rows.T), rows.T, atol=1e-12)
    assert span(G, least=3).shape == (12, 3)
    assert span(G, least=4) is None  # a third of the dimensions: it would not pay
    assert span(0 * G) is None
    assert span(G, rounding=1e3) is None


def test_a_column_that_no_longer_varies_is_zero(rng):
    X, Y, _ = data(rng)
    X[:40, 2] = 0.1
    left = without(moments(X, Y), moments(X[40:], Y[40:]))
    assert left.Sxx[2, 2] == 0
    assert not left.Sxy[2].any()


def test_errors_of_all_ranks_at_once(rng):
    X, Y, _ = data(rng)
    folds, _ = folds_of(X, Y)
    errors = rank_errors(folds.train.at(slice(1, None)), folds.test, [0.0, 0.2])[1]
    for rank in range(6):
        f = reduced_rank(folds.train.at(slice(1, None)), rank, 0.2)
        assert_allclose(errors[:, rank], squared_error(f.C, folds.test), rtol=1e-8)


def test_rescaled_moments_are_those_of_rescaled_rows(rng):
    X, Y, _ = data(rng)
    x, y = rng.uniform(1, 9, 6), rng.uniform(1, 9, 5)
    ours, direct = rescaled(moments(X, Y), x, y), Moments.from_data(X / x, Y / y)
    for name in ("mean_X", "mean_y", "Sxx", "Sxy", "Syy"):
        assert_allclose(getattr(ours, name), getattr(direct, name), rtol=1e-9, atol=1e-9)


# Choice -------------------------------------------------------------------------------------


def rsc_by_the_paper(X, Y):
    """Eigenvalues of Y'PY with the n x n projection."""
    X, Y = X - X.mean(0), Y - Y.mean(0)
    P = X @ np.linalg.pinv(X)
    n, q, k = len(X) - 1, Y.shape[1], np.linalg.matrix_rank(X)
    variance = np.sum((Y - P @ Y) ** 2) / (q * (n - k))
    e = np.linalg.eigvalsh(Y.T @ P @ Y)
    return int(np.sum(e >= 4 * variance * (np.sqrt(q) + np.sqrt(k)) ** 2))


@pytest.mark.parametrize("rank", [0, 1, 3])
@pytest.mark.parametrize("noise", [0.01, 1.0, 10.0])
def test_rank_selection_criterion_is_the_papers(rng, rank, noise):
    X, Y, _ = data(rng, n=80, rank=rank, noise=noise)
    assert rsc_rank(of(X, Y), lost=1.0) == rsc_by_the_paper(X, Y)


def test_rank_selection_criterion_without_noise(rng):
    X, Y, _ = data(rng, rank=2, noise=0.0)
    assert rsc_rank(of(X, Y), lost=1.0) == 2
    assert rsc_rank(of(X, 0 * Y), lost=1.0) == 0


def test_ample_rows_need_no_validation(rng):
    X, Y, _ = data(rng)
    folds, _ = folds_of(X, Y)
    chosen = choose_rank(folds, None, None, 1.0)
    assert (chosen.rank, chosen.ridge) == (2, 0.0)
    assert chosen.errors.size == 0
    assert is_ample(folds.train.at(0), 1.0)


def test_few_rows_are_chosen_for_by_validation(rng):
    X, Y, _ = data(rng, n=14, p=20)
    folds, _ = folds_of(X, Y)
    chosen = choose_rank(folds, None, None, 1.0)
    assert chosen.errors.shape == (9, 6)
    i = list(chosen.ridges).index(chosen.ridge)
    assert chosen.errors[i, chosen.rank] == chosen.errors.min()
    given = choose_rank(folds, 2, None, 1.0)
    assert given.rank == 2
    assert list(given.ridges).index(given.ridge) == np.argmin(given.errors[:, 2])


def test_a_rank_is_restricted_where_that_is_better_by_a_standard_error(rng):
    outcomes = set()
    for noise in (0.3, 3.0, 3.0, 3.0, 30.0, 30.0):
        X, Y, _ = data(rng, n=12, p=20, noise=noise)
        folds, _ = folds_of(X, Y)
        chosen = choose_rank(folds, None, None, 1.0)
        each = rank_errors(folds.train.at(slice(1, None)), folds.test, chosen.ridges)
        row, rank = np.unravel_index(np.argmin(chosen.errors), chosen.errors.shape)
        assert chosen.lowest == (rank, chosen.ridges[row])
        ridge = np.argmin(chosen.errors[:, -1])
        gains = np.log(each[ridge, :, -1] / each[row, :, rank])
        restricted = gains.mean() > gains.std(ddof=1) / np.sqrt(4)
        expected = chosen.lowest if restricted else (5, chosen.ridges[ridge])
        assert (chosen.rank, chosen.ridge) == expected
        assert chosen.of_lowest_error[:2] == chosen.lowest
        outcomes.add(bool(restricted))
    assert outcomes == {True, False}


def test_an_unrestricted_rank_is_that_of_the_rows(rng):
    """Folds have fewer rows than there are, and cannot tell their number from it."""
    X, Y, _ = data(rng, n=6, p=20, q=9, rank=9, noise=3.0)
    folds, _ = folds_of(X, Y, k=3)
    chosen = choose_rank(folds, None, None, 1.0)
    assert chosen.rank == 5
    assert chosen.lowest[0] <= 3


def test_of_equal_errors_the_lowest_rank_is_taken(rng):
    """Two rows: what is fitted to one predicts the other as its mean does, but for rounding."""
    X, Y, _ = data(rng, n=2)
    whole = moments(X, Y)
    parts = [moments(X, Y, rows=np.array([i])) for i in (0, 1) for _ in range(5)]
    folds = make_folds(whole, [without(whole, part) for part in parts], parts, True)
    chosen = choose_rank(folds, None, None, 1.0)
    assert np.ptp(chosen.errors) < 1e-12 * np.max(chosen.errors)
    assert chosen.rank == 0


def test_without_folds_there_is_the_mean(rng):
    X, Y, _ = data(rng, n=1)
    total = moments(X, Y)
    assert choose_rank(make_folds(total, [], [], True), None, None, 1.0)[:2] == (0, 0.0)


def test_generalised_cross_validation_by_hand(rng):
    X, Y, _ = data(rng, n=12, p=8, noise=3.0)
    Xc, Yc, m = X - X.mean(0), Y - Y.mean(0), of(X, Y)

    def score(ridge):
        S = Xc @ np.linalg.pinv(Xc.T @ Xc + 12 * ridge * np.eye(8)) @ Xc.T
        return np.sum((Yc - S @ Yc) ** 2) / (1 - (np.trace(S) + 1) / 12) ** 2

    ridges = [0.0, *ridge_grid(m.G)]
    assert gcv_ridge(m, 1.0) == ridges[int(np.argmin([score(r) for r in ridges]))]


def test_coefficients_of_a_source_have_the_rank_of_the_signal(rng):
    X, Y, C = data(rng, n=400)
    f = reduced_rank_ridge(of(X, Y), 1.0)
    assert f.U.shape[1] == 2
    assert np.linalg.norm(f.C - C) < 0.1 * np.linalg.norm(C)
    assert reduced_rank_ridge(of(*data(rng, n=7)[:2]), 1.0).U.shape[1] == 5
