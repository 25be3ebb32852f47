"""A bilateral grid fitted to two aligned pictures: place by place, the map from one to the other.

Three maps are added up: one of the whole picture, one of each place, and one of each place and
lightness, each fitted to what those before it leave. The last two are drawn to zero where little is
seen: a place without dark pixels says nothing of dark colors, and gets what its surroundings say.

All is linear in the targets, so gradients flow to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vae_balance.color.srgb import LUMINANCE
from vae_balance.correctors.mixed_light.slicing import interpolation, slice_grid

# Terms of an affine function of a color, whose factors count from the middle of its range.
_TERMS = 4
# What draws the map of the whole picture to zero.
_WHOLE_RIDGE = 1e-4


@dataclass(frozen=True)
class GridFit:
    """How a grid is fitted.

    Attributes:
        places: nodes along each edge of the picture.
        levels: nodes along luma.
        reach: how far a place looks around, as a part of the picture's side: the deviation of a
            normal distribution.
        luma_reach: how far a lightness looks around, likewise, as a part of the range.
        ridge: what draws a place's map to zero, as a part of the weight of all its pixels.
        luma_ridge: the same for the map of a place and lightness.
    """

    places: int = 16
    levels: int = 8
    reach: float = 0.1
    luma_reach: float = 0.15
    ridge: float = 0.003
    luma_ridge: float = 0.02


def fit_grid(colors: Tensor, targets: Tensor, how: GridFit = GridFit()) -> Tensor:
    """Return grids (B, places, places, levels, 12) that change `colors` to `targets`.

    Both (B, 3, h, w), sRGB-encoded; see `looks/slicing.py` for the maps.
    """
    height, width = colors.shape[2:]
    rows, columns = _near(height, how).to(colors), _near(width, how).to(colors)
    every_row, every_column = (torch.full((1, n), 1.0 / n).to(colors) for n in (height, width))
    all_light = torch.ones_like(colors[:, :1])
    whole = _fitted(colors, targets - colors, every_row, every_column, all_light, _WHOLE_RIDGE)
    left = targets - _changed(colors, whole)
    placed = _fitted(colors, left, rows, columns, all_light, how.ridge)
    left = left + colors - _changed(colors, placed)
    lit = _fitted(colors, left, rows, columns, _levels_near(colors, how), how.luma_ridge)
    return whole + placed + lit


def _near(pixels: int, how: GridFit) -> Tensor:
    """Return how much each pixel of an edge counts for its nodes, (places, pixels); sums are 1."""
    pixel = (torch.arange(pixels) + 0.5) / pixels
    node = (torch.arange(how.places) + 0.5) / how.places
    weights = torch.exp(-0.5 * ((node[:, None] - pixel) / how.reach).square())
    return weights / weights.sum(dim=1, keepdim=True)


def _levels_near(colors: Tensor, how: GridFit) -> Tensor:
    """Return how much each pixel counts for the levels of luma, (B, levels, h, w), 0..1."""
    luma = torch.einsum("c,bchw->bhw", torch.from_numpy(LUMINANCE).to(colors), colors)
    levels = torch.linspace(0.0, 1.0, how.levels).to(colors)[:, None, None]
    return torch.exp(-0.5 * ((luma[:, None] - levels) / how.luma_reach).square())


def _fitted(
    colors: Tensor, change: Tensor, rows: Tensor, columns: Tensor, light: Tensor, ridge: float
) -> Tensor:
    """Return the affine maps (B, R, C, L, 12) that are nearest to a change of colors.

    Args:
        colors: (B, 3, h, w), sRGB-encoded.
        change: (B, 3, h, w).
        rows: (R, h) how much each row counts.
        columns: (C, w) how much each column counts.
        light: (B, L, h, w) how much each pixel counts for a level.
        ridge: see `GridFit`.
    """
    terms = torch.cat([colors - 0.5, torch.ones_like(colors[:, :1])], dim=1)
    gram = (terms[:, :, None] * terms[:, None]).flatten(1, 2)
    moment = (terms[:, :, None] * change[:, None]).flatten(1, 2)
    products = torch.cat([gram, moment], dim=1)[:, None] * light[:, :, None]
    sums = torch.einsum("rh,blkhw,cw->brclk", rows, products, columns)
    gram, moment = sums.split([_TERMS**2, _TERMS * 3], dim=-1)
    gram = gram.unflatten(-1, (_TERMS, _TERMS)) + ridge * torch.eye(_TERMS).to(colors)
    maps = torch.linalg.solve(gram, moment.unflatten(-1, (_TERMS, 3)))
    factors, added = maps[..., :3, :], maps[..., 3:, :]
    return torch.cat([factors, added - 0.5 * factors.sum(-2, keepdim=True)], dim=-2).flatten(-2)


def _changed(colors: Tensor, grid: Tensor) -> Tensor:
    """Return colors (B, 3, h, w) changed by grids of any size."""
    levels = max(2, grid.shape[3])
    height, width = colors.shape[2:]
    rows, columns = interpolation(height, grid.shape[1]), interpolation(width, grid.shape[2])
    grid = grid.expand(-1, -1, -1, levels, -1)
    return slice_grid(grid, colors, rows.to(colors), columns.to(colors))
