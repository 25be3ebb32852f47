"""The published color map that we compare ours with must learn as its author's does."""

from __future__ import annotations

import numpy as np

from vae_balance.evaluation.published_color_map import fit_published_color_map


def test_published_color_map_learns_where_colors_go_the_same_way_every_time() -> None:
    colors = np.random.default_rng(0).uniform(0.0, 1.0, (40, 40, 3)).astype(np.float32)
    targets = colors * np.array([0.7, 1.0, 0.9], np.float32) + np.float32(0.05)
    first, second = (fit_published_color_map(colors, targets)(colors) for _ in range(2))
    assert first.shape == colors.shape
    assert first.dtype == np.float32
    assert np.abs(first - targets).mean() < 0.03
    np.testing.assert_array_equal(first, second)
