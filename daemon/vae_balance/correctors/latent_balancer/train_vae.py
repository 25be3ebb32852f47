"""Train the embedded VAE on damaged and undamaged views of photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vae_balance.color.lab import srgb_to_lab
from vae_balance.correctors.latent_balancer.networks import AnyVAE
from vae_balance.correctors.latent_balancer.vae import VAE, latents_of
from vae_balance.photos.proxy import PROXY_SIZE
from vae_balance.training.damage import random_damage
from vae_balance.training.loop import LoopSettings, Report, Row, Watch, cosine_rate, train
from vae_balance.training.photos import (
    PhotoPool,
    batches,
    centre_square,
    load_photo,
    random_view,
    split_to_train,
)


@dataclass(frozen=True)
class VAETraining:
    """Settings of one run; with the defaults the embedded VAE was finished."""

    photos: Path
    out: Path
    steps: int = 5000
    batch: int = 8
    view: int = 96
    learning_rate: float = 1.5e-3
    seed: int = 1
    device: str = "cpu"
    # Weight of the divergence from N(0, 1), per moment, beside the log of the squared error.
    kl_weight: float = 0.003
    # Weight of the mean CIE76 at 1/8 scale.
    color_weight: float = 0.1
    average_decay: float = 0.998
    save_every: int = 250
    watch_every: int = 500

    def loop(self) -> LoopSettings:
        """Return what the loop needs of these settings."""
        loop = LoopSettings.of(self, lambda step: cosine_rate(step, self.steps, self.learning_rate))
        return replace(loop, log_every=100)


def to_tensor(pictures: Sequence[NDArray[np.float32]]) -> Tensor:
    """Return pictures, each (H, W, 3), as a tensor (N, 3, H, W)."""
    stacked = torch.from_numpy(np.stack(pictures).astype(np.float32))
    return stacked.permute(0, 3, 1, 2).contiguous()


def make_batch(pool: PhotoPool, size: int, count: int, rng: np.random.Generator) -> Tensor:
    """Return views (count, 3, size, size): a third undamaged, the rest damaged at random."""
    views = []
    for _ in range(count):
        view = random_view(pool.draw(rng), rng, size, (0.34, 0.9))
        if rng.uniform() < 2 / 3:
            view = random_damage(rng)(view)
        views.append(view)
    return to_tensor(views)


def color_error(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Return the CIE76 distance (B, H/8, W/8) of the 8 x 8-averaged pictures."""
    small, target = (srgb_to_lab(F.avg_pool2d(x.clamp(0, 1), 8)) for x in (decoded, pixels))
    return ((small - target).square().sum(1) + 1e-2).sqrt()


def vae_loss(
    vae: VAE, pixels: Tensor, config: VAETraining, noise: torch.Generator
) -> tuple[Tensor, dict[str, float]]:
    """Return the loss on views (B, 3, S, S) and its parts for the log."""
    moments = vae.encode(pixels)
    decoded = vae.decode(latents_of(moments, noise))
    squared = (decoded - pixels).square().mean(dim=(1, 2, 3))
    # PSNR is a mean of logarithms: so is the loss, floored where nobody sees the difference.
    sharp = torch.log(squared + 2e-4).mean()
    color = color_error(decoded, pixels).mean()
    mean, log_variance = moments.chunk(2, dim=1)
    kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
    loss = sharp + config.color_weight * color + config.kl_weight * kl
    return loss, {"psnr": -4.343 * sharp.item(), "color": color.item(), "kl": kl.item()}


@torch.no_grad()
def score_vae(vae: AnyVAE, proxies: Tensor) -> dict[str, float]:
    """Return mean PSNR in dB and mean CIE76 at 1/8 scale over proxies (N, 3, 224, 224)."""
    psnr, color = [], []
    for pixels in proxies.split(4):
        decoded = vae.decode(latents_of(vae.encode(pixels))).clamp(0, 1)
        squared = (decoded - pixels).square().mean(dim=(1, 2, 3))
        psnr += (-10.0 * torch.log10(squared)).tolist()
        color += color_error(decoded, pixels).mean(dim=(1, 2)).tolist()
    return {"psnr": float(np.mean(psnr)), "color": float(np.mean(color))}


def watched_proxies(paths: tuple[Path, ...], count: int, seed: int = 7) -> Tensor:
    """Return proxies (N, 3, 224, 224) of up to `count` photos, every other one damaged."""
    rng = np.random.default_rng(seed)
    proxies = []
    for i, path in enumerate(paths[:: max(1, len(paths) // count)]):
        proxy = centre_square(load_photo(path), PROXY_SIZE)
        proxies.append(random_damage(rng)(proxy) if i % 2 else proxy)
    return to_tensor(proxies)


def train_vae(config: VAETraining, report: Report) -> VAE:
    """Train, or go on training, and leave the averaged network in `config.out`.

    Args:
        config: settings; an existing `config.out/checkpoint.pt` is resumed from.
        report: called with the step and the parts of the loss now and then.
    """
    torch.manual_seed(config.seed)
    split = split_to_train(config.photos)
    pool = PhotoPool(split.training)
    watched = watched_proxies(split.watch, 64).to(config.device)
    vae = VAE().to(config.device)
    optimizer = torch.optim.AdamW(vae.parameters(), betas=(0.9, 0.98), weight_decay=0.01)

    def next_batch(rng: np.random.Generator) -> Tensor:
        return make_batch(pool, config.view, config.batch, rng)

    def loss_of(pixels: Tensor, noise: torch.Generator) -> tuple[Tensor, Row]:
        return vae_loss(vae, pixels.to(config.device), config, noise)

    def measure(average: VAE) -> Row:
        return {f"watch_{name}": value for name, value in score_vae(average, watched).items()}

    return train(
        vae,
        optimizer,
        partial(batches, next_batch, config.seed),
        loss_of,
        lambda average: average.save_folder(config.out / "vae"),
        config.loop(),
        report,
        Watch(measure),
    )
