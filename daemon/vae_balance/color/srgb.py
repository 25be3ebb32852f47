"""The sRGB transfer function (IEC 61966-2-1) and the weights of its primaries (ITU-R BT.709)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Colors = NDArray[np.float32]

# Of red, green and blue: in luminance for linear light, in luma for encoded colors.
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)


def to_linear(colors: Colors) -> Colors:
    """Decode sRGB (IEC 61966-2-1) to linear light; both float32 (..., 3) in 0..1."""
    low = colors <= 0.04045
    return np.where(low, colors / 12.92, ((np.maximum(colors, 0.04045) + 0.055) / 1.055) ** 2.4)


def to_encoded(linear: Colors) -> Colors:
    """Encode linear light as sRGB (IEC 61966-2-1); values are clipped to 0..1 first."""
    linear = np.clip(linear, 0.0, 1.0)
    low = linear <= 0.0031308
    return np.where(low, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)


def luma_of(colors: Colors) -> Colors:
    """Return the weighted sum of red, green and blue, (..., 1), of float32 (..., 3)."""
    return (colors @ LUMINANCE)[..., None]
