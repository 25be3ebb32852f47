"""Grey photos that were toned: sepia, selenium, a faded print. Their hue follows their lightness.

A photo is grey, toned or not, where one curve from lightness to a and b explains all its colors,
but for those of one small strip: a camera's date in orange, a stamp.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vae_balance.color.arrays import Floats
from vae_balance.color.cielab import srgb_to_lab

_BINS = 16
# Percentile of the distances to the curve by which a photo is judged, and the greatest distance,
# in a and b, that noise, scanners and JPEG leave in a grey photo.
_PERCENTILE, _GREATEST = 99.5, 5.0
# Chroma of a tone at most; a sheet of strong red is no print.
_STRONGEST = 50.0
# Below this distance from neutral, in a and b, nobody sees a tone.
_NEUTRAL = 2.0
# Side of the blocks whose means are compared: grain has no color in the mean.
_BLOCK = 4
# Sides of the strip that may have any colors, as parts of the frame's: a date is that large.
_STAMP = (0.07, 0.3)
# Pixels along each side of a photo that is large enough to have one.
_STAMPED = 32


@dataclass(frozen=True, eq=False)
class Toning:
    """The tone of a photo as a curve, and how far its colors are from it.

    Attributes:
        curve: (16, 2) a and b at the middles of 16 equal steps of L* from 0 to 100.
        distance: 99.5th percentile of the distances from the curve, in a and b, of means of 4 x 4;
            but for the strip, as large as a date, where most is far from the curve.
    """

    curve: Floats
    distance: float

    @property
    def is_grey(self) -> bool:
        """Whether the photo has no colors but those of its tone."""
        return self.distance < _GREATEST and bool(np.hypot(*self.curve.T).max() < _STRONGEST)

    @property
    def is_neutral(self) -> bool:
        """Whether that tone is none."""
        return bool(np.hypot(*self.curve.T).max() < _NEUTRAL)


def toning_of(colors: Floats) -> Toning:
    """Fit the tone of a photo, (H, W, 3) sRGB-encoded, 0..1."""
    lab = srgb_to_lab(colors)
    curve = _curve(lab, np.mean)
    distance = float(np.percentile(_distances(lab, curve), _PERCENTILE))
    if distance >= _GREATEST and min(colors.shape[:2]) >= _STAMPED:
        # Medians, and so the curve, are not drawn toward the colors of a stamp.
        curve = _curve(lab, np.median)
        distance = float(np.percentile(_beside_stamp(_distances(lab, curve)), _PERCENTILE))
    return Toning(curve, distance)


def _curve(lab: Floats, middle: Callable[..., Any]) -> Floats:
    """Return the means or medians (16, 2) of a and b by lightness, interpolated over gaps."""
    lightness, chroma = lab[..., 0].reshape(-1), lab[..., 1:].reshape(-1, 2)
    bins = np.clip(lightness * (_BINS / 100.0), 0, _BINS - 1).astype(np.int64)
    known = np.unique(bins)
    middles = np.stack([middle(chroma[bins == number], axis=0) for number in known])
    steps = np.arange(_BINS)
    return np.stack(
        [np.interp(steps, known, middles[:, i]) for i in range(2)], axis=1, dtype=np.float32
    )


def _distances(lab: Floats, curve: Floats) -> Floats:
    """Return how far the means of blocks of a photo (H, W, 3) are from a curve, (h, w)."""
    lightness, middles = lab[..., 0], (np.arange(_BINS) + 0.5) * (100.0 / _BINS)
    expected = np.stack([np.interp(lightness, middles, curve[:, i]) for i in range(2)], axis=-1)
    means = _block_means(lab[..., 1:] - expected)
    return np.hypot(means[..., 0], means[..., 1]).astype(np.float32)


def _beside_stamp(distances: Floats) -> Floats:
    """Return the distances (N,) of blocks without the strip that has most that are too great."""
    strips = [_worst_strip(distances >= _GREATEST, sides) for sides in (_STAMP, _STAMP[::-1])]
    _, stamp = max(strips, key=lambda strip: strip[0])
    beside = np.ones(distances.shape, dtype=bool)
    beside[stamp] = False
    return distances[beside]


def _worst_strip(
    marked: NDArray[np.bool_], sides: tuple[float, float]
) -> tuple[int, tuple[slice, slice]]:
    """Return the strip, of sides that are parts of the frame's, with most marks, and how many."""
    height, width = (
        math.ceil(part * whole) for part, whole in zip(sides, marked.shape, strict=True)
    )
    counts = sliding_window_view(marked, (height, width)).sum(axis=(2, 3))
    top, left = (int(place) for place in np.unravel_index(counts.argmax(), counts.shape))
    return int(counts[top, left]), (slice(top, top + height), slice(left, left + width))


def _block_means(planes: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the means (h, w, C) of blocks of a picture (H, W, C); a smaller one is a block."""
    height, width = (max(side // _BLOCK, 1) for side in planes.shape[:2])
    rows, columns = (min(side, _BLOCK) for side in planes.shape[:2])
    cut = planes[: height * rows, : width * columns]
    blocks = cut.reshape(height, rows, width, columns, planes.shape[2])
    means: NDArray[np.floating] = blocks.mean(axis=(1, 3))
    return means
