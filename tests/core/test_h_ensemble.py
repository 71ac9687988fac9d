import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from skt.core import h_ensemble as core
from skt.core.h_ensemble import Candidates


def problem(rng, n=18, sizes=(4, 30, 7), C=3):
    codes = np.arange(n) % C
    raw = [rng.normal(size=(n, d)) + rng.normal(size=(C, d))[codes] + 5 for d in sizes]
    features = [core.block(F).of(F) for F in raw]
    return features, core.gram_matrices(features), np.eye(C)[codes], codes


def test_blocks_have_one_size_and_dead_features_count_nothing(rng):
    F = rng.normal(size=(9, 4)) * [1, 10, 0, 3] + 100
    inside = core.block(F).of(F)
    assert_allclose(np.sum(inside**2), 9)
    assert_allclose(inside.mean(axis=0), 0, atol=1e-12)
    assert np.all(core.block(np.full((9, 2), 0.1)).of(np.full((9, 2), 0.3)) == 0)
    assert_allclose(core.block(1e9 * F).of(1e9 * F), inside, atol=1e-6)


@pytest.mark.parametrize("g", [0.1, 1.0, 10.0])
def test_h_weights_are_the_maximum(rng, g):
    _, grams, Y, _ = problem(rng)
    Z = Y - Y.mean(axis=0)
    w = core.h_weights(grams, Z, g, n_steps=5000, tol=1e-12)
    best = minimize(
        lambda v: -core.ridge_h_score(np.exp(v) / np.exp(v).sum(), grams, Z, g), np.zeros(3)
    )
    assert core.ridge_h_score(w, grams, Z, g) >= -best.fun - 1e-6
    assert_allclose(w.sum(), 1)


def test_the_regularised_h_score_is_concave(rng):
    _, grams, Y, _ = problem(rng)
    for _ in range(20):
        v, w = rng.dirichlet(np.ones(3), size=2)
        middle = core.ridge_h_score((v + w) / 2, grams, Y, 0.5)
        ends = core.ridge_h_score(v, grams, Y, 0.5), core.ridge_h_score(w, grams, Y, 0.5)
        assert middle >= sum(ends) / 2 - 1e-10


@pytest.mark.parametrize("sizes", [(4, 30, 7), (2, 3, 1)])
def test_rows_left_out_are_left_out(rng, sizes):
    features, grams, Y, _ = problem(rng, sizes=sizes)
    w, g = np.array([0.5, 0.2, 0.3]), np.array([0.3, 4.0])
    for one in (core.kernel_ridge(features, w), core.kernel_ridge(features, w, grams)):
        left = one.loo(Y, g)
        for i in (0, 7):
            rest = np.arange(len(Y)) != i
            F = np.hstack([np.sqrt(a) * each for a, each in zip(w, features, strict=True)])
            mean = F[rest].mean(axis=0)
            C = F[rest] - mean
            coef = np.linalg.solve(C.T @ C + g[0] * np.eye(F.shape[1]), C.T @ Y[rest])
            wanted = Y[i] - Y[rest].mean(axis=0) - (F[i] - mean) @ coef
            assert_allclose(left[0, i], wanted, atol=1e-9)


def test_one_candidate_is_ridge_regression(rng):
    features, grams, Y, _ = problem(rng)
    w, g = np.array([0.5, 0.2, 0.3]), 0.7
    P = rng.dirichlet(np.ones(3), size=len(Y))
    only = Candidates(w[None], np.array([0.5]), np.array([g]))
    found = core.fit_ensemble(features, Y, P, only, classes=True, grams=grams)
    F = np.hstack([np.sqrt(a) * each for a, each in zip(w, features, strict=True)])
    R = Y - 0.5 * P
    coef = np.linalg.solve(F.T @ F + g * np.eye(F.shape[1]), F.T @ (R - R.mean(axis=0)))
    factor = found.offset / 0.5
    wanted = factor * (0.5 * P + R.mean(axis=0) + F @ coef)
    assert_allclose(core.ensemble_scores(found, features, P), wanted, atol=1e-9)
    assert factor in core.FACTORS


def test_mean_of_candidates_through_features_and_grams(rng):
    features, grams, Y, _ = problem(rng)
    weights = rng.dirichlet(np.ones(3), size=4)
    candidates = Candidates(weights, np.array([0.0]), core.PENALTIES)
    one, other = (
        core.fit_ensemble(features, Y, None, candidates, classes=True, grams=k)
        for k in (grams, None)
    )
    assert_allclose(
        core.ensemble_scores(one, features, None),
        core.ensemble_scores(other, features, None),
        atol=1e-7,
    )
    assert_allclose(one.weights.sum(), 1)
    assert np.isfinite(one.loss)


def test_maximal_correlation_regression_is_ridge_on_indicators(rng):
    """P(y) (1 + f' cov(f)^-1 E[f|y]), f centred."""
    features, _, Y, codes = problem(rng, n=40, sizes=(5,))
    F = features[0]
    scores = np.column_stack(
        [
            np.mean(codes == c)
            * (1 + F @ np.linalg.solve(F.T @ F / len(F), F[codes == c].mean(axis=0)))
            for c in range(3)
        ]
    )
    tiny = Candidates(np.ones((1, 1)), np.zeros(1), np.array([1e-9]))
    found = core.fit_ensemble(features, Y, None, tiny, classes=False)
    assert_allclose(core.ensemble_scores(found, features, None), scores, atol=1e-6)


@pytest.mark.parametrize("positive", [False, True])
def test_trace_ratio_is_the_maximum(rng, positive):
    codes = np.arange(30) % 3
    F = rng.normal(size=(4, 30, 6)) + rng.normal(size=(4, 3, 6))[:, codes]
    B, T = core.scatter(F, codes)
    f = np.tensordot([0.1, 0.2, 0.3, 0.4], F, 1)
    f = f - f.mean(axis=0)
    between = sum(np.mean(codes == c) * np.sum(f[codes == c].mean(axis=0) ** 2) for c in range(3))
    assert_allclose(np.array([0.1, 0.2, 0.3, 0.4]) @ B @ [0.1, 0.2, 0.3, 0.4], between)
    a = core.trace_ratio(B, T, positive=positive)
    assert_allclose(a.sum(), 1)
    ratio = a @ B @ a / (a @ T @ a)
    tried = rng.dirichlet(np.ones(4) / 2, size=2000) if positive else rng.normal(size=(2000, 4))
    rivals = np.einsum("mk,kl,ml->m", tried, B, tried) / np.einsum("mk,kl,ml->m", tried, T, tried)
    assert ratio >= rivals.max() - 1e-9
    assert not positive or np.all(a >= 0)


def test_gain_weights_know_a_useless_source(rng):
    codes = np.arange(60) % 3
    good = rng.normal(size=(60, 5)) + 3 * rng.normal(size=(3, 5))[codes]
    grams = core.gram_matrices([core.block(F).of(F) for F in (good, rng.normal(size=(60, 5)))])
    w = core.gain_weights(grams, np.eye(3)[codes], 2.0)
    assert w[0] > 0.95
    assert_allclose(core.gain_weights(grams, np.eye(3)[codes], 0.0), 0.5)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows_give_finite_scores(rng, n):
    features = [rng.normal(size=(n, 4))]
    features = [core.block(F).of(F) for F in features]
    candidates = Candidates(np.ones((1, 1)), core.OFFSETS, core.PENALTIES)
    found = core.fit_ensemble(
        features, np.eye(3)[:n], np.full((n, 3), 1 / 3), candidates, classes=True
    )
    assert np.isfinite(core.ensemble_scores(found, features, np.full((n, 3), 1 / 3))).all()
    assert np.isnan(found.loss)
