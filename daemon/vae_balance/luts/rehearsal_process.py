"""What the process of a rehearsal does: read one LUT file, with bounds, and tell how it went."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from vae_balance.errors import LutError
from vae_balance.luts.opencolorio import load
from vae_balance.luts.rehearsal import MEMORY, REFUSED


def perform() -> None:
    """Read the file that comes by standard input; end with a status."""
    file_format, stem, seconds = sys.argv[1:]
    _limit(int(seconds))
    try:
        lut = load(sys.stdin.buffer.read(), file_format, stem)
        lut([[0.0, 0.5, 1.0], [0.25, 0.75, 0.125]])
    except LutError as error:
        sys.stdout.buffer.write(str(error).encode("utf-8", "replace"))
        sys.stdout.flush()
        os._exit(REFUSED)
    except MemoryError:
        sys.stdout.buffer.write(b"asks for too much memory; the file is damaged")
        sys.stdout.flush()
        os._exit(REFUSED)


def _limit(seconds: int) -> None:
    """Limit time and memory of this process, where the system can."""
    with suppress(ImportError):  # Windows has the timeout only
        import resource

        for what, limit in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, MEMORY)):
            with suppress(ValueError, OSError):  # macOS knows no limit of memory
                resource.setrlimit(what, (limit, resource.getrlimit(what)[1]))
        with suppress(ValueError, OSError):  # no file of the size of its memory when it crashes
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
