"""TIFF files whose colors are multiplied by alpha, also where they are brighter than it allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from vae_balance.color.lut import Lut3D
from vae_balance.color.profile import apply_in_profile
from vae_balance.photos.photo import read_photo, write_photo


def glowing(dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """All alphas across, all values of a channel down; most are brighter than alpha allows."""
    if np.dtype(dtype).kind == "u":
        steps = np.linspace(0, np.iinfo(dtype).max, 256)
    else:
        steps = np.linspace(0, 2, 256)
    value, alpha = np.meshgrid(steps, steps, indexing="ij")
    alpha = alpha.clip(0, np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1)
    return np.stack([value, value[::-1], value * 0.3, alpha], axis=-1).astype(dtype)


def written(path: Path, pixels: npt.NDArray[Any]) -> Path:
    tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=["assocalpha"])
    return path


@pytest.mark.parametrize("strength", [0.0, 1.0])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16])
def test_what_is_not_changed_stays_bit_for_bit(
    tmp_path: Path, dtype: npt.DTypeLike, strength: float
) -> None:
    pixels = glowing(dtype)
    photo = read_photo(written(tmp_path / "a.tif", pixels))
    look = Lut3D.identity()
    if strength == 0.0:
        look = Lut3D.from_function(lambda colors: colors**0.5, 33).blended(0.0)
    apply_in_profile(look, photo.pixels, None, out=photo.pixels)
    write_photo(photo, tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].extrasamples == (1,)
        assert file.pages[0].dtype == dtype
        assert np.array_equal(file.asarray(), pixels)


def test_float32_is_kept_to_the_last_bit_but_one(tmp_path: Path) -> None:
    pixels = glowing(np.float32)
    write_photo(read_photo(written(tmp_path / "a.tif", pixels)), tmp_path / "b.tif")
    np.testing.assert_array_max_ulp(tifffile.imread(tmp_path / "b.tif"), pixels, 1)


def test_a_glow_follows_the_look(tmp_path: Path) -> None:
    pixels = np.full((4, 4, 4), (200, 100, 50, 10), np.uint8)
    photo = read_photo(written(tmp_path / "a.tif", pixels))
    darker = Lut3D.from_function(lambda colors: colors * 0.5, 33)
    apply_in_profile(darker, photo.pixels, None, out=photo.pixels)
    write_photo(photo, tmp_path / "b.tif")
    after = tifffile.imread(tmp_path / "b.tif")[0, 0]
    assert after[3] == 10
    assert 190 < after[0] < 200  # white of this alpha has become 5 darker, and so has the glow


@pytest.mark.parametrize(("dtype", "expected"), [(np.uint8, np.uint8), (np.uint16, np.uint16)])
def test_other_formats_keep_the_depth(
    tmp_path: Path, dtype: npt.DTypeLike, expected: npt.DTypeLike
) -> None:
    write_photo(read_photo(written(tmp_path / "a.tif", glowing(dtype))), tmp_path / "b.png")
    assert read_photo(tmp_path / "b.png").pixels.dtype == expected
