"""Photos in other color spaces get the look that their sRGB versions would get."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from icc import (
    ADOBE_RGB,
    DISPLAY_P3,
    PROPHOTO,
    SRGB,
    SRGB_CURVE,
    gamma_curve,
    icc_profile,
    parametric_curve,
    sampled_curve,
)
from PIL import Image, ImageCms

from vae_balance.color.lut import Lut3D
from vae_balance.color.profile import (
    apply_in_profile,
    from_srgb,
    profile_lut,
    profile_problem,
    to_srgb,
)
from vae_balance.errors import OptionError

PROFILES = {
    "Adobe RGB": icc_profile(ADOBE_RGB, gamma_curve(563 / 256)),
    "Display P3": icc_profile(DISPLAY_P3, SRGB_CURVE),
    "ProPhoto": icc_profile(PROPHOTO, gamma_curve(1.8)),
    "linear ProPhoto": icc_profile(PROPHOTO, gamma_curve(1.0)),
}
CURVES = {
    "none": b"curv" + bytes(8),
    "gamma": gamma_curve(2.2),
    "sampled": sampled_curve(np.linspace(0, 1, 1024) ** 2.2),
    "power": parametric_curve(0, 1.8),
    "power from an offset": parametric_curve(1, 2.2, 0.95, 0.05),
    "power above a floor": parametric_curve(2, 2.2, 0.95, 0.05, 0.0),
    "sRGB": SRGB_CURVE,
    "ROMM": parametric_curve(3, 1.8, 1.0, 0.0, 1 / 16, 1 / 32),
    "seven numbers": parametric_curve(4, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0, 0),
}
COLORS = [[0.5, 0.5, 0.5], [0.6, 0.4, 0.35], [0.3, 0.45, 0.6], [0.85, 0.8, 0.7]]
# By lcms2 2.18, float64, relative colorimetric, to its own sRGB; None where it leaves sRGB.
LCMS: dict[str, list[list[float | None]]] = {
    "Adobe RGB": [
        [0.50399, 0.50399, 0.50399],
        [0.66638, 0.40061, 0.34568],
        [0.19043, 0.45255, 0.61114],
        [0.87260, 0.80490, 0.70120],
    ],
    "Display P3": [
        [0.49999, 0.50001, 0.50000],
        [0.63450, 0.38866, 0.33830],
        [0.25110, 0.45503, 0.61389],
        [0.86072, 0.79781, 0.68790],
    ],
    "ProPhoto": [
        [0.57216, 0.57216, 0.57217],
        [0.81224, 0.41673, 0.41359],
        [None, 0.55174, 0.68411],
        [0.94051, 0.82770, 0.73687],
    ],
    "linear ProPhoto": [
        [0.73535, 0.73535, 0.73536],
        [0.91736, 0.62974, 0.61820],
        [0.34720, 0.72464, 0.81269],
        [0.96967, 0.90073, 0.84526],
    ],
}


def picture(dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
    """All kinds of colors, (60, 90, 3), black and white among them."""
    rng = np.random.default_rng(1)
    colors = rng.beta(0.6, 0.6, (60, 90, 3))
    colors[0] = np.linspace(0, 1, 90)[:, None]
    if np.dtype(dtype).kind == "f":
        return colors.astype(dtype)
    return np.round(colors * np.iinfo(dtype).max).astype(dtype)


def warm_look(size: int = 33) -> Lut3D:
    """Lift the shadows, warm the lights."""

    def function(colors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        red, green, blue = colors.T
        return np.stack([0.04 + 0.96 * red**0.9, 0.02 + 0.95 * green, 0.9 * blue**1.1], axis=-1)

    return Lut3D.from_function(function, size)


@pytest.mark.parametrize("name", PROFILES)
def test_colors_become_what_lcms_makes_of_them(name: str) -> None:
    expected = np.array(LCMS[name], dtype=float)
    error = np.abs(to_srgb(COLORS, PROFILES[name]) - expected)
    assert np.nanmax(error) < 0.0005


@pytest.mark.parametrize("curve", CURVES)
def test_every_kind_of_curve_is_read_as_lcms_reads_it(curve: str) -> None:
    profile = icc_profile(DISPLAY_P3, CURVES[curve])
    # Colors that sRGB has, so that nothing is clipped on the way
    pixels = np.round(from_srgb(picture(np.float64) * 0.7 + 0.2, profile) * 255).astype(np.uint8)
    expected = ImageCms.profileToProfile(
        Image.fromarray(pixels),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    assert expected is not None
    assert np.abs(to_srgb(pixels / 255, profile) * 255 - np.asarray(expected)).max() < 1.0


@pytest.mark.parametrize("name", PROFILES)
def test_converting_back_gives_the_same_colors(name: str) -> None:
    colors = picture(np.float64)
    back = from_srgb(to_srgb(colors, PROFILES[name]), PROFILES[name])
    assert np.abs(back - colors).max() < 0.0005


def test_shadows_that_a_sampled_curve_rounds_to_nothing_come_back() -> None:
    profile = icc_profile(ADOBE_RGB, sampled_curve(np.linspace(0, 1, 1024) ** 2.2))
    shadows = np.linspace(0, 10 / 1023, 50)[:, None].repeat(3, axis=1)
    assert np.abs(from_srgb(to_srgb(shadows, profile), profile) - shadows).max() < 0.0005


def test_colors_that_srgb_lacks_are_not_clipped() -> None:
    green = to_srgb([0.0, 1.0, 0.0], PROFILES["Display P3"])
    assert green[0] < -0.2
    assert green[1] > 1.0


@pytest.mark.parametrize("name", ["white", "black"])
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_black_and_white_stay(profile: bytes, name: str) -> None:
    value = 1.0 if name == "white" else 0.0
    assert to_srgb([value] * 3, profile) == pytest.approx([value] * 3, abs=0.0002)


@pytest.mark.parametrize(
    "profile",
    [
        None,
        icc_profile(SRGB, SRGB_CURVE),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ],
    ids=["none", "ours", "lcms"],
)
def test_srgb_photos_get_the_look_itself(profile: bytes | None) -> None:
    look = warm_look()
    assert profile_lut(look, profile) is look
    colors = picture(np.float32)
    assert np.array_equal(to_srgb(colors, profile), colors)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_look_that_does_nothing_leaves_every_pixel(dtype: npt.DTypeLike, profile: bytes) -> None:
    pixels = picture(dtype)
    result = apply_in_profile(Lut3D.identity(17), pixels, profile)
    tolerance = 1 if dtype == np.uint16 else 0
    assert np.abs(result.astype(int) - pixels).max() <= tolerance


@pytest.mark.parametrize("name", PROFILES)
def test_a_look_does_what_it_does_after_explicit_conversion(name: str) -> None:
    profile = PROFILES[name]
    pixels = np.clip(from_srgb(picture(np.float64), profile), 0, 1).astype(np.float32)
    expected = from_srgb(warm_look()(to_srgb(pixels, profile)), profile)
    error = np.abs(apply_in_profile(warm_look(), pixels, profile) - expected) * 255
    assert error.mean() < 0.05
    assert np.quantile(error, 0.99) < 1.0
    assert error.max() < 3.0


def test_linear_light_needs_more_than_a_lut() -> None:
    profile = PROFILES["linear ProPhoto"]
    shadows = from_srgb(picture(np.float64) * 0.2, profile).clip(0, 1)
    expected = warm_look()(to_srgb(shadows, profile))
    by_lut = to_srgb(profile_lut(warm_look(), profile)(shadows), profile)
    applied = apply_in_profile(warm_look(), shadows.astype(np.float32), profile)
    assert np.abs(by_lut - expected).mean() * 255 > 0.4
    assert np.abs(to_srgb(applied, profile) - expected).mean() * 255 < 0.1


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_alpha_nan_and_highlights_survive(profile: bytes) -> None:
    pixels = np.dstack([picture(np.float32), picture(np.float32)[..., :1]])
    pixels[3, 4, 0] = np.nan
    pixels[5, 6, 1] = np.inf
    pixels[7, 8, :3] = 4.0
    result = apply_in_profile(Lut3D.identity(17), pixels, profile)
    assert np.array_equal(result[..., 3], pixels[..., 3])
    assert np.array_equal(result[3, 4], pixels[3, 4], equal_nan=True)
    assert np.array_equal(result[5, 6], pixels[5, 6])
    assert result[7, 8, :3] == pytest.approx([4.0] * 3, rel=0.01)


@pytest.mark.parametrize("name", ["ProPhoto", "linear ProPhoto"])
def test_working_in_place_gives_the_same(name: str) -> None:
    pixels = picture(np.uint16)
    expected = apply_in_profile(warm_look(), pixels, PROFILES[name])
    assert not np.array_equal(expected, pixels)
    assert apply_in_profile(warm_look(), pixels, PROFILES[name], out=pixels) is pixels
    assert np.array_equal(pixels, expected)


@pytest.mark.parametrize("name", ["ProPhoto", "linear ProPhoto"])
def test_a_wrong_place_for_the_result_is_refused(name: str) -> None:
    wrong = np.empty((1, 1, 3), np.uint8)
    with pytest.raises(OptionError, match="must be uint16"):
        apply_in_profile(warm_look(), picture(np.uint16), PROFILES[name], out=wrong)


def _with_tables() -> bytes:
    return PROFILES["Adobe RGB"].replace(b"rXYZ", b"A2B0")


def _without_green() -> bytes:
    profile = bytearray(PROFILES["Adobe RGB"])
    (offset,) = struct.unpack_from(">I", profile, profile.index(b"gXYZ") + 4)
    profile[offset + 8 : offset + 20] = bytes(12)
    return bytes(profile)


@pytest.mark.parametrize(
    ("profile", "problem"),
    [
        (b"", "is damaged"),
        (b"garbage" * 100, "is damaged"),
        (PROFILES["Adobe RGB"][:200], "is damaged"),
        (PROFILES["Adobe RGB"].replace(b"curv", b"cuvr"), "curve of unknown type"),
        (icc_profile(SRGB, sampled_curve([0, 0.5, 0.3, 1])), "does not rise"),
        (icc_profile(SRGB, sampled_curve([1, 0.5, 0])), "does not rise"),
        (icc_profile(SRGB, sampled_curve([])), None),
        (icc_profile(SRGB, parametric_curve(0, 0.0)), "does not rise"),
        (icc_profile(SRGB, parametric_curve(9, 1.0)), "curve of unknown type"),
        (icc_profile(SRGB, SRGB_CURVE, b"CMYK"), "is for CMYK pictures"),
        (icc_profile(SRGB, SRGB_CURVE, b"GRAY"), "is for GRAY pictures"),
        (PROFILES["Adobe RGB"].replace(b"gTRC", b"xTRC"), "has no gTRC"),
        (_with_tables(), "is made of tables"),
        (_without_green(), "its primaries lie on a line"),
    ],
)
def test_an_unusable_profile_passes_for_srgb_and_its_problem_can_be_told(
    profile: bytes, problem: str | None
) -> None:
    look = warm_look()
    if problem is None:  # a curve without samples is a straight line
        assert profile_problem(profile) == ""
        return
    assert problem in profile_problem(profile)
    assert profile_lut(look, profile) is look


def test_title_and_comments_are_kept() -> None:
    look = Lut3D(warm_look().table, "Warm", ("a comment",))
    converted = profile_lut(look, PROFILES["ProPhoto"])
    assert (converted.title, converted.comments) == ("Warm", ("a comment",))
