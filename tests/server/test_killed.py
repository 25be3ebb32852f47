"""Killed daemons, killed clients, strangers at its port: the daemon goes on, nothing is wrong."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
from daemon_process import TIMEOUT, Daemon, wait_for
from numpy.typing import NDArray

from vae_balance.color.lut import Lut3D, apply_lut
from vae_balance.luts.cube import format_cube, parse_cube
from vae_balance_protocol import ConnectionLost, DaemonError, NotStarted, places, starter
from vae_balance_protocol.client import Client

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")

START = Callable[..., Daemon]
NO_MODEL = ("--keep-alive", "0")
PROXY = bytes(224 * 224 * 3)
SOON = 10.0  # seconds, for what should take a tenth of one
WIDTH, ROWS, STRIPS = 2048, 512, 24
WINDOW = 64 << 20

LEARNING_CLIENT = f"""
import sys
from vae_balance_protocol.client import Client
with Client.connect("doomed", start=False) as client:
    client.learn([bytes({len(PROXY)})] * 50, lambda told: print(told["stage"], flush=True),
                 dtype="u8", iterations=10, model=sys.argv[1])
"""
APPLYING_CLIENT = f"""
import itertools, sys
from vae_balance_protocol.client import Client
with Client.connect("doomed", start=False) as client:
    strips = ((row, {ROWS}, bytes({4 * WIDTH * ROWS})) for row in itertools.count(0, {ROWS}))
    for _ in client.apply_strips(sys.argv[1], strips, {WIDTH}, 4, "u8"):
        print("strip", flush=True)
"""
STARTING_CLIENT = """
import sys
from vae_balance_protocol.client import Client
print("ready", flush=True)
sys.stdin.readline()
with Client.connect("one of several") as client:
    print(client.daemon["pid"], flush=True)
    sys.stdin.readline()
    print(client.status()["clients"], flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def daemon_to_lose(start_daemon: START) -> Iterator[Daemon]:
    """Return a daemon without models; clients start the next one, which is ended at the end."""
    daemon = start_daemon(*NO_MODEL)
    daemon.environ |= {"VAE_BALANCE_KEEP_ALIVE": "0", "VAE_BALANCE_DEVICE": "cpu"}
    yield daemon
    daemon.kill()
    with suppress(NotStarted), daemon.client() as client:
        client.shutdown()
        wait_for(lambda: not (daemon.state / "daemon.json").exists())


@pytest.fixture(scope="module")
def lut() -> Lut3D:
    """Return a LUT that changes every color, with numbers of at most six digits."""
    turned = Lut3D.from_function(lambda colors: np.sin(1.3 * colors[:, [1, 2, 0]]) ** 2, 9)
    return parse_cube(format_cube(turned), "turned").baked()


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """Return a picture of as many strips as exceed a client's window."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (STRIPS * ROWS, WIDTH, 4), np.uint8)


def strips_of(picture: NDArray[np.uint8]) -> Iterator[tuple[int, int, memoryview]]:
    for first in range(0, len(picture), ROWS):
        yield first, ROWS, picture[first : first + ROWS].reshape(-1).data


def import_lut(client: Client, lut: Lut3D) -> str:
    name: str = client.import_lut(format_cube(lut), "cube", "turned")["look"]
    return name


@pytest.mark.parametrize("moment", ["sending", "receiving"])
def test_a_daemon_killed_while_it_applies(
    daemon_to_lose: Daemon, lut: Lut3D, picture: NDArray[np.uint8], moment: str
) -> None:
    killed = 0.0

    def kill() -> None:
        nonlocal killed
        daemon_to_lose.process.kill()
        killed = time.monotonic()

    def strips() -> Iterator[tuple[int, int, memoryview]]:
        for strip in strips_of(picture):
            if moment == "sending" and strip[0] == 6 * ROWS:
                kill()
            yield strip

    expected = apply_lut(lut, picture)
    with Client.connect("test", environ=daemon_to_lose.environ) as client:
        look = import_lut(client, lut)
        done = 0
        with pytest.raises(ConnectionLost):
            for first, rows, pixels in client.apply_strips(look, strips(), WIDTH, 4, "u8"):
                assert (first, rows) == (done, ROWS)
                assert pixels == expected[first : first + rows].tobytes()
                done += rows
                if moment == "receiving" and done == 2 * ROWS:
                    kill()
        assert time.monotonic() - killed < SOON
        assert done < len(picture)

        # The next call starts another daemon. It does not know the look, and says so.
        with pytest.raises(DaemonError) as raised:
            next(client.apply_strips(look, strips_of(picture), WIDTH, 4, "u8"))
        assert raised.value.code == "unknown-look"
        assert client.daemon["pid"] != daemon_to_lose.process.pid
        assert import_lut(client, lut) == look
        parts = [part for *_, part in client.apply_strips(look, strips_of(picture), WIDTH, 4, "u8")]
        assert b"".join(parts) == expected.tobytes()


def doomed(daemon: Daemon, script: str, argument: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, argument],
        env=daemon.environ,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_when(process: subprocess.Popen[str], line: str, times: int = 1) -> None:
    """Kill a client when it has said something so many times."""
    with process:
        assert process.stdout is not None
        for said in process.stdout:
            times -= said == f"{line}\n"
            if times == 0:
                break
        assert process.poll() is None, "the client ended before it was killed"
        process.kill()


def is_idle(client: Client) -> bool:
    status = client.status()
    return not status["running"] and status["queued"] == 0 and status["clients"] == 1


def test_a_client_killed_while_it_learns(start_daemon: START, random_model: object) -> None:
    model = str(random_model)
    daemon = start_daemon("--model", model)
    with daemon.client("honest") as honest:
        first = honest.learn([PROXY], dtype="u8", model=model)["look"]
        kill_when(doomed(daemon, LEARNING_CLIENT, model), "balance")
        began = time.monotonic()
        assert honest.learn([PROXY], dtype="u8", model=model)["look"] == first
        wait_for(lambda: is_idle(honest))
        assert time.monotonic() - began < SOON
    wait_for(lambda: "learn client=doomed" in daemon.log())
    (line,) = (line for line in daemon.log().splitlines() if "learn client=doomed" in line)
    assert line.endswith(" cancelled: cancelled")


def test_clients_killed_while_they_apply(
    daemon_to_lose: Daemon, lut: Lut3D, picture: NDArray[np.uint8]
) -> None:
    strip = picture[:ROWS]
    expected = apply_lut(lut, strip).tobytes()
    memory = []
    with daemon_to_lose.client("honest") as honest:
        look = import_lut(honest, lut)
        for number in range(4):
            kill_when(doomed(daemon_to_lose, APPLYING_CLIENT, look), "strip", 3 + number)
            strips = [(0, ROWS, strip.reshape(-1).data)]
            (answer,) = honest.apply_strips(look, strips, WIDTH, 4, "u8")
            assert answer == (0, ROWS, expected)
            wait_for(lambda: is_idle(honest))
            memory.append(honest.status()["memory_bytes"])
    assert max(memory[1:]) - memory[0] < WINDOW  # what one left behind is not kept for ever


# Strangers


def silent(connection: socket.socket, over: threading.Event) -> None:
    over.wait()


def garbage(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(range(256)))


def echo(connection: socket.socket, over: threading.Event) -> None:
    while data := connection.recv(4096):
        connection.sendall(data)


@pytest.fixture
def let_listen() -> Iterator[Callable[[Callable[..., None], int], None]]:
    """Return a function that lets a stranger listen at a port."""
    over = threading.Event()
    with ExitStack() as stack:

        def listen(stranger: Callable[..., None], port: int) -> None:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", port)))

            def serve() -> None:
                while not over.is_set():
                    with suppress(OSError):
                        connection, _ = listener.accept()
                        with connection:
                            stranger(connection, over)

            thread = threading.Thread(target=serve)
            thread.start()
            stack.callback(thread.join)
            # Ends the accepting.
            stack.callback(lambda: socket.create_connection(("127.0.0.1", port)).close())
            stack.callback(over.set)

        yield listen


@pytest.mark.parametrize("stranger", [silent, garbage, echo])
def test_another_program_has_the_port_of_a_killed_daemon(
    daemon_to_lose: Daemon,
    let_listen: Callable[[Callable[..., None], int], None],
    stranger: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starter, "ATTEMPT_SECONDS", 2.0)
    stale = daemon_to_lose.connection()
    daemon_to_lose.kill()
    let_listen(stranger, int(stale["endpoint"].rpartition(":")[2]))
    with pytest.raises(NotStarted):
        daemon_to_lose.client()
    began = time.monotonic()
    with Client.connect("x", environ=daemon_to_lose.environ) as client:
        assert client.daemon["pid"] not in (0, stale["pid"])
        assert daemon_to_lose.connection()["endpoint"] != stale["endpoint"]
    assert time.monotonic() - began < 2 * SOON


def test_the_daemon_of_somebody_else_has_the_port_of_a_killed_one(
    daemon_to_lose: Daemon, start_daemon: START
) -> None:
    other = start_daemon(*NO_MODEL, folder=daemon_to_lose.state.with_name("somebody else"))
    stale = daemon_to_lose.connection()
    daemon_to_lose.kill()
    endpoint = other.connection()["endpoint"]
    content = json.dumps({**stale, "endpoint": endpoint})
    (daemon_to_lose.state / "daemon.json").write_text(content)
    with Client.connect("x", environ=daemon_to_lose.environ) as client:
        assert client.daemon["pid"] not in (stale["pid"], other.process.pid)
    assert other.peer().ask("status").header["clients"] == 1


def starts_of(daemon: Daemon) -> int:
    return sum(" version=" in line for line in daemon.log().splitlines())


def test_clients_that_find_it_killed_at_the_same_instant_start_one(daemon_to_lose: Daemon) -> None:
    wait_for(lambda: starts_of(daemon_to_lose) == 1)
    daemon_to_lose.kill()
    assert Path(places.lock_file(daemon_to_lose.environ)).exists()
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", STARTING_CLIENT],
            env=daemon_to_lose.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for _ in range(4)
    ]

    def all_say() -> list[str]:
        return [client.stdout.readline() for client in clients if client.stdout]

    def go_on() -> None:
        for client in clients:
            assert client.stdin is not None
            client.stdin.write("\n")

    with ExitStack() as stack:
        for client in clients:
            stack.enter_context(client)
        assert all_say() == ["ready\n"] * 4
        go_on()
        (pid,) = {int(said) for said in all_say()}
        assert pid != daemon_to_lose.process.pid
        go_on()
        assert all_say() == ["4\n"] * 4
        go_on()
        assert [client.wait(TIMEOUT) for client in clients] == [0] * 4
    wait_for(lambda: starts_of(daemon_to_lose) > 1)
    assert starts_of(daemon_to_lose) == 2  # the killed one, and one more
