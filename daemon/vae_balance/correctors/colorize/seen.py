"""What the networks that colorize see of a photo: its lightness, and a classifier's features of it.

The classifier is frozen. It has three channels, where the photo has one: what it is shown of the
grey picture is the network's to say (`shown`), in general three equal channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from typing_extensions import Self

from vae_balance.color.lab import lab_to_srgb, srgb_to_lab
from vae_balance.correctors.classifier import Classifier

# Numbers of the classifier's blocks.
_FINE, _MIDDLE, _DEEP = 4, 10, 15
# Makes of the grey picture (B, 1, S, S), sRGB-encoded, 0..1, what the classifier is shown,
# (B, 3, S, S).
Show = Callable[[Tensor], Tensor]


def equal_channels(grey: Tensor) -> Tensor:
    """Return the grey picture (B, 1, S, S) as three equal channels (B, 3, S, S)."""
    return grey.expand(-1, 3, -1, -1)


@dataclass(frozen=True)
class Seen:
    """Of B grey photos of S x S pixels; sizes are for S = 224, any multiple of 32 will do.

    Attributes:
        lightness: (B, 1, 224, 224), L* / 100.
        fine: (B, 40, 28, 28), of the classifier's block 4.
        middle: (B, 112, 14, 14), block 10.
        deep: (B, 320, 7, 7), block 15.
        answer: (B, 1280), the means of its head.
    """

    lightness: Tensor
    fine: Tensor
    middle: Tensor
    deep: Tensor
    answer: Tensor

    @classmethod
    def of(cls, pixels: Tensor, classifier: Classifier) -> Self:
        """Look at photos (B, 3, S, S), sRGB-encoded, 0..1, of which only the lightness counts."""
        lightness = srgb_to_lab(pixels)[:, :1] / 100.0
        return cls.of_lightness(lightness, classifier)

    @classmethod
    def of_lightness(
        cls, lightness: Tensor, classifier: Classifier, show: Show = equal_channels
    ) -> Self:
        """Look at photos whose L* / 100 (B, 1, S, S) is known."""
        neutral = torch.zeros_like(lightness)
        grey = lab_to_srgb(torch.cat([lightness * 100.0, neutral, neutral], dim=1))
        levels = classifier.levels(show(grey[:, :1]))
        answer = classifier.answer(levels[_DEEP])
        return cls(lightness, levels[_FINE], levels[_MIDDLE], levels[_DEEP], answer)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of what is seen."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return what is seen of several batches of photos as of one."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.names()))
