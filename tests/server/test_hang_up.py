"""Whoever connects, says something and hangs up: the daemon goes on, and forgets them.

What ends a connection in the middle ended the whole process once: a PING that waited behind
messages that were not read yet, of a client that was gone (libzmq's issues 4364 and 4841).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pytest
import zmq
from daemon_process import TIMEOUT, Daemon, header
from test_fuzz import GREETING, INITIATE, hello, zmtp_message

CONNECTIONS = 300
HEARTBEAT_MS = 20
RESET = struct.pack("ii", 1, 0)  # linger for no time: closing sends RST
PING = b"\4\7\4PING\0\0"


def address_of(daemon: Daemon) -> tuple[str, int]:
    host, port = daemon.connection()["endpoint"].removeprefix("tcp://").split(":")
    return host, int(port)


def introduce(daemon: Daemon, connection: socket.socket) -> None:
    """Say what comes before messages, and take in what the daemon says to it."""
    connection.settimeout(TIMEOUT)
    token = daemon.connection()["token"].encode()
    for part, answer in ((GREETING + hello(token), b"WELCOME"), (INITIATE, b"READY")):
        connection.sendall(part)
        said = b""
        while answer not in said:
            heard = connection.recv(4096)
            assert heard, said
            said += heard


def hang_up_after_a_burst(daemon: Daemon, number: int) -> None:
    """Send requests and a PING in one write, and end the connection by FIN or RST."""
    burst = b"".join(zmtp_message([b"%d" % i, header("status")]) for i in range(8))
    with socket.create_connection(address_of(daemon), TIMEOUT) as connection:
        introduce(daemon, connection)
        connection.sendall(burst + PING)
        if number % 2:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def dealer_with_heartbeats(daemon: Daemon, number: int) -> None:
    """Send requests by ZeroMQ's library with heartbeats, and close at once or at an answer."""
    waits = number % 3 == 0
    # On a busy computer a PONG may take longer, and libzmq would give the connection up.
    patience = 1000 * int(TIMEOUT) if waits else HEARTBEAT_MS
    peer = daemon.peer(heartbeat_ivl=HEARTBEAT_MS, heartbeat_timeout=patience, immediate=1)
    assert peer.socket.poll(1000 * int(TIMEOUT), zmq.POLLOUT)
    for _ in range(8):
        peer.send("status")
    if waits:
        assert peer.receive() is not None
    peer.close()


HangUp = Callable[[Daemon, int], None]


def check_that_the_daemon_goes_on(daemon: Daemon, hang_up: HangUp, count: int) -> None:
    with daemon.client("witness") as witness:
        for number in range(count):
            hang_up(daemon, number)
            if number % 100 == 0:
                assert witness.status()["pid"] == daemon.process.pid
        daemon.wait_for(lambda: witness.status()["clients"] == 1)
    assert daemon.process.poll() is None


@pytest.fixture
def idle(start_daemon: Callable[..., Daemon]) -> Daemon:
    """Return a daemon of the test's own, without a model."""
    return start_daemon("--keep-alive", "0")


@pytest.mark.parametrize("hang_up", [hang_up_after_a_burst, dealer_with_heartbeats])
def test_hanging_up(idle: Daemon, hang_up: HangUp) -> None:
    check_that_the_daemon_goes_on(idle, hang_up, CONNECTIONS)


@pytest.mark.slow
@pytest.mark.parametrize("hang_up", [hang_up_after_a_burst, dealer_with_heartbeats])
def test_hanging_up_ten_thousand_times(idle: Daemon, hang_up: HangUp) -> None:
    check_that_the_daemon_goes_on(idle, hang_up, 10_000)


def test_a_ping_is_answered(idle: Daemon) -> None:
    with socket.create_connection(address_of(idle), TIMEOUT) as connection:
        introduce(idle, connection)
        connection.sendall(b"\4\x0a\4PING\0\x64abc")
        said = connection.recv(100)
    assert said == b"\4\x08\4PONGabc"


def test_who_comes_again_with_the_same_identity_is_served_again(idle: Daemon) -> None:
    for _ in range(3):
        peer = idle.peer(routing_id=b"the same")
        assert peer.ask("status").header["clients"] <= 2
        peer.close()


def test_two_with_the_same_identity_are_served_beside_each_other(idle: Daemon) -> None:
    peers = [idle.peer(routing_id=b"the same") for _ in range(2)]
    for peer in peers + peers:
        assert peer.ask("status").header["type"] == "result"
