"""What a peer may send before it is let in, and what all together may have in memory."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from daemon_process import TIMEOUT, Daemon, ServerThread, header, wait_for
from test_fuzz import GREETING, INITIATE, hello
from test_hang_up import address_of, introduce

from vae_balance.server import router
from vae_balance.server import server as server_module
from vae_balance_protocol import ConnectionLost
from vae_balance_protocol.client import Client
from vae_balance_protocol.messages import CLIENTS, FRAME_BYTES, WINDOW_BYTES

MEBIBYTE = 1 << 20
NOISE = 24 * MEBIBYTE
GREEDY = 40


def frame(length: int, more: bool = True, command: bool = False) -> bytes:
    """Return the head of a long frame."""
    return struct.pack(">BQ", 2 + (1 if more else 0) + (4 if command else 0), length)


def push(connection: socket.socket, data: bytes) -> bool:
    """Send; return whether all of it was taken soon."""
    connection.settimeout(0.2)
    try:
        connection.sendall(data)
    except OSError:
        return False
    return True


def ends(connection: socket.socket) -> bool:
    """Return whether the daemon ends a connection."""
    connection.settimeout(TIMEOUT)
    with suppress(ConnectionError):
        while heard := connection.recv(4096):
            assert b"READY" not in heard
    return True


@pytest.fixture
def idle(start_daemon: Callable[..., Daemon]) -> Daemon:
    """Return a daemon of the test's own, without a model."""
    return start_daemon("--keep-alive", "0")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Return what closes connections at the end of the test."""
    with ExitStack() as opened:
        yield opened


def connect(daemon: Daemon, stack: ExitStack, introduced: bool = True) -> socket.socket:
    made = stack.enter_context(socket.create_connection(address_of(daemon), TIMEOUT))
    if introduced:
        introduce(daemon, made)
    return made


def test_a_handshake_cannot_be_large(idle: Daemon, stack: ExitStack) -> None:
    with idle.client() as witness:
        before = witness.status()["memory_bytes"]
        for _ in range(100):
            stranger = connect(idle, stack, introduced=False)
            push(stranger, GREETING + frame(FRAME_BYTES - 1, more=False, command=True))
            push(stranger, bytes(64 << 10))
            assert ends(stranger)
        assert witness.status()["memory_bytes"] - before < NOISE


@pytest.mark.parametrize(
    "said",
    [
        GREETING.replace(b"PLAIN", b"NULL\0"),
        GREETING[:10] + b"\1" + GREETING[11:],
        b"GET / HTTP/1.1\r\n",
        GREETING + b"\0\0",
        GREETING + INITIATE,
        GREETING + b"\4\0",
        GREETING + b"\x14\6\5HELLO",
        GREETING + frame(2**63, more=False, command=True),
    ],
    ids=["mechanism", "version", "http", "message", "order", "no name", "flags", "length"],
)
def test_who_does_not_introduce_itself_is_sent_away(
    idle: Daemon, stack: ExitStack, said: bytes
) -> None:
    stranger = connect(idle, stack, introduced=False)
    push(stranger, said)
    assert ends(stranger)


@pytest.mark.parametrize(
    "initiate",
    [INITIATE.replace(b"DEALER", b"ROUTER"), INITIATE[:20], INITIATE.replace(b"\0\6D", b"\1\6D")],
    ids=["type", "cut short", "length"],
)
def test_properties_are_checked(idle: Daemon, stack: ExitStack, initiate: bytes) -> None:
    stranger = connect(idle, stack, introduced=False)
    token = idle.connection()["token"].encode()
    initiate = initiate[:1] + bytes([len(initiate) - 2]) + initiate[2:]
    push(stranger, GREETING + hello(token) + initiate)
    assert ends(stranger)


def test_strangers_do_not_keep_others_out(idle: Daemon, stack: ExitStack) -> None:
    strangers = [connect(idle, stack, introduced=False) for _ in range(300)]
    with idle.client() as client:
        assert client.status()["clients"] == 1
    assert ends(strangers[0])  # the oldest had to go


def test_no_more_clients_than_there_can_be(idle: Daemon, stack: ExitStack) -> None:
    clients = [stack.enter_context(idle.client()) for _ in range(CLIENTS)]
    with pytest.raises(ConnectionLost, match="has too many clients"):
        Client._attempt(Client("x", None, 1.0, None, False, idle.environ), 5.0)
    assert clients[0].status()["clients"] == CLIENTS
    clients.pop().close()
    idle.wait_for(lambda: clients[0].status()["clients"] == CLIENTS - 1)
    with idle.client() as another:
        assert another.status()["clients"] == CLIENTS


def test_a_message_of_too_many_bytes_is_refused_while_it_comes(
    idle: Daemon, stack: ExitStack
) -> None:
    with idle.client() as witness:
        before = witness.status()["memory_bytes"]
        greedy = connect(idle, stack)
        greedy.sendall(b"\1\1x" + b"\1" + bytes([len(header("status"))]) + header("status"))
        piece = frame(FRAME_BYTES) + bytes(FRAME_BYTES)
        largest = 0
        for _ in range(3 * WINDOW_BYTES // FRAME_BYTES):
            greedy.settimeout(TIMEOUT)
            greedy.sendall(piece)
            largest = max(largest, witness.status()["memory_bytes"])
        greedy.sendall(b"\0\0")
        said = greedy.recv(4096)
    assert largest - before < WINDOW_BYTES + NOISE
    assert b"busy" in said
    assert b"are unfinished: at most %d in all" % WINDOW_BYTES in said


def test_all_clients_together_have_their_bound(idle: Daemon, stack: ExitStack) -> None:
    beginning = b"\1\1x" + b"\1" + bytes([len(header("status"))]) + header("status")
    with idle.client() as witness:
        before = witness.status()["memory_bytes"]
        greedy = [connect(idle, stack) for _ in range(GREEDY)]
        for connection in greedy:
            connection.sendall(beginning)
        for _ in range(3):  # 2 GB, were it all taken in
            for connection in list(greedy):
                if not push(connection, frame(FRAME_BYTES) + bytes(FRAME_BYTES)):
                    greedy.remove(connection)
        grown = witness.status()["memory_bytes"] - before
        # Whoever is modest is served meanwhile.
        fields = {"look": "0" * 64, "width": 1 << 10, "channels": 4, "dtype": "u8"}
        with pytest.raises(Exception, match="is not known here"):
            witness.call("apply", dict(fields, rows=1 << 12), [bytes(FRAME_BYTES)])
        assert grown < max(router._ALL_BYTES, GREEDY * router._SHARE_BYTES) + NOISE
        stack.close()
        idle.wait_for(lambda: witness.status()["memory_bytes"] - before < 2 * NOISE)


def test_freed_memory_is_given_back_when_the_work_is_over(
    server: ServerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = threading.Event()
    monkeypatch.setattr(server_module, "give_back", given.set)
    monkeypatch.setattr(server_module, "_IDLE_SECONDS", 0.2)
    peer = server.peer()
    assert not given.wait(0.5)
    peer.ask("hello", client="x")
    assert given.wait(TIMEOUT)
    given.clear()
    assert not given.wait(0.5)  # once is enough
    peer.close()


def test_a_message_that_does_not_end_ends_the_connection(
    server: ServerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router, "_MESSAGE_SECONDS", 0.3)
    witness = server.peer()
    assert witness.ask("status").header["clients"] == 1
    host, port = server.server.endpoint.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port)), TIMEOUT) as connection:
        connection.sendall(GREETING + hello(server.token.encode()) + INITIATE)
        wait_for(lambda: witness.ask("status").header["clients"] == 2)
        connection.sendall(b"\1\1x")
        wait_for(lambda: witness.ask("status").header["clients"] == 1)
    witness.close()
