"""Room on the disk, and the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from vae_balance.doctor import storage
from vae_balance.installation.places import Places

LOG = """\
2026-11-21 10:00:00,000 INFO version=0.1.0 pid=12 at tcp://127.0.0.1:4711
2026-11-21 10:00:01,000 INFO learn client='GIMP' model=embedded peak_mb=300 done
2026-11-21 10:00:02,000 INFO apply client='GIMP' peak_mb=300 cancelled: cancelled
"""
FAILED = "2026-11-21 10:00:02,000 INFO apply client='GIMP' peak_mb=300 memory: not enough memory"
REFUSED = "2026-11-21 10:00:02,500 INFO client='GIMP' learn refused: option: no such device"
ERROR = "2026-11-21 10:00:03,000 ERROR model 'mine': its files are damaged"


def test_room_enough_is_green(places: Places) -> None:
    line = storage.disk_finding(places)
    assert line.ok
    assert " MB free in " in line.finding


def test_a_full_disk_is_red(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 12_345_678

    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage)
    line = storage.disk_finding(places)
    assert line.finding.startswith("12 MB free in ")
    assert line.mend == "make room there, 300 MB at least"


def test_no_room_for_temporary_files_is_red(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> str:
        raise FileNotFoundError("No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("tempfile.gettempdir", full)
    line = storage.disk_finding(places)
    assert line.finding == "no folder for temporary files can be written to"
    assert line.mend == "make room, 300 MB at least, or set TMPDIR"


def test_a_log_without_errors_is_green(home: Path, places: Places) -> None:
    log = home / ".local/state/vae-balance/daemon.log"
    assert storage.log_finding(places).finding == f"{log}; no errors in it"
    log.write_text(LOG)
    assert storage.log_finding(places).finding == f"{log}; no errors in it"


@pytest.mark.parametrize("trouble", [FAILED, REFUSED, ERROR])
def test_the_last_error_of_the_log_is_told(home: Path, places: Places, trouble: str) -> None:
    log = home / ".local/state/vae-balance/daemon.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"{ERROR} before\n{LOG}{trouble}\n{LOG}")
    line = storage.log_finding(places)
    assert line.ok
    assert line.finding == f"{log}; last error: {trouble}"


def test_a_folder_that_cannot_be_written_to_is_red(home: Path, places: Places) -> None:
    state = home / ".local/state/vae-balance"
    state.parent.mkdir(parents=True)
    state.write_text("a file in the way")
    line = storage.log_finding(places)
    assert line.finding == f"{state} cannot be written to: File exists"
    assert line.mend == f"make that folder yours, or remove it: {state}"
