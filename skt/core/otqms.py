"""How many rows, and which: OTQMS for any model.

Notation: as in `evidence`. n (K,) rows taken of every source. Candidates are vectors of whole
quantities; each is judged by the rows that are drawn for it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from skt.core import families, safeguard
from skt.core._typing import Array
from skt.core.evidence import (
    Evidence,
    Measured,
    _Solver,
    evidence_of,
    is_small,
    source_weights,
)
from skt.core.rows import Rows

# Along this path of multiples of M one leans more, or less, on all sources than the estimate
# of M alone would have it, from all rows to none.
MULTIPLES = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


# --- which rows -----------------------------------------------------------------------------


class Choice(NamedTuple):
    """Rows taken of every source, and what they are expected to be worth."""

    quantities: NDArray[np.integer]  # (K,)
    rows: list[NDArray[np.integer]]  # positions among the source's rows
    risk: float
    target_risk: float


def combined_fit(measured: Measured, M: Array) -> tuple[Array, float]:
    """Return the best estimate of the target's coefficients (P,), and its risk per parameter.

    It is the fit to all rows by UOWQ's weights, to second order about each domain's own fit.
    """
    weights, risk = source_weights(measured, M)
    # Information has the noise of each domain in it already.
    w = np.append(1.0, weights * measured.noise[1:])
    solver = _Solver.of(np.tensordot(w, measured.information, 1), measured.penalty)
    return solver.solve((w @ measured.b)[:, None])[:, 0], risk


class Losses(NamedTuple):
    """Of several candidates."""

    distance: Array  # (m,) ``|J^{1/2} (fit - theta)|^2``
    left_out: Array  # (m, n_0) loss of every target row under the fit without it


def losses(
    measured: Measured, theta: Array, order: Sequence[Array], candidates: Sequence[Array]
) -> Losses:
    """Return how far from theta the fits with candidate rows end, and how well they predict.

    Candidate m takes the first ``m_i`` rows of source i in the given order, and every target
    row. The fit is one Newton step from theta, exact where the family is linear, and so is
    leaving out a target row.
    """
    family, (target, *sources) = measured.family, measured.domains
    own = evidence_of(family, theta, target)
    ordered = [rows.take(o) for rows, o in zip(sources, order, strict=True)]
    found = [
        _assess(measured, theta, sum(parts, start=own))
        for parts in _evidence_by_candidate(family, theta, ordered, np.array(candidates))
    ]
    return Losses(*map(np.array, zip(*found, strict=True)))


def _evidence_by_candidate(
    family: families.Family, theta: Array, sources: list[Rows], candidates: NDArray[np.integer]
) -> list[list[Evidence]]:
    """Return the evidence of the first rows of every source, by candidate (m, K) in parts.

    Rows that the same candidates take are looked at together, and no row is looked at twice.
    """
    place = np.concatenate([np.arange(len(rows.X)) for rows in sources])
    source = np.repeat(np.arange(len(sources)), [len(rows.X) for rows in sources])
    bits = 1 << np.arange(len(candidates))
    code = bits @ (place < candidates[:, source])  # which candidates take a row
    rows = Rows(*map(np.concatenate, zip(*sources, strict=True)))
    parts = {k: evidence_of(family, theta, rows.take(code == k)) for k in np.unique(code) if k}
    return [[part for k, part in parts.items() if k & bit] for bit in bits]


def _assess(measured: Measured, theta: Array, total: Evidence) -> tuple[float, Array]:
    """Return distance and left-out losses of the fit to some rows."""
    A = total.information + measured.penalty * np.eye(len(theta))
    A[np.diag_indices(len(A))] += 1e-12 * np.trace(A)
    inverse = cho_solve(cho_factor(A), np.eye(len(A)))
    step = inverse @ (total.score - measured.penalty * theta)
    left_out = _left_out(measured.family, theta, step, inverse, measured.domains[0])
    return float(np.sum((measured.root @ step) ** 2)), left_out


def _left_out(
    family: families.Family, theta: Array, step: Array, inverse: Array, rows: Rows
) -> Array:
    """Return the loss of every row under the fit ``theta + step`` without it, (n,).

    Without row i, with information V_i and residual r_i, its predictor changes by
    ``-h (I - V_i h)^{-1} r_i``, h the leverage; exactly so where the family is linear.
    """
    p, q = rows.X.shape[1], rows.Y.shape[1]
    eta = rows.X @ (theta + step).reshape(p, q)
    V = family.variance(rows.X @ theta.reshape(p, q))
    residual = rows.Y - family.mean(eta)
    h = (rows.X @ inverse.reshape(p, -1)).reshape(-1, q, p, q)
    h = np.einsum("nqpr,np->nqr", h, rows.X)
    unit = np.eye(q) * (1 + 1e-9)
    change = h @ np.linalg.solve(unit - V @ h, residual[:, :, None])
    return family.loss(eta - change[:, :, 0], rows.Y)


def choose_rows(
    measured: Measured,
    M: Array,
    candidates: Sequence[NDArray[np.integer]],
    orders: Sequence[Sequence[Array]],
    *,
    none_too: bool = True,
) -> Choice:
    """Return, of candidate quantities and random orders, the rows that promise the least risk.

    The programme knows neither which rows are drawn nor, with fewer rows than parameters, what
    they do to the fit: its promise can be wrong by a factor. With the rows at hand the fit can
    be made, and its expected loss is its distance from the best estimate of the target, plus
    the risk of that estimate, whatever the rows. With ``none_too``, no rows are a candidate.
    """
    theta, floor = combined_fit(measured, M)
    every = [np.zeros(len(M), dtype=np.intp), *candidates]
    found = [losses(measured, theta, order, every) for order in orders]
    distance = np.array([each.distance for each in found])
    allowed = distance.copy()
    if none_too:
        allowed[np.array([_clearly_worse(each, measured.domains[0]) for each in found])] = np.inf
    else:
        allowed[:, 0] = np.inf
    draw, best = divmod(int(np.argmin(allowed)), len(every))
    m, unit = every[best], len(measured.root) * floor
    rows = [np.asarray(o)[:k] for o, k in zip(orders[draw], m, strict=True)]
    return Choice(m, rows, (distance[draw, best] + unit) / 2, (distance[0, 0] + unit) / 2)


def _clearly_worse(found: Losses, target: Rows) -> NDArray[np.bool_]:
    """Return which candidates predict left-out target rows worse than the first, beyond error.

    It takes no model of how domains differ to see this, only target rows. Where these are fewer
    than coefficients, such a model is all guess, and to be worse at all is enough.
    """
    threshold = 0.0 if is_small(target) else 1.0
    return safeguard.clearly_worse(found.left_out, target.weight, threshold)
