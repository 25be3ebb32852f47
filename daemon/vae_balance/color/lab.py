"""CIE L*a*b* for training losses, differentiable."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vae_balance.color import srgb

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
    low = pixels <= srgb.ENCODED_KNEE
    high = ((pixels.clamp_min(srgb.ENCODED_KNEE) + srgb.SHIFT) / srgb.SCALE) ** srgb.GAMMA
    linear = torch.where(low, pixels / srgb.SLOPE, high)
    xyz = torch.einsum("ij,bj...->bi...", _XYZ_OF_RGB.to(pixels), linear)
    line = xyz * (841.0 / 108.0) + 4.0 / 29.0
    f = torch.where(xyz > _EPSILON, xyz.clamp_min(_EPSILON) ** (1.0 / 3.0), line)
    x, y, z = f.unbind(1)
    return torch.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], dim=1)


def lab_to_srgb(lab: Tensor) -> Tensor:
    """Convert L* 0..100, a*, b* (B, 3, ...) to sRGB-encoded (B, 3, ...), clipped to 0..1."""
    lightness, a, b = lab.unbind(1)
    middle = (lightness + 16.0) / 116.0
    f = torch.stack([middle + a / 500.0, middle, middle - b / 200.0], dim=1)
    xyz = torch.where(f > 6.0 / 29.0, f**3, (f - 4.0 / 29.0) * (108.0 / 841.0))
    inverse = torch.linalg.inv(_XYZ_OF_RGB.double()).to(xyz)
    linear = torch.einsum("ij,bj...->bi...", inverse, xyz).clamp(0.0, 1.0)
    power = srgb.SCALE * linear.clamp_min(srgb.LINEAR_KNEE) ** (1.0 / srgb.GAMMA) - srgb.SHIFT
    return torch.where(linear <= srgb.LINEAR_KNEE, linear * srgb.SLOPE, power)


def mean_chroma(lab: Tensor) -> Tensor:
    """Return the mean chroma (B,) over space of L*a*b* colors (B, 3, h, w)."""
    return _chroma(lab[:, 1], lab[:, 2]).mean(dim=(1, 2))


def ciede2000(lab: Tensor, reference: Tensor) -> Tensor:
    """Return the CIEDE2000 difference (B, ...) of L*a*b* colors (B, 3, ...) to a reference.

    Source: Sharma, Wu and Dalal (2005), all weights being 1. A hundredth is added to chroma and to
    the difference, so that there is a gradient at grey and where nothing differs.
    """
    lightness, a, b = lab.unbind(1)
    wanted_lightness, wanted_a, wanted_b = reference.unbind(1)
    plain_chroma = (_chroma(a, b) + _chroma(wanted_a, wanted_b)) / 2.0
    stretch = 1.5 - 0.5 * _saturation(plain_chroma)
    a, wanted_a = stretch * a, stretch * wanted_a
    chroma, wanted_chroma = _chroma(a, b), _chroma(wanted_a, wanted_b)
    middle_chroma = (chroma + wanted_chroma) / 2.0
    # The mean hue is that of the sum of both hues as vectors of length 1. The paper's difference
    # of hue, 2 sqrt(C1 C2) sin(dh / 2), comes from products, its sign from which side it lies on.
    hue = torch.atan2(
        b / chroma + wanted_b / wanted_chroma, a / chroma + wanted_a / wanted_chroma + 1e-6
    )
    hue_square = 2.0 * (chroma * wanted_chroma - a * wanted_a - b * wanted_b)
    side = torch.sign(b * wanted_a - a * wanted_b)
    hue_delta = side * hue_square.clamp_min(1e-8).sqrt()
    uneven = (
        1.0
        - 0.17 * torch.cos(hue - math.radians(30.0))
        + 0.24 * torch.cos(2.0 * hue)
        + 0.32 * torch.cos(3.0 * hue + math.radians(6.0))
        - 0.20 * torch.cos(4.0 * hue - math.radians(63.0))
    )
    near_blue = torch.exp(-((torch.rad2deg(hue) % 360.0 - 275.0) / 25.0).square())
    rotation = -2.0 * _saturation(middle_chroma) * torch.sin(math.radians(60.0) * near_blue)

    off_middle = ((lightness + wanted_lightness) / 2.0 - 50.0).square()
    lightness_scale = 1.0 + 0.015 * off_middle / (20.0 + off_middle).sqrt()
    by_lightness = (lightness - wanted_lightness) / lightness_scale
    by_chroma = (chroma - wanted_chroma) / (1.0 + 0.045 * middle_chroma)
    by_hue = hue_delta / (1.0 + 0.015 * middle_chroma * uneven)
    square = by_lightness.square() + by_chroma.square() + by_hue.square()
    return ((square + rotation * by_chroma * by_hue).clamp_min(0.0) + 1e-4).sqrt()


def _chroma(a: Tensor, b: Tensor) -> Tensor:
    return (a.square() + b.square() + 1e-4).sqrt()


def _saturation(chroma: Tensor) -> Tensor:
    """Return how much of CIEDE2000's corrections for saturated colors applies, 0..1."""
    return (1.0 / (1.0 + (25.0 / chroma) ** 7)).sqrt()
