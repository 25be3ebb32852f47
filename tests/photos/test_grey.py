"""Grey photos are read as three equal channels, and told from those with colors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from icc import DISPLAY_P3, SRGB_CURVE, gamma_curve, grey_profile, icc_profile
from numpy.typing import NDArray
from pictures import picture
from PIL import Image

from vae_balance.color.profile import to_srgb
from vae_balance.photos.grey import is_grey
from vae_balance.photos.photo import Photo, read_photo, write_photo
from vae_balance.photos.proxy import make_proxy


def grey(dtype: Any = np.uint8) -> NDArray[Any]:
    """Return grey values, (H, W)."""
    values = picture(40, 60)[..., 1].astype(dtype)
    return values * dtype(257) + dtype(13) if dtype == np.uint16 else values


def with_alpha(values: NDArray[Any]) -> NDArray[Any]:
    return np.dstack([values, np.full_like(values, np.iinfo(values.dtype).max // 2)])


def by_pillow(name: str, values: NDArray[Any], **options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        Image.fromarray(values).save(folder / name, **options)
        return folder / name

    return write


def by_tifffile(values: NDArray[Any], **options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        tifffile.imwrite(folder / "a.tif", values, **options)
        return folder / "a.tif"

    return write


WRITTEN = {
    "png": (by_pillow("a.png", grey()), grey()),
    "png with alpha": (by_pillow("a.png", with_alpha(grey())), with_alpha(grey())),
    "png 16": (by_pillow("a.png", grey(np.uint16)), grey(np.uint16)),
    "webp": (by_pillow("a.webp", grey(), lossless=True), grey()),
    "jpeg 2000": (by_pillow("a.jp2", grey()), grey()),
    "tiff": (by_tifffile(grey()), grey()),
    "tiff 16": (by_tifffile(grey(np.uint16)), grey(np.uint16)),
    "tiff, white is zero": (by_tifffile(255 - grey(), photometric="miniswhite"), grey()),
    "tiff float": (
        by_tifffile(grey().astype(np.float32) / 255, photometric="minisblack"),
        grey().astype(np.float32) / 255,
    ),
    "tiff with alpha": (
        by_tifffile(with_alpha(grey()), photometric="minisblack", extrasamples=["unassalpha"]),
        with_alpha(grey()),
    ),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_grey_file_is_read_as_equal_channels(tmp_path: Path, kind: str) -> None:
    write, values = WRITTEN[kind]
    photo = read_photo(write(tmp_path))
    levels = values[..., 0] if values.ndim == 3 else values
    assert photo.pixels.dtype == values.dtype
    for channel in range(3):
        np.testing.assert_array_equal(photo.pixels[..., channel], levels)
    assert photo.pixels.shape[2] == (4 if values.ndim == 3 else 3)
    if values.ndim == 3:
        np.testing.assert_array_equal(photo.pixels[..., 3], values[..., 1])
    assert is_grey(photo, make_proxy(photo))


def test_a_grey_jpeg_is_read_and_comes_out_in_color(tmp_path: Path) -> None:
    photo = read_photo(by_pillow("a.jpg", grey(), quality=95)(tmp_path))
    assert np.ptp(photo.pixels, axis=2).max() == 0
    assert np.abs(photo.pixels[..., 0].astype(int) - grey()).max() < 30
    photo.pixels[..., 0] = 255 - photo.pixels[..., 0]
    write_photo(photo, tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as written:
        assert written.mode == "RGB"


def test_a_grey_heif_file_is_read(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(Image.fromarray(grey())).save(tmp_path / "a.heic")
    photo = read_photo(tmp_path / "a.heic")
    assert np.ptp(photo.pixels, axis=2).max() == 0


def test_the_profile_of_grey_becomes_one_of_equal_channels(tmp_path: Path) -> None:
    profile = grey_profile(gamma_curve(1.0))
    path = by_pillow("a.png", grey(), icc_profile=profile)(tmp_path)
    photo = read_photo(path)
    assert photo.icc_profile is not None
    assert photo.icc_profile[16:20] == b"RGB "
    color = to_srgb(np.full((1, 3), 0.2140411), photo.icc_profile)
    np.testing.assert_allclose(color, 0.5, atol=1e-3)  # linear light of sRGB's 0.5


def test_a_damaged_profile_of_grey_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    profile = grey_profile(gamma_curve(1.0)).replace(b"kTRC", b"xTRC", 1)
    read_photo(by_pillow("a.png", grey(), icc_profile=profile)(tmp_path))
    assert "is for GRAY pictures" in caplog.text


def is_seen_grey(pixels: NDArray[Any], **details: Any) -> bool:
    photo = Photo(pixels, **details)
    return is_grey(photo, make_proxy(photo, "frame"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32])
def test_rounding_and_jpeg_leave_a_photo_grey_and_color_does_not(dtype: Any) -> None:
    full = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    levels = np.repeat(grey()[..., None] / 255 * 0.9, 3, axis=2)
    noise = np.random.default_rng(1).uniform(-1, 1, levels.shape) / 255
    assert is_seen_grey(((levels + 0.05 + noise).clip(0, 1) * full).astype(dtype))
    sepia = levels * [1.0, 0.93, 0.8]
    assert not is_seen_grey((sepia * full).astype(dtype))


def test_one_small_thing_in_color_is_enough() -> None:
    pixels = np.repeat(grey()[..., None], 3, axis=2).repeat(20, axis=0).repeat(20, axis=1)
    pixels[400, 600] = (255, 0, 0)
    assert not is_seen_grey(pixels)


def test_what_is_hidden_or_no_number_does_not_count() -> None:
    pixels = np.repeat(grey()[..., None], 4, axis=2).astype(np.float32) / 255
    pixels[..., 3] = 1
    pixels[:5, :5] = (1, 0, 0, 0)
    pixels[10, 10] = (np.nan, 0.5, 0.5, 1)
    assert is_seen_grey(pixels)
    assert not is_seen_grey(pixels, alpha="unspecified")


def test_grey_in_another_profile_is_grey() -> None:
    pixels = np.repeat(grey()[..., None], 3, axis=2)
    assert is_seen_grey(pixels, icc_profile=icc_profile(DISPLAY_P3, SRGB_CURVE))
