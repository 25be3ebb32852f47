"""Looks as bytes: what comes back is the same look, and nothing else is taken for one."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest

from vae_balance.color.lut import Lut3D
from vae_balance.errors import LutError
from vae_balance.looks.given_look import GivenLook
from vae_balance.looks.lut_look import LutLook
from vae_balance.looks.origin import Origin
from vae_balance.looks.packed import unpack_look
from vae_balance.looks.report import LookReport

ORIGIN = Origin("abacus", "fake", "7", {"iterations": 1, "seed": None, "strength": 0.5}, "a cast")
REPORT = LookReport(True, (4.5, -2.0), 0.25, 1.5, 0.75, (3.0, 1.0))
LUT = Lut3D(np.random.default_rng(3).random((5, 5, 5, 3), np.float32), "warm", ("a", "b"))


@pytest.mark.parametrize("report", [REPORT, None])
def test_a_look_comes_back_as_it_was(report: LookReport | None) -> None:
    look = LutLook(LUT, ORIGIN, report=report)
    back = unpack_look(look.to_bytes())
    assert back.digest() == look.digest()
    assert (back.origin, back.report) == (ORIGIN, report)
    assert back.lut is not None
    np.testing.assert_array_equal(back.lut.table, LUT.table)
    assert (back.lut.title, back.lut.comments) == ("warm", ("a", "b"))


def test_a_look_that_was_given_comes_back_as_a_cube() -> None:
    back = unpack_look(GivenLook(LUT).to_bytes())
    assert back.digest() == LUT.digest()


def test_what_is_no_look_is_refused() -> None:
    good = msgpack.unpackb(LutLook(LUT, ORIGIN, report=REPORT).to_bytes())
    broken = [
        {**good, "kind": "telepathy"},
        {**good, "kind": ["lut"]},
        {**good, "size": 6},
        {**good, "table": good["table"][:-1]},
        {**good, "table": np.full((5, 5, 5, 3), np.nan, "<f4").tobytes()},
        {**good, "origin": {"whose": "mine"}},
        {**good, "report": {"text": "all is well"}},
        {key: value for key, value in good.items() if key != "title"},
        [1, 2],
    ]
    for content in (b"", b"\x80", b"not a look", *map(msgpack.packb, broken)):
        with pytest.raises(LutError, match=r"look|values|shape"):
            unpack_look(content)
    with pytest.raises(LutError, match="'telepathy', which this version does not know"):
        unpack_look(msgpack.packb(broken[0]))
