"""Which GIMP a test runs in, told by its marks: `-m "gimp and not slow"`, `-k sid`."""

from __future__ import annotations

import pytest

# The Debian suites that have them. CI's run has the first one only.
GIMP_3_0 = pytest.param("trixie", marks=pytest.mark.gimp("trixie"))
GIMP_3_2 = pytest.param("sid", marks=[pytest.mark.gimp("sid"), pytest.mark.slow])
GIMP_2_10 = [pytest.mark.gimp("bullseye"), pytest.mark.slow]
