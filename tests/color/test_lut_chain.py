"""A LUT of several steps is applied as exactly as a 3D LUT, by the same rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PyOpenColorIO
import pytest
from icc import DISPLAY_P3, SRGB_CURVE, icc_profile

from vae_balance.color.lut import ColorLut, Lut3D, apply_lut
from vae_balance.color.lut_chain import LutChain, curves_step, range_steps
from vae_balance.color.profile import apply_in_profile, from_srgb, to_srgb
from vae_balance.errors import OptionError
from vae_balance.looks.given_look import GivenLook
from vae_balance.looks.look import Place

DEPTHS = [np.uint8, np.uint16, np.float16, np.float32]
ONE_STEP = {np.uint8: 1 / 255, np.uint16: 1 / 65535, np.float16: 1 / 1024, np.float32: 1e-6}


def steps_of_grey() -> LutChain:
    """Curves of 4,096 points with sixteen steps: no cube can hold them."""
    values = np.floor(np.arange(4096) / 256) / 15
    curves = np.stack([values, values**2, 1 - values], axis=1).astype(np.float32)
    return LutChain((curves_step(curves),), "a" * 64, "Posters", ("by hand",))


def brighter() -> LutChain:
    """A formula, which goes on beyond 0..1: twice the value, and red a little more."""
    matrix = PyOpenColorIO.MatrixTransform(np.diag([2.5, 2, 2, 1]).reshape(-1).tolist())
    return LutChain((matrix,), "b" * 64)


def expected(colors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """What `steps_of_grey` makes of colors in 0..1."""
    values = np.floor(np.arange(4096) / 256) / 15
    value = np.interp(colors, np.arange(4096) / 4095, values)
    return np.stack(
        [
            value[..., 0],
            np.interp(colors[..., 1], np.arange(4096) / 4095, values**2),
            1 - value[..., 2],
        ],
        axis=-1,
    )


def picture(dtype: Any, channels: int = 3, height: int = 61, width: int = 83) -> Any:
    pixels = np.random.default_rng(2).random((height, width, channels))
    if np.issubdtype(dtype, np.integer):
        pixels = np.rint(pixels * np.iinfo(dtype).max)
    return pixels.astype(dtype)


def to_unit(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    scale = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    return pixels.astype(np.float64) / scale


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("channels", [3, 4])
def test_curves_are_exact_in_every_depth(dtype: Any, channels: int) -> None:
    pixels = picture(dtype, channels)
    result = to_unit(apply_lut(steps_of_grey(), pixels))[..., :3]
    wanted = expected(to_unit(pixels)[..., :3])
    # At the edge of a step a line rises by 273, and the last bits of an input with it.
    assert np.abs(result - wanted).max() <= ONE_STEP[dtype] * (1 if dtype is np.uint8 else 300)
    assert (np.abs(result - wanted) <= ONE_STEP[dtype]).mean() > 0.99


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("strength", [1.0, 0.4])
@pytest.mark.parametrize("make", [steps_of_grey, brighter])
def test_alpha_is_passed_on_bit_for_bit(dtype: Any, strength: float, make: Any) -> None:
    bits = np.dtype(f"u{np.dtype(dtype).itemsize}")
    alpha = np.random.default_rng(3).integers(0, np.iinfo(bits).max, 100_000, bits, endpoint=True)
    pixels = picture(dtype, 4, 1, len(alpha))
    pixels.view(bits)[0, :, 3] = alpha
    opaque = np.ascontiguousarray(pixels[..., :3])
    lut = make().blended(strength)
    result = apply_lut(lut, pixels)
    assert (result.view(bits)[0, :, 3] == alpha).all()
    assert (result[..., :3] == apply_lut(lut, opaque)).all()


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, 1.4])
def test_strength_blends_from_no_change_to_the_look_and_beyond(dtype: Any, strength: float) -> None:
    pixels = picture(dtype)
    before, whole = to_unit(pixels), to_unit(apply_lut(steps_of_grey(), to_float(pixels)))
    result = to_unit(apply_lut(steps_of_grey().blended(strength), pixels))
    wanted = before + strength * (whole - before)
    if np.dtype(dtype).kind == "u":
        wanted = wanted.clip(0, 1)
    assert np.abs(result - wanted).max() <= 1.01 * ONE_STEP[dtype]


def to_float(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return to_unit(pixels).astype(np.float32)


def test_blending_twice_multiplies() -> None:
    colors = picture(np.float32)
    twice = steps_of_grey().blended(0.5).blended(0.5)
    assert twice(colors) == pytest.approx(steps_of_grey().blended(0.25)(colors), abs=1e-6)


def test_a_strength_that_is_not_finite_is_refused() -> None:
    with pytest.raises(OptionError, match="strength nan"):
        steps_of_grey().blended(float("nan"))


def test_every_look_has_a_name_of_its_own() -> None:
    luts = [steps_of_grey(), brighter(), steps_of_grey().blended(0.5), brighter().blended(0.5)]
    names = {lut.digest() for lut in luts}
    assert len(names) == 4
    assert all(len(name) == 64 and int(name, 16) for name in names)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_where_tables_end_colors_keep_their_distance(dtype: Any, strength: float) -> None:
    lut = steps_of_grey().blended(strength)
    pixels = (picture(np.float32) * 6 - 2).astype(dtype)
    inside = pixels.clip(0, 1)
    wanted = apply_lut(lut, inside).astype(np.float64) + (pixels.astype(np.float64) - inside)
    assert np.abs(apply_lut(lut, pixels) - wanted).max() <= 4 * ONE_STEP[dtype]


def test_formulas_go_on() -> None:
    assert brighter()([-0.5, 0.25, 3.0]) == pytest.approx([-1.25, 0.5, 6.0], abs=1e-6)


def test_a_table_over_a_wider_range_ends_where_it_ends() -> None:
    curves = np.array([[0, 0, 0], [1, 1, 1]], np.float32)
    lut = LutChain((*range_steps(-1, 3), curves_step(curves)), "c" * 64)
    assert lut([-2.0, 2.0, 5.0]) == pytest.approx([0.0, 0.75, 1.0], abs=1e-6)


def test_colors_that_are_not_finite_stay_as_they_are() -> None:
    colors = np.array([[np.nan, 0.5, 0.5], [0.1, np.inf, 2.0], [0.4, 0.4, 0.4]], np.float32)
    for lut in (steps_of_grey(), brighter()):
        result = lut(colors)
        assert (result[:2].view(np.uint32) == colors[:2].view(np.uint32)).all()
        assert (result[2] != colors[2]).any()


def test_strips_and_threads_give_the_same_pixels() -> None:
    pixels = picture(np.uint16, 4, 701, 301)
    lut = steps_of_grey().blended(0.7)
    whole = apply_lut(lut, pixels)
    strips = [apply_lut(lut, pixels[top : top + 97], threads=1) for top in range(0, 701, 97)]
    assert (np.concatenate(strips) == whole).all()


def test_what_is_baked_tells_what_it_lost() -> None:
    baked = steps_of_grey().baked()
    assert (baked.size, baked.title, baked.comments[0]) == (65, "Posters", "by hand")
    said = float(baked.comments[1].split("up to ")[1].split()[0])
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)[None]
    lost = np.abs(apply_lut(baked, grey).astype(int) - apply_lut(steps_of_grey(), grey)).max()
    assert 5 < lost <= said + 1
    assert brighter().blended(0.4).baked().comments == (
        "baked at 65 nodes an edge, up to 0.0 of 255 off",
    )


def test_a_cube_larger_than_usual_is_baked_at_its_own_size() -> None:
    cube = Lut3D.from_function(np.sqrt, 90)
    curves = np.array([[0, 0, 0], [1, 1, 1]], np.float32)
    assert LutChain((curves_step(curves), cube.transform()), "d" * 64).baked().size == 90


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [3, 4])
def test_in_a_profile_each_color_goes_to_srgb_and_back(dtype: Any, channels: int) -> None:
    profile = icc_profile(DISPLAY_P3, SRGB_CURVE)
    pixels = picture(dtype, channels)
    there = to_srgb(to_unit(pixels)[..., :3], profile)
    wanted = from_srgb(brighter().blended(0.2)(there), profile).clip(0, 1)
    result = apply_in_profile(brighter().blended(0.2), pixels, profile)
    assert np.abs(to_unit(result)[..., :3].clip(0, 1) - wanted).max() <= 1e-5 + ONE_STEP[dtype]
    assert (result[..., 3:] == pixels[..., 3:]).all()


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_it_is_a_look_as_any_other(strength: float) -> None:
    lut: ColorLut = steps_of_grey()
    pixels = picture(np.uint8, 4)
    wanted = apply_lut(lut.blended(strength), pixels)
    pixels = GivenLook(lut).apply(pixels, Place.whole(pixels), strength=strength)
    assert (pixels == wanted).all()


def test_opencolorio_is_imported_only_for_it() -> None:
    source = Path(curves_step.__code__.co_filename).read_text("utf-8")
    assert "\nimport PyOpenColorIO" not in source
