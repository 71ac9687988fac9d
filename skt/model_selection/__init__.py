"""Splits in which every source row trains and only target rows validate."""

from .target_cv import TargetCV

__all__ = ["TargetCV"]
