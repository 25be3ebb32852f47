"""Which photos are grey, with or without a tone, and how colorful others are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage import data
from skimage.color import rgb2lab

from vae_balance.color.cielab import srgb_to_lab
from vae_balance.color.colorfulness import colorfulness
from vae_balance.color.lab import lab_to_srgb
from vae_balance.color.lab import srgb_to_lab as torch_lab
from vae_balance.color.toning import toning_of

Colors = NDArray[np.float32]


def photo(name: str = "astronaut") -> Colors:
    return (getattr(data, name)()[::4, ::4, :3] / 255.0).astype(np.float32)


def grey() -> Colors:
    luma = photo() @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    return np.repeat(luma[..., None], 3, axis=2)


def toned(dark: tuple[float, ...], light: tuple[float, ...]) -> Colors:
    """Return the grey photo printed from a dark tone to a light one."""
    return (np.array(dark) + grey() * (np.array(light) - np.array(dark))).astype(np.float32)


SEPIA = ((0.12, 0.07, 0.02), (1.0, 0.93, 0.78))
SELENIUM = ((0.05, 0.02, 0.08), (0.97, 0.96, 0.98))
CYANOTYPE = ((0.0, 0.1, 0.25), (0.93, 0.96, 0.98))


def test_lab_is_that_of_scikit_image() -> None:
    """Both libraries round the matrix of sRGB in another digit."""
    colors = photo()
    np.testing.assert_allclose(srgb_to_lab(colors), rgb2lab(colors), atol=0.05)
    planes = torch.from_numpy(colors).permute(2, 0, 1)[None]
    torch.testing.assert_close(lab_to_srgb(torch_lab(planes)), planes, atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("tone", [SEPIA, SELENIUM, CYANOTYPE])
def test_a_toned_photo_is_grey_and_not_neutral(tone: tuple[tuple[float, ...], ...]) -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.01, photo().shape)
    for picture in (toned(*tone), (toned(*tone) + noise).clip(0, 1).astype(np.float32)):
        found = toning_of(picture)
        assert found.is_grey
        assert not found.is_neutral


def test_a_grey_photo_is_neutral() -> None:
    found = toning_of(grey())
    assert found.is_grey
    assert found.is_neutral


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_a_photo_with_colors_is_not_grey(name: str) -> None:
    assert not toning_of(photo(name)).is_grey


def test_a_sheet_of_one_strong_color_is_not_grey() -> None:
    assert not toning_of(np.full((32, 32, 3), (0.5, 0.0, 0.0), np.float32)).is_grey


def test_one_flower_on_a_grey_photo_is_color() -> None:
    picture = grey()
    picture[10:40, 10:40] *= np.array([1.0, 0.4, 0.4], np.float32)
    assert not toning_of(picture).is_grey


def stamped(picture: Colors, sideways: bool = False) -> Colors:
    """Return a picture with a camera's date near the corner, in orange with a dark edge."""
    image = Image.fromarray((255.0 * picture).round().astype(np.uint8))
    image = image.transpose(Image.Transpose.ROTATE_90) if sideways else image
    place = (image.width * 0.7, image.height * 0.93)
    ImageDraw.Draw(image).text(
        place, "98 7 24", fill=(255, 140, 40), stroke_width=1, stroke_fill=(120, 40, 0)
    )
    image = image.transpose(Image.Transpose.ROTATE_270) if sideways else image
    return np.asarray(image, np.float32) / np.float32(255.0)


@pytest.mark.parametrize("sideways", [False, True])
@pytest.mark.parametrize("tone", [None, SEPIA, CYANOTYPE])
def test_a_grey_photo_with_an_orange_date_is_grey(
    tone: tuple[tuple[float, ...], ...] | None, sideways: bool
) -> None:
    large = np.kron(toned(*tone) if tone else grey(), np.ones((2, 2, 1), np.float32))
    picture = stamped(large, sideways)
    assert np.abs(picture - large).max() > 0.3
    found = toning_of(picture)
    assert found.is_grey
    assert found.is_neutral == (tone is None)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_a_photo_with_colors_and_a_date_is_not_grey(name: str) -> None:
    assert not toning_of(stamped(photo(name))).is_grey


def test_one_strip_may_have_colors_and_not_two() -> None:
    once = stamped(np.kron(grey(), np.ones((2, 2, 1), np.float32)))
    assert toning_of(once).is_grey
    assert not toning_of(stamped(once[::-1])).is_grey


def test_colorfulness_is_the_published_formula() -> None:
    red, grey_picture = torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.4)
    red[:, 0] = 1.0
    assert colorfulness(grey_picture).item() == pytest.approx(0.0, abs=1e-4)
    # All pixels alike: 0.3 times the length of (255, 127.5).
    assert colorfulness(red).item() == pytest.approx(0.3 * np.hypot(255.0, 127.5), rel=1e-5)
    half = red.clone()
    half[..., 4:] = torch.tensor([0.0, 1.0, 0.0])[:, None, None]
    # Red and green: rg is +-255 (deviation 255, mean 0), yb is 127.5 everywhere.
    assert colorfulness(half).item() == pytest.approx(255.0 + 0.3 * 127.5, rel=1e-5)
