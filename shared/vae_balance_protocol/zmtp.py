"""A DEALER of ZeroMQ on a plain socket: ZMTP 3.1 (RFC 37) with PLAIN (RFC 24), as a client.

Nothing that the other side sends takes more memory than the bounds below, and nothing that it
keeps back takes more time than the time-outs. After an error, or an interrupt (Ctrl-C) in the
middle of sending or receiving, the connection is closed.
"""

from __future__ import absolute_import, unicode_literals

import collections
import errno
import select
import socket
import struct
import time

from .compat import PYTHON_2, as_text
from .errors import ConnectionLost
from .messages import FRAME_BYTES, WINDOW_BYTES

MYPY = False
if MYPY:
    from typing import Callable, Deque, Dict, List, Optional, Sequence, Tuple, Union

    Data = Union[bytes, bytearray, memoryview]
    Waiting = Optional[Callable[[], object]]

# Of a message that arrives: an answer has a request id, a header, and the parts of a file.
MESSAGE_FRAMES = 16
MESSAGE_BYTES = WINDOW_BYTES + FRAME_BYTES
# Of messages that have arrived while sending and nobody has asked for yet.
UNREAD_MESSAGES = 10000
UNREAD_BYTES = 2 * MESSAGE_BYTES
COMMAND_BYTES = 1024
# Reasons of the command ERROR, as ZAP numbers them (https://rfc.zeromq.org/spec/27/).
WRONG_TOKEN, TOO_MANY = b"400", b"300"
SEND_SECONDS = 60.0
# No wait is longer, since Windows does not let Ctrl-C end a wait.
_WAIT_SECONDS = 0.5
_RECEIVE_BYTES = 256 * 1024
_SMALL_BYTES = 64 * 1024  # copied, to be sent with its neighbors
_SEND_BYTES = 1 << 20
_READS_AT_ONCE = 16  # between looks at the clock

MORE, LONG, COMMAND = 1, 2, 4
_GREETING_BYTES = 64
_GREETING = b"\xff" + b"\0" * 8 + b"\x7f" + b"\x03\x01" + b"PLAIN".ljust(20, b"\0") + b"\0" * 32

# The second is what libzmq 4.3 sends: "\x05ERROR" in C begins with the character 0x5E.
_ERRORS = (b"\x05ERROR", b"^RROR")

_WOULD_BLOCK = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR, 10035)  # 10035: WSAEWOULDBLOCK

clock = getattr(time, "monotonic", time.time)  # Python 2.7 has no monotonic one


class Dealer(object):
    """A connection to a ROUTER that is a PLAIN server.

    Attributes:
        waiting: called each half second while something is waited for; None if nobody is told.
    """

    def __init__(self, host, port, user, password, timeout=10.0, waiting=None):
        # type: (str, int, bytes, bytes, float, Waiting) -> None
        """Connect and introduce ourselves.

        Args:
            host: where the other side listens.
            port: where the other side listens.
            user: who we are.
            password: of the user.
            timeout: seconds for all of it.
            waiting: the attribute.

        Raises:
            ConnectionLost: nobody listens, speaks ZMTP, or answers in `timeout` seconds (code
                "lost"), or user and password are wrong (code "refused").
        """
        deadline = clock() + timeout
        self.waiting = waiting
        self._told = clock()
        self._raw = bytearray()  # what has arrived of the next frame's head
        self._flags = 0  # of the frame that arrives
        self._pieces = []  # type: List[bytes]
        self._missing = None  # type: Optional[int]  # bytes of it, None between frames
        self._parts = []  # type: List[bytes]  # of the message that arrives
        self._parts_bytes = 0
        self._messages = collections.deque()  # type: Deque[List[bytes]]
        self._messages_bytes = 0
        self._commands = collections.deque()  # type: Deque[bytes]
        self._replies = bytearray()
        self._greeted = False
        self._introduced = False
        self._ended = ""  # why nothing more can be read
        self._socket = None  # type: Optional[socket.socket]
        try:
            connection = socket.create_connection((host, port), timeout)
        except (socket.error, OverflowError) as error:
            raise ConnectionLost("cannot connect to %s:%d: %s" % (host, port, _reason(error)))
        self._socket = connection
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            self._introduce(user, password, deadline)
        except BaseException:
            self.close()
            raise

    def send(self, frames, timeout=SEND_SECONDS):
        # type: (Sequence[Data], float) -> None
        """Send a message; what arrives meanwhile is kept for `receive`.

        Args:
            frames: buffers of bytes; large ones are not copied.
            timeout: seconds for each large frame.

        Raises:
            ConnectionLost: the connection has ended, or does not take the message.
        """
        chunks = []  # type: List[Data]
        head, self._replies = self._replies, bytearray()
        for index, frame in enumerate(frames):
            view = byte_view(frame)
            more = MORE if index + 1 < len(frames) else 0
            head += frame_head(more, len(view))
            if len(view) < _SMALL_BYTES:
                head += view.tobytes()
            else:
                chunks += [head, view]
                head = bytearray()
        try:
            self._write(chunks + [head], timeout)
        except BaseException:
            self.close()
            raise

    def receive(self, timeout):
        # type: (float) -> Optional[List[bytes]]
        """Return the frames of the next message, or None when none comes in `timeout` seconds.

        Raises:
            ConnectionLost: the connection has ended, or what comes is not ZMTP.
        """
        deadline = clock() + timeout
        while not self._messages:
            arrived = self.poll()
            if not self._messages and (
                clock() >= deadline if arrived else not self._wait(deadline)
            ):
                return None
        message = self._messages.popleft()
        self._messages_bytes -= sum(len(frame) for frame in message)
        return message

    def poll(self):
        # type: () -> bool
        """Take in what has arrived, and answer PINGs, without waiting; True if anything had.

        Raises:
            ConnectionLost: the connection has ended, or what comes is not ZMTP.
        """
        try:
            arrived = self._take_in()
            if self._ended and not self._messages:
                raise ConnectionLost(self._ended)
            if self._replies and not self._ended:
                replies, self._replies = self._replies, bytearray()
                self._write([replies], SEND_SECONDS)
        except BaseException:
            self.close()
            raise
        return arrived

    def close(self):
        # type: () -> None
        """Close the connection; twice does no harm."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    # Introduction

    def _introduce(self, user, password, deadline):
        # type: (bytes, bytes, float) -> None
        self._write([_GREETING], deadline - clock())
        while len(self._raw) < _GREETING_BYTES:
            self._check_greeting()
            self._take_in_or_fail(deadline)
        self._check_greeting()
        del self._raw[:_GREETING_BYTES]
        self._greeted = True
        self._parse()
        hello = short_text(user) + short_text(password)
        self._write([command(b"HELLO", hello)], deadline - clock())
        self._expect(b"WELCOME", deadline)
        metadata = short_text(b"Socket-Type") + long_text(b"DEALER")
        metadata += short_text(b"Identity") + long_text(b"")
        self._write([command(b"INITIATE", metadata)], deadline - clock())
        self._expect(b"READY", deadline)
        self._introduced = True
        while self._commands:
            self._take_command(self._commands.popleft())

    def _check_greeting(self):
        # type: () -> None
        """Refuse a greeting as soon as enough has come of it to tell."""
        got = bytes(self._raw[:_GREETING_BYTES])
        for offset, wanted in ((0, b"\xff"), (9, b"\x7f")):
            if len(got) > offset and got[offset : offset + 1] != wanted:
                raise ConnectionLost("what listens there does not speak ZMTP")
        if len(got) > 10 and ord(got[10:11]) < 3:
            raise ConnectionLost("what listens there speaks a version of ZMTP before 3")
        if len(got) >= 32 and got[12:32] != _GREETING[12:32]:
            raise ConnectionLost("what listens there does not ask for PLAIN")

    def _expect(self, name, deadline):
        # type: (bytes, float) -> None
        """Wait for a command of the introduction; messages cannot come before it."""
        while not self._commands:
            self._take_in_or_fail(deadline)
        body = self._commands.popleft()
        if body.startswith(_ERRORS):
            if body[6:] == short_text(TOO_MANY):
                raise ConnectionLost("the daemon has too many clients: end one of them")
            raise ConnectionLost("the daemon refused the token", code="refused")
        if command_name(body) != name:
            raise ConnectionLost("the introduction went wrong: no %s came" % name.decode("ascii"))

    def _take_in_or_fail(self, deadline):
        # type: (float) -> None
        """Take in what has arrived, or wait until something does."""
        if clock() >= deadline:
            raise ConnectionLost("what listens there does not answer")
        if not self._take_in():
            self._wait(deadline)

    # Bytes

    def _open_socket(self):
        # type: () -> socket.socket
        if self._socket is None:
            raise ConnectionLost("the connection to the daemon is closed")
        return self._socket

    def _wait(self, deadline, writing=False):
        # type: (float, bool) -> bool
        """Wait until something arrives, or can be sent; False at the deadline."""
        while True:
            now = clock()
            if self.waiting is not None and now - self._told > _WAIT_SECONDS:
                self._told = now
                self.waiting()
            left = deadline - now
            if left <= 0:
                return False
            if _ready(self._open_socket(), min(left, _WAIT_SECONDS), writing):
                return True

    def _write(self, chunks, timeout):
        # type: (Sequence[Data], float) -> None
        """Send all bytes, taking in what arrives so that the two sides cannot wait in a circle."""
        for chunk in chunks:
            view = memoryview(chunk)
            sent = 0
            deadline = clock() + timeout
            while sent < len(view):
                sent += self._send_some(view[sent : sent + _SEND_BYTES])
                if sent < len(view):
                    if clock() >= deadline:
                        raise ConnectionLost("the daemon takes no data")
                    if not self._take_in():
                        self._wait(deadline, writing=True)

    def _send_some(self, view):
        # type: (memoryview) -> int
        try:
            return self._open_socket().send(view)
        except socket.error as error:
            if error.errno in _WOULD_BLOCK:
                return 0
            raise ConnectionLost("the daemon has gone: %s" % _reason(error))

    def _take_in(self):
        # type: () -> bool
        """Read what has arrived, within bounds; False if nothing had."""
        for count in range(_READS_AT_ONCE):
            if not self._read_some():
                if self._ended and not count:
                    raise ConnectionLost(self._ended)
                return count > 0
            if self._greeted:
                self._parse()
        return True

    def _read_some(self):
        # type: () -> int
        """Read once; 0 when nothing has arrived, or nothing will any more."""
        connection = self._open_socket()
        try:
            # Pieces, joined at the end: to make room for a large frame first, and to fill it
            # with zeros as Python does, costs more.
            data = connection.recv(min(self._missing or _SMALL_BYTES, _RECEIVE_BYTES))
        except socket.error as error:
            if error.errno not in _WOULD_BLOCK:
                self._ended = "the daemon has gone: %s" % _reason(error)
            return 0
        if not data:
            self._ended = "the daemon has closed the connection"
        elif self._missing is None:
            self._raw += data
        else:
            self._pieces.append(data)
            self._missing -= len(data)
        return len(data)

    # Frames

    def _parse(self):
        # type: () -> None
        """Make frames of the bytes that have been read."""
        position = 0
        while True:
            if self._missing is None:
                position = self._begin_frame(position)
            if self._missing is None:
                break
            piece = bytes(self._raw[position : position + self._missing])
            self._pieces.append(piece)
            self._missing -= len(piece)
            position += len(piece)
            if self._missing:
                break
            self._missing = None
            pieces, self._pieces = self._pieces, []
            self._end_frame(b"".join(pieces))
        del self._raw[:position]

    def _begin_frame(self, position):
        # type: (int) -> int
        """Read a frame's head if all of it has come; return where it ends."""
        if position >= len(self._raw):
            return position
        flags = self._raw[position]
        if flags & ~(MORE | LONG | COMMAND) or (flags & COMMAND and flags & MORE):
            raise ConnectionLost("what came from the daemon is not ZMTP")
        end = position + (9 if flags & LONG else 2)
        if len(self._raw) < end:
            return position
        form = str(">Q" if flags & LONG else ">B")
        (length,) = struct.unpack(form, bytes(self._raw[position + 1 : end]))
        if length > (COMMAND_BYTES if flags & COMMAND else FRAME_BYTES):
            raise ConnectionLost("the daemon announced a frame of %d bytes, too long" % length)
        if not flags & COMMAND:
            too_many = len(self._parts) >= MESSAGE_FRAMES
            if too_many or self._parts_bytes + length > MESSAGE_BYTES:
                raise ConnectionLost("a message from the daemon is too long")
        self._flags = flags
        self._missing = length
        return end

    def _end_frame(self, frame):
        # type: (bytes) -> None
        if self._flags & COMMAND:
            self._take_command(frame)
            return
        self._parts.append(frame)
        self._parts_bytes += len(frame)
        if not self._flags & MORE:
            self._messages.append(self._parts)
            self._messages_bytes += self._parts_bytes
            if self._messages_bytes > UNREAD_BYTES or len(self._messages) > UNREAD_MESSAGES:
                raise ConnectionLost("the daemon sends more than it was asked for")
            self._parts = []
            self._parts_bytes = 0

    def _take_command(self, body):
        # type: (bytes) -> None
        is_error = body.startswith(_ERRORS)
        if not self._introduced and (is_error or command_name(body) in (b"WELCOME", b"READY")):
            if len(self._commands) > 2:
                raise ConnectionLost("the introduction went wrong: too many commands came")
            self._commands.append(body)
        elif is_error:
            raise ConnectionLost("the daemon has ended the connection")
        # Who does not read PONGs gets no more of them.
        elif command_name(body) == b"PING" and len(self._replies) < _SMALL_BYTES:
            self._replies += command(b"PONG", body[7:])  # after name and time to live


def byte_view(data):
    # type: (Data) -> memoryview
    """Return a buffer as bytes, one after the other, without copying them where Python can."""
    view = memoryview(data)
    if view.ndim == 1 and view.itemsize == 1:
        return view
    if PYTHON_2:
        return memoryview(view.tobytes())
    return view.cast("B")


def _ready(connection, timeout, writing):
    # type: (socket.socket, float, bool) -> bool
    """Wait until something arrives or, with `writing`, can be sent; False after `timeout`."""
    try:
        if not hasattr(select, "poll"):
            found = select.select([connection], [connection] if writing else [], [], timeout)
            return bool(found[0] or found[1])
        poll = select.poll()  # select cannot wait for a socket whose number is above 1023
        poll.register(connection, select.POLLIN | (select.POLLOUT if writing else 0))
        return bool(poll.poll(timeout * 1000.0))
    except (select.error, socket.error) as error:
        if error.args[0] != errno.EINTR:
            raise
        return False


def frame_head(flags, length):
    # type: (int, int) -> bytes
    """Return what comes before a frame's content of so many bytes."""
    if length > 255:
        return struct.pack(str(">BQ"), flags | LONG, length)
    return struct.pack(str(">BB"), flags, length)


def command(name, body):
    # type: (bytes, bytes) -> bytes
    """Return a command as it goes over the wire."""
    content = short_text(name) + body
    return frame_head(COMMAND, len(content)) + content


def command_name(body):
    # type: (bytes) -> bytes
    """Return the name that a command's frame begins with."""
    return body[1 : 1 + ord(body[:1])] if body else b""


def short_text(text):
    # type: (bytes) -> bytes
    """Return at most 255 bytes with their length before them in one byte."""
    return struct.pack(str(">B"), len(text)) + text


def long_text(text):
    # type: (bytes) -> bytes
    """Return bytes with their length before them in four."""
    return struct.pack(str(">I"), len(text)) + text


def _reason(error):
    # type: (Exception) -> str
    """Return what the system says, as text."""
    return as_text(getattr(error, "strerror", None) or str(error))
