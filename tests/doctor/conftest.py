"""A user whose folders are the test's, so that the doctor looks at nothing of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from vae_balance.installation.places import Places
from vae_balance_protocol.client import Client
from vae_balance_protocol.errors import DaemonError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the home folder; end a daemon that the test has started."""
    folder = tmp_path / "home"
    folder.mkdir()
    for variable in os.environ:
        if variable.startswith(("XDG_", "GIMP", "VAE_BALANCE_")):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(folder))
    connect = Client.connect  # a test may put something else in its place
    yield folder
    with suppress(DaemonError), connect("test", start=False) as client:
        client.shutdown()


@pytest.fixture
def places(home: Path) -> Places:
    return Places({"HOME": str(home)}, "linux")
