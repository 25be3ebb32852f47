"""Train a grid network: cases made once, then training from them.

photos -> blended damage -> latent balancer's look -> cases -> grid network -> sliced -> error
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vae_balance.color.lab import ciede2000, srgb_to_lab
from vae_balance.correctors.classifier_weights import SHA256
from vae_balance.correctors.latent_balancer.balancer_cases import (
    photos_checksum,
    watched_photos,
)
from vae_balance.correctors.mixed_light.cases import (
    CASES_A_PHOTO,
    KINDS,
    ONE_FUNCTION,
    UNDAMAGED,
    VERSION,
    WATCHED_PHOTOS,
    BlendedCases,
    WatchedCases,
)
from vae_balance.correctors.mixed_light.network import (
    GridConfig,
    GridNetwork,
    fine_of,
    interpolation,
    placed_of,
    slice_grid,
)
from vae_balance.correctors.mixed_light.predictor import NETWORK
from vae_balance.correctors.mixed_light.seeing import Sight
from vae_balance.models.store import find_model
from vae_balance.training.case_cache import CaseBatches, CaseCache, Fields, Making, read_shards
from vae_balance.training.loop import LoopSettings, Report, Row, Watch, cosine_rate, train
from vae_balance.training.optimizer import decaying_optimizer
from vae_balance.training.photos import read_split
from vae_balance.training.scales import take_scales

NAMES = (*(part.name for part in fields(Sight)), "true", "kind")
# How the score weighs cases of one function and undamaged ones beside blended damage.
_SCORE = {"watch_blended": 1.0, "watch_one_function": 0.4, "watch_undamaged": 0.4}
_WATCHED_TOGETHER = 64
_SIDE = 112
# Every so many pixels, both ways, are learned from in a step, each step others.
_EVERY = 4
# Shards and cases of each whose mean and deviation are the network's scales.
_MEASURED_SHARDS, _MEASURED_CASES = 4, 256


@dataclass(frozen=True)
class GridTraining:
    """Settings of one run.

    Attributes:
        photos: folder of photographs, see `photos.read_split`.
        model: name or folder of the model whose latent balancer is the base.
        out: folder of the checkpoint, the log and the result (`out/grid`).
        cache: folder of cases, some 170 kB each; those that are missing are made.
        cases: damaged and undamaged views to train on.
        steps: optimizer steps.
        batch: cases a step.
        learning_rate: the peak.
        undamaged: how much an undamaged case counts beside one with blended damage.
        one_function: how much a case of one function counts.
        smooth: weight of the squared differences between neighboring maps of the grid.
        feature_noise: deviation of what is added to the classifier's pooled features, in their own
            deviations: photos are not so easily learned by heart.
        window: shards of 1,024 cases that are held in memory.
        processes: that make cases.
    """

    photos: Path
    model: str
    out: Path
    cache: Path
    cases: int = 8192
    steps: int = 6000
    batch: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    undamaged: float = 1.5
    one_function: float = 1.3
    smooth: float = 20.0
    feature_noise: float = 0.5
    network: GridConfig = field(default_factory=GridConfig)
    average_decay: float = 0.998
    clip: float = 2.0
    window: int = 10
    processes: int = 2
    seed: int = 1
    device: str = "cpu"
    save_every: int = 250
    watch_every: int = 500

    def loop(self) -> LoopSettings:
        """Return what the loop needs of these settings."""
        return LoopSettings.of(self, lambda step: cosine_rate(step, self.steps, self.learning_rate))


@dataclass(frozen=True)
class GridBatch:
    """Cases to learn from.

    Attributes:
        sight: what is told of them.
        true: (B, 3, 112, 112) the undamaged photos, sRGB-encoded, 0..1.
        kind: (B,) indices in `KINDS`.
    """

    sight: Sight
    true: Tensor
    kind: Tensor


def train_mixed_light(
    config: GridTraining, report: Report, making: Making = lambda what, made, total: None
) -> GridNetwork:
    """Train, or go on training, and leave the best averaged network in `config.out`.

    Args:
        config: settings; cases in `config.cache` are used, and an existing
            `config.out/checkpoint.pt` is resumed from.
        report: called with the step and the parts of the loss now and then.
        making: told how many cases are made.

    Raises:
        OptionError: the cases in `config.cache` were made with another model, or the like.
        BalanceError: cases cannot be made or written.
    """
    cache = CaseCache(config.cache, made_by(config))
    cache.open()
    place = (config.photos, config.model, config.device)
    watched = CASES_A_PHOTO * len(watched_photos(read_split(config.photos), WATCHED_PHOTOS))
    watch_shards = cache.fill(
        "watch",
        watched,
        WatchedCases(*place),
        config.processes,
        making,
        "watched cases",
    )
    shards = cache.fill(
        "train",
        config.cases,
        BlendedCases(*place),
        config.processes,
        making,
    )
    torch.manual_seed(config.seed)
    network = GridNetwork(replace(config.network, base=config.model))
    take_grid_scales(network, shards)
    network.to(config.device)
    batches = CaseBatches(
        shards,
        NAMES,
        lambda drawn, rng: flipped_batch(drawn, rng, config.device),
        config.batch,
        config.seed,
        config.window,
    )
    return train(
        network,
        decaying_optimizer(network, config.weight_decay),
        batches,
        lambda batch, chance: grid_loss(network, batch, config),
        lambda average: average.save_folder(config.out / NETWORK),
        config.loop(),
        report,
        _watch(watch_shards, config.device),
    )


def made_by(config: GridTraining) -> dict[str, str]:
    """Return what the cases are made with, for `CaseCache`."""
    info = find_model(config.model)
    return {
        "version of the cases": VERSION,
        "model": " ".join(sorted(info.sha256.values())),
        "classifier": SHA256,
        "folder of photos": photos_checksum(config.photos),
    }


def grid_loss(network: GridNetwork, batch: GridBatch, config: GridTraining) -> tuple[Tensor, Row]:
    """Return the loss of the network on a batch, and its parts for the log."""
    sight = batch.sight
    noise = config.feature_noise * network.pooled_scale * torch.randn_like(sight.pooled)
    told = Sight(**{**vars(sight), "pooled": sight.pooled + noise})
    with torch.autocast(batch.true.device.type, torch.bfloat16):
        grid = network(told)
    row, column = (int(start) for start in torch.randint(_EVERY, (2,)))
    colors, true = (
        picture[:, :, row::_EVERY, column::_EVERY] for picture in (sight.balanced, batch.true)
    )
    weights = interpolation(_SIDE, network.config.places).to(colors)
    changed = slice_grid(grid, colors, weights[row::_EVERY], weights[column::_EVERY])
    left = errors_of(changed, true)
    # Beyond white and black, errors of colors say nothing.
    far = (changed - true).abs().flatten(1).mean(dim=1)
    counts = torch.ones_like(left)
    counts = torch.where(batch.kind == KINDS.index(UNDAMAGED), config.undamaged, counts)
    counts = torch.where(batch.kind == KINDS.index(ONE_FUNCTION), config.one_function, counts)
    rough = roughness(grid)
    loss = (counts * (left + 10.0 * far)).sum() / counts.sum() + config.smooth * rough
    return loss, {"left": left.mean().item(), "far": far.mean().item(), "rough": rough.item()}


def roughness(grid: Tensor) -> Tensor:
    """Return the mean squared difference of neighboring maps of grids (B, R, C, L, 12)."""
    down = (grid[:, 1:] - grid[:, :-1]).square().mean()
    right = (grid[:, :, 1:] - grid[:, :, :-1]).square().mean()
    lighter = (grid[:, :, :, 1:] - grid[:, :, :, :-1]).square().mean()
    return down + right + lighter


def errors_of(colors: Tensor, true: Tensor) -> Tensor:
    """Return the mean CIEDE2000 error (B,) of colors (B, 3, h, w), sRGB-encoded."""
    error = ciede2000(srgb_to_lab(colors.clamp(0.0, 1.0)), srgb_to_lab(true))
    return error.flatten(1).mean(dim=1)


def batch_of(drawn: Fields, device: str) -> GridBatch:
    """Return cases, as they are kept, as a batch."""
    tensors = {name: torch.from_numpy(drawn[name]).to(device) for name in NAMES}
    kind = tensors.pop("kind").long()
    floats = {
        name: value.float() / 255.0 if value.dtype == torch.uint8 else value.float()
        for name, value in tensors.items()
    }
    true = floats.pop("true")
    return GridBatch(Sight(**floats), true, kind)


def flipped_batch(drawn: Fields, rng: np.random.Generator, device: str) -> GridBatch:
    """Return cases as a batch to learn from, half of them mirrored."""
    mirrored = rng.uniform(size=len(drawn["kind"])) < 0.5
    flipped = {}
    for name, values in drawn.items():
        if values.ndim == 4:
            values = values.copy()
            values[mirrored] = values[mirrored, ..., ::-1]
        flipped[name] = values
    return batch_of(flipped, device)


@torch.no_grad()
def score_grid(network: GridNetwork, watched: Fields, device: str) -> Row:
    """Return mean CIEDE2000 errors over watched cases, by what befell them.

    Beside them stand those that the balancer's look alone leaves (`..._base`).
    """
    left, base = [], []
    weights = interpolation(_SIDE, network.config.places).to(device)[::2]
    for first in range(0, len(watched["kind"]), _WATCHED_TOGETHER):
        last = first + _WATCHED_TOGETHER
        batch = batch_of({name: watched[name][first:last] for name in NAMES}, device)
        colors, true = batch.sight.balanced[:, :, ::2, ::2], batch.true[:, :, ::2, ::2]
        changed = slice_grid(network(batch.sight), colors, weights, weights)
        left.append(errors_of(changed, true).cpu().numpy())
        base.append(errors_of(colors, true).cpu().numpy())
    errors = {"": np.concatenate(left), "_base": np.concatenate(base)}
    one, none = (watched["kind"] == KINDS.index(kind) for kind in (ONE_FUNCTION, UNDAMAGED))
    groups = {"blended": ~(one | none), "one_function": one, "undamaged": none}
    return {
        f"watch_{group}{suffix}": float(values[chosen].mean())
        for group, chosen in groups.items()
        for suffix, values in errors.items()
        if chosen.any()
    }


def take_grid_scales(network: GridNetwork, shards: list[Path]) -> None:
    """Set the buffers by which the network standardizes what it is told."""
    measured = read_shards(shards[:_MEASURED_SHARDS], NAMES, _MEASURED_CASES)
    sight = batch_of(measured, "cpu").sight
    seen = {
        "fine": fine_of(sight),
        "placed": placed_of(sight),
        "pooled": sight.pooled,
        "statistics": sight.statistics,
    }
    for name, values in seen.items():
        take_scales(network, name, values)


def _watch(shards: list[Path], device: str) -> Watch[GridNetwork] | None:
    """Return what measures and scores a network, None where there are no photos to watch."""
    if not shards:
        return None
    watched = read_shards(shards, NAMES)

    def score(row: Row) -> float:
        return math.fsum(weight * row.get(name, 0.0) for name, weight in _SCORE.items())

    return Watch(lambda network: score_grid(network, watched, device), score)
