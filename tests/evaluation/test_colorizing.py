"""The comparison of models that colorize: its scores, its table, its sheets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image, ImageOps

from vae_balance.color.toning import toning_of
from vae_balance.correctors.registry import load_corrector
from vae_balance.errors import ImageError, OptionError
from vae_balance.evaluation.colorizing import (
    GREY,
    TRUE,
    compare_colorizers,
    drawing,
    photos_without_colors,
    plate,
    score_of,
)
from vae_balance.looks.chroma_map import made_grey

Run = Callable[..., Result]
MODELS = ("colorize-cross-channel", "colorize-autoencoder")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a held-out source: two photos in color, and a grey one."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "gov_doi").mkdir()
    rng = np.random.default_rng(2)
    for number in range(3):
        small = rng.integers(0, 256, (5, 7, 1 if number == 2 else 3), dtype=np.uint8)
        image = Image.fromarray(np.repeat(small, 3, axis=2) if number == 2 else small)
        image.resize((140, 100), Image.Resampling.BICUBIC).save(folder / f"gov_doi/{number}.png")
    return folder


def test_a_score_tells_how_far_and_how_colorful() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.2, 0.8, (40, 40, 3)).astype(np.float32)
    same, grey = score_of(truth, truth), score_of(made_grey(truth), truth)
    assert (same.chroma_error, same.psnr) == (0.0, None)
    assert same.ciede2000 == pytest.approx(0.0, abs=1e-4)
    assert grey.colorfulness == pytest.approx(0.0, abs=0.1)
    assert grey.chroma_error > 10.0
    assert grey.psnr is not None and 5.0 < grey.psnr < 30.0
    assert same.colorfulness > 30.0


def test_the_drawing_is_grey_and_has_lines() -> None:
    picture = drawing()
    assert picture.shape == (256, 256, 3)
    assert np.ptp(picture, axis=2).max() == 0.0
    assert 0.02 < (picture < 0.5).mean() < 0.3


def test_a_plate_is_grey_or_toned_and_blind_to_red() -> None:
    photo = np.zeros((40, 60, 3), np.float32)
    photo[:, :30, 0], photo[:, 30:, 2] = 0.8, 0.8  # red, and a blue that is darker to the eye
    for seed, is_neutral in ((0, True), (1, False)):
        shown = plate(photo, seed)
        toning = toning_of(shown)
        assert (toning.is_grey, toning.is_neutral) == (True, is_neutral)
        assert shown[:, 30:].mean() > 2.0 * shown[:, :30].mean()


def test_models_are_compared_on_held_out_photos_with_colors(photos: Path, tmp_path: Path) -> None:
    correctors = [load_corrector(name, "cpu") for name in MODELS]
    comparison = compare_colorizers(photos, correctors, tmp_path)
    names = [f"{each.info.name} {each.info.version}" for each in correctors]
    assert comparison.columns == (GREY, *names, TRUE)
    assert list(comparison.photos) == ["gov_doi/0.png", "gov_doi/1.png"]
    for scores in comparison.photos.values():
        assert scores[GREY].colorfulness < 0.5 < scores[names[0]].colorfulness
        assert scores[names[0]].chroma_error != scores[names[1]].chroma_error
    table = (tmp_path / "comparison.md").read_text("utf-8")
    assert table.count("\n| ") == 4
    assert json.loads((tmp_path / "comparison.json").read_text("utf-8"))["columns"][0] == GREY
    # Two strips to a row, of true, grey and two models; then a grey photo, two as old plates,
    # seven of scikit-image's and a drawing, as they are and by two models.
    with (
        Image.open(tmp_path / "colorized.png") as sheet,
        Image.open(tmp_path / "black_and_white.png") as others,
    ):
        assert sheet.width > others.width
        assert others.height > 5.5 * (sheet.height - 20)


def old_photos(folder: Path) -> Path:
    """Make a folder of a sepia photo and one in color, and a text beside them."""
    (folder / "inside").mkdir(parents=True)
    lightness = np.tile(np.linspace(30, 220, 120, dtype=np.uint8), (90, 1))
    grey = Image.fromarray(lightness).convert("RGB")
    ImageOps.colorize(grey.convert("L"), (30, 18, 5), (255, 237, 199)).save(folder / "inside/a.png")
    colors = np.stack([lightness, lightness[::-1, ::-1], np.roll(lightness, 60, 1)], axis=2)
    Image.fromarray(colors).save(folder / "b.png")
    (folder / "credits.md").write_text("by nobody")
    return folder


def test_photos_that_never_had_colors_are_those_of_a_folder_that_are_grey(tmp_path: Path) -> None:
    folder = old_photos(tmp_path / "old")
    assert photos_without_colors(folder) == [folder / "inside" / "a.png"]
    (folder / "inside" / "a.png").unlink()
    with pytest.raises(OptionError, match="none of its 1 photos is black-and-white"):
        photos_without_colors(folder)
    with pytest.raises(OptionError, match="no such folder"):
        photos_without_colors(tmp_path / "none")
    (folder / "b.png").rename(folder / ".b.png")
    with pytest.raises(OptionError, match="old: holds no photos"):
        photos_without_colors(folder)
    (folder / "c.png").write_bytes(b"cut off")
    with pytest.raises(ImageError, match=r"c\.png: "):
        photos_without_colors(folder)


def test_a_scan_of_16_bits_is_shown_as_it_is(photos: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "old", tmp_path / "out"
    folder.mkdir()
    ramp = np.tile(np.linspace(0, 65535, 300, dtype=np.uint16), (200, 1))
    Image.fromarray(ramp).save(folder / "scan.tif")
    compare_colorizers(photos, [load_corrector(MODELS[1], "cpu")], out, black_and_white=folder)
    with Image.open(out / "black_and_white.png") as sheet:
        row = np.asarray(sheet.convert("L"), dtype=np.float32)[90, 10:200]
    assert row.std() > 20.0
    assert len(np.unique(row)) > 100


def test_the_command_shows_photos_that_never_had_colors(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    tones = []
    common = ("evaluate", "--photos", photos, "--device", "cpu", "-q")
    old = ("--black-and-white", old_photos(tmp_path / "old"))
    for name, given in (("without", ()), ("with", old)):
        out = ("--out", tmp_path / name)
        result = run(*common, *out, "--models", MODELS[1], *given)
        assert result.exit_code == 0, result.output
        with Image.open(tmp_path / name / "black_and_white.png") as sheet:
            first = np.asarray(sheet.convert("RGB"), np.float32)[60:120, 20:120]
        tones.append(float((first[..., 0] - first[..., 2]).mean()))
    assert tones[1] > tones[0] + 10.0  # the sepia photo comes first
    for other in (("--models", "stretch"), ("--model", "embedded")):
        refused = run(*common, "--out", tmp_path / "no", *other, *old)
        assert refused.exit_code != 0
        assert "--black-and-white is for --models that colorize" in refused.stderr
        assert not (tmp_path / "no").exists()


def test_a_model_that_is_named_twice_is_refused(photos: Path, tmp_path: Path) -> None:
    corrector = load_corrector(MODELS[1], "cpu")
    with pytest.raises(OptionError, match="named twice"):
        compare_colorizers(photos, [corrector, corrector], tmp_path)


def test_the_command_writes_a_page(run: Run, photos: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    common = ("evaluate", "--photos", photos, "--out", tmp_path / "out", "--device", "cpu", "-q")
    result = run(*common, "--models", MODELS[1], "--page", page)
    assert result.exit_code == 0, result.output
    version = load_corrector(MODELS[1], "cpu").info.version
    assert f"| {MODELS[1]} {version} |" in result.output
    assert f"--models {MODELS[1]}" in page.read_text("utf-8")
    mixed = run(*common, "--models", f"{MODELS[1]},stretch")
    assert mixed.exit_code != 0
    assert "can be compared with such only" in mixed.output
