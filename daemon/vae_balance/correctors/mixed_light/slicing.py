"""A bilateral grid sliced in torch, as `looks/slicing.py` does it, so that gradients flow."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_balance.color.srgb import LUMINANCE
from vae_balance.looks.light_map import MAP


def slice_grid(grid: Tensor, colors: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Change colors by the maps of a grid, as `looks/slicing.py` does; gradients flow to the grid.

    Args:
        grid: (B, R, C, L, 12).
        colors: (B, 3, h, w), sRGB-encoded, 0..1.
        rows: (h, R) weights of the grid's rows, see `interpolation`.
        columns: (w, C) weights of its columns.

    Returns:
        (B, 3, h, w), not clipped.
    """
    levels = grid.shape[3]
    wide = torch.einsum("hr,brcm->bhcm", rows, grid.flatten(3))
    maps = torch.einsum("wc,bhcm->bhwm", columns, wide).unflatten(-1, (levels, MAP))
    light = torch.einsum("c,bchw->bhw", torch.from_numpy(LUMINANCE).to(colors), colors)
    steps = torch.arange(levels, device=grid.device)
    near = (1.0 - (light[..., None] * (levels - 1) - steps).abs()).clamp_min(0.0)
    chosen = torch.einsum("bhwl,bhwlm->bhwm", near, maps).unflatten(-1, (4, 3))
    x = torch.cat([colors, torch.ones_like(colors[:, :1])], dim=1)
    return colors + torch.einsum("bkhw,bhwkc->bchw", x, chosen)


def interpolation(pixels: int, nodes: int) -> Tensor:
    """Return weights (pixels, nodes) of linear interpolation; nodes lie at the centers of parts."""
    places = ((torch.arange(pixels) + 0.5) * nodes / pixels - 0.5).clamp(0.0, nodes - 1.0)
    return (1.0 - (places[:, None] - torch.arange(nodes)).abs()).clamp_min(0.0)
