"""Grey photos that were toned: sepia, selenium, a faded print. Their hue follows their lightness.

A photo is grey, toned or not, where one curve from lightness to a and b explains all its colors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
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


@dataclass(frozen=True, eq=False)
class Toning:
    """The tone of a photo as a curve, and how far its colors are from it.

    Attributes:
        curve: (16, 2) a and b at the middles of 16 equal steps of L* from 0 to 100.
        distance: 99.5th percentile of the distances from the curve, in a and b, of means of 4 x 4.
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
    lightness, chroma = lab[..., 0].reshape(-1), lab[..., 1:].reshape(-1, 2)
    bins = np.clip(lightness * (_BINS / 100.0), 0, _BINS - 1).astype(np.int64)
    counts = np.bincount(bins, minlength=_BINS)
    sums = np.stack([np.bincount(bins, chroma[:, i], _BINS) for i in range(2)], axis=1)
    known = counts > 0
    means = sums[known] / counts[known, None]
    steps = np.arange(_BINS)
    curve = np.stack([np.interp(steps, steps[known], means[:, i]) for i in range(2)], axis=1)
    middles = (steps + 0.5) * (100.0 / _BINS)
    expected = np.stack([np.interp(lightness, middles, curve[:, i]) for i in range(2)], axis=1)
    away = np.hypot(*_block_means((chroma - expected).reshape(*lab.shape[:2], 2)).T)
    distance = float(np.percentile(away, _PERCENTILE))
    return Toning(curve.astype(np.float32), distance)


def _block_means(planes: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the means (N, C) of blocks of a picture (H, W, C); a smaller one is a block."""
    height, width = (max(side // _BLOCK, 1) for side in planes.shape[:2])
    rows, columns = (min(side, _BLOCK) for side in planes.shape[:2])
    cut = planes[: height * rows, : width * columns]
    blocks = cut.reshape(height, rows, width, columns, planes.shape[2])
    return blocks.mean(axis=(1, 3)).reshape(-1, planes.shape[2])
