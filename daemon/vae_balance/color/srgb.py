"""The sRGB transfer function (IEC 61966-2-1) and the weights of its primaries (ITU-R BT.709)."""

from __future__ import annotations

import numpy as np

from vae_balance.color.arrays import Colors

# The curve: a power of a scaled and shifted value above a knee, a line below.
GAMMA, SCALE, SHIFT, SLOPE = 2.4, 1.055, 0.055, 12.92
ENCODED_KNEE, LINEAR_KNEE = 0.04045, 0.0031308
# As the numbers of ICC's parametric curve of type 3: g, a, b, c, d.
CURVE = (GAMMA, 1 / SCALE, SHIFT / SCALE, 1 / SLOPE, ENCODED_KNEE)

# Of red, green and blue: in luminance for linear light, in luma for encoded colors.
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)


def to_linear(colors: Colors) -> Colors:
    """Decode sRGB (IEC 61966-2-1) to linear light; both float32 (..., 3) in 0..1."""
    low = colors <= ENCODED_KNEE
    power = ((np.maximum(colors, ENCODED_KNEE) + SHIFT) / SCALE) ** GAMMA
    return np.where(low, colors / SLOPE, power)


def to_encoded(linear: Colors) -> Colors:
    """Encode linear light as sRGB (IEC 61966-2-1); values are clipped to 0..1 first."""
    linear = np.clip(linear, 0.0, 1.0)
    low = linear <= LINEAR_KNEE
    power = SCALE * np.maximum(linear, LINEAR_KNEE) ** (1 / GAMMA) - SHIFT
    return np.where(low, linear * SLOPE, power)


def luma_of(colors: Colors) -> Colors:
    """Return the weighted sum of red, green and blue, (..., 1), of float32 (..., 3)."""
    return (colors @ LUMINANCE)[..., None]
