"""The U-Net: damaged pixels to right ones, all in one flat file.

Source: Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image
Segmentation" (2015). Padded, so that the size stays; it predicts the change of every pixel, which
starts as none. Nothing normalizes: absolute color is what we are here for.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from vae_balance.models.folder import FolderModel


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of the U-Net.

    Attributes:
        channels: of each level, each of half the size of the one before; the last is the bottom.
        dropout: share of the bottom's channels that are dropped while training.
    """

    channels: tuple[int, ...] = (12, 24, 48, 96, 128)
    dropout: float = 0.1


class UNet(FolderModel):
    """Contracting and expanding path; sizes in the comments are for a 224 x 224 proxy."""

    config_type = UNetConfig

    def __init__(self, config: UNetConfig = UNetConfig()) -> None:
        super().__init__(config)
        channels = config.channels
        # (B, 12, 224, 224), (B, 24, 112, 112), (B, 48, 56, 56), (B, 96, 28, 28), (B, 128, 14, 14)
        self.down = nn.ModuleList(
            _two_convolutions(before, after)
            for before, after in zip((3, *channels), channels, strict=False)
        )
        self.halve = nn.MaxPool2d(2)
        self.drop = nn.Dropout2d(config.dropout)
        levels = list(pairwise(channels))[::-1]
        self.grow = nn.ModuleList(nn.ConvTranspose2d(low, up, 2, stride=2) for up, low in levels)
        self.up = nn.ModuleList(_two_convolutions(2 * up, up) for up, _ in levels)
        self.leave = nn.Conv2d(channels[0], 3, 1)
        for start in self.leave.parameters():
            nn.init.zeros_(start)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map sRGB pixels (B, 3, H, W), 0..1, to such, not clipped; H and W multiples of 16."""
        x = 2.0 * pixels - 1.0
        passed = []
        for level, convolve in enumerate(self.down):
            x = convolve(self.halve(x) if level else x)
            passed.append(x)
        x = self.drop(passed.pop())
        for grow, convolve in zip(self.grow, self.up, strict=True):
            x = convolve(torch.cat([grow(x), passed.pop()], dim=1))
        return pixels + 0.5 * self.leave(x)


def _two_convolutions(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, padding=1),
        nn.ReLU(inplace=True),
    )
