"""The latent balancer: moments of a damaged photo to moments of the undamaged one.

Damage is one color function for the whole photo, so the network first reads the whole (a context of
pooled statistics, from a color path and from a path that sees shapes), then moves every latent by
its surroundings and that context.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_balance.correctors.latent_balancer.vae import LOG_VARIANCE_RANGE
from vae_balance.models.folder import FolderModel


@dataclass(frozen=True)
class LatentBalancerConfig:
    """Sizes of the network and the scale of the moments it was trained on.

    Attributes:
        latent_channels: channels of the mean; the moments have twice as many.
        mean_shift: per channel, what is taken from the mean before it is scaled.
        mean_scale: per channel, what the mean is then divided by.
        variance_scale: factor of the log-variances at the input.
        palette: features of a single latent whose average is a soft histogram of its colors.
        coarse: channels of the path that sees shapes, at half resolution.
        coarse_blocks: residual blocks of that path.
        context: length of the vector that describes the whole photo.
        fine: channels of the path that moves the latents.
        fine_blocks: residual blocks of that path.
        dropout: of the context, in training.
        second_opinions: whether it was trained on classically corrected photos too, so that a look
            may ask it about those as well.
    """

    latent_channels: int = 4
    mean_shift: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    mean_scale: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    variance_scale: float = 0.1
    palette: int = 192
    coarse: int = 128
    coarse_blocks: int = 3
    context: int = 320
    fine: int = 80
    fine_blocks: int = 4
    dropout: float = 0.1
    second_opinions: bool = True


class ContextBlock(nn.Module):
    """Residual block whose middle channels are scaled and shifted by a context vector.

    They are first brought to the same length in every place (the pixel norm of Karras et al.,
    2018): training stays stable, and no average over the photo hides its cast.
    """

    def __init__(self, channels: int, context: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(context, 2 * channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        nn.init.normal_(self.conv2.weight, std=0.01)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Map (B, C, h, w) and context (B, K) to (B, C, h, w)."""
        scale, shift = self.modulation(context)[..., None, None].chunk(2, dim=1)
        h = self.conv1(F.silu(x))
        h = h * torch.rsqrt(h.square().mean(dim=1, keepdim=True) + 1e-4)
        h = h * (1.0 + scale) + shift
        return x + self.conv2(F.silu(h))


class LatentBalancer(FolderModel):
    """Moments (B, 8, h, w) to moments; sizes in the comments are for a 224 x 224 proxy.

    Attributes:
        pixel_range: what a VAE of Stability's is given for black and white in training.
    """

    config_type = LatentBalancerConfig
    pixel_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    shift: Tensor
    scale: Tensor

    def __init__(self, config: LatentBalancerConfig = LatentBalancerConfig()) -> None:
        super().__init__(config)
        moments = 2 * config.latent_channels
        shift, scale = torch.tensor(config.mean_shift), torch.tensor(config.mean_scale)
        self.register_buffer("shift", shift[:, None, None], persistent=False)
        self.register_buffer("scale", scale[:, None, None], persistent=False)
        self.palette = nn.Sequential(
            nn.Conv2d(moments, config.palette, 1),
            nn.SiLU(),
            nn.Conv2d(config.palette, config.palette, 1),
            nn.SiLU(),
        )
        self.stem = nn.Conv2d(moments, config.coarse, 4, stride=2, padding=1)
        summary = 2 * config.palette
        self.describe_palette = nn.Sequential(
            nn.Linear(summary, config.context), nn.SiLU(), nn.Linear(config.context, config.context)
        )
        self.coarse = nn.ModuleList(
            ContextBlock(config.coarse, config.context) for _ in range(config.coarse_blocks)
        )
        self.attend = nn.Conv2d(config.coarse, 4, 1)
        self.describe_shapes = nn.Sequential(
            nn.Linear(6 * config.coarse + config.context, config.context),
            nn.SiLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.context, config.context),
        )
        self.enter = nn.Conv2d(moments, config.fine, 3, padding=1)
        self.fine = nn.ModuleList(
            ContextBlock(config.fine, config.context) for _ in range(config.fine_blocks)
        )
        self.leave = nn.Conv2d(config.fine, moments, 1)
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def forward(self, moments: Tensor) -> Tensor:
        """Move moments (B, 8, 28, 28), mean and log-variance, to where the undamaged photo lies."""
        mean, log_variance = moments.chunk(2, dim=1)
        scaled = (mean - self.shift) / self.scale
        x = torch.cat([scaled, self.config.variance_scale * log_variance], dim=1)
        change = self._move(x, self._describe(x))
        mean_change, variance_change = change.chunk(2, dim=1)
        mean = mean + self.scale * mean_change
        log_variance = (log_variance + variance_change).clamp(*LOG_VARIANCE_RANGE)
        return torch.cat([mean, log_variance], dim=1)

    def _describe(self, x: Tensor) -> Tensor:
        """Return the context (B, K) of scaled moments (B, 8, 28, 28)."""
        palette = _normalized(self.describe_palette(_mean_and_deviation(self.palette(x))))
        h = self.stem(x)  # (B, C, 14, 14)
        for block in self.coarse:
            h = block(h, palette)
        weights = self.attend(h).flatten(2).softmax(dim=-1)  # (B, 4, 196)
        looked_at = torch.einsum("bks,bcs->bkc", weights, h.flatten(2)).flatten(1)
        shapes = torch.cat([_mean_and_deviation(h), looked_at, palette], dim=1)
        return _normalized(palette + self.describe_shapes(shapes))

    def _move(self, x: Tensor, context: Tensor) -> Tensor:
        h = self.enter(x)
        for block in self.fine:
            h = block(h, context)
        change: Tensor = self.leave(F.silu(h))
        return change


def _normalized(context: Tensor) -> Tensor:
    """Return context vectors (B, K) of mean 0 and variance 1: what modulates stays bounded."""
    return F.layer_norm(context, context.shape[1:])


def _mean_and_deviation(x: Tensor) -> Tensor:
    """Return the mean and standard deviation over space of (B, C, h, w), as (B, 2C)."""
    mean = x.mean(dim=(2, 3))
    deviation = (x.var(dim=(2, 3), unbiased=False) + 1e-6).sqrt()
    return torch.cat([mean, deviation], dim=1)
