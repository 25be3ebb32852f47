"""Reading a LUT file in a process of its own, which may hang, crash and ask for any memory."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import vae_balance
from vae_balance.errors import LutError

_MEMORY = 3 << 30  # for 100 MB of text, and the tables made of it
_SECONDS = 10  # of computing, beside one for every megabyte
_PATIENCE = 120  # seconds on a busy machine
_REFUSED = 3  # the process' status when it tells a reason


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
    code = "from vae_balance.luts.rehearsal import perform; perform()"
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
    if done.returncode == _REFUSED:
        raise LutError(done.stdout.decode("utf-8", "replace"))
    if done.returncode:
        raise LutError(f"its reader broke down (status {done.returncode}); the file is damaged")


def perform() -> None:
    """Read the file that comes by standard input; end with a status."""
    file_format, stem, seconds = sys.argv[1:]
    _limit(int(seconds))
    from vae_balance.luts.opencolorio import load

    try:
        lut = load(sys.stdin.buffer.read(), file_format, stem)
        lut([[0.0, 0.5, 1.0], [0.25, 0.75, 0.125]])
    except LutError as error:
        sys.stdout.buffer.write(str(error).encode("utf-8", "replace"))
        sys.stdout.flush()
        os._exit(_REFUSED)
    except MemoryError:
        sys.stdout.buffer.write(b"asks for too much memory; the file is damaged")
        sys.stdout.flush()
        os._exit(_REFUSED)


def _limit(seconds: int) -> None:
    """Limit time and memory of this process, where the system can."""
    with suppress(ImportError):  # Windows has the timeout only
        import resource

        for what, limit in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, _MEMORY)):
            with suppress(ValueError, OSError):  # macOS knows no limit of memory
                resource.setrlimit(what, (limit, resource.getrlimit(what)[1]))
        with suppress(ValueError, OSError):  # no file of the size of its memory when it crashes
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
