import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from skt.core import families, glm
from skt.core.families import LOGISTIC, POISSON


def classes(rng, n=60, p=4, C=2):
    X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) + 3
    codes = np.argmax(X @ rng.normal(size=(p, C)) + rng.gumbel(size=(n, C)), axis=1)
    codes[:C] = np.arange(C)
    return X, codes


def counts(rng, n=60, p=4):
    X = rng.normal(size=(n, p)) + 1
    return X, rng.poisson(np.exp(0.3 * X @ rng.normal(size=p))).astype(float)


def responses(rng, case, n=60, p=4):
    """A family with X and Y."""
    if case == "poisson":
        X, y = counts(rng, n, p)
        return POISSON, X, y[:, None]
    C = {"two": 2, "four": 4}[case]
    X, codes = classes(rng, n, p, C)
    return LOGISTIC, X, families.indicators(codes, C)


CASES = ["two", "four", "poisson"]


@pytest.mark.parametrize("case", CASES)
def test_mean_and_variance_are_derivatives_of_the_loss(rng, case):
    family, _, Y = responses(rng, case, n=5)
    eta, h = rng.normal(size=Y.shape), 1e-6
    for c in range(Y.shape[1]):
        step = h * np.eye(Y.shape[1])[c]
        slope = (family.loss(eta + step, Y) - family.loss(eta - step, Y)) / (2 * h)
        assert_allclose(slope, (family.mean(eta) - Y)[:, c], atol=1e-8)
        slope = (family.mean(eta + step) - family.mean(eta - step)) / (2 * h)
        assert_allclose(slope, family.variance(eta)[:, c], atol=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_link_inverts_the_mean(rng, case):
    family, _, Y = responses(rng, case)
    eta = family.link(Y.mean(axis=0))
    assert_allclose(family.mean(eta[None])[0], Y.mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("C", [2, 3, 5])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(("n", "p"), [(60, 4), (20, 30)])
def test_logistic_is_scikit_learns(rng, C, intercept, n, p):
    X, codes = classes(rng, n, p, C)
    alpha, weight = 0.02, rng.integers(1, 4, n).astype(float)
    theirs = LogisticRegression(
        C=1 / (2 * weight.sum() * alpha), fit_intercept=intercept, tol=1e-10, max_iter=100_000
    ).fit(X, codes, sample_weight=weight)
    ours = glm.fit(
        LOGISTIC, X, families.indicators(codes, C), alpha=alpha, weight=weight, intercept=intercept
    )
    assert ours.converged
    assert_allclose(ours.coef, theirs.coef_.T, atol=2e-5)
    level = theirs.intercept_ - theirs.intercept_.mean() * (C > 2)
    assert_allclose(ours.intercept - ours.intercept.mean() * (C > 2), level, atol=2e-3)


@pytest.mark.parametrize("intercept", [True, False])
def test_poisson_is_scikit_learns(rng, intercept):
    X, y = counts(rng)
    weight = rng.uniform(0.5, 2, len(y))
    theirs = PoissonRegressor(alpha=0.06, fit_intercept=intercept, tol=1e-10, max_iter=10_000).fit(
        X, y, sample_weight=weight
    )
    ours = glm.fit(POISSON, X, y[:, None], alpha=0.03, weight=weight, intercept=intercept)
    assert ours.converged
    assert_allclose(ours.coef[:, 0], theirs.coef_, atol=1e-6)
    assert_allclose(ours.intercept, theirs.intercept_, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(("n", "p"), [(60, 4), (12, 30)])
def test_fit_is_stationary_and_cannot_be_improved(rng, case, intercept, n, p):
    family, X, Y = responses(rng, case, n, p)
    given = {
        "alpha": 0.05,
        "weight": rng.uniform(0.5, 2, n),
        "centre": 0.3 * rng.normal(size=(p, Y.shape[1])),
        "offset": rng.normal(size=Y.shape),
    }
    found = glm.fit(family, X, Y, intercept=intercept, **given)
    assert found.converged
    best = glm.objective(family, found.coef, found.intercept, X, Y, **given)
    assert_allclose(found.objective, best, rtol=1e-12)
    for size in (1e-3, 0.1):
        for _ in range(20):
            step = size * rng.normal(size=found.coef.shape)
            shift = size * rng.normal(size=Y.shape[1]) * intercept
            moved = glm.objective(family, found.coef + step, found.intercept + shift, X, Y, **given)
            assert moved > best
    eta = glm.linear_predictor(X, found.coef, found.intercept, given["offset"])
    w = given["weight"] / given["weight"].sum()
    score = (w @ glm.scores(family, eta, X, Y)).reshape(found.coef.shape)
    assert_allclose(score, 2 * given["alpha"] * (found.coef - given["centre"]), atol=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_newton_and_quasi_newton_agree(rng, case, monkeypatch):
    family, X, Y = responses(rng, case)
    newton = glm.fit(family, X, Y, alpha=0.02)
    monkeypatch.setattr(glm, "NEWTON_SIZE", 0)
    other = glm.fit(family, X, Y, alpha=0.02, tol=1e-8)
    assert_allclose(other.coef, newton.coef, atol=1e-5)
    assert other.n_iter > newton.n_iter


def test_fit_agrees_with_a_general_minimiser(rng):
    X, y = counts(rng)
    centre, offset = rng.normal(size=(4, 1)), rng.normal(size=(60, 1))

    def value(x):
        given = {"alpha": 0.1, "centre": centre, "offset": offset}
        return glm.objective(POISSON, x[:4, None], x[4:], X, y[:, None], **given)

    ours = glm.fit(POISSON, X, y[:, None], alpha=0.1, centre=centre, offset=offset)
    theirs = minimize(value, np.zeros(5), method="BFGS", options={"gtol": 1e-7})
    assert_allclose(ours.objective, theirs.fun, rtol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_infinite_penalty_keeps_the_centre(rng, case):
    family, X, Y = responses(rng, case)
    centre = rng.normal(size=(4, Y.shape[1])) / 10
    kept = glm.fit(family, X, Y, alpha=np.inf, centre=centre)
    nearly = glm.fit(family, X, Y, alpha=1e7, centre=centre)
    assert_allclose(kept.coef, centre)
    assert_allclose(nearly.coef, centre, atol=1e-6)
    eta = glm.linear_predictor(X, kept.coef, kept.intercept)
    assert_allclose(family.mean(eta).mean(axis=0), Y.mean(axis=0), rtol=1e-7)
    assert np.isfinite(
        glm.objective(family, kept.coef, kept.intercept, X, Y, alpha=np.inf, centre=centre)
    )


@pytest.mark.parametrize("case", ["two", "four"])
@pytest.mark.parametrize("alpha", [0.0, 1e-9, 1e-3])
def test_separated_classes_end_in_finite_coefficients(rng, case, alpha):
    C = {"two": 2, "four": 4}[case]
    codes = np.repeat(np.arange(C), 10)
    X = 5.0 * np.eye(C)[codes] + 0.1 * rng.normal(size=(10 * C, C))
    found = glm.fit(LOGISTIC, X, families.indicators(codes, C), alpha=alpha)
    assert found.converged
    assert np.all(np.isfinite(found.coef))
    eta = glm.linear_predictor(X, found.coef, found.intercept)
    assert np.all((eta > 0)[:, 0] == codes if C == 2 else np.argmax(eta, axis=1) == codes)


def test_a_class_or_count_that_never_occurs(rng):
    X, codes = classes(rng, C=2)
    three = glm.fit(LOGISTIC, X, families.indicators(codes, 3), alpha=0.1)
    eta = glm.linear_predictor(X, three.coef, three.intercept)
    assert np.max(LOGISTIC.mean(eta)[:, 2]) < 1e-4
    none = glm.fit(POISSON, X, np.zeros((len(X), 1)), alpha=0.1)
    assert np.all(np.isfinite(none.coef))
    assert np.max(POISSON.mean(X @ none.coef)) < np.inf


def test_hostile_scales(rng):
    X, codes = classes(rng)
    Y = families.indicators(codes, 2)
    plain = glm.fit(LOGISTIC, X, Y, alpha=0.0)
    scale = 10.0 ** np.array([-6, 6, 0, 3])
    moved = glm.fit(LOGISTIC, X * scale + 1e3 * scale, Y, alpha=0.0)
    assert moved.converged
    assert_allclose(moved.coef * scale[:, None], plain.coef, rtol=1e-4)
    collinear = glm.fit(LOGISTIC, np.hstack([X, X]), Y, alpha=0.0)
    assert_allclose(collinear.objective, plain.objective, rtol=1e-9)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("intercept", [True, False])
def test_information_is_the_variance_of_the_score(rng, case, intercept):
    """At the truth, by exact expectation over the responses of every row."""
    family, X, Y = responses(rng, case, n=40, p=3)
    eta, w = rng.normal(size=Y.shape), rng.uniform(0.5, 2, 40)
    J = glm.fisher_information(family, eta, X, w, intercept=intercept)
    V = family.variance(eta)
    by_row = [np.kron(np.outer(x, x), v) for x, v in zip(X, V, strict=True)]
    full = np.average(by_row, axis=0, weights=w)
    if intercept:
        A = np.average(
            [np.kron(x[:, None], v) for x, v in zip(X, V, strict=True)], axis=0, weights=w
        )
        full -= A @ np.linalg.pinv(np.average(V, axis=0, weights=w)) @ A.T
    assert_allclose(J, full, atol=1e-12)
    assert np.linalg.eigvalsh(J)[0] > -1e-12


def test_information_predicts_the_spread_of_estimates(rng):
    X = rng.normal(size=(400, 2))
    eta = X @ np.array([[0.7], [-0.4]]) + 0.3
    ends = []
    for _ in range(300):
        Y = (rng.uniform(size=eta.shape) < LOGISTIC.mean(eta)).astype(float)
        ends.append(glm.fit(LOGISTIC, X, Y, alpha=0.0).coef[:, 0])
    J = glm.fisher_information(LOGISTIC, eta, X, intercept=True)
    assert_allclose(np.cov(np.array(ends).T), np.linalg.inv(J) / 400, atol=0.25 / 400 / J[0, 0])


def test_stopping_early_is_reported(rng):
    X, y = counts(rng)
    early = glm.fit(POISSON, X, y[:, None], alpha=0.0, max_iter=1)
    assert not early.converged
    assert early.slope > 1e-9
    assert early.n_iter == 1
