"""Colors for grey photos: they keep the lightness, and how a photo is cut has no influence."""

from __future__ import annotations

from typing import Any

import icc
import numpy as np
import pytest
from numpy.typing import NDArray

from vae_balance.color.cielab import srgb_to_lab
from vae_balance.color.profile import to_srgb
from vae_balance.errors import LutError, OptionError
from vae_balance.looks.chroma_map import ChromaLook
from vae_balance.looks.guided_filter import guided_coefficients
from vae_balance.looks.look import Place
from vae_balance.looks.origin import UNKNOWN
from vae_balance.looks.packed import unpack_look
from vae_balance.photos.pixels import upright

Floats = NDArray[np.float32]


def grey(height: int, width: int, dtype: str = "uint8", channels: int = 3) -> NDArray[Any]:
    """Return a grey picture with edges, a ramp and some grain."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:height, :width]
    values = 0.15 + 0.7 * columns / width + 0.1 * (rows * 4 // height % 2)
    values = np.clip(values + rng.normal(0.0, 0.02, values.shape), 0.0, 1.0)
    full = np.iinfo(dtype).max if dtype != "float32" else 1.0
    picture = np.repeat((values * full)[..., None], channels, axis=2)
    picture[..., 3:] *= 0.5
    return (np.rint(picture) if full > 1 else picture).astype(dtype)


def along_edges(
    lightness: NDArray[Any], chroma: NDArray[Any], keep_tone: bool = False
) -> ChromaLook:
    """Return the look of a proxy's L* (h, w), 0..100, and of its a* and b* (2, h, w)."""
    slopes, offsets = guided_coefficients(lightness / np.float32(100.0), chroma)
    return ChromaLook(slopes, offsets, keep_tone, UNKNOWN)


def colorful(scale: float = 40.0, keep_tone: bool = False) -> ChromaLook:
    """Return a look with strong colors that change over the frame."""
    rows, columns = np.mgrid[:56, :56] / 56.0
    chroma = scale * np.stack([np.sin(5 * rows + 2 * columns), np.cos(4 * columns)])
    lightness = 100.0 * (0.2 + 0.6 * columns)
    return along_edges(lightness.astype(np.float32), chroma.astype(np.float32), keep_tone)


def test_pixels_get_the_planes_colors() -> None:
    chroma = np.broadcast_to(np.array([20.0, -10.0], np.float32)[:, None, None], (2, 56, 56))
    flat = np.full((56, 56), 50.0, np.float32)
    look = along_edges(flat, chroma.copy())
    pixels = np.full((40, 60, 3), 0.5, np.float32)
    lab = srgb_to_lab(look.apply(pixels, Place.whole(pixels)))
    np.testing.assert_allclose(lab[..., 1:], np.broadcast_to([20.0, -10.0], (40, 60, 2)), atol=0.05)


@pytest.mark.parametrize("scale", [20.0, 100.0])
@pytest.mark.parametrize(("dtype", "bound"), [("uint8", 0.5), ("uint16", 0.01), ("float32", 0.01)])
def test_lightness_stays_even_where_colors_must_give_way(
    dtype: str, bound: float, scale: float
) -> None:
    pixels = grey(90, 140, dtype)
    colored = colorful(scale).apply(pixels, Place.whole(pixels))
    full = np.iinfo(dtype).max if dtype != "float32" else 1.0
    before, after = (srgb_to_lab((p / full).astype(np.float32)) for p in (pixels, colored))
    assert np.abs(before[..., 0] - after[..., 0]).max() < bound
    assert np.hypot(after[..., 1], after[..., 2]).mean() > 10.0
    assert after.shape == pixels.shape
    assert colored.dtype == pixels.dtype


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("cut", [1, 7, 64])
def test_strips_are_bit_for_bit_the_whole(dtype: str, cut: int) -> None:
    pixels, look = grey(131, 97, dtype, 4), colorful()
    whole = look.apply(pixels, Place.whole(pixels))
    for left, right in ((0, 97), (13, 60)):
        parts = [
            look.apply(pixels[top : top + cut, left:right], Place(97, 131, left, top))
            for top in range(0, 131, cut)
        ]
        np.testing.assert_array_equal(np.concatenate(parts), whole[:, left:right])
    np.testing.assert_array_equal(whole[..., 3], pixels[..., 3])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_has_the_colors_of_the_upright_one(orientation: int) -> None:
    look, stored = colorful(), grey(60, 90)
    place = Place.whole(stored, orientation)
    shown = np.ascontiguousarray(upright(stored, orientation))
    expected = look.apply(shown, Place.whole(shown))
    turned = upright(look.apply(stored, place), orientation)
    assert np.abs(turned.astype(int) - expected.astype(int)).max() <= 1


def test_in_place_is_the_same() -> None:
    pixels, look = grey(50, 40, "uint16", 4), colorful()
    expected = look.apply(pixels, Place.whole(pixels))
    assert look.apply(pixels, Place.whole(pixels), out=pixels) is pixels
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.5])
def test_strength_scales_the_color(strength: float) -> None:
    pixels, look = grey(50, 40, "float32") * 0.4 + 0.3, colorful(10.0)
    once, scaled = (
        srgb_to_lab(look.apply(pixels, Place.whole(pixels), strength=s))[..., 1:]
        for s in (1.0, strength)
    )
    np.testing.assert_allclose(scaled, strength * once, atol=0.05)


def test_a_tone_is_dropped_or_kept() -> None:
    sepia = grey(50, 40, "float32") * np.array([0.9, 0.8, 0.65], np.float32)
    dropped = colorful(5.0).apply(sepia, Place.whole(sepia), strength=0.0)
    assert np.ptp(dropped, axis=2).max() < 1e-3
    kept = colorful(5.0, True).apply(sepia, Place.whole(sepia), strength=0.0)
    np.testing.assert_allclose(kept, sepia, atol=1e-3)


def test_a_profile_is_honored() -> None:
    pixels, look = grey(50, 40, "uint16"), colorful(10.0)
    profile = icc.icc_profile(icc.ADOBE_RGB, icc.gamma_curve(2.2))
    colored = look.apply(pixels, Place.whole(pixels), profile)
    before, after = (srgb_to_lab(to_srgb(p / 65535, profile).clip(0, 1)) for p in (pixels, colored))
    assert np.abs(before[..., 0] - after[..., 0]).max() < 0.05
    plain = to_srgb(pixels / 65535, profile).clip(0, 1)
    expected = srgb_to_lab(look.apply(plain, Place.whole(plain)))
    assert np.abs(after - expected).max() < 0.3


def test_what_is_no_number_and_what_is_above_white_stays() -> None:
    pixels = np.full((4, 4, 3), 0.5, np.float32)
    pixels[0, 0], pixels[1, 1], pixels[2, 2] = np.nan, 2.0, np.inf
    colored = colorful().apply(pixels, Place.whole(pixels))
    assert np.isnan(colored[0, 0]).all()
    np.testing.assert_allclose(colored[1, 1], 2.0, atol=1e-3)
    assert np.isinf(colored[2, 2]).all()
    assert np.isfinite(colored[3, 3]).all()


def test_colors_stop_at_edges_that_the_network_did_not_draw() -> None:
    """A blurred border between two colors follows the sharp one of the lightness."""
    columns = np.arange(224)
    lightness = np.broadcast_to(np.where(columns < 112, 0.3, 0.7), (224, 224)).astype(np.float32)
    soft = np.clip((columns - 104) / 16.0, 0.0, 1.0)
    planes = np.broadcast_to(40.0 * soft - 20.0, (2, 224, 224)).astype(np.float32)
    slopes, offsets = guided_coefficients(lightness, planes)
    followed = (slopes * lightness + offsets)[0, 112]
    assert abs(followed[111] - followed[112]) > 12.0
    assert abs(planes[0, 112, 111] - planes[0, 112, 112]) < 4.0


def test_a_look_survives_the_way_to_another_process() -> None:
    look, pixels = colorful(), grey(20, 30)
    again = unpack_look(look.to_bytes())
    assert again.digest() == look.digest() != colorful(39.0).digest()
    np.testing.assert_array_equal(
        again.apply(pixels, Place.whole(pixels)), look.apply(pixels, Place.whole(pixels))
    )
    for broken in (b"", b"\x00", look.to_bytes()[:-9]):
        with pytest.raises(LutError, match="not a look"):
            unpack_look(broken)


def test_planes_that_are_no_numbers_are_refused() -> None:
    planes = np.full((2, 4, 4), np.nan, np.float32)
    with pytest.raises(LutError, match="finite"):
        ChromaLook(planes, planes, False, UNKNOWN)
    with pytest.raises(LutError, match="shape"):
        ChromaLook(np.zeros((2, 4, 4), np.float32), np.zeros((2, 4, 5), np.float32), False, UNKNOWN)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"\(4, 4\): it must be \(H, W, 3\) or \(H, W, 4\)"),
        (np.zeros((4, 4, 3), np.float64), "float64: convert to one of uint8"),
    ],
)
def test_what_are_no_pixels_is_refused(pixels: NDArray[Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        colorful().apply(pixels, Place(4, 4))


def test_a_picture_without_pixels_stays_one() -> None:
    empty = np.zeros((4, 0, 3), np.uint8)
    assert colorful().apply(empty, Place(1, 4)).shape == empty.shape
