import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from skt.core import smart
from skt.core.moments import moments
from skt.core.reduced_rank import Factors, SecondMoments, reduced_rank, second_moments
from skt.core.smart import (
    SmartProblem,
    Weight,
    admm,
    block_norm,
    dual_residual,
    end_duals,
    gaps,
    lambda_max,
    lengths,
    objective,
    polar,
    prepared,
    primal_residual,
    shrink,
    start,
    subspace_end,
    tangent,
)
from skt.core.smart_choice import Bases, rotate
from skt.core.source_bases import source_sides


def orthonormal(rng, p, r):
    return np.linalg.qr(rng.normal(size=(p, r)))[0]


def rows(rng, n=80, p=9, q=7, rank=2, noise=0.5):
    """Rows whose factors are, but for a little, leading directions; in the source bases."""
    U, V = orthonormal(rng, p, rank) * 0.1, orthonormal(rng, q, rank) * 0.1
    U[:rank] += np.eye(rank)
    V[:rank] += np.eye(rank)[::-1]
    X = rng.normal(size=(n, p)) @ (np.eye(p) + 0.2 * rng.normal(size=(p, p)))
    return X, X @ (U * [4.0, 2.0]) @ V.T + noise * rng.normal(size=(n, q))


def problem(rng, structural=(3, 3), grouped=False, **kw):
    X, Y = rows(rng, **kw)
    m = second_moments(moments(X, Y), intercept=False)
    (a, b), (p, q) = structural, m.H.shape
    left, right = ([1, p - a - 1], [1, q - b - 1]) if grouped else ([1] * (p - a), [1] * (q - b))
    return SmartProblem(m, a, b, np.array(left), np.array(right))


def solved(begin, pb, penalties, tol=1e-8, max_iter=20_000, rho=0.3):
    solution = admm(begin, pb, penalties, rho=rho, tol=tol, max_iter=max_iter)
    assert solution.converged
    return solution


both_penalties = pytest.mark.parametrize("grouped", [False, True])

# Objective ----------------------------------------------------------------------------------


def test_objective_is_the_papers(rng):
    pb, (X, Y) = problem(np.random.default_rng(1)), rows(np.random.default_rng(1))
    U, V, d = orthonormal(rng, 9, 2), orthonormal(rng, 7, 2), np.array([3.0, -1.0])
    residual = Y - X @ U @ np.diag(d) @ V.T
    expected = np.sum(residual**2) / 160 + 0.2 * np.abs(U[3:]).sum() + 0.3 * np.abs(V[3:]).sum()
    assert_allclose(objective(Factors(U, d, V), pb, (0.2, 0.3)), expected, rtol=1e-10)


def test_penalty_of_a_block_does_not_depend_on_its_basis(rng):
    Z, sizes = rng.normal(size=(6, 2)), np.array([1, 1, 4])
    turned = np.vstack([Z[:2], orthonormal(rng, 4, 4) @ Z[2:]])
    assert_allclose(block_norm(turned, sizes), block_norm(Z, sizes), rtol=1e-12)
    by_hand = np.abs(Z[:2]).sum() + 2 * np.linalg.norm(Z[2:], axis=0).sum()
    assert_allclose(block_norm(Z, sizes), by_hand, rtol=1e-12)


@pytest.mark.parametrize("sizes", [[1, 1, 1, 1, 1], [1, 4], [2, 3], [5]])
def test_shrink_minimises_its_objective(rng, sizes):
    Z, sizes = rng.normal(size=(5, 3)), np.array(sizes)

    def value(W):
        return 0.4 * block_norm(W, sizes) + np.sum((W - Z) ** 2) / 2

    W = shrink(Z, sizes, np.array(0.4))
    for _ in range(200):
        assert value(W + 10.0 ** rng.uniform(-6, 0) * rng.normal(size=W.shape)) > value(W)
    assert_allclose(shrink(Z, sizes, np.array(0.0)), Z)
    assert not shrink(Z, sizes, np.array(1e3)).any()


def test_lengths_of_blocks(rng):
    Z = rng.normal(size=(2, 5, 3))
    found = lengths(Z, np.array([2, 3]))
    assert_allclose(found[1, 0], np.linalg.norm(Z[1, :2], axis=0))
    assert_allclose(found[1, 1], np.linalg.norm(Z[1, 2:], axis=0))


def test_polar_is_the_nearest_orthonormal_matrix(rng):
    M = rng.normal(size=(8, 3))
    U, _, Vt = np.linalg.svd(M, full_matrices=False)
    assert_allclose(polar(M), U @ Vt, atol=1e-10)


# Ends of the path ---------------------------------------------------------------------------


def test_end_at_infinity_is_reduced_rank_regression_of_rotated_rows(rng):
    pb = problem(rng)
    X, Y = rows(np.random.default_rng(0))
    inside = second_moments(moments(X[:, :3], Y[:, :3]), intercept=False)
    end = subspace_end(pb, 2)
    assert_allclose(end.C[:3, :3], reduced_rank(inside, 2).C, atol=1e-10)
    assert not end.C[3:].any()
    assert not end.C[:, 3:].any()


@both_penalties
def test_end_is_stationary_from_lambda_max_on_and_not_below(rng, grouped):
    pb = problem(rng, grouped=grouped)
    end, largest = subspace_end(pb, 2), float(lambda_max(pb, 2))
    begin = start(end, pb, end_duals(end, pb))
    for factor in (1.0001, 3.0):
        above = solved(begin, pb, (factor * largest,) * 2)
        assert_allclose(above.state.factors.C, end.C, atol=1e-7)
        assert above.n_iter == smart.CHECK_EVERY
    below = solved(begin, pb, (0.9 * largest,) * 2)
    assert np.abs(below.state.factors.C - end.C).max() > 1e-5
    assert below.objective[-1] < objective(end, pb, (0.9 * largest,) * 2)


def test_no_penalty_is_reduced_rank_regression(rng):
    pb = problem(rng)
    plain = reduced_rank(pb.m, 2)
    from_end = solved(start(subspace_end(pb, 2), pb), pb, (0.0, 0.0), tol=1e-9)
    assert_allclose(from_end.state.factors.C, plain.C, atol=1e-6)


# Solutions ----------------------------------------------------------------------------------


@both_penalties
@pytest.mark.parametrize("alpha", [(0.02, 0.02), (0.3, 0.05), (0.0, 0.2)])
@pytest.mark.parametrize("structural", [(3, 3), (0, 0), (2, 4)])
def test_solution_is_stationary(rng, alpha, structural, grouped):
    """0 is in the subgradient: Gamma is one of lambda ||.||, and the slope along U'U = I is 0."""
    pb = problem(rng, structural, grouped)
    s = solved(start(reduced_rank(pb.m, 2), pb), pb, alpha).state
    E_u, E_v = smart.gradients(s.factors, pb)
    E_u[pb.left_rank :] += s.left_dual
    E_v[pb.right_rank :] += s.right_dual
    assert_allclose(tangent(E_u, s.U), 0, atol=1e-6)
    assert_allclose(tangent(E_v, s.V), 0, atol=1e-6)
    assert_allclose(s.U.T @ s.U, np.eye(2), atol=1e-10)
    assert_allclose(s.U[pb.left_rank :], s.left_copy, atol=1e-6)
    sides = (
        (s.left_copy, s.left_dual, pb.left_blocks),
        (s.right_copy, s.right_dual, pb.right_blocks),
    )
    for (copy, dual, sizes), a in zip(sides, alpha, strict=True):
        bound = a * np.sqrt(sizes)[:, None]
        assert np.all(lengths(dual, sizes) <= bound + 1e-6)
        # Where a block is not zero the multiplier has full length and its direction.
        products = np.add.reduceat(copy * dual, np.cumsum(sizes) - sizes)
        assert_allclose(products, bound * lengths(copy, sizes), atol=1e-6)


@both_penalties
@pytest.mark.parametrize("structural", [(3, 3), (0, 0)])
def test_no_perturbation_improves_the_solution(rng, structural, grouped):
    pb, alpha = problem(rng, structural, grouped), (0.05, 0.05)
    f = solved(start(reduced_rank(pb.m, 2), pb), pb, alpha).state.factors
    best = objective(f, pb, alpha)
    for _ in range(300):
        step = 10.0 ** rng.uniform(-5, -1)
        moved = Factors(
            polar(f.U + step * rng.normal(size=f.U.shape)),
            f.d + step * rng.normal(size=2),
            polar(f.V + step * rng.normal(size=f.V.shape)),
        )
        assert objective(moved, pb, alpha) > best - 1e-9


def test_no_other_solver_finds_less(rng):
    """Rank one: unit vectors u and v as u/|u|, v/|v|, by Nelder and Mead from many starts."""
    pb = problem(rng, (1, 1), p=3, q=3, n=40)

    def value(z):
        u, v = z[:3] / np.linalg.norm(z[:3]), z[3:6] / np.linalg.norm(z[3:6])
        return float(objective(Factors(u[:, None], z[6:], v[:, None]), pb, (0.3, 0.3)))

    options = {"maxiter": 20_000, "maxfev": 20_000, "xatol": 1e-10, "fatol": 1e-12}
    found = [
        minimize(value, rng.normal(size=7), method="Nelder-Mead", options=options).fun
        for _ in range(8)
    ]
    begins = start(reduced_rank(pb.m, 1), pb), start(subspace_end(pb, 1), pb)
    ours = min(solved(begin, pb, (0.3, 0.3)).objective[-1] for begin in begins)
    assert ours <= min(found) + 1e-7


def test_few_rows_are_solved_through_a_root_of_their_products(rng):
    pb = problem(rng, n=4, p=16, q=7)
    ridged = pb._replace(m=pb.m._replace(G=pb.m.G + 0.1 * np.eye(16)))
    rooted = prepared(ridged, 0.1)
    assert rooted.root.shape == (16, 4)
    U = rng.normal(size=(16, 2))
    assert_allclose(rooted.gram(U), ridged.m.G @ U, atol=1e-10)
    begin = start(reduced_rank(ridged.m, 2), ridged)
    one, other = (
        admm(begin, each, (0.1, 0.1), rho=0.1, tol=1e-9, max_iter=50) for each in (ridged, rooted)
    )
    assert_allclose(one.state.U, other.state.U, atol=1e-8)
    assert_allclose(rooted.curvature, np.linalg.eigvalsh(ridged.m.G)[-1])
    assert prepared(problem(rng), 0.0).root is None


def test_roots_of_several_sets_of_rows(rng):
    """All in the span of all rows; a root of one set alone is shorter."""
    sets = [problem(rng, n=3, p=40, q=2).m for _ in range(3)]
    m = SecondMoments(*(np.array(part) for part in zip(*sets, strict=True)))
    ridged = problem(rng, p=40, q=2)._replace(m=m._replace(G=m.G + 0.1 * np.eye(40)))
    rooted = prepared(ridged, 0.1)
    assert rooted.root.shape == (3, 40, 9)
    U = rng.normal(size=(3, 40, 2))
    assert_allclose(rooted.gram(U), ridged.m.G @ U, atol=1e-10)
    assert_allclose(rooted.curvature, np.linalg.eigvalsh(ridged.m.G)[:, -1])


def test_rotated_moments_are_those_of_rotated_rows(rng):
    bases = Bases(*source_sides([rng.normal(size=(40, 3))]))
    U, V = bases.left.basis, bases.right.basis
    m = problem(rng, n=5, p=40, q=3).m
    several = SecondMoments(*(np.array([part, 2 * part]) for part in m))
    for each in (m, several):
        rotated = rotate(each, bases)
        assert_allclose(rotated.G, U.T @ each.G @ U, atol=1e-10)
        assert_allclose(rotated.H, U.T @ each.H @ V, atol=1e-10)


def test_ridge_enters_through_the_moments(rng):
    pb = problem(rng)
    f = reduced_rank(pb.m, 2)
    with_ridge = pb._replace(m=pb.m._replace(G=pb.m.G + 0.7 * np.eye(9)))
    gain = objective(f, with_ridge, (0.1, 0.1)) - objective(f, pb, (0.1, 0.1))
    assert_allclose(gain, 0.35 * np.sum(f.C**2), rtol=1e-9)


def test_units_of_y_scale_everything(rng):
    pb = problem(rng)
    m = pb.m
    scaled = pb._replace(m=SecondMoments(m.G, 1e3 * m.H, 1e6 * m.y2, m.n))
    one = solved(start(reduced_rank(m, 2), pb), pb, (0.1, 0.1)).state.factors
    other = solved(start(reduced_rank(scaled.m, 2), scaled), scaled, (1e5, 1e5)).state.factors
    assert_allclose(other.C, 1e3 * one.C, rtol=1e-9, atol=1e-9)
    assert_allclose(lambda_max(scaled, 2), 1e6 * lambda_max(pb, 2), rtol=1e-9)


def test_sets_of_rows_are_solved_side_by_side():
    problems = [problem(np.random.default_rng(seed)) for seed in (1, 2)]
    m = SecondMoments(*(np.array(p) for p in zip(*(pb.m for pb in problems), strict=True)))
    stacked = problems[0]._replace(m=m)
    together = solved(start(reduced_rank(m, 2), stacked), stacked, (0.1, 0.1))
    for i, pb in enumerate(problems):
        alone = solved(start(reduced_rank(pb.m, 2), pb), pb, (0.1, 0.1))
        assert_allclose(together.state.at(i).factors.C, alone.state.factors.C, atol=1e-6)


# Iteration ----------------------------------------------------------------------------------


def test_each_update_lowers_the_augmented_lagrangian(rng):
    pb, alpha, rho = problem(rng), (0.1, 0.2), np.array([[2.0]])

    def lagrangian(s):
        gap_u, gap_v = gaps(s, pb)
        return (
            objective(s.factors, pb, (0.0, 0.0))
            + alpha[0] * block_norm(s.left_copy, pb.left_blocks)
            + alpha[1] * block_norm(s.right_copy, pb.right_blocks)
            + np.sum(s.left_dual * gap_u)
            + np.sum(s.right_dual * gap_v)
            + 1.0 * (np.sum(gap_u**2) + np.sum(gap_v**2))
        )

    curvature = np.linalg.eigvalsh(pb.m.G)[-1:][None]
    s = start(Factors(orthonormal(rng, 9, 2), np.array([1.0, 2.0]), orthonormal(rng, 7, 2)), pb)
    s = s._replace(left_dual=rng.normal(size=(6, 2)), right_dual=rng.normal(size=(4, 2)))
    for _ in range(5):
        for update in (
            lambda s: smart.update_left(s, pb, curvature, rho),
            lambda s: smart.update_right(s, pb, rho),
            lambda s: smart.update_values(s, pb),
            lambda s: smart.update_copies(s, pb, alpha, rho),
        ):
            before, s = lagrangian(s), update(s)
            assert lagrangian(s) <= before + 1e-10
        s = smart.update_duals(s, pb, rho)


def test_iteration_that_is_cut_short_says_so(rng):
    pb = problem(rng)
    cut = admm(start(reduced_rank(pb.m, 2), pb), pb, (0.1, 0.1), rho=0.1, tol=1e-12, max_iter=7)
    assert (cut.converged, cut.n_iter) == (False, 7)
    assert cut.residuals.shape == (2, 2)
    assert cut.objective.shape == (2,)
    assert_allclose(objective(cut.state.factors, pb, (0.1, 0.1)), cut.objective.min(), rtol=1e-12)


def test_residuals_vanish_at_the_solution_only(rng):
    pb = problem(rng)
    s = solved(start(reduced_rank(pb.m, 2), pb), pb, (0.1, 0.1)).state
    assert primal_residual(s, pb) < 1e-7
    assert dual_residual(s, pb) < 1e-7
    moved = s._replace(U=polar(s.U + 0.1 * rng.normal(size=s.U.shape)))
    assert primal_residual(moved, pb) > 0.01
    assert dual_residual(moved, pb) > 0.01


def test_weight_balances_and_rises_where_residuals_do():
    weight = Weight.of(np.array([1.0, 1.0, 1.0]))
    weight = weight.moved(np.array([1.0, 1e-3, 1.0]), np.array([1e-3, 1.0, 1.0]))
    assert_allclose(weight.rho.ravel(), [2.0, 0.5, 1.0])
    for _ in range(smart.PATIENCE):
        weight = weight.moved(np.full(3, 1.0), np.array([1.0, 1.0, 2.0]))
    assert_allclose(weight.rho.ravel(), [2.0, 0.5, 2.0])
    weight = weight.moved(np.full(3, 1e-3), np.full(3, 1.0))
    assert_allclose(weight.rho.ravel(), [1.0, 0.25, 2.0])  # the third never falls back


@pytest.mark.parametrize("rho", [0.03, 0.1, 1.0])
def test_rho_does_not_move_the_solution(rng, rho):
    pb = problem(rng)
    begin = start(reduced_rank(pb.m, 2), pb)
    one = solved(begin, pb, (0.1, 0.1)).state.factors
    other = solved(begin, pb, (0.1, 0.1), rho=rho).state.factors
    assert_allclose(other.C, one.C, atol=1e-5)
