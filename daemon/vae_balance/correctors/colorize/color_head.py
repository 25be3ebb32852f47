"""The last layer of a network that colorizes: a and b themselves, or how likely each of many is.

Squared errors make a network answer the mean of all colors that a thing may have, which is a brown
grey. Likelihoods of quantized colors do not: of these the annealed mean is taken, near the most
likely ones (Zhang, Isola and Efros, "Colorful Image Colorization", 2016).
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_balance.color.lab import srgb_to_lab

# Greatest a* and b* that a network answers; sRGB has -107..98 (Zhang et al. scale by 110).
LARGEST = 110.0
# Distance of two neighboring classes, in a* and b*.
STEP = 10.0
# Probabilities are raised to 1 / TEMPERATURE before their mean is taken.
TEMPERATURE = 0.38


@lru_cache(maxsize=1)
def color_classes() -> Tensor:
    """Return the a* and b* (K, 2) of a grid of `STEP` that sRGB has at some lightness."""
    steps = torch.linspace(0.0, 1.0, 52, dtype=torch.float64)  # so that rounding decides nothing
    colors = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij")).flatten(1)[None]
    cells = (srgb_to_lab(colors)[0, 1:] / STEP).round()
    return torch.unique(cells.T, dim=0).float() * STEP


class ColorHead(nn.Module):
    """Maps the last features (B, C, h, w) of a network to a* and b*.

    Args:
        channels: C.
        classes: answer by likelihoods of colors, not by one color.
        largest: a* and b* of one color are this times a hyperbolic tangent.
    """

    centres: Tensor

    def __init__(self, channels: int, classes: bool, largest: float = LARGEST) -> None:
        super().__init__()
        self.classes, self.largest = classes, largest
        self.last = nn.Conv2d(channels, len(color_classes()) if classes else 2, 1)
        self.register_buffer("centres", color_classes().clone(), persistent=False)
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, temperature: float = TEMPERATURE) -> Tensor:
        """Return a* and b* (B, 2, h, w)."""
        answer = self.last(features).float()
        if not self.classes:
            return self.largest * torch.tanh(answer)
        likely = torch.softmax(answer / temperature, dim=1)
        return F.conv2d(likely, self.centres.T[:, :, None, None])

    def log_likelihoods(self, features: Tensor) -> Tensor:
        """Return the logarithms (N, K) of the classes' probabilities, of features (N, C)."""
        weight = self.last.weight.flatten(1)
        return F.log_softmax(F.linear(features, weight, self.last.bias).float(), dim=1)
