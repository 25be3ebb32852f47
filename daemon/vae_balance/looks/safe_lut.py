"""LUTs that do a photo no harm: no two of its colors change places, and greys stay in order.

A map is learned so that it has no folds, but one after the other, sampled at the nodes of a LUT,
maps can have some. They are mended here, where they are: a fold is ironed out, and the rest of the
LUT stays as it was. A map that all but ends in one color for many cannot be mended so: its LUT is
drawn toward no change, as little as it takes. So every LUT that leaves here is safe, whatever the
maps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from vae_balance.color.arrays import Colors, Doubles
from vae_balance.color.lut import Lut3D, apply_lut
from vae_balance.looks.color_cells import Places, cells_around, corners_of, occupied_cells
from vae_balance.looks.color_map import LEAST_BEYOND, ColorMap, compose
from vae_balance_protocol.options import SIZE, STRENGTH

# Share of the cells occupied by a photo that must have no fold.
LEAST_UNFOLDED = 0.995
# By how many codes of 65,535 a grey may be lighter than the one before: a quarter of a step of 8
# bits.
MOST_STEP = 64
# What greys rise by at least where the LUT would let them fall, seen from no change: enough not to
# be lost in the rounding of 16 bits.
_LEAST_RISE = 0.01
# How far from the grey axis a mended grey takes other colors with it, seen from black to white.
_AROUND_GREY = 0.2
# Passes over the folds, and after how many a pass reaches a cell farther.
_PASSES, _WIDER_AFTER = 12, 3
# How near the share of its change that a LUT keeps, where not all is safe, is to the most it could.
_NEAREST = 1 / 64
# Decimals of the numbers in LUT files.
_DECIMALS = 6
_GREYS = np.repeat(np.arange(65536, dtype=np.uint16)[None, :, None], 3, axis=2)


@dataclass(frozen=True)
class Safety:
    """What a LUT does to a photo's colors and to greys of 16 bits.

    Attributes:
        unfolded: share of the cells occupied by the photo in which the LUT has no fold.
        least_step: from any of 65,536 greys to the next, in any channel, in codes; below 0 greys
            change places.
        greatest_step: the same; large ones are seen as bands.
    """

    unfolded: float
    least_step: int
    greatest_step: int

    @property
    def safe(self) -> bool:
        """Whether the LUT can be trusted with the photo."""
        in_order = self.least_step >= 0 and self.greatest_step <= MOST_STEP
        return in_order and self.unfolded >= LEAST_UNFOLDED


def safety_of(lut: Lut3D, photos: Colors) -> Safety:
    """Measure what a LUT does to photos (..., 3), sRGB-encoded 0..1, and to greys."""
    return _safety(lut, occupied_cells(photos, lut.size))


def _safety(lut: Lut3D, cells: Places) -> Safety:
    folded = _folded(lut.table, cells)
    steps = np.diff(apply_lut(lut, _GREYS)[0].astype(np.int64), axis=0)
    return Safety(1.0 - float(folded.mean()), int(steps.min()), int(steps.max()))


def baked(
    maps: Sequence[ColorMap],
    photos: Colors,
    size: int = SIZE.default,
    strength: float = STRENGTH.default,
    step: Callable[[], None] = lambda: None,
) -> Lut3D:
    """Return color maps, one after the other, as a LUT that is safe for the photos they are for.

    A `.cube` file of it holds the same numbers: what is applied is what is exported.

    Args:
        maps: in the order in which they are applied.
        photos: (..., 3) sRGB-encoded, 0..1, as the first map receives them.
        size: nodes along each edge of the LUT.
        strength: 0 leaves the photos alone, 1 does what the maps do, more goes beyond.
        step: called every so many pixels; may raise what is to end it.
    """
    step()
    lut = Lut3D.from_function(lambda colors: compose(maps, colors), size)
    # White and black of a photo in floats stay in the range in which those of 8 bits do.
    lut = lut.blended(strength).clipped()
    return lut if lut.is_identity() else made_safe(_as_in_files(lut), photos, step)


def made_safe(lut: Lut3D, photos: Colors, step: Callable[[], None] = lambda: None) -> Lut3D:
    """Return the LUT without the folds that it has in colors of photos, and with greys in order.

    Args:
        lut: with values in 0..1. Where it is safe and without folds it stays as it is, to the last
            bit; what is mended has the decimals of files.
        photos: (..., 3) sRGB-encoded, 0..1.
        step: called every so many pixels; may raise what is to end it.
    """
    cells = occupied_cells(photos, lut.size, step)
    mended = _mended(lut, cells)
    if _safety(mended, cells).safe:
        return mended
    kept, too_much = 0.0, 1.0  # shares of the change; without any it is safe
    while too_much - kept > _NEAREST:
        step()
        share = 0.5 * (kept + too_much)
        if _safety(_mended(_as_in_files(lut.blended(share)), cells), cells).safe:
            kept = share
        else:
            too_much = share
    return _mended(_as_in_files(lut.blended(kept)), cells)


def _mended(lut: Lut3D, cells: Places) -> Lut3D:
    """Iron folds out and put greys in order, as far as that is possible."""
    table = _greys_in_order(lut.table)
    for done in range(_PASSES):
        folded = _folded(table, cells)
        if not folded.any():
            break
        around = cells_around(cells[folded], done // _WIDER_AFTER, lut.size)
        table = _greys_in_order(_ironed(table, around))
    return lut if table is lut.table else _as_in_files(replace(lut, table=table))


def _as_in_files(lut: Lut3D) -> Lut3D:
    return replace(lut, table=lut.table.round(_DECIMALS))


def _folded(table: Colors, cells: Places) -> NDArray[np.bool_]:
    """Tell of each cell whether a tetrahedron in it is flat or turned inside out.

    Between its corners a LUT is interpolated in six tetrahedra, each along another order of the
    axes, and in each the Jacobian is constant.
    """
    red, green, blue = (
        axis[..., None] + cells.T[i] for i, axis in enumerate(np.indices((2, 2, 2)))
    )
    corners = table[red, green, blue].astype(np.float64)  # (2, 2, 2, K, 3)
    folded = np.zeros(len(cells), dtype=bool)
    for order in permutations(range(3)):
        at, edges = [0, 0, 0], np.empty((3, len(cells), 3))
        for axis in order:
            start = corners[tuple(at)]
            at[axis] = 1
            edges[axis] = corners[tuple(at)] - start
        volume = (edges[0] * np.cross(edges[1], edges[2])).sum(axis=1)
        folded |= volume <= 0.0
    return folded


def _ironed(table: Colors, cells: Places) -> Colors:
    """Average the change of color at the corners of cells with that of the nodes beside them."""
    size = len(table)
    nodes = corners_of(cells, size)

    def change_at(places: Places) -> Doubles:
        change: Doubles = table[tuple(places.T)] - places / (size - 1.0)
        return change

    change = 0.25 * change_at(nodes)
    for step in (*np.eye(3, dtype=np.int64), *-np.eye(3, dtype=np.int64)):
        change += 0.125 * change_at((nodes + step).clip(0, size - 1))
    ironed = table.copy()
    ironed[tuple(nodes.T)] = (nodes / (size - 1.0) + change).clip(0.0, 1.0)
    return ironed


def _greys_in_order(table: Colors) -> Colors:
    """Let no grey be darker than one that was darker, taking the colors around greys along."""
    size = len(table)
    steps = np.arange(size)
    greys = table[steps, steps, steps].astype(np.float64)
    slope = _LEAST_RISE * steps[:, None] / (size - 1.0)
    flat = np.diff(greys - slope, axis=0) < 0.0
    black, white = greys[1:] < LEAST_BEYOND, greys[:-1] > 1.0 - LEAST_BEYOND
    if not (flat & ~black & ~white).any():
        return table
    change = (np.maximum.accumulate(greys - slope, axis=0) + slope).clip(0.0, 1.0) - greys
    nodes = np.indices((size,) * 3).reshape(3, -1)
    share = (1.0 - np.ptp(nodes, axis=0) / (_AROUND_GREY * (size - 1.0))).clip(0.0, 1.0)
    around = [np.interp(nodes.mean(axis=0), steps, change[:, channel]) for channel in range(3)]
    moved = table.reshape(-1, 3) + share[:, None] * np.stack(around, axis=1)
    return moved.clip(0.0, 1.0).astype(np.float32).reshape(table.shape)
