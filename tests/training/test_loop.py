"""The training loop, with a network of one line: resumed runs, the best step, the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vae_balance.errors import ModelError, OptionError
from vae_balance.training.checkpoint import read_log
from vae_balance.training.loop import LoopSettings, Row, Watch, train
from vae_balance.training.photos import batches


class Run:
    """A small network that learns y = 3 x, with dropout and noise, so that chance counts."""

    def __init__(self, out: Path, steps: int = 12) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 4))
        self.settings = LoopSettings(
            out, steps, lambda step: 0.05, log_every=2, watch_every=4, save_every=4
        )
        self.kept: list[Tensor] = []
        self.reported: list[Row] = []

    def make_batches(self, first: int, last: int) -> Iterator[Tensor]:
        def draw(rng: np.random.Generator) -> Tensor:
            return torch.from_numpy(rng.normal(size=(16, 4))).float()

        return batches(draw, 1, first, last)

    def loss_of(self, x: Tensor, chance: torch.Generator) -> tuple[Tensor, Row]:
        wanted = 3.0 * x + 0.1 * torch.randn(x.shape, generator=chance)
        loss = (self.network(x) - wanted).square().mean()
        return loss, {"squared": loss.item()}

    def keep(self, average: nn.Module) -> None:
        self.kept.append(weights_of(average))

    def go(self, watch: Watch[nn.Module] | None = None) -> Tensor:
        """Run to the end; return the averaged weights."""
        optimizer = torch.optim.AdamW(self.network.parameters())
        average = train(
            self.network,
            optimizer,
            self.make_batches,
            self.loss_of,
            self.keep,
            self.settings,
            self.reported.append,
            watch,
        )
        return weights_of(average)


def weights_of(network: nn.Module) -> Tensor:
    return torch.cat([value.detach().flatten() for value in network.parameters()])


@pytest.mark.parametrize("stopped_after", [4, 8])
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(
    tmp_path: Path, stopped_after: int
) -> None:
    whole = Run(tmp_path / "whole")
    expected = whole.go()
    Run(tmp_path / "parts", stopped_after).go()
    resumed = Run(tmp_path / "parts")
    assert torch.equal(resumed.go(), expected)
    assert torch.equal(weights_of(resumed.network), weights_of(whole.network))
    assert read_log(tmp_path / "parts" / "log.jsonl") == read_log(tmp_path / "whole" / "log.jsonl")


def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    expected = Run(tmp_path / "whole").go()

    class Killed(Run):
        def loss_of(self, x: Tensor, chance: torch.Generator) -> tuple[Tensor, Row]:
            if self.reported and self.reported[-1]["step"] == 10:
                raise KeyboardInterrupt
            return super().loss_of(x, chance)

    with pytest.raises(KeyboardInterrupt):
        Killed(tmp_path / "killed").go()
    resumed = Run(tmp_path / "killed")
    assert torch.equal(resumed.go(), expected)
    assert resumed.reported[0]["step"] == 10  # from the checkpoint of step 8


def test_a_run_that_is_done_takes_no_step(tmp_path: Path) -> None:
    expected = Run(tmp_path).go()
    again = Run(tmp_path)
    assert torch.equal(again.go(), expected)
    assert again.reported == []


def test_the_best_step_is_kept_across_an_interruption(tmp_path: Path) -> None:
    def watch(*scores: float) -> Watch[nn.Module]:
        figures = iter(scores)
        return Watch(lambda average: {"watch_bad": next(figures)}, lambda row: row["watch_bad"])

    run = Run(tmp_path, 8)
    run.go(watch(3.0, 2.0))
    assert len(run.kept) == 2
    resumed = Run(tmp_path, 20)
    resumed.go(watch(2.5, 1.0, 1.5))
    (best,) = resumed.kept
    assert not torch.equal(best, weights_of(resumed.network))
    watched = [row["watch_bad"] for row in read_log(tmp_path / "log.jsonl") if "watch_bad" in row]
    assert watched == [3.0, 2.0, 2.5, 1.0, 1.5]


def test_without_a_score_the_last_is_kept(tmp_path: Path) -> None:
    run = Run(tmp_path)
    last = run.go(Watch(lambda average: {"watch_bad": 1.0}))
    assert len(run.kept) == 3
    assert torch.equal(run.kept[-1], last)


def test_averaged_weights_are_steadier_than_the_last(tmp_path: Path) -> None:
    run = Run(tmp_path, 100)
    average = run.go()
    assert not torch.equal(average, weights_of(run.network))
    assert run.reported[-1]["squared"] < 0.7 * run.reported[0]["squared"]


def test_rows_hold_the_mean_of_their_steps(tmp_path: Path) -> None:
    class Counting(Run):
        def loss_of(self, x: Tensor, chance: torch.Generator) -> tuple[Tensor, Row]:
            self.count = getattr(self, "count", 0) + 1
            return super().loss_of(x, chance)[0], {"count": self.count}

    run = Counting(tmp_path, 5)
    run.go()
    assert [(row["step"], row["count"]) for row in run.reported] == [(2, 1.5), (4, 3.5), (5, 5.0)]


def test_a_loss_that_is_no_number_ends_the_run_and_spares_the_checkpoint(tmp_path: Path) -> None:
    class Exploding(Run):
        def loss_of(self, x: Tensor, chance: torch.Generator) -> tuple[Tensor, Row]:
            loss, row = super().loss_of(x, chance)
            return loss * (np.nan if len(self.reported) == 3 else 1.0), row

    with pytest.raises(OptionError, match="step 7: the loss is no longer a number"):
        Exploding(tmp_path).go()
    resumed = Run(tmp_path)
    resumed.go()
    assert resumed.reported[0]["step"] == 6


def test_the_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    Run(tmp_path, 4).go()
    other = Run(tmp_path)
    other.network = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(ModelError, match=r"checkpoint.pt: cannot resume"):
        other.go()
