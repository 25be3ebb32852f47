"""Thumbnails, as files carry them beside the picture."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from vae_balance.color.profile import to_srgb

_OVERSAMPLING = 4  # pixels that are averaged, along each side
_QUALITIES = (90, 80, 70, 60, 50, 35, 20)


def jpeg_thumbnail(
    pixels: npt.NDArray[Any],
    icc_profile: bytes | None,
    size: tuple[int, int],
    most_bytes: int | None = None,
) -> tuple[bytes, int, int] | None:
    """Return a small picture as a JPEG file without metadata, and its pixels across and down.

    Args:
        pixels: (H, W, 3 or 4), as `Photo.pixels`.
        icc_profile: How they are encoded; None is sRGB. The thumbnail is in sRGB.
        size: Pixels across and down, at most; the proportions are those of the picture.
        most_bytes: How long it may be.

    Returns:
        None if it would be longer at any quality.
    """
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = min(size[0] / width, size[1] / height, 1.0)
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    step = max(1, min(width // (across * _OVERSAMPLING), height // (down * _OVERSAMPLING)))
    few = pixels[step // 2 :: step, step // 2 :: step, :3]
    full_scale = np.iinfo(few.dtype).max if few.dtype.kind == "u" else 1.0
    colors = np.nan_to_num(to_srgb(few / full_scale, icc_profile)).clip(0.0, 1.0)
    picture = Image.fromarray(np.round(colors * 255.0).astype(np.uint8))
    picture = picture.resize((across, down), Image.Resampling.BOX)
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        if most_bytes is None or len(buffer.getvalue()) <= most_bytes:
            return buffer.getvalue(), across, down
    return None
