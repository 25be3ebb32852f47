"""A bilateral grid sliced for every pixel: the loops over pixels, compiled by numba.

Source: Gharbi et al., "Deep Bilateral Learning for Real-Time Image Enhancement" (2017), the slicing
layer; Chen, Paris and Durand, "Real-time Edge-Aware Image Processing with the Bilateral Grid"
(2007).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


# No fast math: a pixel's result must not depend on how many others are done with it.
def _slice_rows(
    colors: Floats, grid: Floats, top: int, left: int, height: int, width: int, luma: Floats
) -> None:
    """Change colors in place by the affine maps of where they lie and of how light they are.

    Maps of the eight nearest nodes are interpolated linearly; beyond the outermost nodes there are
    theirs. The result is clipped to 0..1.

    Args:
        colors: (rows, columns, 3) in 0..1, contiguous.
        grid: (R, C, L, 12), the changes that the maps make: factors of red for the change of red,
            green and blue, then those of green and blue, then what is added.
        top: row of the photo that `colors` begins with.
        left: column of the photo that it begins with.
        height: of the photo.
        width: of the photo.
        luma: (3,) weights of the guide.
    """
    rows, columns, levels, _ = grid.shape
    nodes = np.empty((columns, levels, 12), np.float32)
    one = np.float32(1.0)
    for y in range(colors.shape[0]):
        v = min(max((top + y + 0.5) * rows / height - 0.5, 0.0), rows - 1.0)
        row = min(int(v), max(rows - 2, 0))
        below = np.float32(v - row)
        next_row = min(row + 1, rows - 1)
        for column in range(columns):
            for level in range(levels):
                for k in range(12):
                    first = grid[row, column, level, k]
                    nodes[column, level, k] = first + below * (
                        grid[next_row, column, level, k] - first
                    )
        for x in range(colors.shape[1]):
            u = min(max((left + x + 0.5) * columns / width - 0.5, 0.0), columns - 1.0)
            column = min(int(u), max(columns - 2, 0))
            right = np.float32(u - column)
            next_column = min(column + 1, columns - 1)
            r, g, b = colors[y, x, 0], colors[y, x, 1], colors[y, x, 2]
            light = (luma[0] * r + luma[1] * g + luma[2] * b) * np.float32(levels - 1)
            level = min(max(int(light), 0), max(levels - 2, 0))
            above = light - np.float32(level)
            next_level = min(level + 1, levels - 1)
            w00 = (one - right) * (one - above)
            w01 = (one - right) * above
            w10 = right * (one - above)
            w11 = right * above
            a = nodes[column, level]
            c = nodes[column, next_level]
            d = nodes[next_column, level]
            e = nodes[next_column, next_level]
            for k in range(3):
                by_red = w00 * a[k] + w01 * c[k] + w10 * d[k] + w11 * e[k]
                by_green = w00 * a[k + 3] + w01 * c[k + 3] + w10 * d[k + 3] + w11 * e[k + 3]
                by_blue = w00 * a[k + 6] + w01 * c[k + 6] + w10 * d[k + 6] + w11 * e[k + 6]
                added = w00 * a[k + 9] + w01 * c[k + 9] + w10 * d[k + 9] + w11 * e[k + 9]
                changed = colors[y, x, k] + (by_red * r + by_green * g + by_blue * b + added)
                colors[y, x, k] = min(max(changed, np.float32(0.0)), one)
