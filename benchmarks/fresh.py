"""Linear transfer in 53 simulated designs that no method was chosen on, with known truth.

    python -m benchmarks fresh [--methods NAME ...] [--designs PATTERN ...]
                               [--seeds choose|report] [--repeats 20]

prints excess prediction risks relative to the target alone (RidgeCV on standardised columns);
``fresh_designs`` is recorded.

Notation. d features, n target rows, K sources of m rows. The target has y = x'b + e, x ~ N(0, S),
e of variance v; source k has the coefficients c_k b + o_k. An offset of size x has
o'So = x v d / n: the source's bias does x times the harm of the target's own noise. Excess risk
is (b^ - b)'S(b^ - b) + (mean error)^2, exact for methods that predict affinely, else a mean
over 4,000 rows without noise.
"""

import argparse
import time
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
from sklearn.preprocessing import StandardScaler

from benchmarks import ratios, rivals
from benchmarks.data import Split
from benchmarks.harness import load

TEST_ROWS = 4000


class Sample(NamedTuple):
    """One draw of a design; ``y_test`` has no noise."""

    X: np.ndarray
    y: np.ndarray
    sample_domain: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    coef: np.ndarray | None  # None where the truth is not linear
    covariance: np.ndarray
    mean: np.ndarray

    def rows(self, which):
        """Return the numbers of the training rows of the target, the sources, or all."""
        return Split(*self[:5]).rows(which)

    def risk(self, fitted):
        """Return the excess prediction risk."""
        coef, intercept = affine(fitted, len(self.mean))
        if self.coef is None or not agrees(fitted, coef, intercept, self.X_test[:5]):
            return float(np.mean((fitted.predict(self.X_test) - self.y_test) ** 2))
        error = coef - self.coef
        return float(error @ self.covariance @ error + (intercept + self.mean @ error) ** 2)


def affine(fitted, d):
    """Return coefficients and intercept of a model from its predictions."""
    predicted = np.ravel(fitted.predict(np.vstack([np.zeros(d), np.eye(d)])))
    return predicted[1:] - predicted[0], predicted[0]


def agrees(fitted, coef, intercept, X):
    found = np.ravel(fitted.predict(X))
    return np.allclose(found, X @ coef + intercept, rtol=1e-6, atol=1e-6 * np.std(found))


@dataclass(frozen=True)
class Design:
    """How a target and its sources are related.

    Parameters
    ----------
    d, n, K, m : int
        Features, target rows, sources and rows of each.
    offset : float or tuple
        Size x of every source's offset; a tuple is repeated until it reaches K.
    scale : float or tuple
        Multiple c of the target's coefficients, likewise.
    shared : float
        Part of the offsets' squared length that all sources have in common.
    sparse : int
        Number of features in which offsets lie; 0: all.
    signal : float
        b'Sb / v.
    condition, same_design
        Condition of the covariances, and whether sources have the target's.
    noise : float
        Noise variance of sources over that of the target.
    shift : float
        Length of the difference of feature means, in standard deviations of one feature.
    tails : {"normal", "t3"}
        Of the noise.
    spoilt : {"", "y", "leverage", "shuffled", "times 10"}
        What is wrong with sources: five rows in a hundred have outcomes at ten standard
        deviations; as many have rows ten times as long; outcomes are shuffled; are in other units.
    n_spoilt : int
        How many sources are spoilt; 0: all.
    truth : {"linear", "curved"}
        "curved" adds the same squares and products in all domains.
    features : {"normal", "binary", "units"}
        "binary" cuts at quantiles .5 to .9; "units" multiplies columns by 1e-3 to 1e3.
    """

    d: int
    n: int
    K: int = 3
    m: int = 200
    offset: float | tuple = 0.0
    scale: float | tuple = 1.0
    shared: float = 0.0
    sparse: int = 0
    signal: float = 2.0
    condition: float = 10.0
    same_design: bool = True
    noise: float = 1.0
    shift: float = 0.0
    tails: str = "normal"
    spoilt: str = ""
    n_spoilt: int = 0
    truth: str = "linear"
    features: str = "normal"

    def __call__(self, rng):
        """Draw one sample."""
        S = covariance(rng, self.d, self.condition)
        b = of_length(rng.normal(size=self.d), S, self.signal)
        common = rng.normal(size=self.d)
        domains = [self._rows(rng, self.n, S, b, np.zeros(self.d), 1.0)]
        for k in range(self.K):
            domains.append(self._source(rng, k, S, b, common))
        X_test, _, y_test = self._rows(rng, TEST_ROWS, S, b, np.zeros(self.d), 1.0)
        label = ["target", *(f"source {k}" for k in range(1, self.K + 1))]
        sizes = [len(X) for X, *_ in domains]
        X, y = (np.concatenate([each[i] for each in domains]) for i in (0, 1))
        units = self._units()
        linear = self.truth == "linear" and self.features != "binary"
        return Sample(
            X * units, y, np.repeat(label, sizes), X_test * units, y_test,
            b / units if linear else None, S * np.outer(units, units), np.zeros(self.d),
        )  # fmt: skip

    def _source(self, rng, k, S, b, common):
        own = S if self.same_design else covariance(rng, self.d, self.condition)
        coef = _at(self.scale, k) * b + self._offset(rng, k, S, common)
        mean = of_length(rng.normal(size=self.d), np.eye(self.d), self.shift**2)
        X, y, _ = self._rows(rng, self.m, own, coef, mean, self.noise)
        return self._spoil(rng, X, y) if k < (self.n_spoilt or self.K) else (X, y)

    def _offset(self, rng, k, S, common):
        """Return an offset of the size asked for, part of it common to all sources."""
        size, own = _at(self.offset, k) * self.d / self.n, rng.normal(size=self.d)
        if self.sparse:
            kept = rng.permutation(self.d)[: self.sparse]
            own[np.setdiff1d(np.arange(self.d), kept)] = 0.0
        parts = of_length(common, S, self.shared), of_length(own, S, 1 - self.shared)
        return np.sqrt(size) * sum(parts)

    def _rows(self, rng, n, S, coef, mean, variance):
        """Return features, outcomes, and outcomes without noise."""
        X = mean + rng.normal(size=(n, self.d)) @ np.linalg.cholesky(S).T
        if self.features == "binary":
            cuts = np.linspace(0.0, 1.3, self.d)  # quantiles .5 to .9
            X = (cuts * np.sqrt(np.diag(S)) < X).astype(float)
        clean = X @ coef
        if self.truth == "curved":
            clean = clean + 0.5 * (X[:, 0] ** 2 - 1) + 0.5 * X[:, 1] * X[:, 2]
        return X, clean + np.sqrt(variance) * self._noise(rng, n), clean

    def _noise(self, rng, n):
        return rng.standard_t(3, size=n) / np.sqrt(3) if self.tails == "t3" else rng.normal(size=n)

    def _spoil(self, rng, X, y):
        some = rng.permutation(len(X))[: max(1, len(X) // 20)]
        if self.spoilt == "y":
            y[some] = 10 * np.std(y) * rng.choice([-1, 1], size=len(some))
        if self.spoilt == "leverage":
            X[some] *= 10
        if self.spoilt == "shuffled":
            y = rng.permutation(y)
        return (X, 10 * y) if self.spoilt == "times 10" else (X, y)

    def _units(self):
        return np.geomspace(1e-3, 1e3, self.d) if self.features == "units" else np.ones(self.d)


def covariance(rng, d, condition):
    """Return a random covariance of a condition, its mean eigenvalue one."""
    Q, _ = np.linalg.qr(rng.normal(size=(d, d)))
    s = np.geomspace(1.0, condition, d) if d > 1 else np.ones(1)
    return (Q * (s / s.mean())) @ Q.T


def of_length(w, S, square):
    """Return a multiple of ``w`` with ``w'Sw`` equal to ``square``."""
    return w * np.sqrt(square / (w @ S @ w))


def _at(value, k):
    return value[k % len(value)] if isinstance(value, tuple) else value


# Designs ------------------------------------------------------------------------------------

MIXED, SPREAD = (0.0, 30.0), (0.1, 0.5, 2.0, 8.0, 30.0)

GROUPS = {
    "identical": [
        Design(3, 10, 1, 100), Design(10, 25, 3), Design(20, 60, 6), Design(60, 90, 2, 400),
    ],
    "small": [Design(6, 30, 3, offset=0.3), Design(20, 40, 5, offset=0.3)],
    "medium": [
        Design(3, 6, 2, 100, offset=1.0), Design(10, 30, 1, offset=1.0),
        Design(10, 60, 3, offset=3.0), Design(40, 60, 4, offset=2.0),
    ],
    "huge": [
        Design(4, 12, 3, offset=100.0), Design(10, 30, 5, offset=100.0),
        Design(30, 60, 8, offset=1000.0),
    ],
    "shared": [
        Design(4, 12, 5, offset=3.0, shared=1.0), Design(10, 30, 6, offset=2.0, shared=1.0),
        Design(5, 15, 8, offset=1.0, shared=0.8), Design(20, 60, 3, offset=10.0, shared=1.0),
    ],
    "mixed": [
        Design(10, 30, 2, offset=MIXED), Design(10, 30, 6, offset=MIXED),
        Design(20, 40, 8, offset=MIXED), Design(8, 24, 5, offset=SPREAD),
        Design(30, 60, 5, offset=SPREAD),
    ],
    "mirrored": [
        Design(10, 30, 1, offset=0.3, scale=-1.0), Design(10, 15, 2, offset=0.3, scale=-1.0),
        Design(40, 20, 3, offset=0.3, scale=-1.0), Design(12, 36, 4, offset=0.3, scale=(1.0, -1.0)),
    ],
    "scaled": [
        Design(12, 20, 3, scale=3.0), Design(12, 20, 3, scale=0.5),
        Design(20, 40, 4, offset=0.3, scale=(0.5, 1.0, 2.0)), Design(8, 48, 2, scale=0.0),
    ],
    "sparse": [
        Design(30, 45, 3, offset=3.0, sparse=2), Design(60, 40, 4, 120, offset=3.0, sparse=3),
        Design(20, 40, 3, offset=30.0, sparse=1),
    ],
    "unequal": [
        Design(10, 30, 3, same_design=False, condition=100.0),
        Design(10, 30, 3, offset=1.0, same_design=False, condition=100.0),
        Design(10, 30, 3, 30, offset=1.0, same_design=False, condition=100.0, noise=4.0),
        Design(20, 60, 4, offset=SPREAD, same_design=False, condition=100.0, noise=2.0),
        Design(10, 30, 3, offset=0.3, shift=2.0), Design(15, 30, 3, condition=1e4),
        Design(15, 30, 3, offset=1.0, condition=1e4, same_design=False),
    ],
    "wide": [
        Design(20, 10, 3, 100, offset=0.3), Design(60, 30, 3, 60, offset=0.5),
        Design(40, 20, 4, 60, offset=MIXED), Design(60, 30, 2, 60, scale=0.0),
    ],
    "noise": [
        Design(10, 30, 3, offset=0.3, tails="t3"), Design(10, 30, 3, offset=0.3, spoilt="y"),
        Design(10, 30, 3, offset=0.3, spoilt="leverage"), Design(10, 30, 3, signal=0.1),
    ],
    "units": [
        Design(10, 30, 3, offset=0.3, features="binary"),
        Design(10, 30, 3, offset=0.3, truth="curved"),
        Design(12, 24, 3, offset=0.3, features="units"),
    ],
    "hostile": [
        Design(10, 30, 4, offset=0.3, spoilt="shuffled", n_spoilt=2),
        Design(10, 30, 5, offset=0.3, spoilt="times 10", n_spoilt=2),
    ],
}  # fmt: skip


def name(group, design):
    """Return a design's name: its group, and what differs from the usual."""
    usual = Design(0, 0)
    options = {key: getattr(design, key) for key in usual.__dataclass_fields__}
    told = ("shared", "sparse", "scale", "offset", "condition", "noise", "features", "truth")
    rest = [f"{key} {options[key]}" for key in told if options[key] != getattr(usual, key)]
    return " ".join([f"{group}|d{design.d} n{design.n} K{design.K}", *rest, design.spoilt]).strip()


DESIGNS = {name(group, each): each for group, designs in GROUPS.items() for each in designs}


# Methods ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standardised:
    """A method on columns that are standardised on all training rows."""

    fit: object = field(repr=False)

    def __call__(self, sample):
        """Fit, and return a model of the columns as they were."""
        scaler = StandardScaler().fit(sample.X)
        fitted = self.fit(sample._replace(X=scaler.transform(sample.X)))
        return None if fitted is None else rivals.OfTarget(fitted, scaler.transform)


def methods(wanted=()):
    """Return methods by name; those of others see standardised columns."""
    own = {"UOWQRegressor", "L2SPRidge", "SourceWeighted", "auto", "auto full"}
    return {
        key: fit if key in own or key.startswith("skt.") else Standardised(fit)
        for key, fit in rivals.methods("regression", wanted).items()
    }


# Command ------------------------------------------------------------------------------------


def sample_of(key, seed):
    """Return the sample of a design and a seed."""
    return DESIGNS[key](np.random.default_rng([seed, crc32(key.encode())]))


def losses(key, seed, wanted):
    """Return the risks of methods on one sample."""
    sample, found = sample_of(key, seed), []
    for method, fit in methods(wanted).items():
        found.append(_measured(ratios.Loss(key, 0, "", seed, method, np.nan, np.nan), fit, sample))
    return found


def _measured(place, fit, sample):
    start = time.process_time()
    try:
        with rivals.quiet():
            fitted = fit(sample)
            seconds = time.process_time() - start
            if fitted is None:
                return place
            return place._replace(loss=sample.risk(fitted), seconds=seconds)
    except Exception as error:  # a method that fails is a figure, too
        return place._replace(error=f"{type(error).__name__}: {error}"[:200])


def study(seeds, wanted=(), patterns=("*",), jobs=1):
    """Return figures of methods on the designs whose names match."""
    keys = [key for key in DESIGNS if any(fnmatch(key, pattern) for pattern in patterns)]
    if not keys:
        raise ValueError(f"--designs must match one of {', '.join(DESIGNS)}; got {patterns}.")
    tasks = [partial(losses, key, seed, wanted) for key in keys for seed in seeds]
    return ratios.Figures(ratios.measured(tasks, jobs), rivals.BASELINE, group)


def group(key):
    """Return the group of a design's name."""
    return key.split("|")[0]


BENCHMARKS = (
    ratios.Recorded(
        name="fresh_designs",
        question="53 simulated designs on which nothing was chosen: who has the lowest risk?",
        study=lambda run: study(ratios.seeds(ratios.REPORT, run.repeats), jobs=run.jobs),
        repeats=20,
    ),
)
TABLES = {"fresh designs": lambda: ratios.show(load("fresh_designs"))}


def main(argv=None):
    """Measure and print."""
    given = _parser().parse_args(argv)
    seeds = ratios.seeds(given.seeds, given.repeats)
    figures = study(seeds, given.methods, given.designs, given.jobs)
    print(f"\n## Fresh designs: {given.seeds} seeds, {given.repeats} each\n\n{figures.tables()}")
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "fresh.json").write_text(figures.json())


def _parser():
    parser = argparse.ArgumentParser(prog="python -m benchmarks fresh", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--methods", nargs="*", default=[], help="names, or expressions: 'skt.L2SPRidge()'")
    add("--designs", nargs="+", default=["*"], help="patterns of names, such as 'mirrored*'")
    add("--seeds", choices=tuple(ratios.FIRST_SEED), default=ratios.CHOOSE)
    add("--repeats", type=int, default=20)
    add("--jobs", type=int, default=1)
    add("--out", type=Path, help="folder for all losses, as JSON")
    return parser
