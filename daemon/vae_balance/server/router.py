"""The socket: takes requests in and passes answers on, and never waits for a client.

A message is sent at once or, when ZeroMQ's short queue for a client is full, kept and tried again.
A client that does not read is no longer worked for; after a minute it counts as gone.
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from vae_balance.server import authentication
from vae_balance.server.clients import Client
from vae_balance.server.mailbox import Mailbox
from vae_balance_protocol.messages import FRAME_BYTES, PROXIES

_QUEUED_MESSAGES = 4  # that ZeroMQ keeps for each client, in and out: with large strips 64 MiB
_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED
_HANDSHAKE_MS = 10_000
_PING_MS, _PONG_MS = 15_000, 60_000
_FRAMES = 2 + PROXIES + 1  # of a message, that are looked at: enough to see that it has too many
_MESSAGES_A_TURN = 32
_UNREAD_SECONDS = 60.0
_UNREAD_MESSAGES = 1000
_UNREAD_BYTES = 32 << 20
_GONE_REMEMBERED = 1000
# Until a message that ZeroMQ did not take is tried again: soon, but not for long.
_RETRY_SECONDS, _RETRY_SOON_SECONDS, _SOON_SECONDS = 0.05, 0.002, 0.2

_log = logging.getLogger(__name__)


class Router:
    """Clients and their messages, for one thread.

    Attributes:
        endpoint: where clients connect.
        clients: those that have said something, by identity.
        mailbox: for calls that other threads want made.

    Args:
        token: the password of clients.
        receive: called with a client and the frames of a message of its.
        lose: called with a client that is gone.
        hold: called with the identity of a client, and whether it is too slow to be worked for.
    """

    def __init__(
        self,
        token: str,
        receive: Callable[[Client, list[zmq.Frame]], None],
        lose: Callable[[Client], None],
        hold: Callable[[bytes, bool], None],
    ) -> None:
        self.clients: dict[bytes, Client] = {}
        self.mailbox = Mailbox()
        self._receive = receive
        self._lose = lose
        self._hold = hold
        self._connected: set[int] = set()  # descriptors
        self._by_descriptor: dict[int, Client] = {}
        self._gone: OrderedDict[bytes, None] = OrderedDict()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._authenticator = authentication.Authenticator(self._context, token)
        self._socket = self._make_socket()
        self._monitor = self._socket.get_monitor_socket(_EVENTS)
        # Only this machine, and a port that is free: it cannot be taken.
        self._socket.bind("tcp://127.0.0.1:*")
        self.endpoint = str(self._socket.getsockopt_string(zmq.LAST_ENDPOINT))
        self._poller = zmq.Poller()
        for readable in (self._socket, self._authenticator.socket, self._monitor):
            self._poller.register(readable, zmq.POLLIN)
        self._poller.register(self.mailbox.socket, zmq.POLLIN)

    def turn(self, seconds: float) -> None:
        """Wait for at most so long until there is something to do, and do it."""
        self._poller.poll(math.ceil(1000 * min(seconds, self._retry_seconds())))
        self._authenticator.answer()
        self._note_connections()
        self.mailbox.make_calls()
        for _ in range(_MESSAGES_A_TURN):
            if not self._receive_one():
                break
        for client in list(self.clients.values()):
            if client.unread:
                self._try_unread(client)

    def send(self, client: Client, frames: Sequence[Any]) -> None:
        """Send a message to a client, or keep it until the client reads."""
        message = [client.identity, *frames]
        if not client.unread and self._take(client, message):
            return
        if client.identity in self.clients:
            client.unread.append(message)
            client.unread_bytes += _length(message)
            self._hold_or_release(client)

    @property
    def is_quiet(self) -> bool:
        """Whether all messages were taken by ZeroMQ."""
        return not any(client.unread for client in self.clients.values())

    def close(self, linger_seconds: float) -> None:
        """End all connections, after what was sent has had so long to arrive."""
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(int(1000 * linger_seconds))
        self._authenticator.close()
        self._context.term()
        self.mailbox.close()

    def _make_socket(self) -> zmq.Socket[bytes]:
        made = self._context.socket(zmq.ROUTER)
        made.router_mandatory = 1  # sending to a client that is gone is an error
        made.plain_server = 1
        made.zap_domain = authentication.DOMAIN
        made.linger = 0
        made.maxmsgsize = FRAME_BYTES
        made.rcvhwm = made.sndhwm = _QUEUED_MESSAGES
        made.handshake_ivl = _HANDSHAKE_MS
        made.heartbeat_ivl = _PING_MS
        made.heartbeat_timeout = _PONG_MS
        return made

    def _receive_one(self) -> bool:
        """Take in one message, if there is one."""
        try:
            frame = self._socket.recv(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        identity = frame.bytes
        frames: list[zmq.Frame] = []
        while frame.more:
            frame = self._socket.recv(copy=False)
            if len(frames) < _FRAMES:
                frames.append(frame)
        try:
            client = self.clients.get(identity) or self._welcome(identity, frame)
            if client is not None and len(client.unread) < _UNREAD_MESSAGES:
                self._receive(client, frames)
        except Exception:  # one message must not end the service of all others
            _log.exception("a message cannot be handled: a defect")
        return True

    def _welcome(self, identity: bytes, frame: zmq.Frame) -> Client | None:
        """Return a client that has not been seen before; None if it is gone already."""
        descriptor = int(frame.get(zmq.SRCFD))
        # Who had this descriptor before has disconnected before: that must be known first. And this
        # client may have left, too: ZeroMQ keeps what it has sent, and takes answers for a while.
        self._note_connections()
        if identity in self._gone or descriptor not in self._connected:
            return None
        earlier = self._by_descriptor.get(descriptor)
        if earlier is not None:
            self._forget(earlier)
        client = Client(identity, descriptor)
        self.clients[identity] = self._by_descriptor[descriptor] = client
        return client

    def _note_connections(self) -> None:
        """Take note of connections that have begun or ended."""
        while True:
            try:
                event = recv_monitor_message(self._monitor, zmq.NOBLOCK)
            except zmq.Again:
                return
            descriptor = event["value"]
            if event["event"] == zmq.EVENT_ACCEPTED:
                self._connected.add(descriptor)
                continue
            self._connected.discard(descriptor)
            client = self._by_descriptor.get(descriptor)
            if client is not None:
                self._forget(client)

    def _forget(self, client: Client) -> None:
        """Take note that a client is gone."""
        if self.clients.pop(client.identity, None) is None:
            return
        if self._by_descriptor.get(client.descriptor) is client:
            del self._by_descriptor[client.descriptor]
        client.unread.clear()
        # What it has sent before may be read after this.
        self._gone[client.identity] = None
        if len(self._gone) > _GONE_REMEMBERED:
            self._gone.popitem(last=False)
        client.unread_bytes = 0
        self._hold_or_release(client)
        self._lose(client)

    def _hold_or_release(self, client: Client) -> None:
        held = client.unread_bytes > _UNREAD_BYTES
        if held != client.held:
            client.held = held
            self._hold(client.identity, held)

    def _try_unread(self, client: Client) -> None:
        """Try again to send what a client had no room for."""
        while client.unread and self._take(client, client.unread[0]):
            client.unread_bytes -= _length(client.unread.popleft())
        self._hold_or_release(client)
        if client.stuck_since is None or not client.unread:
            return
        if time.monotonic() - client.stuck_since > _UNREAD_SECONDS:
            _log.warning("client=%r has read nothing for a minute: it counts as gone", client.name)
            self._forget(client)

    def _take(self, client: Client, message: Sequence[Any]) -> bool:
        """Let ZeroMQ take a message; False if it does not, or the client is gone."""
        try:
            self._socket.send_multipart(message, zmq.NOBLOCK, copy=False)
        except zmq.Again:
            if client.stuck_since is None:
                client.stuck_since = time.monotonic()
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._forget(client)
            return False
        client.stuck_since = None
        return True

    def _retry_seconds(self) -> float:
        """Return when what was not taken is to be tried again."""
        stuck = [c.stuck_since for c in self.clients.values() if c.stuck_since is not None]
        if not stuck:
            return math.inf
        soon = time.monotonic() - max(stuck) < _SOON_SECONDS
        return _RETRY_SOON_SECONDS if soon else _RETRY_SECONDS


def _length(message: Sequence[Any]) -> int:
    return sum(memoryview(frame).nbytes for frame in message)
