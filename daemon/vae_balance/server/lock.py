"""The lock that one daemon has as long as it runs, and which process that is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from vae_balance.errors import BalanceError
from vae_balance_protocol import places

_POLL_SECONDS = 0.02
_ASK_SECONDS = 5.0
_LOCKS = Path("/proc/locks")  # Linux


class Lock:
    """The lock file, for the process that is or wants to be the daemon."""

    def __init__(self) -> None:
        self._path = Path(places.lock_file())
        self._lock = filelock.FileLock(self._path, mode=0o600)
        self._number = 0  # of the file that was locked

    def take(self, seconds: float) -> bool:
        """Lock it, waiting for at most so long; False if another process has it.

        Raises:
            BalanceError: it cannot be used.
        """
        with naming(str(self._path)):
            try:
                self._lock.acquire(timeout=seconds, poll_interval=_POLL_SECONDS)
            except filelock.Timeout:
                return False
            self._number = self._path.stat().st_ino
        return True

    def name_holder(self) -> None:
        """Write into the file which process has it."""
        with suppress(OSError):  # Windows lets nobody write what is locked
            self._path.write_text(f"{os.getpid()}\n", encoding="ascii")

    @property
    def is_in_place(self) -> bool:
        """Whether the file is where others look for it; if not, another daemon may have begun."""
        with suppress(OSError):
            return self._path.stat().st_ino == self._number
        return False

    def release(self) -> None:
        """Let another process have it."""
        self._lock.release()


def wait_for_end(seconds: float) -> bool:
    """Return whether no daemon runs, when one has had so long to end; for ever if below 0.

    Raises:
        BalanceError: the lock cannot be used.
    """
    if not Path(places.lock_file()).exists():
        return True
    lock = Lock()
    if not lock.take(seconds):
        return False
    lock.release()
    return True


def holder() -> int:
    """Return the pid of the daemon that has the lock; 0 if it cannot be told for certain.

    What the file says is believed only of a process that is a daemon, and that Linux says has the
    lock: whoever is sent a signal must not be somebody else.
    """
    path = Path(places.lock_file())
    try:
        if _LOCKS.exists():
            pids = _holders_by_system(path.stat().st_ino)
        else:
            pids = [int(path.read_text(encoding="ascii"))]
    except (OSError, ValueError):
        return 0
    return next((pid for pid in pids if pid > 1 and _is_daemon(pid)), 0)


def _holders_by_system(number: int) -> list[int]:
    """Return who has locked a file of this number, on any disk."""
    lines = (line.split() for line in _LOCKS.read_text(encoding="ascii").splitlines())
    # 1: FLOCK ADVISORY WRITE 4711 fd:01:4723 0 EOF
    locks = [fields for fields in lines if len(fields) == 8 and fields[1] == "FLOCK"]
    return [int(fields[4]) for fields in locks if fields[5].rpartition(":")[2] == str(number)]


def _is_daemon(pid: int) -> bool:
    """Return whether a process runs `vae-balance serve`."""
    if sys.platform == "win32":
        said = _said(["tasklist", "/FI", f"PID eq {pid}", "/FO", "CSV", "/NH"])
        return "python" in said or "vae-balance" in said
    command = Path(f"/proc/{pid}/cmdline")
    if command.exists():
        said = command.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    else:
        said = _said(["ps", "-o", "command=", "-p", str(pid)])
    return "vae_balance serve" in said or "vae-balance serve" in said


def _said(command: list[str]) -> str:
    """Return what a command prints, nothing if it cannot be run."""
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=False
        ).stdout
    return ""


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Tell people of a file of the daemon's that cannot be used."""
    try:
        yield
    except filelock.Timeout:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise BalanceError(
            f"{path}: cannot be written: {reason}; set VAE_BALANCE_STATE to a folder that can"
        ) from error
