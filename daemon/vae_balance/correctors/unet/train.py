"""Train the U-Net on pixels: on the views and the damage that a latent balancer is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from vae_balance.correctors.latent_balancer import balancer_cases
from vae_balance.correctors.unet.corrector import NETWORK
from vae_balance.correctors.unet.network import UNet, UNetConfig
from vae_balance.training.case_cache import Making
from vae_balance.training.loop import Report, Row, cosine_rate
from vae_balance.training.pairs import (
    PairRecipe,
    PairTraining,
    PixelBatch,
    View,
    train_on_pairs,
)

_CASES_A_PHOTO = 5


def watched_view(photos: Sequence[Path], number: int) -> View:
    """Return a case of every fifth of the watched photos: four are damaged, one is not."""
    return balancer_cases.watched_view(photos[::_CASES_A_PHOTO], number)


RECIPE = PairRecipe(
    f"damage of a latent balancer's cases, {balancer_cases.VERSION}",
    balancer_cases.draw_view,
    watched_view,
)


@dataclass(frozen=True)
class UNetTraining(PairTraining):
    """Settings of one run; see `PairTraining`. With the defaults the packaged U-Net was trained."""

    pairs: int = 8192
    steps: int = 2000
    batch: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    network: UNetConfig = field(default_factory=UNetConfig)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        return cosine_rate(step, self.steps, self.learning_rate, warm_up=50)


def unet_loss(network: UNet, batch: PixelBatch) -> tuple[Tensor, Row]:
    """Return the mean absolute error of pixels, and the same for the log."""
    with torch.autocast(batch.given.device.type, torch.bfloat16):
        made = network(batch.given)
    loss = (made.float() - batch.true).abs().mean()
    return loss, {"pixels": loss.item()}


def show(network: UNet, given: Tensor) -> dict[str, Tensor]:
    """Return what the U-Net makes of photos; see `pairs.Show`."""
    return {"made": network(given)}


def train_unet(
    config: UNetTraining, report: Report, making: Making = lambda what, made, total: None
) -> UNet:
    """Train, or go on training, and leave the best averaged U-Net in `config.out`.

    Args:
        config: settings; pairs in `config.cache` are used, and an existing
            `config.out/checkpoint.pt` is resumed from.
        report: called with the step and the loss now and then.
        making: told how many pairs are made.

    Raises:
        OptionError: the pairs in `config.cache` were made with other photos.
        BalanceError: pairs cannot be made or written.
    """
    torch.manual_seed(config.seed)
    network = UNet(config.network).to(config.device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return train_on_pairs(
        network,
        RECIPE,
        config,
        lambda batch, chance: unet_loss(network, batch),
        show,
        lambda average: average.save_folder(config.out / NETWORK),
        report,
        making,
    )
