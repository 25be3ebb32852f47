"""A client that may not start the daemon has it started by who listens for knocks, as systemd."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_process import TIMEOUT, Daemon, wait_for

from vae_balance_protocol import DaemonError
from vae_balance_protocol.client import Client
from vae_balance_protocol.places import wake_socket
from vae_balance_protocol.starter import wake_daemon

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no sockets of Unix here")

# What systemd does with the process of a unit that has a socket, sd_listen_fds(3).
LAUNCHER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "vae_balance", "serve", "--keep-alive", "0"])
"""


class Activator:
    """Listens as systemd does: while no daemon that it has started runs, a knock starts one."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.daemons: list[subprocess.Popen[bytes]] = []
        self._environ = environ
        path = Path(wake_socket(environ))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def knocked(self, seconds: float = 0.0) -> bool:
        """Return whether there is a knock that nobody has taken."""
        return bool(select.select([self._socket], [], [], seconds)[0])

    def close(self) -> None:
        self._over.set()
        self._thread.join(TIMEOUT)
        for daemon in self.daemons:
            daemon.terminate()
            daemon.wait(TIMEOUT)
        self._socket.close()

    def _work(self) -> None:
        while not self._over.wait(0.01):
            running = self.daemons and self.daemons[-1].poll() is None
            if not running and self.knocked(0.1):
                descriptor = self._socket.fileno()
                command = [sys.executable, "-c", LAUNCHER, str(descriptor)]
                self.daemons.append(
                    subprocess.Popen(command, pass_fds=[descriptor], env=self._environ)
                )


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a client that cannot start a daemon, and of the daemon."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "VAE_BALANCE_STATE": str(tmp_path / "state"),
        "VAE_BALANCE_COMMAND": "/nowhere/vae-balance",
    }


@pytest.fixture
def activator(environ: dict[str, str]) -> Iterator[Activator]:
    listening = Activator(environ)
    yield listening
    listening.close()


def test_a_client_wakes_the_daemon_and_wakes_it_again_after_its_end(
    activator: Activator, environ: dict[str, str]
) -> None:
    for number in (1, 2):
        with Client.connect("test", environ=environ) as client:
            assert client.daemon["pid"] == activator.daemons[-1].pid
            assert len(activator.daemons) == number
            wait_for(lambda: not activator.knocked())  # or it would be started without need
            client.shutdown()
        activator.daemons[-1].wait(TIMEOUT)
    assert not activator.knocked(0.3)
    assert len(activator.daemons) == 2


def test_a_knock_while_another_daemon_runs_leaves_nothing_behind(
    activator: Activator, environ: dict[str, str], tmp_path: Path
) -> None:
    other = Daemon(tmp_path, ["--keep-alive", "0"])  # in the same state folder
    try:
        assert wake_daemon(environ)
        wait_for(lambda: bool(activator.daemons))
        assert activator.daemons[-1].wait(TIMEOUT) == 0
        assert not activator.knocked(0.3)
        with Client.connect("test", environ=environ) as client:
            assert client.daemon["pid"] == other.process.pid
    finally:
        other.end()


def test_where_nobody_listens_the_client_starts_the_daemon_itself(
    environ: dict[str, str], tmp_path: Path
) -> None:
    assert not wake_daemon(environ)
    stale = socket.socket(socket.AF_UNIX)
    Path(wake_socket(environ)).parent.mkdir()
    stale.bind(wake_socket(environ))
    stale.close()
    assert not wake_daemon(environ)
    assert not wake_daemon({**environ, "VAE_BALANCE_STATE": f"/tmp/{'deep/' * 30}"})
    with pytest.raises(DaemonError, match="cannot start /nowhere/vae-balance"):
        Client.connect("test", environ=environ)
