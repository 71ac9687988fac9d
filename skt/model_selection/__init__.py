"""Splits in which every source row trains and only target rows validate; rehearsal."""

from .rehearsal import Rehearsal, rehearse
from .target_cv import TargetCV

__all__ = ["Rehearsal", "TargetCV", "rehearse"]
