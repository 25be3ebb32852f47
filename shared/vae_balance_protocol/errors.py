"""What can go wrong between a client and the daemon; every message is one line."""

from __future__ import absolute_import, unicode_literals

from .compat import PYTHON_2, as_text

MYPY = False
if MYPY:
    from typing import Tuple


class DaemonError(Exception):
    """The daemon refused or failed; `code` says how, as PROTOCOL.md lists it, `message` why."""

    def __init__(self, code, message):
        # type: (str, str) -> None
        self.code = code
        self.message = as_text(message)
        super(DaemonError, self).__init__(self.message)

    def __str__(self):
        # type: () -> str
        # Python 2 wants bytes here, and would fail on a message that is not ASCII.
        return self.message.encode("utf-8") if PYTHON_2 else self.message  # type: ignore[return-value]

    def __reduce__(self):
        # type: () -> Tuple[object, ...]
        return (type(self), (self.code, self.message))


class ConnectionLost(DaemonError):
    """The daemon is gone, silent, or speaks nonsense; nothing more comes on this connection."""

    def __init__(self, message, code="lost"):
        # type: (str, str) -> None
        super(ConnectionLost, self).__init__(code, message)

    def __reduce__(self):
        # type: () -> Tuple[object, ...]
        return (type(self), (self.message, self.code))


class NotStarted(DaemonError):
    """No daemon runs and none could be started; `log` holds the last lines of its log."""

    def __init__(self, message, log=""):
        # type: (str, str) -> None
        super(NotStarted, self).__init__("not-started", message)
        self.log = log

    def __reduce__(self):
        # type: () -> Tuple[object, ...]
        return (type(self), (self.message, self.log))
