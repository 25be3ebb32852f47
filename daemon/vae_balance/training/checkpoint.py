"""Training state on disk: one file that a run resumes from, and its loss log."""

from __future__ import annotations

import io
import json
import os
import pickle
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vae_balance.errors import BalanceError, ModelError
from vae_balance.files import atomic_write


@dataclass
class TrainingState:
    """Everything that changes from step to step; `chance` is what a loss draws from."""

    network: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    chance: torch.Generator
    step: int = 0
    best_score: float = float("inf")

    def save(self, path: Path) -> None:
        """Write the state, replacing what was there only when the new file is whole.

        Raises:
            BalanceError: it cannot be written.
        """
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "chance": self.chance.get_state(),
            "step": self.step,
            "best_score": self.best_score,
        }
        save_tensors(state, path)

    def load(self, path: Path) -> None:
        """Take up the state of `path`.

        Raises:
            ModelError: the file is damaged, or of a network of other sizes.
        """
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.chance.set_state(state["chance"])
            self.step, self.best_score = int(state["step"]), float(state["best_score"])
        except (RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(
                f"{path}: cannot resume from this checkpoint ({reason}); "
                "delete it to start again, or give another --out"
            ) from error


def save_tensors(state: dict[str, Any], path: Path) -> None:
    """Write what `torch.load` reads with `weights_only`, over what was there.

    Raises:
        BalanceError: it cannot be written.
    """
    buffer = io.BytesIO()  # torch itself does not tell what kept it from writing a file
    torch.save(state, buffer)
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def update_average(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Move the averaged weights toward the network's; the average is short while young."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for kept, new in zip(average.parameters(), network.parameters(), strict=True):
            kept.lerp_(new, 1.0 - decay)


def append_log(path: Path, row: dict[str, float]) -> None:
    """Add one line of JSON to the loss log, below what is left of one that was cut off.

    Raises:
        BalanceError: it cannot be written.
    """
    try:
        with path.open("ab+") as log:
            if log.tell():
                log.seek(-1, os.SEEK_END)
                if log.read(1) != b"\n":
                    log.write(b"\n")
            log.write(json.dumps(row).encode() + b"\n")
    except OSError as error:
        raise BalanceError(
            f"{path}: cannot be written: {error.strerror or error}; free some space or give "
            "another --out; the same command goes on"
        ) from error


def read_log(path: Path) -> list[dict[str, float]]:
    """Return the rows of a loss log, empty when there is none yet.

    Lines that were cut off when the run was killed are left out.
    """
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError):
            rows.append(json.loads(line))
    return rows
