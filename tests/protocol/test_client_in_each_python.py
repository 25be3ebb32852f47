"""The client in each Python against a real ROUTER; the checks are in `in_each_python.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
from fake_daemon import FakeDaemon

HERE = Path(__file__).parent
Run = Callable[..., subprocess.CompletedProcess[str]]


def assert_ok(done: subprocess.CompletedProcess[str]) -> None:
    assert done.stderr == ""
    assert done.stdout == "ok\n"


def check(run_client: Run, name: str, *arguments: object, **options: object) -> None:
    assert_ok(run_client(HERE / "in_each_python.py", name, *arguments, **options))


@pytest.mark.parametrize("name", ["verbs", "strips", "large_strips", "errors", "python_2_text"])
def test_with_a_daemon(run_client: Run, daemon: FakeDaemon, name: str) -> None:
    check(run_client, name, environ=daemon.environ)


def test_packing(run_client: Run, tmp_path: Path) -> None:
    integers = [
        sign * 2**bits - sign for bits in (0, 5, 7, 8, 15, 16, 31, 32, 62) for sign in (1, -1)
    ]
    integers += [2**64 - 1, -(2**63), 2**63, 127, 128, 255, 256, -32, -33, -128, -129]
    texts = [
        "",
        "x" * 31,
        "x" * 32,
        "x" * 255,
        "x" * 256,
        "x" * 65536,
        "Grün \N{EARTH GLOBE ASIA-AUSTRALIA}",
    ]
    bytes_ = [b"", b"\xff" * 255, b"\xff" * 256, b"\xff" * 65536]
    arrays = [[], [1] * 15, [1] * 16, [None, True, False, 0.1, -1e300, float("inf")], [1] * 65536]
    maps = [{}, {"a": {"b": 1}}]
    samples = [msgpack.packb(v).hex() for v in (*integers, *texts, *bytes_, *arrays, *maps)]
    (tmp_path / "samples.json").write_text(json.dumps(samples))
    check(run_client, "packing", tmp_path / "samples.json")


def test_without_a_daemon(run_client: Run, tmp_path: Path) -> None:
    check(run_client, "nobody", environ={**os.environ, "VAE_BALANCE_STATE": str(tmp_path)})


def test_with_the_wrong_token(run_client: Run, daemon: FakeDaemon) -> None:
    daemon.write_connection_file(token="f" * 64)
    check(run_client, "refused", environ=daemon.environ)


def test_a_daemon_that_dies_in_the_middle_is_noticed_at_once(
    run_client: Run, daemon: FakeDaemon
) -> None:
    def die(daemon: FakeDaemon, header: object, frames: object) -> None:
        daemon.stopping = True

    daemon.handlers["learn"] = die
    began = time.monotonic()
    check(run_client, "lost", environ=daemon.environ)
    assert time.monotonic() - began < 10


@pytest.fixture
def startable(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which clients start the fake daemon."""
    paths = [HERE, HERE.parents[1] / "shared"]
    # A client in Python 2 has another PYTHONPATH than the daemon needs.
    start = ["env", f"PYTHONPATH={os.pathsep.join(map(str, paths))}", sys.executable]
    command = json.dumps([*start, str(HERE / "fake_daemon.py")])
    state = {"VAE_BALANCE_STATE": str(tmp_path / "new" / "state")}
    return {**os.environ, **state, "VAE_BALANCE_COMMAND": command}


def test_a_daemon_is_started(run_client: Run, startable: dict[str, str]) -> None:
    check(run_client, "started", environ=startable)


def test_a_daemon_that_cannot_start(run_client: Run, startable: dict[str, str]) -> None:
    check(run_client, "crash", environ={**startable, "FAKE_DAEMON": "crash"})
