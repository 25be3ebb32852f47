"""Looks are kept by last use, and applying one again costs no preparation again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from icc import DISPLAY_P3, SRGB_CURVE, icc_profile

from vae_balance.color import lut
from vae_balance.color import profile as color_profile
from vae_balance.color.lut import Lut3D
from vae_balance.color.profile import apply_in_profile
from vae_balance.server.look_store import KeptLook, LookStore


def darker(gain: float) -> Lut3D:
    return Lut3D.from_function(lambda colors: gain * colors, 5)


def test_a_look_is_found_by_the_hash_of_its_numbers() -> None:
    looks = LookStore(3)
    kept = looks.keep(darker(0.5))
    assert kept.name == darker(0.5).digest()
    assert looks.find(kept.name) is kept
    assert looks.find("0" * 64) is None


def test_the_one_not_used_for_longest_is_forgotten() -> None:
    looks = LookStore(2)
    first, second = looks.keep(darker(0.1)), looks.keep(darker(0.2))
    assert looks.find(first.name)
    looks.keep(darker(0.3))
    assert looks.find(second.name) is None
    assert looks.find(first.name)
    assert len(looks) == 2


def test_the_same_look_is_kept_once_with_its_last_title() -> None:
    looks = LookStore(2)
    looks.keep(Lut3D(darker(0.1).table, "first"))
    name = looks.keep(Lut3D(darker(0.1).table, "second")).name
    kept = looks.find(name)
    assert len(looks) == 1
    assert kept is not None
    assert kept.lut.title == "second"


def test_strips_on_several_threads_are_prepared_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    convert = color_profile._converted

    def counting(*arguments: object) -> Lut3D:
        made.append(1)
        return convert(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(color_profile, "_converted", counting)
    profile = icc_profile(DISPLAY_P3, SRGB_CURVE)
    kept = KeptLook(darker(0.5))
    strips = [np.full((64, 64, 3), value, np.uint8) for value in range(0, 240, 10)]
    blended = kept.lut.blended(0.5)
    expected = [apply_in_profile(blended, strip, profile) for strip in strips]
    made.clear()
    lut._processor.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda strip: kept.apply(strip, bytes(profile), 0.5), strips))
    assert np.array_equal(strips, expected)
    assert len(made) == 1
    assert lut._processor.cache_info().misses == 2  # for the conversion, and for the strips


def test_many_strengths_and_profiles_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptLook(darker(0.5))
    for _ in range(2):
        for strength in np.linspace(0.1, 1.5, 8):
            pixels = np.full((4, 4, 3), 200, np.uint8)
            expected = apply_in_profile(kept.lut.blended(strength), pixels, None)
            kept.apply(pixels, None, float(strength))
            assert np.array_equal(pixels, expected)
