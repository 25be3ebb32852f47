"""The report of a batch: one JSON line for every photo that was tried, and what resuming needs.

A run only ever appends, a line as soon as a photo is done or failed. So whatever ends a run, the
next one finds in the report what is done. Outputs that a killed run may have written without
telling are known from a file beside the report, which is there only while a run goes on.

Both are read line by line, and of a line little is kept, so that a report may have a million.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import filelock

from vae_balance.batch.outcome import DONE, PhotoOutcome
from vae_balance.errors import BalanceError
from vae_balance.files import atomic_write, cannot_be_written

REPORT_NAME = "vae-balance-report.jsonl"

_DIGEST_BYTES = 16
_NUMBER_BYTES = 4
_DONE_BYTES = 4 * _DIGEST_BYTES + _NUMBER_BYTES

# Tells which outputs, begun from now on, are made from which sources.
Begin = Callable[[Mapping[Path, Path]], None]


@dataclass(frozen=True)
class Stamp:
    """What tells a file from an earlier or later one of the same name."""

    bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str | Path) -> Stamp | None:
        """Return the stamp of a file, None if there is none."""
        try:
            status = os.stat(path)  # noqa: PTH116 - a million of them
        except OSError:
            return None
        return cls(status.st_size, status.st_mtime_ns)

    @classmethod
    def from_json(cls, values: dict[str, Any] | None) -> Stamp | None:
        """Return the stamp that `asdict` has made an object of JSON."""
        return None if values is None else cls(**values)


@dataclass(frozen=True, kw_only=True)
class Line(PhotoOutcome):
    """A line of the report.

    Attributes:
        source: absolute path of the photo.
        target: absolute path of its result.
        cube: absolute path of the file of its look, None if none was wanted.
        settings: all else that the result depends on.
        stamps: path -> stamp of the three files: of the source when the run began, of the others
            when the photo was done.
    """

    source: str
    target: str
    cube: str | None
    settings: dict[str, Any] = field(default_factory=dict)
    stamps: dict[str, Stamp | None] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: bytes) -> Line:
        """Return the line that `to_json` made a text of; any exception if it was not so."""
        values = json.loads(text)
        values["warnings"] = tuple(values.get("warnings", ()))
        values["stamps"] = {path: Stamp.from_json(s) for path, s in values["stamps"].items()}
        return cls(**values)

    def to_json(self) -> str:
        """Return the line as JSON, which begins with the source."""
        return json.dumps({"source": self.source, **asdict(self)})


@contextmanager
def held_report(path: Path) -> Iterator[Report]:
    """Yield a report that no other batch appends to until the block has ended.

    A second one would take a line that is being written for one that was cut off, and remove it.

    Raises:
        BalanceError: another batch has it; besides as `Report`.
    """
    if not path.parent.is_dir():
        raise BalanceError(
            f"{path}: cannot be written: there is no folder {path.parent}; create it first"
        )
    lock_path = path.with_name(f".{path.name}.lock")
    # A lock of the other kind, a file that is there, would outlive a batch that was killed.
    lock = filelock.FileLock(lock_path, timeout=0, fallback_to_soft=False)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        if lock_path.exists():  # else it could not be made
            raise BalanceError(
                f"{path}: another batch is writing this report: wait for it, or give another file "
                "with --report"
            ) from error
    except OSError:
        pass
    if not lock.is_locked:  # here nothing is locked; where nothing can be written, that is told
        yield Report(path)
        return
    try:
        yield Report(path)
    finally:
        with suppress(OSError):
            lock_path.unlink()  # as long as it is held, so that nobody gets a lock without a name
        lock.release()


class Report:
    """A report file, as it was when this was made, to append to.

    Args:
        path: of the report; it need not exist. If its last line was cut off, because the run was
            killed, appending removes what there is of it.

    Raises:
        BalanceError: the file cannot be read, or is something else than a report.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._torn_from: int | None = None
        # Output -> what it was made from and how it was left; for photos, what they depend on, too.
        self._made: dict[bytes, bytes] = {}
        self._settings: list[dict[str, Any]] = []
        for line in self._read():
            self._remember(line)
        self._begun_path = path.with_name(f".{path.name}.begun")
        self._begun = self._read_begun()

    def append(self, line: Line) -> None:
        """Add a line.

        Raises:
            BalanceError: the file cannot be written.
        """
        try:
            with self.path.open("ab") as file:
                if self._torn_from is not None:
                    file.truncate(self._torn_from)
                    self._torn_from = None
                file.write(f"{line.to_json()}\n".encode())
        except OSError as error:
            raise cannot_be_written(self.path, error) from error
        self._remember(line)

    def is_done(
        self, source: Path, target: Path, cube: Path | None, settings: Mapping[str, Any]
    ) -> bool:
        """Tell whether a photo was done with these settings, and its files are as they were."""
        made = self._made.get(path_digest(target), b"")
        if len(made) != _DONE_BYTES or self._settings[_number(made)] != settings:
            return False
        files = [path for path in (source, target, cube) if path is not None]
        stamps = [Stamp.of(path) for path in files]
        # A LUT file that nobody wants any more does not count.
        left = b"".join(map(_left, files, stamps))
        return None not in stamps and made[_DIGEST_BYTES:].startswith(left)

    def owner(self, output: Path) -> bytes | None:
        """Return the `path_digest` of the source that a file was made from.

        None if it is not as a run has left it.
        """
        made = self._made.get(path_digest(output))
        stamp = Stamp.of(output)
        if stamp is not None and made is not None and _left(output, stamp) == _left_of(made):
            return made[:_DIGEST_BYTES]
        begun = self._begun.get(str(output))
        if begun is None or not self._is_untold(str(output), begun[1]):
            return None
        return path_digest(begun[0])

    @contextmanager
    def begun(self) -> Iterator[Begin]:
        """Yield what remembers outputs that are being made, should this process be killed.

        If the block raises, they stay remembered.

        Raises:
            BalanceError: it cannot be written beside the report.
        """
        untold = {path: was for path, was in self._begun.items() if self._is_untold(path, was[1])}
        now: set[str] = set()
        with ExitStack() as stack:
            file: Any = None

            def begin(outputs: Mapping[Path, Path]) -> None:
                nonlocal file
                if file is None:
                    self._write_begun(untold)
                    file = self._begun_path.open("a", encoding="utf-8")
                    stack.callback(_close, file)
                for path, source in outputs.items():
                    # What was begun before and never told stays as it was before that.
                    if str(path) in untold:
                        now.add(str(path))
                    else:
                        file.write(_begun_line(str(path), str(source), Stamp.of(path)))
                file.flush()

            def begin_or_tell(outputs: Mapping[Path, Path]) -> None:
                try:
                    begin(outputs)
                except OSError as error:
                    raise cannot_be_written(self._begun_path, error) from error

            yield begin_or_tell
        others = {path: was for path, was in untold.items() if path not in now}
        self._begun = {path: was for path, was in others.items() if self._is_untold(path, was[1])}
        self._write_begun(self._begun)

    def _remember(self, line: Line) -> None:
        if line.outcome != DONE:
            return
        source = path_digest(line.source)
        files = (line.source, line.target, line.cube)
        left = [_left(path, line.stamps.get(path or "")) for path in files]
        number = self._number_of(line.settings).to_bytes(_NUMBER_BYTES, "little")
        self._made[path_digest(line.target)] = b"".join((source, *left, number))
        if line.cube is not None:
            self._made[path_digest(line.cube)] = source + left[2]

    def _number_of(self, settings: dict[str, Any]) -> int:
        """Return the place of settings among those that the report has."""
        if settings in self._settings[-1:]:  # as those of the line before, mostly
            return len(self._settings) - 1
        if settings not in self._settings:
            self._settings.append(settings)
        return self._settings.index(settings)

    def _is_untold(self, output: str, stamp: Stamp | None) -> bool:
        """Tell whether no line was added for an output since it was begun with a stamp."""
        made = self._made.get(path_digest(output))
        return made is None or _left_of(made) == _left(output, stamp)

    def _read(self) -> Iterator[Line]:
        size = 0
        for number, text in enumerate(_lines_of(self.path), 1):
            if not text.endswith(b"\n"):
                if not text.startswith(b'{"source": '[: len(text)]):
                    raise self._no_report(number)
                self._torn_from = size
                return
            try:
                yield Line.from_json(text)
            except Exception as error:
                raise self._no_report(number) from error
            size += len(text)

    def _no_report(self, number: int) -> BalanceError:
        return BalanceError(
            f"{self.path}:{number}: not a line of a report: give another file with --report"
        )

    def _read_begun(self) -> dict[str, tuple[str, Stamp | None]]:
        """Return what was begun and never told: output -> its source, and its stamp before."""
        begun = {}
        for text in _lines_of(self._begun_path):
            try:
                entries = json.loads(text)
                for path, (source, values) in entries.items():
                    stamp = Stamp.from_json(values)
                    if self._is_untold(path, stamp):
                        begun[path] = source, stamp
            except (ValueError, TypeError, AttributeError) as error:
                if not text.endswith(b"\n"):  # cut off: what it tells of was never begun
                    break
                raise BalanceError(f"{self._begun_path}: is damaged: remove it") from error
        return begun

    def _write_begun(self, entries: dict[str, tuple[str, Stamp | None]]) -> None:
        if not entries:
            self._begun_path.unlink(missing_ok=True)
            return
        with atomic_write(self._begun_path, overwrite=True) as temporary:
            lines = (_begun_line(path, *was) for path, was in entries.items())
            temporary.write_text("".join(lines), encoding="utf-8")


def path_digest(path: str | Path) -> bytes:
    """Return 16 bytes that stand for a path."""
    return _digest(str(path))


def _digest(text: str) -> bytes:
    content = text.encode("utf-8", "surrogateescape")
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def _left(path: str | Path | None, stamp: Stamp | None) -> bytes:
    """Return what stands for a file as it is or was left."""
    return _digest(f"{path}\0{stamp and (stamp.bytes, stamp.mtime_ns)}")


def _left_of(made: bytes) -> bytes:
    """Return how an output was left, of what is kept of it."""
    photo = len(made) == _DONE_BYTES
    return made[2 * _DIGEST_BYTES : 3 * _DIGEST_BYTES] if photo else made[_DIGEST_BYTES:]


def _number(made: bytes) -> int:
    return int.from_bytes(made[-_NUMBER_BYTES:], "little")


def _begun_line(path: str, source: str, stamp: Stamp | None) -> str:
    return json.dumps({path: (source, stamp and asdict(stamp))}) + "\n"


def _close(file: IO[str]) -> None:
    with suppress(OSError):  # what did not fit on the disk when it was flushed, and told
        file.close()


def _lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, none if there is none."""
    try:
        with path.open("rb") as file:
            yield from file
    except FileNotFoundError:
        return
    except OSError as error:
        raise BalanceError(f"{path}: cannot be read: {error.strerror}") from error
