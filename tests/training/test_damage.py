"""Random damage: what training pairs are made of."""

from __future__ import annotations

import numpy as np
import pytest

from vae_balance.training.damage import KIND_NAMES, random_damage, undamaged


def colors(count: int = 500, seed: int = 0) -> np.ndarray:
    """Return random colors (count, 3) in 0..1."""
    return np.random.default_rng(seed).uniform(0, 1, (count, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", KIND_NAMES)
@pytest.mark.parametrize("strength", [0.3, 1.0, 1.5])
def test_damaged_colors_are_colors(kind: str, strength: float) -> None:
    for seed in range(10):
        damaged = random_damage(np.random.default_rng(seed), kind, strength)(colors())
        assert damaged.dtype == np.float32
        assert np.isfinite(damaged).all()
        assert damaged.min() >= 0.0
        assert damaged.max() <= 1.0


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_damage_is_a_function_of_the_color_alone(kind: str) -> None:
    damage = random_damage(np.random.default_rng(1), kind, 1.0)
    order = np.random.default_rng(2).permutation(500)
    np.testing.assert_allclose(damage(colors()[order]), damage(colors())[order], atol=1e-6)


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_damage_grows_with_its_strength(kind: str) -> None:
    def change(strength: float) -> float:
        draws = (random_damage(np.random.default_rng(i), kind, strength) for i in range(30))
        return float(np.mean([np.abs(d(colors()) - colors()).mean() for d in draws]))

    weak, strong = change(0.2), change(1.2)
    assert 0.003 < weak < strong
    assert strong > 0.04


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_no_strength_is_nearly_no_damage(kind: str) -> None:
    draws = (random_damage(np.random.default_rng(i), kind, 1e-6) for i in range(20))
    # Film tells nothing apart below a density of 3: a fortieth of full scale at the black end.
    # Neon lamps are set brighter by an eighth.
    assert np.mean([np.abs(d(colors()) - colors()).mean() for d in draws]) < 0.05


def test_the_same_state_of_chance_gives_the_same_damage() -> None:
    first, second = (random_damage(np.random.default_rng(5)) for _ in range(2))
    assert first.kind == second.kind
    np.testing.assert_array_equal(first(colors()), second(colors()))


def test_kinds_and_strengths_are_drawn_all_over() -> None:
    rng = np.random.default_rng(0)
    drawn = [random_damage(rng) for _ in range(400)]
    assert {damage.kind for damage in drawn} == set(KIND_NAMES)
    strengths = [damage.strength for damage in drawn]
    assert min(strengths) < 0.3
    assert max(strengths) > 1.3


def test_baking_keeps_the_damage() -> None:
    damage = random_damage(np.random.default_rng(3), "expired film", 0.8)
    # Curves as steep as this film's bend within the first cell of a LUT, hence a mean.
    assert np.abs(damage.lut(33)(colors()) - damage(colors())).mean() < 0.001


def test_undamaged_changes_nothing() -> None:
    np.testing.assert_array_equal(undamaged()(colors()), colors())
