"""Weights on the simplex: against closed forms, a general solver, and what they promise."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

from skt.core import stacking


def products(rng, m=4, n=30):
    E = rng.normal(size=(n, m)) * rng.uniform(0.5, 3, m)
    return stacking.mean_products(E, rng.uniform(0.5, 2, n), 1.0)


def on_the_simplex(objective, m):
    """Return the least value of an objective by a solver that knows nothing of its form."""
    equal = {"type": "eq", "fun": lambda w: w.sum() - 1}
    start = np.full(m, 1 / m)
    with warnings.catch_warnings():  # of SciPy 1.11, that it goes back to the bounds
        warnings.filterwarnings("ignore", "Values in x were outside bounds", RuntimeWarning)
        found = minimize(
            objective, start, bounds=[(1e-9, 1)] * m, constraints=equal, options={"ftol": 1e-13}
        )
    return found.fun


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shrinkage", [0.0, 0.2, 5.0])
def test_weights_of_squares_are_the_least_of_the_objective(seed, shrinkage):
    G = products(np.random.default_rng(seed))
    w = stacking.mean_weights(G, shrinkage)
    assert w.min() >= 0
    assert w.sum() == pytest.approx(1)
    least = on_the_simplex(lambda v: stacking.squared_objective(v, G, shrinkage), 4)
    assert stacking.squared_objective(w, G, shrinkage) <= least * (1 + 1e-6)


def test_two_fits_with_independent_errors_are_weighed_by_precision():
    assert_allclose(stacking.mean_weights(np.diag([1.0, 3.0]), 0.0), [0.75, 0.25])


def test_much_shrinkage_is_the_plain_mean_and_a_wild_fit_does_not_change_that_of_others():
    G = np.diag([1.0, 2.0, 4.0])
    assert_allclose(stacking.mean_weights(G, 1e6), 1 / 3, atol=1e-4)
    wild = stacking.mean_weights(np.diag([1.0, 2.0, 1e8]), 0.2)
    assert wild[2] < 1e-6
    assert_allclose(wild[:2], stacking.mean_weights(G[:2, :2], 0.2), atol=1e-6)


def test_exact_fits_share_all_the_weight():
    assert_array_equal(stacking.mean_weights(np.diag([0.0, 1.0, 0.0]), 0.2), [0.5, 0, 0.5])


def test_joined_counts_rows():
    G = np.array([np.eye(2), 3 * np.eye(2)])
    assert_allclose(stacking.joined(G, np.array([30.0, 10.0])), 1.5 * np.eye(2))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("prior", [1.0, 20.0])
def test_weights_of_probabilities_are_the_least_of_the_objective(seed, prior):
    rng = np.random.default_rng(seed)
    P, weight = rng.uniform(0.01, 1, (40, 3)), rng.uniform(0.2, 2, 40)
    w = stacking.probability_weights(P, weight, prior)
    assert w.sum() == pytest.approx(1)
    least = on_the_simplex(lambda v: stacking.log_objective(v, P, weight, prior), 3)
    assert stacking.log_objective(w, P, weight, prior) <= least + 1e-5


def test_a_strong_prior_is_the_plain_mean():
    P = np.array([[0.9, 0.1], [0.8, 0.2]])
    assert_allclose(stacking.probability_weights(P, np.ones(2), 1e6), 0.5, atol=1e-4)
    assert stacking.probability_weights(P, np.full(2, 1e4), 1.0)[0] > 0.99
