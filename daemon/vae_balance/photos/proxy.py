"""The proxy: the small upright sRGB picture from which a look is learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vae_balance.color.profile import to_srgb
from vae_balance.errors import OptionError
from vae_balance.photos.photo import Photo

Floats = npt.NDArray[np.float32]

PROXY_SIZE = 224
KINDS = ("centre", "frame")
_BLOCK_BYTES = 16 << 20  # of rows of the proxy that are still as wide as the picture


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
    photo = picture if isinstance(picture, Photo) else Photo(picture)
    pixels = photo.pixels[..., :3] if photo.alpha == "unspecified" else photo.pixels
    proxy = GrowingProxy(pixels.shape, pixels.dtype, kind, photo.icc_profile)
    proxy.add(pixels)
    return np.ascontiguousarray(upright(proxy.finish(), photo.orientation))


class GrowingProxy:
    """The proxy, as `make_proxy` makes it, of a picture that comes in strips, top to bottom.

    How the picture is cut has no influence beyond rounding.

    Args:
        shape: (H, W, 3) or (H, W, 4), of the whole picture.
        dtype: Of the strips, as `Photo.pixels`.
        kind: As in `make_proxy`.
        icc_profile: How the colors are encoded; None is sRGB.

    Raises:
        OptionError: There is no such kind.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        kind: str = "centre",
        icc_profile: bytes | None = None,
    ) -> None:
        if kind not in KINDS:
            raise OptionError(f"proxy {kind!r}: it must be one of {', '.join(KINDS)}")
        height, width, channels = shape
        self._height, self._width = (min(shape[:2]),) * 2 if kind == "centre" else (height, width)
        self._left = (width - self._width) // 2
        self._next_row = -((height - self._height) // 2)  # 0 is the first row that is looked at
        self._dtype = np.dtype(dtype)
        self._icc_profile = icc_profile
        self._weighted = channels == 4 or self._dtype.kind == "f"
        self._columns = list(_windows(self._width))
        self._rows = list(_windows(self._height))
        self._sums = np.zeros((PROXY_SIZE, PROXY_SIZE, 4 if self._weighted else 3), np.float32)

    def add(self, strip: npt.NDArray[Any]) -> None:
        """Take in the next rows, (rows, W, 3) or (rows, W, 4), of the picture."""
        first, self._next_row = self._next_row, self._next_row + len(strip)
        seen = strip[:, self._left : self._left + self._width]
        shares = []  # of the strip in rows of the proxy: which, from where in the strip, weights
        for index, (start, weights) in enumerate(self._rows):
            low, high = max(start, first), min(start + len(weights), self._next_row)
            if low < high:
                shares.append((index, low - first, weights[low - start : high - start]))
        row_bytes = self._width * self._sums[0, 0].nbytes
        step = max(1, _BLOCK_BYTES // row_bytes)
        for begin in range(0, len(shares), step):
            self._add_shares(seen, shares[begin : begin + step])

    def finish(self) -> Floats:
        """Return the proxy, (224, 224, 3) sRGB-encoded, 0..1, when all strips were added."""
        sums = self._sums / np.float32(_full_scale(self._dtype))
        averages = _filled(sums) if self._weighted else sums
        return to_srgb(averages, self._icc_profile).clip(0.0, 1.0)

    def _add_shares(
        self, strip: npt.NDArray[Any], shares: Sequence[tuple[int, int, Floats]]
    ) -> None:
        """Add what a strip has to consecutive rows of the proxy."""
        rows = np.empty((len(shares), self._width, self._sums.shape[2]), np.float32)
        for row, (_, start, weights) in zip(rows, shares, strict=True):
            part = strip[start : start + len(weights)]
            values = _values_and_weights(part) if self._weighted else part.astype(np.float32)
            np.matmul(weights, values.reshape(len(weights), -1), out=row.reshape(-1))
        sums = self._sums[shares[0][0] : shares[-1][0] + 1]
        for column, (start, weights) in enumerate(self._columns):
            sums[:, column] += np.matmul(weights, rows[:, start : start + len(weights)])


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
