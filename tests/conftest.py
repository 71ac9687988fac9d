"""Fixtures of all tests."""

import numpy as np
import pytest


@pytest.fixture
def rng():
    """Random numbers of this test alone."""
    return np.random.default_rng(0)
