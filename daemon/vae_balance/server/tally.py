"""What the daemon has done so far, and how much of it in the last minute."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from vae_balance_protocol import messages

_MINUTE = 60.0


@dataclass
class _Total:
    """Requests of a verb, by how they ended, and the seconds that those done took."""

    done: int = 0
    failed: int = 0
    cancelled: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class _Event:
    when: float
    jobs: int = 0
    photos: int = 0
    pixels: int = 0


class Tally:
    """Counts for `status`, for the router's thread.

    Args:
        clock: seconds of any clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_verb: dict[str, _Total] = {}
        # By seconds: a busy daemon has many events in each.
        self._lately: deque[_Event] = deque()

    def add_job(self, verb: str, outcome: str, seconds: float, pixels: int = 0) -> None:
        """Count a request that has ended.

        Args:
            verb: of it.
            outcome: "" if it was done, else the code of its error.
            seconds: since it was begun.
            pixels: that a look was applied to.
        """
        total = self._by_verb.setdefault(verb, _Total())
        if not outcome:
            total.done += 1
            total.seconds += seconds
            self._add(jobs=1, pixels=pixels)
        elif outcome == messages.CANCELLED:
            total.cancelled += 1
        else:
            total.failed += 1

    def add_photo(self, pixels: int) -> None:
        """Count a photo that a batch has finished."""
        self._add(photos=1, pixels=pixels)

    def totals(self) -> list[dict[str, Any]]:
        """Return the counts of each verb."""
        return [{"verb": verb, **asdict(total)} for verb, total in self._by_verb.items()]

    def last_minute(self) -> dict[str, int]:
        """Return requests and photos that were done, and pixels that looks were applied to."""
        self._forget()
        names = ("jobs", "photos", "pixels")
        return {name: sum(getattr(event, name) for event in self._lately) for name in names}

    def _add(self, jobs: int = 0, photos: int = 0, pixels: int = 0) -> None:
        self._forget()
        second = float(int(self._clock()))
        if self._lately and self._lately[-1].when == second:
            last = self._lately.pop()
            jobs, photos, pixels = last.jobs + jobs, last.photos + photos, last.pixels + pixels
        self._lately.append(_Event(second, jobs, photos, pixels))

    def _forget(self) -> None:
        while self._lately and self._lately[0].when < self._clock() - _MINUTE:
            self._lately.popleft()
