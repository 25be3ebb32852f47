"""The proxy is a fair small picture of the photo, upright and in sRGB."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from icc import DISPLAY_P3, SRGB, SRGB_CURVE, gamma_curve, icc_profile
from PIL import Image, ImageOps

from vae_balance.color.profile import from_srgb
from vae_balance.errors import ImageError, OptionError
from vae_balance.photos.photo import Photo
from vae_balance.photos.proxy import GrowingProxy, make_proxy

DEPTHS = [np.uint8, np.uint16, np.float16, np.float32]


def noise(
    height: int, width: int, dtype: npt.DTypeLike = np.uint8, channels: int = 3
) -> npt.NDArray[Any]:
    values = np.random.default_rng(0).random((height, width, channels))
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    return np.round(values * np.iinfo(dtype).max).astype(dtype)


def full_scale(pixels: npt.NDArray[Any]) -> float:
    return float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else 1.0


def area_matrix(length: int) -> npt.NDArray[np.float64]:
    """How much each of 224 areas holds of each pixel, straight from the definition."""
    edges = np.arange(225) * length / 224
    pixels = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return overlap.clip(0) * 224 / length


@pytest.mark.parametrize("kind", ["centre", "frame"])
@pytest.mark.parametrize("dtype", DEPTHS)
def test_each_value_is_the_mean_of_its_area(dtype: npt.DTypeLike, kind: str) -> None:
    pixels = noise(448, 672, dtype)
    seen = pixels[:, 112:560] if kind == "centre" else pixels
    blocks = seen.astype(np.float64).reshape(224, 2, 224, -1, 3)
    expected = blocks.mean(axis=(1, 3)) / full_scale(pixels)
    assert np.abs(make_proxy(pixels, kind) - expected).max() < 1e-6


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("size", [(225, 231), (300, 1001), (500, 230)])
def test_areas_that_cut_pixels_take_their_share(size: tuple[int, int], channels: int) -> None:
    pixels = noise(*size, channels=channels)
    pixels[..., 3:] = 200
    colors = pixels[..., :3] / 255
    rows, columns = area_matrix(size[0]), area_matrix(size[1])
    expected = np.einsum("yh,hwc,xw->yxc", rows, colors, columns, optimize=True)
    assert np.abs(make_proxy(pixels, "frame") - expected).max() < 1e-6


def test_the_centre_square_sees_only_the_centre() -> None:
    pixels = np.zeros((300, 900, 3), np.uint8)
    pixels[:, 300:600] = 255
    assert make_proxy(pixels).min() > 0.999
    assert make_proxy(pixels, "frame").min() == 0.0


def test_one_pixel_fills_the_proxy() -> None:
    proxy = make_proxy(np.array([[[255, 51, 0]]], np.uint8))
    assert proxy.shape == (224, 224, 3)
    assert proxy.reshape(-1, 3).min(axis=0) == pytest.approx([1.0, 0.2, 0.0])
    assert proxy.reshape(-1, 3).max(axis=0) == pytest.approx([1.0, 0.2, 0.0])


def test_a_small_picture_is_enlarged_without_steps() -> None:
    pixels = np.array([[[0, 0, 0], [255, 255, 255]], [[0, 0, 0], [255, 255, 255]]], np.uint8)
    row = make_proxy(pixels)[100, :, 0]
    assert (row[0], row[-1]) == (0.0, 1.0)
    assert np.diff(row).min() >= 0
    assert np.diff(row).max() < 0.01


def test_a_long_thin_strip_works() -> None:
    pixels = noise(2, 20000)
    squeezed = make_proxy(pixels, "frame")
    assert squeezed.mean() == pytest.approx(pixels.mean() / 255, abs=1e-4)
    assert make_proxy(pixels).mean() == pytest.approx(pixels[:, 9999:10001].mean() / 255, abs=1e-3)


@pytest.mark.parametrize("kind", ["centre", "frame"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_proxy_is_upright(orientation: int, kind: str) -> None:
    pixels = noise(448, 672)
    tagged = Image.fromarray(pixels)
    tagged.getexif()[274] = orientation
    upright = np.asarray(ImageOps.exif_transpose(tagged))
    expected = make_proxy(upright, kind)
    result = make_proxy(Photo(pixels, orientation=orientation), kind)
    assert np.abs(result - expected).max() < 1e-6


@pytest.mark.parametrize("dtype", DEPTHS)
def test_transparent_pixels_do_not_count(dtype: npt.DTypeLike) -> None:
    pixels = np.ones((448, 448, 4), dtype)
    pixels *= np.asarray(full_scale(pixels), dtype)
    pixels[::2, :, 3] = 0
    pixels[::2, :, :3] = 0
    assert make_proxy(pixels).min() == pytest.approx(1.0, abs=1e-3)


def test_a_transparent_area_takes_the_mean_of_the_rest() -> None:
    pixels = np.full((448, 448, 4), 255, np.uint8)
    pixels[:, :224] = 0
    pixels[:, 224:, 1] = 51
    left = make_proxy(pixels)[:, :100]
    assert np.abs(left - [1.0, 0.2, 1.0]).max() < 1e-5


@pytest.mark.parametrize("alpha", [1, 20, 128])
def test_a_picture_that_is_half_transparent_all_over_counts_in_full(alpha: int) -> None:
    pixels = noise(448, 448, channels=4)
    pixels[..., 3] = alpha
    assert np.abs(make_proxy(pixels) - make_proxy(pixels[..., :3])).max() < 1e-6


@pytest.mark.parametrize("dtype", [np.uint16, np.float16, np.float32])
@pytest.mark.parametrize("power", [1, 2])
def test_what_8_bits_of_alpha_cannot_tell_from_nothing_hardly_counts(
    dtype: npt.DTypeLike, power: int
) -> None:
    """Of a ramp of alpha, some columns are transparent in 8 bits and not in more."""
    coarse = np.zeros((448, 448, 4), np.uint8)
    coarse[:] = (200, 120, 60, 0)
    coarse[:, :40, :3] = (0, 255, 0)  # of other colors where it is faint
    ramp = np.linspace(0, 1, 448) ** power
    coarse[..., 3] = np.round(ramp * 255)
    fine = (coarse / 255).astype(np.float64)
    fine[..., 3] = ramp
    scale = 1 if np.dtype(dtype).kind == "f" else 65535
    deep = (fine * scale).astype(dtype)
    assert np.abs(make_proxy(deep) - make_proxy(coarse)).mean() < 0.004


def test_a_channel_that_is_not_transparency_is_ignored() -> None:
    pixels = noise(300, 300, channels=4)
    pixels[:150, :, 3] = 0
    proxy = make_proxy(Photo(pixels, alpha="unspecified"))
    assert np.array_equal(proxy, make_proxy(pixels[..., :3]))


def test_a_wholly_transparent_picture_gives_grey() -> None:
    assert (make_proxy(np.zeros((300, 300, 4), np.uint8)) == 0.5).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_pixels_that_are_no_numbers_do_not_count(dtype: npt.DTypeLike, value: float) -> None:
    pixels = np.full((448, 448, 3), 0.25, dtype)
    pixels[::2, ::2, 1] = value
    assert np.abs(make_proxy(pixels) - 0.25).max() < 1e-6


def test_values_are_clipped_as_a_screen_shows_them() -> None:
    pixels = np.full((448, 448, 3), 0.5, np.float32)
    pixels[::2] = 9.0
    assert np.abs(make_proxy(pixels) - 0.75).max() < 1e-6


def test_a_photo_of_another_profile_has_the_proxy_of_its_srgb_version() -> None:
    profile = icc_profile(DISPLAY_P3, SRGB_CURVE)
    colors = np.kron(noise(28, 28, np.float32), np.ones((8, 8, 1), np.float32))
    photo = Photo(np.round(from_srgb(colors, profile) * 65535).astype(np.uint16), profile)
    assert np.abs(make_proxy(photo) - colors).max() < 0.001


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
def test_averages_are_those_of_srgb_whatever_the_tone_curve(
    dtype: npt.DTypeLike, gamma: float
) -> None:
    """Neighbors differ as much as they can, so that averages of linear light would be far off."""
    profile = icc_profile(SRGB, gamma_curve(gamma))
    colors = noise(500, 480, np.float32)
    if dtype == np.uint8:  # which linear light cannot hold near black
        colors = colors * 0.5 + 0.5
    encoded = from_srgb(colors, profile).clip(0, 1)
    full = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    pixels = (encoded * full + (0.5 if full > 1 else 0)).astype(dtype)
    expected = make_proxy(colors)
    assert np.abs(make_proxy(Photo(pixels, profile)) - expected).max() < 0.002
    with_alpha = np.dstack([pixels, np.full((500, 480), full, dtype)])
    assert np.abs(make_proxy(Photo(with_alpha, profile)) - expected).max() < 0.002


def test_colors_outside_of_srgb_are_clipped() -> None:
    photo = Photo(np.array([[[0, 255, 0]]], np.uint8), icc_profile(DISPLAY_P3, SRGB_CURVE))
    assert make_proxy(photo)[0, 0] == pytest.approx([0.0, 1.0, 0.0])


@pytest.mark.parametrize("rows", [1, 7, 100])
@pytest.mark.parametrize("kind", ["centre", "frame"])
@pytest.mark.parametrize("size", [(300, 421), (500, 230), (100, 90), (3, 400)])
def test_strips_make_the_same_proxy(size: tuple[int, int], kind: str, rows: int) -> None:
    pixels = noise(*size, np.float32, channels=4)
    pixels[..., 3] = pixels[..., 3] > 0.3
    pixels[0, 0, 1] = np.nan
    growing = GrowingProxy(pixels.shape, pixels.dtype, kind)
    for top in range(0, len(pixels), rows):
        growing.add(pixels[top : top + rows])
    assert np.abs(growing.finish() - make_proxy(pixels, kind)).max() < 1e-6


def test_a_very_wide_picture_takes_little_memory() -> None:
    strip = np.zeros((1, 400_000, 3), np.uint8)
    tracemalloc.start()
    growing = GrowingProxy((3, *strip.shape[1:]), strip.dtype, "frame")
    growing.add(strip)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6  # rows of the proxy as wide as the picture have a gigabyte


def test_memory_does_not_grow_with_the_picture() -> None:
    pixels = np.zeros((4000, 2000, 4), np.uint16)
    tracemalloc.start()
    make_proxy(pixels, "frame")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_the_picture_stays_as_it_was() -> None:
    pixels = noise(300, 300, np.float32, channels=4)
    pixels[0, 0, 3] = 0
    before = pixels.copy()
    make_proxy(pixels)
    assert np.array_equal(pixels, before)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(OptionError, match="proxy 'left': it must be one of centre, frame"):
        make_proxy(noise(10, 10), "left")


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 2), (0, 10, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="it must be"):
        make_proxy(np.zeros(shape, np.uint8))
