"""Safe LUTs: colors of a photo keep their places, greys their order; nothing else is touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vae_balance.color.lut import Lut3D
from vae_balance.looks.color_cells import cells_around, corners_of, occupied_cells
from vae_balance.looks.color_map import fit_color_map
from vae_balance.looks.safe_lut import baked, made_safe, safety_of
from vae_balance.luts.cube import format_cube, parse_cube

Colors = NDArray[np.float32]


def photo() -> Colors:
    """Return colors (5000, 3) about the grey axis."""
    rng = np.random.default_rng(0)
    light = rng.uniform(0.05, 0.95, (5000, 1))
    return np.clip(light + rng.normal(0.0, 0.05, (5000, 3)), 0.0, 1.0).astype(np.float32)


def warm() -> Lut3D:
    """Return a LUT of gammas that harms nothing."""
    return Lut3D.from_function(lambda colors: colors ** np.array([0.9, 1.0, 1.2]))


def dented(lut: Lut3D, node: tuple[int, int, int], depth: float) -> Lut3D:
    """Return the LUT with one node drawn toward black."""
    table = lut.table.copy()
    table[node] -= depth
    return Lut3D(table.clip(0.0, 1.0), "dented", ("one",))


def test_a_safe_lut_stays_as_it_is_to_the_last_bit() -> None:
    for lut in (warm(), Lut3D.identity(), Lut3D.identity(2)):
        assert safety_of(lut, photo()).safe
        assert made_safe(lut, photo()) is lut


def test_a_fold_in_colors_of_the_photo_is_found_and_ironed_out() -> None:
    folded = dented(warm(), (16, 17, 15), 0.2)
    assert safety_of(folded, photo()).unfolded < 1.0
    mended = made_safe(folded, photo())
    assert safety_of(mended, photo()).unfolded == 1.0
    assert (mended.title, mended.comments) == ("dented", ("one",))


def test_what_is_mended_is_the_fold_and_what_lies_about_it() -> None:
    folded = dented(warm(), (16, 17, 15), 0.2)
    mended = made_safe(folded, photo())
    far = np.abs(np.indices((33,) * 3).T - np.array([15, 17, 16])).max(axis=-1).T > 5
    np.testing.assert_allclose(mended.table[far], folded.table[far], atol=1e-6)
    assert np.abs(mended.table - warm().table).max() < 0.05


def test_a_fold_where_the_photo_has_no_colors_harms_it_not() -> None:
    folded = dented(warm(), (30, 2, 2), 0.2)
    assert safety_of(folded, photo()).safe
    assert made_safe(folded, photo()) is folded


def test_colors_that_become_one_count_as_folded() -> None:
    clipped = Lut3D.from_function(lambda colors: np.minimum(colors, 0.5))
    assert safety_of(clipped, photo()).unfolded < 0.6


@pytest.mark.parametrize("depth", [0.05, 0.4])
def test_greys_that_change_places_are_put_in_order(depth: float) -> None:
    falling = dented(warm(), (20, 20, 20), depth)
    assert safety_of(falling, photo()).least_step < 0
    mended = made_safe(falling, photo())
    assert safety_of(mended, photo()).safe
    greys = mended.table[np.arange(33), np.arange(33), np.arange(33)]
    assert (np.diff(greys, axis=0) > 0.0).all()


def test_greys_that_are_all_but_one_get_apart() -> None:
    # Between nodes that are nearly the same, rounding to 16 bits could let a grey fall by a code.
    flat = Lut3D.from_function(lambda colors: 0.5 + 1e-5 * (colors - 0.5))
    mended = made_safe(flat, photo())
    assert mended.table[32, 32, 32].min() - mended.table[0, 0, 0].max() > 0.009
    assert safety_of(mended, photo()).least_step >= 0


def test_greys_may_end_in_pure_black_and_white() -> None:
    ends = Lut3D.from_function(lambda colors: ((colors - 0.1) * 1.25).clip(0.0, 1.0))
    inner = photo() * 0.6 + 0.2
    assert safety_of(ends, inner).safe
    assert made_safe(ends, inner) is ends


def test_a_step_that_is_seen_as_a_band_is_not_safe() -> None:
    gentle = Lut3D.from_function(lambda colors: 0.6 * colors + 0.3 * (colors > 0.5), 129)
    safety = safety_of(gentle, photo())
    assert safety.safe
    assert safety.greatest_step == pytest.approx(39, abs=1)
    steep = Lut3D.from_function(lambda colors: (colors > 0.5).astype(float), 129)
    safety = safety_of(steep, photo())
    assert not safety.safe
    assert safety.greatest_step == pytest.approx(128, abs=1)


def test_the_cells_of_a_photo_are_those_its_colors_lie_in() -> None:
    colors = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.99, 0.5, 0.2]], np.float32)
    cells = occupied_cells(colors, 5)
    assert cells.tolist() == [[0, 0, 0], [3, 2, 0], [3, 3, 3]]
    assert len(corners_of(cells, 5)) == 3 * 8
    assert np.unique(cells_around(cells[:1], 1, 5), axis=0).tolist() == [
        [r, g, b] for r in (0, 1) for g in (0, 1) for b in (0, 1)
    ]


def noise(colors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return colors that have nothing to do with those given."""
    return np.random.default_rng(1).uniform(0.0, 1.0, colors.shape)


@pytest.mark.parametrize(
    "function",
    [
        lambda colors: np.full_like(colors, 0.5),
        lambda colors: 1.0 - colors,
        lambda colors: colors[:, ::-1],
        lambda colors: (colors > 0.5).astype(float),
        lambda colors: np.clip(3.0 * colors - 1.0, 0.0, 1.0),
        lambda colors: colors * np.array([1.0, 1.0, 0.0]),
        noise,
    ],
    ids=["one color", "negative", "swapped", "posterized", "clipped", "no blue", "noise"],
)
@pytest.mark.parametrize("size", [2, 17, 33])
def test_whatever_the_lut_it_becomes_safe(function: Any, size: int) -> None:
    harmful = Lut3D.from_function(function, size)
    mended = made_safe(harmful, photo())
    assert safety_of(mended, photo()).safe
    assert 0.0 <= mended.table.min() <= mended.table.max() <= 1.0


def test_what_ironing_cannot_mend_is_drawn_toward_no_change_as_little_as_it_takes() -> None:
    no_blue = Lut3D.from_function(lambda colors: colors * np.array([1.0, 1.0, 0.0]))
    assert safety_of(no_blue, photo()).unfolded == 0.0
    mended = made_safe(no_blue, photo())
    assert safety_of(mended, photo()).unfolded == 1.0
    assert 0.0 < np.abs(mended(photo()) - no_blue(photo())).mean() < 0.05


def crushed() -> tuple[Colors, Colors]:
    """Return colors of which much is lost, and what they were."""
    true = photo()
    lost = 0.5 + 0.02 * np.tanh(6.0 * (true - 0.5)) * np.array([1.0, 3.0, 0.2])
    return lost.astype(np.float32), true


@pytest.mark.parametrize("strength", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("rounds", [1, 3])
def test_maps_that_take_apart_what_was_crushed_make_a_safe_look(
    strength: float, rounds: int
) -> None:
    damaged, true = crushed()
    maps, colors = [], damaged
    for _ in range(rounds):
        maps.append(fit_color_map(colors, true).within(colors))
        colors = maps[-1](colors)
    lut = baked(maps, damaged, strength=strength)
    assert safety_of(lut, damaged).safe
    assert np.abs(lut(damaged) - true).mean() < 0.9 * np.abs(damaged - true).mean()


def test_the_exported_lut_is_the_one_that_is_applied() -> None:
    damaged, true = crushed()
    lut = baked([fit_color_map(damaged, true).within(damaged)], damaged)
    exported = parse_cube(format_cube(lut), "look").baked()
    assert exported.digest() == lut.digest()


@pytest.mark.parametrize("size", [2, 20, 33])
def test_no_strength_is_no_change(size: int) -> None:
    damaged, true = crushed()
    maps = [fit_color_map(damaged, true)]
    assert baked(maps, damaged, size, strength=0.0).is_identity()
