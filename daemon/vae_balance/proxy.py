"""The proxy: the small upright sRGB picture from which a look is learned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from vae_balance.color_profile import to_srgb
from vae_balance.errors import OptionError
from vae_balance.images import Photo

Floats = npt.NDArray[np.float32]

PROXY_SIZE = 224
KINDS = ("centre", "frame")


def make_proxy(picture: Photo | npt.NDArray[Any], kind: str = "centre") -> Floats:
    """Shrink a picture to the proxy by averaging areas; a smaller picture is smoothly enlarged.

    Values are averaged as they are encoded, clipped to 0..1 as a screen shows them, and converted
    to sRGB afterwards. Transparent pixels (alpha 0) and pixels with a NaN or an infinity do not
    count; where there is nothing else, the proxy has the mean of what it has elsewhere, or
    mid-grey. Working memory does not grow with the height of the picture.

    Args:
        picture: A photo, or an array as `Photo.pixels`, sRGB-encoded and upright.
        kind: "centre", the largest square in the middle, or "frame", the whole picture squeezed.

    Returns:
        (224, 224, 3) sRGB-encoded, 0..1, upright.

    Raises:
        OptionError: There is no such kind.
        ImageError: The array has another shape or type, or no pixels.
    """
    if kind not in KINDS:
        raise OptionError(f"proxy {kind!r}: it must be one of {', '.join(KINDS)}")
    photo = picture if isinstance(picture, Photo) else Photo(picture)
    pixels = photo.pixels[..., :3] if photo.alpha == "unspecified" else photo.pixels
    if kind == "centre":
        height, width = pixels.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        pixels = pixels[top : top + side, left : left + side]
    averages = upright(_resized(pixels), photo.orientation)
    return np.ascontiguousarray(to_srgb(averages, photo.icc_profile).clip(0.0, 1.0))


def _resized(pixels: npt.NDArray[Any]) -> Floats:
    """Return area averages, (224, 224, 3), 0..1, of what counts among pixels (H, W, 3 or 4)."""
    weighted = _needs_weights(pixels)
    width = pixels.shape[1]
    channels = 4 if weighted else 3
    rows = np.empty((PROXY_SIZE, width, channels), np.float32)
    for row, (start, weights) in zip(rows, _windows(len(pixels)), strict=True):
        strip = pixels[start : start + len(weights)]
        values = _values_and_weights(strip) if weighted else strip[..., :3].astype(np.float32)
        np.matmul(weights, values.reshape(len(weights), -1), out=row.reshape(-1))
    sums = np.empty((PROXY_SIZE, PROXY_SIZE, channels), np.float32)
    for column, (start, weights) in enumerate(_windows(width)):
        np.matmul(weights, rows[:, start : start + len(weights)], out=sums[:, column])
    sums /= _full_scale(pixels.dtype)
    return _filled(sums) if weighted else sums


def _windows(length: int) -> Iterator[tuple[int, Floats]]:
    """Yield, for each of 224 values along a side, its first source pixel and all their weights.

    Weights add up to 1. Where 224 is less than `length` they are the overlap of areas, else those
    of linear interpolation between the centers of pixels.
    """
    scale = length / PROXY_SIZE
    for index in range(PROXY_SIZE):
        if scale >= 1:
            low, high = index * scale, (index + 1) * scale
            start, stop = int(low), min(int(np.ceil(high)), length)
            edges = np.arange(start, stop + 1).clip(low, high)
            weights = np.diff(edges) / scale
        else:
            center = min(max((index + 0.5) * scale - 0.5, 0.0), length - 1.0)
            start = min(int(center), max(length - 2, 0))
            weights = np.array([1 - center + start, center - start])[: length - start]
        yield start, weights.astype(np.float32)


def _full_scale(dtype: np.dtype[Any]) -> float:
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else 1.0


def _needs_weights(pixels: npt.NDArray[Any]) -> bool:
    return pixels.shape[2] == 4 or pixels.dtype.kind == "f"


def _values_and_weights(strip: npt.NDArray[Any]) -> Floats:
    """Return (H, W, 4): colors and the full scale as weight, zeros for what does not count."""
    full_scale = _full_scale(strip.dtype)
    values = np.empty((*strip.shape[:2], 4), np.float32)
    values[..., : strip.shape[2]] = strip
    counts = values[..., 3] > 0 if strip.shape[2] == 4 else np.ones(strip.shape[:2], bool)
    if strip.dtype.kind == "f":
        if not np.isfinite(strip).all():
            counts &= np.isfinite(strip[..., :3]).all(axis=-1)
        np.clip(values, 0.0, 1.0, out=values)
    values[..., 3] = full_scale
    if not counts.all():
        values[~counts] = 0.0
    return values


def _filled(sums: Floats) -> Floats:
    """Return weighted averages of (224, 224, 4); their mean, or mid-grey, where nothing counts."""
    weights = sums[..., 3]
    known = weights > 1e-6
    averages = np.full((PROXY_SIZE, PROXY_SIZE, 3), 0.5, np.float32)
    if known.any():
        averages[known] = sums[known, :3] / weights[known, None]
        averages[~known] = averages[known].mean(axis=0, dtype=np.float64)
    return averages


def upright(picture: Floats, orientation: int) -> Floats:
    """Turn and mirror a picture (H, W, 3) as its EXIF orientation says (CIPA DC-008, tag 274)."""
    if orientation >= 5:
        picture = picture.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    return picture
