"""How much memory this process has, and giving back what it does not use."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")  # Linux


def resident_bytes() -> int:
    """Return the memory that is in use now; where the system does not tell, the most so far."""
    return _linux("VmRSS:") or peak_bytes()


def peak_bytes() -> int:
    """Return the most memory that was in use so far; 0 if the system does not tell."""
    if sys.platform == "win32":
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def give_back() -> None:
    """Give freed memory back to the system, where the C library keeps it for later (glibc)."""
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _linux(field: str) -> int:
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    sizes = [int(line.split()[1]) * 1024 for line in lines if line.startswith(field)]
    return sizes[0] if sizes else 0
