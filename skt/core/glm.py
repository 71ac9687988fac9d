"""Exponential families with canonical links: fit towards a centre, score, Fisher information.

Notation
--------
n, p, q : rows, features, columns of the linear predictor.
X (n, p), Y (n, q), B (p, q) : features, responses, coefficients; b (q,) the intercept.
eta = X B + b + offset : linear predictor, (n, q).
w (n,) : weights, which count rows; their sum stands for n.

    F(B, b) = (1/n) sum_i w_i loss(eta_i, Y_i) + alpha ||B - centre||^2                        (G1)

The loss is minus the log-likelihood of a row up to a term in y alone. Links are canonical, so
that its derivatives by eta are ``mean(eta) - y`` and the variance of y. The intercept is free.

Logistic : two classes are one column of zeros and ones (one coefficient vector); C > 2 classes
    are C columns of indicators (softmax, all classes alike), as in scikit-learn.
Poisson : log link; columns are independent.

Correspondence: LogisticRegression(C=1 / (2 n alpha)), PoissonRegressor(alpha=2 alpha).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize

from skt.core._typing import Array
from skt.core.families import Family

# Above this number of free coefficients a Hessian costs more than the steps it saves.
NEWTON_SIZE = 1500


def linear_predictor(
    X: Array, coef: Array, intercept: Array | float = 0.0, offset: Array | float = 0.0
) -> Array:
    """Return eta, (n, q)."""
    return X @ coef + intercept + offset


def negative_log_likelihood(family: Family, eta: Array, Y: Array, weight: Array) -> float:
    """Return the weighted mean loss."""
    return float(weight @ family.loss(eta, Y) / np.sum(weight))


def objective(
    family: Family,
    coef: Array,
    intercept: Array,
    X: Array,
    Y: Array,
    *,
    alpha: float,
    weight: Array | None = None,
    centre: Array | float = 0.0,
    offset: Array | float = 0.0,
) -> float:
    """Return (G1)."""
    weight = np.ones(len(X)) if weight is None else weight
    eta = linear_predictor(X, coef, intercept, offset)
    distance = float(np.sum((coef - centre) ** 2))
    penalty = alpha * distance if distance > 0 else 0.0
    return negative_log_likelihood(family, eta, Y, weight) + penalty


def scores(family: Family, eta: Array, X: Array, Y: Array) -> Array:
    """Return gradients of the log-likelihood of every row by B, (n, p q) in the order of B."""
    return (X[:, :, None] * (Y - family.mean(eta))[:, None, :]).reshape(len(X), -1)


def fisher_information(
    family: Family, eta: Array, X: Array, weight: Array | None = None, *, intercept: bool = False
) -> Array:
    """Return the information of one row on B, (p q, p q) in the order of ``B.ravel()``.

    With ``intercept`` what is left of it when an unknown intercept is estimated as well.
    """
    weight = np.ones(len(X)) if weight is None else weight
    w = weight / np.sum(weight)
    V = w[:, None, None] * family.variance(eta)
    J = _information(X, V)
    if not intercept:
        return J
    across = _across(X, V)
    # The intercepts of several classes are known up to a constant: hence the pseudo-inverse.
    return J - across @ np.linalg.pinv(np.sum(V, axis=0), hermitian=True) @ across.T


class Fit(NamedTuple):
    """A minimiser of (G1) and how it was found."""

    coef: Array  # (p, q)
    intercept: Array  # (q,)
    objective: float
    n_iter: int
    converged: bool
    slope: float  # largest derivative where the search ended, in units of tol


def fit(
    family: Family,
    X: Array,
    Y: Array,
    *,
    alpha: float,
    weight: Array | None = None,
    centre: Array | None = None,
    offset: Array | float = 0.0,
    intercept: bool = True,
    tol: float = 1e-9,
    max_iter: int = 200,
    start: Fit | None = None,
) -> Fit:
    """Minimise (G1) over the coefficients and, if ``intercept``, a free intercept.

    ``alpha`` 0 finds the minimiser next to the centre, infinity keeps the centre. Separated
    classes at alpha 0 have no minimiser: the search ends where the likelihood is one to within
    ``tol``. Converged means that no derivative by a coefficient, of features in units of their
    root mean square, exceeds ``tol`` times the root mean square of the responses (at least 1).
    The search begins at ``start``, such as the fit of another penalty, if that is better than the
    centre and zero.
    """
    weight = np.ones(len(X)) if weight is None else weight
    w = weight / np.sum(weight)
    centre = np.zeros((X.shape[1], Y.shape[1])) if centre is None else centre
    mean = w @ X if intercept else np.zeros(X.shape[1])
    # The centre is an offset, and what is added to it lies in the span of the rows.
    base = (X - mean) @ centre + offset
    Z, basis = _span(X - mean, alpha)
    problem = _Problem(family, Z, Y, w, np.broadcast_to(base, Y.shape), alpha, intercept)
    near = None
    if start is not None:
        added = start.coef - centre if basis is None else basis.T @ (start.coef - centre)
        near = np.append(added, start.intercept + mean @ start.coef if intercept else [])
    end = problem.search(tol, max_iter, near)
    added, at_mean = problem.parts(end.x)
    coef = centre + (added if basis is None else basis @ added)
    return Fit(coef, at_mean - mean @ coef, end.value, end.n_iter, end.slope <= tol, end.slope)


class _End(NamedTuple):
    x: Array
    value: float
    n_iter: int
    slope: float


class _Problem:
    """(G1) in the coordinates that a search moves: what is added to the centre, the intercept."""

    def __init__(
        self,
        family: Family,
        Z: Array,
        Y: Array,
        w: Array,
        base: Array,
        alpha: float,
        intercept: bool,
    ) -> None:
        self.family, self.Z, self.Y, self.w, self.base = family, Z, Y, w, base
        self.alpha, self.intercept = (alpha if Z.shape[1] else 0.0), intercept
        self.shape = Z.shape[1], Y.shape[1]
        self.size = self.shape[0] * self.shape[1]
        root_mean_square = np.sqrt(w @ Z**2)
        unit = np.where(root_mean_square > 0, root_mean_square, 1.0)
        unit = np.repeat(unit, self.shape[1])
        self.unit = np.concatenate((unit, np.ones(self.shape[1] * intercept)))
        self.unit *= max(1.0, float(np.sqrt(np.mean(w @ Y**2))))

    def parts(self, x: Array) -> tuple[Array, Array]:
        """Return what is added to the centre (r, q), and the intercept (q,)."""
        b = x[self.size :] if self.intercept else np.zeros(self.shape[1])
        return x[: self.size].reshape(self.shape), b

    def eta(self, x: Array) -> Array:
        added, b = self.parts(x)
        return self.Z @ added + b + self.base

    def value(self, x: Array) -> float:
        loss = self.w @ self.family.loss(self.eta(x), self.Y)
        return float(loss + self.alpha * np.sum(x[: self.size] ** 2))

    def gradient(self, x: Array) -> Array:
        r = self.w[:, None] * (self.family.mean(self.eta(x)) - self.Y)
        by_coef = (self.Z.T @ r).ravel() + 2 * self.alpha * x[: self.size]
        return np.concatenate((by_coef, r.sum(axis=0))) if self.intercept else by_coef

    def hessian(self, x: Array) -> Array:
        V = self.w[:, None, None] * self.family.variance(self.eta(x))
        H = _information(self.Z, V) + 2 * self.alpha * np.eye(self.size)
        if not self.intercept:
            return H
        across = _across(self.Z, V)
        return np.block([[H, across], [across.T, V.sum(axis=0)]])

    def slope(self, gradient: Array) -> float:
        return float(np.max(np.abs(gradient / self.unit), initial=0.0))

    def start(self) -> Array:
        """Return the better of the centre with the intercept at the mean response, and zero."""
        x = np.zeros(self.size + self.shape[1] * self.intercept)
        if self.intercept:
            x[self.size :] = self.family.link(self.w @ self.Y) - self.w @ self.base
        return x if self.value(x) < self.value(np.zeros_like(x)) else np.zeros_like(x)

    def search(self, tol: float, max_iter: int, near: Array | None = None) -> _End:
        """Return where Newton's method ends, or L-BFGS if there are too many coefficients."""
        x = self.start()
        if near is not None and self.value(near) < self.value(x):
            x = near
        if len(x) > NEWTON_SIZE:
            return self._quasi_newton(x, tol, max_iter)
        value, gradient = self.value(x), self.gradient(x)
        for iteration in range(max_iter):
            if self.slope(gradient) <= tol:
                return _End(x, value, iteration, self.slope(gradient))
            step = -_newton_direction(self.hessian(x), gradient)
            x, value, moved = _line_search(self.value, x, step, value, float(gradient @ step))
            gradient = self.gradient(x)
            if not moved:
                break
        return _End(x, value, iteration + 1, self.slope(gradient))

    def _quasi_newton(self, x: Array, tol: float, max_iter: int) -> _End:
        """Search in the units in which derivatives are judged."""
        end = minimize(
            lambda z: (self.value(z / self.unit), self.gradient(z / self.unit) / self.unit),
            x * self.unit,
            jac=True,
            method="L-BFGS-B",
            options={"gtol": tol, "ftol": 0.0, "maxiter": 50 * max_iter, "maxfun": 100 * max_iter},
        )
        x = end.x / self.unit
        return _End(x, float(end.fun), int(end.nit), self.slope(self.gradient(x)))


def _line_search(
    value: Callable[[Array], float], x: Array, step: Array, start: float, slope: float
) -> tuple[Array, float, bool]:
    """Halve a step of descent until the value falls enough, to rounding."""
    slack = 4 * np.finfo(float).eps * (1 + abs(start))
    for halvings in range(60):
        t = 0.5**halvings
        end = value(x + t * step)
        if end <= start + 1e-4 * t * slope + slack:
            return x + t * step, end, True
    return x, start, False


def _span(X: Array, alpha: float) -> tuple[Array, Array | None]:
    """Return X in a basis (p, r) of the span of its rows where that is smaller; nothing at inf."""
    n, p = X.shape
    if np.isinf(alpha):
        return np.zeros((n, 0)), np.zeros((p, 0))
    if p <= n:
        return X, None
    L, s, Vt = np.linalg.svd(X, full_matrices=False)
    seen = s > p * np.finfo(float).eps * s.max(initial=0.0)
    return L[:, seen] * s[seen], Vt[seen].T


def _information(X: Array, V: Array) -> Array:
    """Return ``sum_i x_i x_i' kron V_i``, (p q, p q) in the order of ``B.ravel()``."""
    p, q = X.shape[1], V.shape[1]
    J = np.empty((p, q, p, q))
    for c in range(q):
        for d in range(c, q):
            J[:, c, :, d] = J[:, d, :, c] = X.T @ (V[:, c, d, None] * X)
    return J.reshape(p * q, p * q)


def _across(X: Array, V: Array) -> Array:
    """Return the information between coefficients and intercepts, (p q, q)."""
    return np.einsum("ni,ncd->icd", X, V).reshape(-1, V.shape[1])


def _newton_direction(H: Array, g: Array) -> Array:
    """Solve a positive semi-definite system; along what H does not see, next to nothing."""
    diagonal = np.diag(H)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    H = H / scale / scale[:, None]
    try:
        x = cho_solve(
            cho_factor(H + 1e-13 * len(H) * np.eye(len(H)), check_finite=False), g / scale
        )
    except LinAlgError:
        x = np.linalg.lstsq(H, g / scale, rcond=None)[0]
    return x / scale
