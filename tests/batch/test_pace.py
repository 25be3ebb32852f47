"""What people are told of how fast a batch goes."""

from __future__ import annotations

import pytest

from vae_balance.batch.pace import Pace


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_rate_and_time_left_are_told() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace.text(100) == ""
    for _ in range(10):
        clock.now += 0.5
        pace.count()
    assert pace.rate() == pytest.approx(2.0)
    assert pace.text(7446) == "2 a second, 1:02:03 left"
    assert pace.text(0) == "2 a second, 0:00:00 left"


def test_the_last_minute_counts() -> None:
    clock = Clock()
    pace = Pace(clock)
    for seconds in [0.1] * 5000 + [4.0] * 30:  # most workers went home
        clock.now += seconds
        pace.count()
    assert pace.rate() == pytest.approx(0.25, rel=0.1)
    clock.now += 600.0
    assert pace.rate() < 0.05
