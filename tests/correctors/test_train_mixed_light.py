"""Training for mixed light: its cases, small runs from a cache, the model it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image

from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.mixed_light.cases import KINDS, UNDAMAGED
from vae_balance.correctors.mixed_light.network import GridNetwork, slice_grid
from vae_balance.correctors.mixed_light.train import (
    NAMES,
    GridTraining,
    batch_of,
    flipped_batch,
    grid_loss,
    roughness,
    score_grid,
    take_grid_scales,
    train_mixed_light,
)
from vae_balance.correctors.registry import load_corrector
from vae_balance.errors import OptionError
from vae_balance.looks.light_map import LightLook
from vae_balance.models.store import read_info, verify_files
from vae_balance.training.case_cache import read_shard
from vae_balance.training.checkpoint import read_log

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> GridTraining:
    """Return settings of a small run, trained."""
    folder = tmp_path_factory.mktemp("mixed")
    mine = folder / "photos" / "mine"
    mine.mkdir(parents=True)
    rng = np.random.default_rng(5)
    for number in range(22):
        small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        small.resize((320, 240), Image.Resampling.BICUBIC).save(mine / f"{number:02d}.png")
    settings = GridTraining(
        folder / "photos",
        "embedded",
        folder / "out",
        folder / "cases",
        cases=6,
        steps=2,
        batch=4,
        processes=1,
    )
    train_mixed_light(settings, lambda row: None)
    return settings


def test_a_run_leaves_a_network_and_what_it_watched(config: GridTraining) -> None:
    assert GridNetwork.load_folder(config.out / "grid").config.base == "embedded"
    (row,) = read_log(config.out / "log.jsonl")
    assert row["step"] == 2
    assert row["watch_blended"] == pytest.approx(row["watch_blended_base"], rel=0.05)


def test_cases_are_made_once_and_for_one_model(config: GridTraining) -> None:
    shard = config.cache / "train-0000"
    before = {path.name: path.stat().st_mtime_ns for path in shard.iterdir()}
    train_mixed_light(config, lambda row: None)  # as far as it goes: takes no step
    assert {path.name: path.stat().st_mtime_ns for path in shard.iterdir()} == before
    (config.cache / "made_by.json").write_text(
        (config.cache / "made_by.json").read_text().replace('"classifier": "', '"classifier": "0')
    )
    with pytest.raises(OptionError, match="another classifier"):
        train_mixed_light(replace(config, out=config.out / "other"), lambda row: None)


def test_undamaged_views_are_the_truth(config: GridTraining) -> None:
    shard = read_shard(config.cache / "watch-0000", NAMES)
    batch = batch_of(shard, "cpu")
    plain = batch.kind == KINDS.index(UNDAMAGED)
    assert plain.any() and not plain.all()
    away = (batch.sight.given - torch.nn.functional.avg_pool2d(batch.true, 4)).abs()
    assert away.flatten(1).mean(dim=1)[plain].max() < 0.002
    assert away.flatten(1).mean(dim=1)[~plain].min() > 0.002


def test_a_step_teaches_the_grid(config: GridTraining) -> None:
    shard = read_shard(config.cache / "train-0000", NAMES)
    torch.manual_seed(1)
    network = GridNetwork()
    take_grid_scales(network, [config.cache / "train-0000"])
    network.eval()
    batch = batch_of(shard, "cpu")
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    losses = []
    for _ in range(12):
        torch.manual_seed(2)
        loss, row = grid_loss(network, batch, replace(config, feature_noise=0.0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(row["left"])
    assert losses[-1] < 0.95 * losses[0]


def test_mirrored_cases_belong_together(config: GridTraining) -> None:
    shard = read_shard(config.cache / "train-0000", NAMES)
    plain, mirrored = batch_of(shard, "cpu"), flipped_batch(shard, np.random.default_rng(3), "cpu")
    for number in range(len(plain.kind)):
        same = torch.equal(plain.true[number], mirrored.true[number])
        expected = plain.sight.middle[number]
        expected = expected if same else expected.flip(-1)
        assert torch.equal(mirrored.sight.middle[number], expected)
    assert not torch.equal(plain.true, mirrored.true)


def test_a_rough_grid_costs_more_than_a_smooth_one() -> None:
    smooth = torch.full((1, 4, 4, 4, 12), 0.3)
    assert roughness(smooth) == 0.0
    assert roughness(smooth + 0.1 * torch.randn_like(smooth)) > 0.001


def test_scores_tell_kinds_apart(config: GridTraining) -> None:
    watched = read_shard(config.cache / "watch-0000", NAMES)
    row = score_grid(GridNetwork().eval(), watched, "cpu")
    assert row["watch_undamaged"] < row["watch_blended"]
    assert row["watch_blended"] == row["watch_blended_base"]  # untrained: changes nothing


def test_no_gradient_is_lost_where_colors_are_sliced() -> None:
    grid = torch.zeros(1, 2, 2, 3, 12, requires_grad=True)
    weights = torch.eye(2)
    slice_grid(grid, torch.rand(1, 3, 2, 2), weights, weights).sum().backward()
    assert grid.grad is not None and (grid.grad != 0).float().mean() > 0.5


def test_train_mixed_light_makes_a_model(run: Run, config: GridTraining, tmp_path: Path) -> None:
    out = tmp_path / "my-light"
    result = run(
        *("train", "mixed-light", "--photos", config.photos, "--out", out),
        *("--cases", 4, "--steps", 1, "--batch", 2, "--cache", tmp_path / "cases", "--quiet"),
    )
    assert (result.exit_code, result.output) == (0, "")
    info = read_info(out)
    verify_files(info)
    assert info.corrector == "mixed-light"
    proxy = np.random.default_rng(1).uniform(0.0, 1.0, (224, 224, 3)).astype(np.float32)
    look = load_corrector(str(out), "cpu").learn([proxy], LookOptions())
    assert isinstance(look, LightLook)
