"""The sockets: takes requests in and passes answers on, and never waits for a client.

These are a ROUTER's sockets without ZeroMQ's library: that ends the whole process at a PING of a
client that hangs up while its input waits (libzmq's issues 4364 and 4841), and takes in whatever
is sent. What a client is allowed is asked for here before it is read.

A client that does not read is no longer worked for; after a minute it counts as gone.
"""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from vae_balance.server.authentication import NotZmtpError, RefusedError
from vae_balance.server.call_queue import CallQueue
from vae_balance.server.clients import Client
from vae_balance.server.connection import Connection, Message
from vae_balance_protocol.messages import CLIENTS, HEADER_BYTES, WINDOW_BYTES
from vae_balance_protocol.zmtp import TOO_MANY

_HOST = "127.0.0.1"  # only this machine
_HANDSHAKES = 64  # at a time; the oldest has to go when there are more
_ACCEPTED_AT_ONCE = 16
# Of all clients together; beyond it each can have its share, which is more than a frame.
_ALL_BYTES, _SHARE_BYTES = 512 << 20, 24 << 20
_ROOM_SECONDS = 5.0  # to wait for memory, before a message is dropped
_HANDSHAKE_SECONDS = 10.0
_FAREWELL_SECONDS = 2.0  # to take our last word
_MESSAGE_SECONDS = 60.0  # from the first byte of a message to its last
_PING_SECONDS, _SILENCE_SECONDS = 15.0, 60.0
_UNREAD_SECONDS = 60.0
_UNREAD_MESSAGES = 1000
_UNREAD_BYTES = 32 << 20
_LOOK_SECONDS = 1.0  # at what takes too long
_NO_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_log = logging.getLogger(__name__)


class Router:
    """Clients and their messages, for one thread.

    Attributes:
        endpoint: where clients connect.
        clients: those that have been let in, by identity.
        calls: for calls that other threads want made.

    Args:
        token: the password of clients.
        receive: called with a client and a message of its.
        lose: called with a client that is gone.
        hold: called with the identity of a client, and whether it is too slow to be worked for.
    """

    def __init__(
        self,
        token: str,
        receive: Callable[[Client, Message], None],
        lose: Callable[[Client], None],
        hold: Callable[[int, bool], None],
    ) -> None:
        self.clients: dict[int, Client] = {}
        self.calls = CallQueue()
        self._token = token
        self._receive = receive
        self._lose = lose
        self._hold = hold
        self._connections: dict[Connection, Client | None] = {}  # None until it is let in
        self._identity = 0
        self._next_look = 0.0
        self._listener = socket.create_server((_HOST, 0), backlog=128)
        self._listener.setblocking(False)
        self.endpoint = f"tcp://{_HOST}:{self._listener.getsockname()[1]}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.calls.socket, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._interests: dict[Connection, int] = {}  # those that are registered

    def turn(self, seconds: float) -> None:
        """Wait for at most so long until there is something to do, and do it."""
        ready = self._selector.select(self._seconds_to_wait(seconds))
        self.calls.make_calls()
        to_read = {c for c in self._connections if c.has_more}
        for key, events in ready:
            if key.fileobj is self._listener:
                self._accept()
            if key.data is None:
                continue
            if events & selectors.EVENT_READ:
                to_read.add(key.data)
            if events & selectors.EVENT_WRITE:
                key.data.flush()
        for connection in to_read:
            self._take_in(connection, connection.read)
        self._look_at_times()
        self._go_on_where_there_is_room()
        for connection in list(self._connections):
            self._look_after(connection)

    def send(self, client: Client, frames: Sequence[Any]) -> None:
        """Send a message to a client, or keep it until the client reads."""
        client.connection.send(frames)

    @property
    def is_quiet(self) -> bool:
        """Whether all messages were taken by their clients."""
        return not any(connection.unread_bytes for connection in self._connections)

    @property
    def unread_bytes(self) -> int:
        """Bytes of answers that clients have not taken."""
        return sum(connection.unread_bytes for connection in self._connections)

    def close(self, linger_seconds: float) -> None:
        """End all connections, after what was sent has had so long to arrive."""
        self._selector.unregister(self._listener)
        self._listener.close()
        for connection in self._connections:
            connection.finish()
        deadline = time.monotonic() + linger_seconds
        while self._connections and time.monotonic() < deadline:
            self.turn(0.02)
        for connection in list(self._connections):
            self._forget(connection)
        self._selector.close()
        self.calls.close()

    def _seconds_to_wait(self, seconds: float) -> float:
        if any(connection.has_more or connection.ended for connection in self._connections):
            return 0.0
        if not self._connections:
            return seconds
        return max(0.0, min(seconds, self._next_look - time.monotonic()))

    # Connections

    def _accept(self) -> None:
        """Take in who knocks."""
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _NO_RESOURCES:  # it has left already
                    continue
                _log.warning("no further connection can be taken: %s", error.strerror)
                self._selector.unregister(self._listener)  # until the next look
                return
            strangers = [c for c, client in self._connections.items() if client is None]
            if len(strangers) >= _HANDSHAKES:
                self._forget(strangers[0])
            connection = Connection(accepted, self._token, self._is_full, self._has_room)
            connection.flush()
            self._connections[connection] = None

    def _is_full(self) -> bool:
        return len(self.clients) >= CLIENTS

    def _take_in(self, connection: Connection, read: Callable[[], list[Message]]) -> None:
        """Read from a connection, and hand on the messages that this completes."""
        if connection not in self._connections:
            return
        try:
            messages = read()
        except RefusedError as refusal:
            self._log_refusal(refusal)
            connection.refuse(refusal)
            return
        except NotZmtpError as error:
            _log.debug("a connection was ended: %s", error)
            self._forget(connection)
            return
        client = self._connections[connection]
        if client is None and connection.introduced:
            client = self._welcome(connection)
        for message in messages:
            assert client is not None  # the introduction has to come first
            self._deliver(client, message)
        connection.flush()

    def _log_refusal(self, refusal: RefusedError) -> None:
        if refusal.reason == TOO_MANY:
            _log.warning("refused a connection from %s: there are %d clients", _HOST, CLIENTS)
        else:
            # Not what was given instead: it may be a typing error away from the token.
            _log.warning("refused a connection from %s: wrong token", _HOST)

    def _welcome(self, connection: Connection) -> Client:
        self._identity += 1
        client = Client(self._identity, connection)
        self.clients[client.identity] = self._connections[connection] = client
        return client

    def _deliver(self, client: Client, message: Message) -> None:
        try:
            self._receive(client, message)
        except Exception:  # one message must not end the service of all others
            _log.exception("a message cannot be handled: a defect")

    def _look_after(self, connection: Connection) -> None:
        """Forget a connection that has ended, or see to what it is to be watched for."""
        client = self._connections[connection]
        if connection.ended:
            self._forget(connection)
            return
        if client is not None:
            self._hold_or_release(client)
        interest = 0
        if self._is_read(connection):
            interest |= selectors.EVENT_READ
        if connection.unread_bytes:
            interest |= selectors.EVENT_WRITE
        self._watch(connection, interest)

    def _is_read(self, connection: Connection) -> bool:
        is_behind = connection.unread_messages >= _UNREAD_MESSAGES
        return connection.waiting_for_room is None and not is_behind

    def _watch(self, connection: Connection, interest: int) -> None:
        watched = self._interests.get(connection, 0)
        if interest == watched:
            return
        if not interest:
            self._selector.unregister(connection.socket)
            del self._interests[connection]
            return
        if watched:
            self._selector.modify(connection.socket, interest, connection)
        else:
            self._selector.register(connection.socket, interest, connection)
        self._interests[connection] = interest

    def _forget(self, connection: Connection) -> None:
        """Take note that a connection has ended, or end it."""
        self._watch(connection, 0)
        connection.close()
        client = self._connections.pop(connection)
        if client is None:
            return
        del self.clients[client.identity]
        self._hold_or_release(client)
        self._lose(client)

    def _hold_or_release(self, client: Client) -> None:
        held = client.connection.unread_bytes > _UNREAD_BYTES
        if held != client.held:
            client.held = held
            self._hold(client.identity, held)

    # Memory

    def _has_room(self, connection: Connection, length: int) -> bool | None:
        """Tell whether a client may send a frame: yes, not yet, or not at all."""
        client, message = self._connections[connection], connection.arriving
        if client is None or message is None:  # the very first message, with its introduction
            client = self._welcome(connection)
        assert message is not None
        if message.kept_bytes + length + client.unfinished_bytes > WINDOW_BYTES + HEADER_BYTES:
            return None
        if self._bytes_of(connection) + length <= _SHARE_BYTES:
            return True
        return sum(map(self._bytes_of, self._connections)) + length <= _ALL_BYTES

    def _bytes_of(self, connection: Connection) -> int:
        """Return what a connection takes of memory."""
        client, message = self._connections[connection], connection.arriving
        arriving = message.kept_bytes if message is not None else 0
        unfinished = client.unfinished_bytes if client is not None else 0
        return arriving + unfinished + connection.unread_bytes

    def _go_on_where_there_is_room(self) -> None:
        """Read on from those that had to wait for memory; drop what has waited for too long."""
        now = time.monotonic()
        for connection in list(self._connections):
            since = connection.waiting_for_room
            if since is None or connection.closing:
                continue
            room = self._has_room(connection, connection.waits_for)
            if room or room is None or now - since > _ROOM_SECONDS:
                self._take_in(connection, partial(connection.go_on, keep=bool(room)))

    # Time

    def _look_at_times(self) -> None:
        """End what takes too long, and ask silent clients for a sign of life."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        if self._listener.fileno() >= 0 and self._listener not in self._selector.get_map():
            self._selector.register(self._listener, selectors.EVENT_READ)
        for connection in list(self._connections):
            reason = self._reason_to_end(connection, now)
            if reason:
                client = self._connections[connection]
                if client is not None:
                    _log.warning("client=%r %s: it counts as gone", client.name, reason)
                self._forget(connection)
            elif not self._is_read(connection):
                connection.heard = now  # it may have spoken
            elif now - max(connection.heard, connection.pinged) > _PING_SECONDS:
                connection.ping()

    def _reason_to_end(self, connection: Connection, now: float) -> str:
        """Return why a connection has to be ended, "" if it does not have to."""
        if connection.closing:
            return "is through" if now - connection.sent > _FAREWELL_SECONDS else ""
        if not connection.introduced:
            return "says nothing" if now - connection.began > _HANDSHAKE_SECONDS else ""
        if connection.unread_bytes and now - connection.sent > _UNREAD_SECONDS:
            return f"has read nothing for {_UNREAD_SECONDS:g} s"
        if not self._is_read(connection):
            return ""
        message = connection.arriving
        if message is not None and now - message.begun > _MESSAGE_SECONDS:
            return f"has not ended a message for {_MESSAGE_SECONDS:g} s"
        if now - connection.heard > _PING_SECONDS + _SILENCE_SECONDS:
            return f"has not answered for {_SILENCE_SECONDS:g} s"
        return ""
