"""Simulators of the papers' designs: arrays out, ``random_state`` in."""

from ._aligned import make_aligned_regressions
from ._simulators import make_high_dimensional_sources, make_related_regressions
from ._spectral import make_spectral_transfer

__all__ = [
    "make_aligned_regressions",
    "make_high_dimensional_sources",
    "make_related_regressions",
    "make_spectral_transfer",
]
