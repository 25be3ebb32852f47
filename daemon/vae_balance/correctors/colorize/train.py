"""Train a network that colorizes, from cases that are made once (`cases.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vae_balance.color.colorfulness import colorfulness
from vae_balance.color.lab import lab_to_srgb
from vae_balance.correctors.colorize.cases import (
    NAMES,
    Batch,
    DrawnCases,
    WatchedCases,
    batch_of,
    made_by,
    mirrored_batch,
    watched_photos,
)
from vae_balance.correctors.colorize.color_head import color_classes
from vae_balance.correctors.colorize.layers import Standardized
from vae_balance.correctors.colorize.losses import CLASSES, LOSSES, Classes, Loss, class_frequency
from vae_balance.correctors.colorize.networks import NETWORK_FOLDER, AnyColorizer, new_colorizer
from vae_balance.training.case_cache import (
    CaseBatches,
    CaseCache,
    Fields,
    Making,
    read_shard,
    read_shards,
)
from vae_balance.training.loop import LoopSettings, Report, Row, Watch, cosine_rate, train
from vae_balance.training.optimizer import decaying_optimizer
from vae_balance.training.photos import read_split

# Photos that are watched, and of those that go through the network together.
_WATCHED, _WATCHED_TOGETHER = 160, 32
# Cases of the first shard from which scales and the frequency of colors are measured.
_MEASURED = 768


@dataclass(frozen=True)
class ColorizeTraining:
    """Settings of one run.

    Attributes:
        photos: folder of photographs, see `photos.read_split`.
        out: folder of the checkpoint, the log and the result (`out/colorizer`).
        cache: folder of cases, 0.2 MB each; those that are missing are made.
        design: "autoencoder", "fusion" or "cross-channel".
        loss: "l2", "huber", "pairwise" or "classes".
        cases: views to train on.
        steps: optimizer steps.
        batch: cases a step.
        window: shards of 1,024 cases that are held in memory.
        processes: that make cases.
    """

    photos: Path
    out: Path
    cache: Path
    design: str = "cross-channel"
    loss: str = "classes"
    cases: int = 12_288
    steps: int = 4000
    batch: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    average_decay: float = 0.998
    clip: float = 1.0
    window: int = 12
    processes: int = 2
    seed: int = 1
    device: str = "cpu"
    save_every: int = 250
    watch_every: int = 250

    def loop(self) -> LoopSettings:
        """Return what the loop needs of these settings."""
        return LoopSettings.of(
            self, lambda step: cosine_rate(step, self.steps, self.learning_rate, 100)
        )


def train_colorizer(
    config: ColorizeTraining, report: Report, making: Making = lambda what, made, total: None
) -> AnyColorizer:
    """Train, or go on training, and leave the averaged network of least watched loss.

    Args:
        config: settings; cases in `config.cache` are used, and an existing
            `config.out/checkpoint.pt` is resumed from.
        report: called with the step and the parts of the loss now and then.
        making: told how many cases are made.

    Raises:
        OptionError: the cases in `config.cache` were made with other photos, or the like.
        BalanceError: cases cannot be made or written.
    """
    cache = CaseCache(config.cache, made_by(config.photos))
    cache.open()
    watched = _watched_cases(cache, config, making)
    shards = cache.fill(
        "train",
        config.cases,
        DrawnCases(config.photos, config.device),
        config.processes,
        making,
    )
    torch.manual_seed(config.seed)
    network = new_colorizer(config.design, config.loss == CLASSES)
    measured = _measured(shards[0])
    take_scales(network, measured)
    network.to(config.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loss = _loss(config, measured)

    def finish(fields: Fields, rng: np.random.Generator) -> Batch:
        return mirrored_batch(fields, rng, config.device)

    def loss_of(batch: Batch, _: torch.Generator) -> tuple[Tensor, Row]:
        with torch.autocast(config.device.partition(":")[0], torch.bfloat16):
            return loss(network, batch)

    return train(
        network,
        decaying_optimizer(network, config.weight_decay),
        CaseBatches(shards, NAMES, finish, config.batch, config.seed, config.window),
        loss_of,
        lambda average: average.save_folder(config.out / NETWORK_FOLDER),
        config.loop(),
        report,
        _watch(watched, loss, config),
    )


def take_scales(network: nn.Module, measured: Fields) -> None:
    """Measure what a network is shown of the classifier's features."""
    for name, layer in network.named_children():
        if isinstance(layer, Standardized):
            layer.measure(torch.from_numpy(measured[name]))


@torch.no_grad()
def score_colorizer(network: AnyColorizer, loss: Loss, watched: Fields, device: str) -> Row:
    """Return the loss on watched cases, and how far and how colorful the answers are.

    Returns:
        `watch_` and the name of the loss; `watch_error`, the mean distance in a* and b*; and
        `watch_colorfulness`, the mean colorfulness as a part of the true one.
    """
    losses, errors, ours, true = [], [], [], []
    torch.manual_seed(0)  # of the places that the loss picks
    for first in range(0, len(watched["chroma"]), _WATCHED_TOGETHER):
        batch = batch_of(
            {name: watched[name][first : first + _WATCHED_TOGETHER] for name in NAMES}, device
        )
        losses.append(loss(network, batch)[1])
        answer = network(batch.seen)  # (B, 2, 56, 56)
        errors.append((answer - batch.chroma).square().sum(dim=1).sqrt().mean().item())
        small = torch.nn.functional.avg_pool2d(batch.seen.lightness, 4) * 100.0
        ours.append(_colorfulness(small, answer))
        true.append(_colorfulness(small, batch.chroma))
    row = {f"watch_{name}": float(np.mean([part[name] for part in losses])) for name in losses[0]}
    return row | {
        "watch_error": float(np.mean(errors)),
        "watch_colorfulness": sum(ours) / max(sum(true), 1e-6),
    }


def _colorfulness(lightness: Tensor, chroma: Tensor) -> float:
    return colorfulness(lab_to_srgb(torch.cat([lightness, chroma], dim=1))).sum().item()


def _watched_cases(cache: CaseCache, config: ColorizeTraining, making: Making) -> list[Path]:
    photos = tuple(watched_photos(read_split(config.photos), _WATCHED))
    return cache.fill(
        "watch",
        len(photos),
        WatchedCases(photos, config.device),
        1,
        making,
        "watched cases",
    )


def _measured(shard: Path) -> Fields:
    fields = read_shard(shard, NAMES)
    return {name: fields[name][:_MEASURED] for name in NAMES}


def _loss(config: ColorizeTraining, measured: Fields) -> Loss:
    """Return the loss of a run."""
    if config.loss != CLASSES:
        return LOSSES[config.loss]
    centres = color_classes()
    chroma = torch.from_numpy(measured["chroma"]).float().permute(0, 2, 3, 1)
    frequency = class_frequency(chroma[:, ::4, ::4].reshape(-1, 2), centres)
    return Classes(centres.to(config.device), frequency.to(config.device))


def _watch(shards: list[Path], loss: Loss, config: ColorizeTraining) -> Watch[AnyColorizer] | None:
    """Return what measures and scores a network, None where there are no photos to watch."""
    if not shards:
        return None
    watched = read_shards(shards, NAMES)

    def measure(network: AnyColorizer) -> Row:
        return score_colorizer(network, loss, watched, config.device)

    return Watch(measure, lambda row: row[f"watch_{config.loss}"])
