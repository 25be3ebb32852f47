"""The plain design: a convolutional autoencoder from lightness to a and b, with no help.

Strided convolutions down, upsampling and convolutions back, ReLU between them and tanh behind. The
published one has 4.8 million parameters and answers at the size of its input; ours has fewer, and
answers at a quarter, as the full-size photo takes its edges from its own lightness anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from vae_balance.correctors.colorize.color_head import ColorHead
from vae_balance.correctors.colorize.layers import Convolution, doubled
from vae_balance.correctors.colorize.seen import Seen, equal_channels
from vae_balance.models.folder import FolderModel

# The published design answers a and b over 128.
_LARGEST = 128.0


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes.

    Attributes:
        channels: at 112, 56, 28 and 14 pixels, for a photo of 224.
        classes: see `ColorHead`.
    """

    channels: tuple[int, int, int, int] = (24, 48, 96, 192)
    classes: bool = False


class ColorAutoencoder(FolderModel):
    """See above; it heeds the lightness only."""

    config_type = AutoencoderConfig
    config: AutoencoderConfig

    def __init__(self, config: AutoencoderConfig | None = None) -> None:
        super().__init__(config or AutoencoderConfig())
        first, second, third, fourth = self.config.channels
        self.encoder = nn.Sequential(
            Convolution(1, first, 2),
            Convolution(first, second, 2),
            Convolution(second, third, 2),
            Convolution(third, fourth, 2),
            Convolution(fourth, fourth),
        )
        self.middle = Convolution(fourth, third)
        self.outer = Convolution(third, second)
        self.head = ColorHead(second, self.config.classes, _LARGEST)

    def shown(self, grey: Tensor) -> Tensor:
        """Return what the classifier is shown, (B, 3, S, S), of the grey picture (B, 1, S, S)."""
        return equal_channels(grey)

    def features(self, seen: Seen) -> Tensor:
        """Return what the head is given, (B, C, 56, 56)."""
        code = self.encoder(seen.lightness - 0.5)  # (B, 192, 14, 14)
        return self.outer(doubled(self.middle(doubled(code))))

    def forward(self, seen: Seen) -> Tensor:
        """Return a* and b* (B, 2, 56, 56)."""
        return self.head(self.features(seen))
