import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skt.core.source_bases import blocks, n_above_noise, side, source_sides, whole


def orthonormal(rng, p, r):
    return np.linalg.qr(rng.normal(size=(p, r)))[0]


def coefficients(rng, p=30, q=20, values=(9.0, 6.0, 4.0)):
    return orthonormal(rng, p, len(values)) * np.array(values) @ orthonormal(rng, q, len(values)).T


def span(B):
    return B @ B.T


def test_one_source_gives_its_singular_vectors(rng):
    C = coefficients(rng) + 0.01 * rng.normal(size=(30, 20))
    left, right = source_sides([C])
    U, s, Vt = np.linalg.svd(C)
    assert_allclose(np.abs(left.basis[:, :3].T @ U[:, :3]), np.eye(3), atol=1e-10)
    assert_allclose(np.abs(right.basis[:, :3].T @ Vt[:3].T), np.eye(3), atol=1e-10)
    assert_allclose(left.values[:20] * np.linalg.norm(C), s, rtol=1e-10)
    assert not left.values[20:].any()
    assert np.all(np.max(left.basis, axis=0) >= -np.min(left.basis, axis=0))


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.1])
def test_directions_that_stand_out_of_noise(rng, noise):
    left, right = source_sides([coefficients(rng) + noise * rng.normal(size=(30, 20))])
    assert (left.signal, right.signal) == (3, 3)
    assert left.rank == (3 if noise == 0 else 20)


def test_few_singular_values_are_no_noise(rng):
    assert n_above_noise(np.array([3.0, 2.0, 1.9]), (10, 3)) == 3
    assert n_above_noise(np.array([3.0]), (10, 1)) == 1
    assert n_above_noise(np.linalg.svd(rng.normal(size=(40, 30)))[1], (40, 30)) == 0


def test_sources_are_joined_alike_in_any_order(rng):
    A, B = coefficients(rng), coefficients(rng)
    left, right = source_sides([A, B])
    turned, _ = source_sides([B, 7 * A])
    assert (left.rank, right.rank) == (6, 6)
    assert_allclose(span(left.basis[:, :6]), span(turned.basis[:, :6]), atol=1e-9)
    assert_allclose(left.values, turned.values, atol=1e-10)
    both = A @ A.T / np.sum(A**2) + B @ B.T / np.sum(B**2)
    assert_allclose(left.basis.T @ both @ left.basis, np.diag(left.values**2), atol=1e-10)


def test_the_same_source_twice_changes_nothing(rng):
    A = coefficients(rng)
    once, twice = source_sides([A])[0], source_sides([A, A])[0]
    assert_allclose(once.basis[:, :3], twice.basis[:, :3], atol=1e-8)
    assert (once.signal, once.rank) == (twice.signal, twice.rank)


def test_shared_directions_lead(rng):
    shared, a, b = orthonormal(rng, 30, 3).T
    v, w = orthonormal(rng, 20, 2).T
    A = np.outer(shared, v) + np.outer(a, w)
    B = np.outer(shared, v) + np.outer(b, w)
    left = source_sides([A, B])[0]
    assert_allclose(np.abs(left.basis[:, 0] @ shared), 1, atol=1e-9)


def test_zero_coefficients_have_no_direction():
    left, right = source_sides([np.zeros((4, 3))])
    assert (left.rank, left.signal, right.signal) == (0, 0, 0)
    assert_array_equal(blocks(left, 0), [4])
    with_other = source_sides([np.zeros((4, 3)), np.eye(4, 3)])[0]
    assert with_other.rank == 3


def test_blocks_hold_what_has_no_meaning_alone(rng):
    left, right = source_sides([coefficients(rng)])
    assert_array_equal(blocks(left, 0), [1, 1, 1, 27])
    assert_array_equal(blocks(right, 2), [1, 17])
    assert_array_equal(blocks(left, 3), [27])
    assert_array_equal(blocks(left, 30), [])
    assert_array_equal(blocks(left, 3, entrywise=True), np.ones(27))


def test_equal_singular_values_are_one_block(rng):
    left, _ = source_sides([coefficients(rng, values=(9.0, 5.0, 5.0, 5.0, 1.0))])
    assert_array_equal(blocks(left, 0), [1, 3, 1, 25])
    assert_array_equal(blocks(left, 1), [3, 1, 25])
    assert [whole(left, k) for k in range(6)] == [0, 1, 4, 4, 4, 5]


def test_all_directions_may_stand_out(rng):
    left = side(np.diag([3.0, 2.0, 1.0]))
    assert_array_equal(blocks(left, 0), [1, 1, 1])
    assert_array_equal(blocks(left, 3), [])
