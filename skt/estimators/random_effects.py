"""What UOWQ for classes and UOWQ for counts share: options, one fit, what is stored."""

import numbers
import warnings
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skt.core import uowq_glm
from skt.core.allocation import effective_parts
from skt.core.families import LOGISTIC, Offered
from skt.core.rows import Rows
from skt.estimators.base import TransferEstimator, small_blas
from skt.sources.designs import Design

WEIGHTS = ("eb", "sure", "plugin")
GUARDS = ("left-out", None)
# Sources that lack a class of which they should have this many rows do not offer it: with the
# share of all rows chance leaves it out once in a thousand times.
EXPECTED_ROWS = 7.0


class GeneralisedUOWQ(TransferEstimator):
    """Abstract base: domains as likelihoods, combined as ``weights`` and ``guard`` say."""

    takes = ("rows", "model")

    def _check_parameters(self):
        if isinstance(self.weights, str) and self.weights not in WEIGHTS:
            raise ValueError(f"weights must be one of {_listing(WEIGHTS)}; got {self.weights!r}.")
        if self.guard not in GUARDS:
            raise ValueError(f"guard must be one of {_listing(GUARDS)}; got {self.guard!r}.")
        is_number = isinstance(self.alpha, numbers.Real) and 0 <= self.alpha < np.inf
        if not is_number and not (isinstance(self.alpha, str) and self.alpha == "auto"):
            raise ValueError(f"alpha must be 'auto' or a number >= 0; got {self.alpha!r}.")
        if not isinstance(self.fit_intercept, bool | np.bool_):
            raise ValueError(f"fit_intercept must be True or False; got {self.fit_intercept!r}.")

    def _given_weights(self, names):
        """Return given weights as an array, or the name of the rule."""
        if isinstance(self.weights, str):
            return self.weights
        weights = np.asarray(self.weights, dtype=np.float64)
        if weights.shape != (len(names),):
            raise ValueError(
                f"weights has shape {weights.shape} but there are {len(names)} sources "
                f"({', '.join(names)}); give one weight per source, in this order."
            )
        if not np.all(np.isfinite(weights) & (weights >= 0)):
            raise ValueError(f"weights must be finite and >= 0; got {weights}.")
        return weights

    def _combine(self, data, family):
        """Fit all domains."""
        weights = self._given_weights(list(data.sources))
        known = likelihoods(data, family, self.fit_intercept)
        with small_blas(len(known.slopes)):
            combined = self._combined(known._replace(**self._dispersed(known)), weights)
        if not combined.converged:
            _warn_not_converged(combined.n_iter)
        return known.design, combined

    def _dispersed(self, known):
        """Return what changes of the likelihoods where outcomes vary more than their family's."""
        return {}

    def _combined(self, known, weights):
        n = known.target.n / known.target.dispersion
        given = {
            "centre": None if isinstance(self.alpha, str) else _variance(self.alpha, n),
            "start": known.start,
        }
        domains = known.target, known.sources, known.slopes
        if isinstance(weights, str) and weights == "eb":
            return uowq_glm.mixed_combination(*domains, guard=self.guard is not None, **given)
        return uowq_glm.scalar_combination(*domains, weights=weights, **given)

    def _store(self, data, design, combined):
        """Set attributes; return coefficients (q, p) and intercepts (q,) in the user's units."""
        self.source_names_ = list(data.sources)
        self.n_target_samples_ = data.target.n
        rows = [source.n_rows for source in data.sources.values()]
        self.n_source_samples_ = np.array(rows, dtype=float)
        known = np.isfinite(self.n_source_samples_)
        self.source_weights_ = np.where(known, combined.weights, np.nan)
        self.source_shares_ = combined.shares[1:]
        self.discrepancy_ = combined.discrepancy
        self.risk_, self.target_risk_ = combined.risk, combined.target_risk
        ratio = combined.risk / combined.target_risk if combined.target_risk > 0 else 1.0
        self.transfer_gain_ = 1 - ratio
        self.effective_sample_size_ = data.target.n / max(ratio, 1e-12)
        self.source_effective_sample_size_ = effective_parts(
            self.effective_sample_size_, self.n_target_samples_, self.source_shares_
        )
        self.alpha_ = 1 / (2 * data.target.n * combined.centre)
        self.n_iter_ = combined.n_iter
        return design.restored(combined.theta)


class Likelihoods(NamedTuple):
    """What the data say of every domain, on the columns of one design."""

    design: Design
    target: uowq_glm.OfRows
    sources: list
    slopes: np.ndarray  # which coefficients (P,) are slopes
    start: np.ndarray  # (P,) no slopes, and the intercepts of all rows together


def likelihoods(data, family, intercept):
    """Return target and sources as `Likelihoods` of a family."""
    tables = {k: source.rows for k, source in data.sources.items() if source.form == "rows"}
    design = Design.of([data.target, *tables.values()], intercept)
    target = design.rows(data.target)
    stacked = Rows(*(np.concatenate(x) for x in zip(data.target, *tables.values(), strict=True)))
    mean = stacked.weight @ stacked.Y / stacked.n
    sources = [
        uowq_glm.OfRows(_offered(family, tables[name], mean), design.rows(tables[name]))
        if name in tables
        else design.model(source, family, target)
        for name, source in data.sources.items()
    ]
    slopes = design.slopes(len(mean))
    start = np.where(slopes, 0.0, np.resize(family.link(mean), len(slopes)))
    return Likelihoods(design, uowq_glm.OfRows(family, target), sources, slopes, start)


def _offered(family, rows, shares):
    """Return the family of a source: without the classes that it lacks, but not by chance."""
    if family is not LOGISTIC or len(shares) == 1:
        return family
    there = (rows.weight @ rows.Y > 0) | (rows.n * shares < EXPECTED_ROWS)
    return family if there.all() else Offered(there)


def _variance(alpha, n):
    """Return the variance of slopes that the penalty ``n alpha b^2`` stands for."""
    return min(1 / max(2 * n * alpha, 1e-300), 1 / uowq_glm.FREE)


def _listing(options):
    return ", ".join(map(repr, options))


def _warn_not_converged(n_iter):
    warnings.warn(
        f"The random effects were not fitted after {n_iter} steps. Coefficients may be off; check "
        "for extreme values in a column.",
        ConvergenceWarning,
        stacklevel=4,
    )
