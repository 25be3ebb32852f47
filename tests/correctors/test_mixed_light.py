"""Mixed light: a look of one photo, whose places are corrected each in its way."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from numpy.typing import NDArray
from PIL import Image

from vae_balance.color.lut import Lut3D
from vae_balance.color.srgb import to_encoded, to_linear
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.mixed_light.corrector import MixedLightCorrector, MixedLook
from vae_balance.correctors.mixed_light.grid_fit import fit_grid
from vae_balance.correctors.mixed_light.slicing import interpolation, slice_grid
from vae_balance.correctors.registry import load_corrector
from vae_balance.errors import LutError, OptionError
from vae_balance.evaluation.evaluate import error_to
from vae_balance.looks.color_map import fit_color_map
from vae_balance.looks.labels import require_lut
from vae_balance.looks.light_map import LightLook
from vae_balance.looks.look import Place
from vae_balance.looks.origin import UNKNOWN
from vae_balance.looks.steps import PictureStep
from vae_balance.luts.files import read_lut
from vae_balance.photos.photo import read_photo
from vae_balance.photos.proxy import make_proxy
from vae_balance.photos.sample import SAMPLE

Colors = NDArray[np.float32]


@lru_cache
def corrector() -> MixedLightCorrector:
    found = load_corrector("mixed-light", "cpu")
    assert isinstance(found, MixedLightCorrector)
    return found


@lru_cache
def sample() -> Colors:
    return make_proxy(read_photo(SAMPLE), "frame")


def lit(photo: Colors, left: tuple[float, ...], right: tuple[float, ...], width: float) -> Colors:
    """Return a photo under two lights (gains of linear light), the passage `width` wide."""
    columns = (np.arange(photo.shape[1]) + 0.5) / photo.shape[1]
    share = np.clip((columns - 0.5) / width + 0.5, 0.0, 1.0)[:, None]
    gains = (1.0 - share) * np.array(left) + share * np.array(right)
    return to_encoded(to_linear(photo) * gains.astype(np.float32)).astype(np.float32)


WARM, COOL = (1.0, 0.62, 0.3), (0.45, 0.75, 1.0)


@lru_cache
def learned(width: float = 0.1) -> tuple[Colors, MixedLook]:
    photo = lit(sample(), WARM, COOL, width)
    return photo, corrector().learn([photo], LookOptions())


def test_two_lights_are_corrected_better_than_by_one_function() -> None:
    photo, look = learned()
    error = error_to(sample())
    one = error(look.balanced.lut(photo))
    assert error(look.apply(photo, Place.whole(photo))) < 0.85 * one
    assert one <= error(photo)


def test_both_halves_are_brought_nearer_to_each_other() -> None:
    photo, look = learned()
    changed = look.apply(photo, Place.whole(photo))

    def apart(pixels: Colors) -> float:
        tint = (pixels - sample()).mean(axis=0)
        return float(np.abs(tint[:80].mean(axis=0) - tint[-80:].mean(axis=0)).sum())

    assert apart(changed) < 0.6 * apart(photo)


def test_the_report_tells_of_the_light_that_is_uneven() -> None:
    _photo, look = learned()
    assert look.report is not None
    assert look.report.uneven > 2.0
    assert f"uneven light of {look.report.uneven:.0f}" in look.report.text()
    assert look.origin.found == look.report.text()


def test_there_is_no_halo_along_the_step_between_two_lights() -> None:
    """Grey to the left and right of an edge stays as even as it was, up to the edge."""
    _photo, look = learned(0.01)
    wall = np.full((224, 224, 3), 0.55, np.float32)
    before = lit(wall, WARM, COOL, 0.01)
    after = look.apply(before, Place.whole(before))
    for side in (slice(70, 110), slice(114, 154)):  # the step is at 112
        columns = after[:, side].mean(axis=0)
        # From column to column less than a code of 8 bits: no band, no fringe.
        assert np.abs(np.diff(columns, axis=0)).max() < 1 / 255


def test_where_it_expects_no_gain_the_photo_is_left_to_the_balancer() -> None:
    look = corrector().learn([sample()], LookOptions())
    changed = look.apply(sample(), Place.whole(sample()))
    assert error_to(sample())(changed) <= 1.5
    assert not look.grid.any()
    assert look.report is not None and look.report.uneven == 0.0


@pytest.mark.parametrize("light", [WARM, COOL])
def test_a_photo_of_one_light_is_corrected_too(light: tuple[float, ...]) -> None:
    photo = lit(sample(), light, light, 1.0)
    look = corrector().learn([photo], LookOptions())
    error = error_to(sample())
    assert error(look.apply(photo, Place.whole(photo))) < 0.5 * error(photo)


def test_a_plain_photo_gets_no_grid() -> None:
    look = corrector().learn([np.full((224, 224, 3), 0.4, np.float32)], LookOptions())
    assert not look.grid.any()


def test_the_same_proxy_gives_the_same_look() -> None:
    photo, look = learned()
    assert corrector().learn([photo], LookOptions()).digest() == look.digest()


def test_it_learns_with_a_strength() -> None:
    photo, look = learned()
    half = corrector().learn([photo], LookOptions(strength=0.5))
    place = Place.whole(photo)
    np.testing.assert_allclose(
        half.apply(photo, place), look.apply(photo, place, strength=0.5), atol=1e-6
    )
    assert half.origin.options["strength"] == 0.5


def test_a_roll_is_refused() -> None:
    with pytest.raises(OptionError, match="2 photos"):
        corrector().learn([sample(), sample()], LookOptions())


def test_its_look_is_no_lut() -> None:
    with pytest.raises(LutError, match="mixed-light"):
        require_lut(learned()[1])


def test_the_average_leaves_as_a_lut_file_that_says_what_it_is(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    photo = tmp_path / "lit.png"
    Image.fromarray(np.uint8(np.rint(learned()[0] * 255.0))).save(photo)
    learn = ("learn", photo, "-o", tmp_path / "a.cube", "--model", "mixed-light", "--device", "cpu")
    refused = run(*learn)
    assert refused.exit_code != 0 and "--average-lut" in refused.stderr
    assert not (tmp_path / "a.cube").exists()
    result = run(*learn, "--average-lut")
    assert result.exit_code == 0, result.output
    assert "corrects none fully" in result.stderr
    text = (tmp_path / "a.cube").read_text("ascii")
    assert "# average: over the places" in text
    given = read_lut(tmp_path / "a.cube")(sample())
    assert np.abs(given - sample()).mean() > 0.005


def test_a_photo_is_balanced_and_the_average_of_its_look_written_beside_it(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    photo, lut = tmp_path / "lit.png", tmp_path / "a.cube"
    Image.fromarray(np.uint8(np.rint(learned()[0] * 255.0))).save(photo)
    balance = ("balance", photo, "--model", "mixed-light", "--device", "cpu", "--daemon", "never")
    refused = run(*balance, "-o", tmp_path / "b.png", "--lut", lut)
    assert refused.exit_code != 0 and "--average-lut" in refused.stderr
    assert not (tmp_path / "b.png").exists() and not lut.exists()
    done = run(*balance, "-o", tmp_path / "b.png", "--lut", lut, "--average-lut")
    assert done.exit_code == 0, done.output
    assert "corrects none fully" in done.stderr
    assert "# average: over the places" in lut.read_text("ascii")
    assert read_photo(tmp_path / "b.png").pixels.shape == (224, 224, 3)
    alone = run(*balance, "-o", tmp_path / "c.png", "--average-lut")
    assert alone.exit_code == 2 and "--lut FILE" in alone.stderr


def test_it_shows_what_was_added_where_in_four_pictures() -> None:
    *_, last = learned()[1].steps
    assert isinstance(last, PictureStep)
    (row,) = last.rows
    assert [picture.name for picture in row] == ["red", "green", "blue", "light"]
    assert all(picture.pixels.shape == (224, 224) for picture in row)
    assert max(np.ptp(picture.pixels) for picture in row) > 0.05
    low, high = (float(code) for code in row[0].note.split(" to "))
    assert low == pytest.approx(255 * row[0].pixels.min(), abs=0.51)
    assert high == pytest.approx(255 * row[0].pixels.max(), abs=0.51)


@lru_cache
def two_pictures() -> tuple[Colors, Colors]:
    """Return a picture of (112, 112, 3), and what becomes of it by two lights and of its darks."""
    picture = sample()[::2, ::2]
    changed = lit(picture, WARM, COOL, 0.3)
    darks = np.clip(0.4 - picture.mean(axis=-1, keepdims=True), 0.0, 1.0)
    return picture, np.clip(changed + darks * np.array([0.3, 0.0, -0.1], np.float32), 0.0, 1.0)


def as_planes(picture: Colors) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]


def test_a_grid_is_fitted_to_what_becomes_of_a_picture() -> None:
    """Two lights and darks of another color: what no color function for the whole can do."""
    picture, changed = two_pictures()
    grid = fit_grid(as_planes(picture), as_planes(changed))[0].numpy()
    assert grid.shape == (16, 16, 8, 12)
    look = LightLook(Lut3D.identity(17), grid, UNKNOWN)
    error = error_to(changed)
    assert error(look.apply(picture, Place.whole(picture))) < 0.25 * error(picture)
    of_the_whole = fit_color_map(picture, changed)(picture)
    assert error(look.apply(picture, Place.whole(picture))) < 0.5 * error(of_the_whole)


def test_what_is_fitted_to_the_same_picture_changes_nothing() -> None:
    picture, _ = two_pictures()
    assert fit_grid(as_planes(picture), as_planes(picture)).abs().max() < 1e-4


def test_gradients_reach_what_a_grid_is_fitted_to() -> None:
    picture, changed = two_pictures()
    targets = as_planes(changed).requires_grad_()
    fit_grid(as_planes(picture), targets).square().sum().backward()
    assert targets.grad is not None and (targets.grad != 0).float().mean() > 0.9


def test_training_slices_as_looks_do() -> None:
    rng = np.random.default_rng(4)
    grid = rng.normal(0.0, 0.1, (16, 16, 8, 12)).astype(np.float32)
    pixels = rng.uniform(0.2, 0.8, (40, 56, 3)).astype(np.float32)
    look = LightLook(Lut3D.identity(17), grid, UNKNOWN)
    colors = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    sliced = slice_grid(
        torch.from_numpy(grid)[None], colors, interpolation(40, 16), interpolation(56, 16)
    )
    expected = look.apply(pixels, Place.whole(pixels))
    found = sliced[0].permute(1, 2, 0).clamp(0.0, 1.0).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-5)
