"""Every domain as the target: random effects of all tasks at once, and who helps whom.

Notation as in ``uowq_glm``; T tasks, k = 0..T-1, no one of which is special.

All tasks scatter about one centre, and one fit of the random effects gives the coefficients of
all. Where there are few tasks each is then the target of a fit of its own, in which the others'
likelihoods stand expanded about that first mode: the centre of the others may differ from task to
task, as it does where tasks come in clusters.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from skt.core import discrepancy, evidence, uowq_glm
from skt.core._typing import Array
from skt.core.families import GAUSSIAN
from skt.core.rows import Rows
from skt.core.uowq_glm import GLMMFit, OfRows

# Up to this number of tasks each has a fit of its own.
FEW_TASKS = 30
# A task helps another if its share in the other's coefficients is larger.
HELP = 0.05


class Tasks(NamedTuple):
    """Coefficients of all tasks, and what each owes to the others."""

    theta: Array  # (T, P)
    centre: Array  # (P,) of a task that was never seen
    shares: Array  # (T, T) part of task j in the coefficients of task k
    risk: Array  # (T,) expected excess loss of a new row
    own_risk: Array  # (T,) of each task's own fit
    n_iter: int
    converged: bool


def fit_tasks(
    tasks: Sequence[OfRows], slopes: Array, *, centre: float | None, guard: bool
) -> Tasks:
    """Fit all tasks; ``slopes`` and ``centre`` as in ``uowq_glm.fit_glmm``."""
    effects = uowq_glm.fit_glmm(_simple(tasks), slopes, centre=centre, alike=True)
    expanded = [uowq_glm.expanded(*each) for each in zip(tasks, effects.theta, strict=True)]
    if 1 < len(tasks) <= FEW_TASKS:
        return _each_its_own(tasks, expanded, effects, slopes, centre=centre, guard=guard)
    H = np.array([each.evidence.information for each in expanded])
    n = np.array([task.n for task in tasks])
    J = np.mean(H / n[:, None, None], axis=0)
    return Tasks(
        effects.theta,
        effects.state.m,
        shares_of_all(effects, J),
        np.array([_risk(H[k] / n[k], effects.posterior.covariance_of(k)) for k in range(len(n))]),
        _own_risks(H, n, effects),
        effects.n_iter,
        effects.converged,
    )


def _each_its_own(
    tasks: Sequence[OfRows],
    expanded: Sequence[uowq_glm.OfModel],
    effects: GLMMFit,
    slopes: Array,
    *,
    centre: float | None,
    guard: bool,
) -> Tasks:
    """Fit every task as the target of the others."""
    T = len(tasks)
    fits, shares = [], np.zeros((T, T))
    for k, task in enumerate(tasks):
        others = [j for j in range(T) if j != k]
        fits.append(
            uowq_glm.mixed_combination(
                task,
                [expanded[j] for j in others],
                slopes,
                centre=centre,
                guard=guard,
                start=effects.state.m,
            )
        )
        shares[k, [k, *others]] = fits[-1].shares
    return Tasks(
        np.array([fit.theta for fit in fits]),
        effects.state.m,
        shares,
        np.array([fit.risk for fit in fits]),
        np.array([fit.target_risk for fit in fits]),
        max(fit.n_iter for fit in fits),
        all(fit.converged for fit in fits),
    )


def shares_of_all(effects: GLMMFit, J: Array) -> Array:
    """Return the part of every domain in the coefficients of every domain, (T, T)."""
    posterior = effects.posterior
    T, P = effects.theta.shape
    kept = np.eye(P) - posterior.spread[:, :, None] * posterior.reduced
    back = (J @ kept @ posterior.covariance).reshape(T, -1)
    shares = back @ posterior.reduced.transpose(0, 2, 1).reshape(T, -1).T
    own = np.einsum("ij,kj,kji->k", J, posterior.spread, posterior.reduced)
    shares[np.diag_indices(T)] += own
    return shares / max(np.trace(J), 1e-300)


def helps(shares: Array) -> Array:
    """Return which task j helps which task k: a share above HELP, (T, T) of bool."""
    found = shares > HELP
    np.fill_diagonal(found, False)
    return found


def weights_of_tasks(shares: Array, n: Array) -> Array:
    """Return what one row of task j counts in task k, a row of its own counting one, (T, T)."""
    per_row = shares / n
    own = np.diag(per_row)[:, None]
    return np.divide(per_row, own, out=np.full_like(per_row, np.nan), where=own > 0)


def gaussian_tasks(domains: Sequence[Rows]) -> list[OfRows]:
    """Return the likelihoods of numbers, each task with its moderated noise variance."""
    squares, df = np.zeros(len(domains)), np.zeros(len(domains))
    for k, rows in enumerate(domains):
        root = np.sqrt(rows.weight)[:, None]
        coef, _, rank, _ = np.linalg.lstsq(root * rows.X, root * rows.Y, rcond=None)
        squares[k] = np.sum((root * (rows.Y - rows.X @ coef)) ** 2)
        df[k] = max(rows.n - rank, 0.0)
    size = np.mean([np.average(r.Y[:, 0] ** 2, weights=r.weight) for r in domains])
    floor = 1e-12 * size if size > 0 else 1.0
    s2 = np.divide(squares, df, out=np.zeros(len(domains)), where=df > 0)
    if np.any(s2 > floor):
        s2, _ = discrepancy.moderated_variances(np.where(s2 > floor, s2, 0.0), df)
    else:  # nobody has residuals
        s2 = np.full(len(domains), floor if np.any(df > 0) else max(size / 2, floor))
    return [
        OfRows(GAUSSIAN, rows, float(max(v, floor))) for rows, v in zip(domains, s2, strict=True)
    ]


def _simple(tasks: Sequence[OfRows]) -> Sequence[uowq_glm.Likelihood]:
    """Return Gaussian tasks as the quadratics they are, for speed."""
    if tasks[0].family is not GAUSSIAN:
        return tasks
    zero = np.zeros(tasks[0].rows.X.shape[1] * tasks[0].rows.Y.shape[1])
    return [uowq_glm.expanded(task, zero) for task in tasks]


def _risk(J: Array, covariance: Array) -> float:
    return float(np.sum(J * covariance)) / 2


def _own_risks(H: Array, n: Array, effects: GLMMFit) -> Array:
    """Return the risk of every task's own fit, its slopes penalised by ``evidence.PENALTY``."""
    own = np.linalg.inv(H + evidence.PENALTY * np.eye(H.shape[1]))
    return np.einsum("kij,kij->k", H, own) / n / 2
