"""The report of a batch: one JSON line for every photo that was tried, and what resuming needs.

A run only ever appends, a line as soon as a photo is done or failed. So whatever ends a run, the
next one finds in the report what is done. Outputs that a killed run may have written without
telling are known from a small file beside the report, which is there only while a run goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vae_balance.batch.outcome import DONE, PhotoOutcome
from vae_balance.errors import BalanceError
from vae_balance.files import atomic_write

REPORT_NAME = "vae-balance-report.jsonl"


@dataclass(frozen=True)
class Stamp:
    """What tells a file from an earlier or later one of the same name."""

    bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str | Path) -> Stamp | None:
        """Return the stamp of a file, None if there is none."""
        try:
            status = Path(path).stat()
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

    def is_unchanged(self, *paths: Path) -> bool:
        """Tell whether these files are there, as they were then."""
        stamps = [Stamp.of(path) for path in paths]
        return None not in stamps and stamps == [self.stamps.get(str(path)) for path in paths]


class Report:
    """A report file, as it was when this was made, to append to.

    Attributes:
        done: target -> the last line that says it is done.

    Args:
        path: of the report; it need not exist. If its last line was cut off, because the run was
            killed, appending removes what there is of it.

    Raises:
        BalanceError: the file cannot be read, or is something else than a report.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[str, Line] = {}
        self._torn_from: int | None = None
        self._owners: dict[str, tuple[str, Stamp | None]] = {}
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
            raise BalanceError(f"{self.path}: cannot be written: {error.strerror}") from error
        self._remember(line)

    def owner(self, output: Path) -> str | None:
        """Return the source that a file was made from; None if it is not as a run has left it."""
        stamp = Stamp.of(output)
        source, written = self._owners.get(str(output), (None, None))
        if stamp is not None and stamp == written:
            return source
        return self._begun[str(output)][0] if self._is_untold(str(output)) else None

    @contextmanager
    def begun(self, outputs: Mapping[Path, Path]) -> Iterator[None]:
        """Remember which outputs are being made from which sources, should this process be killed.

        If the block raises, they stay remembered.

        Raises:
            BalanceError: it cannot be written beside the report.
        """
        now = {str(path): (str(source), Stamp.of(path)) for path, source in outputs.items()}
        untold = {path: was for path, was in self._begun.items() if self._is_untold(path)}
        self._write_begun({**now, **untold})
        yield
        others = {path: was for path, was in untold.items() if path not in now}
        self._write_begun({path: was for path, was in others.items() if self._is_untold(path)})

    def _remember(self, line: Line) -> None:
        if line.outcome != DONE:
            return
        self.done[line.target] = line
        for output in (line.target, line.cube):
            if output is not None:
                self._owners[output] = (line.source, line.stamps.get(output))

    def _is_untold(self, output: str) -> bool:
        """Tell whether an output was begun, and no line was added for it since."""
        if output not in self._begun:
            return False
        stamp = self._begun[output][1]
        return self._owners.get(output, ("", stamp))[1] == stamp

    def _read(self) -> Iterable[Line]:
        lines = _bytes_of(self.path).split(b"\n")
        torn = lines.pop()  # b"" if the last line is whole
        for number, text in enumerate(lines, 1):
            try:
                yield Line.from_json(text)
            except Exception as error:
                raise self._no_report(number) from error
        if torn:
            if not torn.startswith(b'{"source": '[: len(torn)]):
                raise self._no_report(len(lines) + 1)
            self._torn_from = sum(len(line) + 1 for line in lines)

    def _no_report(self, number: int) -> BalanceError:
        return BalanceError(
            f"{self.path}:{number}: not a line of a report: give another file with --report"
        )

    def _read_begun(self) -> dict[str, tuple[str, Stamp | None]]:
        try:
            entries = json.loads(_bytes_of(self._begun_path) or b"{}")
            return {path: (source, Stamp.from_json(s)) for path, (source, s) in entries.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise BalanceError(f"{self._begun_path}: is damaged: remove it") from error

    def _write_begun(self, entries: dict[str, tuple[str, Stamp | None]]) -> None:
        self._begun = entries
        if not entries:
            self._begun_path.unlink(missing_ok=True)
            return
        values = {path: (source, s and asdict(s)) for path, (source, s) in entries.items()}
        with atomic_write(self._begun_path, overwrite=True) as temporary:
            temporary.write_text(json.dumps(values), encoding="utf-8")


def _bytes_of(path: Path) -> bytes:
    """Return what is in a file, nothing if there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise BalanceError(f"{path}: cannot be read: {error.strerror}") from error
