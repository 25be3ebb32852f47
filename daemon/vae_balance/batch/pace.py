"""How fast a batch goes, and how long it will take."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_WINDOW_SECONDS = 60.0  # workers come and go: what was an hour ago tells little
_STEP_SECONDS = 1.0  # between what is remembered


class Pace:
    """Counts photos as they are done.

    Args:
        clock: seconds, ever growing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._done = 0
        self._counts = deque([(clock(), 0)])  # when how many were done, the oldest first

    def count(self) -> None:
        """Count a photo that was done just now."""
        self._done += 1
        now = self._clock()
        if now - self._counts[-1][0] >= _STEP_SECONDS:
            self._counts.append((now, self._done))
        while len(self._counts) > 2 and now - self._counts[0][0] > _WINDOW_SECONDS:
            self._counts.popleft()

    def rate(self) -> float:
        """Return the photos a second of the last minute."""
        since, before = self._counts[0]
        return (self._done - before) / max(self._clock() - since, 1e-6)

    def text(self, left: int) -> str:
        """Tell people the rate, and how long so many photos that are left take at it.

        "3.21 a second, 1:02:03 left"; nothing before the first photo.
        """
        rate = self.rate()
        if not self._done or not rate:
            return ""
        seconds = round(left / rate)
        hours, minutes = seconds // 3600, seconds // 60 % 60
        return f"{rate:.3g} a second, {hours}:{minutes:02d}:{seconds % 60:02d} left"
