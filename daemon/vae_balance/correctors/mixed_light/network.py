"""The grid network: what is seen of a photo to a bilateral grid of affine color maps.

A photo's places meet at 14 x 14, as tokens: colors before and after the latent balancer's look,
what it would move there, and what the classifier sees there. They look at one another, because the
light of a place shows only beside that of others, and each tells the maps of its place. Where
nothing is learned, the maps change nothing.

Sources: Gharbi et al. (2017) for the grid; the residual blocks are those of the fused balancer.
Sizes in the comments are for a 224 x 224 proxy.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_balance.color.srgb import LUMINANCE
from vae_balance.correctors.latent_balancer.color_statistics import STATISTICS
from vae_balance.correctors.latent_balancer.fused_network import POOLED_LIMIT
from vae_balance.correctors.mixed_light.seeing import Sight
from vae_balance.models.folder import FolderModel

# Standardized inputs in place beyond this are outliers.
PLACED_LIMIT = 6.0
# Numbers of an affine color map.
MAP = 12
# Channels at 28 x 28: moments, moves, first moves, colors before and after.
_FINE = 8 + 4 + 4 + 3 + 3


@dataclass(frozen=True)
class GridConfig:
    """Sizes of the network.

    Attributes:
        base: name or folder of the model whose latent balancer's look it is added to.
        places: nodes of the grid along each edge of the photo.
        levels: nodes along luma.
        pooled: length of the classifier's pooled features.
        placed: channels of its features in place.
        statistics: how many numbers tell of the pixels' colors.
        stem: channels that are read from the pixels.
        token: channels at 14 x 14.
        blocks: residual blocks there.
        attention: heads with which tokens look at one another, in every second block.
        context: length of the vector that describes the whole photo.
        dropout: of tokens and context, in training.
        feature_dropout: of the classifier's features, in training.
    """

    base: str = "embedded"
    places: int = 16
    levels: int = 8
    pooled: int = 2464
    placed: int = 152
    statistics: int = STATISTICS
    stem: int = 24
    token: int = 160
    blocks: int = 4
    attention: int = 4
    context: int = 192
    dropout: float = 0.15
    feature_dropout: float = 0.3


class _Block(nn.Module):
    """Residual block: neighbors, at times all places, then every place under the context."""

    def __init__(self, token: int, context: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.near = nn.Linear(token, token)
        self.norm_near, self.norm = nn.LayerNorm(token), nn.LayerNorm(token)
        self.attention = nn.MultiheadAttention(token, heads, batch_first=True) if heads else None
        self.modulation = nn.Linear(context, 2 * token)
        self.enter, self.leave = nn.Linear(token, 2 * token), nn.Linear(2 * token, token)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        nn.init.normal_(self.leave.weight, std=0.01)
        if self.attention is not None:
            nn.init.zeros_(self.attention.out_proj.weight)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Map tokens (B, 14, 14, T) and context (B, K) to tokens."""
        near = F.avg_pool2d(
            self.norm_near(x).permute(0, 3, 1, 2), 3, 1, 1, count_include_pad=False
        ).permute(0, 2, 3, 1)
        x = x + self.near(near)
        scale, shift = self.modulation(context)[:, None, None].chunk(2, dim=-1)
        h = self.norm(x) * (1.0 + scale) + shift
        if self.attention is not None:
            places = h.flatten(1, 2)
            seen = self.attention(places, places, places, need_weights=False)[0]
            x = x + seen.unflatten(1, x.shape[1:3])
        h = F.silu(self.enter(h))
        # Whole channels of a photo: to draw for every place would take a fifth of a step's time.
        h = h * F.dropout(torch.ones_like(h[:, :1, :1]), self.dropout, self.training)
        changed: Tensor = self.leave(h)
        return x + changed


class GridNetwork(FolderModel):
    """What is seen of B photos to grids of the changes that affine color maps make."""

    config_type = GridConfig
    fine_shift: Tensor
    fine_scale: Tensor
    placed_shift: Tensor
    placed_scale: Tensor
    pooled_shift: Tensor
    pooled_scale: Tensor
    statistics_shift: Tensor
    statistics_scale: Tensor

    def __init__(self, config: GridConfig = GridConfig()) -> None:
        super().__init__(config)
        token, context, stem = config.token, config.context, config.stem
        for name, shape in {
            "fine": (_FINE, 1, 1),
            "placed": (config.placed, 1, 1),
            "pooled": (config.pooled,),
            "statistics": (config.statistics,),
        }.items():
            self.register_buffer(f"{name}_shift", torch.zeros(shape))
            self.register_buffer(f"{name}_scale", torch.ones(shape))
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(stem, stem, 4, stride=2, padding=1),
            nn.SiLU(),
        )
        self.enter_colors = nn.Linear(4 * (_FINE + stem), token)
        self.enter_things = nn.Linear(config.placed, token)
        self.enter_place = nn.Linear(4, token)
        self.drop_placed = nn.Dropout2d(config.feature_dropout / 2)
        self.drop_pooled = nn.Dropout(config.feature_dropout)
        self.describe_things = nn.Linear(config.pooled, context)
        self.describe_colors = nn.Linear(config.statistics + 2, context)
        self.describe_places = nn.Linear(2 * token, context)
        self.fuse = nn.Sequential(
            nn.LayerNorm(context),
            nn.Linear(context, context),
            nn.SiLU(),
            nn.Dropout(config.dropout),
            nn.Linear(context, context),
            nn.LayerNorm(context),
        )
        self.blocks = nn.ModuleList(
            _Block(token, context, config.attention if number % 2 == 0 else 0, config.dropout)
            for number in range(config.blocks)
        )
        maps = config.levels * MAP
        tell, self.tell_all = nn.Linear(token, maps), nn.Linear(context, maps)
        for last in (tell, self.tell_all):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.tell = nn.Sequential(nn.LayerNorm(token), nn.Linear(token, token), nn.SiLU(), tell)

    def forward(self, sight: Sight) -> Tensor:
        """Return grids (B, 16, 16, 8, 12), rows before columns; see `slicing.py` for the maps."""
        tokens = self._enter(sight)
        context = self._describe(sight, tokens)
        for block in self.blocks:
            tokens = block(tokens, context)
        size = (self.config.places, self.config.places)
        spread = F.interpolate(
            tokens.permute(0, 3, 1, 2), size, mode="bilinear", align_corners=False
        ).permute(0, 2, 3, 1)
        told = self.tell(spread) + self.tell_all(context)[:, None, None]
        grid: Tensor = told.unflatten(-1, (self.config.levels, MAP))
        return 0.3 * grid.float()

    def _enter(self, sight: Sight) -> Tensor:
        """Return tokens (B, 14, 14, T) of what stands at every place."""
        fine = _standard(fine_of(sight), self.fine_shift, self.fine_scale, PLACED_LIMIT)
        fine = torch.cat([fine, self.stem((sight.balanced - 0.5) / 0.25)], dim=1)
        placed = _standard(placed_of(sight), self.placed_shift, self.placed_scale, PLACED_LIMIT)
        tokens = self.enter_colors(F.pixel_unshuffle(fine, 2).permute(0, 2, 3, 1))
        tokens = tokens + self.enter_things(self.drop_placed(placed).permute(0, 2, 3, 1))
        entered: Tensor = tokens + self.enter_place(_coordinates(tokens.shape[1]).to(tokens))
        return entered

    def _describe(self, sight: Sight, tokens: Tensor) -> Tensor:
        """Return the context (B, K) of the whole photo."""
        pooled = _standard(sight.pooled, self.pooled_shift, self.pooled_scale, POOLED_LIMIT)
        statistics = _standard(sight.statistics, self.statistics_shift, self.statistics_scale, 8.0)
        colors = torch.cat([statistics, sight.judged.clamp_min(0.0).log1p()], dim=1)
        places = tokens.flatten(1, 2)
        summary = torch.cat([places.mean(dim=1), places.std(dim=1)], dim=1)
        context: Tensor = self.fuse(
            self.describe_things(self.drop_pooled(pooled))
            + self.describe_colors(colors)
            + self.describe_places(summary)
        )
        return context


def fine_of(sight: Sight) -> Tensor:
    """Return all that is told at 28 x 28, (B, 22, 28, 28), for the network's scales."""
    after = F.avg_pool2d(sight.balanced, 4)
    return torch.cat([sight.moments, sight.moves, sight.first_moves, sight.given, after], dim=1)


def placed_of(sight: Sight) -> Tensor:
    """Return what the classifier sees in place, (B, 152, 14, 14)."""
    return torch.cat([sight.middle, sight.fine], dim=1)


def slice_grid(grid: Tensor, colors: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Change colors by the maps of a grid, as `slicing.py` does; gradients flow to the grid.

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


def _standard(x: Tensor, shift: Tensor, scale: Tensor, limit: float) -> Tensor:
    return ((x - shift) / scale).clamp(-limit, limit)


def _coordinates(side: int) -> Tensor:
    """Return where tokens lie, (side, side, 4): down and right, -1..1, and their squares."""
    steps = (torch.arange(side) + 0.5) * 2.0 / side - 1.0
    down, right = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([down, right, down.square(), right.square()], dim=-1)
