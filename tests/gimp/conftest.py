"""What the tests in a real GIMP need of the machine they run on."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import python_fu_210
import roots

BUILD = {
    "trixie": lambda: roots.gimp_3("trixie"),
    "sid": lambda: roots.gimp_3("sid"),
    "bullseye": python_fu_210.root,
}
_building = ThreadPoolExecutor(1)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the roots that the chosen tests will ask for, beside other tests: one takes minutes."""
    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0" or session.config.option.collectonly:
        return
    wanted = {mark.args[0] for item in session.items for mark in item.iter_markers("gimp")}
    for suite in BUILD:
        if suite in wanted:
            _building.submit(_build, suite)


def pytest_sessionfinish() -> None:
    """Wait for what is being built, and begin nothing more."""
    _building.shutdown(cancel_futures=True)


def _build(suite: str) -> None:
    with suppress(roots.RootError):  # the test that asks for it says why
        BUILD[suite]()


@pytest.fixture(scope="session")
def debian_host() -> None:
    """Skip the test where no root with a Debian can be built, and say why."""
    try:
        roots.check_host()
    except roots.RootError as error:
        pytest.skip(f"no real GIMP here: {error}")


@pytest.fixture(scope="session")
def root_of(debian_host: None) -> Callable[[str], Path]:
    """Return a function that returns the root of a suite; without room for one, the test skips."""

    def root(suite: str) -> Path:
        try:
            return BUILD[suite]()
        except roots.NoRoomError as error:
            pytest.skip(f"no real GIMP here: {error}")

    return root
