"""The client against the real daemon, which it starts itself, in each Python."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vae_balance_protocol import ConnectionLost
from vae_balance_protocol.client import Client

SCRIPT = Path(__file__).parent / "in_each_python.py"
PROXY = bytes(224 * 224 * 3 * 4)


@pytest.fixture(scope="module")
def results() -> set[str]:
    """Return what the Pythons have seen."""
    return set()


def test_a_picture_in_each_python(
    run_client: Callable[..., subprocess.CompletedProcess[str]],
    real_daemon: dict[str, str],
    results: set[str],
) -> None:
    done = run_client(SCRIPT, "real_daemon", environ=real_daemon)
    assert done.stderr == ""
    assert done.stdout.endswith("ok\n")
    results.add(done.stdout)
    assert len(results) == 1  # all the same, to the bit


def test_a_killed_daemon_is_noticed_at_once_and_started_again(real_daemon: dict[str, str]) -> None:
    with Client.connect("tests", environ=real_daemon) as client:
        pid = client.daemon["pid"]

        def kill(progress: object) -> None:
            os.kill(pid, signal.SIGKILL)

        began = time.monotonic()
        with pytest.raises(ConnectionLost):
            client.learn([PROXY], kill, iterations=10)
        assert time.monotonic() - began < 10
        assert client.learn([PROXY])["model"] == "embedded"
        assert client.daemon["pid"] != pid


def test_a_daemon_killed_while_idle_is_started_again(real_daemon: dict[str, str]) -> None:
    with Client.connect("tests", environ=real_daemon) as client:
        pid = client.daemon["pid"]
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}").exists():  # until a thread of this process has waited for it
            time.sleep(0.01)
        assert client.status()["pid"] != pid
