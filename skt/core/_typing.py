"""The type of every array of the core, and its precision."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
EPS = float(np.finfo(float).eps)
