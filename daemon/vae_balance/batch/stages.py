"""How long the stages of some work take."""

from __future__ import annotations

import time


class Stages:
    """What is being done, and how long what came before it took.

    Attributes:
        current: the stage that has begun last.
        seconds: by stage, of those that are over.
    """

    def __init__(self, first: str) -> None:
        self.current = first
        self.seconds: dict[str, float] = {}
        self._began = time.monotonic()

    def enter(self, stage: str) -> None:
        """End the current stage and begin another."""
        now = time.monotonic()
        self.seconds[self.current] = self.seconds.get(self.current, 0.0) + now - self._began
        self.current, self._began = stage, now
