import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skt.core import relu_cnn


def network(rng, n=12, P=2, d=5, C=2, m=3):
    X = rng.normal(size=(n, P, d))
    Y = np.eye(C)[np.arange(n) % C]
    v = rng.integers(1, 4, size=n).astype(float)
    codes = np.repeat(np.arange(C), m)
    return X, Y, v, rng.normal(size=(C * m, d)), relu_cnn.second_layer(codes, C)


def test_outputs_by_hand():
    X = np.array([[[1.0, 0.0], [0.0, 2.0]]])
    W = np.array([[1.0, -1.0], [1.0, 1.0], [0.0, 3.0]])
    A = relu_cnn.second_layer(np.array([0, 0, 1]), 2)
    # Class 0: (relu(1) + relu(-2) + relu(1) + relu(2)) / 2, class 1: relu(0) + relu(6).
    assert_allclose(relu_cnn.outputs(X, W, A), [[2.0, 6.0]])


@pytest.mark.parametrize("C", [2, 3])
def test_gradient_is_the_derivative(rng, C):
    X, Y, v, W, A = network(rng, C=C)
    slope, h = relu_cnn.loss_gradient(W, X, Y, v, A), 1e-6
    for r, j in np.ndindex(W.shape):
        step = np.zeros_like(W)
        step[r, j] = h
        ahead = relu_cnn.objective(W + step, X, Y, v, A)
        behind = relu_cnn.objective(W - step, X, Y, v, A)
        assert_allclose(slope[r, j], (ahead - behind) / (2 * h), atol=1e-7)


def test_two_classes_are_the_logistic_loss_of_the_difference(rng):
    X, Y, v, W, A = network(rng)
    f = relu_cnn.outputs(X, W, A) @ [-1, 1]
    sign = 2 * Y[:, 1] - 1
    logistic = np.average(np.logaddexp(0, -sign * f), weights=v)
    assert_allclose(relu_cnn.objective(W, X, Y, v, A), logistic)


@pytest.mark.parametrize(("n", "d"), [(4, 30), (30, 4)])
def test_descent_in_the_span_is_descent(rng, n, d):
    X, Y, v, W, A = network(rng, n=n, d=d)
    fit = relu_cnn.descend(X, Y, v, W, A, step=0.1, max_iter=7, tol=0.0)
    plain, losses = W, []
    for _ in range(7):
        losses.append(relu_cnn.objective(plain, X, Y, v, A))
        plain = plain - 0.1 * relu_cnn.loss_gradient(plain, X, Y, v, A)
    assert_allclose(fit.filters, plain, atol=1e-12)
    assert_allclose(fit.losses[:-1], losses)
    assert_allclose(fit.losses[-1], relu_cnn.objective(plain, X, Y, v, A))
    assert (fit.n_iter, fit.converged) == (7, False)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_step_lowers_the_loss_whatever_the_units(rng, size):
    X, Y, v, W, A = network(rng, n=40, C=3)
    X, W = X * size, W / size
    step = relu_cnn.step_size(X, v, A)
    fit = relu_cnn.descend(X, Y, v, W, A, step=step, max_iter=200, tol=0.0)
    assert np.all(np.diff(fit.losses) <= 1e-12)


def test_descent_ends_where_the_next_step_would_gain_little(rng):
    X, Y, v, W, A = network(rng)
    step = relu_cnn.step_size(X, v, A)
    fit = relu_cnn.descend(X, Y, v, W, A, step=step, max_iter=10_000, tol=1e-4)
    slope = relu_cnn.loss_gradient(fit.filters, X, Y, v, A)
    assert fit.converged
    assert_allclose(fit.last_fall, step * np.sum(slope**2))
    assert fit.last_fall < 1e-4 <= step * np.sum(relu_cnn.loss_gradient(W, X, Y, v, A) ** 2)


def test_outputs_grow_with_the_filters(rng):
    X, _, v, W, A = network(rng, C=3)
    assert_allclose(relu_cnn.outputs(X, 0.3 * W, A), 0.3 * relu_cnn.outputs(X, W, A))
    one, less = (relu_cnn.output_size(X, s * W, A, v) for s in (1.0, 0.3))
    assert_allclose(less, 0.3 * one)


def test_size_of_two_outputs_is_that_of_their_difference(rng):
    X, _, v, W, A = network(rng)
    f = relu_cnn.outputs(X, W, A) @ [-1, 1]
    assert_allclose(relu_cnn.output_size(X, W, A, v), np.sqrt(np.average(f**2, weights=v)))


def test_fresh_filters_respond_alike_in_all_units(rng):
    X = rng.normal(size=(50, 2, 40))
    v = np.ones(50)
    one = relu_cnn.fresh_filters(np.random.RandomState(0), 500, X, v)
    other = relu_cnn.fresh_filters(np.random.RandomState(0), 500, 1e4 * X, v)
    assert_allclose(1e4 * other, one)
    assert_allclose(np.sqrt(np.mean((X @ one.T) ** 2)), relu_cnn.START, rtol=0.05)
    zero = relu_cnn.fresh_filters(np.random.RandomState(0), 5, 0 * X, v)
    assert np.all(np.isfinite(zero))


def test_filters_without_a_class_of_theirs_count_nothing():
    A = relu_cnn.second_layer(np.array([0, 0]), 3)
    assert_array_equal(A, [[0.5, 0, 0], [0.5, 0, 0]])
