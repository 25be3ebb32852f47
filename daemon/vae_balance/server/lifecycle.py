"""One daemon at a time: its connection file, signals, and its end."""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import vae_balance
from vae_balance.errors import BalanceError
from vae_balance.files import as_private_as, atomic_write, remove_leftovers
from vae_balance.server.lock import Lock, holder
from vae_balance.server.log import logging_to_file
from vae_balance.server.server import Server
from vae_balance.server.settings import DaemonSettings
from vae_balance.server.upgrade import installed_instead
from vae_balance_protocol import PROTOCOL, places

_LOCK_SECONDS = 10.0  # for a daemon that ends to be gone, and for one that starts to be there
_KEEP_SECONDS = 2.0  # between looks at the connection file
# Every call of a socket lets other threads run, and comes back when the one that computes in Python
# is made to give way. That takes 5 ms by default, several times for each message.
_SWITCH_SECONDS = 0.0005

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServeOutcome:
    """How `serve` ended.

    Attributes:
        other: the pid of the daemon that runs already, 0 if it is not known; None if this process
            was the daemon.
        clean: whether all threads have ended. If not, the process must be ended by `os._exit`.
    """

    other: int | None = None
    clean: bool = True


def serve(settings: DaemonSettings, by_client: bool) -> ServeOutcome:
    """Be the daemon until the end, unless there is one already.

    Args:
        settings: how.
        by_client: whether a client has started this process, and nobody will end it.

    Raises:
        BalanceError: the state folder cannot be used.
    """
    _make_folder(Path(places.state_folder()))
    lock = Lock()
    if not _acquire(lock):
        return ServeOutcome(other=holder())
    try:
        lock.name_holder()
        # pythonw of Windows, which the task at login runs, has no stderr.
        on_terminal = sys.stderr is not None and sys.stderr.isatty()
        also_stderr = on_terminal and not by_client
        with logging_to_file(settings.log_level, settings.log_format == "json", also_stderr):
            return ServeOutcome(clean=_serve(settings, by_client, lock))
    finally:
        lock.release()


def _serve(settings: DaemonSettings, by_client: bool, lock: Lock) -> bool:
    sys.setswitchinterval(_SWITCH_SECONDS)
    connection_file = Path(places.connection_file())
    connection_file.unlink(missing_ok=True)  # of a daemon that was killed
    remove_leftovers(connection_file.parent)
    token = secrets.token_hex(32)
    log_file = Path(places.log_file())
    server = Server(settings, token, log_file, by_client)
    content = {
        "endpoint": server.endpoint,
        "token": token,
        "pid": os.getpid(),
        "version": vae_balance.__version__,
        "protocol": PROTOCOL,
    }
    published = _Published(content, lock, server.stop_when_idle)
    server.on_stopping = published.withdraw
    try:
        with _signals(server):
            published.start()
            _log.info(
                "version=%s pid=%d at %s, %s",
                vae_balance.__version__,
                os.getpid(),
                server.endpoint,
                settings,
            )
            clean = server.run()
    finally:
        published.withdraw()
    _log.info("ended" if clean else "ended in the middle of work")
    return clean


def _acquire(lock: Lock) -> bool:
    """Take the lock; False if a daemon that can be found has it."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while not lock.take(0.0):
        if Path(places.connection_file()).exists() or time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _make_folder(folder: Path) -> None:
    """Make the state folder, or see to it that nobody else looks into it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if os.name != "nt" and stat.S_IMODE(folder.stat().st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise BalanceError(
            f"{folder}: cannot make this folder, or keep it for its user alone: {error.strerror}; "
            "set VAE_BALANCE_STATE to a folder of your own"
        ) from error


class _Published:
    """The connection file, which is written again when somebody has removed or changed it.

    Args:
        content: what it has to say.
        lock: of this daemon.
        replaced: called with a reason when the program was replaced by another version.
    """

    def __init__(
        self, content: dict[str, Any], lock: Lock, replaced: Callable[[str], None]
    ) -> None:
        self._replaced = replaced
        self._path = Path(places.connection_file())
        self._text = json.dumps(content)
        self._lock = lock
        self._over = threading.Event()
        self._changing = threading.Lock()
        self._keeper = threading.Thread(target=self._keep, name="connection file", daemon=True)

    def start(self) -> None:
        """Write the file, and watch over it from now on."""
        self._write()
        self._keeper.start()

    def withdraw(self) -> None:
        """Remove the file: clients find nobody then, and who starts a daemon waits for the lock."""
        self._over.set()
        with self._changing, suppress(OSError):
            if self._is_right():
                self._path.unlink()

    def _keep(self) -> None:
        while not self._over.wait(_KEEP_SECONDS):
            if version := installed_instead():
                self._replaced(f"version {version} was installed")
            with self._changing:
                if not self._over.is_set() and self._lock.is_in_place and not self._is_right():
                    _log.warning("%s was removed or changed: written again", self._path)
                    self._write_again()

    def _is_right(self) -> bool:
        try:  # of a pipe nobody may ever write the end
            return self._path.is_file() and self._path.read_text(encoding="utf-8") == self._text
        except (OSError, ValueError):
            return False

    def _write_again(self) -> None:
        try:
            _make_folder(self._path.parent)
            self._write()
        except BalanceError as error:  # tried again, and told again, until it can be done
            _log.error("%s", error)

    def _write(self) -> None:
        with as_private_as([], umask=0o077), atomic_write(self._path, overwrite=True) as temporary:
            temporary.write_text(self._text, encoding="utf-8")


@contextmanager
def _signals(server: Server) -> Iterator[None]:
    """Let SIGINT and SIGTERM end the server."""

    def stop(number: int, frame: FrameType | None) -> None:
        server.stop(signal.Signals(number).name)

    old_descriptor = signal.set_wakeup_fd(server.wakeup_fd, warn_on_full_buffer=False)
    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(old_descriptor)
