"""One daemon at a time: its lock, its connection file, its log, signals, and its end."""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any

import filelock

import vae_balance
from vae_balance.errors import BalanceError
from vae_balance.files import atomic_write, remove_leftovers
from vae_balance.server.service import Service
from vae_balance.server.settings import Settings
from vae_balance_protocol import PROTOCOL, DaemonError, places
from vae_balance_protocol.connection import read_connection

_LOG_BYTES, _OLD_LOGS = 2_000_000, 3
_LOG_LINE = "%(asctime)s %(levelname)s %(message)s"
_LOCK_SECONDS = 10.0  # for a daemon that ends to be gone, and for one that starts to be there
# Every call of a socket lets other threads run, and comes back when the one that computes in Python
# is made to give way. That takes 5 ms by default, several times for each message.
_SWITCH_SECONDS = 0.0005

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ended:
    """How `serve` ended.

    Attributes:
        other: the pid of the daemon that runs already, 0 if it is not known; None if this process
            was the daemon.
        clean: whether all threads have ended. If not, the process must be ended by `os._exit`.
    """

    other: int | None = None
    clean: bool = True


def serve(settings: Settings, by_client: bool) -> Ended:
    """Be the daemon until the end, unless there is one already.

    Args:
        settings: how.
        by_client: whether a client has started this process, and nobody will end it.

    Raises:
        BalanceError: the state folder cannot be used.
    """
    _make_folder(Path(places.state_folder()))
    lock = filelock.FileLock(places.lock_file(), mode=0o600)
    with _naming(places.lock_file()):
        held = _acquire(lock)
    if not held:
        return Ended(other=running_pid())
    try:
        # pythonw of Windows, which the task at login runs, has no stderr.
        on_terminal = sys.stderr is not None and sys.stderr.isatty()
        with _logging(settings.log_level, on_terminal and not by_client):
            return Ended(clean=_serve(settings, by_client))
    finally:
        lock.release()


def running_pid() -> int:
    """Return the pid in the connection file; 0 without one."""
    try:
        return read_connection().pid
    except DaemonError:
        return 0


def wait_for_end(seconds: float) -> bool:
    """Return whether no daemon runs, when one has had so long to end.

    Raises:
        BalanceError: the lock cannot be used.
    """
    if not Path(places.lock_file()).exists():
        return True
    lock = filelock.FileLock(places.lock_file(), mode=0o600)
    try:
        with _naming(places.lock_file()), lock.acquire(timeout=seconds, poll_interval=0.02):
            return True
    except filelock.Timeout:
        return False


def _serve(settings: Settings, by_client: bool) -> bool:
    sys.setswitchinterval(_SWITCH_SECONDS)
    connection_file = Path(places.connection_file())
    connection_file.unlink(missing_ok=True)  # of a daemon that was killed
    remove_leftovers(connection_file.parent)
    token = secrets.token_hex(32)

    def withdraw() -> None:
        # Clients find nobody then, and one that starts a daemon waits for the lock.
        with suppress(OSError, ValueError, KeyError, TypeError):
            if json.loads(connection_file.read_text(encoding="utf-8"))["token"] == token:
                connection_file.unlink()

    log_file = Path(places.log_file())
    service = Service(settings, token, log_file, by_client, withdraw)
    content = {
        "endpoint": service.endpoint,
        "token": token,
        "pid": os.getpid(),
        "version": vae_balance.__version__,
        "protocol": PROTOCOL,
    }
    try:
        with _signals(service):
            _write_privately(connection_file, json.dumps(content))
            _log.info(
                "version=%s pid=%d at %s, %s",
                vae_balance.__version__,
                os.getpid(),
                service.endpoint,
                settings,
            )
            clean = service.run()
    finally:
        withdraw()
    _log.info("ended" if clean else "ended in the middle of work")
    return clean


def _acquire(lock: filelock.BaseFileLock) -> bool:
    """Take the lock; False if a daemon that can be found has it."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            lock.acquire(timeout=0)
            return True
        except filelock.Timeout:
            if Path(places.connection_file()).exists() or time.monotonic() > deadline:
                return False
        time.sleep(0.05)


@contextmanager
def _naming(path: str) -> Iterator[None]:
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


def _make_folder(folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise BalanceError(f"{folder}: cannot make this folder: {error.strerror}") from error


def _write_privately(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.chmod(0o600)
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def _signals(service: Service) -> Iterator[None]:
    """Let SIGINT and SIGTERM end the service."""

    def stop(number: int, frame: FrameType | None) -> None:
        service.stop(signal.Signals(number).name)

    old_descriptor = signal.set_wakeup_fd(service.wakeup_fd, warn_on_full_buffer=False)
    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(old_descriptor)


@contextmanager
def _logging(level: str, also_stderr: bool) -> Iterator[None]:
    """Write the log, in a thread of its own: no disk can hold a client up."""
    with _naming(places.log_file()):
        file = RotatingFileHandler(
            places.log_file(), maxBytes=_LOG_BYTES, backupCount=_OLD_LOGS, encoding="utf-8"
        )
    handlers: list[logging.Handler] = [file]
    if also_stderr:
        handlers.append(logging.StreamHandler(sys.stderr))
    for handler in handlers:
        handler.setFormatter(logging.Formatter(_LOG_LINE))
    records: SimpleQueue[Any] = SimpleQueue()
    listener = QueueListener(records, *handlers)
    source = QueueHandler(records)
    logging.raiseExceptions = False  # a full disk is no reason to write to stderr instead
    logging.captureWarnings(True)
    threading.excepthook = _log_exception
    logging.getLogger().addHandler(source)
    logging.getLogger("vae_balance").setLevel(level.upper())
    listener.start()
    try:
        yield
    finally:
        listener.stop()
        logging.getLogger().removeHandler(source)
        for handler in handlers:
            handler.close()


def _log_exception(arguments: threading.ExceptHookArgs) -> None:
    error = arguments.exc_value
    _log.critical("a thread has ended: a defect", exc_info=error)
