"""Settings of glibc's allocator that spare training its page faults.

By default glibc gives large blocks back to the system as soon as they are free. Every step of
training then asks for the same memory again, and the kernel maps and clears it page by page. What
that costs depends on machine and load; on some virtual machines it was more than the arithmetic.
The settings are read when a process starts: it must start again.

Source: mallopt(3).
"""

from __future__ import annotations

import os
import platform
import sys

SETTINGS = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


def keep_freed_memory() -> None:
    """Start this process again with `SETTINGS`, unless it has them or the C library is not glibc.

    A setting that the user made is left alone.
    """
    missing = {name: value for name, value in SETTINGS.items() if name not in os.environ}
    if missing and sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        sys.stdout.flush()
        sys.stderr.flush()
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **missing})
