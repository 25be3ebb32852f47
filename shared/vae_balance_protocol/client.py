"""A client of the daemon: one method a verb, and strips of a picture within the daemon's limits.

with Client.connect("my script") as client:
    look = client.learn([client.make_proxy(strips, width, height, 3, "u8")])["look"]
    for first_row, rows, pixels in client.apply_strips(look, strips, width, 3, "u8"):
        ...
"""

from __future__ import absolute_import, unicode_literals

import collections
import os
import struct

from . import starter
from .compat import as_text
from .connection import dial, other_version, read_connection
from .errors import ConnectionLost, DaemonError, NotStarted
from .messages import (
    ERROR,
    IMAGE,
    MALFORMED,
    PROGRESS,
    PROTOCOL,
    PROXY_SIZE,
    RESULT,
    STOPPING,
    VERSION,
    Malformed,
    check,
    check_answer,
    check_frames,
    pixel_bytes,
)
from .packing import pack, unpack
from .zmtp import byte_view, clock

MYPY = False
if MYPY:
    from typing import (
        Any,
        Callable,
        Deque,
        Dict,
        Iterable,
        Iterator,
        List,
        Mapping,
        Optional,
        Sequence,
        Tuple,
    )

    from .zmtp import Data, Dealer

    Fields = Dict[str, Any]
    OnProgress = Optional[Callable[[Fields], object]]
    Strip = Tuple[int, int, Data]

# How `NotStarted` begins where none is to be started.
NO_ANSWER = "VAE Balance's daemon does not answer: "
# The daemon says something of every unfinished request each second; a silence of this is its end.
SILENCE_SECONDS = 30.0
# No single wait is longer, since what silence is made of are waits in which nothing came.
_WAIT_SECONDS = 1.0
# Requests that steer others. The daemon's limit must always leave room for them.
_STEERING = ("hello", "cancel", "status", "shutdown", "log")


class Answer(object):
    """A message of the daemon.

    Attributes:
        request: the id of the request.
        type: "progress", "result" or "error".
        header: all fields of the header.
        frames: the data frames.
    """

    def __init__(self, request, header, frames):
        # type: (bytes, Fields, List[bytes]) -> None
        self.request = request
        self.type = header["type"]
        self.header = header
        self.frames = frames


class _Unfinished(object):
    """A request whose result or error has not come."""

    def __init__(self, verb, data_bytes):
        # type: (str, int) -> None
        self.verb = verb
        self.data_bytes = data_bytes
        self.abandoned = False  # nobody wants its answers any more


class Client(object):
    """A connection to the daemon; for one thread at a time.

    A connection that ends while nothing is unfinished (the daemon was idle, or was stopped) is
    made again by the next call, and the daemon started if it is not there: looks learned before
    may then be unknown. Otherwise the call that is waiting raises ConnectionLost.

    An exception out of a callback, or Ctrl-C, cancels what the call has asked for.

    Attributes:
        daemon: the daemon's answer to `hello`, with its `limits`.
    """

    def __init__(self, name, command, timeout, waiting, start, environ):
        # type: (str, Optional[List[str]], float, starter.Waiting, bool, Mapping[str, str]) -> None
        """Remember how to connect; `Client.connect` makes clients."""
        self._name = name
        self._command = command
        self._timeout = timeout
        self._waiting = waiting
        self._start = start
        self._environ = environ
        self._dealer = None  # type: Optional[Dealer]
        self._closed = False
        self._number = 0
        self._unfinished = {}  # type: Dict[bytes, _Unfinished]
        self._inbox = collections.deque()  # type: Deque[Answer]
        self._silence = 0.0
        self.daemon = {}  # type: Fields

    @classmethod
    def connect(
        cls, name, command=None, timeout=60.0, waiting=None, start=True, environ=os.environ
    ):
        # type: (str, Optional[List[str]], float, starter.Waiting, bool, Mapping[str, str]) -> Client
        """Connect to the daemon, and start it when there is none.

        Args:
            name: what the daemon's log calls this client, at most 100 characters.
            command: what runs `vae-balance`, by default `starter.find_command()`.
            timeout: seconds for the daemon to come up.
            waiting: called now and then with a line for people while it comes up.
            start: whether to start it.
            environ: the environment that says where its files lie.

        Raises:
            NotStarted: no daemon runs, and none could be started; with the log's last lines.
            DaemonError: code "version": one runs that cannot be talked to.
        """
        client = cls(name, command, timeout, waiting, start, environ)
        client._connect()
        return client

    def __enter__(self):
        # type: () -> Client
        return self

    def __exit__(self, *exception):
        # type: (object) -> None
        self.close()

    def close(self):
        # type: () -> None
        """End the connection, which cancels what is unfinished; twice does no harm."""
        self._closed = True
        self._disconnect()

    # Verbs

    def hello(self):
        # type: () -> Fields
        """Return version, protocol, pid, device, limits and models of the daemon."""
        self.daemon = self.call("hello", {"client": self._name}).header
        return self.daemon

    def learn(self, proxies, on_progress=None, **fields):
        # type: (Sequence[Data], OnProgress, **Any) -> Fields
        """Learn one look from one proxy or several.

        Args:
            proxies: 224 x 224 x 3 of `dtype`, sRGB-encoded: bytes, or other buffers.
            on_progress: called with each progress message: a dict with stage, done, total.
            **fields: see PROTOCOL.md: model, iterations, strength, seed, size,
                any_colors, dtype, title.

        Returns:
            look, size, model, model_version, device, seconds, unchanged.
        """
        return self.call("learn", fields, proxies, on_progress).header

    def shrink(self, pixels, **fields):
        # type: (Data, **Any) -> Optional[bytes]
        """Give the daemon one strip of a picture; return the proxy after the last, else None."""
        answer = self.call("shrink", fields, [pixels])
        return answer.frames[0] if answer.frames else None

    def import_lut(self, data, format, name):
        # type: (Data, str, str) -> Fields
        """Make a look of the bytes of a file of one of `LUT_FORMATS`; return look and size."""
        limit = self._limit("frame_bytes")
        view = byte_view(data)
        frames = [view[start : start + limit] for start in range(0, max(1, len(view)), limit)]
        return self.call("import", {"format": format, "name": name}, frames).header

    def describe(self, model):
        # type: (str) -> Fields
        """Return model, model_version, and what it wants to be shown: proxy, colors, roll."""
        return self.call("model", {"model": model}).header

    def export(self, look, format, average=False):
        # type: (str, str, bool) -> bytes
        """Return the bytes of a look as a "cube" or "hald" file.

        Args:
            look: its name.
            format: of the file.
            average: a look that differs from place to place is not refused: the file holds the
                average over the places, and says so.
        """
        fields = {"look": look, "format": format}  # type: Fields
        if average:  # which an older daemon does not know
            fields["average"] = True
        frames = self.call("export", fields).frames
        if not frames:
            raise self._nonsense("export without a file")
        return b"".join(frames)

    def batch(self, photos, on_progress=None, **fields):
        # type: (Sequence[Sequence[Optional[str]]], OnProgress, **Any) -> Fields
        """Balance photos on disk.

        Args:
            photos: (source, target, path of a .cube file to write or None), absolute paths.
            on_progress: called with each progress message; the one that tells what became of a
                photo has photo (its index), outcome, code, message, look and more.
            **fields: see PROTOCOL.md: roll, overwrite, proxy, jobs, and the options of `learn`.

        Returns:
            done, failed: numbers of photos.
        """
        rows = [list(photo) for photo in photos]
        return self.call("batch", dict(fields, photos=rows), (), on_progress).header

    def status(self):
        # type: () -> Fields
        """Return what the daemon is doing, see PROTOCOL.md."""
        return self.call("status", {}).header

    def set_log_level(self, level):
        # type: (str) -> None
        """Let the daemon's log tell more or less: "debug", "info", "warning" or "error"."""
        self.call("log", {"level": level})

    def shutdown(self, when_idle=False):
        # type: (bool) -> None
        """End the daemon, at once or as soon as it has no work, and with it this connection."""
        self.call("shutdown", {"when_idle": True} if when_idle else {})
        self.close()

    def cancel(self, request):
        # type: (bytes) -> bool
        """Cancel a request of `send`; True if there was something to cancel."""
        return bool(self.call("cancel", {"request": request}).header["cancelled"])

    # Pictures in strips

    def make_proxy(self, strips, width, height, channels, dtype, profile=None, kind="centre"):  # type: (Iterable[Strip], int, int, int, str, Optional[bytes], str) -> bytes
        """Return the proxy, 224 x 224 x 3 f32, sRGB-encoded, of a picture.

        Args:
            strips: (first row, rows, pixels) from top to bottom.
            width: of the picture.
            height: of the picture.
            channels: 3, or 4 with straight alpha; pixels of alpha 0 do not count.
            dtype: "u8", "u16", "f16" or "f32".
            profile: ICC profile of the colors, None for sRGB.
            kind: "centre", the largest square in the middle, or "frame", all of it squeezed.
        """
        self._number += 1
        fields = {
            "picture": "%d" % self._number,
            "width": width,
            "height": height,
            "channels": channels,
            "dtype": dtype,
            "profile": profile,
            "kind": kind,
        }
        frames = []  # type: List[bytes]
        end = 0
        try:
            for first_row, rows, answer in self._pipeline("shrink", fields, strips, None):
                frames = answer.frames
                end = first_row + rows
            if end != height:
                raise DaemonError(IMAGE, "the strips end at row %d of %d" % (end, height))
        except BaseException:
            # The daemon would wait for the rest of the picture; on a new connection it does not.
            if all(request.abandoned for request in self._unfinished.values()):
                self._disconnect()
            raise
        if [len(frame) for frame in frames] != [pixel_bytes(PROXY_SIZE, PROXY_SIZE, 3, "f32")]:
            raise self._nonsense("the last strip's answer has no proxy")
        return frames[0]

    def apply_strips(
        self,
        look,  # type: str
        strips,  # type: Iterable[Strip]
        width,  # type: int
        channels,  # type: int
        dtype,  # type: str
        profile=None,  # type: Optional[bytes]
        strength=1.0,  # type: float
        on_progress=None,  # type: OnProgress
        place=None,  # type: Optional[Mapping[str, int]]
    ):
        # type: (...) -> Iterator[Tuple[int, int, bytes]]
        """Apply a look to strips of a picture, several at a time.

        Leaving the generator early, or an error of one strip, cancels those that are on their way.

        Args:
            look: the look's name.
            strips: (first row, rows, pixels), in any order.
            width: of the strips.
            channels: 3, or 4 with straight alpha, which is left alone.
            dtype: "u8", "u16", "f16" or "f32".
            profile: ICC profile of the colors, None for sRGB.
            strength: 0..1.5, on top of the strength that the look was learned with.
            on_progress: called with the daemon's progress messages while the next strip is
                waited for.
            place: width and height of the picture that the look was learned from, and left and
                top of row 0 of `strips` in it; what a look that depends on the place needs.

        Yields:
            (first row, rows, pixels) in the order of `strips`.
        """
        fields = {
            "look": look,
            "width": width,
            "channels": channels,
            "dtype": dtype,
            "profile": profile,
            "strength": strength,
            "place": None if place is None else dict(place),
        }
        for first_row, rows, answer in self._pipeline("apply", fields, strips, on_progress):
            wanted = pixel_bytes(width, rows, channels, dtype)
            if [len(frame) for frame in answer.frames] != [wanted]:
                raise self._nonsense("apply did not answer with a strip of the same size")
            yield first_row, rows, answer.frames[0]

    # Messages

    def call(self, verb, fields, frames=(), on_progress=None):
        # type: (str, Fields, Sequence[Data], OnProgress) -> Answer
        """Send a request and return its result.

        Raises:
            DaemonError: the request is malformed, or the daemon answered with an error.
            ConnectionLost: the daemon is gone.
        """
        request = self.send(verb, fields, frames)
        try:
            return self._result(request, on_progress)
        except BaseException:
            self._abandon([request])
            raise

    def send(self, verb, fields, frames=()):
        # type: (str, Fields, Sequence[Data]) -> bytes
        """Send a request; return its id. Waits as long as the daemon's limits leave no room for it.

        Args:
            verb: see PROTOCOL.md.
            fields: those of the verb; None is as if it were not there.
            frames: the data frames: bytes, or other buffers. Large ones are not copied.

        Raises:
            DaemonError: it is malformed, or larger than the daemon allows.
            ConnectionLost: the daemon is gone.
        """
        header, lengths = _request(as_text(verb), fields, frames)
        self._ensure_connected()
        return self._post(as_text(verb), header, frames, lengths)

    def receive(self, timeout):
        # type: (float) -> Optional[Answer]
        """Return the next answer to any request of `send`, or None after `timeout` seconds.

        Raises:
            ConnectionLost: the daemon is gone.
        """
        if self._inbox:
            return self._inbox.popleft()
        deadline = clock() + timeout
        while True:
            answer = self._next(max(0.0, deadline - clock()))
            if answer is not None or clock() >= deadline:
                return answer

    # Connecting

    def _connect(self):
        # type: () -> None
        if self._start:
            starter.reach(self._attempt, self._command, self._timeout, self._waiting, self._environ)
            return
        try:
            self._attempt(starter.ATTEMPT_SECONDS)
        except ConnectionLost as error:
            raise NotStarted(NO_ANSWER + error.message)

    def _attempt(self, timeout, waiting=None):
        # type: (float, Optional[Callable[[], object]]) -> None
        """Connect once; ConnectionLost if there is no daemon that takes requests."""
        self._dealer = dial(self._environ, timeout, waiting)
        try:
            header, lengths = _request("hello", {"client": self._name}, ())
            request = self._post("hello", header, (), lengths)
            self.daemon = self._result(request, None, timeout).header
            self._dealer.waiting = None
        except BaseException as error:
            self._disconnect()
            if isinstance(error, DaemonError) and error.code == STOPPING:
                raise ConnectionLost(error.message)
            if isinstance(error, DaemonError) and error.code == VERSION:
                raise other_version(read_connection(self._environ).version)
            raise

    def _ensure_connected(self):
        # type: () -> None
        """Connect again if the connection has ended while nothing was asked for."""
        if self._closed:
            raise ConnectionLost("this client is closed")
        try:
            self._open_dealer().poll()
        except ConnectionLost:
            idle = not self._unfinished
            self._disconnect()
            if not idle:
                raise
            self._connect()

    def _open_dealer(self):
        # type: () -> Dealer
        if self._dealer is None:
            raise ConnectionLost("there is no connection to the daemon")
        return self._dealer

    def _disconnect(self):
        # type: () -> None
        """Drop the connection; the daemon cancels what it has of ours."""
        if self._dealer is not None:
            self._dealer.close()
        self._dealer = None
        self._unfinished.clear()

    def _nonsense(self, what):
        # type: (str) -> ConnectionLost
        """Drop the connection and return the error that says why."""
        self._disconnect()
        return ConnectionLost("the daemon answers what was not asked for: %s" % what)

    def _post(self, verb, header, frames, lengths):
        # type: (str, Fields, Sequence[Data], Sequence[int]) -> bytes
        """Send a checked request as soon as there is room for it; return its id."""
        try:
            packed = pack(header)
        except ValueError as error:
            raise Malformed(MALFORMED, "%s: %s" % (verb, error))
        self._check_size(verb, len(packed), lengths)
        self._wait_for_room(verb, sum(lengths))
        self._number += 1
        request = struct.pack(str(">Q"), self._number)
        if not self._unfinished:
            self._silence = 0.0
        self._unfinished[request] = _Unfinished(verb, sum(lengths))
        try:
            self._open_dealer().send([request, packed] + list(frames))
        except BaseException:
            self._disconnect()
            raise
        return request

    # Limits

    def _limit(self, name):
        # type: (str) -> int
        """Return a limit of the daemon's; before `hello` nothing comes near one."""
        limits = self.daemon.get("limits", {"requests": 2})
        return int(limits.get(name, 1 << 16))

    def _check_size(self, verb, header_bytes, lengths):
        # type: (str, int, Sequence[int]) -> None
        """Refuse what the daemon would end the connection for, or could never take."""
        if header_bytes > self._limit("header_bytes"):
            raise Malformed(MALFORMED, "%s: the header has %d bytes" % (verb, header_bytes))
        if lengths and max(lengths) > self._limit("frame_bytes"):
            raise Malformed(
                MALFORMED,
                "%s: a data frame has %d bytes, the daemon takes %d: cut the picture into smaller "
                "strips" % (verb, max(lengths), self._limit("frame_bytes")),
            )
        if sum(lengths) > self._limit("window_bytes"):
            raise Malformed(
                MALFORMED,
                "%s: %d bytes of data, the daemon takes %d at a time"
                % (verb, sum(lengths), self._limit("window_bytes")),
            )
        if verb == "learn" and len(lengths) > self._limit("proxies"):
            raise Malformed(MALFORMED, "learn: more than %d proxies" % self._limit("proxies"))

    def _has_room(self, verb, data_bytes):
        # type: (str, int) -> bool
        """Tell whether there is room for a request; half of it is kept for those that steer."""
        requests = self._limit("requests")
        if verb not in _STEERING:
            requests = max(1, requests // 2)
        unfinished_bytes = sum(other.data_bytes for other in self._unfinished.values())
        fits = unfinished_bytes + data_bytes <= self._limit("window_bytes")
        return len(self._unfinished) < requests and fits

    def _wait_for_room(self, verb, data_bytes):
        # type: (str, int) -> None
        while not self._has_room(verb, data_bytes):
            answer = self._next(_WAIT_SECONDS)
            if answer is not None:
                self._inbox.append(answer)

    # Answers

    def _next(self, timeout):
        # type: (float) -> Optional[Answer]
        """Return an answer that just comes and that somebody wants; None if none does."""
        dealer = self._open_dealer()
        begun = clock()
        wait = min(timeout, _WAIT_SECONDS)
        try:
            message = dealer.receive(wait)
        except BaseException:
            self._disconnect()
            raise
        if message is not None:
            self._silence = 0.0
            return self._answer(message)
        # Not what a clock says, which jumps when the computer sleeps: what we have waited.
        self._silence += min(wait, clock() - begun)
        if self._unfinished and self._silence > SILENCE_SECONDS:
            self._disconnect()
            raise ConnectionLost("the daemon has said nothing for %d seconds" % SILENCE_SECONDS)
        return None

    def _answer(self, message):
        # type: (List[bytes]) -> Optional[Answer]
        """Check a message; None if nobody wants it any more."""
        request = message[0]
        unfinished = self._unfinished.get(request)
        if unfinished is None or len(message) < 2:
            raise self._nonsense("an unknown request")
        try:
            header = unpack(message[1])
            if not isinstance(header, dict):
                raise ValueError("the header is not a map")
            header = check_answer(unfinished.verb, header)
        except (ValueError, Malformed) as error:
            if isinstance(error, Malformed) and error.code == VERSION:
                self._disconnect()
                raise
            raise self._nonsense("%s: %s" % (unfinished.verb, error))
        if header["type"] != PROGRESS:
            del self._unfinished[request]
        return None if unfinished.abandoned else Answer(request, header, message[2:])

    def _result(self, request, on_progress, timeout=None):
        # type: (bytes, OnProgress, Optional[float]) -> Answer
        """Wait for a request's result, putting aside the answers to others."""
        deadline = None if timeout is None else clock() + timeout
        while True:
            answer = self._take(request)
            while answer is None:
                if deadline is not None and clock() > deadline:
                    raise ConnectionLost("the daemon does not answer")
                answer = self._next(_WAIT_SECONDS)
                if answer is not None and answer.request != request:
                    self._inbox.append(answer)
                    answer = None
            if answer.type == RESULT:
                return answer
            if answer.type == ERROR:
                raise DaemonError(answer.header["code"], answer.header["message"])
            if on_progress is not None:
                on_progress(answer.header)

    def _take(self, request):
        # type: (bytes) -> Optional[Answer]
        """Return a request's first answer among those put aside."""
        for answer in self._inbox:
            if answer.request == request:
                self._inbox.remove(answer)
                return answer
        return None

    def _abandon(self, requests):
        # type: (Iterable[bytes]) -> None
        """Cancel requests, and let their answers go by."""
        wanted = set(requests)
        kept = [answer for answer in self._inbox if answer.request not in wanted]
        self._inbox = collections.deque(kept)
        for request in wanted:
            unfinished = self._unfinished.get(request)
            if unfinished is None or unfinished.abandoned:
                continue
            unfinished.abandoned = True
            try:
                header, lengths = _request("cancel", {"request": request}, ())
                cancel = self._post("cancel", header, (), lengths)
            except DaemonError:  # nothing is left to cancel
                return
            self._unfinished[cancel].abandoned = True

    def _pipeline(self, verb, fields, strips, on_progress):
        # type: (str, Fields, Iterable[Strip], OnProgress) -> Iterator[Tuple[int, int, Answer]]
        """Send strips, several at a time; yield (first row, rows, result) in their order."""
        sent = collections.deque()  # type: Deque[Tuple[int, int, bytes]]
        source = iter(strips)
        strip = next(source, None)
        try:
            while strip is not None or sent:
                while strip is not None:
                    first_row, rows, pixels = strip
                    if sent and not self._has_room(verb, len(byte_view(pixels))):
                        break
                    request = self.send(verb, _strip_fields(fields, first_row, rows), [pixels])
                    sent.append((first_row, rows, request))
                    strip = next(source, None)
                first_row, rows, request = sent[0]
                answer = self._result(request, on_progress)
                sent.popleft()
                yield first_row, rows, answer
        finally:
            self._abandon(request for _, _, request in sent)


def _strip_fields(fields, first_row, rows):
    # type: (Fields, int, int) -> Fields
    """Return the fields of one strip, from those of the picture."""
    strip = dict(fields, rows=rows)
    if "picture" in fields:
        strip["first_row"] = first_row
    elif fields["place"] is not None:
        strip["place"] = dict(fields["place"], top=fields["place"]["top"] + first_row)
    return strip


def _request(verb, fields, frames):
    # type: (str, Fields, Sequence[Data]) -> Tuple[Fields, List[int]]
    """Check a request; return its header and the bytes of every data frame."""
    given = {name: fields[name] for name in fields if fields[name] is not None}
    checked = check(verb, dict(given, v=PROTOCOL))
    for name in given:
        if name not in checked:
            raise Malformed(MALFORMED, "%s: there is no field %s" % (verb, name))
    lengths = [len(byte_view(frame)) for frame in frames]
    check_frames(verb, checked, lengths)
    header = {name: checked[name] for name in given}
    header.update(v=PROTOCOL, verb=verb)
    return header, lengths
