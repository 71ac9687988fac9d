"""L2-SP ridge on settings that nothing was chosen on, and what the prior of the stack is worth.

    python -m benchmarks l2sp_stack l2sp_choice-again l2sp_random-settings

``l2sp_stack`` compares priors of the weight of the joint fit on settings of its own.
``l2sp_choice-again`` repeats the 42 settings of ``l2sp_choice`` on a new seed.
``l2sp_random-settings`` draws settings at random (`Setting.drawn`): the generator, its seed and the
bars were fixed before the first run, and the code was not changed after it. Excess risk relative to
target-only ridge with leave-one-out
(:mod:`benchmarks.simulation`).
"""

from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
from scipy.linalg import toeplitz
from sklearn.utils import Bunch

from benchmarks import simulation
from benchmarks.harness import command, load
from benchmarks.l2sp import CHOICE_METHODS, DEFAULT, RIDGE, centred, choice, ridge
from skt import L2SPRidge, UOWQRegressor, stack_domains
from skt.core import l2sp, random_effects
from skt.datasets import make_aligned_regressions, make_high_dimensional_sources

# Priors of the stack's weight ------------------------------------------------------------------

SPREADS = (0.25, 0.5, 1.0, np.inf)


def one_source(rng, **settings):
    return make_aligned_regressions(
        n_features=50,
        source_noise=0.7,
        target_noise=0.7,
        random_state=int(rng.integers(2**31)),
        **settings,
    )


def several(rng, scale, offset):
    return make_high_dimensional_sources(
        30, 100, 60, scale, offset, noise=0.6, random_state=int(rng.integers(2**31))
    )


STACK_DESIGNS = {
    f"one source|n0={n0} n1={n1} rho={rho:g}": partial(
        one_source, n_source=n0, n_target=n1, alignment=rho, perpendicular=perp
    )
    for n0, n1 in ((30, 15), (200, 30), (200, 80))
    for rho, perp in ((0.0, 1.0), (0.5, 0.5), (1.0, 0.2), (-1.0, 0.3))
}
STACK_DESIGNS |= {
    f"several|{name}": partial(several, scale=scale, offset=offset)
    for name, scale, offset in (
        ("near", (1, 1, 1), (0.3,) * 3),
        ("far", (1, 1, 1), (0.8,) * 3),
        ("mixed", (1, 0, -1), (0.3,) * 3),
        ("two unrelated", (0, 0), (1.0,) * 2),
        ("three unrelated", (0, 0, 0), (1.0,) * 3),
        ("six unrelated", (0,) * 6, (1.0,) * 6),
    )
}


def stacked(spread, sample):
    """Fit the default with another prior standard deviation of the joint fit's weight."""
    with patch.object(l2sp, "STACK_SPREAD", spread):
        return L2SPRidge().fit(sample.X, sample.y, sample_domain=sample.sample_domain)


STACK_METHODS = {RIDGE: ridge}
STACK_METHODS |= {f"stacked, sd {spread:g}": partial(stacked, spread) for spread in SPREADS}
STACK_METHODS |= {"weight 1 (ml)": L2SPRidge(method="ml")}
STACK = simulation.Report(RIDGE)

# Settings at random ----------------------------------------------------------------------------

N_SETTINGS, SETTINGS_SEED = 40, 2026
MOST_MEAN, MOST_HARM = 0.75, 1.06


@dataclass(frozen=True)
class Setting:
    """Sizes, noise, correlation of columns, and how each source is related to the target."""

    p: int
    n_target: int
    noise: float
    correlation: float
    sources: tuple  # of (rows, alignment, perpendicular, noise)

    @classmethod
    def drawn(cls, rng):
        """Draw a setting of the kind that users have.

        A source is ``alignment * coef + perpendicular * u``, alignment from -1 to 1.6,
        perpendicular from 0 to 1. Log-uniform: 10 to 150 features, 10 to 300 target rows, 20 to
        500 rows a source, noise from .2 to 2 coefficient lengths, that of a source up to twice as
        large or small. Half of the settings have columns correlated ``r^|i-j|``, r from .3 to
        .95. Six in ten have one source, the others two to four.
        """
        p, n_target = _integer(rng, 10, 150), _integer(rng, 10, 300)
        noise = _log_uniform(rng, 0.2, 2)
        correlation = rng.uniform(0.3, 0.95) if rng.random() < 0.5 else 0.0
        K = 1 if rng.random() < 0.6 else int(rng.integers(2, 5))
        sources = tuple(
            (
                _integer(rng, 20, 500),
                rng.uniform(-1, 1.6),
                rng.uniform(0, 1),
                noise * _log_uniform(rng, 0.5, 2),
            )
            for _ in range(K)
        )
        return cls(p, n_target, noise, correlation, sources)

    @property
    def name(self):
        """Return sizes and alignments."""
        related = ", ".join(f"{rho:.1f}/{perp:.1f}" for _, rho, perp, _ in self.sources)
        rows = ", ".join(str(n) for n, *_ in self.sources)
        return (
            f"{'one source' if len(self.sources) == 1 else 'several'}|p={self.p} "
            f"n1={self.n_target} n0={rows} noise={self.noise:.1f} r={self.correlation:.1f} "
            f"rho/perp={related}"
        )

    def __call__(self, rng):
        """Draw coefficients, of the target's length one, and rows."""
        covariance = toeplitz(self.correlation ** np.arange(self.p))
        root = np.linalg.cholesky(covariance)

        def rows(n, coef, noise):
            X = rng.standard_normal((n, self.p)) @ root.T
            return X, X @ coef + noise * rng.standard_normal(n)

        coef = _unit(rng, self.p)
        source_coef, sources = [], {}
        for k, (n, rho, perp, noise) in enumerate(self.sources, 1):
            u = _unit(rng, self.p)
            u -= (u @ coef) * coef
            source_coef.append(rho * coef + perp * u / np.linalg.norm(u))
            sources[f"source {k}"] = rows(n, source_coef[-1], noise)
        X, y, domain = stack_domains(rows(self.n_target, coef, self.noise), sources)
        return Bunch(
            X=X, y=y, sample_domain=domain, coef=coef, source_coef=np.array(source_coef),
            covariance=covariance, noise=np.array([self.noise, *(s[3] for s in self.sources)]),
        )  # fmt: skip


def _log_uniform(rng, low, high):
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _integer(rng, low, high):
    return round(_log_uniform(rng, low, high))


def _unit(rng, p):
    w = rng.standard_normal(p)
    return w / np.linalg.norm(w)


def settings():
    """Return the settings, by name."""
    rng = np.random.default_rng(SETTINGS_SEED)
    drawn = [Setting.drawn(rng) for _ in range(N_SETTINGS)]
    return {setting.name: setting for setting in drawn}


def oracle(sample):
    """The joint fit with true scales, variances and noise."""
    K, p = sample.source_coef.shape
    names = ["target", *(f"source {k + 1}" for k in range(K))]
    parts = [centred(sample, name) for name in names]
    sums = [(len(X) - 1.0, X.T @ X, X.T @ y, y.T @ y) for X, y in parts]
    domains = random_effects.decompose(*(np.array(part) for part in zip(*sums, strict=True)))
    rho = sample.source_coef @ sample.coef
    own = np.maximum((np.sum(sample.source_coef**2, axis=1) - rho**2) / p, 1e-9)
    effects = random_effects.Effects(
        float(p), np.append(0.0, own), np.append(1.0, rho), sample.noise**2
    )
    m = random_effects.Latent(domains, effects)
    return SimpleNamespace(coef_=random_effects.predict_target(m).coef[:, 0])


AGAIN_METHODS = {name: CHOICE_METHODS[name] for name in (RIDGE, "ml", DEFAULT)}
AGAIN_METHODS |= {name: m for name, m in CHOICE_METHODS.items() if name.startswith("oracle")}
FRESH_METHODS = {
    RIDGE: ridge,
    "ml": L2SPRidge(method="ml"),
    DEFAULT: L2SPRidge(),
    "UOWQ": UOWQRegressor(),
    "oracle: joint fit": oracle,
}


@dataclass(frozen=True)
class Report(simulation.Report):
    """The table of ratios, and the bars of the default."""

    def __call__(self, records, run):
        """Keep the table and the bars."""
        result = super().__call__(records, run)
        ours = next(row for row in result["rows"] if row["method"] == DEFAULT)
        result["bar"] = {
            "mean": [ours["mean"], MOST_MEAN],
            "worst": [ours["worst"], MOST_HARM],
            "passed": ours["mean"] <= MOST_MEAN and ours["worst"] <= MOST_HARM,
        }
        return result

    def show(self, result):
        """Return the table and the verdict."""
        lines = [
            f"{name} {value:.3f} (at most {bar:g}) {'met' if value <= bar else 'MISSED'}"
            for name, (value, bar) in list(result["bar"].items())[:2]
        ]
        return f"{super().show(result)}\n\nBars of the default: {', '.join(lines)}."


FRESH = Report(RIDGE, group=simulation.everything)

BENCHMARKS = (
    simulation.risk_study(
        "l2sp_stack",
        "How sure should the stack be, before it sees rows, of the joint fit?",
        STACK_DESIGNS,
        STACK_METHODS,
        STACK,
        repeats=40,
    ),
    simulation.risk_study(
        "l2sp_choice-again",
        "One source, the 42 settings once more: does the default meet its bars?",
        choice(),
        AGAIN_METHODS,
        FRESH,
        repeats=40,
    ),
    simulation.risk_study(
        "l2sp_random-settings",
        "40 settings drawn at random: is the default as good as where it grew up?",
        settings(),
        FRESH_METHODS,
        FRESH,
        repeats=40,
    ),
)
TABLES = {
    "l2sp stack": lambda: STACK.show(load("l2sp_stack")),
    "l2sp again": lambda: FRESH.show(load("l2sp_choice-again")),
    "l2sp fresh": lambda: FRESH.show(load("l2sp_random-settings")),
}

if __name__ == "__main__":
    command(BENCHMARKS, prefix="l2sp_")
