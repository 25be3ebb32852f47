"""The proxy: the small upright sRGB picture from which a look is learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vae_balance.color.arrays import Floats
from vae_balance.color.profile import curved_to_srgb, srgb_curves, to_srgb
from vae_balance.errors import OptionError
from vae_balance.photos.photo import Photo
from vae_balance.photos.pixels import upright
from vae_balance_protocol.messages import PROXY_SIZE
from vae_balance_protocol.options import CENTRE, PROXY_KINDS

__all__ = ["KINDS", "PROXY_SIZE", "Floats", "GrowingProxy", "make_proxy"]


KINDS = PROXY_KINDS.choices
_FAINT = 0.05  # of full scale: the alpha from which on a pixel counts in full
_BLOCK_BYTES = 16 << 20  # of rows of the proxy that are still as wide as the picture


def make_proxy(picture: Photo | npt.NDArray[Any], kind: str = CENTRE) -> Floats:
    """Shrink a picture to the proxy by averaging areas; a smaller picture is smoothly enlarged.

    Values are clipped to 0..1 as a screen shows them, averaged with the tone curve of sRGB however
    they are encoded, and converted to sRGB afterwards. Transparent pixels (alpha 0) and pixels with
    a NaN or an infinity do not count; where there is nothing else, the proxy has the mean of what
    it has elsewhere, or mid-grey. What is nearly transparent, of which a picture of fewer bits has
    nothing left, counts a little. Working memory does not grow with the height of the picture.

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
        kind: str = CENTRE,
        icc_profile: bytes | None = None,
    ) -> None:
        if kind not in KINDS:
            raise OptionError(f"proxy {kind!r}: it must be one of {', '.join(KINDS)}")
        height, width, channels = shape
        self._height, self._width = (min(shape[:2]),) * 2 if kind == CENTRE else (height, width)
        self._left = (width - self._width) // 2
        self._next_row = -((height - self._height) // 2)  # 0 is the first row that is looked at
        self._dtype = np.dtype(dtype)
        self._icc_profile = icc_profile
        self._curves = srgb_curves(icc_profile, self._dtype)
        self._columns = list(_windows(self._width))
        self._rows = list(_windows(self._height))
        self._weighted = channels == 4 or self._dtype.kind == "f"
        self._sums = np.zeros((PROXY_SIZE, PROXY_SIZE, 4 if self._weighted else 3), np.float32)
        # What the weights among the sums would be if nothing were faint.
        self._full_weights = np.zeros((PROXY_SIZE, PROXY_SIZE, 1), np.float32)

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
        full_scale = _full_scale(self._dtype)
        sums = self._sums / np.float32(full_scale)
        averages = sums
        if self._weighted:
            averages = _filled(sums, self._full_weights[..., 0] / np.float32(full_scale))
        if self._curves is not None:
            return curved_to_srgb(averages, self._icc_profile).clip(0.0, 1.0)
        return to_srgb(averages, self._icc_profile).clip(0.0, 1.0)

    def _add_shares(
        self, strip: npt.NDArray[Any], shares: Sequence[tuple[int, int, Floats]]
    ) -> None:
        """Add what a strip has to consecutive rows of the proxy."""
        rows = np.empty((len(shares), self._width, self._sums.shape[2]), np.float32)
        full_weights = rows[..., 3:]
        is_faint = strip.shape[2] == 4 and _is_faint(strip)
        if is_faint:
            full_weights = np.empty((len(shares), self._width, 1), np.float32)
        for index, (_, start, weights) in enumerate(shares):
            part = strip[start : start + len(weights)]
            values = self._values(part)
            if is_faint:
                full_weights[index, :, 0] = weights @ values[..., 3]
                _fade(values, part)
            np.matmul(weights, values.reshape(len(weights), -1), out=rows[index].reshape(-1))
        which = slice(shares[0][0], shares[-1][0] + 1)
        _add_columns(self._sums[which], rows, self._columns)
        if self._weighted:
            _add_columns(self._full_weights[which], full_weights, self._columns)

    def _values(self, part: npt.NDArray[Any]) -> Floats:
        """Return what is summed up of pixels: colors and, if these are weighted, a weight.

        The weight is the full scale, or 0, with all colors, for what does not count.
        """
        values = np.empty((*part.shape[:2], self._sums.shape[2]), np.float32)
        values[..., : part.shape[2]] = part
        full_scale = np.float32(_full_scale(part.dtype))
        counts = values[..., 3] > 0 if part.shape[2] == 4 else None
        if part.dtype.kind == "f":
            if not np.isfinite(values[..., : part.shape[2]]).all():
                finite = np.asarray(np.isfinite(values[..., :3]).all(axis=-1))
                counts = finite if counts is None else counts & finite
                values[~counts] = 0.0
            np.clip(values, 0.0, 1.0, out=values)
        if self._curves is not None:
            for channel, curve in enumerate(self._curves):
                steps = part[..., channel]
                if part.dtype.kind == "f":
                    last = np.float32(len(curve) - 1)
                    steps = (values[..., channel] * last + np.float32(0.5)).astype(np.uint16)
                values[..., channel] = curve[steps]
        if self._weighted:
            values[..., 3] = full_scale
            if counts is not None and not counts.all():
                values[~counts] = 0.0
        return values


def _add_columns(sums: Floats, rows: Floats, columns: Sequence[tuple[int, Floats]]) -> None:
    """Add (rows, W, n) to (rows, 224, n), each column with its share."""
    for column, (start, weights) in enumerate(columns):
        sums[:, column] += np.matmul(weights, rows[:, start : start + len(weights)])


def _is_faint(pixels: npt.NDArray[Any]) -> bool:
    """Tell whether any pixel of (H, W, 4) is nearly transparent."""
    return bool(pixels[..., 3].min() < _FAINT * _full_scale(pixels.dtype))


def _fade(values: Floats, pixels: npt.NDArray[Any]) -> None:
    """Let pixels (H, W, 4) that are nearly transparent count less in their values."""
    faint = np.float32(_FAINT * _full_scale(pixels.dtype))
    shares = (np.nan_to_num(pixels[..., 3].astype(np.float32)) / faint).clip(0.0, 1.0)
    values *= shares[..., None]


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


def _filled(sums: Floats, full_weights: Floats) -> Floats:
    """Return averages of (224, 224, 4), as faint as they are over the mean of all.

    Where nothing counts they are that mean, or mid-grey where nothing counts at all.
    """
    weights = sums[..., 3]
    known = weights > 1e-6
    averages = np.full((PROXY_SIZE, PROXY_SIZE, 3), 0.5, np.float32)
    if not known.any():
        return averages
    averages[known] = sums[known, :3] / weights[known, None]
    mean = averages[known].mean(axis=0, dtype=np.float64)
    averages[~known] = mean
    shares = weights[known] / full_weights[known]
    if shares.min() < 1.0:
        shares /= shares.max()  # a picture that is faint all over is not flatter for it
        averages[known] += (1.0 - shares)[:, None] * (mean - averages[known])
    return averages
