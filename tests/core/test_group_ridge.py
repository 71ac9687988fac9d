"""Ridge with parts of groups: against the same as one ridge with a column for every pair."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skt.core.group_ridge import fit_groups, group_moments, objective


def groups(rng, sizes=(8, 30, 20), p=4):
    b = rng.normal(size=p)
    rows = []
    for n in sizes:
        X = rng.normal(size=(n, p))
        y = X @ (b + 0.3 * rng.normal(size=p)) + rng.normal() + rng.normal(size=n)
        rows.append((X, y, rng.uniform(0.5, 2.0, n)))
    mean = np.average(np.concatenate([y for _, y, _ in rows]))
    return [(X, y - mean, w) for X, y, w in rows]


def as_one_ridge(rows, own, common):
    """Return the first group's coefficients, effective parameters and residuals, densely."""
    p, G = rows[0][0].shape[1], len(rows)
    blocks, penalty = [], np.r_[np.full(p, common), np.full(G * (p + 1), own)]
    for g, (X, _, _) in enumerate(rows):
        row = np.zeros((len(X), p + G * (p + 1)))
        row[:, :p] = X
        row[:, p + g * (p + 1) : p + (g + 1) * (p + 1)] = np.column_stack([X, np.ones(len(X))])
        blocks.append(row)
    U, y = np.vstack(blocks), np.concatenate([y for _, y, _ in rows])
    w = np.concatenate([w for _, _, w in rows])
    inverse = np.linalg.inv(U.T @ (w[:, None] * U) + np.diag(penalty))
    beta = inverse @ (U.T @ (w * y))
    df = np.trace(inverse @ (U.T @ (w[:, None] * U)))
    rss = w @ (y - U @ beta) ** 2
    return beta, df, rss, w.sum()


@pytest.mark.parametrize(("own", "common"), [(1.0, 1.0), (50.0, 0.5), (1e6, 10.0)])
def test_it_is_one_ridge_with_a_column_for_every_pair(rng, own, common):
    rows = groups(rng)
    fit = fit_groups([group_moments(*each) for each in rows], np.array([own]), np.array([common]))
    beta, df, rss, n = as_one_ridge(rows, own, common)
    p = rows[0][0].shape[1]
    assert_allclose(fit.coef, np.append(beta[:p], 0) + beta[p : 2 * p + 1], rtol=1e-7, atol=1e-9)
    assert fit.score == pytest.approx(rss / n / (1 - df / n) ** 2, rel=1e-7)


def test_no_step_lowers_the_objective(rng):
    rows = groups(rng)
    moments = [group_moments(*each) for each in rows]
    beta, *_ = as_one_ridge(rows, 3.0, 0.7)
    b, c = beta[:4], beta[4:].reshape(3, 5)
    least = objective(b, c, moments, 3.0, 0.7)
    for _ in range(20):
        step = 1e-3 * rng.normal(size=19)
        assert objective(b + step[:4], c + step[4:].reshape(3, 5), moments, 3.0, 0.7) > least


def test_the_best_pair_of_penalties_is_taken(rng):
    moments = [group_moments(*each) for each in groups(rng)]
    own, common = np.array([1.0, 30.0, 1e3]), np.array([0.5, 10.0])
    scores = [fit_groups(moments, np.array([a]), np.array([c])).score for a in own for c in common]
    assert fit_groups(moments, own, common).score == pytest.approx(min(scores))


def test_groups_that_agree_are_pooled_and_groups_that_do_not_are_not(rng):
    def fitted(spread):
        b, rows = np.ones(3), []
        for n in (10, 200, 200, 200):
            X = rng.normal(size=(n, 3))
            rows.append((X, X @ (b + spread * rng.normal(size=3)) + rng.normal(size=n), np.ones(n)))
        return fit_groups([group_moments(*each) for each in rows])

    assert fitted(0.0).own > 100
    assert fitted(2.0).own < 30


def test_fewer_rows_than_features_and_constant_columns(rng):
    rows = [(rng.normal(size=(n, 6)), rng.normal(size=n), np.ones(n)) for n in (2, 3)]
    for X, _, _ in rows:
        X[:, 2] = 0.0
    assert np.isfinite(fit_groups([group_moments(*each) for each in rows]).coef).all()
