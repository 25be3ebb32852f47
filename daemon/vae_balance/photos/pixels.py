"""Pixels of photos: in strips, in another depth, with and without their alpha."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vae_balance.color.arrays import Pixels

STRIP_BYTES = 16 << 20


def rows(row_bytes: int) -> int:
    """Return the rows of a strip that is large enough to be fast and small beside a picture."""
    return max(1, STRIP_BYTES // row_bytes)


def strips(pixels: Pixels) -> Iterator[Pixels]:
    """Yield a picture in strips, from top to bottom."""
    step = rows(pixels[0].nbytes)
    for top in range(0, len(pixels), step):
        yield pixels[top : top + step]


def converted(pixels: Pixels, dtype: np.dtype[Any]) -> Pixels:
    """Return pixels in `dtype`: themselves, or rounded to nearest; floats beyond 0..1 are clipped.

    Floats become floats, and integers those of fewer bits, or floats.
    """
    if pixels.dtype == dtype:
        return pixels
    if dtype.kind == "f":
        return (pixels / np.float32(full_scale(pixels.dtype))).astype(dtype)
    if pixels.dtype == np.uint16:
        return ((pixels.astype(np.uint32) + 128) // 257).astype(dtype)
    values = np.nan_to_num(pixels.astype(np.float32), nan=0.0).clip(0.0, 1.0)
    return (values * np.iinfo(dtype).max + 0.5).astype(dtype)


def in_color(pixels: Pixels) -> Pixels:
    """Return grey pixels, (H, W), (H, W, 1) or with alpha (H, W, 2), as RGB or RGBA, others as is.

    Of grey, red, green and blue are equal.
    """
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] > 2:
        return pixels
    return pixels.take([0, 0, 0, 1][: 2 + pixels.shape[2]], axis=2)


def divided_by_alpha(pixels: Pixels) -> Pixels:
    """Return float32 pixels with the colors that were multiplied by alpha; as stored under alpha 0.

    Colors may be brighter than their alpha allows (fire, lights): these are above 1 then.
    """
    divided = np.empty(pixels.shape, np.float32)
    step = rows(divided[0].nbytes)
    for top in range(0, len(pixels), step):
        strip = pixels[top : top + step]
        values = strip.astype(np.float64) / full_scale(pixels.dtype)
        alpha = values[..., 3:]
        values[..., :3] /= np.where(alpha, alpha, 1.0)
        divided[top : top + step] = values
    return divided


def multiplied_by_alpha(pixels: Pixels, dtype: np.dtype[Any]) -> Pixels:
    """Return pixels in `dtype` with colors multiplied by alpha; as they are under alpha 0."""
    values = pixels.astype(np.float64) / full_scale(pixels.dtype)
    alpha = values[..., 3:]
    values[..., :3] *= np.where(alpha, alpha, 1.0)
    if dtype.kind == "f":
        return values.astype(dtype)
    values = np.nan_to_num(values, nan=0.0).clip(0.0, 1.0)
    return np.round(values * full_scale(dtype)).astype(dtype)


def full_scale(dtype: np.dtype[Any]) -> float:
    """Return the value of white."""
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else 1.0


def upright(picture: Pixels, orientation: int) -> Pixels:
    """Turn and mirror a picture (H, W, C) as its EXIF orientation says (CIPA DC-008, tag 274)."""
    if orientation >= 5:
        picture = picture.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    return picture
