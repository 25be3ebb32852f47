"""A connection: ZMTP on a socket that is never waited for.

What arrives becomes messages, and messages that are to be sent are kept until the peer takes
them. Nothing that a peer sends takes more memory than it was allowed before it was read.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from vae_balance.server.authentication import (
    GREETING,
    GREETING_BYTES,
    Handshake,
    NotZmtpError,
    RefusedError,
    check_greeting,
)
from vae_balance_protocol.messages import FRAME_BYTES, PROXIES, REQUEST_ID_BYTES
from vae_balance_protocol.zmtp import (
    COMMAND,
    COMMAND_BYTES,
    LONG,
    MORE,
    byte_view,
    command,
    command_name,
    frame_head,
)

FRAMES = 2 + PROXIES + 1  # of a message, that are kept: enough to see that it has too many
_READ_BYTES = 64 << 10  # at a time, where it is not known what comes
_PIECE_BYTES = 4 << 20  # at a time of a large frame, and sent at a time
_SMALL_BYTES = 64 << 10  # copied, to be sent with its neighbors
_REPLIES_BYTES = 64 << 10  # of PONGs: who does not read them gets no more
_FRAMES_AT_ONCE = 128  # before others have their turn
_PING = command(b"PING", struct.pack(">H", 0))
_PING_CONTENT = 2  # bytes of the time to live, before what PONG repeats
_WASTE = memoryview(bytearray(256 << 10))  # for what is not kept


@dataclass
class Message:
    """What a peer has sent.

    Attributes:
        frames: of it that were kept: the first `FRAMES`, or the request id only.
        size: bytes of all frames but the first.
        kept_bytes: what it takes of memory.
        dropped: whether there was no room for it.
        begun: when its first byte came, by time.monotonic.
    """

    frames: list[bytearray] = field(default_factory=list)
    size: int = 0
    kept_bytes: int = 0
    dropped: bool = False
    begun: float = field(default_factory=time.monotonic)

    def make_frame(self, length: int) -> bytearray:
        """Return memory for the next frame."""
        self.kept_bytes += length
        return bytearray(length)

    def drop(self) -> None:
        """Keep nothing but the request id, by which the sender can be told."""
        self.dropped = True
        self.kept_bytes = 0
        del self.frames[1:]


class Connection:
    """One peer.

    Attributes:
        socket: to it.
        introduced: whether it has been let in.
        ended: nothing more can be read.
        closing: nothing that it says matters any more.
        began: when it connected, by time.monotonic.
        heard: when it last said something.
        pinged: when it was last asked for a sign of life.
        sent: when it last took something, or when there was last nothing to take.
        waiting_for_room: since when nothing is read, for want of memory; None if it is read.
        unread_bytes: of messages that it has not taken yet.

    Args:
        accepted: the socket.
        token: that the peer has to know.
        is_full: returns whether nobody else can be let in.
        has_room: called with the bytes of a frame before it is read; returns True, False if it
            must wait, None if its message has to be dropped.
    """

    def __init__(
        self,
        accepted: socket.socket,
        token: str,
        is_full: Callable[[], bool],
        has_room: Callable[[Connection, int], bool | None],
    ) -> None:
        self.socket = accepted
        self.introduced = False
        self.ended = False
        self.closing = False
        self.began = self.heard = self.pinged = self.sent = time.monotonic()
        self.waiting_for_room: float | None = None
        self.unread_bytes = 0
        self._handshake = Handshake(token, is_full)
        self._has_room = has_room
        self._raw = bytearray()  # what has arrived and was not looked at
        self._has_more = False
        self._greeted = False
        self._flags = 0  # of the frame that arrives
        self._missing: int | None = None  # bytes of it, None between frames
        self._frame: bytearray | None = None  # None if it is not kept
        self._message: Message | None = None
        self._chunks: deque[memoryview] = deque()
        self._message_ends: deque[int] = deque()  # of those not sent, counted in bytes sent so far
        self._bytes_sent = self._bytes_to_send = 0
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._queue([GREETING])

    # In

    @property
    def arriving(self) -> Message | None:
        """The message of which a part has come."""
        return self._message

    @property
    def has_more(self) -> bool:
        """Whether there may be messages in what was read already."""
        return self._has_more and self.waiting_for_room is None and not self.closing

    def read(self) -> list[Message]:
        """Take in some of what has arrived, and return the messages that it completes.

        Raises:
            NotZmtpError: it is no ZMTP, or beyond its bounds.
            RefusedError: the peer is not let in.
        """
        if self.closing:
            self._receive(_WASTE)
            return []
        if not self._has_more:
            self._fill()
        return self._parse()

    def go_on(self, keep: bool) -> list[Message]:
        """Read on after waiting for room: keep the frame that there was no room for, or drop it."""
        message = self._message
        assert message is not None
        assert self.waiting_for_room is not None
        now = time.monotonic()
        message.begun += now - self.waiting_for_room
        self.heard = now
        self.waiting_for_room = None
        if keep:
            self._frame = message.make_frame(self.waits_for)
        else:
            message.drop()
        return self._parse()

    @property
    def waits_for(self) -> int:
        """How many bytes there has to be room for."""
        return self._missing or 0

    def _fill(self) -> None:
        """Read once."""
        if self._missing is None or self._raw or self._missing < _SMALL_BYTES:
            piece = memoryview(bytearray(_READ_BYTES))
            self._raw += piece[: self._receive(piece)]
        elif self._frame is None:
            self._missing -= self._receive(_WASTE[: self._missing])
        else:
            begin = len(self._frame) - self._missing
            piece = memoryview(self._frame)[begin : begin + _PIECE_BYTES]
            self._missing -= self._receive(piece)

    def _receive(self, into: memoryview) -> int:
        """Read into a buffer; return how many bytes came."""
        try:
            count = self.socket.recv_into(into)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            count = 0
        if count:
            self.heard = time.monotonic()
        else:
            self.ended = True
        return count

    def _parse(self) -> list[Message]:
        """Make messages of the bytes that were read."""
        messages: list[Message] = []
        if not self._greeted and not self._greet():
            return messages
        position = 0
        self._has_more = True
        for _ in range(_FRAMES_AT_ONCE):
            if self._missing is None:
                try:
                    position = self._begin_frame(position)
                except NotZmtpError:
                    if not messages:
                        raise
                    break  # to be met again when what came before has been heeded
            if self._missing is None:
                self._has_more = False
                break
            if self.waiting_for_room is not None:
                break
            taken = min(self._missing, len(self._raw) - position)
            if self._frame is not None and taken:
                begin = len(self._frame) - self._missing
                self._frame[begin : begin + taken] = self._raw[position : position + taken]
            position += taken
            self._missing -= taken
            if self._missing:
                self._has_more = False
                break
            message = self._end_frame()
            if message is not None:
                messages.append(message)
            if self.closing:
                break
        del self._raw[:position]
        return messages

    def _greet(self) -> bool:
        check_greeting(bytes(self._raw[:GREETING_BYTES]))
        if len(self._raw) < GREETING_BYTES:
            return False
        del self._raw[:GREETING_BYTES]
        self._greeted = True
        return True

    def _begin_frame(self, position: int) -> int:
        """Read a frame's head if all of it has come; return where it ends."""
        if position >= len(self._raw):
            return position
        flags = self._raw[position]
        is_command = bool(flags & COMMAND)
        if flags & ~(MORE | LONG | COMMAND) or (is_command and flags & MORE):
            raise NotZmtpError("a frame with unknown flags")
        end = position + (9 if flags & LONG else 2)
        if len(self._raw) < end:
            return position
        length = int.from_bytes(self._raw[position + 1 : end], "big")
        if not is_command and not self.introduced:
            raise NotZmtpError("a message before the introduction")
        if length > (COMMAND_BYTES if is_command else FRAME_BYTES):
            raise NotZmtpError(f"a frame of {length} bytes")
        self._flags, self._missing = flags, length
        self._frame = bytearray(length) if is_command else self._begin_message_frame(length)
        return end

    def _begin_message_frame(self, length: int) -> bytearray | None:
        """Return where a message's next frame goes, None for nowhere or if it has to wait."""
        if self._message is None:
            self._message = Message(dropped=length > REQUEST_ID_BYTES)  # nobody could be answered
            return None if self._message.dropped else self._message.make_frame(length)
        message = self._message
        message.size += length
        if message.dropped or len(message.frames) >= FRAMES:
            return None
        room = self._has_room(self, length)
        if room:
            return message.make_frame(length)
        if room is None:
            message.drop()
        else:
            self.waiting_for_room = time.monotonic()
        return None

    def _end_frame(self) -> Message | None:
        """Return the message that a frame completes."""
        frame, self._frame, self._missing = self._frame, None, None
        if self._flags & COMMAND:
            assert frame is not None
            self._take_command(bytes(frame))
            return None
        assert self._message is not None
        if frame is not None:
            self._message.frames.append(frame)
        if self._flags & MORE:
            return None
        message, self._message = self._message, None
        return message

    def _take_command(self, body: bytes) -> None:
        if not self.introduced:
            self._queue([self._handshake.answer(body)])
            self.introduced = self._handshake.done
        elif command_name(body) == b"PING" and self.unread_bytes < _REPLIES_BYTES:
            content = body[1 + len(b"PING") :]
            self._queue([command(b"PONG", content[_PING_CONTENT:])])

    # Out

    @property
    def unread_messages(self) -> int:
        """Messages that the peer has not taken."""
        return len(self._message_ends)

    def send(self, frames: Sequence[Any]) -> None:
        """Send a message, or keep what the peer does not take at once.

        Args:
            frames: buffers of bytes; large ones are not copied.
        """
        if self.ended:
            return
        chunks: list[Any] = []
        head = bytearray()
        for index, frame in enumerate(frames):
            view = byte_view(frame)
            head += frame_head(MORE if index + 1 < len(frames) else 0, len(view))
            if len(view) < _SMALL_BYTES:
                head += view
            else:
                chunks += [head, view]
                head = bytearray()
        self._queue([*chunks, head])
        self._message_ends.append(self._bytes_to_send)
        self.flush()

    def ping(self) -> None:
        """Ask for a sign of life."""
        self.pinged = time.monotonic()
        self._queue([_PING])
        self.flush()

    def refuse(self, refusal: RefusedError) -> None:
        """Say that the peer is not let in, and heed it no more."""
        self._queue([refusal.farewell])
        self.finish()

    def finish(self) -> None:
        """Say no more than is waiting to be said, and heed the peer no more."""
        self.closing = True
        self.waiting_for_room = None
        self._message = self._frame = None
        self._raw.clear()
        self.flush()

    def flush(self) -> None:
        """Send as much as the peer takes."""
        while self._chunks:
            chunk = self._chunks[0]
            try:
                count = self.socket.send(chunk[:_PIECE_BYTES])
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self.ended = True
                break
            self.sent = time.monotonic()
            self._bytes_sent += count
            self.unread_bytes -= count
            if count == len(chunk):
                self._chunks.popleft()
            else:
                self._chunks[0] = chunk[count:]
        while self._message_ends and self._message_ends[0] <= self._bytes_sent:
            self._message_ends.popleft()
        if self.closing and not self._chunks:
            # Closed at once, with something unread, it would be reset, and our last word lost.
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End it."""
        self.ended = self.closing = True
        self._chunks.clear()
        self._message_ends.clear()
        self.unread_bytes = 0
        self.socket.close()

    def _queue(self, chunks: Sequence[Any]) -> None:
        if not self._chunks:
            self.sent = time.monotonic()
        for chunk in chunks:
            if len(chunk):
                self._chunks.append(memoryview(chunk))
                self.unread_bytes += len(chunk)
                self._bytes_to_send += len(chunk)
