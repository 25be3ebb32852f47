"""The Python API: what comes back is what went in, with other colors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from icc import DISPLAY_P3, SRGB_CURVE, icc_profile
from numpy.typing import NDArray
from pictures import picture
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from vae_balance import Balancer
from vae_balance.api import Picture
from vae_balance.correctors.latent_balancer.learn import BalancedLook
from vae_balance.errors import ImageError, ModelError, OptionError
from vae_balance.photos.photo import Photo
from vae_balance.photos.sample import SAMPLE, cast


@pytest.fixture(scope="module")
def balancer(random_model: Path) -> Balancer:
    return Balancer(str(random_model), "cpu")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32])
@pytest.mark.parametrize("channels", [3, 4])
def test_an_array_comes_back_in_its_shape_and_depth(
    balancer: Balancer, dtype: type, channels: int
) -> None:
    full = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1.0
    rgba = np.dstack([picture(), picture()[..., :1]]) / 255.0
    pixels: NDArray[Any] = (rgba[..., :channels] * full).astype(dtype)
    given = pixels.copy()
    balanced = balancer.balance(pixels)
    assert (balanced.shape, balanced.dtype) == (pixels.shape, pixels.dtype)
    np.testing.assert_array_equal(pixels, given)
    assert not np.array_equal(balanced[..., :3], pixels[..., :3])
    np.testing.assert_array_equal(balanced[..., 3:], pixels[..., 3:])


def test_a_pillow_image_gives_a_pillow_image_of_the_same_pixels(balancer: Balancer) -> None:
    image = Image.fromarray(picture())
    image.info["icc_profile"] = b"kept"
    balanced = balancer.balance(image, iterations=2)
    assert balanced.info["icc_profile"] == b"kept"
    np.testing.assert_array_equal(balanced, balancer.balance(picture(), iterations=2))


def test_a_photo_is_balanced_in_its_own_profile(balancer: Balancer) -> None:
    profile = icc_profile(DISPLAY_P3, SRGB_CURVE)
    photo = Photo(picture(), icc_profile=profile)
    look = balancer.learn(photo)
    balanced = balancer.apply(look, photo)
    assert balanced.icc_profile == profile
    as_if_srgb = balancer.apply(look, picture())
    assert not np.array_equal(balanced.pixels, as_if_srgb)


def test_a_look_of_one_photo_fits_another(balancer: Balancer) -> None:
    look = balancer.learn(picture(seed=1))
    other = picture(height=33, width=90, seed=2)
    assert look.lut is not None
    np.testing.assert_array_equal(balancer.apply(look, other), balancer.apply(look.lut, other))


def test_a_roll_gives_one_look(balancer: Balancer) -> None:
    image = Image.fromarray(picture(seed=2))
    roll: list[Picture] = [picture(seed=1), image, Photo(picture(seed=3))]
    look = balancer.learn(roll)
    assert isinstance(look, BalancedLook)
    assert len(look.rounds[0].proxies) == 3


def test_options_reach_the_look(balancer: Balancer) -> None:
    look = balancer.learn(picture(), iterations=2, strength=0.5, seed=3, size=9, proxy="frame")
    assert isinstance(look, BalancedLook)
    assert (look.options.iterations, look.options.strength, look.options.seed) == (2, 0.5, 3)
    assert look.lut.size == 9


@pytest.mark.parametrize(
    ("mode", "advice"), [("CMYK", "convert it to RGB"), ("I;16", r"numpy\.asarray\(image\)")]
)
def test_an_image_of_another_mode_is_refused(balancer: Balancer, mode: str, advice: str) -> None:
    """What is advised loses nothing: Pillow makes white of 16 bits that it converts."""
    with pytest.raises(OptionError, match=f"mode {mode}: .*{advice}"):
        balancer.learn(Image.new(mode, (8, 8)))


RAMP = np.arange(0, 192, 3, dtype=np.uint8).reshape(8, 8)


@pytest.mark.parametrize("grey", [Image.fromarray(RAMP), np.stack([RAMP] * 3, axis=-1)])
def test_grey_is_refused_by_a_model_that_balances_colors(balancer: Balancer, grey: Picture) -> None:
    with pytest.raises(ImageError, match=r"is grey.*colorize"):
        balancer.learn(grey)


@pytest.mark.parametrize("color", [(128, 128, 128), (0, 0, 0), (255, 0, 0)])
def test_a_picture_of_a_single_color_is_left_as_it_is(
    balancer: Balancer, color: tuple[int, int, int]
) -> None:
    plain = np.full((60, 80, 3), color, np.uint8)
    np.testing.assert_array_equal(balancer.balance(plain), plain)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ModelError, match="no such model"):
        Balancer("no-such-model")


def test_the_embedded_model_removes_most_of_acast() -> None:
    photo = np.asarray(Image.open(SAMPLE), dtype=np.float32) / 255.0
    damaged = cast(photo).astype(np.float32)
    balanced = Balancer(device="cpu").balance(damaged).clip(0.0, 1.0)
    truth, before, after = (rgb2lab(x[::4, ::4]) for x in (photo, damaged, balanced))
    assert deltaE_ciede2000(after, truth).mean() < 0.6 * deltaE_ciede2000(before, truth).mean()
