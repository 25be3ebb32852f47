"""A bilateral grid sliced for every pixel: the loop over pixels, compiled by numba.

Sources: Chen, Paris and Durand, "Real-time Edge-Aware Image Processing with the Bilateral Grid"
(2007); Gharbi et al., "Deep Bilateral Learning for Real-Time Image Enhancement" (2017).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vae_balance.color.arrays import Floats

F = TypeVar("F", bound=Callable[..., Any])

# Products may be added without rounding them first, in every pixel alike; no faster mathematics: a
# pixel's result must not depend on which others are done with it.
_HOW: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


def _compiled(function: F) -> F:
    """Compile when it is called first; kept on disk where some folder for that can be written."""
    try:
        compiled: F = njit(cache=True, **_HOW)(function)
    except RuntimeError:
        compiled = njit(**_HOW)(function)
    return compiled


@_compiled
def _change(node: Floats, k: int, r: np.float32, g: np.float32, b: np.float32) -> np.float32:
    """Return what the map of a node, (12,), adds to channel `k` of a color."""
    change: np.float32 = node[k] * r + node[k + 3] * g + node[k + 6] * b + node[k + 9]
    return change


@_compiled
def slice_rows(
    pixels: NDArray[Any],
    mapped: Floats,
    grid: Floats,
    place: tuple[int, int, int, int],
    full: np.float32,
    strength: np.float32,
    luma: Floats,
) -> None:
    """Change rows of a photo in place, each pixel by the maps of its place and its luma.

    Maps of the eight nearest nodes are interpolated linearly; beyond the outermost nodes there are
    theirs. Results are clipped to 0..1; a float outside keeps its distance, and a pixel with a
    color that is not finite stays as it is.

    Args:
        pixels: (rows, columns, 3 or 4) of uint8, uint16 or float32, sRGB-encoded.
        mapped: (rows, columns, 3) what a first color function made of them, 0..1.
        grid: (R, C, L, 12), the changes that maps make of `mapped`: factors of red for the change
            of red, green and blue, then those of green, then of blue, then what is added.
        place: top, left, height, width: row and column of the photo that `pixels` begin with, and
            the size of the photo.
        full: what 1.0 is in `pixels`.
        strength: 0 changes nothing, 1 in full.
        luma: (3,) weights of the guide.
    """
    top, left, height, width = place
    rows, columns, levels, _ = grid.shape
    nodes = np.empty((columns, levels, 12), np.float32)
    zero, one = np.float32(0.0), np.float32(1.0)
    half = np.float32(0.5) if full > one else zero  # integers are rounded
    unit = one / full
    one_node, last_node, last_level = np.uint32(1), np.uint32(columns - 1), np.uint32(levels - 1)
    left_nodes = np.empty(pixels.shape[1], np.uint32)
    rights = np.empty(pixels.shape[1], np.float32)
    for x in range(pixels.shape[1]):
        u = min(max((left + x + 0.5) * columns / width - 0.5, 0.0), columns - 1.0)
        left_nodes[x] = min(int(u), max(columns - 2, 0))
        rights[x] = np.float32(u - left_nodes[x])
    for y in range(pixels.shape[0]):
        v = min(max((top + y + 0.5) * rows / height - 0.5, 0.0), rows - 1.0)
        row = min(int(v), max(rows - 2, 0))
        below = np.float32(v - row)
        next_row = min(row + 1, rows - 1)
        for column in range(columns):
            for level in range(levels):
                for k in range(12):
                    first = grid[row, column, level, k]
                    last = grid[next_row, column, level, k]
                    nodes[column, level, k] = first + below * (last - first)
        for x in range(pixels.shape[1]):
            column, right = left_nodes[x], rights[x]
            next_column = min(column + one_node, last_node)
            r, g, b = mapped[y, x, 0], mapped[y, x, 1], mapped[y, x, 2]
            light = (luma[0] * r + luma[1] * g + luma[2] * b) * np.float32(levels - 1)
            level = min(np.uint32(max(light, zero)), last_level - one_node)
            above = light - np.float32(level)
            next_level = level + one_node
            w00, w01 = (one - right) * (one - above), (one - right) * above
            w10, w11 = right * (one - above), right * above
            a, c = nodes[column, level], nodes[column, next_level]
            d, e = nodes[next_column, level], nodes[next_column, next_level]
            finite = True
            if full == one:
                for k in range(3):
                    finite = finite and np.isfinite(pixels[y, x, k])
            if not finite:
                continue
            for k in range(3):
                made = mapped[y, x, k] + (
                    w00 * _change(a, k, r, g, b)
                    + w01 * _change(c, k, r, g, b)
                    + w10 * _change(d, k, r, g, b)
                    + w11 * _change(e, k, r, g, b)
                )
                made = min(max(made, zero), one)
                was = np.float32(pixels[y, x, k]) * unit
                inside = min(max(was, zero), one)
                if strength != one:
                    made = min(max(inside + strength * (made - inside), zero), one)
                pixels[y, x, k] = (made + (was - inside)) * full + half
