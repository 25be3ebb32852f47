"""Calls that other threads leave for the router's thread, which it makes as soon as it can."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress


class CallQueue:
    """Calls for one thread, from any.

    Attributes:
        socket: readable when there are calls; also wakes the thread up when a signal comes.
    """

    def __init__(self) -> None:
        self.socket, self._bell = socket.socketpair()
        self.socket.setblocking(False)
        self._bell.setblocking(False)
        self._calls: deque[Callable[[], None]] = deque()

    @property
    def wakeup_fd(self) -> int:
        """What `signal.set_wakeup_fd` wants."""
        return self._bell.fileno()

    def post(self, call: Callable[[], None]) -> None:
        """Leave a call."""
        self._calls.append(call)
        with suppress(BlockingIOError, OSError):  # it rings already, or nobody is there any more
            self._bell.send(b"\0")

    def make_calls(self) -> None:
        """Make all calls that were left."""
        with suppress(BlockingIOError):
            while self.socket.recv(4096):
                pass
        while self._calls:
            self._calls.popleft()()

    def close(self) -> None:
        """Take no more calls."""
        self.socket.close()
        self._bell.close()
