"""The autoencoder: a photo to 128 numbers and back, all in one flat file.

    photo 112 x 112 -> stride-2 convolutions -> mean, log-variance of 128 numbers -> sample
                                                                                      |
             as it should be, and as it was given <- stride-2 transposed convolutions <'

It is shown photos with a wrong white balance and learns to decode them as they should be. A second
head on the decoder's last layer decodes the photo as it was given: both pictures are soft in the
same way, and line up pixel for pixel.

Source: the published VAE for white balance: stride-2 convolutions with ReLU, 128 latent numbers,
transposed convolutions, sigmoid. Its layers (3 x 3, padded) are those of the usual convolutional
VAE, with fewer channels and for smaller photos here, as its pictures are soft at any size; the
second head is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_balance.models.folder import FolderModel

# Bounds of the log-variance; beyond them exp() says nothing more.
LOG_VARIANCE_RANGE = (-12.0, 12.0)


@dataclass(frozen=True)
class WhiteBalanceVAEConfig:
    """Sizes of the autoencoder.

    Attributes:
        channels: of each layer of the encoder, each of half the size of the one before; the
            decoder has them in reverse.
        latents: numbers that a photo becomes.
        size: to which photos are averaged, in pixels a side; divisible by 2 for each layer.
    """

    channels: tuple[int, ...] = (24, 48, 96, 96)
    latents: int = 128
    size: int = 112


@dataclass(frozen=True, eq=False)
class Decoded:
    """What is decoded, (B, 3, size, size), sRGB-encoded, 0..1: `right`, and as it was `given`."""

    right: Tensor
    given: Tensor


class WhiteBalanceVAE(FolderModel):
    """Variational autoencoder; sizes in the comments are those of the default settings."""

    config_type = WhiteBalanceVAEConfig

    def __init__(self, config: WhiteBalanceVAEConfig = WhiteBalanceVAEConfig()) -> None:
        super().__init__(config)
        channels = config.channels
        self.side = config.size // 2 ** len(channels)  # 7
        layers: list[nn.Module] = []
        for before, after in zip((3, *channels), channels, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU(inplace=True)]
        self.encoder = nn.Sequential(*layers, nn.Flatten())  # (B, 96 * 7 * 7)
        flat = channels[-1] * self.side**2
        self.moments = nn.Linear(flat, 2 * config.latents)
        self.enter = nn.Linear(config.latents, flat)
        layers = []
        for before, after in zip(channels[::-1], channels[-2::-1], strict=False):
            layers += [_doubling(before, after), nn.ReLU(inplace=True)]
        self.decoder = nn.Sequential(*layers, _doubling(channels[0], 6))  # (B, 6, 112, 112)

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode sRGB pixels (B, 3, H, W), 0..1, as mean and log-variance, (B, latents)."""
        pixels = self.shrink(pixels)
        mean, log_variance = self.moments(self.encoder(2.0 * pixels - 1.0)).chunk(2, dim=1)
        return mean, log_variance.clamp(*LOG_VARIANCE_RANGE)

    def shrink(self, pixels: Tensor) -> Tensor:
        """Average pictures (B, 3, H, W) to the size of those that are decoded."""
        return F.adaptive_avg_pool2d(pixels, self.config.size)

    def decode(self, latents: Tensor) -> Decoded:
        """Decode latents (B, latents)."""
        flat = F.relu(self.enter(latents))
        pictures = torch.sigmoid(self.decoder(flat.unflatten(1, (-1, self.side, self.side))))
        right, given = pictures.float().chunk(2, dim=1)
        return Decoded(right, given)


def sample(mean: Tensor, log_variance: Tensor, chance: torch.Generator) -> Tensor:
    """Return latents drawn from their distribution (the reparameterization of a VAE)."""
    noise = torch.randn(mean.shape, generator=chance, device=chance.device).to(mean.device)
    return mean + torch.exp(0.5 * log_variance) * noise


def _doubling(before: int, after: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1)
