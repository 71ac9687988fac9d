"""Folds of the target's rows, repeated where these are few."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.model_selection import KFold

from skt._folds import n_repeats, repeated_folds


@pytest.mark.parametrize(
    ("n_rows", "repeats"),
    [(2, 5), (10, 5), (40, 5), (50, 4), (80, 3), (199, 2), (200, 1), (9**9, 1)],
)
def test_few_rows_are_predicted_more_than_once(n_rows, repeats):
    assert n_repeats(n_rows) == repeats


@pytest.mark.parametrize("random_state", [None, 7])
def test_every_repeat_predicts_every_row_once(random_state):
    splits = list(repeated_folds(5, 12, random_state))
    assert len(splits) == 25
    for repeat in range(5):
        tests = np.concatenate([test for _, test in splits[5 * repeat : 5 * repeat + 5]])
        assert_array_equal(np.sort(tests), np.arange(12))
    for train, test in splits:
        assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(12))
    assert len({tuple(test) for _, test in splits}) > 20


def test_the_first_folds_are_scikit_learns():
    in_order = list(repeated_folds(5, 12))[:5]
    shuffled = list(repeated_folds(5, 12, 3))[:5]
    rows = np.empty(12)
    for ours, theirs in zip(in_order, KFold(5).split(rows), strict=True):
        assert_array_equal(ours[1], theirs[1])
    by_hand = KFold(5, shuffle=True, random_state=3).split(rows)
    for ours, theirs in zip(shuffled, by_hand, strict=True):
        assert_array_equal(ours[1], theirs[1])


def test_folds_are_the_same_every_time():
    one, other = list(repeated_folds(3, 9)), list(repeated_folds(3, 9))
    for (_, a), (_, b) in zip(one, other, strict=True):
        assert_array_equal(a, b)


def test_no_more_folds_than_rows():
    assert len(list(repeated_folds(5, 3))) == 15
