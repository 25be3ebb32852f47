"""What a client makes of what the daemon tells of a batch."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import pytest

from vae_balance.batch.plan import Planned, Request, State
from vae_balance.batch.report import Line, Report
from vae_balance.batch.request import run_request
from vae_balance_protocol import DaemonError
from vae_balance_protocol.client import Answer

ID = b"12345678"


class Daemon:
    """Answers a request with headers that were given, one after the other."""

    def __init__(self, *headers: dict[str, Any] | None) -> None:
        self.fields: dict[str, Any] = {}
        self.cancelled: list[bytes] = []
        self._headers = deque(headers)

    def send(self, verb: str, fields: dict[str, Any]) -> bytes:
        assert verb == "batch"
        self.fields = fields
        return ID

    def receive(self, timeout: float) -> Answer | None:
        header = self._headers.popleft()
        return None if header is None else Answer(ID, header, [])

    def cancel(self, request: bytes) -> bool:
        self.cancelled.append(request)
        return True


def done(number: int, **more: object) -> dict[str, Any]:
    """Return the header that tells of a photo."""
    return {
        **{"type": "progress", "stage": "photo", "done": 1, "total": 2, "photo": number},
        **{"outcome": "done", "code": "", "message": "", "look": "12ab", "device": "cpu"},
        **{"width": 3, "height": 2, "seconds": {"read": 0.12345678}, "warnings": ()},
        **more,
    }


RESULT = {"type": "result", "done": 2, "failed": 0}


def photos(folder: Path, *states: State) -> list[Planned]:
    cube = folder / "roll.cube"
    return [
        Planned(folder / f"{i}.jpg", folder / "out" / f"{i}.jpg", cube, state, None)
        for i, state in enumerate(states)
    ]


def run(
    folder: Path,
    daemon: Daemon,
    *states: State,
    roll: bool = False,
    overwrite: bool = False,
    interrupted: bool = False,
) -> list[Line]:
    """Return the lines that a request gives; the same must be in the report."""
    report = Report(folder / "report.jsonl")
    request = Request(photos(folder, *states), overwrite)
    fields, settings = {"roll": roll, "proxy": "centre"}, {"seed": None}
    told = run_request(daemon, request, fields, settings, report, lambda: interrupted)  # type: ignore[arg-type]
    lines = [line for _, line in told]
    path = folder / "report.jsonl"
    kept = path.read_bytes().splitlines() if path.exists() else []
    assert [Line.from_json(text) for text in kept] == lines
    return lines


def test_photos_are_yielded_as_the_daemon_tells_of_them(tmp_path: Path) -> None:
    queued = {"type": "progress", "stage": "queued", "done": 0, "total": 2}
    repeated = {"type": "progress", "stage": "photo", "done": 1, "total": 2}
    daemon = Daemon(queued, None, done(1), repeated, queued, done(0), repeated, RESULT)
    lines = run(tmp_path, daemon, State.NEW, State.NEW)
    assert [Path(line.source).name for line in lines] == ["1.jpg", "0.jpg"]
    assert lines[0].seconds == {"read": 0.1235}


def test_an_interruption_is_passed_on_once_and_keeps_what_is_done(tmp_path: Path) -> None:
    cancelled = {"type": "error", "code": "cancelled", "message": "cancelled"}
    daemon = Daemon(done(0), None, cancelled)
    assert len(run(tmp_path, daemon, State.NEW, State.NEW, interrupted=True)) == 1
    assert daemon.cancelled == [ID]


@pytest.mark.parametrize("interrupted", [False, True])
def test_other_errors_are_raised(tmp_path: Path, interrupted: bool) -> None:
    daemon = Daemon({"type": "error", "code": "model", "message": "no such model"})
    with pytest.raises(DaemonError, match="no such model"):
        run(tmp_path, daemon, State.NEW, interrupted=interrupted)


def test_a_roll_that_goes_on_keeps_what_is_done_and_its_cube(tmp_path: Path) -> None:
    exists = done(0, outcome="failed", code="output-exists", message="exists")
    daemon = Daemon(exists, done(1), RESULT)
    lines = run(tmp_path, daemon, State.DONE, State.NEW, roll=True)
    assert [Path(line.source).name for line in lines] == ["1.jpg"]
    assert lines[0].cube == str(tmp_path / "roll.cube")
    assert [cube for _, _, cube in daemon.fields["photos"]] == [None, None]


def test_a_roll_that_begins_writes_its_cube(tmp_path: Path) -> None:
    daemon = Daemon(done(0), done(1), RESULT)
    run(tmp_path, daemon, State.DONE, State.OURS, roll=True, overwrite=True)
    assert [cube for _, _, cube in daemon.fields["photos"]] == [str(tmp_path / "roll.cube")] * 2


def test_an_output_that_appears_meanwhile_is_a_failure(tmp_path: Path) -> None:
    exists = done(0, outcome="failed", code="output-exists", message="a.jpg: exists")
    (line,) = run(tmp_path, Daemon(exists, RESULT), State.NEW)
    assert (line.outcome, line.code, line.message) == ("failed", "output-exists", "a.jpg: exists")
