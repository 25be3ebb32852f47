"""Looks are kept by last use, whatever learned them, and no more of them than is applied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pictures import picture
from standin_correctors import SlopeLook

from vae_balance.color.lut import Lut3D
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.latent_balancer.learn import learn_look
from vae_balance.correctors.latent_balancer.model import Model
from vae_balance.errors import LutError, OptionError
from vae_balance.looks.given_look import GivenLook
from vae_balance.looks.look import Place
from vae_balance.looks.lut_look import LutLook
from vae_balance.looks.origin import Origin
from vae_balance.server.look_store import LookStore

ORIGIN = Origin("slope", "mixed", "1")


def darker(gain: float) -> GivenLook:
    return GivenLook(Lut3D.from_function(lambda colors: gain * colors, 5))


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
    look = LutLook(darker(0.1).lut, ORIGIN)
    looks.keep(look, "first")
    name = looks.keep(look, "second").name
    kept = looks.find(name)
    assert len(looks) == 1
    assert kept is not None
    assert kept.file_lut().title == "second"


def test_an_imported_lut_keeps_its_own_title() -> None:
    given = Lut3D(darker(0.1).lut.table, "of a film", ("by somebody",))
    lut = LookStore(2).keep(GivenLook(given)).file_lut()
    assert (lut.title, lut.comments) == ("of a film", ("by somebody",))


def test_the_rounds_that_led_to_a_look_are_not_kept(model: Model) -> None:
    proxy = picture(224, 224).astype(np.float32) / np.float32(255)
    look = learn_look([proxy], model, LookOptions(size=5))
    kept = LookStore(2).keep(look)
    assert not hasattr(kept.look, "rounds")
    assert (kept.name, kept.look.report) == (look.digest(), look.report)


def test_a_look_that_depends_on_the_place_is_kept_and_wants_one() -> None:
    kept = LookStore(2).keep(SlopeLook(0.5, ORIGIN))
    pixels = picture()
    expected = SlopeLook(0.5, ORIGIN).apply(pixels, Place.whole(pixels))
    with pytest.raises(OptionError, match="depends on the place"):
        kept.apply(pixels, None, None, 1.0)
    kept.apply(pixels, Place.whole(pixels), None, 1.0)
    np.testing.assert_array_equal(pixels, expected)
    with pytest.raises(LutError, match=r"model mixed: .*cannot be a LUT"):
        kept.file_lut()


def test_nothing_is_baked_to_keep_and_apply_what_was_given(tmp_path: Path) -> None:
    class Unbaked(Lut3D):
        def baked(self) -> Lut3D:
            raise AssertionError

    look = GivenLook(Unbaked(darker(0.5).given.baked().table))
    pixels = np.full((4, 4, 3), 200, np.uint8)
    LookStore(2).keep(look).apply(pixels, None, None, 1.0)
    assert (pixels == 100).all()
