"""Classical corrections must do what their authors say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vae_balance.color.srgb import to_encoded, to_linear
from vae_balance.correctors.classical import grey_world, per_channel_stretch, shades_of_grey

Colors = NDArray[np.float32]
WARM_LIGHT = np.array([1.0, 0.8, 0.5], dtype=np.float32)


def under_warm_light(photo: Colors) -> Colors:
    return to_encoded(to_linear(photo) * WARM_LIGHT)


def greys() -> Colors:
    """Return a photo (20, 20, 3) of nothing but greys from dark to light."""
    ramp = np.linspace(0.1, 0.9, 400, dtype=np.float32).reshape(20, 20, 1)
    return np.repeat(ramp, 3, axis=2)


def test_grey_world_makes_greys_under_warm_light_grey_again() -> None:
    balanced = grey_world(under_warm_light(greys()))
    assert np.ptp(balanced, axis=-1).max() < 0.002


def test_grey_world_keeps_the_brightness() -> None:
    photo = under_warm_light(greys())
    assert abs(to_linear(grey_world(photo)).mean() - to_linear(photo).mean()) < 1e-3


def test_shades_of_grey_trusts_highlights_more_than_the_meadow() -> None:
    photo = np.empty((20, 20, 3), dtype=np.float32)
    photo[:] = (0.2, 0.5, 0.15)
    photo[:3] = 0.95
    by_highlights, by_all = (
        np.abs(correct(under_warm_light(photo))[0, 0] - np.float32(0.95)).max()
        for correct in (shades_of_grey, grey_world)
    )
    assert by_highlights < 0.75 * by_all


def test_shades_of_grey_of_norm_1_is_grey_world() -> None:
    photo = under_warm_light(greys())
    np.testing.assert_array_equal(shades_of_grey(photo, norm=1), grey_world(photo))


def test_a_black_photo_stays_black() -> None:
    black = np.zeros((4, 4, 3), dtype=np.float32)
    for correct in (grey_world, shades_of_grey, per_channel_stretch):
        np.testing.assert_array_equal(correct(black), black)


def test_stretch_discards_what_gimp_discards() -> None:
    # 0.6 % of the pixels lie apart at the dark end: GIMP's range then is 100..200.
    codes = np.repeat([20, 100, 150, 200], [6, 494, 200, 300]).astype(np.float32)
    photo = np.repeat((codes / 255.0).reshape(25, 40, 1), 3, axis=2)
    stretched = per_channel_stretch(photo)[..., 1].reshape(-1)
    np.testing.assert_allclose(stretched[[0, 6, 500, 700]], [0.0, 0.0, 0.5, 1.0], atol=1e-6)


def test_stretch_works_on_each_channel_by_itself() -> None:
    photo = greys() * np.array([1.0, 0.5, 0.25], np.float32)
    stretched = per_channel_stretch(photo)
    np.testing.assert_allclose(stretched.max(axis=(0, 1)), 1.0)
    np.testing.assert_allclose(stretched.min(axis=(0, 1)), 0.0)
