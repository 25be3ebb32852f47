"""How colorful a picture looks, in one number."""

from __future__ import annotations

import torch
from torch import Tensor


def colorfulness(pixels: Tensor) -> Tensor:
    """Return the colorfulness (B,) of sRGB-encoded pictures (B, 3, H, W) in 0..1.

    0 is grey, 15 slightly, 33 moderately, 45 averagely, 59 quite, 82 highly, 109 extremely so.
    Source: Hasler and Suesstrunk, "Measuring colourfulness in natural images" (2003), M3.
    """
    red, green, blue = (255.0 * pixels).unbind(1)
    red_green, yellow_blue = red - green, (red + green) / 2.0 - blue
    planes = torch.stack([red_green, yellow_blue], dim=1).flatten(2)
    spread = planes.std(dim=2, unbiased=False).square().sum(dim=1).sqrt()
    return spread + 0.3 * planes.mean(dim=2).square().sum(dim=1).sqrt()
