"""Cross-channel learning: a pre-trained network sees the lightness, a decoder answers a and b.

The encoder is EfficientNet-Lite0, frozen, behind a convolution of our own that makes its three
channels of the one. It begins as three equal channels, and is trained with the decoder, through
the frozen blocks. The decoder goes back from 7 to 56 pixels, its channels falling to 2; at every
size it is given what the encoder saw there, and at last the lightness itself. It is fully
convolutional: photos of any size whose sides are multiples of 32 go in.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vae_balance.correctors.classifier import HEAD
from vae_balance.correctors.colorize.color_head import ColorHead
from vae_balance.correctors.colorize.layers import Convolution, Standardized, smoothly_doubled
from vae_balance.correctors.colorize.seen import Seen
from vae_balance.models.folder import FolderModel

# Channels of the classifier's blocks.
_FINE, _MIDDLE, _DEEP = 40, 112, 320


@dataclass(frozen=True)
class CrossChannelConfig:
    """Sizes.

    Attributes:
        channels: at 7, 14, 28 and 56 pixels, for a photo of 224.
        lightness: channels of what is seen in the lightness at 56 pixels.
        dropout: share of the classifier's numbers that are left out in training.
        classes: see `ColorHead`.
    """

    channels: tuple[int, int, int, int] = (160, 128, 96, 48)
    lightness: int = 16
    dropout: float = 0.35
    classes: bool = False


class CrossChannel(FolderModel):
    """See above."""

    config_type = CrossChannelConfig
    config: CrossChannelConfig

    def __init__(self, config: CrossChannelConfig | None = None) -> None:
        super().__init__(config or CrossChannelConfig())
        seven, fourteen, half, full = self.config.channels
        dropout, own = self.config.dropout, self.config.lightness
        self.front = _equal_at_first(nn.Conv2d(1, 3, 3, padding=1, padding_mode="replicate"))
        self.answer = Standardized(HEAD, 0.5)
        self.deep = Standardized(_DEEP, dropout)
        self.middle = Standardized(_MIDDLE, dropout)
        self.fine = Standardized(_FINE, dropout)
        self.told = nn.Linear(HEAD, seven)
        self.at_7 = nn.Conv2d(_DEEP, seven, 1)
        self.at_14 = Convolution(seven + _MIDDLE, fourteen, norm=True)
        self.at_28 = Convolution(fourteen + _FINE, half, norm=True)
        self.narrow = nn.Conv2d(half, full, 1)
        self.own = Convolution(16, own)
        self.at_56 = Convolution(full + own, full)
        self.last = nn.Conv2d(full, full, 1)
        self.head = ColorHead(full, self.config.classes)

    def shown(self, grey: Tensor) -> Tensor:
        """Return what the classifier is shown, (B, 3, S, S), of the grey picture (B, 1, S, S)."""
        shown: Tensor = self.front(grey)
        return shown

    def features(self, seen: Seen) -> Tensor:
        """Return what the head is given, (B, C, 56, 56)."""
        told = self.told(self.answer(seen.answer))[:, :, None, None]
        x = torch.relu(self.at_7(self.deep(seen.deep)) + told)
        x = self.at_14(torch.cat([smoothly_doubled(x), self.middle(seen.middle)], dim=1))
        x = self.at_28(torch.cat([smoothly_doubled(x), self.fine(seen.fine)], dim=1))
        own = self.own(nn.functional.pixel_unshuffle(seen.lightness - 0.5, 4))
        x = self.at_56(torch.cat([smoothly_doubled(self.narrow(x)), own], dim=1))
        return torch.relu(self.last(x))

    def forward(self, seen: Seen) -> Tensor:
        """Return a* and b* (B, 2, 56, 56)."""
        return self.head(self.features(seen))


def _equal_at_first(convolution: nn.Conv2d) -> nn.Conv2d:
    """Let a convolution of 3 x 3 pixels give each pixel to all channels as it is."""
    nn.init.zeros_(convolution.weight)
    nn.init.constant_(convolution.weight[:, :, 1, 1], 1.0)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return convolution
