"""The simulator of SMART's design."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skt.datasets import make_spectral_transfer


def draw(**kw):
    return make_spectral_transfer(50, 30, 20, random_state=0, **{"source_noise": 0.0} | kw)


def test_coefficients_have_the_papers_singular_values():
    data = draw()
    assert_allclose(np.linalg.svd(data.coef)[1][:6], [5, 4.5, 4, 3.5, 3, 0], atol=1e-9)
    assert_allclose(np.linalg.svd(data.source_coef)[1][:11], [*range(10, 0, -1), 0], atol=1e-9)


def inside(data, side):
    """Cosines of the target's factors with the source's subspace."""
    target, source = (np.linalg.svd(c)[side] for c in (data.coef, data.source_coef))
    target, source = (target[:, :5], source[:, :10]) if side == 0 else (target[:5].T, source[:10].T)
    return source.T @ target


@pytest.mark.parametrize("side", [0, 2])
def test_relations(side):
    shared = np.abs(inside(draw(), side))
    assert_allclose(np.sort(shared, axis=0)[-1], 1, atol=1e-8)
    rotated = inside(draw(relation="rotated"), side)
    assert_allclose(np.sum(rotated**2, axis=0), 1, atol=1e-8)
    assert np.abs(rotated).max() < 0.99
    half = np.linalg.svd(inside(draw(relation="half-shared"), side))[1]
    assert_allclose(half, [1, 1, 1, 0, 0], atol=1e-7)
    assert np.linalg.svd(inside(draw(relation="unrelated"), side))[1].min() < 0.9


def test_rows_and_noise():
    data = make_spectral_transfer(20_000, 12, 11, source_noise=0.1, noise=0.3, random_state=0)
    assert_allclose(np.cov(data.X.T), data.covariance, atol=0.06)
    assert_allclose((data.y - data.X @ data.coef.T).std(), 0.3, rtol=0.01)


def test_noise_of_the_source_alone_differs():
    quiet, noisy = draw(), draw(source_noise=0.1)
    assert_allclose((noisy.source_coef - quiet.source_coef).std(), 0.1, rtol=0.1)


def test_seed_determines_the_draw():
    assert_array_equal(draw().y, draw().y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"relation": "near"}, "relation must be one of 'shared', .*; got 'near'"),
        ({"source_rank": 21}, "source_rank must be from 1 to 20; got 21"),
        ({"rank": 11}, "rank must be from 1 to 10 where relation is 'shared'; got 11"),
        ({"rank": 0, "relation": "unrelated"}, "rank must be from 1 to 10"),
    ],
)
def test_messages(options, message):
    with pytest.raises(ValueError, match=message):
        draw(**options)
