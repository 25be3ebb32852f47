"""The daemon's log: a line an event, that nobody can forge, fill up or read but its user."""

from __future__ import annotations

import copy
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from io import TextIOWrapper
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from queue import SimpleQueue
from typing import Any, cast

from vae_balance.errors import printable
from vae_balance.server.lock import naming
from vae_balance_protocol import places

_BYTES, _OLD_FILES = 2_000_000, 3
_LINE = "%(asctime)s %(levelname)s %(message)s"
_PACKAGE = "vae_balance"
JOBS = "vae_balance.server.job"
# Of one kind of event: so many at once, and so many each second after that. Jobs are many where
# pictures come in strips.
_BURST, _PER_SECOND = 200, 1.0
_JOBS_BURST, _JOBS_PER_SECOND = 2000, 5.0

_log = logging.getLogger(__name__)


@contextmanager
def logging_to_file(level: str, as_json: bool, also_stderr: bool) -> Iterator[None]:
    """Write the log, in a thread of its own: no disk can hold a client up.

    Args:
        level: name of a level of `logging`, in lower case.
        as_json: write JSON, an object a line, instead of text.
        also_stderr: write it there, too.

    Raises:
        BalanceError: the file cannot be written.
    """
    with naming(places.log_file()):
        file = _LogFile(
            places.log_file(), maxBytes=_BYTES, backupCount=_OLD_FILES, encoding="utf-8"
        )
    handlers: list[logging.Handler] = [file]
    if also_stderr:
        handlers.append(logging.StreamHandler(sys.stderr))
    for handler in handlers:
        handler.setFormatter(_JsonLines() if as_json else _TextLines(_LINE))
    records: SimpleQueue[Any] = SimpleQueue()
    listener = QueueListener(records, *handlers)
    source = _Source(records)
    source.addFilter(RateLimit())
    logging.raiseExceptions = False  # a full disk is no reason to write to stderr instead
    logging.captureWarnings(True)
    threading.excepthook = _log_exception
    logging.getLogger().addHandler(source)
    set_level(level)
    listener.start()
    try:
        yield
    finally:
        listener.stop()
        logging.getLogger().removeHandler(source)
        for handler in handlers:
            handler.close()


def set_level(level: str) -> None:
    """Let the log tell more or less from now on."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Source):
            handler.setLevel(level.upper())
    # Warnings are made whatever the log tells: clients are told those about their photos.
    logging.getLogger(_PACKAGE).setLevel("DEBUG" if level == "debug" else "INFO")


def named_value(name: str, value: Any) -> str:
    """Return `name=value` as one word, in quotes where it would not be one."""
    text = printable(str(value))
    if not text or " " in text or '"' in text or "=" in text:
        text = json.dumps(text, ensure_ascii=False)
    return f"{name.replace(' ', '-')}={text}"


class RateLimit(logging.Filter):
    """Lets only so many events of a kind pass; the next one tells how many did not."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._kinds: dict[str, tuple[float, float, int]] = {}  # left, when, how many not let pass

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether an event is to be logged."""
        if record.levelno >= logging.ERROR:
            return True
        is_job = record.name == JOBS
        burst, rate = (_JOBS_BURST, _JOBS_PER_SECOND) if is_job else (_BURST, _PER_SECOND)
        kind = f"{record.name} {record.msg}"
        now = time.monotonic()
        with self._lock:
            left, when, suppressed = self._kinds.get(kind, (float(burst), now, 0))
            left = min(burst, left + (now - when) * rate)
            if left < 1.0:
                self._kinds[kind] = (left, now, suppressed + 1)
                return False
            self._kinds[kind] = (left - 1.0, now, 0)
        record.suppressed = suppressed
        return True


class _Source(QueueHandler):
    """Makes texts of events where they happen."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        prepared = copy.copy(record)
        message = record.getMessage()
        suppressed = getattr(record, "suppressed", 0)
        if suppressed:
            message += f" ({suppressed} more like this were left out)"
        prepared.msg, prepared.args = printable(message), None
        if record.exc_info:
            prepared.exc_text = logging.Formatter().formatException(record.exc_info)
            prepared.exc_info = None
        return prepared


class _TextLines(logging.Formatter):
    """A line an event; those of a traceback are indented, so that none looks like an event."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record)} {record.levelname} {record.msg}"
        if not record.exc_text:
            return line
        traceback = [f"    {printable(line)}" for line in record.exc_text.split("\n")]
        return "\n".join([line, *traceback])


class _JsonLines(logging.Formatter):
    """An object an event, on a line."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, timezone.utc)
        event: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.msg,
        }
        event |= getattr(record, "facts", {})
        if record.exc_text:
            event["traceback"] = record.exc_text
        return json.dumps(event, default=str)


class _LogFile(RotatingFileHandler):
    """The log, which nobody but its user can read: it names photos."""

    def _open(self) -> TextIOWrapper:
        def opener(path: str, flags: int) -> int:
            descriptor = os.open(path, flags, 0o600)
            if os.name != "nt":
                os.fchmod(descriptor, 0o600)  # it may be of an earlier version
            return descriptor

        file = open(self.baseFilename, self.mode, encoding=self.encoding, opener=opener)  # noqa: SIM115
        return cast(TextIOWrapper, file)


def _log_exception(arguments: threading.ExceptHookArgs) -> None:
    error = arguments.exc_value
    _log.critical("a thread has ended: a defect", exc_info=error)
