"""What UOWQ for classes and UOWQ for counts share: options, one fit, what is stored."""

from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skt._sklearn import StrOptions
from skt.core import uowq_glm
from skt.core.allocation import effective_parts
from skt.core.families import LOGISTIC, Offered
from skt.core.rows import Rows
from skt.estimators.base import TransferEstimator, small_blas
from skt.estimators.checks import AUTO, NONNEGATIVE, given_weights, is_auto
from skt.sources.designs import Design

# Sources that lack a class of which they should have this many rows do not offer it: with the
# share of all rows chance leaves it out once in a thousand times.
EXPECTED_ROWS = 7.0


class GeneralisedUOWQ(TransferEstimator):
    """Abstract base: domains as likelihoods, combined as ``weights`` and ``guard`` say."""

    takes = ("rows", "model")
    _parameter_constraints = {
        "weights": [StrOptions({"eb", "sure", "plugin"}), "array-like"],
        "guard": [StrOptions({"left-out"}), None],
        "alpha": [AUTO, NONNEGATIVE],
        "fit_intercept": ["boolean"],
    }

    def _fit_family(self, data, family):
        """Fit all domains as likelihoods of a family."""
        weights = given_weights(self.weights, list(data.sources))
        known = likelihoods(data, family, self.fit_intercept)
        with small_blas(len(known.slopes)):
            known = self._dispersed(known)
            combined = self._combined(known, weights)
        return GeneralisedFit(known, combined, doubts_of_effects(combined))

    def _dispersed(self, known):
        """Return likelihoods whose outcomes vary as much as seen, not as their family says."""
        return known

    def _combined(self, known, weights):
        n = known.target.n / known.target.dispersion
        given = {
            "centre": None if is_auto(self.alpha) else _variance(self.alpha, n),
            "start": known.start,
        }
        domains = known.target, known.sources, known.slopes
        if isinstance(weights, str) and weights == "eb":
            return uowq_glm.mixed_combination(*domains, guard=self.guard is not None, **given)
        return uowq_glm.weighted_combination(*domains, weights=weights, **given)

    def _store_common(self, fit, data):
        """Set what all families have; return coefficients (q, p) and intercepts (q,)."""
        combined = fit.combined
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
        return fit.known.design.restored(combined.theta)


class GeneralisedFit(NamedTuple):
    """All that fit stores, in the units of the computation."""

    known: "Likelihoods"
    combined: uowq_glm.GLMMCombination
    doubts: list


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


def doubts_of_effects(combined):
    """Return what to warn of where Newton's steps did not end."""
    if combined.converged:
        return []
    return [
        ConvergenceWarning(
            f"The random effects were not fitted after {combined.n_iter} steps. Coefficients may "
            "be off; check for extreme values in a column."
        )
    ]
