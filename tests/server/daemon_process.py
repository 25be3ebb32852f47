"""A real daemon in a process of its own, and peers that tell it whatever a test wants."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import zmq

import vae_balance
import vae_balance_protocol
from vae_balance.server.server import Server
from vae_balance.server.settings import DaemonSettings
from vae_balance_protocol.client import Client

TIMEOUT = 60.0  # seconds, for what takes a few: these machines may be busy with other things
_PACKAGES = (vae_balance, vae_balance_protocol)
_SOURCES = [str(Path(package.__file__).parents[1]) for package in _PACKAGES if package.__file__]


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


@dataclass
class Answer:
    """A message of the daemon."""

    request: bytes
    header: dict[str, Any]
    frames: list[bytes]


class Peer:
    """A DEALER that sends whatever a test wants."""

    def __init__(self, connection: dict[str, Any], **options: Any) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        defaults = {
            "linger": 0,
            "plain_username": b"vae-balance",
            "plain_password": connection["token"].encode(),
        }
        for name, value in {**defaults, **options}.items():
            setattr(self.socket, name, value)
        self.socket.connect(connection["endpoint"])
        self._number = 0
        self._ends: dict[bytes, Answer] = {}  # results and errors that nobody has asked for yet

    def close(self) -> None:
        self._context.destroy(linger=0)

    def send(self, verb: str, frames: Sequence[Any] = (), **fields: Any) -> bytes:
        self._number += 1
        request = b"r%d" % self._number
        self.socket.send_multipart([request, header(verb, **fields), *frames])
        return request

    def receive(self, timeout: float = TIMEOUT) -> Answer | None:
        if not self.socket.poll(int(1000 * timeout)):
            return None
        request, packed, *frames = self.socket.recv_multipart()
        return Answer(request, msgpack.unpackb(packed), frames)

    def end_of(self, request: bytes, timeout: float = TIMEOUT) -> Answer:
        """Return the result or error of a request."""
        deadline = time.monotonic() + timeout
        while request not in self._ends:
            answer = self.receive(max(0.0, deadline - time.monotonic()))
            assert answer is not None, "no answer"
            if answer.header["type"] != "progress":
                self._ends[answer.request] = answer
        return self._ends.pop(request)

    def ask(self, verb: str, frames: Sequence[Any] = (), **fields: Any) -> Answer:
        return self.end_of(self.send(verb, frames, **fields))


def header(verb: str, **fields: Any) -> bytes:
    packed: bytes = msgpack.packb({"v": 1, "verb": verb, **fields})
    return packed


class Daemon:
    """A daemon in a process of its own."""

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str] = (),
        threads: int = 1,
        sources: Sequence[str] = (),
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.state = folder / "state"
        self.output = folder / "output.txt"
        self.environ = {
            **{name: v for name, v in os.environ.items() if not name.startswith("VAE_BALANCE_")},
            "VAE_BALANCE_STATE": str(self.state),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "PYTHONPATH": os.pathsep.join([*sources, *_SOURCES]),
            "OMP_NUM_THREADS": str(threads),
        }
        self._peers: list[Peer] = []
        self.command = [sys.executable, "-m", "vae_balance", "serve", "--device", "cpu", *arguments]
        self.start()

    def start(self) -> None:
        """Start the process and wait until it can be reached."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, env=self.environ, stdout=output, stderr=output
            )
        self.wait_for(lambda: self._published() == self.process.pid)

    def wait_for(self, condition: Callable[[], bool], timeout: float = TIMEOUT) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            text = self.output.read_text() if self.output.exists() else ""
            assert time.monotonic() < deadline, f"waited in vain: {text}{self.log()}"
            assert self.process.poll() is None or condition(), f"ended: {text}{self.log()}"
            time.sleep(0.01)

    def _published(self) -> int:
        try:
            return int(self.connection()["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def connection(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.state / "daemon.json").read_text())
        return content

    def log(self) -> str:
        log = self.state / "daemon.log"
        return log.read_text(encoding="utf-8") if log.exists() else ""

    def all_logs(self) -> str:
        """Return the log with the older ones that were put aside."""
        logs = sorted(self.state.glob("daemon.log*"), reverse=True)
        return "".join(log.read_text(encoding="utf-8") for log in logs)

    def client(self, name: str = "test") -> Client:
        return Client.connect(name, start=False, environ=self.environ)

    def peer(self, **options: Any) -> Peer:
        """Return a peer, which is closed with the daemon's end unless it was before."""
        self._peers.append(Peer(self.connection(), **options))
        return self._peers[-1]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(TIMEOUT)

    def end(self) -> int:
        """End the process by SIGTERM; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(TIMEOUT)
        finally:
            self.process.kill()
            for peer in self._peers:
                peer.close()


class ServerThread:
    """The server in a thread of this process, where a test can put its own things into it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        # No model is loaded at the start: that is for the tests of models.
        defaults: dict[str, Any] = {"device": "cpu", "keep_alive": 0.0}
        self.token = "5" * 64
        self.server = Server(DaemonSettings(**{**defaults, **settings}), self.token, folder / "log")
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()

    def peer(self, **options: Any) -> Peer:
        return Peer({"endpoint": self.server.endpoint, "token": self.token}, **options)

    def end(self) -> None:
        self.server.stop("the test is over")
        self.thread.join(TIMEOUT)
        assert not self.thread.is_alive()
