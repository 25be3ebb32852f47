"""Training a network that colorizes: its cases, small runs from a cache, the model it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image

from vae_balance.correctors.colorize.cases import (
    NAMES,
    VIEW_NAMES,
    batch_of,
    draw_view,
    has_color,
    mirrored_batch,
    varied_views,
    views_of,
    whole_view,
)
from vae_balance.correctors.colorize.cross_channel import CrossChannel, CrossChannelConfig
from vae_balance.correctors.colorize.losses import LOSSES
from vae_balance.correctors.colorize.networks import DESIGNS, corrector_of
from vae_balance.correctors.colorize.train import (
    ColorizeTraining,
    score_colorizer,
    train_colorizer,
)
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.registry import load_corrector
from vae_balance.errors import ModelError, OptionError
from vae_balance.looks.look import Place
from vae_balance.models.store import read_info, verify_files
from vae_balance.training.case_cache import read_shard
from vae_balance.training.checkpoint import read_log
from vae_balance.training.photos import read_split

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 24 pictures of blue above green; every third is grey."""
    folder = tmp_path_factory.mktemp("photos") / "mine"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for number in range(24):
        light = rng.uniform(0.3, 1.0, (6, 8, 1))
        colors = np.array([0.3, 0.5, 0.9]) * np.ones((6, 8, 3))
        colors[3:] = (0.3, 0.7, 0.2)
        if number % 3 == 1:
            colors = np.full((6, 8, 3), 0.7)
        small = Image.fromarray((255 * light * colors).astype(np.uint8))
        small.resize((128, 96), Image.Resampling.BICUBIC).save(folder / f"{number:02d}.png")
    return folder.parent


@pytest.fixture(scope="module")
def cache(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of cases, filled by a first run."""
    folder = tmp_path_factory.mktemp("cases")
    train_colorizer(settings(photos, folder, folder.with_name("first"), steps=1), print)
    return folder


def settings(photos: Path, cache: Path, out: Path, **more: Any) -> ColorizeTraining:
    given: dict[str, Any] = {"steps": 3, "cases": 20, "batch": 4, "processes": 1, **more}
    return ColorizeTraining(photos, out, cache, **given)


def test_grey_photos_are_passed_over(photos: Path) -> None:
    groups = read_split(photos).training
    views = [draw_view(groups, np.random.default_rng(number)) for number in range(12)]
    assert all(has_color(view) for view in views)
    assert not has_color(whole_view(Image.open(photos / "mine" / "01.png").convert("RGB")))
    assert any((first != second).any() for first, second in pairwise(views))


def test_a_case_keeps_lightness_and_colors(cache: Path, photos: Path) -> None:
    kept = read_shard(cache / "train-0000", NAMES)
    batch = batch_of(kept, "cpu")
    assert batch.seen.lightness.shape == (20, 1, 224, 224)
    assert batch.seen.deep.shape == (20, 320, 7, 7)
    assert batch.chroma.shape == (20, 2, 56, 56)
    assert batch.chroma[:, 1, :10].mean() < -10.0  # blue above
    assert batch.chroma[:, 0, -10:].mean() < -10.0  # green below
    size = sum(values[0].nbytes for values in kept.values())
    assert size < 230_000


def test_half_of_a_batch_is_mirrored_with_all_that_has_a_place(cache: Path) -> None:
    kept = read_shard(cache / "train-0000", NAMES)
    plain = batch_of(kept, "cpu")
    turned = mirrored_batch(kept, np.random.default_rng(1), "cpu")
    mirrored = (turned.chroma != plain.chroma).flatten(1).any(dim=1)
    assert 0 < mirrored.sum() < 20
    for name in ("lightness", "fine", "middle", "deep"):
        one, other = getattr(plain.seen, name), getattr(turned.seen, name)
        assert torch.equal(other[mirrored], one[mirrored].flip(-1))
        assert torch.equal(other[~mirrored], one[~mirrored])
    assert torch.equal(turned.seen.answer, plain.seen.answer)


def test_training_learns_that_sky_is_blue_and_grass_green(
    photos: Path, cache: Path, tmp_path: Path
) -> None:
    config = settings(
        photos, cache, tmp_path, design="autoencoder", loss="l2", steps=120, learning_rate=3e-3
    )
    network = train_colorizer(config, print)
    kept = read_shard(cache / "train-0000", NAMES)
    answer = network(batch_of(kept, "cpu").seen)
    assert answer[:, 1, :20].mean() < -10.0
    assert answer[:, 1, -20:].mean() > 10.0
    row = read_log(tmp_path / "log.jsonl")[-1]
    assert {"watch_l2", "watch_error", "watch_colorfulness"} <= set(row)
    assert 0.3 < row["watch_colorfulness"] < 1.5
    scored = score_colorizer(network, LOSSES["l2"], kept, "cpu")
    assert scored["watch_error"] < 40.0


def test_views_vary_in_tone_and_grain_and_keep_their_colors(cache: Path) -> None:
    kept = read_shard(cache / "train-0000", VIEW_NAMES)
    plain, varied = views_of(kept, "cpu"), varied_views(kept, np.random.default_rng(1), "cpu")
    turned = (varied.chroma != plain.chroma).flatten(1).any(dim=1)
    assert 0 < turned.sum() < 20
    straight = torch.where(turned[:, None, None, None], varied.lightness.flip(-1), varied.lightness)
    away = (straight - plain.lightness).flatten(1)
    assert 0.005 < away.abs().mean() < 0.1
    assert away.std(dim=1).max() > 3.0 * away.std(dim=1).min()  # half of them have no grain
    assert varied.lightness.min() >= 0.0 and varied.lightness.max() <= 1.0


def test_the_convolution_in_front_learns_from_its_step_on(
    photos: Path, cache: Path, tmp_path: Path
) -> None:
    fronts = {}
    for name, after in (("later", 3), ("soon", 1)):
        config = settings(
            photos, cache, tmp_path / name, front_after=after, average_decay=0.0, clip=1e3
        )
        network = train_colorizer(config, print)
        assert isinstance(network, CrossChannel)
        fronts[name] = network.front.weight
    equal = torch.zeros(3, 1, 3, 3)
    equal[:, :, 1, 1] = 1.0
    torch.testing.assert_close(fronts["later"], equal, atol=0.0, rtol=0.0)
    assert (fronts["soon"] - equal).abs().max() > 1e-6
    assert (fronts["soon"][0] - fronts["soon"][1]).abs().max() > 1e-6


def test_a_run_that_was_interrupted_where_the_convolution_learns_ends_as_a_whole_one(
    photos: Path, cache: Path, tmp_path: Path
) -> None:
    class StoppedError(Exception):
        pass

    def interrupt(row: dict[str, float]) -> None:
        raise StoppedError

    ends = []
    for name in ("whole", "parts"):
        config = settings(
            photos, cache, tmp_path / name, front_after=40, steps=51, batch=1, save_every=45
        )
        if name == "parts":
            with pytest.raises(StoppedError):
                train_colorizer(config, interrupt)
        ends.append(train_colorizer(config, print).state_dict())
    torch.testing.assert_close(ends[0], ends[1], atol=0.0, rtol=0.0)


def test_training_goes_on_from_a_network(photos: Path, cache: Path, tmp_path: Path) -> None:
    begun = CrossChannel(CrossChannelConfig(classes=True))
    assert begun.front.bias is not None
    with torch.no_grad():
        begun.front.bias.fill_(0.25)
    begun.save_folder(tmp_path / "begun")
    config = settings(
        photos, cache, tmp_path / "out", start=tmp_path / "begun", steps=1, learning_rate=1e-6
    )
    network = train_colorizer(config, print)
    torch.testing.assert_close(network.state_dict(), begun.state_dict(), atol=1e-3, rtol=1e-3)
    with pytest.raises(OptionError, match="answers classes of colors; --loss l2 teaches one color"):
        train_colorizer(replace(config, loss="l2", out=tmp_path / "other"), print)
    with pytest.raises(ModelError, match="describes a CrossChannel"):
        train_colorizer(replace(config, design="fusion", out=tmp_path / "third"), print)


def test_cases_of_other_photos_are_refused(
    photos: Path, cache: Path, tmp_path: Path, photo: Callable[..., Path]
) -> None:
    other = photo("other/theirs/a.png").parents[1]
    photo("other/theirs/b.png")
    with pytest.raises(OptionError, match="made with another folder of photos"):
        train_colorizer(settings(other, cache, tmp_path / "out"), print)


@pytest.mark.parametrize("design", DESIGNS)
def test_the_command_leaves_a_model(
    run: Run, photos: Path, cache: Path, tmp_path: Path, design: str
) -> None:
    out = tmp_path / "colors"
    result = run(
        *("train", "colorize", "--photos", photos, "--out", out, "--cache", cache),
        *("--design", design, "--loss", "pairwise", "--cases", 20, "--steps", 2, "--batch", 2),
        *("--device", "cpu", "-q"),
    )
    assert (result.exit_code, result.output) == (0, "")
    assert (out / "losses.png").is_file()
    info = read_info(out)
    assert info.corrector == corrector_of(design)
    verify_files(info)
    corrector = load_corrector(str(out), "cpu")
    grey = np.repeat(np.linspace(0.1, 0.9, 224, dtype=np.float32)[None, :, None], 224, axis=0)
    proxy = np.repeat(grey, 3, axis=2)
    how = LookOptions(strength=0.5, tone="keep")
    look = corrector.learn([proxy], how)
    assert look.lut is None
    assert look.origin.options == {"strength": 0.5, "tone": "keep"}
    assert look.apply(proxy, Place.whole(proxy)).shape == proxy.shape
    assert look.digest() == corrector.learn([proxy], how).digest()
