"""Applying a look again costs no preparation again, whatever the strength and the profile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from icc import DISPLAY_P3, SRGB_CURVE, icc_profile

from vae_balance.color import lut
from vae_balance.color import profile as color_profile
from vae_balance.color.lut import Lut3D
from vae_balance.color.profile import apply_in_profile
from vae_balance.errors import OptionError
from vae_balance.looks.given_look import GivenLook
from vae_balance.looks.look import Place
from vae_balance.looks.lut_look import LutLook
from vae_balance.looks.origin import UNKNOWN

PLACE = Place(64, 64)


def darker(gain: float) -> Lut3D:
    return Lut3D.from_function(lambda colors: gain * colors, 5)


@pytest.mark.parametrize("look", [LutLook(darker(0.5), UNKNOWN), GivenLook(darker(0.5))])
def test_strips_on_several_threads_are_prepared_for_once(
    monkeypatch: pytest.MonkeyPatch, look: LutLook | GivenLook
) -> None:
    made: list[int] = []
    convert = color_profile._converted

    def counting(*arguments: object) -> Lut3D:
        made.append(1)
        return convert(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(color_profile, "_converted", counting)
    profile = icc_profile(DISPLAY_P3, SRGB_CURVE)
    strips = [np.full((64, 64, 3), value, np.uint8) for value in range(0, 240, 10)]
    blended = look.lut.blended(0.5)
    expected = [apply_in_profile(blended, strip, profile) for strip in strips]
    made.clear()
    lut._processor.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda s: look.apply(s, PLACE, bytes(profile), 0.5, s), strips))
    assert np.array_equal(strips, expected)
    assert len(made) == 1
    assert lut._processor.cache_info().misses == 2  # for the conversion, and for the strips


def test_many_strengths_and_profiles_are_right() -> None:
    look = LutLook(darker(0.5), UNKNOWN)
    for _ in range(2):
        for strength in np.linspace(0.1, 1.5, 8):
            pixels = np.full((4, 4, 3), 200, np.uint8)
            expected = apply_in_profile(look.lut.blended(strength), pixels, None)
            assert np.array_equal(look.apply(pixels, PLACE, strength=float(strength)), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("profile", [None, icc_profile(DISPLAY_P3, SRGB_CURVE)])
@pytest.mark.parametrize(("gain", "strength"), [(1.0, 1.0), (1.0, 0.5), (0.5, 0.0)])
def test_a_look_that_changes_nothing_leaves_every_bit(
    dtype: str, profile: bytes | None, gain: float, strength: float
) -> None:
    look = LutLook(darker(gain), UNKNOWN)
    pixels = np.random.default_rng(1).uniform(0.0, 1.0, (64, 64, 4))
    full = np.iinfo(dtype).max if dtype.startswith("u") else 1.3
    given = (pixels * full).astype(dtype)
    changed = look.apply(given, PLACE, profile, strength)
    assert changed.tobytes() == given.tobytes()
    assert changed is not given


def test_pixels_of_a_wrong_form_are_told_as_they_are() -> None:
    with pytest.raises(OptionError, match=r"shape \(9, 7, 5\)"):
        LutLook(darker(0.5), UNKNOWN).apply(np.zeros((9, 7, 5), np.uint8), PLACE)
