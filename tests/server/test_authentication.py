"""Who does not have the token gets nothing but a refusal, and the token is written nowhere else."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

import pytest
import zmq
from daemon_process import Daemon, Peer
from zmq.utils.monitor import recv_monitor_message

REFUSED = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
)
SERVER_KEY, _ = zmq.curve_keypair()
PUBLIC_KEY, SECRET_KEY = zmq.curve_keypair()


def refusal_of(daemon: Daemon, **options: Any) -> int:
    """Return the event that ends an attempt to connect and ask for the status."""
    context = zmq.Context()
    try:
        with context.socket(zmq.DEALER) as dealer:
            for name, value in {"linger": 0, "reconnect_ivl": -1, **options}.items():
                setattr(dealer, name, value)
            monitor = dealer.get_monitor_socket(sum(REFUSED) | zmq.EVENT_HANDSHAKE_SUCCEEDED)
            dealer.connect(daemon.connection()["endpoint"])
            assert monitor.poll(10_000), "neither let in nor refused"
            event = recv_monitor_message(monitor)["event"]
            dealer.disable_monitor()
            monitor.close(0)
            assert not dealer.poll(100), "something was said to who was refused"
            return int(event)
    finally:
        context.destroy(linger=0)


def test_the_token_lets_in(daemon: Daemon) -> None:
    token = daemon.connection()["token"].encode()
    event = refusal_of(daemon, plain_username=b"vae-balance", plain_password=token)
    assert event == zmq.EVENT_HANDSHAKE_SUCCEEDED


@pytest.mark.parametrize("user", [b"vae-balance", b"root"])
@pytest.mark.parametrize("password", [b"0" * 64, b"token", b"\xff" * 255])
def test_a_wrong_token_is_refused(daemon: Daemon, user: bytes, password: bytes) -> None:
    event = refusal_of(daemon, plain_username=user, plain_password=password)
    assert event in REFUSED


@pytest.mark.parametrize("user", [b"root", b"vae-balance\0", b"VAE-BALANCE"])
def test_a_wrong_user_is_refused(daemon: Daemon, user: bytes) -> None:
    token = daemon.connection()["token"].encode()
    event = refusal_of(daemon, plain_username=user, plain_password=token)
    assert event in REFUSED


@pytest.mark.parametrize("change", [slice(0, 63), slice(1, 64)])
def test_a_part_of_the_token_is_not_enough(daemon: Daemon, change: slice) -> None:
    part = daemon.connection()["token"].encode()[change]
    event = refusal_of(daemon, plain_username=b"vae-balance", plain_password=part)
    assert event in REFUSED


@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "curve_serverkey": SERVER_KEY,
            "curve_publickey": PUBLIC_KEY,
            "curve_secretkey": SECRET_KEY,
        },
    ],
    ids=["none", "curve"],
)
def test_another_mechanism_is_refused(daemon: Daemon, options: dict[str, Any]) -> None:
    assert refusal_of(daemon, **options) in REFUSED


def test_who_speaks_no_zmtp_is_told_nothing(daemon: Daemon) -> None:
    host, port = daemon.connection()["endpoint"].removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.settimeout(10)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"\0" * 100)
        said = b""
        with suppress(ConnectionResetError):
            while chunk := connection.recv(4096):
                said += chunk
    assert len(said) <= 64  # of a greeting


def test_the_daemon_listens_on_this_machine_only(daemon: Daemon) -> None:
    assert daemon.connection()["endpoint"].startswith("tcp://127.0.0.1:")


def test_others_are_served_and_the_log_has_no_token(daemon: Daemon, peer: Peer) -> None:
    tried = b"abcdef0123456789" * 4
    refusal_of(daemon, plain_username=b"vae-balance", plain_password=tried)
    assert peer.ask("status").header["type"] == "result"
    daemon.wait_for(lambda: "refused a connection from 127.0.0.1: wrong token" in daemon.log())
    for text in (daemon.log(), daemon.output.read_text()):
        assert daemon.connection()["token"] not in text
        assert tried.decode() not in text
