"""Peers that are no daemon, or a broken one: a clear error, soon, in little memory."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "hostile_peer.py"
DEAF = "the daemon takes no data"
GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\x01" + b"PLAIN".ljust(20, b"\0") + b"\x01" + b"\0" * 31
WELCOME = b"\x04\x08\x07WELCOME"
READY = b"\x04\x06\x05READY"
Peer = Callable[[socket.socket], None]
CLIENT_ENDED = threading.Event()


def introduce(connection: socket.socket) -> None:
    """Do as a ROUTER does until messages may come."""
    connection.sendall(GREETING + WELCOME + READY)


def saying(*parts: bytes) -> Peer:
    """Return a peer that introduces itself, says something, and takes in what comes."""

    def say(connection: socket.socket) -> None:
        introduce(connection)
        for part in parts:
            connection.sendall(part)
        while connection.recv(1 << 20):
            pass

    return say


def repeating(part: bytes) -> Peer:
    """Return a peer that introduces itself and says the same for ever, without listening."""

    def repeat(connection: socket.socket) -> None:
        introduce(connection)
        while True:
            connection.sendall(part)

    return repeat


def silent(connection: socket.socket) -> None:
    CLIENT_ENDED.wait()


def deaf(connection: socket.socket) -> None:
    introduce(connection)
    CLIENT_ENDED.wait()


def garbage(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def greeting(change: bytes, offset: int) -> Peer:
    """Return a peer with a changed greeting."""

    def greet(connection: socket.socket) -> None:
        connection.sendall(GREETING[:offset] + change + GREETING[offset + len(change) :])
        CLIENT_ENDED.wait()

    return greet


def drip(connection: socket.socket) -> None:
    for byte in GREETING:
        connection.sendall(bytes([byte]))
        CLIENT_ENDED.wait(0.1)


def pinging(connection: socket.socket) -> None:
    connection.sendall(GREETING)
    while True:
        connection.sendall(b"\x04\x07\x04PING\0\0" * 1000)


def hang_up(connection: socket.socket) -> None:
    introduce(connection)
    connection.recv(10)


@pytest.fixture
def listen() -> Iterator[Callable[[Peer], int]]:
    """Return a function that lets a peer listen, and returns its port."""
    CLIENT_ENDED.clear()
    with contextlib.ExitStack() as stack:

        def start(peer: Peer) -> int:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            listener.settimeout(20)

            def serve() -> None:
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        peer(connection)

            thread = threading.Thread(target=serve)
            thread.start()
            stack.callback(thread.join)
            return int(listener.getsockname()[1])

        yield start
        CLIENT_ENDED.set()


@pytest.mark.parametrize(
    ("peer", "message"),
    [
        pytest.param(garbage, "does not speak ZMTP", id="another protocol"),
        pytest.param(greeting(b"\x02", 10), "a version of ZMTP before 3", id="old version"),
        pytest.param(greeting(b"NULL\0", 12), "does not ask for PLAIN", id="another mechanism"),
        pytest.param(silent, "what listens there does not answer", id="no greeting"),
        pytest.param(pinging, "what listens there does not answer", id="pings before WELCOME"),
        pytest.param(drip, "what listens there does not answer", id="a slow greeting"),
        pytest.param(hang_up, "the daemon has ", id="hangs up"),
        pytest.param(deaf, DEAF, id="does not read"),
        pytest.param(
            saying(b"\x02" + struct.pack(">Q", 1 << 62)), "a frame of 4611", id="giant frame"
        ),
        pytest.param(
            saying(b"\x06" + struct.pack(">Q", 1 << 20)), "a frame of 1048576", id="giant command"
        ),
        pytest.param(saying(b"\x01\0" * 100), "a message from the daemon is too", id="many parts"),
        pytest.param(
            repeating(b"\x03" + struct.pack(">Q", 1 << 24) + bytes(1 << 24)),
            "a message from the daemon is too long",
            id="large parts",
        ),
        pytest.param(repeating(b"\0\x01x" * 1000), "more than it was asked for", id="messages"),
        pytest.param(saying(b"\x40\x01x"), "is not ZMTP", id="unknown flags"),
        pytest.param(saying(b"\x05\x01x"), "is not ZMTP", id="a command in parts"),
        pytest.param(saying(b"\x04\x0a\x05ERROR\x03400"), "has ended", id="an error"),
        pytest.param(repeating(b"\x04\x07\x04PING\0\0"), DEAF, id="pings"),
    ],
)
def test_a_hostile_peer(
    run_client: Callable[..., subprocess.CompletedProcess[str]],
    listen: Callable[[Peer], int],
    peer: Peer,
    message: str,
) -> None:
    # A computer with other work takes its time to take in 64 MB.
    taking = 0.7 if message == DEAF else 10.0
    began = time.monotonic()
    done = run_client(SCRIPT, listen(peer), taking, 10.0)
    assert done.stderr == ""
    said, memory = done.stdout.splitlines()
    assert message in said
    assert said.startswith("lost: ")
    # What the script sends has 8 MB, a message that arrives may have 84 MB.
    assert int(memory) < 130_000
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    "peer",
    [
        pytest.param(saying(), id="says nothing"),
        pytest.param(saying(b"\x00\x80half"), id="half a frame"),
        pytest.param(saying(b"\x02\0\0"), id="half a head"),
        pytest.param(saying(b"\x04\x08\x07UNKNOWN", b"\x04\x00"), id="unknown commands"),
    ],
)
def test_a_peer_that_never_answers_costs_no_more_than_the_time_out(
    run_client: Callable[..., subprocess.CompletedProcess[str]],
    listen: Callable[[Peer], int],
    peer: Peer,
) -> None:
    done = run_client(SCRIPT, listen(peer), 10.0, 0.2)
    assert done.stderr == ""
    assert done.stdout.startswith("silent\n")
