"""Whether the program was replaced while the daemon runs.

What the daemon imports later would be of the new version then, beside modules of the old one.
"""

from __future__ import annotations

import re
from pathlib import Path

import vae_balance

_FILE = Path(vae_balance.__file__ or "")
_VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)


def installed_instead() -> str:
    """Return the version that lies on the disk now; "" if that is the one that runs."""
    try:
        found = _VERSION.search(_FILE.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # it is being replaced, or was removed
        return ""
    version = found[1] if found is not None else vae_balance.__version__
    return "" if version == vae_balance.__version__ else version
