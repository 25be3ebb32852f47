"""The cells of a lattice of colors that photos occupy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vae_balance.color.arrays import Colors

# (K, 3) whole numbers: red, green, blue.
Places = NDArray[np.int64]

# What leads from a cell's darkest corner to each of its corners.
_CORNERS = np.indices((2, 2, 2)).reshape(3, -1).T

# Colors that are counted at a time, those of 20 proxies.
_TOGETHER = 1 << 20


def occupied_cells(colors: Colors, nodes: int, step: Callable[[], None] = lambda: None) -> Places:
    """Return the cells, each once, in which colors (..., 3) of 0..1 lie.

    Args:
        colors: of photos.
        nodes: of the lattice along each edge of the cube, at least 2.
        step: called every so many colors; may raise what is to end it.
    """
    cells = nodes - 1
    occupied = np.zeros((cells,) * 3, dtype=bool)
    flat = colors.reshape(-1, 3)
    for first in range(0, len(flat), _TOGETHER):
        step()
        places = (flat[first : first + _TOGETHER] * cells).astype(np.int32)
        red, green, blue = np.minimum(places, cells - 1).T
        occupied[red, green, blue] = True
    return np.argwhere(occupied)


def cells_around(cells: Places, reach: int, nodes: int) -> Places:
    """Return cells and those that are at most `reach` cells away from them along each axis."""
    steps = np.indices((2 * reach + 1,) * 3).reshape(3, -1).T - reach
    return (cells[:, None] + steps).clip(0, nodes - 2).reshape(-1, 3)


def corners_of(cells: Places, nodes: int) -> Places:
    """Return the nodes, each once, at the corners of cells."""
    corner = np.zeros((nodes,) * 3, dtype=bool)
    for step in _CORNERS:
        corner[tuple((cells + step).T)] = True
    return np.argwhere(corner)
