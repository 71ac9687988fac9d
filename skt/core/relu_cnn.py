"""A two-layer convolutional network whose filters can be inherited from another one.

Notation
--------
n, P, d : rows, patches of a row, entries of a patch; C classes; R filters.
X : (n, P, d) rows cut into patches; Y : (n, C) indicators of classes; v : (n,) weights of rows.
W : (R, d) filters; A : (R, C) second layer, fixed: ``1/m`` in the column of the filter's class,
    m being the number of filters of that class.

    F_c(x) = (1/m) sum_{r of class c} sum_p relu(<w_r, x_p>)                                  (D1)
    L(W) = sum_i v_i [log sum_c exp F_c(x_i) - F_{y_i}(x_i)] / sum_i v_i                      (D2)

With two classes ``F_1 - F_0`` is the network of arXiv 2509.22056 and L its logistic loss. (D1) is
positively homogeneous: filters multiplied by s >= 0 have outputs multiplied by s.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, softmax

from skt.core._typing import Array

# Root-mean-square response of a fresh filter to a patch: .01 on noise of variance one in 400
# dimensions, as in the paper's experiments, in units of the patches.
START = 0.2


class Descent(NamedTuple):
    """Filters where gradient descent stopped, and how it went."""

    filters: Array  # (R, d)
    losses: Array  # (n_iter + 1,) loss before every step, and at the end
    n_iter: int
    last_fall: float  # by how much the next step would lower the loss, to first order
    converged: bool


def second_layer(classes: Array, n_classes: int) -> Array:
    """Return A (R, C) of filters with the given codes of classes (R,)."""
    A = np.eye(n_classes)[classes]
    return A / np.maximum(A.sum(axis=0), 1.0)


def outputs(X: Array, W: Array, A: Array) -> Array:
    """Return F (n, C), equation (D1)."""
    return np.maximum(X @ W.T, 0.0).sum(axis=1) @ A


def objective(W: Array, X: Array, Y: Array, v: Array, A: Array) -> float:
    """Return L, equation (D2)."""
    F = outputs(X, W, A)
    return float(v @ (logsumexp(F, axis=1) - np.sum(Y * F, axis=1)) / v.sum())


def loss_gradient(W: Array, X: Array, Y: Array, v: Array, A: Array) -> Array:
    """Return the derivative of L by the filters (R, d)."""
    return _value_and_gradient(W, X.reshape(-1, X.shape[-1]), Y, v / v.sum(), A)[1]


def _value_and_gradient(W: Array, rows: Array, Y: Array, v: Array, A: Array) -> tuple[float, Array]:
    """Return L and its derivative; the patches of a row follow one another in ``rows``."""
    response = rows @ W.T  # (n P, R)
    n = len(Y)
    F = np.maximum(response, 0.0).reshape(n, -1, len(W)).sum(axis=1) @ A
    top = F.max(axis=1, keepdims=True)
    odds = np.exp(F - top)
    total = odds.sum(axis=1, keepdims=True)
    loss = float(v @ (top[:, 0] + np.log(total[:, 0]) - np.sum(Y * F, axis=1)))
    slope = (v[:, None] * (odds / total - Y)) @ A.T  # (n, R)
    active = (response > 0).reshape(n, -1, len(W)) * slope[:, None]
    return loss, active.reshape(-1, len(W)).T @ rows


def step_size(X: Array, v: Array, A: Array) -> float:
    """Return one over a bound on the curvature of L while no filter changes its sign on a patch.

    The second derivative of the loss by F is at most 1/2, and
    ``(sum_p <w, x_p>)^2 <= P sum_p <w, x_p>^2``.
    """
    n, P, d = X.shape
    rows = (np.sqrt(v / v.sum())[:, None, None] * X).reshape(n * P, d)
    small = rows @ rows.T if n * P < d else rows.T @ rows
    largest = float(np.linalg.eigvalsh(small)[-1])
    bound = 0.5 * float(A.max(initial=0.0)) * P * largest
    return 1.0 / bound if bound > 0 else 1.0


def descend(
    X: Array, Y: Array, v: Array, W: Array, A: Array, *, step: float, max_iter: int, tol: float
) -> Descent:
    """Minimise L by full-batch gradient descent from W.

    It stops where a step would lower the loss by less than ``tol`` to first order, that is
    ``step ||gradient||^2 < tol``, or after ``max_iter`` steps. Filters move in the span of the
    patches only, so that everything happens in min(n P, d) coordinates.
    """
    rows, basis = _coordinates(X.reshape(-1, X.shape[-1]))
    inside = W @ basis
    moved, v = inside.copy(), v / v.sum()
    loss, slope = _value_and_gradient(moved, rows, Y, v, A)
    losses, fall = [loss], step * float(np.sum(slope**2))
    while fall >= tol and len(losses) <= max_iter:
        moved = moved - step * slope
        loss, slope = _value_and_gradient(moved, rows, Y, v, A)
        losses.append(loss)
        fall = step * float(np.sum(slope**2))
    filters = W + (moved - inside) @ basis.T
    return Descent(filters, np.array(losses), len(losses) - 1, fall, fall < tol)


def _coordinates(rows: Array) -> tuple[Array, Array]:
    """Return rows in an orthonormal basis of their span, and the basis (d, min(rows, d))."""
    if len(rows) >= rows.shape[1]:
        return rows, np.eye(rows.shape[1])
    basis, triangle = np.linalg.qr(rows.T)
    return triangle.T, basis


def fresh_filters(rng: np.random.RandomState, n_filters: int, X: Array, v: Array) -> Array:
    """Draw filters (n_filters, d) with responses of size `START` to the patches of X."""
    size = float(np.sqrt(v @ np.mean(np.sum(X**2, axis=2), axis=1) / v.sum()))
    return rng.standard_normal((n_filters, X.shape[2])) * (START / size if size > 0 else START)


def response_size(X: Array, W: Array) -> Array:
    """Return the root-mean-square sum of responses of each filter to rows (R,)."""
    return np.sqrt(np.mean(np.maximum(X @ W.T, 0.0).sum(axis=1) ** 2, axis=0))


def output_size(X: Array, W: Array, A: Array, v: Array) -> float:
    """Return the root-mean-square difference of the outputs of two classes.

    Of C classes ``sqrt(2 sum_c (F_c - mean F)^2 / (C - 1))``: ``|F_1 - F_0|`` of two.
    """
    F = outputs(X, W, A)
    spread = 2 * np.sum((F - F.mean(axis=1, keepdims=True)) ** 2, axis=1) / (F.shape[1] - 1)
    return float(np.sqrt(v @ spread / v.sum()))


def log_loss(F: Array, Y: Array) -> Array:
    """Return minus the log-likelihood of each row (n,)."""
    return logsumexp(F, axis=1) - np.sum(Y * F, axis=1)


def probabilities(F: Array) -> Array:
    """Return the probabilities of classes (n, C)."""
    return softmax(F, axis=1)
