import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf, ledoit_wolf_shrinkage
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from skt.core import transferability as t


def data(n=40, d=5, C=3, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(n) % C)
    F = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 2 * rng.normal(size=(C, d))[codes]
    return F, codes


SHAPES = pytest.mark.parametrize(("n", "d"), [(40, 5), (12, 30), (9, 9)])


def covariances(F, codes):
    """Covariance of the features and of their class means, by definition."""
    means = np.array([F[codes == c].mean(axis=0) for c in codes])
    return np.cov(F.T, bias=True), np.cov(means.T, bias=True)


# H-score ----------------------------------------------------------------------------------


@SHAPES
def test_h_score_is_its_definition(n, d):
    F, codes = data(n, d)
    S, B = covariances(F, codes)
    assert_allclose(t.h_score(F, codes), np.trace(np.linalg.pinv(S, rcond=1e-10) @ B), rtol=1e-6)


def test_h_score_by_hand():
    F, codes = np.array([[0.0], [2.0], [4.0], [6.0]]), np.array([0, 0, 1, 1])
    assert_allclose(t.h_score(F, codes), 4 / 5)  # means 1 and 5: variance 4; of all rows 5


def test_h_score_does_not_depend_on_the_coordinates():
    F, codes = data()
    A = np.random.default_rng(1).normal(size=(5, 5))
    moved = (F @ A) * np.array([1e-6, 1.0, 1e5, 1.0, 1.0]) - 7
    assert_allclose(t.h_score(moved, codes), t.h_score(F, codes), rtol=1e-5)
    twice = np.hstack([F, F, np.full((len(F), 2), 3.3)])
    assert_allclose(t.h_score(twice, codes), t.h_score(F, codes))


def test_h_score_saturates_with_more_features_than_rows():
    F, codes = data(12, 30)
    assert_allclose(t.h_score(np.random.default_rng(0).normal(size=F.shape), codes), 2.0)


@SHAPES
def test_shrinkage_weight_is_that_of_scikit_learn(n, d):
    F = t.centred(data(n, d)[0])
    assert_allclose(t.shrinkage_weight(F, t.gram(F)), ledoit_wolf_shrinkage(F))


@SHAPES
def test_shrunk_h_score_is_its_definition(n, d):
    F, codes = data(n, d)
    S, r = ledoit_wolf(F)
    B = covariances(F, codes)[1]
    expected = (1 - r) * np.trace(np.linalg.solve(S, B))
    assert_allclose(t.shrunk_h_score(F, codes), expected, rtol=1e-8)


@pytest.mark.parametrize("score", [t.h_score, t.shrunk_h_score])
def test_features_that_are_constant_score_nothing(score):
    assert score(np.full((6, 3), 0.1), np.arange(6) % 2) == 0


def test_identical_features_of_unit_variance_need_no_shrinkage():
    F = np.array([[1.0], [-1.0], [1.0], [-1.0]])
    codes = np.array([0, 1, 0, 1])
    assert t.shrunk_h_score(F, codes) in (0.0, 1.0)


# LogME ------------------------------------------------------------------------------------


def evidence(a, b, F, y):
    """Log of the Gaussian density of y, w integrated out, by definition."""
    covariance = np.eye(len(y)) / b + F @ F.T / a
    return multivariate_normal(np.zeros(len(y)), covariance).logpdf(y)


def best_evidence(F, y):
    starts = [(i, j) for i in (-3.0, 3.0) for j in (0.0, 3.0)]
    options = {"xatol": 1e-6, "fatol": 1e-9, "maxiter": 1000}
    bounds = [(-20.0, 20.0)] * 2
    found = [
        minimize(
            lambda u: -evidence(*np.exp(u), F, y),
            start,
            method="Nelder-Mead",
            bounds=bounds,
            options=options,
        )
        for start in starts
    ]
    return -min(result.fun for result in found) / len(y)


@pytest.mark.parametrize(("n", "d"), [(30, 4), (10, 25)])
def test_logme_is_the_numerical_maximum_of_the_evidence(n, d):
    F, codes = data(n, d)
    Y = t.one_hot(codes)
    assert_allclose(t.logme(F, Y), np.mean([best_evidence(F, y) for y in Y.T]), rtol=1e-6)


def test_logme_of_numbers_is_the_maximum_too():
    rng = np.random.default_rng(3)
    F = rng.normal(size=(25, 3))
    y = F @ [1.0, -2.0, 0.0] + rng.normal(size=25)
    assert_allclose(t.logme(F, y[:, None]), best_evidence(F, y), rtol=1e-6)


@SHAPES
def test_log_evidence_is_its_definition(n, d):
    F, codes = data(n, d)
    y = t.one_hot(codes)[:, :1]
    s, x = t.coordinates(F, y)
    rest = np.sum(y**2) - np.sum(x**2, axis=0)
    for penalty in (0.1, 5.0):
        R = rest + np.sum(x**2 * penalty / (s[:, None] + penalty), axis=0)
        b = float(n / R[0])
        expected = evidence(penalty * b, b, F, y[:, 0])
        assert_allclose(t.log_evidence(np.array([penalty]), s, x, rest, n), expected, rtol=1e-8)


def test_directions_that_do_not_exist_do_not_count():
    F, codes = data(12, 30)
    wider = np.hstack([F, np.zeros((12, 100))])
    Y = t.one_hot(codes)
    assert_allclose(t.logme(wider, Y), t.logme(F, Y))


def test_logme_turns_with_the_features_and_does_not_mind_their_unit():
    F, codes = data()
    Y = t.one_hot(codes)
    Q = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0]
    assert_allclose(t.logme(1e4 * F @ Q, Y), t.logme(F, Y), rtol=1e-6)


def test_useless_features_have_the_evidence_of_noise():
    F = np.zeros((6, 2))
    y = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])[:, None]
    assert_allclose(t.logme(F, y), -(np.log(2 * np.pi) + 1) / 2)
    F[:, 0] = [1, 1, -1, -1, 0, 0]  # orthogonal to y
    assert_allclose(t.logme(F, y), -(np.log(2 * np.pi) + 1) / 2)


def test_exact_outcome_has_a_large_and_finite_evidence():
    F = np.random.default_rng(0).normal(size=(20, 3))
    assert 10 < t.logme(F, F[:, :1]) < 20


# Predictions ------------------------------------------------------------------------------


def test_leep_by_hand():
    theta = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    codes = np.array([0, 1, 1])
    # P(0 | z) = .8/1.5, .2/1.5; P(1 | z) = .7/1.5, 1.3/1.5
    likelihood = [
        (0.8 * 0.8 + 0.2 * 0.2) / 1.5,
        (0.6 * 0.7 + 0.4 * 1.3) / 1.5,
        (0.1 * 0.7 + 0.9 * 1.3) / 1.5,
    ]
    assert_allclose(t.leep(theta, codes), np.mean(np.log(likelihood)))


def test_classes_that_the_source_never_says_do_not_count():
    theta = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    codes = np.array([0, 1, 1])
    wider = np.insert(theta, 1, 0.0, axis=1)
    assert_allclose(t.leep(wider, codes), t.leep(theta, codes))


def test_nce_is_minus_the_conditional_entropy():
    source, codes = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0])
    joint = np.array([[2, 1], [0, 2], [1, 0]]) / 6
    conditional = joint / joint.sum(axis=1, keepdims=True)
    expected = sum(
        j * np.log(c) for j, c in zip(joint.ravel(), conditional.ravel(), strict=True) if j
    )
    assert_allclose(t.nce(source, codes), expected)


# Spread of classes ------------------------------------------------------------------------


def test_gbc_by_hand():
    F, codes = np.array([[0.0], [2.0], [9.0], [15.0]]), np.array([0, 0, 1, 1])
    # means 1, 12; variances 1, 9; their mean 5
    distance = 11**2 / 5 / 8 + np.log(5 / np.sqrt(9)) / 2
    assert_allclose(t.gbc(F, codes), -2 * np.exp(-distance))


def test_class_of_one_row_takes_the_pooled_variance():
    F, codes = np.array([[0.0], [2.0], [9.0]]), np.array([0, 0, 1])
    pooled = (2 * 1.0 + 0.0) / 3
    assert_allclose(t.class_moments(F, codes)[1], [[1.0], [pooled]])
    alone = t.class_moments(np.array([[0.0], [2.0]]), np.array([0, 1]))[1]
    assert_allclose(alone, [[1.0], [1.0]])  # no class has two rows: the variance of all


def test_gbc_is_finite_where_a_feature_is_constant_in_a_class():
    F = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 2.0], [1.0, 5.0]])
    assert np.isfinite(t.gbc(F, np.array([0, 0, 1, 1])))
    assert np.isfinite(t.gbc(np.zeros((4, 2)), np.array([0, 0, 1, 1])))


@SHAPES
def test_transrate_is_its_definition(n, d):
    F, codes = data(n, d)

    def rate(Z):
        return np.linalg.slogdet(np.eye(d) + Z.T @ Z / (len(Z) * 1e-2))[1] / 2

    Z = F - F.mean(axis=0)
    shares = np.bincount(codes) / n
    expected = rate(Z) - sum(p * rate(Z[codes == c]) for c, p in enumerate(shares))
    assert_allclose(t.transrate(F, codes, 1e-2), expected)


def test_transrate_is_blind_to_two_opposite_classes():
    F = np.array([[1.0], [3.0], [-1.0], [-3.0]])
    assert_allclose(t.transrate(F, np.array([0, 0, 1, 1]), 1e-4), 0, atol=1e-12)


# Leave-one-out ----------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d"), [(20, 5), (12, 30), (9, 9)])
def test_loo_ridge_is_the_best_of_explicit_leave_one_out(n, d):
    F, codes = data(n, d)
    Y = t.one_hot(codes)
    Z = t.unit_columns(F)
    level = np.mean(t.left_vectors(Z)[0])

    def error(model):
        return np.sum((Y - cross_val_predict(model, Z, Y, cv=LeaveOneOut())) ** 2)

    # The scale of features is that of all rows, in scikit-learn's fits too.
    grid = t.penalty_grid(level, size=31)
    least = min(error(Ridge(a, solver="svd")) for a in grid)
    assert_allclose(t.loo_ridge(F, Y), 1 - least / error(Ridge(1e15)), rtol=1e-6)


def test_loo_ridge_at_one_penalty(monkeypatch):
    F, codes = data()
    Y = t.one_hot(codes)
    monkeypatch.setattr(t, "penalty_grid", lambda level, size: np.array([3.0]))
    predicted = cross_val_predict(Ridge(3.0), t.unit_columns(F), Y, cv=LeaveOneOut())
    mean = (Y.sum(axis=0) - Y) / (len(Y) - 1)
    expected = 1 - np.sum((Y - predicted) ** 2) / np.sum((Y - mean) ** 2)
    assert_allclose(t.loo_ridge(F, Y), expected)


def test_loo_ridge_of_noise_is_hardly_above_nothing():
    rng = np.random.default_rng(0)
    found = [t.loo_ridge(rng.normal(size=(40, 5)), rng.normal(size=(40, 1))) for _ in range(30)]
    assert min(found) >= 0
    assert np.mean(found) < 0.05
    assert t.loo_ridge(np.ones((5, 2)), rng.normal(size=(5, 1))) == 0


# HASTE ------------------------------------------------------------------------------------


def test_distance_from_the_source_by_hand():
    F = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    source = np.array([[5.0, 0.0], [1.0, 1.0], [-1.0, 0.0]])
    root = np.sqrt(0.5)
    assert_allclose(t.unlike_source(F, source, 1), [0, 1 - root, 1])
    assert_allclose(t.unlike_source(F, source, 2), [(1 - root) / 2, 1 - root / 2, 1])
    assert_allclose(t.unlike_source(F, source, 9), t.unlike_source(F, source, 3))


@SHAPES
def test_distance_from_the_class_is_that_of_mahalanobis(n, d):
    F, codes = data(n, d)
    W = F - np.array([F[codes == c].mean(axis=0) for c in codes])
    S = ledoit_wolf(W, assume_centered=True)[0]
    expected = np.sqrt(np.sum(W * np.linalg.solve(S, W.T).T, axis=1))
    assert_allclose(t.unlike_class(F, codes), expected, rtol=1e-8)


def test_classes_of_one_row_are_not_hard():
    F = np.random.default_rng(0).normal(size=(3, 2))
    assert_array_equal(t.unlike_class(F, np.arange(3)), 0)


def test_hardest_rows_of_every_class():
    hardness = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 9.0, 0.0])
    codes = np.array([0, 0, 0, 0, 0, 1, 2])
    assert_array_equal(t.hardest(hardness, codes, 0.6), [0, 1, 2, 5, 6])
    assert_array_equal(t.hardest(hardness, codes, 0.01), [0, 1, 5, 6])
    assert_array_equal(t.hardest(hardness, codes, 1.0), np.arange(7))
