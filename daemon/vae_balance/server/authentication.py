"""Who may connect: the server's half of ZMTP's beginning, with PLAIN and the token.

Source: https://rfc.zeromq.org/spec/37/ (ZMTP 3.1), https://rfc.zeromq.org/spec/24/ (PLAIN).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from vae_balance_protocol.messages import USER
from vae_balance_protocol.zmtp import (
    TOO_MANY,
    WRONG_TOKEN,
    command,
    command_name,
    long_text,
    short_text,
)

GREETING_BYTES = 64
_MECHANISM = b"PLAIN".ljust(20, b"\0")
_AS_SERVER = b"\1"
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\3\1" + _MECHANISM + _AS_SERVER + bytes(31)
# What a greeting must have where; all else in it is free.
_FIXED = ((0, b"\xff"), (9, b"\x7f"), (12, _MECHANISM))
_OLDEST_MAJOR = 3  # version of ZMTP


class NotZmtpError(Exception):
    """What a peer says is no ZMTP, or beyond its bounds: the connection has to end."""


class RefusedError(Exception):
    """A peer is not let in.

    Attributes:
        reason: `WRONG_TOKEN` or `TOO_MANY`.
        farewell: the command that tells it so.
    """

    def __init__(self, reason: bytes) -> None:
        super().__init__(reason.decode("ascii"))
        self.reason = reason
        self.farewell = command(b"ERROR", short_text(reason))


def check_greeting(said: bytes) -> None:
    """Check a greeting as far as it has come.

    Raises:
        NotZmtpError: it is none, of a version before 3, or of another mechanism than PLAIN.
    """
    for offset, wanted in _FIXED:
        got = said[offset : offset + len(wanted)]
        if not wanted.startswith(got):
            raise NotZmtpError("no greeting of ZMTP with PLAIN")
    if len(said) > 10 and said[10] < _OLDEST_MAJOR:
        raise NotZmtpError("a version of ZMTP before 3")


class Handshake:
    """The commands HELLO and INITIATE of one peer.

    Attributes:
        done: whether the peer has been let in.

    Args:
        token: the password that it has to know.
        is_full: returns whether nobody else can be let in.
    """

    def __init__(self, token: str, is_full: Callable[[], bool]) -> None:
        self._is_full = is_full
        self.done = False
        self._authenticated = False
        self._credentials = short_text(USER.encode("ascii")) + short_text(token.encode("ascii"))

    def answer(self, body: bytes) -> bytes:
        """Return the answer to a command.

        Raises:
            RefusedError: user or token are wrong, or there are too many others.
            NotZmtpError: it is not the command that has to come now.
        """
        name = command_name(body)
        content = body[1 + len(name) :]
        if name == b"HELLO" and not self._authenticated:
            # In constant time, whatever the first bytes are.
            if not hmac.compare_digest(content, self._credentials):
                raise RefusedError(WRONG_TOKEN)
            if self._is_full():
                raise RefusedError(TOO_MANY)
            self._authenticated = True
            return command(b"WELCOME", b"")
        if name == b"INITIATE" and self._authenticated:
            socket_type = _metadata(content).get(b"socket-type")
            if socket_type != b"DEALER":
                raise NotZmtpError("only a DEALER can be served")
            self.done = True
            metadata = short_text(b"Socket-Type") + long_text(b"ROUTER")
            return command(b"READY", metadata + short_text(b"Identity") + long_text(b""))
        raise NotZmtpError("a command that does not belong here")


def _metadata(content: bytes) -> dict[bytes, bytes]:
    """Return the properties of a command, their names in lower case."""
    properties = {}
    while content:
        name_end = 1 + content[0]
        value_start = name_end + 4
        value_end = value_start + int.from_bytes(content[name_end:value_start], "big")
        if value_start > len(content) or value_end > len(content):
            raise NotZmtpError("properties that are cut short")
        properties[content[1:name_end].lower()] = content[value_start:value_end]
        content = content[value_end:]
    return properties
