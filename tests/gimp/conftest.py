"""What the tests in a real GIMP need of the machine they run on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import roots


@pytest.fixture(scope="session")
def debian_host(request: pytest.FixtureRequest) -> Iterator[None]:
    """Skip the test where no root with a Debian can be built, and say why.

    Roots that tests of this run will ask for are built in the meantime: one takes minutes, of one
    core.
    """
    try:
        roots.check_host()
    except roots.RootError as error:
        pytest.skip(f"no real GIMP here: {error}")
    asking = {item.path.name for item in request.session.items}
    with ThreadPoolExecutor(1) as ahead:
        if "test_gimp3.py" in asking:
            for suite in roots.gimp_3_suites():
                ahead.submit(roots.gimp_3, suite)
        yield
