"""What the tests in a real GIMP need of the machine they run on."""

from __future__ import annotations

import pytest
import roots


@pytest.fixture(scope="session")
def debian_host() -> None:
    """Skip the test where no root with a Debian can be built, and say why."""
    try:
        roots.check_host()
    except roots.RootError as error:
        pytest.skip(f"no real GIMP here: {error}")
