"""A user whose folders are the test's, so that the doctor looks at nothing of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from vae_balance.installation.places import Places
from vae_balance_protocol.client import Client
from vae_balance_protocol.errors import DaemonError


@pytest.fixture(autouse=True)
def home(empty_home: Path) -> Iterator[Path]:
    """Return the home folder; end a daemon that the test has started."""
    connect = Client.connect  # a test may put something else in its place
    yield empty_home
    with suppress(DaemonError), connect("test", start=False) as client:
        client.shutdown()


@pytest.fixture
def places(home: Path) -> Places:
    return Places({"HOME": str(home)}, "linux")
