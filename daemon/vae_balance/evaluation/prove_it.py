"""The proof: a latent balancer and a U-Net on pixels, trained beside each other and compared.

Four runs take the same number of cases and, each kind, its own settings or none of what holds
learning by heart back (dropout, weight decay, noise):

    latents, latents-free, pixels, pixels-free

Each gets so many minutes of one core. A run that was stopped goes on; one that is done is not
repeated. `proof_page.py` then compares what they have left.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vae_balance.correctors.latent_balancer import balancer_cases
from vae_balance.correctors.latent_balancer.balancer_loss import Thumbnail
from vae_balance.correctors.latent_balancer.fused_network import (
    FusedBalancerConfig,
    FusedLatentBalancer,
)
from vae_balance.correctors.latent_balancer.train_balancer import (
    RESULT,
    THUMBNAIL,
    BalancerTraining,
    score_balancer,
    train_balancer,
)
from vae_balance.correctors.unet import corrector as unet_corrector
from vae_balance.correctors.unet.network import UNet, UNetConfig
from vae_balance.correctors.unet.train import UNetTraining, show, train_unet
from vae_balance.files import atomic_write
from vae_balance.models.store import write_info
from vae_balance.training import pairs
from vae_balance.training.case_cache import Fields, Making, read_shard
from vae_balance.training.checkpoint import append_log, read_log
from vae_balance.training.loop import LOG, Report, Row

LATENTS, PIXELS = "latents", "pixels"
FREE = "-free"
NAMES = (LATENTS, LATENTS + FREE, PIXELS, PIXELS + FREE)
_TIMES = "times.jsonl"
_PLAN = "plan.json"
_TRIAL_STEPS, _TRIAL_EVERY = 13, 4
_LONGER = 3.0
# Views that were trained on and are looked at again, and where they lie.
_LOOKED_AT, _FIRST_SHARD = 240, "train-0000"


@dataclass(frozen=True)
class Proof:
    """Settings of the comparison.

    Attributes:
        photos: folder of photographs, see `photos.read_split`.
        vae: folder of the VAE whose latents are balanced.
        out: folder of the runs.
        cases: folder of the balancer's cases; those that are missing are made.
        pairs: folder of the U-Net's pairs; those that are missing are made.
        count: cases, and pairs, to train on.
        minutes: of one core's time for each run; the U-Net with all its settings gets three times
            as many, or it would not have seen every view once.
        names: of the runs.
        limit: held-out photos that are measured.
        device: where networks are trained.
    """

    photos: Path
    vae: Path
    out: Path
    cases: Path
    pairs: Path
    minutes: float = 3.0
    names: tuple[str, ...] = NAMES
    count: int = 4096
    limit: int = 26
    device: str = "cpu"

    def minutes_of(self, name: str) -> float:
        """Return the minutes of a run."""
        return _LONGER * self.minutes if name == PIXELS else self.minutes


@dataclass(frozen=True)
class Timed:
    """A run that is done: what it cost and how it went.

    Attributes:
        name: of the run.
        batch: cases a step.
        steps: in all.
        seconds_a_step: of one core, the median.
        watched: step -> mean CIEDE2000 left of damage on watched photos.
        sound: step -> mean CIEDE2000 by which undamaged watched photos are changed.
    """

    name: str
    batch: int
    steps: int
    seconds_a_step: float
    watched: dict[int, float]
    sound: dict[int, float]

    def seconds_an_epoch(self, cases: int) -> float:
        """Return the core's seconds for so many cases."""
        return self.seconds_a_step * cases / self.batch


def train_proof(
    config: Proof, report: Report, making: Making = lambda what, made, total: None
) -> list[Timed]:
    """Train, or go on training, the runs.

    Raises:
        OptionError, BalanceError: as `train_balancer` and `train_unet`.
    """
    return [_train_run(name, config, report, making) for name in config.names]


def _train_run(name: str, config: Proof, report: Report, making: Making) -> Timed:
    folder = config.out / name
    plan = folder / _PLAN
    train = _train_latents if name.startswith(LATENTS) else _train_pixels
    free = name.endswith(FREE)
    if not plan.exists():
        trial = folder.with_name(f"{name}-trial")
        shutil.rmtree(trial, ignore_errors=True)
        stopwatch = _Stopwatch(trial / _TIMES, lambda row: None)
        train(config, trial, _TRIAL_STEPS, _TRIAL_EVERY, free, stopwatch, making)
        seconds = _seconds_a_step(trial)
        shutil.rmtree(trial)
        steps = max(_TRIAL_STEPS, round(60.0 * config.minutes_of(name) / seconds))
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(plan) as temporary:
            temporary.write_text(json.dumps({"steps": steps}) + "\n", "utf-8")
    steps = int(json.loads(plan.read_text("utf-8"))["steps"])
    every = max(1, steps // 100)
    train(config, folder, steps, every, free, _Stopwatch(folder / _TIMES, report), making)
    return read_run(folder, name)


class _Stopwatch:
    """Passes rows of a log on, and notes what the steps before each took of the core."""

    def __init__(self, log: Path, report: Report) -> None:
        self._log, self._report = log, report
        self._step: float | None = None
        self._at = 0.0

    def __call__(self, row: Row) -> None:
        now = time.process_time()
        watched = any(name.startswith("watch_") for name in row)
        if self._step is not None and not watched:
            seconds = (now - self._at) / (row["step"] - self._step)
            append_log(self._log, {"step": row["step"], "seconds": seconds})
        self._report(row)
        self._step, self._at = row["step"], time.process_time()


def _seconds_a_step(folder: Path) -> float:
    return float(np.median([row["seconds"] for row in read_log(folder / _TIMES)]))


def _train_latents(
    config: Proof,
    out: Path,
    steps: int,
    every: int,
    free: bool,
    report: Report,
    making: Making,
) -> None:
    settings = BalancerTraining(
        config.photos,
        config.vae,
        out,
        config.cases,
        cases=config.count,
        renewed=0.0,  # the U-Net is given the same cases again, too
        own=0,
        steps=steps,
        device=config.device,
        log_every=every,
        watch_every=10 * every,
        save_every=10 * every,
    )
    if free:
        settings = replace(
            settings,
            weight_decay=0.0,
            feature_noise=0.0,
            blindness=0.0,
            statistics_noise=0.0,
            network=FusedBalancerConfig(dropout=0.0, feature_dropout=0.0),
        )
    train_balancer(settings, report, making)
    shutil.copytree(config.vae, out / "vae", dirs_exist_ok=True)
    write_info(out, out.name, "1", "MIT", f"{steps} steps")


def _train_pixels(
    config: Proof,
    out: Path,
    steps: int,
    every: int,
    free: bool,
    report: Report,
    making: Making,
) -> None:
    settings = UNetTraining(
        config.photos,
        out,
        config.pairs,
        pairs=config.count,
        steps=steps,
        device=config.device,
        log_every=every,
        watch_every=10 * every,
        save_every=10 * every,
    )
    if free:
        settings = replace(settings, weight_decay=0.0, network=UNetConfig(dropout=0.0))
    train_unet(settings, report, making)
    write_info(out, out.name, "1", "MIT", f"{steps} steps", unet_corrector.UNetCorrector.name)


def read_run(folder: Path, name: str) -> Timed:
    """Return what is logged of a run."""
    rows = read_log(folder / LOG)
    batch = BalancerTraining.batch if name.startswith(LATENTS) else UNetTraining.batch
    watched = [row for row in rows if "watch_damaged" in row]
    return Timed(
        name,
        batch,
        int(rows[-1]["step"]),
        _seconds_a_step(folder),
        {int(row["step"]): row["watch_damaged"] for row in watched},
        {int(row["step"]): row.get("watch_undamaged", 0.0) for row in watched},
    )


def trained_error(config: Proof, name: str) -> float:
    """Return the error left, as on watched photos, of damaged views that a run was trained on."""
    folder = config.out / name
    if name.startswith(PIXELS):
        fields = _first(config.pairs / _FIRST_SHARD, pairs.NAMES)
        unet = UNet.load_folder(folder / unet_corrector.NETWORK)
        row = pairs.score_pairs(unet, show, fields, "cpu")
    else:
        fields = _first(config.cases / _FIRST_SHARD, (*balancer_cases.NAMES, "strength"))
        balancer = FusedLatentBalancer.load_folder(folder / RESULT)
        thumbnail = Thumbnail.load_folder(config.cases / "thumbnail" / THUMBNAIL)
        row = score_balancer(balancer, thumbnail, fields, "cpu")
    return row["watch_damaged"]


def _first(shard: Path, names: Sequence[str]) -> Fields:
    """Return some cases of a shard."""
    return {name: values[:_LOOKED_AT] for name, values in read_shard(shard, names).items()}
