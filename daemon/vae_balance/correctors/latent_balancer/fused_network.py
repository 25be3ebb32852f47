"""The fused latent balancer: moments of a damaged photo to moments of the undamaged one.

What it knows of colors it learned from a few thousand photos; what it knows of things (skin, sky,
grass, food) it is told by a frozen classifier, which has seen a million. The classifier's features
are fused on all levels: pooled ones tell what kind of photo it is, those in place tell which
latent belongs to what. Damage is one color function for the whole photo, so the network first reads
the whole, a context, then moves every latent by its own value, by what stands there, and by the
context.

Sizes in the comments are for a 224 x 224 proxy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_balance.correctors.classifier import Features
from vae_balance.correctors.latent_balancer.color_statistics import STATISTICS
from vae_balance.correctors.latent_balancer.vae import LOG_VARIANCE_RANGE
from vae_balance.models.folder import FolderModel

# Standardized features beyond this are outliers of a channel that hardly ever speaks.
POOLED_LIMIT, PLACED_LIMIT = 8.0, 6.0


@dataclass(frozen=True)
class FusedBalancerConfig:
    """Sizes of the network.

    Attributes:
        latent_channels: channels of the mean; the moments have twice as many.
        variance_scale: factor of the log-variances at the input.
        pooled: length of the classifier's pooled features.
        placed: channels of its features in place: the fine and the middle ones.
        statistics: how many numbers tell of the pixels' colors, see `color_statistics.py`.
        palette: features of a single latent whose statistics are a soft histogram of its colors.
        context: length of the vector that describes the whole photo.
        token: channels at 14 x 14, where colors and things meet.
        token_blocks: residual blocks there.
        attention: heads with which tokens look at one another, after the first block.
        gazes: places that the context looks at.
        fine: channels of the path that moves the latents.
        fine_blocks: residual blocks of that path.
        dropout: of the context, in training.
        feature_dropout: of the classifier's features, in training.
    """

    latent_channels: int = 4
    variance_scale: float = 0.1
    pooled: int = 2464
    placed: int = 152
    statistics: int = STATISTICS
    palette: int = 160
    context: int = 384
    token: int = 128
    token_blocks: int = 3
    attention: int = 4
    gazes: int = 8
    fine: int = 96
    fine_blocks: int = 3
    dropout: float = 0.35
    feature_dropout: float = 0.5


@dataclass(frozen=True)
class Answer:
    """What the balancer says to B photos.

    Attributes:
        moments: (B, 8, 28, 28) where the undamaged photos lie.
        fault: (B,) how far it takes the photos to be from that now, as a mean CIEDE2000.
        doubt: (B,) how far it takes its own answer to be from that, as a mean CIEDE2000.
    """

    moments: Tensor
    fault: Tensor
    doubt: Tensor


class _ContextBlock(nn.Module):
    """Residual block of every place by itself, whose middle is scaled and shifted by a context.

    Its channels are first brought to the same length (the pixel norm of Karras et al., 2018):
    training stays stable, and no average over the photo hides its cast.
    """

    def __init__(self, channels: int, context: int, middle: int) -> None:
        super().__init__()
        self.enter = nn.Linear(channels, middle)
        self.modulation = nn.Linear(context, 2 * middle)
        self.leave = nn.Linear(middle, channels)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        nn.init.normal_(self.leave.weight, std=0.01)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Map (B, N, C) to the same shape, under one context (B, K) or one of each (B, N, K)."""
        modulation = self.modulation(context)
        if modulation.dim() == 2:
            modulation = modulation[:, None]
        scale, shift = modulation.chunk(2, dim=-1)
        h = self.enter(F.silu(x))
        h = h * torch.rsqrt(h.square().mean(dim=-1, keepdim=True) + 1e-4)
        return x + self.leave(F.silu(h * (1.0 + scale) + shift))


class FusedLatentBalancer(FolderModel):
    """Moments (B, 8, 28, 28) and the classifier's features to moments.

    Attributes:
        pixel_range: what a VAE of Stability's is given for black and white in training.
    """

    config_type = FusedBalancerConfig
    pixel_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    mean_shift: Tensor
    mean_scale: Tensor
    pooled_shift: Tensor
    pooled_scale: Tensor
    placed_shift: Tensor
    placed_scale: Tensor
    statistics_shift: Tensor
    statistics_scale: Tensor

    def __init__(self, config: FusedBalancerConfig = FusedBalancerConfig()) -> None:
        super().__init__(config)
        moments, context, token = 2 * config.latent_channels, config.context, config.token
        for name, shape in {
            "mean": (config.latent_channels, 1, 1),
            "pooled": (config.pooled,),
            "placed": (config.placed, 1, 1),
            "statistics": (config.statistics,),
        }.items():
            self.register_buffer(f"{name}_shift", torch.zeros(shape))
            self.register_buffer(f"{name}_scale", torch.ones(shape))
        self.drop_pooled = nn.Dropout(config.feature_dropout)
        self.drop_placed = nn.Dropout2d(config.feature_dropout / 2)
        self.describe_things = nn.Sequential(
            nn.Linear(config.pooled, context),
            nn.SiLU(),
            nn.Dropout(config.dropout),
            nn.Linear(context, context),
        )
        self.palette = nn.Sequential(
            nn.Linear(moments, config.palette),
            nn.SiLU(),
            nn.Linear(config.palette, config.palette),
            nn.SiLU(),
        )
        self.describe_palette = _two_layers(3 * config.palette + config.statistics, context)
        self.fuse = _two_layers(2 * context, context)
        self.enter_colors = nn.Linear(4 * moments, token)
        self.enter_things = nn.Linear(config.placed, token)
        self.tokens = nn.ModuleList(
            _ContextBlock(token, context, 2 * token) for _ in range(config.token_blocks)
        )
        self.look_around = nn.MultiheadAttention(token, config.attention, batch_first=True)
        nn.init.zeros_(self.look_around.out_proj.weight)
        self.gaze = nn.Linear(token, config.gazes)
        self.describe_places = nn.Sequential(
            nn.Linear((2 + config.gazes) * token + context, context),
            nn.SiLU(),
            nn.Dropout(config.dropout),
            nn.Linear(context, context),
        )
        self.enter = nn.Linear(moments, config.fine)
        self.spread = nn.Linear(token, config.fine)
        self.fine = nn.ModuleList(
            _ContextBlock(config.fine, context, config.fine) for _ in range(config.fine_blocks)
        )
        self.leave = nn.Linear(config.fine, moments)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        self.judge = nn.Sequential(
            nn.Linear(context + 4 * config.latent_channels, 128),
            nn.SiLU(),
            nn.Dropout(config.dropout),
            nn.Linear(128, 2),
        )

    def forward(
        self,
        moments: Tensor,
        features: Features,
        statistics: Tensor,
        corner: tuple[int, int] | None = None,
    ) -> Answer:
        """Move moments to where the undamaged photos lie, and judge photo and answer.

        Args:
            moments: (B, 8, 28, 28), mean and log-variance.
            features: of the same proxies.
            statistics: (B, 135) of their colors.
            corner: in training: move only the latent at this place, (row, column) in 0..1, of
                every 2 x 2; the answer's moments are (B, 8, 14, 14) then, at a quarter of the cost.
        """
        x = self._scaled(moments)
        latents = places_of(chosen_of(x, corner))  # (B, 784, 8)
        context, tokens = self._describe(x, latents, features, statistics)
        change = self._change(latents, context, tokens, corner)
        return self._answer(chosen_of(moments, corner), change, context, latents)

    def _scaled(self, moments: Tensor) -> Tensor:
        """Return moments as the network takes them."""
        mean, log_variance = moments.chunk(2, dim=1)
        scaled = (mean - self.mean_shift) / self.mean_scale
        return torch.cat([scaled, self.config.variance_scale * log_variance], dim=1)

    def _change(
        self, latents: Tensor, context: Tensor, tokens: Tensor, corner: tuple[int, int] | None
    ) -> Tensor:
        """Return by how much latents are moved, under one context or one of each; as they come."""
        h = self.enter(latents) + self._spread(tokens, corner)
        for block in self.fine:
            h = block(h, context)
        change: Tensor = self.leave(F.silu(h)).float()
        return change

    def _answer(self, moments: Tensor, change: Tensor, context: Tensor, latents: Tensor) -> Answer:
        """Return moments moved by `change`, and how the whole is judged."""
        mean, log_variance = moments.chunk(2, dim=1)
        mean_change, variance_change = (
            change.transpose(1, 2).unflatten(2, mean.shape[2:]).chunk(2, dim=1)
        )
        log_variance = (log_variance + variance_change).clamp(*LOG_VARIANCE_RANGE)
        balanced = torch.cat([mean + self.mean_scale * mean_change, log_variance], dim=1)
        fault, doubt = self._judge(context, change, latents)
        return Answer(balanced, fault, doubt)

    def _describe(
        self, x: Tensor, latents: Tensor, features: Features, statistics: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the context (B, K) and the tokens (B, 196, T) of what is seen."""
        context = self._context_of(self._things_of(features), self.palette(latents), statistics)
        placed = torch.cat([features.middle, F.avg_pool2d(features.fine, 2)], dim=1)
        placed = (placed - self.placed_shift) / self.placed_scale
        placed = placed.clamp(-PLACED_LIMIT, PLACED_LIMIT)
        tokens = self.enter_colors(places_of(F.pixel_unshuffle(x, 2)))
        tokens = tokens + self.enter_things(places_of(self.drop_placed(placed)))
        for number, block in enumerate(self.tokens):
            tokens = block(tokens, context)
            if number == 0:
                # Attention that tells its weights is trained twice as fast on the CPU.
                weigh = self.training
                tokens = tokens + self.look_around(tokens, tokens, tokens, need_weights=weigh)[0]
        return self._looked_over(context, tokens, self.gaze(tokens)), tokens

    def _context_of(self, things: Tensor, colors: Tensor, statistics: Tensor) -> Tensor:
        """Return a context (..., K) of what stands in a photo and of colors (..., places, C)."""
        statistics = (statistics - self.statistics_shift) / self.statistics_scale
        summary = [mean_and_deviation(colors), colors.amax(dim=-2), statistics]
        palette = normalized(self.describe_palette(torch.cat(summary, dim=-1)))
        return normalized(self.fuse(torch.cat([things, palette], dim=-1)) + palette)

    def _looked_over(self, context: Tensor, tokens: Tensor, gazes: Tensor) -> Tensor:
        """Return a context that knows tokens (..., places, T), by what it gazes at."""
        weights = gazes.softmax(dim=-2).transpose(-2, -1)  # (B, gazes, 196)
        seen = [mean_and_deviation(tokens), (weights @ tokens).flatten(-2), context]
        return normalized(context + self.describe_places(torch.cat(seen, dim=-1)))

    def _things_of(self, features: Features) -> Tensor:
        """Return what the classifier tells of the whole photo, (B, K)."""
        pooled = (features.pooled - self.pooled_shift) / self.pooled_scale
        pooled = self.drop_pooled(pooled.clamp(-POOLED_LIMIT, POOLED_LIMIT))
        return normalized(self.describe_things(pooled))

    def _spread(self, tokens: Tensor, corner: tuple[int, int] | None) -> Tensor:
        """Give every latent what its token knows."""
        spread: Tensor = self.spread(tokens)
        if corner is not None:
            return spread
        side = round(spread.shape[1] ** 0.5)
        square = spread.transpose(1, 2).unflatten(2, (side, side))
        return places_of(F.interpolate(square, scale_factor=2.0, mode="nearest"))

    def _judge(self, context: Tensor, change: Tensor, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Return the errors expected before and after; nothing is learned through them."""
        moved = change[..., : self.config.latent_channels]
        told = torch.cat(
            [
                context.float(),
                moved.mean(dim=1),
                moved.std(dim=1),
                moved.abs().mean(dim=1),
                latents[..., : self.config.latent_channels].float().mean(dim=1),
            ],
            dim=1,
        )
        fault, doubt = self.judge(told.detach()).float().unbind(dim=1)
        return fault.expm1(), doubt.expm1()


def _two_layers(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.SiLU(), nn.Linear(outputs, outputs))


def chosen_of(x: Tensor, corner: tuple[int, int] | None) -> Tensor:
    """Return those of places (B, C, h, w) that are at one corner of every 2 x 2; None for all."""
    return x if corner is None else x[:, :, corner[0] :: 2, corner[1] :: 2]


def places_of(x: Tensor) -> Tensor:
    """Return (B, C, h, w) as (B, h w, C)."""
    return x.flatten(2).transpose(1, 2)


def normalized(context: Tensor) -> Tensor:
    """Return context vectors (..., K) of mean 0 and variance 1: what modulates stays bounded."""
    return F.layer_norm(context, context.shape[-1:])


def mean_and_deviation(x: Tensor) -> Tensor:
    """Return the mean and standard deviation over places of (..., N, C), as (..., 2C)."""
    mean = x.mean(dim=-2)
    variance = x.square().mean(dim=-2) - mean.square()
    return torch.cat([mean, (variance.clamp_min(0.0) + 1e-5).sqrt()], dim=-1)
