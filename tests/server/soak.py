"""Hostile messages by the hundred thousand: what an honest client notices, and what memory does.

    .venv/bin/python tests/server/soak.py                        # 500,000 messages
    .venv/bin/python tests/server/soak.py --seconds 3600         # an hour of them, at least
    .venv/bin/python tests/server/soak.py --seconds 3600 --rate 150 --rest 0.5   # beside other work

Prints the honest client's latency before, during and after, and the daemon's memory. Ends with
status 1 if an answer was wrong, the daemon has ended, its log tells of a defect, or its memory has
grown by more than a tenth after a sixth of the time. All hostile messages are drawn with a seed.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import random
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from daemon_process import Daemon
from test_fuzz import (
    GREETING,
    INITIATE,
    any_message,
    any_messages,
    any_stranger,
    hello,
    mutated,
    zmtp_message,
)

from vae_balance.color.lut import Lut3D, apply_lut
from vae_balance.luts.cube import format_cube
from vae_balance_protocol.client import Client

QUIET_SECONDS = 20.0
REST_SECONDS = 0.05
PEERS = 2
PATIENCE = 0.2  # of a hostile peer
GROWTH = 1.1
NOISE_BYTES = 32 << 20
RESET = struct.pack("ii", 1, 0)
PING = b"\4\7\4PING\0\0"
LARGE_FRAME = b"\3" + struct.pack(">Q", 4 << 20)
SLOW_ROUNDS = 10  # between looks that are learned: they take longest

Say = Callable[[socket.socket, random.Random, str, bytes], int]


# What hostile peers do with a connection; each returns how many messages that were.


def let_in(connection: socket.socket, token: bytes) -> None:
    for part, answer in ((GREETING + hello(token), b"WELCOME"), (INITIATE, b"READY")):
        connection.sendall(part)
        said = b""
        while answer not in said:
            heard = connection.recv(4096)
            if not heard:
                raise ConnectionError
            said += heard


def requests(connection: socket.socket, rng: random.Random, look: str, token: bytes) -> int:
    """Send requests that may be right, with PINGs between them, and read some answers."""
    let_in(connection, token)
    wire = b""
    count = rng.randrange(1, 60)
    for _ in range(count):
        wire += zmtp_message(any_message(rng, look)) + rng.choice([b"", b"", PING])
    connection.sendall(wire)
    with suppress(TimeoutError):
        for _ in range(rng.randrange(5)):
            connection.recv(1 << 16)
    return count


def broken_zmtp(connection: socket.socket, rng: random.Random, look: str, token: bytes) -> int:
    """Send messages whose bytes are changed on the wire."""
    let_in(connection, token)
    connection.sendall(any_messages(rng, look, "status"))
    return 10


def stranger(connection: socket.socket, rng: random.Random, look: str, token: bytes) -> int:
    """Try to come in without the token."""
    connection.sendall(b"".join(any_stranger(rng)))
    with suppress(TimeoutError):
        connection.recv(4096)
    return 10


def burst_and_ping(connection: socket.socket, rng: random.Random, look: str, token: bytes) -> int:
    """Send requests and a PING in one write, and be gone: what ended libzmq."""
    let_in(connection, token)
    connection.sendall(zmtp_message([b"1", b"\x82\xa1v\1\xa4verb\xa6status"]) * 8 + PING)
    return 9


def unfinished(connection: socket.socket, rng: random.Random, look: str, token: bytes) -> int:
    """Begin a message with large frames, and end in the middle of it."""
    let_in(connection, token)
    connection.sendall(b"\1\1x\1\1y")
    for _ in range(rng.randrange(4)):
        connection.sendall(LARGE_FRAME + bytes(4 << 20))
    connection.sendall(LARGE_FRAME[: rng.randrange(10)])
    return 1


def knock(connection: socket.socket, rng: random.Random, look: str, token: bytes) -> int:
    """Go away anywhere in the introduction."""
    said = GREETING + hello(token) + INITIATE
    connection.sendall(mutated(rng, said) if rng.random() < 0.5 else said[: rng.randrange(200)])
    return 1


SAYINGS: tuple[Say, ...] = (requests, requests, broken_zmtp, stranger, burst_and_ping, knock)


def attack(
    port: int, token: bytes, look: str, seed: int, rate: float, counter: Any, over: Any
) -> None:
    """Be hostile until it is over, with so many messages a second at most; count them."""
    rng = random.Random(seed)
    began, said = time.monotonic(), 0
    while not over.is_set():
        if over.wait(max(0.0, began + said / rate - time.monotonic())):
            break
        say = unfinished if rng.random() < 0.01 else rng.choice(SAYINGS)
        with (
            suppress(OSError),  # the daemon may be through with us at any time
            socket.create_connection(("127.0.0.1", port), 5.0) as connection,
        ):
            connection.settimeout(PATIENCE)
            count = say(connection, rng, look, token)
            if rng.random() < 0.5:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            said += count
            with counter.get_lock():
                counter.value += count


@dataclass
class Honest:
    """A client that works on, checks every answer, and keeps how long each took.

    Attributes:
        rest: seconds between two rounds of work.
        seconds: phase -> what was asked for -> how long it took, each time.
        memory: seconds since the beginning, and bytes of the daemon.
    """

    client: Client
    rest: float = REST_SECONDS
    seconds: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    memory: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        lut = Lut3D.from_function(lambda colors: colors[:, [1, 2, 0]] ** 1.5, 9)
        self.look = self.client.import_lut(format_cube(lut), "cube", "turned")["look"]
        pixels = rng.integers(0, 256, (256, 1000, 3), np.uint8)
        self._strip = pixels.tobytes()
        self._applied = apply_lut(lut, pixels).tobytes()
        self._proxy = rng.integers(0, 256, (224, 224, 3), np.uint8).tobytes()
        self._learned = self.client.learn([self._proxy], dtype="u8")["look"]
        self._began = time.monotonic()

    def work(self, phase: str, goes_on: Callable[[], bool]) -> None:
        rounds = 0
        while goes_on():
            with self._timed(phase, "status"):
                memory = self.client.status()["memory_bytes"]
            self.memory.append((time.monotonic() - self._began, memory))
            with self._timed(phase, "apply"):
                strips = [(0, 256, self._strip)]
                ((_, _, applied),) = self.client.apply_strips(self.look, strips, 1000, 3, "u8")
            assert applied == self._applied
            if rounds % SLOW_ROUNDS == 0:
                with self._timed(phase, "learn"):
                    learned = self.client.learn([self._proxy], dtype="u8")["look"]
                assert learned == self._learned
            rounds += 1
            time.sleep(self.rest)

    @contextmanager
    def _timed(self, phase: str, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        times = self.seconds.setdefault(phase, {}).setdefault(what, [])
        times.append(time.monotonic() - began)


@dataclass(frozen=True)
class Outcome:
    """What became of a soak.

    Attributes:
        messages: hostile ones.
        honest: what the honest client saw.
        growth: the most memory after a sixth of the time, as a share of the most before that.
        told: lines of the log that should not be there.
    """

    messages: int
    honest: Honest
    growth: float
    told: list[str]

    @property
    def is_well(self) -> bool:
        return self.growth <= GROWTH and not self.told


@dataclass(frozen=True)
class Load:
    """How much is done to a daemon, at least and at most.

    Attributes:
        messages: hostile ones, at least.
        seconds: in which hostile ones come, at least.
        quiet: seconds without them, before and after.
        rate: hostile messages a second, at most.
        rest: seconds that the honest client rests between two rounds of work.
    """

    messages: int
    seconds: float = 0.0
    quiet: float = QUIET_SECONDS
    rate: float = math.inf
    rest: float = REST_SECONDS


def soak(folder: Path, load: Load) -> Outcome:
    """Let hostile peers be hostile until there were so many messages and seconds."""
    daemon = Daemon(folder)
    try:
        return _soak(daemon, load)
    finally:
        daemon.end()


def _soak(daemon: Daemon, load: Load) -> Outcome:
    context = multiprocessing.get_context("spawn")
    counter, over = context.Value("q", 0), context.Event()
    token, port = daemon.connection()["token"].encode(), daemon.connection()["endpoint"]
    with daemon.client("honest") as client:
        honest = Honest(client, load.rest)
        honest.work("before", _for_seconds(load.quiet))
        port = int(port.rpartition(":")[2])
        hostile = [
            context.Process(
                target=attack,
                args=(port, token, honest.look, seed, load.rate / PEERS, counter, over),
            )
            for seed in range(PEERS)
        ]
        began = time.monotonic()
        for process in hostile:
            process.start()
        try:
            honest.work(
                "during",
                lambda: counter.value < load.messages or time.monotonic() - began < load.seconds,
            )
        finally:
            over.set()
            for process in hostile:
                process.join()
        honest.work("after", _for_seconds(load.quiet))
    assert daemon.process.poll() is None, daemon.output.read_text()
    assert daemon.end() == 0
    text = daemon.all_logs() + daemon.output.read_text()
    told = [line for line in text.splitlines() if " a defect" in line or "Traceback" in line]
    return Outcome(counter.value, honest, _growth(honest.memory), told)


def _for_seconds(seconds: float) -> Callable[[], bool]:
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() < deadline


def _growth(memory: list[tuple[float, int]]) -> float:
    mark = memory[-1][0] / 6
    before = max(size for when, size in memory if when <= mark)
    after = max((size for when, size in memory if when > mark), default=0)
    return max(0, after - NOISE_BYTES) / before


def report(outcome: Outcome) -> str:
    """Return what a person wants to know."""
    lines = [f"{outcome.messages} hostile messages", ""]
    lines += ["| | asked for | times | median | 99 % | slowest |", "|---|---|---|---|---|---|"]
    for phase, by_verb in outcome.honest.seconds.items():
        for verb, times in by_verb.items():
            ordered = sorted(times)
            late = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
            figures = (statistics.median(ordered), late, ordered[-1])
            shown = " | ".join(f"{1000 * figure:.0f} ms" for figure in figures)
            lines.append(f"| {phase} | {verb} | {len(times)} | {shown} |")
    memory = outcome.honest.memory
    samples = memory[:: max(1, len(memory) // 12)]
    lines += ["", "memory, MB: " + ", ".join(f"{size / 1e6:.0f}" for _, size in samples)]
    lines.append(f"most after a sixth of the time, to the most before: {outcome.growth:.2f}")
    return "\n".join(lines + outcome.told[:10])


def main() -> int:
    """Run as the command line says; return 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=500_000)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--rate", type=float, default=math.inf)
    parser.add_argument("--rest", type=float, default=REST_SECONDS)
    asked = parser.parse_args()
    load = Load(asked.messages, asked.seconds, rate=asked.rate, rest=asked.rest)
    with tempfile.TemporaryDirectory() as folder:
        outcome = soak(Path(folder), load)
    print(report(outcome))
    return 0 if outcome.is_well else 1


if __name__ == "__main__":
    sys.exit(main())
