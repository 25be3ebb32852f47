"""What the tests of the protocol need: several Pythons, and a daemon that only pretends."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_daemon import FakeDaemon
from old_pythons import UnobtainableError, obtain

from vae_balance_protocol import NotStarted
from vae_balance_protocol.client import Client

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def old_pythons() -> dict[str, Path]:
    """Return real Pythons of other versions, by name, downloaded the first time."""
    try:
        return obtain()
    except UnobtainableError as error:
        pytest.skip(f"no Python 2.7: {error}")


@pytest.fixture(params=["python2.7", "python3.9", "python3"])
def python(request: pytest.FixtureRequest) -> Path:
    """Return a Python that clients live in."""
    if request.param == "python3":
        return Path(sys.executable)
    interpreters: dict[str, Path] = request.getfixturevalue("old_pythons")
    return interpreters[request.param]


@pytest.fixture
def run_client(python: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a script with the shared package, in one of the Pythons."""

    def run(
        *arguments: object, environ: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        variables = {
            **(environ or os.environ),
            "PYTHONPATH": str(SHARED),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONIOENCODING": "utf-8",
        }
        command = [str(python), *map(str, arguments)]
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture(scope="module")
def real_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return an environment in which clients start the real daemon, and end it afterwards."""
    paths = [SHARED.with_name("daemon"), SHARED]
    # A client in Python 2 has another PYTHONPATH than the daemon needs.
    start = ["env", f"PYTHONPATH={os.pathsep.join(map(str, paths))}", sys.executable]
    state = tmp_path_factory.mktemp("state")
    environ = {
        **os.environ,
        "VAE_BALANCE_STATE": str(state),
        "VAE_BALANCE_COMMAND": json.dumps([*start, "-m", "vae_balance"]),
        "VAE_BALANCE_DEVICE": "cpu",
    }
    yield environ
    with contextlib.suppress(NotStarted), Client.connect("end", start=False, environ=environ) as c:
        c.shutdown()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """Return a daemon that turns colors over."""
    fake = FakeDaemon(tmp_path / "state")
    yield fake
    fake.stop()
