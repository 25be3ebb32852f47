"""CIE L*a*b* of the D65 white in numpy, for photos; `lab.py` has it for losses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vae_balance.color.arrays import Floats
from vae_balance.color.srgb import to_linear

# Planes of one shape, one for each channel: computed one by one, so that no rounding depends on how
# many pixels there are.
Planes = tuple[Floats, Floats, Floats]

# Linear sRGB to XYZ relative to the D65 white (IEC 61966-2-1), and back.
XYZ_OF_RGB = np.array(
    [
        [0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883],
    ]
)
RGB_OF_XYZ = np.linalg.inv(XYZ_OF_RGB)
# CIE 15:2004: below this the cube root is replaced by a line.
_KNEE = np.float32(6.0 / 29.0)


def srgb_to_lab(colors: Floats) -> Floats:
    """Convert sRGB-encoded colors (..., 3) in 0..1 to L* 0..100, a*, b* (..., 3)."""
    red, green, blue = np.moveaxis(to_linear(colors), -1, 0)
    x, y, z = (lab_function(plane) for plane in mixed(XYZ_OF_RGB, (red, green, blue)))
    return np.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=-1)


def mixed(matrix: NDArray[np.float64], planes: Planes) -> Planes:
    """Return the planes that a matrix (3, 3) makes of three planes."""
    first, second, third = planes
    rows = matrix.astype(np.float32)
    x, y, z = (row[0] * first + row[1] * second + row[2] * third for row in rows)
    return x, y, z


def lab_function(xyz: Floats) -> Floats:
    """Return the cube root of X, Y or Z relative to white, and the line below its knee."""
    line = xyz * np.float32(841.0 / 108.0) + np.float32(4.0 / 29.0)
    return np.where(xyz > _KNEE**3, np.cbrt(xyz), line)


def lab_inverse(f: Floats) -> Floats:
    """Return X, Y or Z relative to white, of what `lab_function` returned."""
    return np.where(f > _KNEE, f * f * f, (f - np.float32(4.0 / 29.0)) * np.float32(108.0 / 841.0))
