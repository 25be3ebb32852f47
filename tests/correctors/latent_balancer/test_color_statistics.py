"""Numbers that tell how bright and how colorful a photo's pixels are."""

from __future__ import annotations

import numpy as np

from vae_balance.correctors.latent_balancer.color_statistics import STATISTICS, color_statistics

OF_ONE = STATISTICS // 5


def test_a_photo_of_one_color_has_that_color_everywhere() -> None:
    photo = np.broadcast_to(np.array([0.2, 0.4, 0.6], np.float32), (224, 224, 3))
    red, green, blue, luma, span = color_statistics(photo).reshape(5, OF_ONE)
    for values, expected in ((red, 0.2), (green, 0.4), (blue, 0.6), (span, 0.4)):
        np.testing.assert_allclose(values, expected, atol=0.5 / 255 + 1e-6)
    np.testing.assert_allclose(luma, 0.2126 * 0.2 + 0.7152 * 0.4 + 0.0722 * 0.6, atol=0.0021)


def test_a_scaled_photo_has_scaled_statistics() -> None:
    rng = np.random.default_rng(0)
    photo = rng.uniform(size=(64, 64, 3)).astype(np.float32)
    np.testing.assert_allclose(
        color_statistics(0.4 * photo), 0.4 * color_statistics(photo), atol=1.01 / 255
    )


def test_where_pixels_lie_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    photo = rng.uniform(size=(64, 64, 3)).astype(np.float32)
    np.testing.assert_array_equal(color_statistics(photo), color_statistics(photo[::-1, ::-1]))
