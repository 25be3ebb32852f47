"""Training for mixed light: its cases, small runs from a cache, the model it leaves."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image

from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.latent_balancer import train_balancer
from vae_balance.correctors.latent_balancer.balancer_cases import NAMES, UNDAMAGED, batch_of
from vae_balance.correctors.latent_balancer.balancer_loss import Thumbnail
from vae_balance.correctors.latent_balancer.fused_network import FusedLatentBalancer
from vae_balance.correctors.mixed_light.cases import KINDS
from vae_balance.correctors.mixed_light.network import LocalBalancer
from vae_balance.correctors.mixed_light.train import (
    LocalTraining,
    LocalWeights,
    begin_network,
    fitted_colors,
    local_loss,
    score_local,
    train_mixed_light,
)
from vae_balance.correctors.registry import load_corrector
from vae_balance.errors import ModelError, OptionError
from vae_balance.looks.light_map import LightLook
from vae_balance.models.store import find_model, read_info, verify_files
from vae_balance.training.blended_damage import BLENDED_KINDS
from vae_balance.training.case_cache import read_shard
from vae_balance.training.checkpoint import read_log

Run = Callable[..., Result]
EMBEDDED = find_model("embedded").folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTraining]:
    """Return settings of a small run, trained."""
    folder = tmp_path_factory.mktemp("mixed")
    mine = folder / "photos" / "mine"
    mine.mkdir(parents=True)
    rng = np.random.default_rng(5)
    for number in range(22):
        small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        small.resize((320, 240), Image.Resampling.BICUBIC).save(mine / f"{number:02d}.png")
    settings = LocalTraining(
        folder / "photos",
        "embedded",
        folder / "out",
        folder / "cases",
        cases=6,
        steps=2,
        batch=4,
        processes=1,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_balancer, "THUMBNAIL_STEPS", 30)
        train_mixed_light(settings, lambda row: None)
    yield settings
    shutil.rmtree(folder)  # 80 MB, which other tests may need


@pytest.fixture(scope="module")
def balancer() -> FusedLatentBalancer:
    """Return the balancer that training begins with."""
    return FusedLatentBalancer.load_folder(EMBEDDED / "latent_balancer")


def thumbnail_of(config: LocalTraining) -> Thumbnail:
    return Thumbnail.load_folder(config.cache / "thumbnail" / "network")


def test_a_run_leaves_a_network_and_what_it_watched(config: LocalTraining) -> None:
    assert LocalBalancer.load_folder(config.out / "local_balancer").config.base == "embedded"
    (row,) = read_log(config.out / "log.jsonl")
    assert row["step"] == 2
    assert 0.0 < row["watch_blended"] < 3.0 * row["watch_blended_base"]


def test_cases_are_made_once_and_for_one_vae(config: LocalTraining) -> None:
    shard = config.cache / "train-0000"
    before = {path.name: path.stat().st_mtime_ns for path in shard.iterdir()}
    train_mixed_light(config, lambda row: None)  # as far as it goes: takes no step
    assert {path.name: path.stat().st_mtime_ns for path in shard.iterdir()} == before
    made_by = config.cache / "made_by.json"
    made_by.write_text(made_by.read_text().replace('"VAE": "', '"VAE": "0'))
    with pytest.raises(OptionError, match="another VAE"):
        train_mixed_light(replace(config, out=config.out / "other"), lambda row: None)


def test_undamaged_views_are_the_truth_and_blended_ones_are_not(config: LocalTraining) -> None:
    shard = read_shard(config.cache / "watch-0000", NAMES)
    away = np.abs(shard["before"].astype(np.float32) - shard["after"]).mean(axis=(1, 2, 3))
    undamaged = shard["kind"] == KINDS.index(UNDAMAGED)
    blended = np.isin(shard["kind"], [KINDS.index(kind) for kind in BLENDED_KINDS])
    assert undamaged.any() and blended.any() and not (undamaged | blended).all()
    assert away[undamaged].max() < 0.002
    assert away[blended].min() > 0.002


def test_it_begins_as_the_balancer_that_it_is_a_copy_of(
    config: LocalTraining, balancer: FusedLatentBalancer
) -> None:
    network = begin_network(config, EMBEDDED)
    for name, value in balancer.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name
    assert sum(parameter.numel() for parameter in network.parameters()) * 2 < 10e6


def test_the_light_of_one_half_is_told_from_that_of_the_other(
    config: LocalTraining, balancer: FusedLatentBalancer
) -> None:
    """The balancer moves the left half by what it sees right; its copy does so less."""
    batch = batch_of(read_shard(config.cache / "train-0000", NAMES), "cpu")
    other = batch.given.clone()
    other[..., 14:] = other[..., 14:].flip(0)
    network = begin_network(config, EMBEDDED).eval()

    def change_of_the_far_left(asked: FusedLatentBalancer) -> float:
        answers = [
            asked(moments, batch.features, batch.statistics).moments
            for moments in (batch.given, other)
        ]
        return float((answers[0] - answers[1])[:, :4, :, :6].abs().mean())

    with torch.no_grad():
        # Before any training.
        assert change_of_the_far_left(network) < 0.96 * change_of_the_far_left(balancer)


def test_one_corner_is_moved_as_it_is_among_all(config: LocalTraining) -> None:
    """What is learned from a quarter of the latents holds for all of them."""
    batch = batch_of(read_shard(config.cache / "train-0000", NAMES), "cpu")
    network = begin_network(config, EMBEDDED).eval()
    told = (batch.given, batch.features, batch.statistics)
    with torch.no_grad():
        every, one = network(*told).moments, network(*told, corner=(1, 0)).moments
    assert one.shape == (len(every), 8, 14, 14)
    far = (every[:, :4, 1::2, ::2] - one[:, :4]).abs().mean()
    assert far < 0.25 * (every - batch.given)[:, :4].abs().mean()


def test_steps_teach_the_network(config: LocalTraining) -> None:
    batch = batch_of(read_shard(config.cache / "train-0000", NAMES), "cpu", (0, 1))
    network, thumbnail = begin_network(config, EMBEDDED).eval(), thumbnail_of(config)
    optimizer = torch.optim.Adam(network.parameters(), 3e-4)
    losses = []
    for _ in range(10):
        loss, row = local_loss(network, thumbnail, batch, LocalWeights())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(row["left"])
    assert losses[-1] < 0.95 * losses[0]
    near = [parameter for name, parameter in network.named_parameters() if "near" in name]
    assert all(parameter.grad is not None for parameter in near)


def test_an_undamaged_case_counts_more(config: LocalTraining) -> None:
    batch = batch_of(read_shard(config.cache / "train-0000", NAMES), "cpu", (0, 0))
    batch = replace(batch, undamaged=torch.arange(len(batch.given)) == 0)
    network, thumbnail = begin_network(config, EMBEDDED).eval(), thumbnail_of(config)
    few, many = (
        local_loss(network, thumbnail, batch, LocalWeights(undamaged=counts))[0].item()
        for counts in (0.0, 100.0)
    )
    alone = replace(
        batch,
        **{
            name: getattr(batch, name)[:1]
            for name in ("given", "true", "before", "after", "statistics", "undamaged")
        },
        features=replace(
            batch.features,
            **{name: getattr(batch.features, name)[:1] for name in ("pooled", "fine", "middle")},
        ),
    )
    first = local_loss(network, thumbnail, alone, LocalWeights())[0].item()
    assert abs(many - first) < 0.2 * abs(few - first)


def test_colors_are_changed_by_what_a_grid_can_hold() -> None:
    """Two halves that are to change each in its way do; what differs pixel by pixel does not."""
    generator = torch.Generator().manual_seed(3)
    seen = torch.rand(1, 3, 14, 14, generator=generator) * 0.6 + 0.2
    wanted = seen.clone()
    wanted[..., :7] += torch.tensor([0.1, 0.0, -0.1])[:, None, None]
    wanted[..., 7:] += torch.tensor([-0.1, 0.0, 0.1])[:, None, None]
    changed = fitted_colors(seen, wanted)
    apart = (changed - seen)[:, 0, :, :5].mean() - (changed - seen)[:, 0, :, -5:].mean()
    assert apart > 0.15
    noise = 0.1 * torch.randn(seen.shape, generator=generator)
    assert (fitted_colors(seen, seen + noise) - seen).abs().mean() < 0.6 * noise.abs().mean()


def test_scores_tell_kinds_apart(config: LocalTraining, balancer: FusedLatentBalancer) -> None:
    watched = read_shard(config.cache / "watch-0000", NAMES)
    network = begin_network(config, EMBEDDED).eval()
    row = score_local(network, balancer, thumbnail_of(config), watched, "cpu")
    groups = ("blended", "one_function", "undamaged")
    assert set(row) == {f"watch_{group}{base}" for group in groups for base in ("", "_base")}
    assert row["watch_undamaged_base"] < row["watch_blended_base"]


def test_a_model_without_a_latent_balancer_is_no_base(config: LocalTraining) -> None:
    other = replace(config, model="stretch", out=config.out.with_name("other"))
    with pytest.raises(ModelError, match="model stretch: has no latent balancer"):
        train_mixed_light(other, lambda row: None)
    assert not other.out.exists()


def test_train_mixed_light_makes_a_model(
    run: Run, config: LocalTraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_balancer, "THUMBNAIL_STEPS", 3)
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
