"""The fast guided filter: planes in small that follow the edges of a picture in large.

He and Sun, "Fast Guided Filter" (2015): around every place a plane is a linear function of the
guide. The functions are found at small size and enlarged; the large guide then brings its edges.
So what a large pixel gets depends on its own value and place only, however the picture is cut.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vae_balance.color.arrays import Floats


def guided_coefficients(
    guide: Floats, planes: Floats, radius: int = 6, smoothness: float = 0.02
) -> tuple[Floats, Floats]:
    """Return slopes and offsets (N, h, w), so that `slope * guide + offset` is like the planes.

    Args:
        guide: (h, w), 0..1.
        planes: (N, h, w).
        radius: of the squares, in pixels, of which each has a linear function.
        smoothness: standard deviation of the guide below which it is taken to have no edge.
    """
    lines = guide[None]
    means = box_mean(np.concatenate([lines, lines**2, planes, lines * planes]), radius)
    mean, square = means[0], means[1]
    plane_means, products = np.split(means[2:], 2)
    variance = np.maximum(square - mean**2, 0.0)
    slopes = (products - mean * plane_means) / (variance + smoothness**2)
    offsets = plane_means - slopes * mean
    both = box_mean(np.concatenate([slopes, offsets]), radius).astype(np.float32)
    first, second = np.split(both, 2)
    return first, second


def box_mean(planes: NDArray[np.floating], radius: int) -> NDArray[np.float64]:
    """Return the means (N, h, w) over squares of `2 * radius + 1`, at edges over what is there."""
    means = np.asarray(planes, dtype=np.float64)
    for axis in (1, 2):
        length = means.shape[axis]
        sums = np.concatenate([np.zeros_like(means.take([0], axis)), means.cumsum(axis)], axis)
        low = np.maximum(np.arange(length) - radius, 0)
        high = np.minimum(np.arange(length) + radius + 1, length)
        counts = (high - low).reshape(-1, 1) if axis == 1 else high - low
        means = (sums.take(high, axis) - sums.take(low, axis)) / counts
    return means
