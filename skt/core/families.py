"""Families of responses: linear, logistic, Poisson.

Notation: eta (n, q) is the linear predictor, Y (n, q) the response; all is given by rows.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, softmax

from skt.core._typing import Array


class Family(Protocol):
    """What a fit needs to know of a distribution; all by rows of eta (n, q)."""

    def loss(self, eta: Array, Y: Array) -> Array:
        """Return minus the log-likelihood of every row, (n,)."""

    def mean(self, eta: Array) -> Array:
        """Return the expected response, (n, q)."""

    def variance(self, eta: Array) -> Array:
        """Return the covariance of the response, (n, q, q): the weights of Newton's method."""

    def link(self, mean: Array) -> Array:
        """Return eta at which a mean (q,) is expected."""


class Logistic:
    """Bernoulli for one column, multinomial for several."""

    def loss(self, eta: Array, Y: Array) -> Array:
        """Return minus the log-likelihood of every row, (n,)."""
        if eta.shape[1] == 1:
            return (np.logaddexp(0.0, eta) - Y * eta)[:, 0]
        return -np.sum(Y * log_softmax(eta, axis=1), axis=1)

    def mean(self, eta: Array) -> Array:
        """Return probabilities, (n, q)."""
        return expit(eta) if eta.shape[1] == 1 else softmax(eta, axis=1)

    def variance(self, eta: Array) -> Array:
        """Return ``diag(m) - m m'`` of every row, (n, q, q)."""
        m = self.mean(eta)
        return _diagonals(m) - m[:, :, None] * m[:, None, :]

    def link(self, mean: Array) -> Array:
        """Return the logit; of several classes, the logarithm less its mean."""
        mean = np.clip(mean, 1e-6, 1 - 1e-6)
        return np.log(mean) - (np.log1p(-mean) if len(mean) == 1 else np.mean(np.log(mean)))


class Offered(Logistic):
    """Multinomial among some of the classes: the others cannot occur, and rows do not say why."""

    def __init__(self, which: NDArray[np.bool_]) -> None:
        self.barrier = np.where(which, 0.0, -1e9)

    def loss(self, eta: Array, Y: Array) -> Array:
        """Return minus the log-likelihood of every row, (n,)."""
        return super().loss(eta + self.barrier, Y)

    def mean(self, eta: Array) -> Array:
        """Return probabilities, zero of classes that are not offered, (n, q)."""
        return super().mean(eta + self.barrier)


class Poisson:
    """Counts with a log link."""

    def loss(self, eta: Array, Y: Array) -> Array:
        """Return minus the log-likelihood of every row, (n,)."""
        with np.errstate(over="ignore"):
            return np.sum(np.exp(eta) - Y * eta, axis=1)

    def mean(self, eta: Array) -> Array:
        """Return rates, (n, q)."""
        with np.errstate(over="ignore"):
            return np.exp(eta)

    def variance(self, eta: Array) -> Array:
        """Return the rates as diagonals, (n, q, q)."""
        return _diagonals(self.mean(eta))

    def link(self, mean: Array) -> Array:
        """Return the logarithm of the rate."""
        return np.log(np.maximum(mean, 1e-6))


LOGISTIC, POISSON = Logistic(), Poisson()


def indicators(codes: NDArray[np.integer], n_classes: int) -> Array:
    """Return classes 0..C-1 as responses: (n, 1) for two of them, else (n, C)."""
    Y = np.eye(n_classes)[codes]
    return Y[:, 1:] if n_classes == 2 else Y


def _diagonals(m: Array) -> Array:
    """Return rows (n, q) as diagonal matrices (n, q, q)."""
    return m[:, :, None] * np.eye(m.shape[1])


class Gaussian:
    """Unit noise variance and identity link, for use where ``glm`` takes a family."""

    def loss(self, eta: Array, Y: Array) -> Array:
        """Return half the squared error of every row, (n,)."""
        return np.sum((Y - eta) ** 2, axis=1) / 2

    def mean(self, eta: Array) -> Array:
        """Return the expected response, (n, q)."""
        return eta

    def variance(self, eta: Array) -> Array:
        """Return identity matrices, (n, q, q)."""
        return np.broadcast_to(np.eye(eta.shape[1]), (*eta.shape, eta.shape[1]))

    def link(self, mean: Array) -> Array:
        """Return the mean."""
        return mean


GAUSSIAN = Gaussian()
