"""The VAE: a 224 x 224 proxy to 28 x 28 x 8 moments and back, all in one flat file.

No layer normalizes: a normalization throws absolute color away, and color is what we are here for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_balance.models.folder import FolderModel

# Bounds of the log-variance, those of diffusers' DiagonalGaussianDistribution.
LOG_VARIANCE_RANGE = (-30.0, 20.0)


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu x))), starting as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.normal_(self.conv2.weight, std=0.1 / math.sqrt(9 * channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


@dataclass(frozen=True)
class VAEConfig:
    """Sizes of the VAE; 8 = `patch` x 2 is the reduction from pixels to latents."""

    latent_channels: int = 4
    patch: int = 4
    encoder_channels: tuple[int, int] = (64, 128)
    encoder_blocks: tuple[int, int] = (1, 2)
    decoder_channels: tuple[int, int] = (144, 64)
    decoder_blocks: tuple[int, int] = (4, 2)


class VAE(FolderModel):
    """Convolutional KL autoencoder; sizes in the comments are for a 224 x 224 proxy."""

    config_type = VAEConfig

    def __init__(self, config: VAEConfig = VAEConfig()) -> None:
        super().__init__(config)
        pixels = 3 * config.patch**2
        fine, coarse = config.encoder_channels
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(config.patch),  # (B, 48, 56, 56)
            nn.Conv2d(pixels, fine, 3, padding=1),
            *(ResidualBlock(fine) for _ in range(config.encoder_blocks[0])),
            nn.Conv2d(fine, coarse, 2, stride=2),  # (B, 128, 28, 28)
            *(ResidualBlock(coarse) for _ in range(config.encoder_blocks[1])),
            nn.Conv2d(coarse, 2 * config.latent_channels, 1),  # (B, 8, 28, 28)
        )
        coarse, fine = config.decoder_channels
        self.decoder = nn.Sequential(
            nn.Conv2d(config.latent_channels, coarse, 3, padding=1),  # (B, 144, 28, 28)
            *(ResidualBlock(coarse) for _ in range(config.decoder_blocks[0])),
            nn.ConvTranspose2d(coarse, fine, 2, stride=2),  # (B, 64, 56, 56)
            *(ResidualBlock(fine) for _ in range(config.decoder_blocks[1])),
            nn.Conv2d(fine, pixels, 3, padding=1),
            nn.PixelShuffle(config.patch),  # (B, 3, 224, 224)
        )

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode sRGB pixels (B, 3, H, W) in 0..1 to moments (B, 8, H/8, W/8).

        Channels 0..3 of the moments are the mean, 4..7 the log-variance of each latent.
        """
        mean, log_variance = self.encoder(2.0 * pixels - 1.0).chunk(2, dim=1)
        return torch.cat([mean, log_variance.clamp(*LOG_VARIANCE_RANGE)], dim=1)

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents (B, 4, H/8, W/8) to sRGB pixels (B, 3, H, W), about 0..1, not clipped."""
        return 0.5 * self.decoder(latents) + 0.5


def latents_of(moments: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return the mean (B, 4, h, w) of moments (B, 8, h, w), or a sample when given a generator."""
    mean, log_variance = moments.chunk(2, dim=1)
    if generator is None:
        return mean
    noise = torch.randn(mean.shape, generator=generator, device=generator.device)
    return mean + torch.exp(0.5 * log_variance) * noise.to(mean.device)
