"""A look that differs from place to place: what it does to pixels, wherever and however stored."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from icc import ADOBE_RGB, gamma_curve, icc_profile

from vae_balance.color.lut import Lut3D, apply_lut
from vae_balance.color.profile import from_srgb, to_srgb
from vae_balance.color.srgb import LUMINANCE
from vae_balance.errors import LutError, OptionError
from vae_balance.looks.light_map import LightLook
from vae_balance.looks.look import Look, Place
from vae_balance.looks.origin import Origin
from vae_balance.looks.packed import unpack_look
from vae_balance.photos.pixels import upright

ORIGIN = Origin("mixed-light", "mixed-light", "1")
LUT = Lut3D.from_function(lambda colors: 0.95 * colors**1.1, 17)
ADOBE = icc_profile(ADOBE_RGB, gamma_curve(2.2))
Floats = npt.NDArray[np.float32]


def look(seed: int = 1, strength: float = 1.0, shape: tuple[int, ...] = (5, 6, 4)) -> LightLook:
    grid = np.random.default_rng(seed).normal(0.0, 0.1, (*shape, 12)).astype(np.float32)
    return LightLook(LUT, grid, ORIGIN, strength)


def picture(height: int, width: int, dtype: str = "float32", channels: int = 3) -> npt.NDArray[Any]:
    colors = np.random.default_rng(2).uniform(0.0, 1.0, (height, width, channels))
    full = np.iinfo(dtype).max if dtype.startswith("u") else 1.0
    return np.rint(colors * full).astype(dtype) if full > 1.0 else colors.astype(dtype)


def by_the_book(made: LightLook, pixels: Floats) -> Floats:
    """Return what the look makes of (H, W, 3), by its definition, one pixel after the other."""
    mapped = made.base(pixels).astype(np.float64)
    result = np.empty_like(mapped)
    height, width = pixels.shape[:2]
    grid = made.grid.astype(np.float64)
    for y in range(height):
        for x in range(width):
            color = mapped[y, x]
            places = (
                np.clip((y + 0.5) * grid.shape[0] / height - 0.5, 0, grid.shape[0] - 1),
                np.clip((x + 0.5) * grid.shape[1] / width - 0.5, 0, grid.shape[1] - 1),
                float(color @ LUMINANCE) * (grid.shape[2] - 1),
            )
            weights = [
                np.maximum(1.0 - np.abs(place - np.arange(count)), 0.0)
                for place, count in zip(places, grid.shape, strict=False)
            ]
            chosen = np.einsum("r,c,l,rclm->m", *weights, grid).reshape(4, 3)
            result[y, x] = np.clip(color + np.append(color, 1.0) @ chosen, 0.0, 1.0)
    return result.astype(np.float32)


def test_it_is_a_look_without_a_lut() -> None:
    made = look()
    assert isinstance(made, Look)
    assert made.lut is None


def test_every_pixel_gets_the_mixture_of_the_maps_around_it() -> None:
    pixels = picture(23, 31)
    made = look()
    np.testing.assert_allclose(
        made.apply(pixels, Place.whole(pixels)), by_the_book(made, pixels), atol=2e-6
    )


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
def test_a_grid_of_zeros_leaves_the_lut(dtype: str) -> None:
    pixels = picture(40, 30, dtype, 4)
    made = LightLook(LUT, np.zeros((4, 4, 3, 12), np.float32), ORIGIN)
    changed = made.apply(pixels, Place.whole(pixels))
    step = 1.0 if pixels.dtype.kind == "u" else 1e-3
    assert np.abs(changed.astype(float) - apply_lut(LUT, pixels).astype(float)).max() <= step
    np.testing.assert_array_equal(changed[..., 3], pixels[..., 3])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("profile", [None, ADOBE])
def test_where_nothing_was_found_the_photo_is_left_alone_bit_for_bit(
    dtype: str, profile: bytes | None
) -> None:
    pixels = picture(40, 30, dtype, 4)
    identity = Lut3D.from_function(lambda colors: colors, 33)
    made = LightLook(identity, np.zeros((4, 4, 3, 12), np.float32), ORIGIN)
    changed = made.apply(pixels, Place.whole(pixels), profile)
    assert made.changes_nothing
    assert changed.tobytes() == pixels.tobytes()
    assert changed is not pixels


def test_a_look_that_changes_a_place_or_has_a_lut_changes_something() -> None:
    nothing = np.zeros((4, 4, 3, 12), np.float32)
    identity = Lut3D.from_function(lambda colors: colors, 17)
    assert not LightLook(LUT, nothing, ORIGIN).changes_nothing
    assert not replace(look(), base=identity).changes_nothing
    assert look(strength=0.0).changes_nothing


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16"])
def test_depths_agree(dtype: str) -> None:
    pixels = picture(30, 40, dtype)
    full = np.iinfo(dtype).max if pixels.dtype.kind == "u" else 1.0
    floats = (pixels / full).astype(np.float32)
    place = Place.whole(pixels)
    exact = look().apply(floats, place)
    found = look().apply(pixels, place) / full
    assert np.abs(found - exact).max() <= (0.51 / full if full > 1.0 else 1e-3)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("profile", [None, ADOBE])
@pytest.mark.parametrize("rows", [1, 7, 64])
def test_strips_are_the_whole_bit_for_bit(dtype: str, profile: bytes | None, rows: int) -> None:
    pixels = picture(130, 57, dtype, 4)
    made = look(strength=0.8)
    whole = made.apply(pixels, Place.whole(pixels), profile, 1.2)
    for top in range(0, len(pixels), rows):
        strip = pixels[top : top + rows].copy()
        made.apply(strip, Place(57, 130, top=top), profile, 1.2, strip)
        np.testing.assert_array_equal(strip, whole[top : top + rows])


def test_a_part_of_the_columns_is_the_whole_bit_for_bit() -> None:
    pixels = picture(50, 300)
    whole = look().apply(pixels, Place.whole(pixels))
    part = np.ascontiguousarray(pixels[10:40, 37:260])
    found = look().apply(part, Place(300, 50, left=37, top=10))
    np.testing.assert_array_equal(found, whole[10:40, 37:260])


def test_threads_have_no_influence() -> None:
    pixels = picture(400, 300)
    one, many = (look().apply(pixels, Place.whole(pixels), threads=n) for n in (1, 8))
    np.testing.assert_array_equal(one, many)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_stored_photo_is_changed_as_it_stands_upright(orientation: int) -> None:
    stored = picture(24, 36)
    changed = look().apply(stored, Place.whole(stored, orientation))
    stands = np.ascontiguousarray(upright(stored, orientation))
    expected = look().apply(stands, Place.whole(stands))
    np.testing.assert_allclose(upright(changed, orientation), expected, atol=1e-6)


def test_strength_is_a_way_between() -> None:
    pixels = picture(20, 20)
    place = Place.whole(pixels)
    full = look().apply(pixels, place)
    np.testing.assert_array_equal(look().apply(pixels, place, strength=0.0), pixels)
    half = pixels + 0.5 * (full - pixels)
    np.testing.assert_allclose(look().apply(pixels, place, strength=0.5), half, atol=1e-6)
    np.testing.assert_allclose(look(strength=0.5).apply(pixels, place), half, atol=1e-6)
    assert look().apply(pixels, place, strength=1.5).max() <= 1.0


def test_pixels_are_understood_by_their_profile() -> None:
    pixels = 0.3 + 0.4 * picture(20, 20)
    place = Place.whole(pixels)
    made = look(strength=0.3)
    expected = from_srgb(made.apply(to_srgb(pixels, ADOBE), place), ADOBE)
    np.testing.assert_allclose(made.apply(pixels, place, ADOBE), expected, atol=1e-6)
    assert np.abs(made.apply(pixels, place) - expected).max() > 1e-3


def test_floats_beyond_white_and_black_survive() -> None:
    pixels = picture(4, 4)
    pixels[0, 0] = [1.5, 0.5, -0.25]
    pixels[1, 1] = [np.nan, 0.5, 0.5]
    pixels[2, 2] = [0.5, np.inf, 0.5]
    place = Place.whole(pixels)
    inside = np.clip(np.nan_to_num(pixels), 0.0, 1.0)
    changed, plain = look().apply(pixels, place), look().apply(inside, place)
    np.testing.assert_allclose(changed[0, 0] - plain[0, 0], [0.5, 0.0, -0.25], atol=1e-6)
    np.testing.assert_array_equal(changed[[1, 2], [1, 2]], pixels[[1, 2], [1, 2]])
    np.testing.assert_array_equal(np.delete(changed, [0, 1, 2], 0), np.delete(plain, [0, 1, 2], 0))


def test_its_average_is_the_look_where_all_places_are_alike() -> None:
    made = look(shape=(1, 1, 8))
    average = made.average()
    colors = np.stack(np.meshgrid(*3 * [np.arange(17) / 16.0]), axis=-1).reshape(17, -1, 3)
    nodes = colors.astype(np.float32)
    np.testing.assert_allclose(average(nodes), made.apply(nodes, Place.whole(nodes)), atol=1e-5)


def test_its_average_lies_between_its_places() -> None:
    grid = np.zeros((1, 2, 2, 12), np.float32)
    grid[0, 0, :, 9], grid[0, 1, :, 11] = 0.1, 0.1  # more red at the left, more blue at the right
    average = LightLook(Lut3D.identity(17), grid, ORIGIN).average()
    found = average(np.full((1, 3), 0.5, np.float32))
    np.testing.assert_allclose(found, [[0.55, 0.5, 0.55]], atol=1e-5)


def test_it_travels_as_bytes() -> None:
    made = look(strength=0.7)
    there = unpack_look(made.to_bytes())
    assert there.digest() == made.digest() != look(2, 0.7).digest()
    assert made.digest() != look(strength=0.6).digest()
    pixels = picture(9, 9, "uint8")
    place = Place.whole(pixels)
    np.testing.assert_array_equal(there.apply(pixels, place), made.apply(pixels, place))


@pytest.mark.parametrize("shape", [(4, 4, 8), (4, 4, 1, 12), (4, 4, 8, 11), (400, 4, 8, 12)])
def test_a_grid_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(LutError, match="grid"):
        LightLook(LUT, np.zeros(shape, np.float32), ORIGIN)


def test_a_grid_that_is_not_finite_is_refused() -> None:
    grid = look().grid.copy()
    grid[0, 0, 0, 0] = np.nan
    with pytest.raises(LutError, match="NaN"):
        replace(look(), grid=grid)


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3))]
)
def test_pixels_of_another_kind_are_refused(pixels: npt.NDArray[Any]) -> None:
    with pytest.raises(OptionError, match="pixels of"):
        look().apply(pixels, Place(4, 4))


def test_memory_does_not_grow_with_the_photo() -> None:
    pixels = picture(2000, 1500, "uint8")
    look().apply(pixels[:8].copy(), Place.whole(pixels))  # compiled
    tracemalloc.start()
    look().apply(pixels, Place.whole(pixels), out=pixels, threads=2)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6e6
