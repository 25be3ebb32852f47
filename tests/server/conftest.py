"""What the tests of the server share: a daemon, a client, a peer, a proxy and a look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from daemon_process import Daemon, Peer, ServerThread
from numpy.typing import NDArray

from vae_balance_protocol.client import Client


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory, random_model: Path) -> Iterator[Daemon]:
    """Return a daemon that the tests of this folder share."""
    running = Daemon(tmp_path_factory.mktemp("daemon"), ["--model", str(random_model)])
    yield running
    assert running.end() == 0, running.log()
    assert " a defect" not in running.all_logs()


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Return a function that starts a daemon with arguments, in a state folder of the test.

    Without a model in memory, `--keep-alive 0`, it is there at once.
    """
    started: list[Daemon] = []

    def start(*arguments: str, folder: Path = tmp_path, threads: int = 1) -> Daemon:
        started.append(Daemon(folder, arguments, threads))
        return started[-1]

    yield start
    for running in started:
        running.end()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerThread]:
    """Return a server in this process."""
    running = ServerThread(tmp_path)
    yield running
    running.end()


@pytest.fixture
def peer(daemon: Daemon) -> Iterator[Peer]:
    """Return a peer of the shared daemon."""
    connected = daemon.peer()
    yield connected
    connected.close()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    """Return a client of the shared daemon."""
    with daemon.client() as connected:
        yield connected


@pytest.fixture(scope="session")
def proxy() -> NDArray[np.float32]:
    """Return a proxy, (224, 224, 3)."""
    rows, columns = np.mgrid[0:1:224j, 0:1:224j].astype(np.float32)
    return np.stack([0.2 + 0.6 * rows, 0.3 + 0.5 * columns, 0.5 * rows * columns], axis=-1)


@pytest.fixture
def look(peer: Peer, proxy: NDArray[np.float32], random_model: Path) -> str:
    """Return the name of a look that the shared daemon knows."""
    answer = peer.ask("learn", [proxy.tobytes()], model=str(random_model))
    assert answer.header["type"] == "result", answer.header
    name: str = answer.header["look"]
    return name
