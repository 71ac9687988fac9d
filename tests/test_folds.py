"""Makers of folds of the target's rows."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.model_selection import KFold

from skt.model_selection.folds import (
    folds_alike,
    n_repeats,
    repeated_folds,
    stratified_folds,
)


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


def test_folds_alike_in_outcomes(rng):
    y, w = rng.normal(size=23), np.ones(23)
    folds = folds_alike(5, y, w)
    assert sorted(len(test) for _, test in folds) == [4, 4, 5, 5, 5]
    assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), np.arange(23))
    for train, test in folds:
        assert_array_equal(np.sort(np.r_[train, test]), np.arange(23))
        # Of the fifths of the sorted outcomes each fold has one row, but for the last.
        fifth = np.searchsorted(np.sort(y), y[test]) // 5
        assert np.all(np.bincount(fifth, minlength=5)[:4] == 1)


def test_folds_alike_leave_out_only_rows_that_count(rng):
    y, w = rng.normal(size=(6, 2)), np.array([1.0, 0, 2, 0, 1, 0.5])
    folds = folds_alike(10, y, w)
    assert sorted(test.tolist() for _, test in folds) == [[0], [2], [4], [5]]
    assert all({1, 3} <= set(train) for train, _ in folds)


def test_folds_alike_in_classes():
    y = np.array(["b", "a", "b", "a", "a", "b"])
    assert [test.tolist() for _, test in folds_alike(3, y, np.ones(6))] == [[0, 1], [2, 3], [4, 5]]


def test_stratified_folds_leave_no_class_out():
    y = np.repeat(["a", "b", "c"], [9, 4, 1])
    folds = stratified_folds(5, y)
    assert len(folds) == 4  # the rarest class that has two rows
    assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), np.arange(13))
    for train, test in folds:
        assert set(y[train]) == {"a", "b", "c"}
        assert np.sum(y[test] == "b") == 1
        assert not set(train) & set(test)


def test_there_is_nothing_to_stratify_without_two_classes_of_two_rows():
    assert stratified_folds(5, np.array(["a", "a", "b"])) == []
    assert stratified_folds(5, np.array(["a", "a", "a"])) == []
