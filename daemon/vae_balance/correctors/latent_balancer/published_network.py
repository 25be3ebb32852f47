"""The latent balancer that the author of the algorithm published, for sd-vae-ft-mse.

Source: `FCN` in github.com/messy-bytes/VAE-Color-Balance (MIT). The names of the layers are those
of its checkpoint.
"""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_balance.correctors.latent_balancer.vae import LOG_VARIANCE_RANGE
from vae_balance.errors import ModelError
from vae_balance.models.folder import FolderModel

_BLOCKS = 5
# Layers that the checkpoint has, and that the published network never calls.
_UNUSED = ("attn1.", "attn2.")


@dataclass(frozen=True)
class PublishedBalancerConfig:
    """Sizes of the network.

    Attributes:
        channels: after each of the first three convolutions.
        second_opinions: not trained on classically corrected photos: a look asks it once.
    """

    channels: tuple[int, int, int] = (128, 256, 512)
    second_opinions: bool = False


class Convolution(nn.Module):
    """A 3 x 3 convolution of a picture that is continued by reflection, and first rescaled."""

    def __init__(self, inputs: int, outputs: int, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C', scale h, scale w)."""
        if self.scale != 1.0:
            x = F.interpolate(x, scale_factor=self.scale, mode="nearest")
        convolved: Tensor = self.conv(x)
        return convolved


class NormalizedBlock(nn.Module):
    """x + norm(conv(relu(norm(conv x))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, channels)
        self.ins1 = nn.InstanceNorm2d(channels, affine=True)
        self.conv2 = Convolution(channels, channels)
        self.ins2 = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C, h, w)."""
        return x + self.ins2(self.conv2(F.relu(self.ins1(self.conv1(x)))))


class PublishedBalancer(FolderModel):
    """Moments (B, 8, h, w) to moments; sizes in the comments are for a 224 x 224 proxy.

    Attributes:
        pixel_range: what it was trained on: moments of pixels that were given to the VAE as 0..1.
    """

    config_type = PublishedBalancerConfig
    pixel_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(self, config: PublishedBalancerConfig = PublishedBalancerConfig()) -> None:
        super().__init__(config)
        few, more, most = config.channels
        self.conv1 = Convolution(8, few)  # (B, 128, 28, 28)
        self.ins1 = nn.InstanceNorm2d(few, affine=True)
        self.conv2 = Convolution(few, more)  # (B, 256, 28, 28)
        self.ins2 = nn.InstanceNorm2d(more, affine=True)
        self.conv3 = Convolution(more, most)  # (B, 512, 28, 28)
        self.ins3 = nn.InstanceNorm2d(most, affine=True)
        for number in range(1, _BLOCKS + 1):
            self.add_module(f"res{number}", NormalizedBlock(most))
        self.deconv1 = Convolution(most, more, scale=2.0)  # (B, 256, 56, 56)
        self.ins4 = nn.InstanceNorm2d(more, affine=True)
        self.deconv2 = Convolution(more, few, scale=0.5)  # (B, 128, 28, 28)
        self.ins5 = nn.InstanceNorm2d(few, affine=True)
        self.deconv3 = Convolution(few, 8)  # (B, 8, 28, 28)

    def forward(self, moments: Tensor) -> Tensor:
        """Give the moments (B, 8, 28, 28), mean and log-variance, that the photo should have."""
        h = F.relu(self.ins1(self.conv1(moments)))
        h = F.relu(self.ins2(self.conv2(h)))
        h = F.relu(self.ins3(self.conv3(h)))
        for number in range(1, _BLOCKS + 1):
            h = self.get_submodule(f"res{number}")(h)
        h = F.relu(self.ins4(self.deconv1(h)))
        h = F.relu(self.ins5(self.deconv2(h)))
        mean, log_variance = self.deconv3(h).chunk(2, dim=1)
        return torch.cat([mean, log_variance.clamp(*LOG_VARIANCE_RANGE)], dim=1)


def read_checkpoint(path: Path) -> PublishedBalancer:
    """Read the checkpoint as its author published it, joined; nothing in it is run.

    The sizes of the network are those of its weights.

    Raises:
        ModelError: it is missing, damaged, or of another network.
    """
    try:
        if zipfile.is_zipfile(path):
            _check_archive(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        used = {name: value for name, value in state.items() if not name.startswith(_UNUSED)}
        few, more, most = (len(used[f"conv{number}.conv.bias"]) for number in (1, 2, 3))
        balancer = PublishedBalancer(PublishedBalancerConfig((few, more, most)))
        balancer.load_state_dict(used)
    except (
        OSError,
        EOFError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
    ) as error:
        reason = (str(error).strip().splitlines() or [repr(error)])[0]
        raise ModelError(
            f"{path}: not the published latent balancer, or damaged: {reason}; delete it and "
            "fetch the model again"
        ) from error
    return balancer.eval()


def _check_archive(path: Path) -> None:
    """Compare the checksums that the checkpoint itself holds: torch.load does not."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"{damaged} has another checksum than it should")
