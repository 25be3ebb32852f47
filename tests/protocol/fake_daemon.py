"""A daemon that only pretends: a real pyzmq ROUTER with PLAIN, whose looks turn colors over.

    python fake_daemon.py serve --by-client

As a program it does as $FAKE_DAEMON says: serve (once), crash, stay silent.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgpack
import zmq
from filelock import FileLock, Timeout

from vae_balance_protocol import messages, places

TOKEN = "0123456789abcdef" * 4
LOOK = "a" * 64
INVERSION = bytes(range(255, -1, -1))
PROXY = b"\0\0\0\x3f" * (224 * 224 * 3)

# What a handler answers: (type, fields, frames) at once, or None: the request waits.
Reply = tuple[str, dict[str, Any], list[bytes]]
Handler = Callable[["FakeDaemon", dict[str, Any], list[bytes]], "list[Reply] | None"]


def result(*frames: bytes, **fields: Any) -> list[Reply]:
    """Return the replies of a request that succeeds at once."""
    return [("result", fields, list(frames))]


def error(code: str, message: str) -> list[Reply]:
    """Return the replies of a request that fails at once."""
    return [("error", {"code": code, "message": message}, [])]


def _learn(daemon: FakeDaemon, header: dict[str, Any], frames: list[bytes]) -> list[Reply]:
    asked = header.get("iterations", "auto")
    rounds = 1 if asked == "auto" else asked
    progress: list[Reply] = [
        ("progress", {"stage": "encode", "done": done, "total": rounds}, [])
        for done in range(rounds + 1)
    ]
    about = {"model": header.get("model", "embedded"), "model_version": "0", "device": "cpu"}
    return progress + result(look=LOOK, size=33, seconds={"encode": 0.5}, **about)


def _shrink(daemon: FakeDaemon, header: dict[str, Any], frames: list[bytes]) -> list[Reply]:
    expected = daemon.next_rows.get(header["picture"], 0)
    if header["first_row"] != expected:
        return error("malformed", f"first_row must be {expected}")
    end = expected + header["rows"]
    daemon.next_rows[header["picture"]] = end
    proxy = [PROXY] if end == header["height"] else []
    if proxy:  # the next client may call its picture the same
        del daemon.next_rows[header["picture"]]
    return result(*proxy, first_row=expected, rows=header["rows"])


def _apply(daemon: FakeDaemon, header: dict[str, Any], frames: list[bytes]) -> list[Reply]:
    if header["look"] != LOOK:
        return error("unknown-look", "learn again")
    return result(bytes(frames[0]).translate(INVERSION), look=LOOK)


def _batch(daemon: FakeDaemon, header: dict[str, Any], frames: list[bytes]) -> list[Reply]:
    total = len(header["photos"])
    size = {"width": 6000, "height": 4000}
    about = {"outcome": "done", "code": "", "message": "", "look": LOOK, "device": "cpu", **size}
    photo = {"stage": "photo", "total": total, "seconds": {"decode": 0.5}, **about}
    photos: list[Reply] = [
        ("progress", {"done": i + 1, "photo": i, **photo}, []) for i in range(total)
    ]
    return photos + result(done=total, failed=0)


def _model(daemon: FakeDaemon, header: dict[str, Any], frames: list[bytes]) -> list[Reply]:
    about = {"model": header.get("model", "embedded"), "model_version": "0"}
    return result(proxy="centre", colors="color", roll=True, **about)


def _hello(daemon: FakeDaemon, header: dict[str, Any], frames: list[bytes]) -> list[Reply]:
    about = {"version": "9.9", "protocol": 1, "pid": os.getpid(), "device": "cpu", "models": []}
    return result(limits=daemon.limits, **about)


def _status(daemon: FakeDaemon, header: dict[str, Any], frames: list[bytes]) -> list[Reply]:
    counts = {"looks": 1, "clients": 1, "queued": 0, "memory_bytes": 1, "running": []}
    about = {"version": "9.9", "pid": os.getpid(), "uptime": 1.5, "device": "cpu", "models": []}
    return result(log="daemon.log", **counts, **about)


def _cancel(daemon: FakeDaemon, header: dict[str, Any], frames: list[bytes]) -> list[Reply]:
    waiting = header["request"] in daemon.waiting
    if waiting:
        daemon.finish(header["request"], error("cancelled", "as you wish"))
    return result(cancelled=waiting)


def _shutdown(daemon: FakeDaemon, header: dict[str, Any], frames: list[bytes]) -> list[Reply]:
    daemon.stopping = True
    return result()


HANDLERS: dict[str, Handler] = {
    "hello": _hello,
    "learn": _learn,
    "shrink": _shrink,
    "apply": _apply,
    "import": lambda daemon, header, frames: result(look=LOOK, size=2),
    "export": lambda daemon, header, frames: result(b"LUT_3D_", b"SIZE 2\n", look=LOOK),
    "batch": _batch,
    "model": _model,
    "cancel": _cancel,
    "status": _status,
    "shutdown": _shutdown,
}


class FakeDaemon:
    """A daemon in a thread, with its connection file in `state`.

    Attributes:
        handlers: by verb, to be replaced by a test before the client sends.
        seen: the checked headers of all requests, in order.
        most_unfinished: of requests, and of bytes, of the client.
        waiting: id -> peer of requests that no handler has answered.
    """

    def __init__(self, state: Path, heartbeat_ms: int = 0) -> None:
        self.state = state
        self.handlers = dict(HANDLERS)
        self.limits = {
            "frame_bytes": messages.FRAME_BYTES,
            "header_bytes": messages.HEADER_BYTES,
            "requests": messages.REQUESTS,
            "window_bytes": messages.WINDOW_BYTES,
            "proxies": messages.PROXIES,
        }
        self.seen: list[dict[str, Any]] = []
        self.most_unfinished = {"requests": 0, "bytes": 0}
        self.next_rows: dict[str, int] = Counter()
        self.waiting: dict[bytes, tuple[bytes, int]] = {}
        self.stopping = False
        self._later: list[tuple[float, Callable[[], None]]] = []
        self.context = zmq.Context()
        self.zap = self.context.socket(zmq.REP)
        self.zap.bind("inproc://zeromq.zap.01")
        self.router = self.context.socket(zmq.ROUTER)
        self.router.plain_server = True
        self.router.zap_domain = b"fake"
        self.router.linger = 1000
        self.router.heartbeat_ivl = heartbeat_ms
        self.router.heartbeat_timeout = 10 * heartbeat_ms
        port = self.router.bind_to_random_port("tcp://127.0.0.1")
        self.write_connection_file(endpoint=f"tcp://127.0.0.1:{port}")
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    @property
    def environ(self) -> dict[str, str]:
        """Return an environment in which clients find this daemon."""
        return {**os.environ, "VAE_BALANCE_STATE": str(self.state)}

    def write_connection_file(self, **changes: Any) -> None:
        """Write daemon.json; fields that are not given stay as they are."""
        path = Path(places.connection_file(self.environ))
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"token": TOKEN, "pid": os.getpid(), "version": "9.9", "protocol": 1}
        if path.exists():
            content = json.loads(path.read_text())
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps({**content, **changes}))
        partial.replace(path)

    def stop(self) -> None:
        """End as a daemon that is killed: clients see their connections close."""
        self.stopping = True
        self.thread.join()

    def finish(self, request: bytes, replies: list[Reply]) -> None:
        """Answer a request; from a handler only, since sockets belong to one thread."""
        peer = self.waiting[request][0]
        if any(kind != "progress" for kind, _, _ in replies):
            del self.waiting[request]
        for kind, fields, frames in replies:
            header = msgpack.packb({"v": 1, "type": kind, **fields})
            self.router.send_multipart([peer, request, header, *frames])

    def send_raw(self, request: bytes, *frames: bytes) -> None:
        """Send whatever frames to the client that sent a request; from a handler only."""
        self.router.send_multipart([self.waiting[request][0], *frames])

    def after(self, seconds: float, function: Callable[[], None]) -> None:
        """Have the daemon's thread call a function later; from a handler only."""
        self._later.append((time.monotonic() + seconds, function))

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self.zap, zmq.POLLIN)
        poller.register(self.router, zmq.POLLIN)
        while not self.stopping:
            ready = dict(poller.poll(20))
            for entry in [entry for entry in self._later if entry[0] <= time.monotonic()]:
                self._later.remove(entry)
                entry[1]()
            if self.zap in ready:
                self._authenticate()
            if self.router in ready:
                self._take_request()
        self.zap.close()
        self.router.close()
        self.context.term()

    def _authenticate(self) -> None:
        version, request, _, _, _, mechanism, *credentials = self.zap.recv_multipart()
        welcome = [mechanism, *credentials] == [b"PLAIN", b"vae-balance", TOKEN.encode()]
        code = b"200" if welcome else b"400"
        self.zap.send_multipart([version, request, code, b"", b"", b""])

    def _take_request(self) -> None:
        peer, request, packed, *frames = self.router.recv_multipart()
        self.waiting[request] = (peer, sum(len(frame) for frame in frames))
        most = self.most_unfinished
        most["requests"] = max(most["requests"], len(self.waiting))
        most["bytes"] = max(most["bytes"], sum(size for _, size in self.waiting.values()))
        header = msgpack.unpackb(packed)
        try:
            checked = messages.check(header["verb"], header)
            messages.check_frames(header["verb"], checked, [len(frame) for frame in frames])
        except messages.Malformed as refusal:
            self.finish(request, error(refusal.code, refusal.message))
            return
        self.seen.append({"verb": header["verb"], "request": request, **checked})
        replies = self.handlers[header["verb"]](self, header, frames)
        if replies is not None:
            self.finish(request, replies)


def main(environ: Mapping[str, str]) -> int:
    """Be the program that a client starts."""
    behavior = environ.get("FAKE_DAEMON", "serve")
    state = Path(places.state_folder(environ))
    print(f"fake daemon: {behavior} {sys.argv[1:]} in {Path.cwd()}", flush=True)
    with (state / "starts").open("a") as starts:
        starts.write(f"{os.getpid()} {os.getsid(0)}\n")
    if behavior == "crash":
        print("the model cannot be read", file=sys.stderr)
        return 3
    if behavior == "silent":
        time.sleep(20)
        return 0
    try:
        with FileLock(places.lock_file(environ), timeout=0):
            daemon = FakeDaemon(state)
            daemon.thread.join()
            Path(places.connection_file(environ)).unlink()
    except Timeout:
        print("another one runs", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
