"""Photos in small, as a screen shows them."""

from __future__ import annotations

import numpy as np

from vae_balance.color.arrays import Floats
from vae_balance.color.profile import to_srgb
from vae_balance.photos.photo import Photo
from vae_balance.photos.pixels import upright


def preview(photo: Photo, side: int) -> Floats:
    """Pick evenly spaced pixels of a photo.

    Args:
        photo: of any size, in its own profile and orientation.
        side: the longer side of the result, in pixels, at most.

    Returns:
        (H, W, 3) sRGB-encoded, 0..1, upright.
    """
    step = -(-max(photo.pixels.shape) // side)
    few = photo.pixels[::step, ::step, :3]
    full_scale = np.iinfo(few.dtype).max if few.dtype.kind == "u" else 1.0
    colors = to_srgb(few / full_scale, photo.icc_profile).clip(0.0, 1.0)
    return upright(colors, photo.orientation)
