"""The autoencoder that is told, by a frozen classifier, what is in the photo.

The classifier's answer for the grey photo is repeated over the 28 x 28 places of the bottleneck and
convolved with what the encoder has there (Iizuka et al., 2016; Baldassarre et al., "Deep
Koalarization", 2017, with InceptionResNetV2 where we have the packaged EfficientNet-Lite0).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vae_balance.correctors.classifier import HEAD
from vae_balance.correctors.colorize.color_head import ColorHead
from vae_balance.correctors.colorize.layers import Convolution, Standardized, doubled
from vae_balance.correctors.colorize.seen import Seen, equal_channels
from vae_balance.models.folder import FolderModel


@dataclass(frozen=True)
class FusionConfig:
    """Sizes.

    Attributes:
        channels: at 112, 56 and 28 pixels, and of the bottleneck, also at 28.
        told: numbers that the classifier's answer is brought to.
        dropout: share of the classifier's numbers that are left out in training.
        classes: see `ColorHead`.
    """

    channels: tuple[int, int, int, int] = (24, 48, 96, 160)
    told: int = 128
    dropout: float = 0.3
    classes: bool = False


class ColorFusion(FolderModel):
    """See above; it heeds lightness and answer."""

    config_type = FusionConfig
    config: FusionConfig

    def __init__(self, config: FusionConfig | None = None) -> None:
        super().__init__(config or FusionConfig())
        first, second, third, fourth = self.config.channels
        self.encoder = nn.Sequential(
            Convolution(1, first, 2),
            Convolution(first, second, 2),
            Convolution(second, third, 2),
            Convolution(third, fourth),
        )
        self.answer = Standardized(HEAD, self.config.dropout)
        self.told = nn.Linear(HEAD, self.config.told)
        self.fused = nn.Conv2d(fourth + self.config.told, fourth, 1)
        self.middle = Convolution(fourth, third)
        self.outer = Convolution(third, second)
        self.head = ColorHead(second, self.config.classes)

    def shown(self, grey: Tensor) -> Tensor:
        """Return what the classifier is shown, (B, 3, S, S), of the grey picture (B, 1, S, S)."""
        return equal_channels(grey)

    def features(self, seen: Seen) -> Tensor:
        """Return what the head is given, (B, C, 56, 56)."""
        code = self.encoder(seen.lightness - 0.5)  # (B, 160, 28, 28)
        told = torch.relu(self.told(self.answer(seen.answer)))
        everywhere = told[:, :, None, None].expand(-1, -1, *code.shape[2:])
        fused = torch.relu(self.fused(torch.cat([code, everywhere], dim=1)))
        return self.outer(doubled(self.middle(fused)))

    def forward(self, seen: Seen) -> Tensor:
        """Return a* and b* (B, 2, 56, 56)."""
        return self.head(self.features(seen))
