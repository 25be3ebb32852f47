"""Random and mutated messages, with the token and without it: honest clients notice nothing.

All is drawn with fixed seeds. Strangers speak ZMTP by hand, so that they can break it as well.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from daemon_process import TIMEOUT, Daemon, wait_for
from test_malformed import VALID

from vae_balance.color.lut import Lut3D, apply_lut
from vae_balance.luts.cube import format_cube
from vae_balance_protocol.client import Client

START = Callable[..., Daemon]
MESSAGES = pytest.mark.parametrize(
    "messages", [2_000, pytest.param(20_000, marks=pytest.mark.slow)]
)
PARTS = 10  # after each of which the daemon's memory is looked at
AT_ONCE = 200  # more than a client may have unfinished
MESSAGES_EACH = 10  # of a connection
GROWTH = 64e6  # bytes: what clients may have unfinished at a time, and noise
WARMTH = 64e6  # what is imported, and what is kept, until every verb has been asked for many times

SILENCE = 0.3  # seconds, after which a stranger gives up waiting for an answer

GREETING = b"\xff" + bytes(8) + b"\x7f\3\1PLAIN" + bytes(15 + 1 + 31)
REFUSAL = b"RROR"  # of which libzmq sends the first letter wrong
INITIATE = b"\4\x2c\x08INITIATE\x0bSocket-Type\0\0\0\6DEALER\x08Identity\0\0\0\0"
REQUESTS = {**VALID, "status": ({}, [])}


class HonestClient:
    """Goes on working in a thread, and keeps what is not as it should be.

    Attributes:
        rounds: how often everything was right.
    """

    def __init__(self, daemon: Daemon, model: Path) -> None:
        self.rounds = 0
        self._model = str(model)
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._client = daemon.client("honest")
        self._thread = threading.Thread(target=self._work)

    @contextmanager
    def working(self) -> Iterator[HonestClient]:
        with self._client:
            self._thread.start()
            wait_for(lambda: self.rounds > 0 or self._error is not None)
            try:
                yield self
            finally:
                self._over.set()
                self._thread.join(TIMEOUT)
            assert not self._thread.is_alive()
            if self._error is not None:
                raise self._error

    def _work(self) -> None:
        try:
            self._rounds(self._client)
        except BaseException as error:
            self._error = error

    def _rounds(self, client: Client) -> None:
        rng = np.random.default_rng(0)
        lut = Lut3D.from_function(lambda colors: colors[:, [1, 2, 0]] ** 1.5, 9)
        look = client.import_lut(format_cube(lut), "cube", "turned")["look"]
        pixels = rng.integers(0, 256, (64, 200, 3), np.uint8)
        expected = client.export(look, "cube")
        proxy = rng.integers(0, 256, (224, 224, 3), np.uint8).tobytes()
        options: dict[str, Any] = {"dtype": "u8", "size": 2, "model": self._model}
        learned = client.learn([proxy], **options)["look"]
        strips = [(row, 16, pixels[row : row + 16].copy()) for row in range(0, 64, 16)]
        applied = apply_lut(lut, pixels).tobytes()
        while not self._over.is_set():
            parts = [part for *_, part in client.apply_strips(look, strips, 200, 3, "u8")]
            assert b"".join(parts) == applied
            assert client.export(look, "cube") == expected
            if self.rounds % 20 == 0:
                assert client.learn([proxy], **options)["look"] == learned
            self.rounds += 1


@pytest.fixture
def fuzzed(start_daemon: START, random_model: Path) -> Iterator[Daemon]:
    """Return a daemon, beside which an honest client works; it must be well at the end."""
    daemon = start_daemon("--model", str(random_model))
    with HonestClient(daemon, random_model).working() as honest:
        yield daemon
        before = honest.rounds
        assert before > 3
        daemon.wait_for(lambda: honest.rounds > before)
    assert daemon.end() == 0
    told = daemon.all_logs() + daemon.output.read_text()
    assert " a defect" not in told
    assert "Traceback" not in told


def check_memory(memory: list[int]) -> None:
    """Check that memory, looked at after every part, grows while the daemon warms up at most."""
    half = PARTS // 2
    assert max(memory[half:]) - memory[half - 1] < GROWTH
    assert max(memory) - memory[1] < WARMTH + GROWTH


def any_value(rng: random.Random, depth: int = 0) -> Any:
    """Return a value that msgpack can hold."""
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: rng.random() < 0.5,
        lambda: rng.choice([0, 1, -1, 2**63 - 1, 2**64 - 1, -(2**63), rng.randrange(10**6)]),
        lambda: rng.choice([float("nan"), float("inf"), -0.0, 1e308, rng.random()]),
        lambda: "x\0é"[: rng.randrange(4)] * rng.choice([1, 1, 100]),
        lambda: rng.randbytes(rng.randrange(40)),
        lambda: [any_value(rng, depth + 1) for _ in range(rng.randrange(4))],
        lambda: {str(i): any_value(rng, depth + 1) for i in range(rng.randrange(4))},
        lambda: msgpack.ExtType(rng.randrange(128), rng.randbytes(4)),
    ]
    return rng.choice(kinds if depth < 6 else kinds[:6])()


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Change, cut out or add some bytes."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(changed) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            changed[place : place + 1] = rng.randbytes(1)
        elif kind == 1:
            changed[place : place + rng.randrange(1, 9)] = b""
        elif kind == 2:
            changed[place:place] = rng.randbytes(rng.randrange(1, 9))
        elif changed:
            changed[place % len(changed)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def any_message(rng: random.Random, look: str) -> list[bytes]:
    """Return the frames of a request that may be right, but mostly is not."""
    verb = rng.choice(list(REQUESTS))
    if verb == "learn" and rng.random() < 0.95:  # a right one takes a while, and there are others
        verb = "apply"
    fields, frames = REQUESTS[verb]
    fields, frames = {"v": 1, "verb": verb, **fields}, list(frames)
    if "look" in fields:
        fields["look"] = look
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        fields[rng.choice(list(fields))] = any_value(rng)
    header = msgpack.packb(fields, default=str)
    dice = rng.random()
    if dice < 0.3:
        header = mutated(rng, header)
    elif dice < 0.35:
        header = rng.randbytes(rng.randrange(200))
    elif dice < 0.4:
        header = msgpack.packb(any_value(rng), default=str)
    if rng.random() < 0.2:
        frames = [mutated(rng, frame) for frame in frames] + [b"more"] * rng.randrange(3)
    message = [rng.randbytes(rng.choice([0, 1, 8, 8, 8, 8, 32, 33])), header, *frames]
    if rng.random() < 0.05:
        del message[rng.randrange(len(message)) :]
    return message or [b""]


@MESSAGES
def test_messages_of_who_has_the_token(fuzzed: Daemon, messages: int) -> None:
    rng = random.Random(20_000)
    memory = []
    with fuzzed.client("witness") as witness:
        look = witness.import_lut(format_cube(Lut3D.identity(2)), "cube", "identity")["look"]
        peer = fuzzed.peer()
        for number in range(messages // AT_ONCE):
            for _ in range(AT_ONCE):
                peer.socket.send_multipart(any_message(rng, look))
            if number % (messages // AT_ONCE // PARTS) == 0:
                memory.append(witness.status()["memory_bytes"])
                peer.close()  # with much unanswered
                peer = fuzzed.peer()
            while (answer := peer.ask("status").header)["type"] == "error":
                assert answer["code"] == "busy"
            assert answer["pid"] == fuzzed.process.pid
    check_memory(memory)


def command(name: bytes, data: bytes) -> bytes:
    body = bytes([len(name)]) + name + data
    return b"\4" + bytes([len(body)]) + body


def hello(token: bytes) -> bytes:
    return command(b"HELLO", b"\x0bvae-balance" + bytes([len(token)]) + token)


def zmtp_message(frames: list[bytes]) -> bytes:
    """Return a message as it goes over the wire."""
    wire = b""
    for index, frame in enumerate(frames):
        more = int(index < len(frames) - 1)
        short = len(frame) < 256
        wire += struct.pack(">BB" if short else ">BQ", more + (0 if short else 2), len(frame))
        wire += frame
    return wire


def any_messages(rng: random.Random, look: str, verb: str) -> bytes:
    """Return messages as they go over the wire, or nearly; one in three asks for a verb."""
    wire = b""
    for _ in range(MESSAGES_EACH):
        small = [frame[:300] for frame in any_message(rng, look)]
        request = [b"1", msgpack.packb({"v": 1, "verb": verb})]
        message = zmtp_message(rng.choice([small, small, request]))
        wire += mutated(rng, message) if rng.random() < 0.3 else message
    return wire


def any_stranger(rng: random.Random) -> list[bytes]:
    """Return what somebody without the token says: greeting, handshake and messages."""
    token = rng.choice([b"", b"0" * 64, rng.randbytes(64), rng.randbytes(200)])
    parts = [GREETING + hello(token), INITIATE, any_messages(rng, "0" * 64, "shutdown")]
    dice = rng.random()
    if dice < 0.1:
        parts[0] = parts[0].replace(b"PLAIN", rng.choice([b"NULL\0", b"CURVE", b"GSSAP"]))
    elif dice < 0.2:
        parts[0] = rng.choice([mutated(rng, parts[0]), rng.randbytes(rng.randrange(1, 200))])
    elif dice < 0.3:
        parts = [b"".join(parts)]
    return parts


def talk(daemon: Daemon, parts: list[bytes], is_known: bool = False) -> bytes:
    """Send parts, each when the last was answered; return what the daemon says.

    Who has the token is sure to be answered until it has introduced itself, however long it takes.
    """
    port = int(daemon.connection()["endpoint"].rpartition(":")[2])
    said = b""
    with (
        suppress(OSError),  # the daemon may be through with us at any time
        socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection,
    ):
        for part, answer in zip(parts, (b"WELCOME", b"READY", b"memory_bytes"), strict=False):
            is_sure = is_known and answer != b"memory_bytes"
            connection.settimeout(TIMEOUT if is_sure else SILENCE)
            connection.sendall(part)
            while answer not in said and REFUSAL not in said:
                heard = connection.recv(1 << 16)
                if not heard:
                    return said
                said += heard
    return said


@MESSAGES
def test_messages_of_who_has_no_token(fuzzed: Daemon, messages: int) -> None:
    connections = messages // MESSAGES_EACH
    rng = random.Random(1)
    memory = []
    refusals = 0
    with fuzzed.client("witness") as witness, ThreadPoolExecutor(16) as pool:
        for _ in range(PARTS):
            strangers = [any_stranger(rng) for _ in range(connections // PARTS)]
            for said in pool.map(partial(talk, fuzzed), strangers):
                assert b"WELCOME" not in said
                assert b"READY" not in said
                assert len(said) < 200
                refusals += REFUSAL in said
            memory.append(witness.status()["memory_bytes"])
        assert witness.status()["clients"] == 2
    assert refusals > connections // 2
    check_memory(memory)


@MESSAGES
def test_broken_zmtp_of_who_has_the_token(fuzzed: Daemon, messages: int) -> None:
    connections = messages // MESSAGES_EACH // 5
    rng = random.Random(2)
    handshake = [GREETING + hello(fuzzed.connection()["token"].encode()), INITIATE]
    memory = []
    answers = 0
    with fuzzed.client("witness") as witness, ThreadPoolExecutor(16) as pool:
        look = witness.import_lut(format_cube(Lut3D.identity(2)), "cube", "identity")["look"]
        for _ in range(PARTS):
            wires = [any_messages(rng, look, "status") for _ in range(connections // PARTS)]
            for said in pool.map(lambda wire: talk(fuzzed, [*handshake, wire], True), wires):
                assert b"READY" in said
                answers += b"memory_bytes" in said
            memory.append(witness.status()["memory_bytes"])
        fuzzed.wait_for(lambda: witness.status()["clients"] == 2)
    assert answers > connections // PARTS
    check_memory(memory)
