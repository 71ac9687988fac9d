import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skt.core.safeguard import (
    clearly_worse,
    evidence_weight,
    log_gain,
    mean_difference,
    most_cautious,
    shrunk_stacking_weight,
    stacking_weight,
    winner,
)


def repeated(weight, *arrays):
    """Every row as many times as its weight says, the last axis being rows; weights of one."""
    rows = np.repeat(np.arange(len(weight)), weight.astype(int))
    return (*(a[..., rows] for a in arrays), np.ones(len(rows)))


def standardised(noise):
    """Noise whose mean over rows is zero and has standard error one."""
    return (noise - noise.mean()) / noise.std() * np.sqrt(len(noise) - 1)


# Evidence ---------------------------------------------------------------------------------------


def test_mean_difference_by_hand():
    mean, error = mean_difference(np.array([3.0, 5.0, 10.0]), np.ones(3), np.ones(3))
    assert mean == pytest.approx(5.0)
    assert error == pytest.approx(np.sqrt((9 + 1 + 16) / 3 / 2))  # 2, 4, 9 about 5


def test_mean_difference_is_that_of_paired_samples(rng):
    a, b = rng.normal(size=30), rng.normal(size=30)
    mean, error = mean_difference(a, b, np.ones(30))
    assert mean == pytest.approx(np.mean(a - b))
    assert error == pytest.approx(np.std(a - b, ddof=1) / np.sqrt(30))
    assert mean_difference(b, a, np.ones(30)) == pytest.approx((-mean, error))
    assert mean_difference(a, a, np.ones(30)) == (0.0, 0.0)


def test_mean_difference_of_several_candidates_and_of_weights(rng):
    losses, w = rng.exponential(size=(4, 12)), rng.integers(1, 4, size=12).astype(float)
    mean, error = mean_difference(losses, losses[0], w)
    one_by_one = np.transpose([mean_difference(loss, losses[0], w) for loss in losses])
    assert_allclose([mean, error], one_by_one)
    many, ones = repeated(w, losses)
    assert_allclose(mean_difference(many, many[0], ones), (mean, error))


def test_a_single_row_has_no_standard_error():
    assert mean_difference(np.array([2.0]), np.array([1.0]), np.ones(1)) == (1.0, 0.0)
    # Rows that together count less than one: nothing is divided by zero.
    assert np.isfinite(mean_difference(np.ones(2), np.zeros(2), np.full(2, 0.1))).all()


def test_log_gain_by_hand():
    gain, error = log_gain(np.array([2.0, 6.0]), np.array([1.0, 1.0]), np.ones(2))
    assert gain == pytest.approx(np.log(4))
    assert error == pytest.approx(0.5)  # 0.5 - 1 and 1.5 - 1


def test_log_gain_has_no_unit_and_a_sign(rng):
    a, b, w = rng.exponential(size=(3, 15))
    gain, error = log_gain(a, b, w)
    assert log_gain(7 * a, 7 * b, w) == pytest.approx((gain, error))
    assert log_gain(b, a, w) == pytest.approx((-gain, error))
    assert log_gain(a, a, w) == (0.0, 0.0)
    assert log_gain(3 * a, a, w) == pytest.approx((np.log(3), 0.0))


def test_log_gain_of_rows_with_weights(rng):
    a, b = rng.exponential(size=(2, 12))
    w = rng.integers(1, 4, size=12).astype(float)
    assert log_gain(*repeated(w, a, b)) == pytest.approx(log_gain(a, b, w))


def test_exact_prediction_has_no_logarithm():
    assert log_gain(np.zeros(4), np.ones(4), np.ones(4)) == (0.0, 0.0)
    assert log_gain(np.ones(4), np.zeros(4), np.ones(4)) == (0.0, 0.0)


def test_log_gain_is_that_of_the_guard_of_uowq(rng):
    """As it was written there: mean zero of the differences understood."""
    a, b, weight = rng.exponential(size=(3, 20))
    n = weight.sum()
    w = weight / n
    difference = a / (w @ a) - b / (w @ b)
    expected = np.log((w @ a) / (w @ b)), np.sqrt(w @ difference**2 / max(n - 1, 1))
    assert log_gain(a, b, weight) == pytest.approx(expected)


# Weight of one of two fits ----------------------------------------------------------------------


def test_evidence_weight_by_hand():
    assert evidence_weight(0.3, 0.1, 10) == pytest.approx(1 - np.exp(-1))
    assert evidence_weight(0.1, 0.1, 1e6) == 0
    assert evidence_weight(-0.1, 0.0, 1e6) == 0
    assert evidence_weight(1.0, 0.0, 1e6) == 1


def test_evidence_weight_rises_with_gain_and_rows_and_falls_with_its_error():
    at = evidence_weight(0.3, 0.1, 10)
    assert evidence_weight(0.4, 0.1, 10) > at
    assert evidence_weight(0.3, 0.1, 20) > at
    assert evidence_weight(0.3, 0.2, 10) < at


def test_evidence_weight_is_one_less_the_likelihood_ratio(rng):
    """Of Gaussian errors of unknown variance, each at its best variance."""
    a, b = rng.normal(size=(2, 9)) * [[2.0], [1.0]]

    def log_likelihood(e):
        v = np.mean(e**2)
        return np.sum(-np.log(2 * np.pi * v) / 2 - e**2 / (2 * v))

    gain, _ = log_gain(a**2, b**2, np.ones(9))
    ratio = np.exp(log_likelihood(a) - log_likelihood(b))
    assert evidence_weight(gain, 0.0, 9) == pytest.approx(1 - ratio)


@pytest.mark.parametrize("weighted", [True, False])
def test_stacking_weight_is_the_best_convex_combination(rng, weighted):
    grid = np.linspace(0, 1, 201)
    for _ in range(20):
        a, b = rng.normal(size=(12, 2)), rng.normal(size=(12, 2)) * np.exp(rng.normal())
        w = rng.uniform(0.1, 2, size=12) if weighted else np.ones(12)
        t = stacking_weight(a, b, w)
        parts = np.r_[t, grid]
        errors = [np.sum(w[:, None] * (s * a + (1 - s) * b) ** 2) for s in parts]
        assert 0 <= t <= 1
        assert errors[0] <= min(errors) + 1e-12
    assert stacking_weight(a, a, w) == 1


@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0])
def test_shrunk_stacking_weight_minimises_what_it_states(rng, spread):
    grid = np.linspace(0, 1, 201)
    for _ in range(20):
        a, b = rng.normal(size=(12, 2)), rng.normal(size=(12, 2)) * np.exp(rng.normal())
        w = rng.uniform(0.1, 2, size=12)
        v = min(w @ np.mean(e**2, axis=1) / w.sum() for e in (a, b))

        def value(s):
            error = np.sum(w[:, None] * (s * a + (1 - s) * b) ** 2)  # noqa: B023
            return error + v * (s - 1) ** 2 / spread**2  # noqa: B023

        t = shrunk_stacking_weight(a, b, w, spread)
        assert 0 <= t <= 1
        assert value(t) <= min(map(value, grid)) + 1e-12
    assert shrunk_stacking_weight(a, a, w, spread) == 1


def test_limits_of_the_prior_of_the_stack(rng):
    a, b, w = rng.normal(size=(10, 2)), rng.normal(size=(10, 2)), np.ones(10)
    assert 0 < stacking_weight(a, b, w) < 1
    assert shrunk_stacking_weight(a, b, w, 1e9) == pytest.approx(stacking_weight(a, b, w))
    assert shrunk_stacking_weight(a, b, w, 1e-9) == pytest.approx(1)


def test_stacking_weights_by_hand():
    a, b, w = np.array([[1.0], [0.0]]), np.array([[0.0], [2.0]]), np.ones(2)
    assert stacking_weight(a, b, w) == pytest.approx(4 / 5)  # b'(b - a) / |b - a|^2
    assert shrunk_stacking_weight(a, b, w, 1.0) == pytest.approx(4.5 / 5.5)  # of mean square 1/2


@pytest.mark.parametrize(
    "rule", [stacking_weight, lambda a, b, w: shrunk_stacking_weight(a, b, w, 1)]
)
def test_stacking_weights_know_neither_unit_nor_basis_of_the_outputs(rng, rule):
    a, b, w = rng.normal(size=(10, 2)), rng.normal(size=(10, 2)), rng.uniform(1, 2, size=10)
    turn = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    assert rule(a @ turn * 7, b @ turn * 7, w) == pytest.approx(rule(a, b, w))


def test_stacking_weights_of_rows_with_weights(rng):
    a, b = rng.normal(size=(2, 10, 1))
    w = rng.integers(1, 4, size=10).astype(float)
    *many, ones = repeated(w, a.T, b.T)
    c, d = (each.T for each in many)
    assert stacking_weight(c, d, ones) == pytest.approx(stacking_weight(a, b, w))
    one, other = (shrunk_stacking_weight(*rows, 1.0) for rows in ((c, d, ones), (a, b, w)))
    assert one == pytest.approx(other)


# One of several candidates ----------------------------------------------------------------------


def candidates(rng, *gains):
    """One of no noise and some that are better than it by these standard errors; weights."""
    noise = standardised(rng.normal(size=100))
    return np.array([np.ones(100), *(1 + noise - gain for gain in gains)]), np.ones(100)


def test_the_winner_is_the_judged_one_unless_a_rival_is_clearly_better(rng):
    for gain, expected in ((-2.0, 0), (0.4, 0), (0.6, 1), (9.0, 1)):
        assert winner(*candidates(rng, gain), np.array([0.5])) == expected


def test_rivals_challenge_the_holder_in_turn(rng):
    thresholds = np.array([1.5, 0.5])
    assert winner(*candidates(rng, 1.6, 0.4), thresholds) == 1
    assert winner(*candidates(rng, 1.6, 1.7), thresholds) == 2  # better than the first in every row
    assert winner(*candidates(rng, 1.6, 1.5), thresholds) == 1
    assert winner(*candidates(rng, 1.4, 0.6), thresholds) == 2


def test_a_tie_and_no_rival_are_won_by_the_judged_one(rng):
    assert winner(np.ones((3, 5)), np.ones(5), np.zeros(2)) == 0
    assert winner(rng.normal(size=(1, 5)), np.ones(5), np.empty(0)) == 0


def test_infinite_thresholds_admit_no_rival(rng):
    assert winner(*candidates(rng, 50.0, 90.0), np.full(2, np.inf)) == 0


def test_clearly_worse_is_beyond_one_standard_error(rng):
    losses, w = candidates(rng, 1.0, -0.9, -1.1)
    assert clearly_worse(losses, w).tolist() == [False, False, False, True]
    assert clearly_worse(losses, w, 0.0).tolist() == [False, False, True, True]


def test_what_is_equal_is_not_worse(rng):
    loss = rng.exponential(size=20)
    assert not clearly_worse(np.array([loss, loss]), np.ones(20)).any()
    assert not clearly_worse(np.array([loss, loss]), np.ones(20), 0.0).any()


def test_the_most_cautious_is_the_last_within_the_threshold(rng):
    losses, w = candidates(rng, -0.4, -0.6, 9.0)
    assert most_cautious(losses[:3], w, 0, 0.5) == 1
    assert most_cautious(losses[:3], w, 0, 0.0) == 0
    assert most_cautious(losses[:3], w, 0, 0.7) == 2
    assert most_cautious(losses, w, 3, 0.5) == 3


def test_rounding_does_not_tell_the_cautious_from_the_best(rng):
    loss = rng.exponential(size=50)
    assert most_cautious(np.array([loss, loss * (1 + 1e-15), loss + 1]), np.ones(50), 0, 0.5) == 1


def test_rules_on_losses_know_neither_unit_nor_order_nor_copies(rng):
    losses, w = rng.exponential(size=(4, 25)), rng.integers(1, 4, size=25).astype(float)
    order = rng.permutation(25)
    for rule in (
        lambda losses, w: winner(losses, w, np.array([0.1, 0.2, 0.3])),
        lambda losses, w: clearly_worse(losses, w, 0.3),
        lambda losses, w: most_cautious(losses, w, int(np.argmin(losses @ w)), 0.5),
    ):
        expected = rule(losses, w)
        assert_array_equal(rule(9 * losses, w), expected)
        assert_array_equal(rule(losses[:, order], w[order]), expected)
        assert_array_equal(rule(*repeated(w, losses)), expected)


def test_standard_errors_are_those_of_the_three_callers(rng):
    """As each had it: of the trial, of the rows drawn, of the penalties of a classifier."""
    loss, other, w = rng.exponential(size=(3, 30))
    n, d = w.sum(), loss - other
    mean = np.average(d, weights=w)
    of_trial = np.sqrt(np.average((d - mean) ** 2, weights=w) / max(n - 1, 1))
    of_rows = np.sqrt((d - mean) ** 2 @ (w / n) / max(n - 1, 1))
    of_penalties = np.sqrt((d - mean) ** 2 @ w / max(n - 1, 1.0) / n)
    found = mean_difference(loss, other, w)
    for error in (of_trial, of_rows, of_penalties):
        assert found == pytest.approx((mean, error))
