"""The color map: what it learns, and what it must never do to a picture."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vae_balance.looks.color_map import ColorMap, bin_colors, fit_color_map, least_slope

Colors = NDArray[np.float32]


def photo_colors(seed: int = 0, count: int = 6000) -> Colors:
    """Return (count, 3) colors in clusters along a grey axis, as photographs have them."""
    rng = np.random.default_rng(seed)
    light = rng.uniform(0.05, 0.95, (count, 1))
    return np.clip(light + rng.normal(0.0, 0.08, (count, 3)), 0.0, 1.0).astype(np.float32)


def mean_error(color_map: ColorMap, colors: Colors, targets: Colors) -> float:
    """Return the mean absolute difference, in parts of full scale."""
    return float(np.abs(np.clip(color_map(colors), 0, 1) - targets).mean())


def gamma_cast(colors: Colors) -> Colors:
    """Return colors with one gamma a channel and a blue veil."""
    return (colors ** np.array([1.3, 1.0, 0.7]) * 0.9 + np.array([0, 0, 0.08])).astype(np.float32)


def test_an_affine_cast_is_undone_to_a_fraction_of_a_code() -> None:
    colors = photo_colors()
    damaged = (0.8 * colors + np.array([0.15, 0.0, 0.05])).astype(np.float32)
    assert mean_error(fit_color_map(damaged, colors), damaged, colors) < 0.5 / 255


def test_curves_of_each_channel_are_undone_within_two_codes() -> None:
    colors = photo_colors()
    damaged = gamma_cast(colors)
    assert mean_error(fit_color_map(damaged, colors), damaged, colors) < 2 / 255


def test_the_hidden_layer_does_what_no_matrix_can() -> None:
    colors = photo_colors()
    damaged = gamma_cast(colors)
    learned = fit_color_map(damaged, colors)
    only_affine = ColorMap(learned.affine, learned.inner, 0.0 * learned.outer)
    error = mean_error(learned, damaged, colors)
    assert error < 0.5 * mean_error(only_affine, damaged, colors)


def test_equal_subimages_give_the_identity() -> None:
    colors = photo_colors()
    assert mean_error(fit_color_map(colors, colors), colors, colors) < 1e-4


def test_the_same_subimages_give_the_same_map_bit_for_bit() -> None:
    colors = photo_colors()
    first, second = (fit_color_map(gamma_cast(colors), colors) for _ in range(2))
    assert np.array_equal(first(colors), second(colors))


@pytest.mark.parametrize("seed", range(6))
def test_contradicting_targets_do_not_fold_the_map(seed: int) -> None:
    rng = np.random.default_rng(seed)
    colors = photo_colors(seed, 2000)
    scrambled = rng.permutation(colors) * rng.uniform(0.2, 1.0, 3).astype(np.float32)
    assert least_slope(fit_color_map(colors, scrambled)) > 0


def test_an_inverted_photo_is_not_answered_with_an_inverted_map() -> None:
    colors = photo_colors()
    assert least_slope(fit_color_map(colors, 1 - colors)) > 0


def test_a_photo_of_one_color_is_moved_to_its_target() -> None:
    one = np.full((500, 3), (0.5, 0.4, 0.3), dtype=np.float32)
    moved = fit_color_map(one, one + np.float32(0.1))(one[:1])
    np.testing.assert_allclose(moved, one[:1] + 0.1, atol=2 / 255)


def test_colors_that_the_photo_lacks_stay_near_the_smooth_trend() -> None:
    colors = photo_colors()
    warm = np.clip(colors * np.array([1.1, 1.0, 0.9]), 0, 1).astype(np.float32)
    green = np.array([[0.1, 0.9, 0.1]], dtype=np.float32)
    moved = fit_color_map(colors, warm)(green)
    np.testing.assert_allclose(moved, green * np.array([1.1, 1.0, 0.9]), atol=0.12)


def test_least_slope_of_known_maps() -> None:
    nothing = (np.zeros((4, 1)), np.zeros((1, 3)))
    assert least_slope(ColorMap(np.zeros((4, 3)), *nothing)) == pytest.approx(1.0, abs=1e-4)
    inverted = np.concatenate([-2 * np.eye(3), np.ones((1, 3))])
    assert least_slope(ColorMap(inverted, *nothing)) == pytest.approx(-1.0, abs=1e-4)


def test_bins_weigh_colors_by_their_pixels() -> None:
    colors = np.repeat(np.array([[0.1, 0.1, 0.1], [0.9, 0.9, 0.9]], dtype=np.float32), [3, 1], 0)
    means, targets, weights = bin_colors(colors, colors + np.float32(0.05))
    np.testing.assert_allclose(means, [[0.1] * 3, [0.9] * 3], rtol=1e-6)
    np.testing.assert_allclose(targets, means + 0.05, rtol=1e-5)
    np.testing.assert_allclose(weights, [0.75, 0.25])


def lightened() -> tuple[ColorMap, Colors]:
    """Return a map that leaves 0..1 at both ends, and a photo for it."""
    colors = photo_colors()
    nothing = (np.zeros((4, 1)), np.zeros((1, 3)))
    return ColorMap(np.concatenate([0.3 * np.eye(3), -0.15 * np.ones((1, 3))]), *nothing), colors


def test_shoulders_keep_a_photo_in_range_and_its_colors_apart() -> None:
    color_map, colors = lightened()
    ramp = np.repeat(np.linspace(0.0, 1.0, 1001, dtype=np.float32)[:, None], 3, axis=1)
    plain, kept = color_map(ramp), color_map.within(colors)(ramp)
    assert plain.min() < -0.1 and plain.max() > 1.1
    assert kept.min() >= 0.0 and kept.max() <= 1.0
    mine = (ramp[:, 0] >= colors.min()) & (ramp[:, 0] <= colors.max())
    assert (np.diff(kept[mine], axis=0) > 1e-5).all()
    inside = (plain > 0.04) & (plain < 0.96)
    np.testing.assert_array_equal(kept[inside], plain[inside])
    assert np.abs(kept - plain.clip(0.0, 1.0)).max() < 0.03


def test_a_map_that_stays_in_range_gets_no_shoulders() -> None:
    colors = photo_colors()
    color_map = fit_color_map(colors, (0.1 + 0.8 * colors).astype(np.float32))
    np.testing.assert_array_equal(color_map.within(colors)(colors), color_map(colors))
    same = fit_color_map(colors, colors).within(colors)
    np.testing.assert_array_equal(same(colors), colors)
