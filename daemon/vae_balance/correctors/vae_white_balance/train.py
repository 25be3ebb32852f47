"""Train the white-balance VAE as it was published: on photos that a camera balanced wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vae_balance.correctors.vae_white_balance.corrector import NETWORK
from vae_balance.correctors.vae_white_balance.network import (
    WhiteBalanceVAE,
    WhiteBalanceVAEConfig,
    sample,
)
from vae_balance.photos.proxy import PROXY_SIZE
from vae_balance.training.case_cache import Making
from vae_balance.training.damage import random_damage, undamaged
from vae_balance.training.loop import Report, Row
from vae_balance.training.pairs import (
    PairRecipe,
    PairTraining,
    PixelBatch,
    View,
    train_on_pairs,
)
from vae_balance.training.photos import (
    PhotoPool,
    centre_square,
    load_photo,
    random_view,
    to_8_bits,
)

# The generator's camera: wrong illuminant, through its tone curve, in a picture style.
KIND = "white balance"
# Weight of the divergence from N(0, 1), summed over the latents, beside the mean squared error.
KL_WEIGHT = 0.00025
_UNDAMAGED_SHARE = 0.12
_WATCH_SEED = 78


@dataclass(frozen=True)
class WhiteBalanceTraining(PairTraining):
    """Settings of one run; see `PairTraining`. Batch, rate and weight are those published."""

    pairs: int = 8192
    steps: int = 1500
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    kl_weight: float = KL_WEIGHT
    network: WhiteBalanceVAEConfig = field(default_factory=WhiteBalanceVAEConfig)


def draw_view(pool: PhotoPool, rng: np.random.Generator) -> View:
    """Cut a view, and render it with a wrong white balance."""
    clean = to_8_bits(random_view(pool.draw(rng), rng, PROXY_SIZE, (0.6, 1.0), 4.0))
    damage = undamaged() if rng.uniform() < _UNDAMAGED_SHARE else random_damage(rng, KIND)
    return View(clean, to_8_bits(damage(clean)), damage)


def watched_view(photos: Sequence[Path], number: int) -> View:
    """Return a watched photo with a wrong white balance; every fifth is undamaged."""
    clean = to_8_bits(centre_square(load_photo(photos[number]), PROXY_SIZE))
    rng = np.random.default_rng((_WATCH_SEED, number))
    damage = undamaged() if number % 5 == 4 else random_damage(rng, KIND)
    return View(clean, to_8_bits(damage(clean)), damage)


RECIPE = PairRecipe("wrong white balance, 1", draw_view, watched_view)


def white_balance_loss(
    network: WhiteBalanceVAE, batch: PixelBatch, kl_weight: float, chance: torch.Generator
) -> tuple[Tensor, Row]:
    """Return the published loss, and its parts for the log.

    Reconstruction is the mean squared error of the photo as it should be; that of the photo as it
    was given is for the second head.
    """
    with torch.autocast(batch.given.device.type, torch.bfloat16):
        mean, log_variance = (x.float() for x in network.encode(batch.given))
        decoded = network.decode(sample(mean, log_variance, chance))
    right = F.mse_loss(decoded.right, network.shrink(batch.true))
    given = F.mse_loss(decoded.given, network.shrink(batch.given))
    kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(dim=1).mean()
    loss = right + given + kl_weight * kl
    return loss, {"reconstruction": right.item(), "as_given": given.item(), "kl": kl.item()}


def show(network: WhiteBalanceVAE, given: Tensor) -> dict[str, Tensor]:
    """Return what the VAE decodes of the means of photos; see `pairs.Show`."""
    decoded = network.decode(network.encode(given)[0])
    return {"decoded": decoded.given, "balanced": decoded.right}


def train_white_balance(
    config: WhiteBalanceTraining, report: Report, making: Making = lambda what, made, total: None
) -> WhiteBalanceVAE:
    """Train, or go on training, and leave the best averaged VAE in `config.out`.

    Args:
        config: settings; pairs in `config.cache` are used, and an existing
            `config.out/checkpoint.pt` is resumed from.
        report: called with the step and the parts of the loss now and then.
        making: told how many pairs are made.

    Raises:
        OptionError: the pairs in `config.cache` were made with other photos.
        BalanceError: pairs cannot be made or written.
    """
    torch.manual_seed(config.seed)
    network = WhiteBalanceVAE(config.network).to(config.device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return train_on_pairs(
        network,
        RECIPE,
        config,
        lambda batch, chance: white_balance_loss(network, batch, config.kl_weight, chance),
        show,
        lambda average: average.save_folder(config.out / NETWORK),
        report,
        making,
    )
