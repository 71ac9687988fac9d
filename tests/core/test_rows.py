import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skt.core.rows import Rows


def rows_of(rng, n=20, q=1):
    return Rows(rng.normal(size=(n, 2)), rng.normal(size=(n, q)), rng.uniform(0.5, 3, size=n))


def joined(*several):
    return Rows(*(np.concatenate(parts) for parts in zip(*several, strict=True)))


def test_rows_are_counted_by_their_weights(rng):
    rows = rows_of(rng)._replace(weight=np.r_[2.0, 0.5, np.ones(18)])
    assert rows.n == 20.5
    assert isinstance(rows.n, float)
    assert rows.take(slice(0, 0)).n == 0


def test_rows_are_taken_by_number_mask_and_slice(rng):
    rows = rows_of(rng)
    numbers = np.array([0, 1, 2])
    for which in (numbers, np.arange(20) < 3, slice(0, 3)):
        for part, whole in zip(rows.take(which), rows, strict=True):
            assert_array_equal(part, whole[:3])
    assert rows.take(np.repeat(numbers, 2)).n == pytest.approx(2 * rows.take(numbers).n)


def test_equal_rows_have_one_code_and_codes_follow_the_response():
    X = np.array([[1.0], [0.0], [1.0], [0.0], [0.0]])
    Y = np.array([[5.0], [5.0], [5.0], [2.0], [5.0]])
    assert Rows(X, Y, np.ones(5)).distinct.tolist() == [2, 1, 2, 0, 1]


@pytest.mark.parametrize("q", [1, 3])
def test_equal_rows_share_a_part_and_parts_are_even(rng, q):
    rows = rows_of(rng, q=q)
    part = joined(rows, rows).deal(4)
    assert_array_equal(part[:20], part[20:])
    assert_array_equal(np.bincount(part), 10)
    assert_array_equal(joined(rows, rows).deal(4)[:20], rows.deal(4))


def test_responses_are_spread_over_the_parts(rng):
    Y = np.repeat([[0.0], [1.0]], [15, 5], axis=0)
    part = rows_of(rng)._replace(Y=Y).deal(5)
    assert_array_equal(np.bincount(part[15:]), 1)
    assert_array_equal(np.bincount(part[:15]), 3)


def test_parts_know_neither_the_order_of_rows_nor_their_weights(rng):
    rows, order = rows_of(rng), rng.permutation(20)
    assert_array_equal(rows.take(order).deal(3), rows.deal(3)[order])
    assert_array_equal(rows._replace(weight=np.ones(20)).deal(3), rows.deal(3))


def test_there_are_no_more_parts_than_distinct_rows(rng):
    few = rows_of(rng, 2)
    assert sorted(few.deal(5)) == [0, 1]
    assert joined(few, few, few).deal(5).max() == 1
    assert rows_of(rng, 1).deal(5).tolist() == [0]
