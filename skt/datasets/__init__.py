"""Simulators of the papers' designs, and real data in groups: arrays out."""

from ._aligned import make_aligned_regressions
from ._loaders import (
    load_ames_housing,
    load_chicago_ridership,
    load_contraception_use,
    load_county_murders,
    load_diabetes_progression,
    load_exam_scores,
    load_handwritten_digits,
    load_meat_spectra,
    load_tissue_expression,
)
from ._signal_noise import make_signal_noise_transfer
from ._simulators import make_high_dimensional_sources, make_related_regressions
from ._spectral import make_spectral_transfer

__all__ = [
    "load_ames_housing",
    "load_chicago_ridership",
    "load_contraception_use",
    "load_county_murders",
    "load_diabetes_progression",
    "load_exam_scores",
    "load_handwritten_digits",
    "load_meat_spectra",
    "load_tissue_expression",
    "make_aligned_regressions",
    "make_high_dimensional_sources",
    "make_related_regressions",
    "make_signal_noise_transfer",
    "make_spectral_transfer",
]
