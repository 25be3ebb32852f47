"""Train a latent balancer: cases made once, then two rounds of training from them.

    photos -> cases -> training -> cases of what its own answers leave -> training with both

The first round learns to undo damage, the second to go on with what the first has left.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_balance.color.lab import srgb_to_lab
from vae_balance.correctors.latent_balancer.balancer_cases import (
    EXTREME,
    KINDS,
    NAMES,
    UNDAMAGED,
    AnsweredCases,
    DamagedCases,
    WatchedCases,
    batch_of,
    count_watched,
    flipped_batch,
    made_by,
)
from vae_balance.correctors.latent_balancer.balancer_loss import (
    Batch,
    LossWeights,
    Thumbnail,
    balancer_loss,
    errors_of,
    smooth_map,
)
from vae_balance.correctors.latent_balancer.fused_network import (
    FusedBalancerConfig,
    FusedLatentBalancer,
)
from vae_balance.files import atomic_write
from vae_balance.models.checksum import sha256_of
from vae_balance.models.folder import WEIGHTS_NAME
from vae_balance.training.case_cache import (
    NO_RENEWAL,
    SHARD,
    STEPS_A_SHARD,
    CaseBatches,
    CaseCache,
    Fields,
    Making,
    Renewal,
    read_shards,
)
from vae_balance.training.checkpoint import save_tensors
from vae_balance.training.loop import (
    CHECKPOINT,
    LoopSettings,
    Report,
    Row,
    Watch,
    cosine_rate,
    train,
)
from vae_balance.training.optimizer import decaying_optimizer
from vae_balance.training.photos import split_to_train
from vae_balance.training.scales import take_scales

# The folder in `out` that holds the trained network.
RESULT = "latent_balancer"
# The folder in that of the thumbnail's training that holds it.
THUMBNAIL = "network"
# What made the cases of its own answers; no .safetensors, which would be a file of the model.
FIRST_ROUND = "first_round.pt"
# Which weights were kept in the end; its being there says that they have been compared.
CHOICE = "choice.txt"
# How the score weighs undamaged photos and extreme damage beside damage.
_SCORE = {"watch_damaged": 1.0, "watch_undamaged": 0.3, "watch_extreme": 0.2}
_WATCHED_TOGETHER = 128
THUMBNAIL_STEPS = 1200
# Shards and cases of each whose mean and deviation are a balancer's scales.
_MEASURED_SHARDS, _MEASURED_CASES = 8, 512


@dataclass(frozen=True)
class BalancerTraining:
    """Settings of one run.

    Attributes:
        photos: folder of photographs, see `photos.read_split`.
        vae: folder of the VAE whose moments are balanced.
        out: folder of the checkpoint, the log and the result (`out/latent_balancer`).
        cache: folder of cases, some 100 kB each; those that are missing are made.
        luts: LUT files of the user, drawn as further damage.
        start: folder of a fused latent balancer for the same VAE, to begin with in place of chance.
        cases: damaged and undamaged views to train on.
        renewed: share of these that fresh ones take the place of in the first round, made meanwhile
            by a process more: what is drawn too often is learned by heart.
        own: cases of what its own answers leave, for the second round; 0 for one round only.
        steps: optimizer steps in all.
        second_round: share of the steps that the second round takes.
        batch: cases a step.
        learning_rate: the peak in the first round.
        second_learning_rate: the peak in the second.
        feature_noise: deviation of what is added to the classifier's pooled features, in their own
            deviations: photos are not so easily learned by heart.
        blindness: share of cases for which these features say nothing.
        statistics_noise: as `feature_noise`, of the color statistics.
        window: shards of 1,024 cases that are held in memory.
        processes: that make cases.
    """

    photos: Path
    vae: Path
    out: Path
    cache: Path
    luts: Path | None = None
    start: Path | None = None
    cases: int = 100_000
    renewed: float = 0.3
    own: int = 30_000
    steps: int = 12_000
    second_round: float = 1 / 3
    batch: int = 64
    learning_rate: float = 1.2e-3
    second_learning_rate: float = 6e-4
    weight_decay: float = 0.1
    weights: LossWeights = field(default_factory=LossWeights)
    network: FusedBalancerConfig = field(default_factory=FusedBalancerConfig)
    feature_noise: float = 0.7
    blindness: float = 0.2
    statistics_noise: float = 0.05
    average_decay: float = 0.998
    clip: float = 5.0
    window: int = 24
    processes: int = 2
    seed: int = 1
    device: str = "cpu"
    log_every: int = 50
    save_every: int = 250
    watch_every: int = 500

    @property
    def first_steps(self) -> int:
        """The steps of the first round."""
        return self.steps - int(self.steps * self.second_round) if self.own else self.steps

    def rate(self, step: int) -> float:
        """Return the learning rate of a step: each round has a warm-up and a cosine of its own."""
        if step < self.first_steps:
            return cosine_rate(step, self.first_steps, self.learning_rate)
        second = self.steps - self.first_steps
        return cosine_rate(step - self.first_steps, second, self.second_learning_rate)

    def loop(self, steps: int) -> LoopSettings:
        """Return what the loop needs of these settings to go on up to `steps`."""
        return replace(LoopSettings.of(self, self.rate), steps=steps)


def train_balancer(
    config: BalancerTraining, report: Report, making: Making = lambda what, made, total: None
) -> FusedLatentBalancer:
    """Train, or go on training, and leave the best averaged network in `config.out`.

    The best is the one with the least error on watched cases, see `_SCORE`, or the mean of its
    weights and the last ones, if that is better still. The last are in `checkpoint.pt` in any case.

    Args:
        config: settings; cases in `config.cache` are used, and an existing
            `config.out/checkpoint.pt` is resumed from.
        report: called with the step and the parts of the loss now and then.
        making: told how many cases are made.

    Raises:
        OptionError: the cases in `config.cache` were made with another VAE, or the like.
        BalanceError: cases cannot be made or written.
    """
    split = split_to_train(config.photos)
    cache = CaseCache(config.cache, made_by(config.photos, config.vae, config.luts))
    cache.open()
    watched = cache.fill(
        "watch",
        count_watched(split),
        WatchedCases(config.photos, config.vae, config.device),
        config.processes,
        making,
        "watched cases",
    )
    damaged = DamagedCases(config.photos, config.vae, config.luts, config.device)
    shards = cache.fill(
        "train",
        config.cases,
        damaged,
        config.processes,
        making,
    )
    thumbnail_folder = cache.folder / "thumbnail"
    thumbnail = fit_thumbnail(thumbnail_folder, shards, config.device, config.seed)
    balancer = begin_balancer(config, shards)
    watch = _watch(watched, thumbnail, config.device)
    first_round = config.out / FIRST_ROUND
    if not (config.out / CHECKPOINT).exists():
        for file in (first_round, config.out / CHOICE):
            file.unlink(missing_ok=True)  # of a run that was begun again
    with _renewing(cache, shards, damaged, config) as renewal:
        average = _train_round(
            balancer, thumbnail, shards, config, config.first_steps, report, watch, renewal
        )
    if not config.own:
        _keep_mean(average, config, watch)
        return average
    if renewal.shards:
        every = SHARD * (len(shards) + len(renewal.shards))
        shards = cache.fill("train", every, damaged, config.processes, making)[-len(shards) :]
    if not first_round.exists():
        save_tensors(average.state_dict(), first_round)
    answered = cache.fill(
        f"own-{sha256_of(first_round)[:12]}",
        config.own,
        AnsweredCases(damaged, first_round, balancer.config, thumbnail_folder / THUMBNAIL),
        config.processes,
        making,
        "cases of its own answers",
    )
    both = [*shards, *answered]
    average = _train_round(balancer, thumbnail, both, config, config.steps, report, watch)
    _keep_mean(average, config, watch)
    return average


def _keep_mean(
    last: FusedLatentBalancer, config: BalancerTraining, watch: Watch[FusedLatentBalancer] | None
) -> None:
    """Keep the mean of the best and the last weights in place of the best, if it is better.

    Weights along one run lie in one valley, whose middle is lower than its sides (Izmailov et al.,
    2018, "Averaging Weights Leads to Wider Optima and Better Generalization").
    """
    if watch is None or watch.score is None or (config.out / CHOICE).exists():
        return
    best = FusedLatentBalancer.load_folder(config.out / RESULT).to(config.device)
    mean = copy.deepcopy(best)
    others = last.state_dict()
    mean.load_state_dict(
        {name: (value + others[name]) / 2 for name, value in best.state_dict().items()}
    )
    scores = [watch.score(watch.measure(balancer)) for balancer in (best, mean)]
    if scores[1] < scores[0]:
        mean.save_folder(config.out / RESULT)
    with atomic_write(config.out / CHOICE) as temporary:
        kept = "the mean" if scores[1] < scores[0] else "the best"
        temporary.write_text(
            f"watched score of the best weights: {scores[0]:.3f}\n"
            f"of their mean with the last: {scores[1]:.3f}\nkept: {kept}\n",
            encoding="utf-8",
        )


@contextmanager
def _renewing(
    cache: CaseCache, shards: list[Path], recipe: DamagedCases, config: BalancerTraining
) -> Iterator[Renewal]:
    """Make fresh cases while the first round goes on, some for every turn of all shards."""
    turns = config.first_steps // (len(shards) * STEPS_A_SHARD)
    each_turn = int(config.renewed * len(shards)) // turns if turns else 0
    count = each_turn * turns
    fresh = cache.shards("train", SHARD * (len(shards) + count))[len(shards) :]
    with cache.making("train", len(shards), count, recipe) as wait_for:
        yield Renewal(fresh, each_turn, wait_for)


def _train_round(
    balancer: FusedLatentBalancer,
    thumbnail: Thumbnail,
    shards: list[Path],
    config: BalancerTraining,
    steps: int,
    report: Report,
    watch: Watch[FusedLatentBalancer] | None,
    renewal: Renewal = NO_RENEWAL,
) -> FusedLatentBalancer:
    """Go on up to `steps` with the cases of these shards."""

    def finish(fields: Fields, rng: np.random.Generator) -> Batch:
        return flipped_batch(fields, rng, config.device)

    def loss_of(batch: Batch, _: torch.Generator) -> tuple[Tensor, Row]:
        told = blurred(batch, balancer, config)
        return balancer_loss(balancer, thumbnail, told, config.weights)

    return train(
        balancer,
        decaying_optimizer(balancer, config.weight_decay),
        CaseBatches(
            shards, NAMES, finish, config.batch, config.seed, config.window, renewal=renewal
        ),
        loss_of,
        lambda average: average.save_folder(config.out / RESULT),
        config.loop(steps),
        report,
        watch,
    )


def begin_balancer(config: BalancerTraining, shards: list[Path]) -> FusedLatentBalancer:
    """Return the balancer that training begins with: `config.start`, or one made by chance."""
    if config.start:
        return FusedLatentBalancer.load_folder(config.start).to(config.device).train()
    torch.manual_seed(config.seed)
    balancer = FusedLatentBalancer(config.network)
    seen = _measured(shards)
    placed = torch.cat([seen["middle"], seen["fine"]], dim=1)
    take_scales(balancer, "mean", seen["given"].chunk(2, dim=1)[0])
    take_scales(balancer, "pooled", seen["pooled"])
    take_scales(balancer, "placed", placed)
    take_scales(balancer, "statistics", seen["statistics"], 0.02)
    return balancer.to(config.device)


def fit_thumbnail(folder: Path, shards: list[Path], device: str, seed: int) -> Thumbnail:
    """Return the network that reads colors from the VAE's moments, trained when it is missing."""
    result = folder / THUMBNAIL
    if not (result / WEIGHTS_NAME).exists():
        torch.manual_seed(seed)
        thumbnail = Thumbnail()
        take_scales(thumbnail, "mean", _measured(shards)["given"].chunk(2, dim=1)[0])
        thumbnail.to(device)

        def loss_of(batch: Batch, _: torch.Generator) -> tuple[Tensor, Row]:
            read = thumbnail(torch.cat([batch.given, batch.true]))
            loss = (read - torch.cat([batch.before, batch.after])).abs().mean()
            return loss, {"read": loss.item()}

        steps, peak = THUMBNAIL_STEPS, 2e-3
        settings = LoopSettings(
            folder,
            steps,
            lambda step: cosine_rate(step, steps, peak),
            device=device,
            save_every=steps,
        )
        train(
            thumbnail,
            decaying_optimizer(thumbnail, 0.01),
            CaseBatches(shards, NAMES, lambda fields, rng: batch_of(fields, device), 32, seed, 4),
            loss_of,
            lambda average: average.save_folder(result, torch.float32),
            settings,
            lambda row: None,
        )
    return Thumbnail.load_folder(result).to(device).requires_grad_(False)


class Blurring(Protocol):
    """What the settings of a run tell `blurred`; see `BalancerTraining`."""

    @property
    def feature_noise(self) -> float:
        """Deviation of what is added to the classifier's pooled features."""

    @property
    def blindness(self) -> float:
        """Share of cases for which these features say nothing."""

    @property
    def statistics_noise(self) -> float:
        """Deviation of what is added to the color statistics."""


def blurred(batch: Batch, balancer: FusedLatentBalancer, config: Blurring) -> Batch:
    """Return cases with noise on what is told of whole photos, of which some say nothing."""
    pooled, statistics = batch.features.pooled, batch.statistics
    pooled = pooled + config.feature_noise * balancer.pooled_scale * torch.randn_like(pooled)
    blind = torch.rand_like(pooled[:, :1]) < config.blindness
    pooled = torch.where(blind, balancer.pooled_shift, pooled)
    scale = config.statistics_noise * balancer.statistics_scale
    return replace(
        batch,
        features=replace(batch.features, pooled=pooled),
        statistics=statistics + scale * torch.randn_like(statistics),
    )


@torch.no_grad()
def score_balancer(
    balancer: FusedLatentBalancer, thumbnail: Thumbnail, watched: Fields, device: str
) -> Row:
    """Return mean CIEDE2000 errors over watched cases.

    Of the photos' colors moved as a look would move them: those with damage, with extreme damage,
    and undamaged; then of the errors that the balancer expects before and after its answer.
    """
    parts = []
    for first in range(0, len(watched["kind"]), _WATCHED_TOGETHER):
        few = {name: watched[name][first : first + _WATCHED_TOGETHER] for name in NAMES}
        parts.append(_errors_of(balancer, thumbnail, batch_of(few, device)))
    left, fault, doubt = np.concatenate(parts, axis=1)
    damaged = watched["kind"] != KINDS.index(UNDAMAGED)
    extreme = damaged & (watched["strength"] >= EXTREME)
    groups = {
        "watch_damaged": left[damaged & ~extreme],
        "watch_extreme": left[extreme],
        "watch_undamaged": left[~damaged],
        "watch_fault": fault,
        "watch_doubt": doubt,
    }
    return {name: float(values.mean()) for name, values in groups.items() if values.size}


def _errors_of(
    balancer: FusedLatentBalancer, thumbnail: Thumbnail, batch: Batch
) -> NDArray[np.float32]:
    """Return (3, B): the error left, and how wrong the expected errors before and after are."""
    with torch.autocast(batch.given.device.type, torch.bfloat16):
        answer = balancer(batch.given, batch.features, batch.statistics)
    seen, predicted = thumbnail(batch.given), thumbnail(answer.moments.float())
    wanted = srgb_to_lab(batch.after)
    left = errors_of(batch.before + smooth_map(seen, predicted) - seen, wanted)
    fault = (answer.fault - errors_of(batch.before, wanted)).abs()
    return torch.stack([left, fault, (answer.doubt - left).abs()]).cpu().numpy()


def _watch(
    shards: list[Path], thumbnail: Thumbnail, device: str
) -> Watch[FusedLatentBalancer] | None:
    """Return what measures and scores a balancer, None where there are no photos to watch."""
    if not shards:
        return None
    watched = read_shards(shards, (*NAMES, "strength"))

    def measure(balancer: FusedLatentBalancer) -> Row:
        return score_balancer(balancer, thumbnail, watched, device)

    def score(row: Row) -> float:
        return math.fsum(weight * row.get(name, 0.0) for name, weight in _SCORE.items())

    return Watch(measure, score)


def _measured(shards: list[Path]) -> dict[str, Tensor]:
    """Return fields of some cases, from which scales are measured."""
    names = ("given", "pooled", "fine", "middle", "statistics")
    measured = read_shards(shards[:_MEASURED_SHARDS], names, _MEASURED_CASES)
    return {name: torch.from_numpy(values) for name, values in measured.items()}
