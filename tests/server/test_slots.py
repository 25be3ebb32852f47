"""Batches of different clients have their photos in work by turns."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from daemon_process import TIMEOUT, wait_for

from vae_balance.errors import CancelledError
from vae_balance.server.slots import Slots


class Photos:
    """Photos that wait for places, each in a thread, until the test lets them go."""

    def __init__(self, slots: Slots) -> None:
        self.begun: list[str] = []
        self._slots = slots
        self._done: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def add(self, *names: str) -> None:
        """Let photos come, one after the other, of the clients that their first letters name."""
        for name in names:
            self._done[name] = threading.Event()
            has_come = partial(self._has_come, name, self._waiting())
            self._threads.append(threading.Thread(target=self._work, args=[name]))
            self._threads[-1].start()
            wait_for(has_come)

    def have_begun(self, count: int) -> bool:
        return len(self.begun) >= count

    def finish(self, name: str) -> None:
        self._done[name].set()

    def end(self) -> None:
        for thread in self._threads:
            thread.join(TIMEOUT)

    def _has_come(self, name: str, waiting_before: int) -> bool:
        return name in self.begun or self._waiting() > waiting_before

    def _waiting(self) -> int:
        return sum(map(len, self._slots._waiting.values()))

    def _work(self, name: str) -> None:
        with self._slots.turn(ord(name[0]), lambda: True):
            self.begun.append(name)
            self._done[name].wait(TIMEOUT)


def test_photos_of_clients_alternate() -> None:
    slots = Slots()
    photos = Photos(slots)
    with slots.of_batch(2):
        photos.add("a1", "a2", "a3", "a4", "b1", "b2")
        assert photos.begun == ["a1", "a2"]
        for count, name in enumerate(["a1", "a2", "a3", "b1", "a4", "b2"], 3):
            photos.finish(name)
            wait_for(partial(photos.have_begun, min(count, 6)))
        photos.end()
    assert photos.begun == ["a1", "a2", "a3", "b1", "a4", "b2"]


def test_there_are_as_many_places_as_the_largest_batch_wants() -> None:
    slots = Slots()
    photos = Photos(slots)
    with slots.of_batch(1):
        photos.add("a1", "a2")
        assert photos.begun == ["a1"]
        with slots.of_batch(2):
            wait_for(lambda: photos.begun == ["a1", "a2"])
        photos.finish("a1")
        photos.finish("a2")
        photos.end()


def test_who_does_not_go_on_waits_no_more() -> None:
    slots = Slots()
    with slots.of_batch(1), slots.turn(1, lambda: True):
        with pytest.raises(CancelledError), slots.turn(2, lambda: False):
            pass
        assert not slots._waiting
