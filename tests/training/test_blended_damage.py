"""Damage that depends on the place: what it does where, and that it is drawn to be reproducible."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vae_balance.color.srgb import to_encoded, to_linear
from vae_balance.training.blended_damage import (
    BLENDED_KINDS,
    BURNED_CORNER,
    VIGNETTE,
    random_blended_damage,
)

Colors = NDArray[np.float32]


def photo(side: int = 96) -> Colors:
    """Return a picture with soft and hard edges, in many colors."""
    down, right = np.mgrid[:side, :side] / side
    red = 0.2 + 0.6 * right
    green = 0.3 + 0.4 * np.sin(6.0 * down) ** 2
    blue = np.where(right > down, 0.7, 0.25)
    return np.stack([red, green, blue], axis=-1).astype(np.float32)


@pytest.mark.parametrize("kind", BLENDED_KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_a_damage_changes_one_place_otherwise_than_another(kind: str, seed: int) -> None:
    damage = random_blended_damage(np.random.default_rng(seed), kind, 1.0)
    clean = photo()
    damaged = damage(clean)
    assert damaged.shape == clean.shape and damaged.dtype == np.float32
    assert damaged.min() >= 0.0 and damaged.max() <= 1.0
    shares = damage.shares(clean)
    assert len(shares) == len(damage.functions) in (2, 3)
    assert shares.min() >= 0.0
    np.testing.assert_allclose(shares.sum(axis=0), 1.0, atol=1e-5)
    assert np.ptp(shares[-1]) > 0.25


@pytest.mark.parametrize("kind", BLENDED_KINDS)
def test_lights_are_added_up_by_their_shares(kind: str) -> None:
    damage = random_blended_damage(np.random.default_rng(9), kind, 1.0)
    clean = photo()
    lights = np.stack([to_linear(function(clean)) for function in damage.functions])
    expected = to_encoded((damage.shares(clean)[..., None] * lights).sum(axis=0))
    np.testing.assert_allclose(damage(clean), expected, atol=1e-4)


@pytest.mark.parametrize("kind", BLENDED_KINDS)
def test_the_same_chance_gives_the_same_damage(kind: str) -> None:
    first, again, other = (
        random_blended_damage(np.random.default_rng(seed), kind)(photo()) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


@pytest.mark.parametrize("kind", BLENDED_KINDS)
def test_a_damage_is_the_same_at_any_size(kind: str) -> None:
    damage = random_blended_damage(np.random.default_rng(5), kind, 1.0)
    small = damage.shares(photo(96))
    large = damage.shares(photo(192)).reshape(-1, 96, 2, 96, 2).mean(axis=(2, 4))
    assert np.abs(small - large).mean() < 0.02


def test_a_vignette_darkens_the_corners() -> None:
    rng = np.random.default_rng(1)
    shares = [random_blended_damage(rng, VIGNETTE).shares(photo())[1] for _ in range(20)]
    middle = np.mean([share[40:56, 40:56].mean() for share in shares])
    corners = np.mean([share[[0, 0, -1, -1], [0, -1, 0, -1]].mean() for share in shares])
    assert corners > middle + 0.5


def test_a_burned_corner_leaves_the_opposite_one() -> None:
    rng = np.random.default_rng(2)
    for _ in range(10):
        share = random_blended_damage(rng, BURNED_CORNER).shares(photo())[1]
        corners = np.sort(share[[0, 0, -1, -1], [0, -1, 0, -1]])
        assert corners[0] == 0.0 and corners[-1] > 0.9


def test_strengths_and_kinds_are_drawn() -> None:
    rng = np.random.default_rng(6)
    drawn = [random_blended_damage(rng) for _ in range(300)]
    assert {damage.kind for damage in drawn} == set(BLENDED_KINDS)
    strengths = [damage.strength for damage in drawn]
    assert min(strengths) < 0.5 and max(strengths) > 1.5
