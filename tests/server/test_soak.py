"""Hostile peers of all kinds at once, PINGs, connects and disconnects among them."""

from __future__ import annotations

from pathlib import Path

import pytest
from soak import Load, report, soak


@pytest.mark.parametrize("messages", [2_000, pytest.param(500_000, marks=pytest.mark.slow)])
def test_an_honest_client_is_served_rightly_beside_hostile_ones(
    tmp_path: Path, messages: int
) -> None:
    outcome = soak(tmp_path, Load(messages, quiet=2.0))
    print(report(outcome))
    assert outcome.messages >= messages
    assert not outcome.told
    if messages > 10_000:  # before that caches fill
        assert outcome.is_well
