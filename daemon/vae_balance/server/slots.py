"""Places for photos in work: batches of different clients get them by turns, photo by photo."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vae_balance.errors import CancelledError

_LOOK_SECONDS = 0.5  # at whether a batch goes on


class Slots:
    """As many places as the batch that runs with the most has photos in work."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sizes: list[int] = []
        self._busy = 0
        self._waiting: OrderedDict[int, deque[object]] = OrderedDict()  # next client first

    @contextmanager
    def of_batch(self, size: int) -> Iterator[None]:
        """Have as many places at least as a batch wants for itself."""
        with self._changed:
            self._sizes.append(size)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._sizes.remove(size)

    @contextmanager
    def turn(self, client: int, keep_going: Callable[[], bool]) -> Iterator[None]:
        """Have a place, when it is the client's turn.

        Raises:
            CancelledError: `keep_going` said no while it was waited for.
        """
        ticket = object()
        with self._changed:
            self._waiting.setdefault(client, deque()).append(ticket)
            try:
                while not self._is_next(client, ticket):
                    self._changed.wait(_LOOK_SECONDS)
                    if not keep_going():
                        raise CancelledError
                self._busy += 1
            finally:
                self._leave(client, ticket)
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def _is_next(self, client: int, ticket: object) -> bool:
        has_place = self._busy < max(self._sizes, default=1)
        return (
            has_place
            and next(iter(self._waiting)) == client
            and (self._waiting[client][0] is ticket)
        )

    def _leave(self, client: int, ticket: object) -> None:
        """Wait no more; the others of the client come after the other clients."""
        waiting = self._waiting[client]
        waiting.remove(ticket)
        if waiting:
            self._waiting.move_to_end(client)
        else:
            del self._waiting[client]
        self._changed.notify_all()
