"""Which photos are grey: without colors, however many channels they are stored in."""

from __future__ import annotations

import numpy as np

from vae_balance.color.arrays import Floats, Pixels
from vae_balance.photos.picture import Photo
from vae_balance.photos.pixels import full_scale, strips

# By how much channels of a grey photo may differ: what rounding and JPEG leave, of full scale.
TOLERANCE = 3 / 255


def is_grey(photo: Photo, proxy: Floats) -> bool:
    """Tell whether red, green and blue are equal all over a photo, but for `TOLERANCE`.

    A photo with a tone, sepia for instance, has colors.

    Args:
        photo: transparent pixels (alpha 0), and those with a NaN, do not count.
        proxy: of the photo, from which mostly it can be told at once; sRGB-encoded, 0..1.
    """
    if not is_grey_proxy(proxy):
        return False
    has_alpha = photo.pixels.shape[2] == 4 and photo.alpha != "unspecified"
    return not any(_has_color(strip, has_alpha) for strip in strips(photo.pixels))


def is_grey_proxy(proxy: Floats) -> bool:
    """Tell whether a proxy (H, W, 3), sRGB-encoded, 0..1, is grey within `TOLERANCE`."""
    return float(np.ptp(proxy, axis=2).max()) <= TOLERANCE


def _has_color(strip: Pixels, has_alpha: bool) -> bool:
    colors = strip[..., :3]
    if strip.dtype.kind == "f":
        colors = colors.astype(np.float32)
    low = np.minimum(np.minimum(colors[..., 0], colors[..., 1]), colors[..., 2])
    high = np.maximum(np.maximum(colors[..., 0], colors[..., 1]), colors[..., 2])
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        colored = high - low > TOLERANCE * full_scale(strip.dtype) + 1e-6
    if has_alpha:
        colored &= strip[..., 3] > 0
    return bool(colored.any())
