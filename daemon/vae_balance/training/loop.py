"""The training loop: trainers of any corrector hand it their network, batches and loss.

A run can be killed at any time. The same call goes on from its last checkpoint, and takes the same
steps as a run that was never interrupted: a batch follows from the number of its step, and so does
what dropout draws.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import Self

from vae_balance.errors import OptionError
from vae_balance.files import make_folder
from vae_balance.training.checkpoint import TrainingState, append_log, update_average
from vae_balance.training.optimizer import PACE

B = TypeVar("B")
N = TypeVar("N", bound=nn.Module)
# What is told of a step, or of the mean of several.
Row = dict[str, float]
Report = Callable[[Row], None]

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"


@dataclass(frozen=True)
class LoopSettings:
    """How a run goes.

    Attributes:
        out: folder of the checkpoint and of the log.
        steps: to be reached; a checkpoint that is as far takes none.
        rate: the learning rate of a step, 0 for the first.
        seed: of what is drawn in a step.
        device: of the network.
        average_decay: of the averaged weights, from one step to the next.
        clip: the greatest norm of the gradient.
        log_every: so many steps make a row of the log, which has their means.
        watch_every: so many steps are between measurements, a multiple of `log_every`.
        save_every: so many steps are between checkpoints.
    """

    out: Path
    steps: int
    rate: Callable[[int], float]
    seed: int = 1
    device: str = "cpu"
    average_decay: float = 0.998
    clip: float = 1.0
    log_every: int = 50
    watch_every: int = 500
    save_every: int = 250

    @classmethod
    def of(cls, run: Any, rate: Callable[[int], float]) -> Self:
        """Return what the loop needs of a trainer's settings, whose fields have the same names."""
        names = [field.name for field in fields(cls) if field.name != "rate"]
        return cls(rate=rate, **{name: getattr(run, name) for name in names if hasattr(run, name)})


@dataclass(frozen=True)
class Watch(Generic[N]):
    """What is measured, now and then, on photos that are not trained on.

    Attributes:
        measure: returns the figures of an averaged network.
        score: returns how bad these figures are: the network of the least score is kept. None
            keeps the last one.
    """

    measure: Callable[[N], Row]
    score: Callable[[Row], float] | None = None


def train(
    network: N,
    optimizer: torch.optim.Optimizer,
    batches: Callable[[int, int], Iterator[B]],
    loss_of: Callable[[B, torch.Generator], tuple[Tensor, Row]],
    keep: Callable[[N], None],
    settings: LoopSettings,
    report: Report,
    watch: Watch[N] | None = None,
) -> N:
    """Train, or go on training, and return the network of averaged weights.

    Args:
        network: on its device, with all that is learned.
        optimizer: of its parameters.
        batches: makes the batches from one step up to, but not including, another.
        loss_of: returns the loss on a batch, and its parts for the log; what it draws itself it
            draws from the generator that it is given.
        keep: writes the result, an averaged network: the best one where `watch` scores, otherwise
            that of the last checkpoint.
        settings: see there; a checkpoint in `settings.out` is resumed from.
        report: called with every row of the log.
        watch: see there.

    Raises:
        ModelError: the checkpoint is damaged, or of another network.
        OptionError: the loss is no longer a number.
    """
    average = copy.deepcopy(network).eval()
    chance = torch.Generator(settings.device).manual_seed(settings.seed)
    state = TrainingState(network, average, optimizer, chance)
    make_folder(settings.out)
    checkpoint = settings.out / CHECKPOINT
    if checkpoint.exists():
        state.load(checkpoint)
    scored = watch is not None and watch.score is not None
    rows: list[Row] = []
    for batch in batches(state.step, settings.steps):
        rows.append(_take_step(state, batch, loss_of, settings))
        last = state.step == settings.steps
        if state.step % settings.log_every == 0 or last:
            row = {"step": state.step} | _mean_of(rows)
            rows.clear()
            if watch and (state.step % settings.watch_every == 0 or last):
                row |= _measure(state, average, watch, keep)
            append_log(settings.out / LOG, row)
            report(row)
        if state.step % settings.save_every == 0 or last:
            state.save(checkpoint)
            if not scored:
                keep(average)
    return average


def cosine_rate(step: int, steps: int, peak: float, warm_up: int = 200) -> float:
    """Return the learning rate of `step`: linear warm-up, half a cosine down to a hundredth."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def _take_step(
    state: TrainingState,
    batch: B,
    loss_of: Callable[[B, torch.Generator], tuple[Tensor, Row]],
    settings: LoopSettings,
) -> Row:
    """Learn from a batch; return the parts of its loss."""
    for group in state.optimizer.param_groups:
        group["lr"] = settings.rate(state.step) * group.get(PACE, 1.0)
    # Dropout draws from torch's own generators, which no checkpoint holds.
    drawn = np.random.SeedSequence((settings.seed, state.step)).generate_state(1)
    torch.manual_seed(int(drawn[0]))
    loss, row = loss_of(batch, state.chance)
    if not math.isfinite(loss.item()):
        raise OptionError(
            f"step {state.step + 1}: the loss is no longer a number; go on from the last "
            "checkpoint with a lower --learning-rate"
        )
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(state.network.parameters(), settings.clip)
    state.optimizer.step()
    state.step += 1
    update_average(state.average, state.network, state.step, settings.average_decay)
    return row


def _measure(state: TrainingState, average: N, watch: Watch[N], keep: Callable[[N], None]) -> Row:
    """Return what is watched, and keep the network if it is the best so far."""
    row = watch.measure(average)
    if watch.score is not None and (score := watch.score(row)) < state.best_score:
        state.best_score = score
        keep(average)
    return row


def _mean_of(rows: list[Row]) -> Row:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
