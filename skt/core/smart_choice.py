"""Choice of rank, structural rank and penalty of SMART: one set of folds, one set of paths.

Notation as in `smart`. Candidates are

* plain reduced-rank regression (lambda = 0), always: what is fitted where sources do not help;
* the closed-form ends lambda = infinity at a grid of structural ranks, which cost no iteration;
* a path of lambda at the best of these structural ranks, downwards from its end;
* a path at structural rank 0 (every source direction penalised), upwards from lambda = 0.

All are fitted to all rows and without each fold side by side, on the same grid of lambda, and
compared by the error of validation. The best is stacked with plain reduced-rank regression, with
a weight that rises with the evidence for it (``safeguard.evidence_weight``). The paper instead
fixes the structural rank by cross-validation and lambda by a BIC that counts non-zeros alone:
`fit_by_bic`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from skt.core import safeguard
from skt.core._typing import Array
from skt.core.reduced_rank import (
    Factors,
    Folds,
    RankChoice,
    SecondMoments,
    choose_rank,
    factor_error,
    log_gains,
    narrowed,
    rank_errors,
    reduced_rank,
    ridge_grid,
    transpose,
    truncated,
)
from skt.core.smart import (
    TINY,
    Penalties,
    SmartProblem,
    Solution,
    State,
    admm,
    end_duals,
    lambda_max,
    objective,
    prepared,
    start,
    subspace_end,
)
from skt.core.source_bases import Side, blocks, whole

# lambda relative to lambda_max. At structural rank 0 there is no closed form at infinity, and
# the best penalty may be above lambda_max of the subspace.
DOWN_GRID = np.geomspace(1.0, 2e-3, 8)[1:]
UP_GRID = np.geomspace(2e-3, 4.0, 11)
# Structural ranks whose ends are compared.
N_STRUCTURAL = 8
# Errors of validation need no exact solutions.
PATH_TOL, PATH_ITER = 1e-3, 60
# From this weight on the best candidate stands alone, so that its zeros stay zeros.
CERTAIN = 0.95


class SmartOptions(NamedTuple):
    """What is given, None where it is to be chosen; and the solver's settings."""

    rank: int | None
    structural: tuple[int, int] | None
    alpha: Penalties | None
    ridge: float | None
    lost: float  # degrees of freedom that an intercept has taken
    entrywise: bool  # the paper's penalty
    rho: float
    tol: float
    max_iter: int

    @property
    def needs_folds(self) -> bool:
        """Whether something is to be chosen."""
        return None in (self.rank, self.structural, self.alpha, self.ridge)


class Candidate(NamedTuple):
    """One choice, its fit to all rows, and its error on each fold."""

    structural: tuple[int, int]
    alpha: Penalties
    rank: int
    ridge: float
    state: State | Factors
    errors: Array  # (n_folds,)

    @property
    def factors(self) -> Factors:
        """Coefficients fitted to all rows."""
        return self.state.factors if isinstance(self.state, State) else self.state


class Fitted(NamedTuple):
    """The chosen candidate, solved to the tolerance, and all that were compared."""

    candidate: Candidate
    solution: Solution | None  # None where it is a closed form
    objective: Array  # curve of the objective, one value for a closed form
    candidates: list[Candidate]  # empty where nothing was compared
    chosen: int = 0  # which of them
    weight: float = 1.0  # of it in the stack with the first
    stack: Factors | None = None  # None where the weight is one

    @property
    def factors(self) -> Factors:
        """Coefficients: the candidate's, or those of the stack."""
        return self.candidate.factors if self.stack is None else self.stack


class Bases(NamedTuple):
    """Source bases of features and outputs."""

    left: Side
    right: Side


def rotate(m: SecondMoments, bases: Bases) -> SecondMoments:
    """Return the moments of X U0 and Y V0."""
    Q, inner = narrowed(m)
    U = bases.left.basis if Q is None else transpose(Q) @ bases.left.basis
    return m._replace(G=U.T @ inner.G @ U, H=U.T @ inner.H @ bases.right.basis)


def make_problem(
    m: SecondMoments, bases: Bases, structural: tuple[int, int], ridge: float, entrywise: bool
) -> SmartProblem:
    """Return (S1) at a structural rank and ridge penalty, for moments in the source bases."""
    left, right = (
        blocks(side, k, entrywise=entrywise) for side, k in zip(bases, structural, strict=True)
    )
    G = m.G + ridge * np.eye(m.G.shape[-1])
    return SmartProblem(m._replace(G=G), *structural, left, right)


def fit_plain(folds: Folds, setting: SmartOptions) -> Fitted:
    """Return reduced-rank regression: there are no sources."""
    candidate = plain(folds, choose_rank(folds, setting.rank, setting.ridge, setting.lost))
    return _closed(candidate, folds.train.at(0), [])


# By cross-validation ------------------------------------------------------------------------


def fit_by_validation(folds: Folds, bases: Bases, setting: SmartOptions) -> Fitted:
    """Choose what is None in the setting by cross-validation, and fit it to all rows.

    Parameters
    ----------
    folds : Folds
        Moments of the target in the source bases.
    bases : Bases
        Those bases.
    setting : SmartOptions
        What is given, and the solver's settings.

    Returns
    -------
    Fitted
        The best candidate, stacked with reduced-rank regression.
    """
    chosen = choose_rank(folds, setting.rank, setting.ridge, setting.lost)
    if setting.structural is not None and setting.alpha is not None:
        return _fit_given(folds, bases, setting, chosen)
    candidates = [plain(folds, chosen)]
    if len(folds.test.n) and setting.rank != 0:
        candidates += _borrowing(folds, bases, setting, chosen.of_lowest_error)
    gains, errors = log_gains(np.array([c.errors for c in candidates]), folds)
    best = int(np.argmax(gains))
    weight = _weight(gains[best], errors[best], float(folds.train.n[0]))
    if weight == 0:
        best, weight = 0, 1.0
    return _stacked(_refine(best, candidates, folds, bases, setting), weight, folds)


def _fit_given(folds: Folds, bases: Bases, setting: SmartOptions, chosen: RankChoice) -> Fitted:
    """Fit at a given structural rank and given penalties.

    (S1) is not convex: the iteration starts from both ends of the path, and the lower
    objective counts.
    """
    structural, alpha = setting.structural or (0, 0), setting.alpha or (0.0, 0.0)
    rank, ridge = chosen.lowest if any(alpha) else (chosen.rank, chosen.ridge)
    total = folds.train.at(0)
    if np.isinf(alpha[0]):  # nothing is left outside the subspaces, which bound the rank
        rank = min(rank, *structural)
    problem = make_problem(total, bases, structural, ridge, setting.entrywise)

    def candidate(state: State | Factors) -> Candidate:
        return Candidate(structural, alpha, rank, ridge, state, np.empty(0))

    if not any(alpha) or rank == 0:
        return _closed(candidate(reduced_rank(total, rank, ridge)), total, [])
    if np.isinf(alpha[0]):
        return _closed(candidate(subspace_end(problem, rank)), total, [])
    problem = prepared(problem, ridge)
    starts = [start(reduced_rank(total, rank, ridge), problem), *_end_start(problem, rank)]
    found = [_run(begin, problem, alpha, setting) for begin in starts]
    best = min(found, key=lambda s: float(s.objective[-1]))
    return Fitted(candidate(best.state), best, best.objective, [])


def _closed(candidate: Candidate, m: SecondMoments, candidates: list[Candidate]) -> Fitted:
    """Return a closed form as it stands; no penalty, or one that is zero, adds to its error."""
    f = candidate.factors
    value = factor_error(f, m) / 2 + candidate.ridge / 2 * np.sum(f.d**2)
    return Fitted(candidate, None, np.array([value]), candidates)


def _run(begin: State, problem: SmartProblem, alpha: Penalties, setting: SmartOptions) -> Solution:
    return admm(begin, problem, alpha, rho=setting.rho, tol=setting.tol, max_iter=setting.max_iter)


def _end_start(problem: SmartProblem, rank: int) -> Iterator[State]:
    """Yield the closed-form end with its multipliers, where there is one."""
    if rank <= min(problem.left_rank, problem.right_rank):
        end = subspace_end(problem, rank)
        yield start(end, problem, end_duals(end, problem))


def plain(folds: Folds, chosen: RankChoice) -> Candidate:
    """Return reduced-rank regression as a candidate."""
    return _candidate(folds, (0, 0), 0.0, chosen.rank, chosen.ridge, _fit_plain(folds, chosen))


def _fit_plain(folds: Folds, chosen: RankChoice) -> Factors:
    return reduced_rank(folds.train, chosen.rank, chosen.ridge)


def _candidate(
    folds: Folds,
    structural: tuple[int, int],
    alpha: float | Penalties,
    rank: int,
    ridge: float,
    state: State | Factors,
) -> Candidate:
    factors = state.factors if isinstance(state, State) else state
    errors = factor_error(factors.at(slice(1, None)), folds.test)
    pair = alpha if isinstance(alpha, tuple) else (alpha, alpha)
    return Candidate(structural, pair, rank, ridge, state.at(0), errors)


def _borrowing(
    folds: Folds, bases: Bases, setting: SmartOptions, chosen: RankChoice
) -> Iterator[Candidate]:
    """Yield the candidates that use the sources."""
    ends = list(_ends(folds, bases, setting, chosen))
    infinite = setting.alpha is not None and np.isinf(setting.alpha[0])
    if setting.alpha is None or infinite:
        yield from ends
    if infinite:
        return
    best = min(ends, key=lambda c: _mean(c.errors, folds), default=None)
    if best is not None:
        yield from _path(folds, bases, setting, best.structural, best.rank, best.ridge)
    if setting.structural is not None and best is not None:
        return
    # With cross-validated ranks, those that are best with and without sources may differ.
    settings = [(max(chosen.rank, 1), chosen.ridge), *([(best.rank, best.ridge)] if best else [])]
    for rank, ridge in dict.fromkeys(settings):
        yield from _path(folds, bases, setting, setting.structural or (0, 0), rank, ridge)


def _weight(gain: float, error: float, n: float) -> float:
    """Return ``safeguard.evidence_weight`` of a candidate; one from `CERTAIN` on."""
    weight = safeguard.evidence_weight(gain, error, n)
    return weight if weight < CERTAIN else 1.0


def _stacked(fitted: Fitted, weight: float, folds: Folds) -> Fitted:
    """Return the mean of the candidate and the first, cut back to the larger of their ranks."""
    if weight == 1:
        return fitted
    first, chosen = fitted.candidates[0], fitted.candidate
    C = weight * chosen.factors.C + (1 - weight) * first.factors.C
    rank = max(first.rank, chosen.rank)
    stack = truncated(C, folds.train.G[0], rank, first.ridge)
    return fitted._replace(weight=weight, stack=stack)


def _mean(errors: Array, folds: Folds) -> float:
    return float(folds.test.n @ errors / np.sum(folds.test.n))


def _ends(
    folds: Folds, bases: Bases, setting: SmartOptions, chosen: RankChoice
) -> Iterator[Candidate]:
    """Yield the ends lambda = infinity at each structural rank, with its best rank and ridge."""
    free = setting.rank is None and chosen.errors.size > 0
    rank = 1 if free else max(chosen.rank, 1)
    ridges = [chosen.ridge]
    if setting.ridge is None and chosen.errors.size > 0:
        ridges = [float(ridge) for ridge in ridge_grid(folds.train.at(0).G)]
    for structural in structural_grid(bases, setting.structural, rank):
        inside = Folds(*(_inside(m, structural) for m in folds))
        errors = rank_errors(inside.train.at(slice(1, None)), inside.test, ridges)
        ranks = range(rank, min(structural) + 1) if free else [rank]
        best, ridge, errors_ = min(
            ((r, g, e[..., r]) for g, e in zip(ridges, errors, strict=True) for r in ranks),
            key=lambda item: _mean(item[2], folds),
        )
        problem = make_problem(folds.train, bases, structural, ridge, setting.entrywise)
        yield Candidate(
            structural, (np.inf, np.inf), best, ridge, subspace_end(_at(problem, 0), best), errors_
        )


def _at(problem: SmartProblem, index: Any) -> SmartProblem:
    return problem._replace(m=problem.m.at(index), root=None, ridge=0.0, curvature=None)


def _inside(m: SecondMoments, structural: tuple[int, int]) -> SecondMoments:
    """Return the moments of the leading source directions alone."""
    a, b = structural
    return m._replace(G=m.G[..., :a, :a], H=m.H[..., :a, :b])


def structural_grid(
    bases: Bases, given: tuple[int, int] | None, rank: int
) -> list[tuple[int, int]]:
    """Return the structural ranks to try, none below the rank, which a closed form needs."""
    if given is not None:
        return [given] if rank <= min(given) else []
    limit = min(side.rank for side in bases)
    signal = min(side.signal for side in bases)
    highest = min(limit, 2 * max(signal, rank))
    if rank > highest:
        return []
    grid = np.geomspace(rank, highest, N_STRUCTURAL).round().astype(int).tolist()
    ranks = sorted({*grid, *([signal] if signal >= rank else [])})
    pairs = [(whole(bases.left, k), whole(bases.right, k)) for k in ranks]
    return list(dict.fromkeys(pairs))


def _path(
    folds: Folds,
    bases: Bases,
    setting: SmartOptions,
    structural: tuple[int, int],
    rank: int,
    ridge: float,
) -> Iterator[Candidate]:
    """Yield a path of penalties, each started from the last, or from lower if there is lower."""
    problem = make_problem(folds.train, bases, structural, ridge, setting.entrywise)
    problem = prepared(problem, ridge)
    from_zero = reduced_rank(folds.train, rank, ridge)
    begins = [start(from_zero, problem), *_end_start(problem, rank)]
    state = begins[-1]
    for alpha in _penalties(problem, bases, setting, rank):
        state = _lowest_states([state, *begins], problem, alpha)
        state = admm(state, problem, alpha, rho=setting.rho, tol=PATH_TOL, max_iter=PATH_ITER).state
        yield _candidate(folds, structural, alpha, rank, ridge, state)


def _lowest_states(states: list[State], problem: SmartProblem, alpha: Penalties) -> State:
    """Return the state of least objective, for each set of rows its own."""
    values = np.array([objective(s.factors, problem, alpha) for s in states])
    best = np.argmin(values, axis=0)
    rows = np.arange(len(best))
    return State(*(np.array(parts)[best, rows] for parts in zip(*states, strict=True)))


def _penalties(
    problem: SmartProblem, bases: Bases, setting: SmartOptions, rank: int
) -> list[Penalties]:
    """Return the grid of a path in its order: down from its end, or up from zero."""
    if setting.alpha is not None:
        return [setting.alpha]
    down = rank <= min(problem.left_rank, problem.right_rank)
    grid = DOWN_GRID if down else UP_GRID
    scale = _scale(_at(problem, 0), bases, setting, rank)
    return [(float(value), float(value)) for value in scale * grid]


def _scale(problem: SmartProblem, bases: Bases, setting: SmartOptions, rank: int) -> float:
    """Return lambda_max; below the rank, that of the least structural rank which has one."""
    structural = tuple(
        min(max(k, rank, side.signal), len(side.values)) if k < rank else k
        for k, side in zip((problem.left_rank, problem.right_rank), bases, strict=True)
    )
    left, right = (
        blocks(side, k, entrywise=setting.entrywise)
        for side, k in zip(bases, structural, strict=True)
    )
    nearest = SmartProblem(problem.m, structural[0], structural[1], left, right)
    scale = float(lambda_max(nearest, rank))
    if scale > 0:
        return scale
    # Every direction is in the subspaces: a tenth of the slope in V takes lambda's place.
    end = reduced_rank(problem.m, rank)
    return float(np.max(np.abs(problem.m.H.T @ end.U * end.d))) / 10


def _refine(
    chosen: int, candidates: list[Candidate], folds: Folds, bases: Bases, setting: SmartOptions
) -> Fitted:
    """Solve the chosen problem on all rows to the tolerance."""
    candidate, total = candidates[chosen], folds.train.at(0)
    if not isinstance(candidate.state, State):
        return _closed(candidate, total, candidates)._replace(chosen=chosen)
    problem = make_problem(total, bases, candidate.structural, candidate.ridge, setting.entrywise)
    problem = prepared(problem, candidate.ridge)
    solution = _run(candidate.state, problem, candidate.alpha, setting)
    solved = candidate._replace(state=solution.state)
    return Fitted(solved, solution, solution.objective, candidates, chosen)


# By the paper's BIC -------------------------------------------------------------------------


def fit_by_bic(folds: Folds, bases: Bases, setting: SmartOptions) -> Fitted:
    """Choose as the paper: structural rank by cross-validation, then lambda by BIC.

    The structural rank is that of the best closed-form end, the paper's answer where sources
    are good; reduced-rank regression is not among the candidates.
    """
    if setting.alpha is not None or setting.rank == 0 or not len(folds.test.n):
        return fit_by_validation(folds, bases, setting)
    chosen = choose_rank(folds, setting.rank, setting.ridge, setting.lost).of_lowest_error
    ends = list(_ends(folds, bases, setting, chosen))
    best = min(ends, key=lambda c: _mean(c.errors, folds), default=None)
    structural = setting.structural or (best.structural if best else (0, 0))
    rank, ridge = (best.rank, best.ridge) if best else (max(chosen.rank, 1), chosen.ridge)
    path = list(_path(folds, bases, setting, structural, rank, ridge))
    candidates = [*([best] if best else []), *path]
    total = folds.train.at(0)
    criteria = [bic(c, total) for c in candidates]
    return _refine(int(np.argmin(criteria)), candidates, folds, bases, setting)


def bic(candidate: Candidate, m: SecondMoments) -> float:
    """Return log(RSS/(nq)) + (non-zeros of the copies) log(nq)/(nq)."""
    nq = float(m.n) * m.H.shape[-1]
    rss = max(float(factor_error(candidate.factors, m)), TINY)
    count = 0
    if isinstance(candidate.state, State):
        count = int(np.count_nonzero(candidate.state.left_copy))
        count += int(np.count_nonzero(candidate.state.right_copy))
    return float(np.log(rss / m.H.shape[-1]) + count * np.log(nq) / nq)
