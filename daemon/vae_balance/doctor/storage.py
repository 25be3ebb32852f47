"""Room on the disks, and the logs."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from vae_balance.doctor.finding import Finding
from vae_balance.installation.places import Places
from vae_balance_protocol import messages
from vae_balance_protocol import places as protocol_places

# Enough for the log, looks and a strip or two; photos need more, and their errors say so.
NEEDED_MB = 300
# How the log tells that something went wrong: by its level, or by the code at a job's end.
_HARMLESS = (messages.CANCELLED, messages.STOPPING, messages.BUSY)
_CODES = "|".join(code for code in messages.CODES if code not in _HARMLESS)
_TROUBLE = re.compile(rf"^\S+ \S+ (?:ERROR|CRITICAL) |^\S+ \S+ INFO .* (?:{_CODES}): ")
_LOG_TAIL_BYTES = 64 * 1024
_SHOWN = 160


def disk_finding(places: Places) -> Finding:
    """Look at the room where the program, its log and temporary files lie."""
    try:
        temporary = tempfile.gettempdir()
    except OSError:  # it tries to write
        finding = "no folder for temporary files can be written to"
        return Finding("disk", finding, f"make room, {NEEDED_MB} MB at least, or set TMPDIR")
    folders = (Path(places.data), Path(places.state), Path(temporary))
    free = {_existing(folder): 0 for folder in folders}
    for folder in free:
        free[folder] = shutil.disk_usage(folder).free // 1_000_000
    folder, least = min(free.items(), key=lambda item: item[1])
    finding = f"{least:,} MB free in {folder}".replace(",", " ")
    if least < NEEDED_MB:
        return Finding("disk", finding, f"make room there, {NEEDED_MB} MB at least")
    return Finding("disk", finding)


def log_finding(places: Places) -> Finding:
    """Look at the folder of the logs, and at the last trouble that the daemon's log tells of."""
    state = Path(places.state)
    log = Path(protocol_places.log_file())
    try:
        state.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=state):
            pass
    except OSError as error:
        finding = f"{state} cannot be written to: {error.strerror}"
        return Finding("log", finding, f"make that folder yours, or remove it: {state}")
    installed = f", {places.install_log.name}" if Path(places.install_log).exists() else ""
    trouble = _last_trouble(log)
    return Finding("log", f"{log}{installed}; {trouble or 'no errors in it'}")


def _last_trouble(log: Path) -> str:
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _LOG_TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    troubles = [line for line in lines if _TROUBLE.search(line)]
    return f"last error: {troubles[-1][:_SHOWN]}" if troubles else ""


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
