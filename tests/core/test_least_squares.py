import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression, Ridge

from skt.core import least_squares
from skt.core.least_squares import (
    column_scale,
    eigenspectrum,
    loo_residuals,
    mean_eigenvalue,
    objective,
    penalty_grid,
    ridge,
    ridge_path,
    weighted_moments,
)


def data(rng, n=30, p=5, q=2):
    X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) + 2
    return X, X @ rng.normal(size=(p, q)) + rng.normal(size=(n, q))


def centred(A, w=None):
    return A - np.average(A, axis=0, weights=w)


def sums(X, Y):
    return X.T @ X, X.T @ Y, Y.T @ Y


PENALTIES = np.array([1e-3, 0.1, 1.0, 30.0, 1e4])


# Ridge from moments -----------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [1e-6, 0.3, 100.0])
@pytest.mark.parametrize(("n", "p"), [(30, 5), (6, 6), (4, 9), (1, 3)])
def test_ridge_is_scikit_learns(rng, n, p, penalty):
    X, Y = data(rng, n, p)
    theirs = Ridge(penalty, fit_intercept=False, solver="svd").fit(X, Y)
    Sxx, Sxy, _ = sums(X, Y)
    assert_allclose(ridge(Sxx, Sxy, penalty), theirs.coef_.T, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_ridge_minimises_its_objective(rng, penalty):
    X, Y = data(rng)
    Sxx, Sxy, Syy = sums(X, Y)
    W = ridge(Sxx, Sxy, penalty)
    best = objective(W, Sxx, Sxy, Syy, 30, penalty / 30)
    assert_allclose(best, np.sum((Y - X @ W) ** 2) / 30 + penalty / 30 * np.sum(W**2), rtol=1e-9)
    for _ in range(50):
        step = 1e-3 * rng.normal(size=W.shape)
        assert objective(W + step, Sxx, Sxy, Syy, 30, penalty / 30) > best
    gradient = Sxx @ W - Sxy + penalty * W
    assert_allclose(gradient, 0, atol=1e-8 * np.abs(Sxy).max())


@pytest.mark.parametrize(("n", "p"), [(4, 9), (9, 9), (1, 3), (8, 9)])
def test_least_squares_of_wide_data_has_minimum_norm(rng, n, p):
    X, Y = data(rng, n, p)
    X /= np.sqrt(np.sum(X**2, axis=0))
    Sxx, Sxy, _ = sums(X, Y)
    assert_allclose(ridge(Sxx, Sxy), np.linalg.pinv(X) @ Y, rtol=1e-4, atol=1e-6)


def test_least_squares_of_a_duplicated_column_shares_it_evenly(rng):
    X, Y = data(rng)
    X = np.column_stack([X, X[:, 0]])
    W = ridge(*sums(X, Y)[:2])
    assert_allclose(W[0], W[-1], rtol=1e-6)
    assert_allclose(X @ W, X @ LinearRegression(fit_intercept=False).fit(X, Y).coef_.T, rtol=1e-6)


def test_units_of_a_column_do_not_decide_what_is_informed(rng):
    X, Y = data(rng)
    scale = np.array([1e-9, 1e9, 1, 1e-4, 1e5])
    W = ridge(*sums(X, Y)[:2])
    assert_allclose(ridge(*sums(X * scale, Y)[:2]) * scale[:, None], W, rtol=1e-6)


@pytest.mark.parametrize("duplicated", [False, True])
def test_units_do_not_decide_where_some_directions_are_empty(rng, duplicated):
    """Fitted values are the same in any units, also of a design that lacks directions."""
    X, Y = data(rng)
    X[:, 2] = X[:, 1] if duplicated else 0.0
    scale = np.array([1e-9, 1.0, 1.0, 1e-4, 1e5])
    near, far = X @ ridge(*sums(X, Y)[:2]), X * scale @ ridge(*sums(X * scale, Y)[:2])
    assert_allclose(far, near, rtol=1e-5, atol=1e-6)


def test_zero_moments_give_zero_coefficients():
    assert_array_equal(ridge(np.zeros((3, 3)), np.zeros((3, 2))), np.zeros((3, 2)))
    assert_array_equal(ridge(np.zeros((3, 3)), np.zeros((3, 2)), 1.0), np.zeros((3, 2)))


def test_eigenspectrum_restores_its_matrix_and_drops_rounding(rng):
    X, _ = data(rng, 4, 9)
    S = X.T @ X
    s, U = eigenspectrum(S)
    assert len(s) == 4
    assert_allclose((U * s) @ U.T, S, atol=1e-10 * np.abs(S).max())
    assert_allclose(U.T @ U, np.eye(4), atol=1e-12)
    s, U = eigenspectrum(np.zeros((3, 3)))
    assert (len(s), U.shape) == (0, (3, 0))


def test_small_helpers(rng):
    assert_array_equal(column_scale(np.diag([4.0, 0.0])), [2.0, 1.0])
    Sxx, Sxy = rng.normal(size=(3, 4, 4)), rng.normal(size=(3, 4, 2))
    w = np.array([1.0, 0.5, 2.0])
    A, b = weighted_moments(w, Sxx, Sxy)
    assert_allclose(A, Sxx[0] + 0.5 * Sxx[1] + 2 * Sxx[2])
    assert_allclose(b, Sxy[0] + 0.5 * Sxy[1] + 2 * Sxy[2])
    assert mean_eigenvalue(np.diag([2.0, 4.0])) == 3
    assert np.isfinite(loo_residuals(np.ones(2), np.array([0.5, 1.0]))).all()


def test_penalties_are_at_equal_ratios_about_the_level():
    grid = penalty_grid(3.0)
    assert len(grid) == 61
    assert_allclose(grid[[0, 30, -1]], [3e-5, 3.0, 3e5])
    assert_allclose(np.diff(np.log(grid)), np.log(1e10) / 60)
    assert_allclose(penalty_grid(2.0, 3, 0.1, 10.0), [0.2, 2.0, 20.0])
    assert_allclose(penalty_grid(0.0, 3, 0.1, 10.0), [0.1, 1.0, 10.0])  # nothing varies


# The path, and leave-one-out ---------------------------------------------------------------


def left_out(X, Y, penalty, w, intercept):
    """Residuals of the definition: one copy of a row less, fitted again."""
    residuals = np.empty_like(Y)
    for k in range(len(X)):
        less = w.astype(float).copy()
        less[k] -= 1
        model = Ridge(penalty, fit_intercept=intercept, solver="svd", tol=1e-14)
        if less[k] == 0:
            keep = np.arange(len(X)) != k
            model.fit(X[keep], Y[keep], sample_weight=less[keep])
        else:
            model.fit(X, Y, sample_weight=less)
        residuals[k] = Y[k] - model.predict(X[k : k + 1])[0]
    return residuals


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize(("n", "p"), [(20, 4), (6, 6), (7, 6), (5, 12), (3, 1), (2, 3)])
def test_path_and_leave_one_out_are_refits(rng, n, p, intercept, weighted):
    X, Y = data(rng, n, p)
    w = rng.integers(1, 4, size=n) if weighted else np.ones(n)
    A, B = (centred(X, w), centred(Y, w)) if intercept else (X, Y)
    path = ridge_path(A, B, PENALTIES, w.astype(float), intercept=intercept)
    for i, penalty in enumerate(PENALTIES):
        model = Ridge(penalty, fit_intercept=intercept, solver="svd").fit(X, Y, sample_weight=w)
        assert_allclose(path.coef[i], model.coef_.T, rtol=1e-7, atol=1e-9)
        expected = left_out(X, Y, penalty, w, intercept)
        assert_allclose(path.loo_residuals[i], expected, rtol=1e-7, atol=1e-9)
        error = np.average(np.mean(expected**2, axis=1), weights=w)
        assert_allclose(path.loo_error[i], error, rtol=1e-7)


def test_weights_are_copies_of_rows(rng):
    X, Y = data(rng, 12, 4)
    w = rng.integers(1, 4, size=12)
    A, B = centred(X, w), centred(Y, w)
    one = ridge_path(A, B, PENALTIES, w.astype(float), intercept=True)
    again = np.repeat(np.arange(12), w)
    many = ridge_path(A[again], B[again], PENALTIES, np.ones(w.sum()), intercept=True)
    assert_allclose(one.coef, many.coef, rtol=1e-9)
    assert_allclose(one.loo_residuals[:, again], many.loo_residuals, rtol=1e-9)
    assert_allclose(one.loo_error, many.loo_error, rtol=1e-9)
    assert one.best == many.best


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(("n", "p"), [(20, 4), (6, 6), (5, 12), (20, 20), (2, 5)])
def test_path_at_no_penalty_is_minimum_norm_least_squares(rng, n, p, intercept):
    X, Y = data(rng, n, p)
    A, B = (centred(X), centred(Y)) if intercept else (X, Y)
    path = ridge_path(A, B, np.zeros(1), np.ones(n), intercept=intercept)
    assert_allclose(path.coef[0], np.linalg.pinv(A, rcond=1e-10) @ B, rtol=1e-6, atol=1e-8)
    assert np.isfinite(path.loo_residuals).all()


def test_path_of_constant_columns_is_zero_there(rng):
    X, Y = data(rng)
    A = centred(X)
    A[:, 1] = 0
    path = ridge_path(A, centred(Y), np.array([0.0, 1.0]), np.ones(30), intercept=True)
    assert_allclose(path.coef[:, 1], 0, atol=1e-12)
    nothing = ridge_path(np.zeros((5, 2)), Y[:5], np.array([0.0, 1.0]), np.ones(5), intercept=True)
    assert_array_equal(nothing.coef, 0)


def test_the_best_of_a_tie_is_the_largest_penalty():
    path = least_squares.RidgePath(
        np.array([1.0, 2.0, 3.0]), np.zeros((3, 1, 1)), np.ones((3, 4, 1)), np.ones(4), np.ones(3)
    )
    assert path.best == 2


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(("n", "p"), [(20, 4), (6, 12)])
def test_degrees_of_freedom_are_the_trace_of_the_influence(rng, n, p, intercept):
    X, Y = data(rng, n, p)
    A = centred(X) if intercept else X
    path = ridge_path(A, Y, PENALTIES, np.ones(n), intercept=intercept)
    for penalty, df in zip(PENALTIES, path.df, strict=True):
        influence = A @ np.linalg.pinv(A.T @ A + penalty * np.eye(p), rcond=1e-10) @ A.T
        assert_allclose(df, np.trace(influence), rtol=1e-6)


def test_part_of_a_path_with_few_degrees_of_freedom(rng):
    X, Y = data(rng, 6, 12)
    penalties = np.geomspace(1e-4, 1e4, 30)
    path = ridge_path(X, Y, penalties, np.ones(6), intercept=False)
    part = path.using_at_most(4.0)
    kept = path.df <= 4
    assert 0 < kept.sum() < 30
    assert_array_equal(part.penalties, penalties[kept])
    assert_array_equal(part.loo_error, path.loo_error[kept])
    assert_array_equal(path.using_at_most(-1.0).penalties, penalties[-1:])


def test_path_coefficients_shrink_monotonically(rng):
    X, Y = data(rng)
    path = ridge_path(
        centred(X), centred(Y), np.geomspace(1e-4, 1e6, 30), np.ones(30), intercept=True
    )
    assert np.all(np.diff(np.sum(path.coef**2, axis=(1, 2))) < 0)
