"""What the three networks that colorize are built of."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Convolution(nn.Module):
    """3 x 3 convolution, ReLU; group norm between where asked for."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, norm: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        self.norm = nn.GroupNorm(8, outputs) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        return torch.relu(self.norm(self.conv(x)))


class Standardized(nn.Module):
    """Frozen features, scaled by the mean and deviation that they had in training.

    `measure` sets both from cases; in training whole channels are dropped at random, so that
    photos are not so easily learned by heart.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Scale (B, C) or (B, C, H, W)."""
        shape = (1, -1, *(1,) * (x.dim() - 2))
        x = (x - self.shift.reshape(shape)) / self.scale.reshape(shape)
        x = x.clamp(-6.0, 6.0)
        if self.training and self.dropout:
            kept = torch.rand(*x.shape[:2], *(1,) * (x.dim() - 2), device=x.device)
            x = x * (kept >= self.dropout) / (1.0 - self.dropout)
        return x

    def measure(self, values: Tensor) -> None:
        """Take mean and deviation of values (N, C) or (N, C, H, W)."""
        others = [0, *range(2, values.dim())]
        self.shift.copy_(values.float().mean(dim=others))
        self.scale.copy_(values.float().std(dim=others) + 1e-3)


def doubled(x: Tensor) -> Tensor:
    """Return (B, C, H, W) at twice the size, (B, C, 2H, 2W)."""
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")


def smoothly_doubled(x: Tensor) -> Tensor:
    """Return (B, C, H, W) at twice the size, (B, C, 2H, 2W), interpolated."""
    return nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
