"""Train a network that colorizes, from cases that are made once (`cases.py`).

A network with a convolution of its own in front of the classifier learns by what was made once as
long as that is what it was, three equal channels; then the classifier looks at every view anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vae_balance.color.colorfulness import colorfulness
from vae_balance.color.lab import lab_to_srgb
from vae_balance.correctors.classifier import Classifier, load_classifier
from vae_balance.correctors.colorize.cases import (
    NAMES,
    VIEW_NAMES,
    Batch,
    DrawnCases,
    Views,
    WatchedCases,
    batch_of,
    made_by,
    mirrored_batch,
    varied_views,
    views_of,
    watched_photos,
)
from vae_balance.correctors.colorize.color_head import color_classes
from vae_balance.correctors.colorize.cross_channel import CrossChannel
from vae_balance.correctors.colorize.layers import Standardized
from vae_balance.correctors.colorize.losses import CLASSES, LOSSES, Classes, Loss, class_frequency
from vae_balance.correctors.colorize.networks import (
    NETWORK_FOLDER,
    AnyColorizer,
    colorizer_type,
    corrector_of,
    new_colorizer,
)
from vae_balance.errors import OptionError
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
from vae_balance.training.photos import split_to_train

# Photos that are watched, and of those that go through the network together.
_WATCHED, _WATCHED_TOGETHER = 160, 32
# Cases of the first shard from which scales and the frequency of colors are measured.
_MEASURED = 768
# One view of so many has a gradient for the convolution: it has 30 numbers to learn. They learn so
# many times as fast as the decoder's: at its rate they hardly move from where they begin.
_LEARNING, _FRONT_PACE = 2, 20.0


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
        start: folder of a network of this design, to begin with in place of chance.
        steps: optimizer steps.
        front_after: steps after which the convolution in front of the classifier learns as well
            (cross-channel only).
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
    start: Path | None = None
    steps: int = 1300
    front_after: int = 1000
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
        ModelError: `config.start` is no network of this design.
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
    measured = _measured(shards[0])
    network = _first_network(config, measured)
    network.to(config.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loss = _loss(config, measured)
    front = network.front if isinstance(network, CrossChannel) else None
    classifier = load_classifier().to(config.device) if front is not None else None

    def loss_of(given: Batch | Views, _: torch.Generator) -> tuple[Tensor, Row]:
        with torch.autocast(config.device.partition(":")[0], torch.bfloat16):
            if isinstance(given, Batch):
                return loss(network, given)
            assert classifier is not None  # there are views for no other network
            learning = max(1, config.batch // _LEARNING)
            return loss(network, given.seen_by(classifier, network.shown, learning))

    return train(
        network,
        decaying_optimizer(network, config.weight_decay, front, _FRONT_PACE),
        _batches(shards, config, classifier is not None),
        loss_of,
        lambda average: average.save_folder(config.out / NETWORK_FOLDER),
        config.loop(),
        report,
        _watch(watched, loss, config, classifier),
    )


def _first_network(config: ColorizeTraining, measured: Fields) -> AnyColorizer:
    """Return the network that training begins with: `config.start`, or one made by chance."""
    if config.start is None:
        network = new_colorizer(config.design, config.loss == CLASSES)
        take_scales(network, measured)
        return network
    network = colorizer_type(corrector_of(config.design)).load_folder(config.start)
    if network.config.classes != (config.loss == CLASSES):
        raise OptionError(
            f"{config.start}: a network that answers {_answers(network.config.classes)}; "
            f"--loss {config.loss} teaches {_answers(config.loss == CLASSES)}"
        )
    return network.train()


def _answers(classes: bool) -> str:
    return "classes of colors" if classes else "one color"


def _batches(
    shards: list[Path], config: ColorizeTraining, has_front: bool
) -> Callable[[int, int], Iterator[Batch | Views]]:
    """Return what makes the batches: what was seen once, then views for the front to learn from."""

    def seen(fields: Fields, rng: np.random.Generator) -> Batch:
        return mirrored_batch(fields, rng, config.device)

    def varied(fields: Fields, rng: np.random.Generator) -> Views:
        return varied_views(fields, rng, config.device)

    how = (config.batch, config.seed, config.window)
    once = CaseBatches(shards, NAMES, seen, *how)
    anew = CaseBatches(shards, VIEW_NAMES, varied, *how)

    def make(first: int, last: int) -> Iterator[Batch | Views]:
        turn = min(max(config.front_after, first), last) if has_front else last
        yield from once(first, turn)
        yield from anew(turn, last)

    return make


def take_scales(network: nn.Module, measured: Fields) -> None:
    """Measure what a network is shown of the classifier's features."""
    for name, layer in network.named_children():
        if isinstance(layer, Standardized):
            layer.measure(torch.from_numpy(measured[name]))


@torch.no_grad()
def score_colorizer(
    network: AnyColorizer,
    loss: Loss,
    watched: Fields,
    device: str,
    classifier: Classifier | None = None,
) -> Row:
    """Return the loss on watched cases, and how far and how colorful the answers are.

    Args:
        network: of one of the three designs.
        loss: that it learns by.
        watched: cases.
        device: of the network.
        classifier: looks at the cases through the network's front; None: they are as they were
            seen once.

    Returns:
        `watch_` and the name of the loss; `watch_error`, the mean distance in a* and b*; and
        `watch_colorfulness`, the mean colorfulness as a part of the true one.
    """
    losses, errors, ours, true = [], [], [], []
    torch.manual_seed(0)  # of the places that the loss picks
    for first in range(0, len(watched["chroma"]), _WATCHED_TOGETHER):
        kept = {name: watched[name][first : first + _WATCHED_TOGETHER] for name in NAMES}
        if classifier is None:
            batch = batch_of(kept, device)
        else:
            batch = views_of(kept, device).seen_by(classifier, network.shown, len(kept["chroma"]))
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
    photos = tuple(watched_photos(split_to_train(config.photos), _WATCHED))
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


def _watch(
    shards: list[Path], loss: Loss, config: ColorizeTraining, classifier: Classifier | None
) -> Watch[AnyColorizer] | None:
    """Return what measures and scores a network, None where there are no photos to watch."""
    if not shards:
        return None
    watched = read_shards(shards, NAMES)

    def measure(network: AnyColorizer) -> Row:
        return score_colorizer(network, loss, watched, config.device, classifier)

    return Watch(measure, lambda row: row[f"watch_{config.loss}"])
