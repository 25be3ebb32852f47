"""Whatever `--model` names learns looks in the same way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from numpy.typing import NDArray
from pictures import picture
from PIL import Image

from vae_balance import Balancer, Look
from vae_balance.correctors import classical, registry
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.registry import corrector_type, load_corrector
from vae_balance.errors import ModelError, OptionError
from vae_balance.looks.look import Place
from vae_balance.looks.packed import unpack_look
from vae_balance.looks.steps import ColorMapStep, Explained, PictureStep
from vae_balance.luts.cube import read_cube
from vae_balance.models.store import find_model, list_models, read_info, write_info
from vae_balance_protocol.options import COLOR_MODEL

Colors = NDArray[np.float32]
CLASSICAL = {
    "grey-world": classical.grey_world,
    "shades-of-grey": classical.shades_of_grey,
    "stretch": classical.per_channel_stretch,
}
STEP = 1.0 / 255.0


def proxy(seed: int = 0) -> Colors:
    """Return a proxy under a warm light and a veil."""
    pixels = picture(224, 224, seed).astype(np.float32) / np.float32(255)
    cast: Colors = pixels * np.array([0.8, 0.7, 0.5], np.float32) + np.float32(0.1)
    return cast


@pytest.mark.parametrize("name", registry.NAMES)
def test_a_corrector_has_the_name_that_it_is_registered_by(name: str) -> None:
    assert corrector_type(name).name == name


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_classical_look_does_what_the_correction_does(name: str) -> None:
    look = load_corrector(name).learn([proxy()], LookOptions(size=65))
    assert isinstance(look, Look)
    assert look.lut is not None
    difference = np.abs(look.lut(proxy()) - CLASSICAL[name](proxy()))
    assert difference.mean() < 0.2 * STEP
    assert np.percentile(difference, 99) < STEP


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_classical_look_of_a_roll_is_that_of_all_its_photos_in_one(name: str) -> None:
    frames = [proxy(seed) for seed in range(3)]
    look = load_corrector(name).learn(frames, LookOptions(size=9))
    joined = np.concatenate(frames)
    expected = load_corrector(name).learn([joined], LookOptions(size=9))
    assert look.digest() == expected.digest()


@pytest.mark.parametrize("name", CLASSICAL)
def test_strength_goes_part_of_the_way(name: str) -> None:
    corrector = load_corrector(name)
    none, half, all_ = (
        corrector.learn([proxy()], LookOptions(strength=strength, size=5)).lut
        for strength in (0.0, 0.5, 1.0)
    )
    assert none is not None and half is not None and all_ is not None
    np.testing.assert_allclose(half.table, (none.table + all_.table) / 2, atol=1e-6)
    assert np.abs(all_.table - none.table).max() > 0.1


@pytest.mark.parametrize("name", CLASSICAL)
def test_photos_are_balanced_without_weights(
    run: Callable[..., Result], photo: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    path = photo("a.png")
    before = np.asarray(Image.open(path), dtype=np.float32) / 255.0
    out, cube = tmp_path / "out.png", tmp_path / "look.cube"
    result = run("balance", path, "-o", out, "--model", name, "--cube", cube)
    assert (result.exit_code, result.output) == (0, "")
    after = np.asarray(Image.open(out), dtype=np.float32) / 255.0
    assert np.abs(after - CLASSICAL[name](before)).mean() < 0.03  # of the whole, not of the centre
    assert np.abs(after - before).mean() > STEP
    comments = read_cube(cube).comments
    assert f"model: {name} 1" in comments
    assert "strength: 1" in comments
    assert not [line for line in comments if line.startswith(("iterations", "seed"))]


def test_the_python_api_takes_classical_models() -> None:
    pixels = picture(seed=3)
    balanced = Balancer("stretch").balance(pixels)
    assert balanced.dtype == pixels.dtype
    assert np.ptp(balanced[10:-10, 20:-20, 2]) >= np.ptp(pixels[10:-10, 20:-20, 2])


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_classical_correction_shows_what_it_saw_and_made(name: str) -> None:
    look = load_corrector(name).learn([proxy()], LookOptions(size=5))
    assert isinstance(look, Explained)
    pictures, mapping = look.steps
    assert isinstance(pictures, PictureStep) and isinstance(mapping, ColorMapStep)
    seen, made = pictures.rows[0]
    np.testing.assert_array_equal(seen.pixels, proxy())
    np.testing.assert_array_equal(made.pixels, CLASSICAL[name](proxy()))
    assert seen.note.count(",") == 2  # a number, or two, for each channel
    np.testing.assert_array_equal(mapping.function(mapping.before), mapping.after)


def test_the_sheet_of_any_model_shows_photo_and_result(
    run: Callable[..., Result], photo: Callable[..., Path], tmp_path: Path
) -> None:
    sheet, out = tmp_path / "sheet.png", tmp_path / "out.png"
    result = run("balance", photo(), "-o", out, "--explain", sheet, "--model", "stretch")
    assert (result.exit_code, result.output) == (0, "")
    with Image.open(out) as balanced, Image.open(sheet) as image:
        assert image.width > 1500 and image.height > 1000
        mean = np.asarray(balanced.convert("RGB")).mean(axis=(0, 1))
        assert image.convert("RGB").getextrema()[0][1] == 255
    assert mean.shape == (3,)


def test_no_proxy_is_refused() -> None:
    with pytest.raises(OptionError, match="at least one"):
        load_corrector("stretch").learn([], LookOptions())


def test_a_wrong_device_is_refused_by_models_that_have_no_use_for_it() -> None:
    with pytest.raises(OptionError, match="abacus"):
        load_corrector("stretch", "abacus")


def test_models_that_come_with_the_program_are_listed_the_embedded_first() -> None:
    names = [info.name for info in list_models()]
    assert names[0] == "embedded"
    assert {"grey-world", "shades-of-grey", "stretch", COLOR_MODEL.default} < set(names)


def test_a_description_of_today_is_for_the_latent_balancer(random_model: Path) -> None:
    path = random_model / "model.json"
    values = json.loads(path.read_text("utf-8"))
    assert values.pop("corrector") == "latent-balancer"
    today = random_model.with_name("today")
    today.mkdir(exist_ok=True)
    (today / "model.json").write_text(json.dumps(values))
    assert read_info(today).corrector == "latent-balancer"


def test_a_model_for_a_later_version_is_refused(tmp_path: Path) -> None:
    write_info(tmp_path, "dream", "1", "MIT", "the future", corrector="telepathy")
    assert find_model(str(tmp_path)).corrector == "telepathy"
    with pytest.raises(ModelError, match=r"'telepathy'.*install a later"):
        load_corrector(str(tmp_path))


def test_a_look_goes_to_another_process_and_comes_back(random_model: Path) -> None:
    look = load_corrector("grey-world").learn([proxy()], LookOptions(size=5))
    back = unpack_look(look.to_bytes())
    assert back.digest() == look.digest()
    assert back.origin == look.origin
    pixels = picture()
    place = Place.whole(pixels)
    np.testing.assert_array_equal(back.apply(pixels, place), look.apply(pixels, place))


def test_what_a_corrector_wants_is_known_without_torch() -> None:
    code = (
        "import sys\nfrom vae_balance.correctors.registry import wants_of\n"
        "from vae_balance.models.store import list_models\n"
        "print([wants_of(info).part for info in list_models()], 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.endswith("] False\n"), told.stdout
