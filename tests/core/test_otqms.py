import numpy as np
import pytest
from numpy.testing import assert_allclose

from skt.core import allocation, discrepancy, families, glm
from skt.core.evidence import (
    CONSTANT,
    design,
    discrepancy_matrix,
    evidence_of,
    measure,
    source_weights,
)
from skt.core.families import GAUSSIAN
from skt.core.otqms import choose_rows, combined_fit, losses
from skt.core.rows import Rows

FAMILIES = {"linear": GAUSSIAN, "logistic": families.LOGISTIC, "poisson": families.POISSON}


def draw(rng, family, n, theta, noise=1.0):
    """Rows of a domain whose coefficients, the constant's first, are theta (p, q)."""
    Z = np.column_stack([np.ones(n), rng.normal(size=(n, len(theta) - 1))])
    mean = family.mean(Z @ theta)
    if family is GAUSSIAN:
        Y = mean + noise * rng.normal(size=mean.shape)
    elif family is families.POISSON:
        Y = rng.poisson(mean).astype(float)
    elif mean.shape[1] == 1:
        Y = (rng.random(mean.shape) < mean).astype(float)
    else:
        Y = np.array([np.eye(mean.shape[1])[rng.choice(mean.shape[1], p=m)] for m in mean])
    return Rows(Z, Y, np.ones(n))


def task(rng, family, sizes=(60, 200, 200), shifts=(0.0, 0.05, 1.0), p=5, q=1):
    theta = 0.5 * rng.normal(size=(p, q))
    return theta, [
        draw(rng, family, n, theta + shift * rng.normal(size=(p, q)))
        for n, shift in zip(sizes, shifts, strict=True)
    ]


def order(domains):
    return [np.arange(len(rows.X)) for rows in domains[1:]]


def cut(rows, n):
    return rows.take(slice(0, n))


# The family that glm lacks ------------------------------------------------------------------


def test_gaussian_is_least_squares(rng):
    _, (target, *_) = task(rng, GAUSSIAN)
    eta = rng.normal(size=target.Y.shape)
    assert_allclose(GAUSSIAN.loss(eta, target.Y), (target.Y - eta)[:, 0] ** 2 / 2)
    assert GAUSSIAN.link(0.3) == 0.3
    fit = glm.fit(GAUSSIAN, target.X, target.Y, alpha=0.0, intercept=False)
    assert_allclose(fit.coef, np.linalg.lstsq(target.X, target.Y, rcond=None)[0], atol=1e-7)


@pytest.mark.parametrize("name", FAMILIES)
def test_evidence_is_gradient_and_curvature(rng, name):
    family, (_, (rows, *_)) = FAMILIES[name], task(rng, FAMILIES[name], q=2)
    theta, h = 0.1 * rng.normal(size=10), 1e-5

    def value(t):
        return -rows.weight @ family.loss(rows.X @ t.reshape(5, 2), rows.Y)

    found = evidence_of(family, theta, rows)
    units = h * np.eye(10)
    slope = [(value(theta + e) - value(theta - e)) / (2 * h) for e in units]
    assert_allclose(found.score, slope, rtol=1e-5, atol=1e-6)
    scores = [evidence_of(family, theta + e, rows).score for e in units]
    assert_allclose(found.information, (found.score - np.array(scores)) / h, rtol=1e-3, atol=1e-3)
    halves = evidence_of(family, theta, rows.take(slice(0, 20)))
    halves += evidence_of(family, theta, rows.take(slice(20, None)))
    assert_allclose(halves.information, found.information)


def test_design_is_standardised_with_a_constant(rng):
    X = rng.normal(size=(50, 3)) * [1, 1e3, 0] + [5, -2e3, 7]
    w = rng.integers(1, 4, size=50).astype(float)
    Z = design(X, w)
    assert_allclose(Z[:, 0], CONSTANT)
    assert_allclose(np.average(Z[:, 1:], axis=0, weights=w), 0, atol=1e-12)
    assert_allclose(np.average(Z[:, 1:] ** 2, axis=0, weights=w), [1, 1, 0], atol=1e-9)


# Comparison -----------------------------------------------------------------------------------


def test_linear_differences_are_those_of_least_squares(rng):
    _, domains = task(rng, GAUSSIAN)
    measured = measure(GAUSSIAN, domains)
    W = [np.linalg.lstsq(r.X, r.Y, rcond=None)[0][:, 0] for r in domains]
    J = np.mean([r.X.T @ r.X / len(r.X) for r in domains], axis=0)
    s2 = measured.noise[0] * np.sum((domains[0].Y[:, 0] - domains[0].X @ W[0]) ** 2) / 55
    delta = np.array(W[1:]) - W[0]
    M = discrepancy.plug_in(measured.D)
    ratio = (delta @ J @ delta.T / 5) / M
    assert_allclose(ratio, ratio[0, 0])  # one noise variance for all
    assert_allclose(ratio[0, 0], s2, rtol=0.2)  # the target's, moderated by the sources'
    V = np.trace(J @ np.linalg.inv(domains[0].X.T @ domains[0].X)) / 5
    assert_allclose(measured.v[0], V, rtol=1e-8)


@pytest.mark.parametrize("name", FAMILIES)
def test_noise_of_differences_is_what_is_stated(rng, name):
    """Without any discrepancy, ``E D'D / d = v_0 11' + diag(v)``."""
    family, p = FAMILIES[name], 4
    found, stated = [], []
    theta = np.array([[0.2], [0.5], [-0.5], [0.3]])
    for _ in range(150):
        domains = [draw(rng, family, n, theta) for n in (80, 150, 300)]
        measured = measure(family, domains)
        found.append(discrepancy.plug_in(measured.D))
        stated.append(measured.v[0] + np.diag(measured.v[1:]))
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(150)
    assert p == measured.root.shape[0]
    assert np.all(np.abs(mean - np.mean(stated, axis=0)) < 4 * error)


def test_a_target_with_too_few_rows_is_compared_by_its_residuals(rng):
    theta = rng.normal(size=(30, 1))
    domains = [draw(rng, GAUSSIAN, n, theta) for n in (12, 300, 300)]
    measured = measure(GAUSSIAN, domains)
    assert measured.penalty > 0
    assert measured.D.shape == (12, 2)
    fits = [np.linalg.lstsq(r.X, r.Y, rcond=None)[0] for r in domains[1:]]
    residuals = np.column_stack([domains[0].Y - domains[0].X @ fit for fit in fits])
    assert_allclose(measured.D / measured.D[0, 0], residuals / residuals[0, 0])
    assert_allclose(measured.programme_rows, [12, 300, 300])
    far = [domains[0], domains[1], draw(rng, GAUSSIAN, 300, -theta)]
    M = discrepancy.plug_in(measure(GAUSSIAN, far).D)
    assert M[1, 1] > 10 * M[0, 0]


def test_residuals_have_the_discrepancy_and_the_noise_that_are_stated(rng):
    """Means over draws at known noise, of two outputs and weights that count rows."""
    p, n, shift = 8, 6, 0.7
    found, expected, stated = [], [], []
    for _ in range(300):
        theta = rng.normal(size=(p, 2))
        sources = [theta + shift * rng.normal(size=(p, 2)) for _ in range(2)]
        domains = [draw(rng, GAUSSIAN, n, theta)]
        domains += [draw(rng, GAUSSIAN, 60, each) for each in sources]
        measured = measure(GAUSSIAN, domains)
        unit = np.mean(domains[0].Y / measured.domains[0].Y)
        found.append(discrepancy.plug_in(measured.D) * unit**2)
        v = measured.v * unit**2
        stated.append(v[0] + np.diag(v[1:]))
        delta = np.array([(each - theta).ravel() for each in sources])
        expected.append(delta @ delta.T / (2 * p))  # J is about the identity
    difference = np.array(found) - np.array(expected) - np.array(stated)
    error = difference.std(axis=0) / np.sqrt(len(difference))
    assert np.all(np.abs(difference.mean(axis=0)) < 3 * error + 0.05 * np.mean(found, axis=0))


def test_a_source_without_information_is_given_the_target_s_coefficients(rng):
    _, domains = task(rng, GAUSSIAN)
    few = [domains[0], cut(domains[1], 2)]
    measured = measure(GAUSSIAN, few)
    assert np.isfinite(measured.D).all()
    assert measured.v[1] > measured.v[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_weight_2_is_the_row_twice(rng, name):
    family, (_, domains) = FAMILIES[name], task(rng, FAMILIES[name])
    weights = [rng.integers(1, 4, size=len(r.X)) for r in domains]
    weighted = [r._replace(weight=w.astype(float)) for r, w in zip(domains, weights, strict=True)]
    twice = [r.take(np.repeat(np.arange(len(w)), w)) for r, w in zip(domains, weights, strict=True)]
    one, other = measure(family, weighted), measure(family, twice)
    # Scores of weighted rows are products of single rows, of which a row twice has two.
    assert_allclose(discrepancy.plug_in(one.D), discrepancy.plug_in(other.D), rtol=1e-4)
    assert_allclose(one.v, other.v, rtol=1e-4)


@pytest.mark.parametrize("rule", ["eb", "plugin"])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_far_source_has_the_larger_discrepancy(rng, name, rule):
    family = FAMILIES[name]
    _, domains = task(rng, family, sizes=(150, 500, 500), p=8)
    M = discrepancy_matrix(measure(family, domains), rule)
    assert M[1, 1] > 3 * M[0, 0]
    assert np.linalg.eigvalsh(M)[0] > -1e-12


# Choice ---------------------------------------------------------------------------------------


def test_weights_are_the_programme_s_and_their_fit_is_weighted_least_squares(rng):
    _, domains = task(rng, GAUSSIAN)
    measured = measure(GAUSSIAN, domains)
    M = np.diag([0.001, 0.05])
    w, risk = source_weights(measured, M)
    u = allocation.optimal_shares(measured.n / measured.noise, M)
    assert_allclose(w, allocation.weights_from_shares(u, measured.n))
    theta, same = combined_fit(measured, M)
    assert same == risk
    scaled = measured.domains
    Z = np.vstack([r.X for r in scaled])
    Y = np.concatenate([r.Y[:, 0] for r in scaled])
    root = np.sqrt(np.repeat([1.0, *w], [len(r.X) for r in scaled]))
    assert_allclose(theta, np.linalg.lstsq(Z * root[:, None], Y * root, rcond=None)[0], rtol=1e-8)


def test_losses_of_the_linear_family_are_those_of_refitting(rng):
    _, domains = task(rng, GAUSSIAN)
    measured = measure(GAUSSIAN, domains)
    theta = rng.normal(size=5)
    candidates = [np.array([0, 0]), np.array([7, 0]), np.array([200, 30])]
    found = losses(measured, theta, order(domains), candidates)
    target, *sources = measured.domains
    for m, distance, left_out in zip(candidates, *found, strict=True):
        rows = [target, *(cut(s, k) for s, k in zip(sources, m, strict=True))]
        Z, Y = np.vstack([r.X for r in rows]), np.concatenate([r.Y[:, 0] for r in rows])
        fit = np.linalg.lstsq(Z, Y, rcond=None)[0]
        assert_allclose(distance, np.sum((measured.root @ (fit - theta)) ** 2), rtol=1e-6)
        for i in (0, 10, 59):
            keep = np.arange(len(Z)) != i
            fit = np.linalg.lstsq(Z[keep], Y[keep], rcond=None)[0]
            assert_allclose(left_out[i], (Y[i] - Z[i] @ fit) ** 2 / 2, rtol=1e-6)


@pytest.mark.parametrize("name", ["logistic", "poisson"])
@pytest.mark.parametrize("q", [1, 3])
def test_losses_of_other_families_come_near_those_of_refitting(rng, name, q):
    family = FAMILIES[name]
    truth, domains = task(rng, family, sizes=(150, 400, 400), q=q)
    measured = measure(family, domains)
    found = losses(measured, truth.ravel(), order(domains), [np.array([300, 0])])
    rows = [domains[0], cut(domains[1], 300)]
    Z, Y = np.vstack([r.X for r in rows]), np.vstack([r.Y for r in rows])

    def refit(keep):
        n = len(Z[keep])
        return glm.fit(family, Z[keep], Y[keep], alpha=0.5 / n, intercept=False).coef

    step = measured.root @ (refit(slice(None)) - truth).ravel()
    assert_allclose(found.distance[0], step @ step, rtol=0.25)
    exact = []
    for i in range(20):
        eta = Z[i : i + 1] @ refit(np.arange(len(Z)) != i)
        exact.append(family.loss(eta, Y[i : i + 1])[0])
    assert np.corrcoef(found.left_out[0][:20], exact)[0, 1] > 0.99


def test_choice_is_the_candidate_next_to_the_best_estimate(rng):
    _, domains = task(rng, GAUSSIAN, (30, 200, 200), (0, 0.02, 3.0), p=12)
    measured = measure(GAUSSIAN, domains)
    M = discrepancy_matrix(measured, "eb")
    candidates = [np.array([200, 200]), np.array([200, 0]), np.array([0, 200]), np.array([50, 0])]
    choice = choose_rows(measured, M, candidates, [order(domains)])
    assert choice.quantities[1] == 0
    assert choice.quantities[0] > 0
    assert choice.risk < choice.target_risk
    assert [len(rows) for rows in choice.rows] == choice.quantities.tolist()


def test_rows_that_predict_the_target_clearly_worse_are_refused(rng):
    """Even if M, wrongly, says that the source is the target."""
    theta, (target, *_) = task(rng, GAUSSIAN)
    measured = measure(GAUSSIAN, [target, draw(rng, GAUSSIAN, 300, theta + 2)])
    order_ = [np.arange(300)]
    for candidates in ([np.array([300])], [np.array([300]), np.array([100])]):
        assert choose_rows(measured, np.zeros((1, 1)), candidates, [order_]).quantities == [0]
        paper = choose_rows(measured, np.zeros((1, 1)), candidates, [order_], none_too=False)
        assert paper.quantities > 0


def test_the_better_of_two_draws_is_kept(rng):
    _, domains = task(rng, GAUSSIAN)
    measured = measure(GAUSSIAN, domains)
    M = discrepancy_matrix(measured, "eb")
    orders = [[rng.permutation(200), rng.permutation(200)] for _ in range(2)]
    alone = [choose_rows(measured, M, [np.array([30, 5])], [o]) for o in orders]
    both = choose_rows(measured, M, [np.array([30, 5])], orders)
    assert both.risk == min(each.risk for each in alone)
