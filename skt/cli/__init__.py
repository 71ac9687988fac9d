"""The command `python -m skt`."""

from .main import main

__all__ = ["main"]
