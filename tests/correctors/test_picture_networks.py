"""White-balance VAE and U-Net: small runs of their trainers, and looks of what these leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from numpy.typing import NDArray
from pictures import picture
from PIL import Image

from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.pictures import PictureLook
from vae_balance.correctors.registry import load_corrector
from vae_balance.correctors.unet.network import UNet, UNetConfig
from vae_balance.correctors.unet.train import UNetTraining, train_unet
from vae_balance.correctors.vae_white_balance.network import (
    WhiteBalanceVAE,
    WhiteBalanceVAEConfig,
)
from vae_balance.correctors.vae_white_balance.train import (
    KIND,
    WhiteBalanceTraining,
    draw_view,
    train_white_balance,
    white_balance_loss,
)
from vae_balance.errors import OptionError
from vae_balance.looks.steps import ColorMapStep, PictureStep
from vae_balance.models.store import write_info
from vae_balance.training.loop import Row
from vae_balance.training.pairs import PixelBatch
from vae_balance.training.photos import PhotoPool, read_split

Colors = NDArray[np.float32]
SMALL_UNET = UNetConfig(channels=(4, 6), dropout=0.2)
SMALL_VAE = WhiteBalanceVAEConfig(channels=(4, 4, 4), latents=8, size=56)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 22 small soft photos, of which two are watched."""
    folder = tmp_path_factory.mktemp("photos") / "photos" / "mine"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(22):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((96, 80), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder.parent


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the runs of this file keep their pairs."""
    return tmp_path_factory.mktemp("pairs")


@pytest.fixture
def unet_run(photos: Path, caches: Path, tmp_path: Path) -> UNetTraining:
    return UNetTraining(
        photos,
        tmp_path / "run",
        caches / "all",
        pairs=8,
        steps=6,
        batch=2,
        network=SMALL_UNET,
        processes=1,
        save_every=2,
    )


@pytest.fixture
def vae_run(photos: Path, caches: Path, tmp_path: Path) -> WhiteBalanceTraining:
    return WhiteBalanceTraining(
        photos,
        tmp_path / "run",
        caches / "white-balance",
        pairs=8,
        steps=6,
        batch=4,
        network=SMALL_VAE,
        processes=1,
        save_every=2,
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return folders of models that do something, if nothing sensible, to colors."""
    folder = tmp_path_factory.mktemp("models")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        unet, vae = UNet(SMALL_UNET), WhiteBalanceVAE(SMALL_VAE)
        torch.nn.init.normal_(unet.leave.weight, std=0.2)
        for parameter in vae.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    unet.save_folder(folder / "unet" / "unet")
    vae.save_folder(folder / "vae-white-balance" / "vae")
    for name in ("unet", "vae-white-balance"):
        write_info(folder / name, name, "0", "MIT", "made by the tests", name)
    return {name: folder / name for name in ("unet", "vae-white-balance")}


def proxy(seed: int = 0) -> Colors:
    pixels: Colors = picture(224, 224, seed).astype(np.float32) / np.float32(255)
    return pixels


def weights_of(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([value.reshape(-1) for value in network.state_dict().values()])


def test_a_unet_learns(unet_run: UNetTraining) -> None:
    rows: list[Row] = []
    longer = replace(unet_run, steps=40, batch=4, learning_rate=1e-2, log_every=5, watch_every=40)
    network = train_unet(longer, rows.append)
    assert rows[-1]["pixels"] < 0.9 * rows[0]["pixels"]
    assert {"watch_damaged"} <= set(rows[-1])  # of two watched photos, no fifth is undamaged
    with Image.open(unet_run.out / "pictures.jpg") as sheet:  # given, made, true of two photos
        assert sheet.width > sheet.height > 200
    loaded = UNet.load_folder(unet_run.out / "unet")
    np.testing.assert_allclose(weights_of(loaded), weights_of(network), atol=1e-3)


def test_a_white_balance_vae_learns(vae_run: WhiteBalanceTraining) -> None:
    rows: list[Row] = []
    # Two pairs are learned by heart, as long as it costs nothing to tell them apart.
    few = replace(vae_run, pairs=2, cache=vae_run.out.with_name("pairs"), kl_weight=0.0)
    longer = replace(few, steps=120, learning_rate=1e-2, log_every=10)
    train_white_balance(longer, rows.append)
    assert rows[-1]["reconstruction"] < 0.9 * rows[0]["reconstruction"]
    assert rows[-1]["as_given"] < 0.9 * rows[0]["as_given"]
    assert (vae_run.out / "vae" / "config.json").is_file()


@pytest.mark.parametrize("name", ["unet", "vae-white-balance"])
def test_a_run_that_was_interrupted_ends_as_a_whole_one(
    unet_run: UNetTraining, vae_run: WhiteBalanceTraining, tmp_path: Path, name: str
) -> None:
    def train(out: Path, report: Callable[[Row], None]) -> torch.Tensor:
        if name == "unet":
            return weights_of(train_unet(replace(unet_run, out=out, log_every=2), report))
        return weights_of(train_white_balance(replace(vae_run, out=out, log_every=2), report))

    def interrupt(row: Row) -> None:
        if row["step"] == 4:
            raise KeyboardInterrupt

    whole = train(tmp_path / "whole", lambda row: None)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "resumed", interrupt)
    assert torch.equal(train(tmp_path / "resumed", lambda row: None), whole)


def test_the_loss_is_the_published_one() -> None:
    torch.manual_seed(0)
    vae = WhiteBalanceVAE(SMALL_VAE)
    pixels = torch.rand(2, 3, 224, 224)
    batch = PixelBatch(pixels, pixels, torch.zeros(2, dtype=torch.bool))
    with torch.no_grad():
        vae.moments.weight.zero_()
        vae.moments.bias.copy_(torch.cat([torch.full((8,), 2.0), torch.zeros(8)]))
    loss, parts = white_balance_loss(vae, batch, 0.00025, torch.Generator().manual_seed(0))
    assert parts["kl"] == pytest.approx(8 * 0.5 * 2.0**2, rel=0.01)  # summed over the latents
    expected = parts["reconstruction"] + parts["as_given"] + 0.00025 * parts["kl"]
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_pairs_for_white_balance_are_wrong_or_untouched(photos: Path) -> None:
    pool = PhotoPool(read_split(photos).training)
    views = [draw_view(pool, np.random.default_rng(seed)) for seed in range(60)]
    kinds = [view.damage.kind for view in views]
    assert set(kinds) == {KIND, "undamaged"}
    assert 2 <= kinds.count("undamaged") <= 16
    for view in views:
        assert np.array_equal(view.clean, view.given) == (view.damage.kind == "undamaged")


def test_pairs_of_other_photos_are_refused(unet_run: UNetTraining, tmp_path: Path) -> None:
    cache = tmp_path / "pairs"
    train_unet(replace(unet_run, cache=cache, steps=1), lambda row: None)
    other = tmp_path / "other" / "mine"
    other.mkdir(parents=True)
    for i in range(3):
        Image.fromarray(picture(90, 90, i)).save(other / f"{i}.png")
    with pytest.raises(OptionError, match="another folder of photos"):
        train_unet(replace(unet_run, photos=other.parent, cache=cache), lambda row: None)


@pytest.mark.parametrize(
    ("name", "more"), [("unet", ("--dropout", 0.3)), ("vae-white-balance", ())]
)
def test_the_command_trains_a_model_that_balances_a_photo(
    run: Callable[..., Result],
    photos: Path,
    photo: Callable[..., Path],
    tmp_path: Path,
    name: str,
    more: tuple[str, ...],
) -> None:
    out = tmp_path / "mine"
    common = ("--photos", photos, "--out", out, "--steps", 1, "--batch", 1, "--pairs", 1, "-q")
    result = run("train", name, *common, *more)
    assert (result.exit_code, result.output) == (0, "")
    assert (out / "losses.png").is_file()
    if more:
        assert '"dropout": 0.3' in (out / "unet" / "config.json").read_text("utf-8")
    assert (tmp_path / "mine-pairs" / "train-0000").is_dir()
    result = run("balance", photo(), "-o", tmp_path / "out.png", "--model", out)
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize("name", ["unet", "vae-white-balance"])
def test_a_look_does_to_colors_what_the_pictures_show(models: dict[str, Path], name: str) -> None:
    look = load_corrector(str(models[name]), "cpu").learn([proxy()], LookOptions(size=33))
    assert isinstance(look, PictureLook)
    learned = look.rounds[0]
    assert np.abs(learned.made - learned.seen).mean() > 0.01
    off = np.abs(look.lut(learned.seen) - learned.made).mean()
    assert off < 0.7 * np.abs(learned.made - learned.seen).mean()
    assert look.report.found
    first, mapping = look.steps
    assert isinstance(first, PictureStep) and isinstance(mapping, ColorMapStep)
    np.testing.assert_array_equal(first.rows[0][2].pixels, learned.made[0])


@pytest.mark.parametrize("name", ["unet", "vae-white-balance"])
def test_the_same_proxy_gives_the_same_look_and_rounds_go_on(
    models: dict[str, Path], name: str
) -> None:
    corrector = load_corrector(str(models[name]), "cpu")
    one, again, three = (
        corrector.learn([proxy()], LookOptions(iterations=count, size=9)) for count in (1, 1, 3)
    )
    assert one.digest() == again.digest() != three.digest()
    assert isinstance(three, PictureLook)
    after = np.clip(three.rounds[0].color_map(proxy()), 0, 1)
    np.testing.assert_allclose(three.rounds[1].proxies[0], after, atol=1e-6)
    assert len(three.steps) == 3
    assert len(corrector.learn([proxy()], LookOptions(size=9)).rounds) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["unet", "vae-white-balance"])
def test_a_photo_of_a_single_color_is_left_alone(models: dict[str, Path], name: str) -> None:
    grey = np.full((224, 224, 3), 0.4, np.float32)
    look = load_corrector(str(models[name]), "cpu").learn([grey], LookOptions(size=9))
    assert look.lut is not None
    np.testing.assert_allclose(look.lut(grey), grey, atol=1 / 255)


def test_a_seed_decodes_a_sample(models: dict[str, Path]) -> None:
    corrector = load_corrector(str(models["vae-white-balance"]), "cpu")
    looks = [
        corrector.learn([proxy()], LookOptions(seed=seed, size=9)).digest()
        for seed in (None, 1, 1, 2)
    ]
    assert looks[1] == looks[2]
    assert len(set(looks)) == 3


def test_a_roll_gets_one_look_of_the_vae_and_is_refused_by_the_unet(
    models: dict[str, Path], run: Callable[..., Result], photo: Callable[..., Path], tmp_path: Path
) -> None:
    photos = [photo(f"{seed}.png", seed) for seed in range(3)]
    result = run(
        "learn", *photos, "-o", tmp_path / "roll.cube", "--model", models["vae-white-balance"]
    )
    assert (result.exit_code, result.output) == (0, "")
    result = run("learn", *photos, "-o", tmp_path / "no.cube", "--model", models["unet"])
    assert result.exit_code != 0 and "one by one" in result.stderr
    assert not (tmp_path / "no.cube").exists()


@pytest.mark.parametrize("name", ["unet", "vae-white-balance"])
def test_balancing_explains(
    models: dict[str, Path],
    run: Callable[..., Result],
    photo: Callable[..., Path],
    tmp_path: Path,
    name: str,
) -> None:
    sheet, cube, out = tmp_path / "sheet.png", tmp_path / "look.cube", tmp_path / "out.png"
    result = run(
        *("balance", photo(), "-o", out, "--lut", cube, "--explain", sheet),
        *("--model", models[name], "--iterations", 2),
    )
    assert (result.exit_code, result.output) == (0, "")
    with Image.open(sheet) as image:
        assert image.height > 1800
    assert f"model: {name} 0" in cube.read_text("utf-8")
    assert out.is_file()
