from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV

from skt.core import l2sp, l2sp_surface, l2sp_theory, random_effects, variance_search
from skt.core.l2sp import (
    implied_penalties,
    objective,
    residuals_left_out,
    source_of_coefficients,
    source_of_moments,
    target_of_rows,
)
from skt.core.l2sp_surface import best_scales, loo_surface
from skt.core.uowq import Problem

SHAPES = [(30, 6), (12, 25), (7, 7)]


def data(rng, n, p, q=1):
    X = rng.normal(size=(n, p)) @ (np.eye(p) + 0.3 * rng.normal(size=(p, p))) + 2
    return X, X @ rng.normal(size=(p, q)) + rng.normal(size=(n, q)) + 5


def centred(A, w):
    return A - np.average(A, axis=0, weights=w)


def source_of(rng, n, p, q=1, intercept=True):
    X, Y = data(rng, n, p, q)
    if intercept:
        X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
    return source_of_moments(n, X.T @ X, X.T @ Y, Y.T @ Y, intercept=intercept), X, Y


def task_of(rng, n, p, q=1, weight=None, intercept=True):
    X, Y = data(rng, n, p, q)
    w = np.ones(n) if weight is None else weight
    Z, V = (centred(X, w), centred(Y, w)) if intercept else (X, Y)
    return X, Y, w, target_of_rows(Z, V, w, intercept=intercept), Z, V


# The minimiser --------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [1e-3, 0.4, 30.0])
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_coef_minimises_the_objective(rng, n, p, alpha):
    w = rng.uniform(0.5, 3, n)
    *_, target, Z, V = task_of(rng, n, p, 2, w)
    centre = rng.normal(size=(p, 2))
    W = target.coef(alpha, centre)
    best = objective(W, Z, V, w, alpha, centre)
    gradient = -2 * Z.T @ (w[:, None] * (V - Z @ W)) / w.sum() + 2 * alpha * (W - centre)
    assert_allclose(gradient, 0, atol=1e-10 * np.abs(Z.T @ V).max())
    for _ in range(20):
        assert objective(W + 1e-3 * rng.normal(size=W.shape), Z, V, w, alpha, centre) > best


def test_coef_agrees_with_a_general_minimiser(rng):
    *_, target, Z, V = task_of(rng, 15, 4)
    centre, w = rng.normal(size=(4, 1)), np.ones(15)
    end = minimize(lambda b: objective(b[:, None], Z, V, w, 0.3, centre), np.zeros(4), tol=1e-12)
    assert_allclose(target.coef(0.3, centre)[:, 0], end.x, atol=1e-5)


@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_limits_of_alpha(rng, n, p):
    *_, target, Z, V = task_of(rng, n, p)
    centre = rng.normal(size=(p, 1))
    assert_allclose(target.coef(np.inf, centre), centre)
    assert_allclose(target.coef(1e9, centre), centre, atol=1e-5)
    zero = target.coef(0.0, centre)
    assert_allclose(target.coef(1e-13, centre), zero, atol=1e-5)
    # At zero the data decide in the span of the rows, the centre outside of it.
    least = np.linalg.lstsq(Z, V - Z @ centre, rcond=None)[0]
    assert_allclose(zero, centre + least, atol=1e-8)


def test_objective_at_an_infinite_penalty_is_finite_at_the_centre(rng):
    *_, Z, V = task_of(rng, 9, 3)
    centre = np.ones((3, 1))
    assert np.isfinite(objective(centre, Z, V, np.ones(9), np.inf, centre))
    assert objective(centre + 1, Z, V, np.ones(9), np.inf, centre) == np.inf


# Sources --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_source_path_is_scikit_learns_ridge(rng, n, p):
    source, X, Y = source_of(rng, n, p, 2)
    taus = np.array([0.0, 0.01, 3.0, np.inf])
    path = source.coef(taus)
    for tau, coef in zip(taus[1:3], path[1:3], strict=True):
        theirs = Ridge(n * tau, fit_intercept=False, solver="svd").fit(X, Y)
        assert_allclose(coef, theirs.coef_.T, rtol=1e-7, atol=1e-8)
    theirs = LinearRegression(fit_intercept=False).fit(X, Y)
    assert_allclose(path[0], theirs.coef_.T, rtol=1e-5, atol=1e-6)
    assert_allclose(path[3], 0)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(("n", "p"), [(30, 6), (12, 25)])
def test_validation_error_of_a_source_is_generalised_cross_validation(rng, n, p, intercept):
    source, X, Y = source_of(rng, n, p, 2, intercept)
    for tau in (0.1, 2.0):
        H = X @ np.linalg.solve(X.T @ X + n * tau * np.eye(p), X.T)
        residual = np.sum((Y - H @ Y) ** 2) / n
        wanted = residual / (1 - (np.trace(H) + intercept) / n) ** 2
        assert_allclose(source.validation_error(np.array([tau])), wanted, rtol=1e-8)


def test_own_penalty_is_the_least_validation_error(rng):
    source, *_ = source_of(rng, 40, 8)
    own = source.own_penalty()
    around = own * np.exp(np.linspace(-3, 3, 101))
    assert source.validation_error(np.array([own])) <= source.validation_error(around).min() + 1e-9


def test_coefficients_as_a_source_do_not_depend_on_a_penalty(rng):
    coef = rng.normal(size=(5, 2))
    source = source_of_coefficients(coef)
    assert_allclose(source.coef(np.array([0.0, np.nan, np.inf])), np.repeat(coef[None], 3, axis=0))
    assert np.isnan(source.own_penalty())


# Leave-one-out --------------------------------------------------------------------------------


def refitted(X, Y, w, alpha, centre, intercept):
    """Errors of rows left out one by one, the total penalty held fixed."""
    n, errors = len(X), []
    for i in range(n):
        kept = np.arange(n) != i
        v = w.copy()
        v[i] -= min(w[i], 1.0)
        rows = kept | (v > 0)
        u = v[rows]
        mean_x = np.average(X[rows], axis=0, weights=u) if intercept else 0.0
        mean_y = np.average(Y[rows], axis=0, weights=u) if intercept else 0.0
        part = target_of_rows(X[rows] - mean_x, Y[rows] - mean_y, u, intercept=intercept)
        W = part.coef(alpha * w.sum() / u.sum(), centre)
        errors.append(Y[i] - mean_y - (X[i] - mean_x) @ W)
    return np.array(errors)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("alpha", [1e-6, 0.02, 5.0, np.inf])
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_leave_one_out_is_refitting(rng, n, p, alpha, weighted, intercept):
    w = rng.choice([0.4, 1.0, 2.0, 3.5], n) if weighted else np.ones(n)
    X, Y, w, target, _, _ = task_of(rng, n, p, 2, w, intercept)
    source, *_ = source_of(rng, 20, p, 2)
    centre = 0.7 * source.coef(np.array([0.1]))[0]
    residuals = residuals_left_out(target, alpha) - residuals_left_out(
        target, alpha, target.sigma[:, None] * (target.V.T @ centre)
    )
    wanted = refitted(X, Y, w, alpha, centre, intercept)
    assert_allclose(residuals, wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.parametrize("alpha", [0.0, 1e-9])
def test_leave_one_out_of_rows_that_are_matched_exactly_is_the_limit(rng, alpha):
    X, Y, w, target, _, _ = task_of(rng, 8, 30)
    wanted = refitted(X, Y, w, 0.0, np.zeros((30, 1)), True)
    assert_allclose(residuals_left_out(target, alpha), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_without_sources_the_curve_is_ridge_cvs(rng, n, p):
    X, Y, _, target, _, _ = task_of(rng, n, p)
    alphas = target.grid()
    theirs = RidgeCV(n * alphas, store_cv_results=True).fit(X, Y[:, 0])
    assert_allclose(l2sp.loo_curves(target, alphas)[0], theirs.cv_results_.mean(axis=0), rtol=1e-6)
    assert_allclose(alphas[np.argmin(l2sp.loo_curves(target, alphas)[0])] * n, theirs.alpha_)


# Surfaces -------------------------------------------------------------------------------------


@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_surface_is_the_error_of_the_residuals(rng, n, p, K):
    w = rng.uniform(0.5, 2, n)
    target = task_of(rng, n, p, 2, w)[3]
    sources = [source_of(rng, 20, p, 2)[0] for _ in range(K)]
    alphas, taus = np.array([0.0, 0.01, 1.0, np.inf]), np.array([[0.1] * K, [2.0] * K])
    surface = loo_surface(target, sources, alphas, taus)
    scales = rng.normal(size=(4, 2, K))
    for m, alpha in enumerate(alphas):
        for t in range(2):
            centre = sum(
                c * s.coef(tau[None])[0]
                for c, s, tau in zip(scales[m, t], sources, taus[t], strict=True)
            )
            e = residuals_left_out(target, alpha)
            e = e - residuals_left_out(target, alpha, target.sigma[:, None] * (target.V.T @ centre))
            wanted = np.mean(np.average(e**2, axis=0, weights=w))
            assert_allclose(surface.error(scales)[m, t], wanted, rtol=1e-8)


@pytest.mark.parametrize("total", [None, 1.0, 0.6, -1.0])
@pytest.mark.parametrize("K", [1, 2, 4])
def test_scales_are_the_best_there_are(rng, K, total):
    target = task_of(rng, 12, 6)[3]
    sources = [source_of(rng, 20, 6)[0] for _ in range(K)]
    surface = loo_surface(target, sources, np.array([0.1, 3.0]), np.full((2, K), 0.2))
    scales = best_scales(surface, total)
    if total is not None:
        assert_allclose(scales.sum(axis=2), total)
    if K > 1:
        assert np.all(scales * (1 if total is None else np.sign(total)) >= -1e-12)

    def criterion(c):
        error = surface.error(c)
        if K > 1 and total is None:  # the prior of their sum, in units of the noise
            noise = surface.null.min() / 12
            error = (
                error + noise * K * np.sum((c - 1 / K) ** 2, axis=2) / l2sp_surface.SUM_SPREAD**2
            )
        return error

    least = criterion(scales)
    for _ in range(200):
        other = np.abs(rng.normal(size=scales.shape)) * 10 ** rng.uniform(-2, 1)
        if total is not None:
            other *= total / other.sum(axis=2, keepdims=True)
        assert np.all(criterion(other) >= least * (1 - 1e-9))


def test_one_source_may_be_turned_round(rng):
    target = task_of(rng, 40, 5)[3]
    mirrored = source_of_coefficients(-2 * target.coef(0.0, np.zeros((5, 1))))
    surface = loo_surface(target, [mirrored], np.array([1.0]), np.array([[np.nan]]))
    assert_allclose(best_scales(surface, None), -0.5, atol=0.1)


def test_a_source_without_signal_changes_nothing(rng):
    target = task_of(rng, 20, 5)[3]
    zero = source_of_coefficients(np.zeros((5, 1)))
    for sources in ([zero], [zero, zero]):
        K = len(sources)
        surface = loo_surface(target, sources, target.grid(), np.full((1, K), np.nan))
        parts = np.array_split(np.arange(20), 4)
        chosen, _ = l2sp_surface.choose_by_loo(surface, target, sources, np.zeros(K), None, parts)
        assert_allclose(chosen.coef, target.coef(chosen.alpha, np.zeros((5, 1))))
        assert chosen.risk == pytest.approx(chosen.target_risk)
        assert_allclose(surface.error(best_scales(surface, None))[:, 0], surface.null)


@pytest.mark.parametrize("K", [1, 2])
def test_parts_of_the_rows_sum_to_the_surface(rng, K):
    target = task_of(rng, 20, 6, 2, rng.uniform(0.5, 2, 20))[3]
    sources = [source_of(rng, 20, 6, 2)[0] for _ in range(K)]
    given = target, sources, np.array([0.1, 3.0]), np.array([[0.1] * K, [2.0] * K, [5.0] * K])
    whole, (one, other) = (
        loo_surface(*given),
        l2sp_surface.loo_parts(*given, [np.arange(8), np.arange(8, 20)]),
    )
    for name in ("null", "cross", "gram", "n"):
        assert_allclose(getattr(one.plus(other, 1), name), getattr(whole, name), rtol=1e-12)
        assert_allclose(getattr(whole.plus(other, -1), name), getattr(one, name), atol=1e-12)


def test_the_gain_is_that_of_choosing_without_the_rows_it_is_judged_on(rng):
    X, Y, _, target, _, _ = task_of(rng, 18, 6)
    source, *_ = source_of(rng, 20, 6)
    surface = loo_surface(target, [source], target.grid(), source.grid()[:, None])
    parts = l2sp_surface.deal(X, Y, 3)
    wanted = 0.0
    alphas, taus = target.grid()[::2], source.grid()[::3]
    for test in parts:
        train = np.setdiff1d(np.arange(18), test)
        alone, shared = [], []
        for alpha in alphas:
            e = residuals_left_out(target, alpha)[:, 0]
            alone.append((np.sum(e[train] ** 2), np.sum(e[test] ** 2)))
            for tau in taus:
                fit = target.sigma[:, None] * (target.V.T @ source.coef(np.array([tau]))[0])
                E = residuals_left_out(target, alpha, fit)[:, 0]
                r = e - (E[train] @ e[train]) / (E[train] @ E[train]) * E
                shared.append((np.sum(r[train] ** 2), np.sum(r[test] ** 2)))
        wanted += (min(alone)[1] - min(shared)[1]) / 18
    assert l2sp_surface.validated_gain(target, [source], surface, None, parts) == pytest.approx(
        wanted
    )


def test_equal_rows_share_a_part_and_units_do_not_matter(rng):
    X, Y = rng.normal(size=(23, 2)), rng.normal(size=(23, 1))
    parts = l2sp_surface.deal(np.vstack([X, X]), np.vstack([Y, Y]), 4)
    assert sorted(np.concatenate(parts)) == list(range(46))
    for part in parts:
        assert set(part % 23) == set(part[part < 23])
    order = rng.permutation(23)
    moved = l2sp_surface.deal(X[order], -3 * Y[order], 4)
    assert [set(order[part]) for part in moved] == [set(p) for p in l2sp_surface.deal(X, Y, 4)]
    assert len(l2sp_surface.deal(X[:2], Y[:2])) == 2


def test_transfer_optimal_penalty_is_the_theorys_at_the_estimates(rng):
    source, *_ = source_of(rng, 12, 30)
    s = np.append(source.s / source.n, np.zeros(30 - len(source.s)))
    wanted = l2sp_theory.transfer_optimal_penalty(l2sp_theory.empirical(s), 0.5, 0.3)
    assert l2sp.penalty_for_transfer(source, 0.5, 0.3, 1.0) == wanted
    assert l2sp.penalty_for_transfer(source, 0.5, 0.3, None) == 0.3
    assert l2sp.penalty_for_transfer(source, -0.5, 0.3, 1.0) == np.inf


# The joint fit --------------------------------------------------------------------------------


def two_domains(rng, n1=15, n0=40, p=10):
    w0 = rng.normal(size=(p, 1))
    sums, rows = [], []
    for n, W in ((n1, 0.7 * w0), (n0, w0)):
        X = rng.normal(size=(n, p))
        Y = X @ W + 0.5 * rng.normal(size=(n, 1))
        X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
        rows.append((X, Y))
        sums.append((float(n), X.T @ X, X.T @ Y, Y.T @ Y))
    return Problem(*(np.array(s) for s in zip(*sums, strict=True)), *rows[0], np.ones(n1), True)


def test_joint_fit_with_a_source_known_exactly_is_l2_sp_at_the_implied_penalties(rng):
    task = two_domains(rng)
    known = rng.normal(size=(10, 1))
    n = np.array([15.0, 1e9])
    exact = n[1] * np.eye(10)
    task = replace(
        task,
        n=n,
        Sxx=np.array([task.Sxx[0], exact]),
        Sxy=np.array([task.Sxy[0], exact @ known]),
        Syy=np.array([task.Syy[0], known.T @ exact @ known + n[1]]),
    )
    effects = random_effects.Effects(0.8, np.array([0.2, 0.3]), np.array([1.0, -1.4]), np.ones(2))
    domains = random_effects.decompose(task.rows, task.Sxx, task.Sxy, task.Syy)
    inverse, scales, alignment = implied_penalties(effects, task.n)
    target = target_of_rows(task.X, task.Y, task.weight, intercept=True)
    joint = random_effects.predict_target(random_effects.Latent(domains, effects)).coef
    assert_allclose(joint, target.coef(1 / inverse[0], scales[0] * known), atol=1e-6)
    # With one source, its scale given all of it is its alignment.
    assert_allclose(scales, alignment)


def test_implied_scales_are_regressions_on_the_sources_coefficients(rng):
    pi, own, tau, rho = 0.8, 0.4, np.array([0.3, 2.0]), np.array([1.2, -0.5])
    effects = random_effects.Effects(
        pi, np.append(own, tau), np.append(1.0, rho), np.array([1.0, 2.0, 0.5])
    )
    inverse, scales, _ = implied_penalties(effects, np.array([10.0, 20.0, 30.0]))
    W = np.outer(rho, rho) / pi + np.diag(tau)
    assert_allclose(scales, np.linalg.solve(W, rho / pi))
    left = own + 1 / pi - rho / pi @ np.linalg.solve(W, rho / pi)
    assert_allclose(inverse[0], 10 * left)
    assert_allclose(inverse[1:], np.array([20.0, 30.0]) * np.diag(W) / np.array([2.0, 0.5]))


def test_leave_one_out_of_the_joint_fit_is_refitting_at_its_variances(rng, monkeypatch):
    task = two_domains(rng)
    domains = random_effects.decompose(task.rows, task.Sxx, task.Sxy, task.Syy)
    model = variance_search.fit_effects(domains, scaled=True)
    monkeypatch.setattr(variance_search, "fit_models", lambda domains: [model])
    chosen, loo = l2sp.mixed_model(task)
    effects = model.effects
    for i in range(15):
        kept = np.arange(15) != i
        X, Y = task.X[kept], task.Y[kept]
        mean_x, mean_y = X.mean(axis=0), Y.mean(axis=0)
        X, Y = X - mean_x, Y - mean_y
        part = random_effects.decompose(
            task.rows - [1, 0],
            np.array([X.T @ X, task.Sxx[1]]),
            np.array([X.T @ Y, task.Sxy[1]]),
            np.array([Y.T @ Y, task.Syy[1]]),
        )
        W = random_effects.predict_target(random_effects.Latent(part, effects)).coef
        assert_allclose(loo[i], task.Y[i] - mean_y - (task.X[i] - mean_x) @ W, rtol=1e-8)
    assert chosen.converged


def test_the_stack_is_between_its_parts_and_takes_the_better_where_it_is_clear(rng):
    task = two_domains(rng, n1=40)
    target = target_of_rows(task.X, task.Y, task.weight, intercept=True)
    chosen, loo = l2sp.mixed_model(task)
    alphas = target.grid()
    path = target, alphas, l2sp.loo_curves(target, alphas)[0]
    stacked, left_out = l2sp.stack(chosen, loo, *path)
    assert stacked.weight > 0.5
    error = l2sp.mean_square(target, left_out)
    assert_allclose(error, np.mean(left_out**2))
    assert error <= min(l2sp.mean_square(target, loo), l2sp.loo_curves(target, target.grid()).min())
    bad, _ = l2sp.stack(chosen._replace(coef=chosen.coef - 100), loo + 100 * task.X[:, :1], *path)
    assert bad.weight < 0.01
    assert bad.risk <= max(chosen.risk, chosen.target_risk)
    same, _ = l2sp.stack(chosen, residuals_left_out(target, 1.0), *path)
    assert 0 <= same.weight <= 1
