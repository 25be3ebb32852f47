"""Damaged views of photos, and pairs of them made once for correctors that learn on pixels.

A pair is a damaged view and the same view as it should be. Pairs are kept as a `CaseCache`:

    given      (N, 224, 224, 3) uint8, sRGB-encoded, what a corrector is shown
    true       (N, 224, 224, 3) uint8, what it should make of it
    undamaged  (N,) bool, where both are the same photo as it was
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from vae_balance.color.arrays import Colors
from vae_balance.color.lab import ciede2000, srgb_to_lab
from vae_balance.training.blended_damage import BlendedDamage
from vae_balance.training.case_cache import (
    SHARD,
    CaseBatches,
    CaseCache,
    CaseMaker,
    Fields,
    Making,
    read_shards,
)
from vae_balance.training.damage import Damage
from vae_balance.training.loop import LoopSettings, Report, Row, Watch, train
from vae_balance.training.optimizer import decaying_optimizer
from vae_balance.training.photos import PhotoPool, Split, split_to_train

N = TypeVar("N", bound=nn.Module)
# Returns the pictures that a network makes of photos (B, 3, 224, 224), sRGB-encoded, 0..1, of any
# size from 28 pixels on, by name; the last is the corrected photo.
Show = Callable[[N, Tensor], dict[str, Tensor]]

# Raise it when the same numbers would no longer make the same pairs.
VERSION = "1"
NAMES = ("given", "true", "undamaged")
_SEED = 2027
WATCHED = 160
_WATCHED_TOGETHER = 16
# The sheet in `out` of so many watched photos: given, what is made of them, true.
PICTURES, _DRAWN = "pictures.jpg", 12


@dataclass(frozen=True)
class View:
    """An undamaged view and what became of it; (224, 224, 3), sRGB-encoded, of 8-bit steps."""

    clean: Colors
    given: Colors
    damage: Damage | BlendedDamage


@dataclass(frozen=True, eq=False)
class PixelBatch:
    """Pairs as tensors (B, 3, 224, 224), sRGB-encoded, 0..1; `undamaged` is (B,) bool."""

    given: Tensor
    true: Tensor
    undamaged: Tensor


@dataclass(frozen=True)
class PairRecipe:
    """What pairs a corrector is trained on.

    Attributes:
        name: of the recipe, and its version.
        draw: cuts and damages a view of a photo that is trained on.
        watched: returns a view of one of the photos that are watched, by its number.
    """

    name: str
    draw: Callable[[PhotoPool, np.random.Generator], View]
    watched: Callable[[Sequence[Path], int], View]


@dataclass(frozen=True)
class PairTraining:
    """Settings of one run on pairs.

    Attributes:
        photos: folder of photographs, see `photos.read_split`.
        out: folder of the checkpoint, the log and the result.
        cache: folder of pairs, 300 kB each; those that are missing are made.
        pairs: to train on.
        steps: optimizer steps in all.
        batch: pairs a step.
        learning_rate: see `rate`.
        weight_decay: of matrices.
        window: shards of 1,024 pairs that are held in memory.
        processes: that make pairs.
    """

    photos: Path
    out: Path
    cache: Path
    pairs: int
    steps: int
    batch: int
    learning_rate: float
    weight_decay: float
    average_decay: float = 0.998
    window: int = 4
    processes: int = 2
    seed: int = 1
    device: str = "cpu"
    log_every: int = 25
    save_every: int = 250
    watch_every: int = 250

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        return self.learning_rate


@dataclass(frozen=True)
class PairShards:
    """Folders of the shards of pairs: to train on, and watched."""

    training: list[Path]
    watched: list[Path]


def train_on_pairs(
    network: N,
    recipe: PairRecipe,
    config: PairTraining,
    loss_of: Callable[[PixelBatch, torch.Generator], tuple[Tensor, Row]],
    show: Show[N],
    keep: Callable[[N], None],
    report: Report,
    making: Making,
) -> N:
    """Train, or go on training, a network on pairs; see `loop.train`.

    Args:
        network: on its device, with all that is learned.
        recipe: of the pairs.
        config: settings.
        loss_of: see `loop.train`.
        show: see `Show`.
        keep: writes the averaged network that does best on watched pairs.
        report: called with every row of the log.
        making: told how many pairs are made.
    """
    shards = make_pairs(recipe, config, making)

    def finish(fields: Fields, rng: np.random.Generator) -> PixelBatch:
        return mirrored_batch(fields, rng, config.device)

    settings = LoopSettings.of(config, config.rate)
    watched = _watched(shards.watched)
    average = train(
        network,
        decaying_optimizer(network, config.weight_decay),
        CaseBatches(shards.training, NAMES, finish, config.batch, config.seed, config.window),
        loss_of,
        keep,
        settings,
        report,
        None if watched is None else _watch(watched, show, config.device),
    )
    if watched is not None:
        _draw(average, show, watched, config)
    return average


def make_pairs(recipe: PairRecipe, config: PairTraining, making: Making) -> PairShards:
    """Make the pairs of a run that are missing in its cache.

    Raises:
        OptionError: those that are there were made with something else, or there are no photos.
        BalanceError: they cannot be made or written.
    """
    photos = config.photos
    split = split_to_train(photos)
    used = [*(path for group in split.training for path in group.paths), *split.watch]
    made_by = {
        "version of the pairs": VERSION,
        "recipe": recipe.name,
        "folder of photos": sizes_of(used, photos),
    }
    kept = CaseCache(config.cache, made_by)
    kept.open()
    count = min(WATCHED, len(split.watch))
    watched = kept.fill(
        "watch",
        count,
        _WatchedPairs(photos, recipe, count),
        1,
        making,
        "watched pairs",
    )
    drawn = kept.fill(
        "train",
        config.pairs,
        _DrawnPairs(photos, recipe),
        config.processes,
        making,
        "pairs",
    )
    return PairShards(drawn, watched)


def pixel_batch(fields: Fields, device: str) -> PixelBatch:
    """Return pairs, as they are kept, as tensors."""

    def tensor(codes: NDArray[np.uint8]) -> Tensor:
        pixels = torch.from_numpy(codes).to(device).permute(0, 3, 1, 2)
        # Channels last, as they are kept: convolutions on the CPU are faster so.
        return pixels.float().div_(255.0)

    undamaged = torch.from_numpy(fields["undamaged"]).to(device)
    return PixelBatch(tensor(fields["given"]), tensor(fields["true"]), undamaged)


def mirrored_batch(fields: Fields, rng: np.random.Generator, device: str) -> PixelBatch:
    """Return pairs to learn from: half of them mirrored."""
    mirrored = rng.uniform(size=len(fields["given"])) < 0.5
    flipped = dict(fields)
    for name in ("given", "true"):
        flipped[name] = fields[name].copy()
        flipped[name][mirrored] = flipped[name][mirrored, :, ::-1]
    return pixel_batch(flipped, device)


def evenly_watched(split: Split, limit: int) -> list[Path]:
    """Return the photos that are watched, at most `limit`, evenly spaced."""
    count = min(limit, len(split.watch))
    return [split.watch[i * len(split.watch) // count] for i in range(count)]


def sizes_of(paths: Sequence[Path], folder: Path) -> str:
    """Return a checksum of the names and sizes of files."""
    rows = [f"{path.relative_to(folder).as_posix()} {path.stat().st_size}" for path in paths]
    return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()


def _watched(shards: list[Path]) -> Fields | None:
    """Return the pairs that are watched, None where there are no photos to watch."""
    return read_shards(shards, NAMES) if shards else None


def _watch(watched: Fields, show: Show[N], device: str) -> Watch[N]:
    """Return what measures and scores a network."""

    def measure(network: N) -> Row:
        return score_pairs(network, show, watched, device)

    def score(row: Row) -> float:
        """Weigh sound photos beside damaged ones, as `train_balancer` does."""
        return row.get("watch_damaged", 0.0) + 0.3 * row.get("watch_undamaged", 0.0)

    return Watch(measure, score)


@torch.inference_mode()
def score_pairs(network: N, show: Show[N], watched: Fields, device: str) -> Row:
    """Return mean CIEDE2000, at 1/8 scale, of what a network makes of damaged and sound photos."""
    errors = []
    for first in range(0, len(watched["undamaged"]), _WATCHED_TOGETHER):
        few = {name: watched[name][first : first + _WATCHED_TOGETHER] for name in NAMES}
        batch = pixel_batch(few, device)
        *_, made = show(network, batch.given).values()
        made = made.float().clamp(0.0, 1.0)
        lab, wanted = (srgb_to_lab(F.adaptive_avg_pool2d(x, 28)) for x in (made, batch.true))
        errors.append(ciede2000(lab, wanted).flatten(1).mean(dim=1).cpu().numpy())
    left, undamaged = np.concatenate(errors), watched["undamaged"]
    groups = {"watch_damaged": left[~undamaged], "watch_undamaged": left[undamaged]}
    return {name: float(values.mean()) for name, values in groups.items() if values.size}


@torch.inference_mode()
def _draw(network: N, show: Show[N], watched: Fields, config: PairTraining) -> None:
    """Write what the network makes of some watched photos, with what it is given and the truth."""
    from vae_balance.photos.painting import paint_grid

    count = len(watched["undamaged"])
    some = np.linspace(0, count - 1, min(_DRAWN, count)).astype(int)
    batch = pixel_batch({name: watched[name][some] for name in NAMES}, config.device)
    shown = {"given": batch.given, **show(network, batch.given), "true": batch.true}
    pictures = [x.float().permute(0, 2, 3, 1).cpu().numpy() for x in shown.values()]
    paint_grid(tuple(shown), list(zip(*pictures, strict=True)), config.out / PICTURES)


@dataclass(frozen=True)
class _DrawnPairs:
    photos: Path
    recipe: PairRecipe

    def __call__(self) -> CaseMaker:
        pool = PhotoPool(split_to_train(self.photos).training, 1)

        def make(shard: int, first: int, count: int) -> Fields:
            return _fields_of(
                [
                    self.recipe.draw(pool, np.random.default_rng((_SEED, shard, number)))
                    for number in range(first, first + count)
                ]
            )

        return make


@dataclass(frozen=True)
class _WatchedPairs:
    photos: Path
    recipe: PairRecipe
    count: int

    def __call__(self) -> CaseMaker:
        photos = evenly_watched(split_to_train(self.photos), self.count)

        def make(shard: int, first: int, count: int) -> Fields:
            numbers = range(shard * SHARD + first, shard * SHARD + first + count)
            return _fields_of([self.recipe.watched(photos, number) for number in numbers])

        return make


def _fields_of(views: Sequence[View]) -> Fields:
    return {
        "given": _codes([view.given for view in views]),
        "true": _codes([view.clean for view in views]),
        "undamaged": np.array([view.damage.strength == 0.0 for view in views]),
    }


def _codes(pictures: Sequence[Colors]) -> NDArray[np.uint8]:
    return np.rint(np.stack(pictures) * 255.0).astype(np.uint8)
