"""The published latent balancer: its names, its arithmetic, and what is not it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from published import published_state
from torch import Tensor
from torch.nn import functional as F

from vae_balance.correctors.latent_balancer.balancer_network import LatentBalancer
from vae_balance.correctors.latent_balancer.published_network import (
    PublishedBalancer,
    PublishedBalancerConfig,
    read_checkpoint,
)
from vae_balance.errors import ModelError

SIZES = {"weight", "bias"}
NORMALIZED = ("ins1", "ins2", "ins3", "ins4", "ins5")
CONVOLUTIONS = ("conv1", "conv2", "conv3", "deconv1", "deconv2", "deconv3")
BLOCKS = ("res1", "res2", "res3", "res4", "res5")


def as_published(state: dict[str, Tensor], moments: Tensor) -> Tensor:
    """Return what the published network answers, written out in another way.

    Source: `FCN.forward` of models.py in github.com/messy-bytes/VAE-Color-Balance.
    """

    def convolve(x: Tensor, name: str) -> Tensor:
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, state[f"{name}.conv.weight"], state[f"{name}.conv.bias"])

    def normalize(x: Tensor, name: str) -> Tensor:
        mean = x.mean(dim=(2, 3), keepdim=True)
        variance = x.var(dim=(2, 3), keepdim=True, unbiased=False)
        weight, bias = (state[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    x = moments
    for i in (1, 2, 3):
        x = normalize(convolve(x, f"conv{i}"), f"ins{i}").relu()
    for block in BLOCKS:
        y = normalize(convolve(x, f"{block}.conv1"), f"{block}.ins1").relu()
        x = x + normalize(convolve(y, f"{block}.conv2"), f"{block}.ins2")
    doubled = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    x = normalize(convolve(doubled, "deconv1"), "ins4").relu()
    x = normalize(convolve(x[:, :, ::2, ::2], "deconv2"), "ins5").relu()
    return convolve(x, "deconv3")


def test_the_checkpoint_answers_as_the_published_network_does(checkpoint: Path) -> None:
    balancer = read_checkpoint(checkpoint)
    state = torch.load(checkpoint, weights_only=True)
    moments = torch.randn(2, 8, 28, 28)
    with torch.inference_mode():
        answer = balancer(moments)
    assert answer.shape == (2, 8, 28, 28)
    torch.testing.assert_close(answer, as_published(state, moments), atol=1e-5, rtol=1e-5)


def test_the_names_and_sizes_are_the_published_ones() -> None:
    state = PublishedBalancer().state_dict()
    convolutions = [*CONVOLUTIONS, *(f"{b}.{c}" for b in BLOCKS for c in ("conv1", "conv2"))]
    normalized = [*NORMALIZED, *(f"{b}.{n}" for b in BLOCKS for n in ("ins1", "ins2"))]
    assert set(state) == {
        *(f"{name}.conv.{part}" for name in convolutions for part in SIZES),
        *(f"{name}.{part}" for name in normalized for part in SIZES),
    }
    widths = [state[f"{name}.conv.weight"].shape[:2] for name in CONVOLUTIONS]
    assert widths == [(128, 8), (256, 128), (512, 256), (256, 512), (128, 256), (8, 128)]
    # With the attention layers, which nobody calls, 108.9 MB: "103MB", says its author.
    unused = 2 * (2 * (512 * 64 + 64) + 512 * 512 + 512 + 1)
    assert sum(value.numel() for value in state.values()) + unused == 27_236_362


def test_a_look_asks_it_once_and_shows_it_pixels_in_0_to_1(checkpoint: Path) -> None:
    balancer = read_checkpoint(checkpoint)
    assert not balancer.config.second_opinions
    assert balancer.pixel_range == (0.0, 1.0)


def test_it_comes_back_from_its_folder_to_the_bit(checkpoint: Path, tmp_path: Path) -> None:
    balancer = read_checkpoint(checkpoint)
    balancer.save_folder(tmp_path, torch.float32)
    moments = torch.randn(1, 8, 28, 28)
    assert torch.equal(PublishedBalancer.load_folder(tmp_path)(moments), balancer(moments))
    with pytest.raises(ModelError, match="describes a PublishedBalancer"):
        LatentBalancer.load_folder(tmp_path)


def test_wild_variances_stay_bounded() -> None:
    balancer = PublishedBalancer(PublishedBalancerConfig((16, 16, 16)))
    assert balancer.deconv3.conv.bias is not None
    torch.nn.init.constant_(balancer.deconv3.conv.bias, 1e3)
    assert balancer(torch.randn(1, 8, 28, 28))[:, 4:].max() == 20.0


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "latent_balancer.pth"
    torch.save({**published_state((16, 16, 16)), "conv1.conv.bias": Evil(tmp_path / "ran")}, path)
    with pytest.raises(ModelError, match=r"latent_balancer.pth: not the published"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps(Evil(tmp_path / "ran"), protocol=2))
    with pytest.raises(ModelError, match="delete it and fetch the model again"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()


def damaged(content: bytes, how: str) -> bytes:
    half = len(content) // 2
    flipped = bytes([content[half] ^ 1])
    return {
        "cut off": content[:-1000],
        "parts exchanged": content[half:] + content[:half],
        "one bit": content[:half] + flipped + content[half + 1 :],
        "empty": b"",
    }[how]


@pytest.mark.parametrize("how", ["cut off", "parts exchanged", "one bit", "empty"])
def test_a_damaged_checkpoint_is_refused(checkpoint: Path, tmp_path: Path, how: str) -> None:
    path = tmp_path / "latent_balancer.pth"
    path.write_bytes(damaged(checkpoint.read_bytes(), how))
    with pytest.raises(ModelError, match=r"latent_balancer.pth: not the published"):
        read_checkpoint(path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "latent_balancer.pth"
    torch.save(LatentBalancer().state_dict(), path)
    with pytest.raises(ModelError, match="not the published latent balancer"):
        read_checkpoint(path)
    state = published_state((16, 16, 16))
    del state["res5.ins2.bias"]
    torch.save(state, path)
    with pytest.raises(ModelError, match="not the published latent balancer"):
        read_checkpoint(path)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none.pth: not the published"):
        read_checkpoint(tmp_path / "none.pth")
