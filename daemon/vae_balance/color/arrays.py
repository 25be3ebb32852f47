"""What arrays of numbers are called in the types of all files."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Of a picture as it is stored: (H, W, 3 or 4), uint8, uint16, float16 or float32.
Pixels = npt.NDArray[Any]
# Colors (..., 3), mostly sRGB-encoded, 0..1.
Colors = npt.NDArray[np.float32]
# Other numbers that are computed with in single precision.
Floats = npt.NDArray[np.float32]
# And in double precision.
Doubles = npt.NDArray[np.float64]
