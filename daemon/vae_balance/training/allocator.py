"""Settings of glibc's allocator that spare training its page faults.

By default glibc gives large blocks back to the system as soon as they are free. Every step of
training then asks for the same memory again, and the kernel maps and clears it page by page. What
that costs depends on machine and load; on some virtual machines it was more than the arithmetic.

Source: mallopt(3), and malloc.h for the numbers of its parameters.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys

# Name in the environment -> parameter, value.
SETTINGS = {
    "MALLOC_MMAP_MAX_": (-4, 0),
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**31 - 1),
    "MALLOC_TOP_PAD_": (-2, 256 << 20),
}


def keep_freed_memory() -> None:
    """Keep memory that was freed in this process, if the C library is glibc.

    A setting that the user made is left alone.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    for name, (parameter, value) in SETTINGS.items():
        if name not in os.environ:
            mallopt(parameter, value)
