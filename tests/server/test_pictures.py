"""Pictures that come in strips."""

from __future__ import annotations

from typing import Any

import pytest

from vae_balance.server import pictures
from vae_balance.server.pictures import Picture, Pictures
from vae_balance_protocol import Malformed


def strip(first_row: int, **others: Any) -> dict[str, Any]:
    whole = {"width": 8, "height": 40, "channels": 3, "dtype": "u8", "profile": None, "kind": "rgb"}
    return {**whole, "picture": "one", "first_row": first_row, "rows": 10, **others}


def test_no_strip_in_order_calls_its_picture_broken_even_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The strips before it may be at work in another thread, which would refuse them.
    told = []

    class Watched(Picture):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "broken":
                told.append(value)
            super().__setattr__(name, value)

    monkeypatch.setattr(pictures, "Picture", Watched)
    opened = Pictures()
    for row in range(0, 40, 10):
        opened.expect(strip(row))
    assert told == [False]


@pytest.mark.parametrize("wrong", [strip(20), strip(10, width=9)])
def test_a_strip_out_of_order_ends_its_picture(wrong: dict[str, Any]) -> None:
    opened = Pictures()
    picture = opened.expect(strip(0))
    with pytest.raises(Malformed):
        opened.expect(wrong)
    assert picture.broken
    with pytest.raises(Malformed, match="not here"):
        opened.expect(strip(10))
