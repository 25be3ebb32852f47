"""CIE L*a*b* for training losses, differentiable."""

from __future__ import annotations

import torch
from torch import Tensor

# Linear sRGB to XYZ relative to the D65 white (IEC 61966-2-1), each row divided by its white.
_XYZ_OF_RGB = torch.tensor(
    [
        [0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883],
    ]
)
# CIE 15:2004: below this the cube root is replaced by a line.
_EPSILON = (6.0 / 29.0) ** 3


def srgb_to_lab(pixels: Tensor) -> Tensor:
    """Convert sRGB-encoded (B, 3, ...) in 0..1 to L* 0..100, a*, b* (B, 3, ...), D65 white."""
    low = pixels <= 0.04045
    high = ((pixels.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    linear = torch.where(low, pixels / 12.92, high)
    xyz = torch.einsum("ij,bj...->bi...", _XYZ_OF_RGB.to(pixels), linear)
    line = xyz * (841.0 / 108.0) + 4.0 / 29.0
    f = torch.where(xyz > _EPSILON, xyz.clamp_min(_EPSILON) ** (1.0 / 3.0), line)
    x, y, z = f.unbind(1)
    return torch.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], dim=1)


def mean_chroma(lab: Tensor) -> Tensor:
    """Return the mean chroma (B,) over space of L*a*b* colors (B, 3, h, w)."""
    return (lab[:, 1].square() + lab[:, 2].square() + 1e-2).sqrt().mean(dim=(1, 2))


def cie94(lab: Tensor, reference: Tensor) -> Tensor:
    """Return the CIE94 difference (B, ...) of L*a*b* colors (B, 3, ...) to a reference.

    Graphic-arts weights (CIE 116-1995). It follows CIEDE2000 closely and is smooth everywhere but
    at 0, where a hundredth is added.
    """
    delta = (lab - reference).square()
    chroma, wanted = ((x[:, 1].square() + x[:, 2].square() + 1e-4).sqrt() for x in (lab, reference))
    chroma_delta = (chroma - wanted).square()
    hue_delta = (delta[:, 1] + delta[:, 2] - chroma_delta).clamp_min(0.0)
    weighted = (
        delta[:, 0]
        + chroma_delta / (1.0 + 0.045 * wanted).square()
        + hue_delta / (1.0 + 0.015 * wanted).square()
    )
    return (weighted + 1e-4).sqrt()
