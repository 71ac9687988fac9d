"""How many rows, and which, from rows of all domains: OTQMS and UOWQ for any model.

Notation (arXiv 2502.04242v3)
-----------------------------
K sources, index 0 the target; p columns of the design (the first is the intercept's, which is
borrowed with the slopes: whoever fits stacked rows shares it), q columns of the response;
P = p q coefficients theta, in the order of ``B.ravel()`` with B (p, q).
H_i (P, P) : information of all rows of domain i. A_i = H_i + penalty I.
b_i (P,) : ``H_i theta_i`` plus the score at theta_i, so that ``A_i^{-1} b_i`` is domain i's fit.
J (P, P) : information of one row, mean over domains, at the target's coefficients.
X (n, p) of a domain's `Rows` holds the columns of the design, Y (n, q) its responses.
v_i, M, m : variance, discrepancy and quantities, as in ``discrepancy`` and ``allocation``.

The model in which domains are compared (the family) is linear, logistic or Poisson, whatever
estimator is trained on the rows in the end; it decides from whom, not what is predicted.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from skt.core import allocation, discrepancy, families, glm, least_squares
from skt.core._typing import Array
from skt.core.families import Gaussian
from skt.core.rows import Rows

# Penalty of logistic and Poisson fits on standardised columns: without it a small target's fit
# may not exist. The constant column has this size, so that the intercept is hardly penalised.
PENALTY, CONSTANT = 1.0, 10.0

# Fits only have to be more accurate than their sampling error.
FIT_TOL = 1e-5

# Numbers in the matrices of the sources that are decomposed at once: many small ones, one large.
SOLVED_AT_ONCE = 10**6
# With more coefficients a source is decomposed in the span of its rows.
MOST_TOGETHER = 64


class Evidence(NamedTuple):
    """What some rows say of the coefficients, to second order about a point."""

    information: Array  # (P, P)
    score: Array  # (P,)

    def __add__(self, other: "Evidence") -> "Evidence":  # type: ignore[override]
        return Evidence(self.information + other.information, self.score + other.score)


class Fits(NamedTuple):
    """Fits of all domains, each to its own rows."""

    domains: list[Rows]  # what is chosen from, responses in units of the target's noise
    theta: Array  # (K+1, P)
    parts: list[Evidence]
    spread: list[Array]  # covariance of each domain's score, (P, P)
    noise: Array  # (K+1,) variances relative to the target's
    df: float  # of the noise variance
    penalties: Array  # (K+1,)
    spectra: list[tuple[Array, Array]] | None = None  # of each source's information, if known


class Measured(NamedTuple):
    """Domains compared: each with its fit, all in the metric of the target's information."""

    family: families.Family
    domains: list[Rows]  # responses in units of the target's noise where the family is linear
    information: Array  # (K+1, P, P)
    b: Array  # (K+1, P)
    root: Array  # (r, P), root'root = J
    D: Array  # (d, K) whitened differences from the target
    v: Array  # (K+1,)
    n: Array  # (K+1,) rows
    noise: Array  # (K+1,) variances relative to the target's
    df: float  # of the noise variance
    penalty: float

    @property
    def programme_rows(self) -> Array:
        """Rows as the programme counts them, (K+1,): a small target informs less than n_0 says.

        ``v_0 = 1/n_0`` only where n_0 is large; least squares has ``1/(n_0 - p - 1)``.
        """
        return np.concatenate(([min(self.n[0], 1 / self.v[0])], self.n[1:]))

    @property
    def worth(self) -> Array:
        """Rows in units of a target row's information, (K+1,): what weights are computed from."""
        return self.n / self.noise


def design(X: Array, weight: Array) -> Array:
    """Return a constant column, then the columns of X standardised over all rows, (n, p)."""
    mean = np.average(X, axis=0, weights=weight)
    centred = X - mean
    scale = np.sqrt(np.average(centred**2, axis=0, weights=weight))
    varies = scale > 64 * np.finfo(float).eps * np.abs(mean)
    Z = np.divide(centred, scale, out=np.zeros_like(centred), where=varies)
    return np.column_stack([np.full(len(X), CONSTANT), Z])


def evidence_of(family: families.Family, theta: Array, rows: Rows) -> Evidence:
    """Return information and score of rows at theta."""
    eta = rows.X @ theta.reshape(rows.X.shape[1], -1)
    total = np.sum(rows.weight)
    if total == 0:
        return Evidence(np.zeros((len(theta), len(theta))), np.zeros(len(theta)))
    information = total * glm.fisher_information(family, eta, rows.X, rows.weight)
    residual = rows.weight[:, None] * (rows.Y - family.mean(eta))
    return Evidence(information, (rows.X.T @ residual).ravel())


# --- how far domains differ -----------------------------------------------------------------


def measure(
    family: families.Family, domains: Sequence[Rows], target_response: Array | None = None
) -> Measured:
    """Fit every domain and compare it with the target.

    ``target_response`` (n_0, q) takes the place of the target's outcomes in its fit, for
    instance predictions of a trained model (the paper's dynamic version).
    """
    given = list(domains)
    if target_response is not None:
        given[0] = given[0]._replace(Y=target_response)
    compare = _compare_linear if isinstance(family, Gaussian) else _compare_glm
    return compare(family, list(domains), given)


def _compare_glm(family: families.Family, domains: list[Rows], given: list[Rows]) -> Measured:
    theta = [_fit(family, given[0])]
    # Where a source says nothing it is given the target's coefficients.
    theta += [_fit(family, rows, theta[0]) for rows in given[1:]]
    parts = [evidence_of(family, t, r) for t, r in zip(theta, given, strict=True)]
    J = np.mean([evidence_of(family, theta[0], r).information / r.n for r in given], axis=0)
    spread = [
        _score_products(family, t, r, part.information)
        for t, r, part in zip(theta, domains, parts, strict=True)
    ]
    unit = np.ones(len(domains))
    fits = Fits(domains, np.array(theta), parts, spread, unit, np.inf, PENALTY * unit)
    return _compare(family, fits, J)


def _score_products(family: families.Family, theta: Array, rows: Rows, information: Array) -> Array:
    """Return the sum of products of the scores of single rows, (P, P).

    A penalised fit is less sure than the classes are, so that the model's own variance would
    overstate the noise; and counts vary more than a Poisson's. What is observed does not. Only
    outcomes that are fitted exactly, such as counts all one, show none, and have the model's.
    """
    eta = rows.X @ theta.reshape(rows.X.shape[1], -1)
    each = np.sqrt(rows.weight)[:, None] * glm.scores(family, eta, rows.X, rows.Y)
    products = each.T @ each
    return products if np.trace(products) > 1e-9 * np.trace(information) else information


def _fit(family: families.Family, rows: Rows, centre: Array | None = None) -> Array:
    """Return the fit with total penalty ``PENALTY ||B - centre||^2 / 2``, as (P,)."""
    fit = glm.fit(
        family,
        rows.X,
        rows.Y,
        alpha=PENALTY / (2 * rows.n),
        weight=rows.weight,
        centre=None if centre is None else centre.reshape(rows.X.shape[1], -1),
        intercept=False,
        tol=FIT_TOL,
    )
    return fit.coef.ravel()


def _compare_linear(family: families.Family, domains: list[Rows], given: list[Rows]) -> Measured:
    """Compare least squares fits, of the target ridge where it has too few rows."""
    Sxx = np.array([(r.X * r.weight[:, None]).T @ r.X for r in given])
    Sxy = np.array([(r.X * r.weight[:, None]).T @ r.Y for r in given])
    penalty = _target_penalty(given[0])
    W_0 = least_squares.ridge(Sxx[0], Sxy[0], penalty)
    rest = Sxy[1:] - Sxx[1:] @ W_0
    spectra = None
    if Sxx.shape[1] > MOST_TOGETHER and Sxy.shape[2] == 1:
        spectra, steps = _by_rows(given[1:], Sxx[1:], rest)
        ranks = np.array([len(s) for s, _ in spectra])
    else:
        steps, ranks = least_squares.least_norm(Sxx[1:], rest), least_squares.ranks(Sxx[1:])
    W = np.concatenate([W_0[None], W_0 + steps])
    unit, noise, df = _noise_ratios(given, W, Sxx[0], ranks, penalty)
    q = len(unit)
    information = _by_output(Sxx / noise[:, None, None], q)
    score = ((Sxy - Sxx @ W) / unit / noise[:, None, None]).reshape(len(W), -1)
    parts = [Evidence(*each) for each in zip(information, score, strict=True)]
    rows = np.array([r.n for r in given])
    J = _by_output(np.mean(Sxx / rows[:, None, None], axis=0)[None], q)[0]
    theta = (W / unit).reshape(len(W), -1)
    scaled = [rows._replace(Y=rows.Y / unit) for rows in domains]
    spread = [part.information for part in parts]
    penalties = np.where(np.arange(len(domains)) == 0, penalty, 0.0)
    if spectra is not None:
        spectra = [(e / v, U) for (e, U), v in zip(spectra, noise[1:], strict=True)]
    fits = Fits(scaled, theta, parts, spread, noise, df, penalties, spectra)
    if penalty == 0:
        return _compare(family, fits, J)
    target = given[0]._replace(Y=given[0].Y / unit)
    return _compare(family, fits, J, partial(_differences_of_rows, target))


def _by_rows(
    sources: list[Rows], Sxx: Array, rest: Array
) -> tuple[list[tuple[Array, Array]], Array]:
    """Return spectra of the scatter matrices, and least squares of ``rest`` (K, p, 1), from rows.

    In the span of a source's rows, which for wide tables is much less than all columns.
    """
    spectra, steps = [], np.zeros_like(rest)
    for k, (rows, scale) in enumerate(zip(sources, least_squares.column_scale(Sxx), strict=True)):
        X = rows.X * np.sqrt(rows.weight)[:, None]
        spectra.append(least_squares.spectrum_of_rows(X))
        s, U = least_squares.spectrum_of_rows(X / scale)
        steps[k] = ((U / s) @ (U.T @ (rest[k] / scale[:, None]))) / scale[:, None]
    return spectra, steps


def _by_output(A: Array, q: int) -> Array:
    """Return ``A_k kron I`` over q outputs, (m, p q, p q) for (m, p, p)."""
    m, p = A.shape[:2]
    return A if q == 1 else np.einsum("kij,cd->kicjd", A, np.eye(q)).reshape(m, p * q, p * q)


def is_small(target: Rows) -> bool:
    """Whether the target has fewer rows than columns and two, which least squares takes."""
    return target.n < target.X.shape[1] + 2


def _target_penalty(target: Rows) -> float:
    """Return no penalty with two rows more than columns, else leave-one-out's."""
    if not is_small(target):
        return 0.0
    Sxx = (target.X * target.weight[:, None]).T @ target.X
    grid = least_squares.penalty_grid(least_squares.mean_eigenvalue(Sxx))
    path = least_squares.ridge_path(target.X, target.Y, grid, target.weight, intercept=False)
    return float(path.penalties[path.best])


def _noise_ratios(
    given: list[Rows], W: Array, Sxx_0: Array, ranks: Array, penalty: float
) -> tuple[Array, Array, float]:
    """Return the target's noise per output (q,), variances relative to it, degrees of freedom.

    Outputs share the ratios between domains; variances are moderated as in ``discrepancy``.
    """
    squares = np.array(
        [r.weight @ (r.Y - r.X @ w) ** 2 for r, w in zip(given, W, strict=True)]
    )  # (K+1, q)
    spectrum = least_squares.eigenspectrum(Sxx_0)[0]
    used = np.append(np.sum(spectrum / (spectrum + penalty)), ranks)
    df = np.array([r.n for r in given]) - used
    df = np.where(df < 1, 0.0, df)
    size = np.array([r.weight @ (r.Y - r.weight @ r.Y / np.sum(r.weight)) ** 2 for r in given])
    floor = 1e-12 * size.sum(axis=0) / sum(r.n for r in given) + 1e-300
    if df.sum() == 0:  # nobody has residuals; half the variance is taken for noise
        return np.sqrt(np.maximum(size[0] / given[0].n / 2, floor)), np.ones(len(given)), 1.0
    pooled = np.maximum(squares[df > 0].sum(axis=0) / df.sum(), floor)
    s2 = np.mean(squares / pooled, axis=1) / np.where(df > 0, df, 1.0)
    known = (df > 0) & (s2 > 1e-9)
    if not known.any():
        return np.sqrt(pooled), np.ones(len(given)), float(df.sum())
    v, target_df = discrepancy.moderated_variances(np.where(known, s2, 0.0), df * len(pooled))
    return np.sqrt(pooled * v[0]), v / v[0], target_df


def _compare(
    family: families.Family,
    fits: Fits,
    J: Array,
    differences: Callable[[Array, Fits], tuple[Array, Array]] | None = None,
) -> Measured:
    """Return what is known of the domains, in the metric of J."""
    root = _root(J)
    D, v = (differences or _differences)(root, fits)
    return Measured(
        family,
        fits.domains,
        np.array([part.information for part in fits.parts]),
        np.array(
            [e.information @ t + e.score for e, t in zip(fits.parts, fits.theta, strict=True)]
        ),
        root,
        D,
        v,
        np.array([rows.n for rows in fits.domains]),
        fits.noise,
        fits.df,
        float(fits.penalties[0]),
    )


def _differences(root: Array, fits: Fits) -> tuple[Array, Array]:
    """Return whitened differences (d, K) as the target's own data show them, and variances (K+1,).

    A penalised target sees coefficients through ``S_0 = A_0^{-1} H_0``; so that shrinkage does
    not pass for a difference, sources are shrunk alike. What the target, or a source, does not
    see is taken to differ as the rest does: differences are scaled up by the share seen.
    """
    target = _Solver.of(fits.parts[0].information, fits.penalties[0])
    S_0 = target.seen
    d = _seen_size(S_0)
    v_0 = _noise_in(root, target, fits.spread[0])
    stretch, v = [], []
    for solver, spread in _of_sources(fits):
        U = solver.U
        seen = np.swapaxes(U, 1, 2) @ (S_0 @ U) * (solver.e * solver.inverse)[:, None, :]
        stretch.append(d / np.maximum(np.einsum("kij,kji->k", seen, seen), 1.0))
        v.append(stretch[-1] * _noise_in(root @ S_0, solver, spread))
    gaps = S_0 @ fits.theta[1:].T - fits.theta[0][:, None]
    D = root @ gaps * np.sqrt(np.concatenate(stretch))
    return _compressed(D, d), np.append(v_0, np.concatenate(v)) / d


def _of_sources(fits: Fits) -> Iterator[tuple["_Solver", Array | None]]:
    """Yield solvers of several sources at once, and the covariances of their scores.

    None stands for a covariance that is the information itself.
    """
    if fits.spectra is not None:
        for (e, U), penalty in zip(fits.spectra, fits.penalties[1:], strict=True):
            yield _Solver(e[None], U[None], penalty), None
        return
    P = fits.theta.shape[1]
    size = max(1, SOLVED_AT_ONCE // P**2)
    for start in range(1, len(fits.parts), size):
        here = slice(start, start + size)
        information = np.array([part.information for part in fits.parts[here]])
        yield _Solver.of(information, fits.penalties[here]), np.array(fits.spread[here])


def _differences_of_rows(target: Rows, root: Array, fits: Fits) -> tuple[Array, Array]:
    """Return differences as residuals of the target's rows under each source's fit.

    For a target with fewer rows than coefficients, whose own fit has to be penalised: it may see
    next to nothing, and what is not seen would pass for being alike. A residual of source i has
    the covariance ``1 + p M_ij + (i = j) z' C_i z`` with that of source j, so that rows of
    ``residual / sqrt(p)`` (n_0 q, K) take the place of the rows of whitened coefficients.
    """
    q = target.Y.shape[1]
    p, P = len(root) / q, len(root)
    B = fits.theta[1:].reshape(len(fits.theta) - 1, -1, q)
    residual = target.Y - target.X @ B  # (K, n_0, q)
    D = (np.sqrt(target.weight)[:, None] * residual).reshape(len(B), -1).T / np.sqrt(p)
    v = [_noise_in(root, solver, spread) / P for solver, spread in _of_sources(fits)]
    return D, np.concatenate([[1 / p], *v])


def _seen_size(S: Array) -> float:
    """Return how many coefficients are seen through S, at least one."""
    return max(float(np.trace(S @ S)), 1.0)


class _Solver:
    """Fits with a penalty: inverse of ``A = H + penalty I`` where H informs, nothing elsewhere.

    H = ``U diag(e) U'`` may be a stack (m, P, P), of as many domains with a penalty each.
    """

    def __init__(self, e: Array, U: Array, penalty: Array | float) -> None:
        largest = np.max(e, axis=-1, keepdims=True, initial=0.0)
        seen = e > 1e-10 * np.maximum(largest, 1e-300)
        total = e + np.asarray(penalty)[..., None]
        self.e, self.U = e, U
        self.inverse = np.divide(1.0, total, out=np.zeros_like(e), where=seen)

    @classmethod
    def of(cls, H: Array, penalty: Array | float) -> "_Solver":
        """Return the solver of information that is not decomposed."""
        return cls(*np.linalg.eigh(H), penalty)

    @property
    def seen(self) -> Array:
        """``A^{-1} H``, the part of the coefficients that the fit sees, (..., P, P)."""
        part: Array = (self.U * (self.e * self.inverse)[..., None, :]) @ np.swapaxes(self.U, -1, -2)
        return part

    def solve(self, b: Array) -> Array:
        """Return ``A^{-1} b`` for b (P, k)."""
        found: Array = (self.U * self.inverse[..., None, :]) @ (np.swapaxes(self.U, -1, -2) @ b)
        return found


def _noise_in(root: Array, solver: _Solver, spread: Array | None) -> Array:
    """Return the total variance of ``root A^{-1} score`` for scores of covariance ``spread``."""
    if spread is None:
        squares = np.sum((root @ solver.U) ** 2, axis=-2)
        return np.asarray(np.sum(squares * solver.e * solver.inverse**2, axis=-1))
    R = solver.solve(root.T)
    return np.asarray(np.sum(R * (spread @ R), axis=(-2, -1)))


def _root(J: Array) -> Array:
    """Return R (r, P) with ``R'R = J``."""
    e, U = np.linalg.eigh(J)
    seen = e > 1e-10 * max(e[-1], 1e-300)
    return np.sqrt(e[seen])[:, None] * U[:, seen].T


def _compressed(D: Array, d: float) -> Array:
    """Return rows with the same mean products as D (r, K), but about as many as the d seen.

    Only ``D'D / d`` and d enter the likelihood, d as the number of rows.
    """
    R: Array = np.asarray(np.linalg.qr(D, mode="r"))
    rows = max(round(d), len(R))
    return np.vstack([R, np.zeros((rows - len(R), R.shape[1]))]) * np.sqrt(rows / d)


def discrepancy_matrix(measured: Measured, rule: str) -> Array:
    """Return M: "plugin", raw differences (the paper), or "eb", guarded maximum likelihood.

    Without the prior of the offset: rows are taken whole, so that to believe in sources because
    they agree costs more here than where weights shrink.
    """
    D, d = measured.D, len(measured.D)
    if rule == "plugin" or d <= 2:
        return discrepancy.plug_in(D)
    exponent = discrepancy.james_stein_exponent(d, measured.df)
    return discrepancy.variance_components(D, measured.v, exponent, offset_exponent=0.0).discrepancy


def source_weights(measured: Measured, M: Array) -> tuple[Array, float]:
    """Return UOWQ's weight of one row of every source (K,), and its risk per parameter."""
    shares = allocation.optimal_shares(measured.worth, M)
    weights = allocation.weights_from_shares(shares, measured.n)
    return weights, allocation.share_risk(shares, measured.worth, M)
