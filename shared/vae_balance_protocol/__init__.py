"""What the daemon and its clients say to each other: PROTOCOL.md; Python 2.7 and 3.8 or later."""

from __future__ import absolute_import

from .errors import ConnectionLost, DaemonError, NotStarted
from .messages import PROTOCOL, USER, Malformed

__all__ = ["PROTOCOL", "USER", "ConnectionLost", "DaemonError", "Malformed", "NotStarted"]
