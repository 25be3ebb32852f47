"""Reading a LUT file in a process of its own, which may hang, crash and ask for any memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import vae_balance
from vae_balance.errors import LutError

MEMORY = 3 << 30  # for 100 MB of text, and the tables made of it
_SECONDS = 10  # of computing, beside one for every megabyte
_PATIENCE = 120  # seconds on a busy machine
REFUSED = 3  # the process' status when it tells a reason


def rehearse(content: bytes, file_format: str, stem: str) -> None:
    """Have a file read and applied to a few colors elsewhere; return if all went well.

    Args:
        content: The file.
        file_format: Its suffix, in lower case, without the point.
        stem: Its name without the suffix, as in `opencolorio.load`.

    Raises:
        LutError: It is malformed, or cannot be read with the time and memory that there is.
    """
    seconds = _SECONDS + len(content) // 10**6
    code = "from vae_balance.luts.rehearsal_process import perform; perform()"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, file_format, stem, str(seconds)],
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            cwd=Path(vae_balance.__file__).parents[1],  # where Python looks for modules first
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # of Windows
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LutError(f"takes more than {_PATIENCE} seconds to read; is it damaged?") from error
    except OSError as error:
        raise LutError(f"no process to read it in: {error.strerror or error}") from error
    if done.returncode == REFUSED:
        raise LutError(done.stdout.decode("utf-8", "replace"))
    if done.returncode:
        raise LutError(f"its reader broke down (status {done.returncode}); the file is damaged")
