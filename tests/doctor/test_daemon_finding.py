"""The daemon: each way in which it cannot be reached, and what mends it."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from programs import shell_script

from vae_balance import __version__
from vae_balance.doctor import running_daemon, trial
from vae_balance.doctor.running_daemon import daemon_finding
from vae_balance_protocol.client import Client

STOP = "vae-balance stop; the next client starts it anew"


@pytest.fixture
def state(home: Path) -> Path:
    folder = home / ".local/state/vae-balance"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def deaf() -> Iterator[int]:
    """Return a port where somebody listens who never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def connection_file(state: Path, port: int, **changes: object) -> Path:
    content = {
        "endpoint": f"tcp://127.0.0.1:{port}",
        "token": "5" * 64,
        "pid": 1,
        "version": "0.0.9",
        "protocol": 1,
        **changes,
    }
    file = state / "daemon.json"
    file.write_text(json.dumps(content))
    file.chmod(0o600)
    return file


def command(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    """Let clients start a script instead of the daemon."""
    monkeypatch.setenv("VAE_BALANCE_COMMAND", str(shell_script(folder / "program", text)))


def test_the_daemon_is_started_and_answers(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VAE_BALANCE_COMMAND", json.dumps([sys.executable, "-m", "vae_balance"]))
    monkeypatch.setenv("VAE_BALANCE_DEVICE", "cpu")
    line = daemon_finding()
    assert line.ok, line
    assert line.finding.startswith(f"version {__version__} answers, pid ")
    photo = trial.photo_finding(tmp_path / "check")
    assert photo.ok, photo
    assert "on cpu" in photo.finding and "before-after.png, look.cube" in photo.finding
    assert sorted(path.name for path in (tmp_path / "check").iterdir()) == [
        "after.png",
        "before-after.png",
        "before.png",
        "look.cube",
    ]


def test_one_that_ends_at_once_is_red_with_the_end_of_its_log(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(monkeypatch, state, "echo 'OSError: no space left on device'; exit 1")
    line = daemon_finding()
    assert line.finding == (
        "VAE Balance's daemon could not be started: it ended with status 1; "
        "its log ends: OSError: no space left on device"
    )
    assert line.mend == "vae-balance stop; then vae-balance serve, which tells more"
    photo = trial.photo_finding(state / "check")
    assert photo.finding.startswith("VAE Balance's daemon could not be started")
    assert photo.mend == "mend what is red above; if nothing is, see the log"


def test_one_that_does_not_answer_is_red(
    state: Path, deaf: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_daemon, "_START_SECONDS", 1.0)
    connection_file(state, deaf)
    command(monkeypatch, state, "exit 0")  # as one does that finds another running
    line = daemon_finding()
    assert "no answer within 1 seconds" in line.finding
    assert line.mend == "vae-balance stop; then vae-balance serve, which tells more"


def test_one_of_another_version_is_red(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    connection_file(state, 4711)

    old = SimpleNamespace(daemon={"version": "0.0.9", "pid": 12, "device": "cpu"})
    monkeypatch.setattr(Client, "connect", lambda *arguments, **options: nullcontext(old))
    line = daemon_finding()
    assert line.finding == f"version 0.0.9 runs, pid 12, port 4711; this is {__version__}"
    assert line.mend == STOP


def test_one_of_another_protocol_is_red(
    state: Path, deaf: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vae_balance_protocol import connection

    class Mute:
        def __init__(self, *arguments: object) -> None:
            pass

        def close(self) -> None:
            pass

    monkeypatch.setattr(connection, "Dealer", Mute)
    connection_file(state, deaf, protocol=99)
    line = daemon_finding()
    assert "(version 0.0.9) and this program do not understand each other" in line.finding
    assert line.mend == STOP


def test_a_token_that_others_can_read_is_red(state: Path) -> None:
    file = connection_file(state, 4711)
    file.chmod(0o644)
    line = daemon_finding()
    assert line.finding == f"{file}, which holds the token, can be read by others"
    assert line.mend == f"chmod 600 {file}; then {STOP}"


def test_a_token_that_cannot_be_read_is_red(state: Path) -> None:
    file = state / "daemon.json"
    file.mkdir()  # what even root cannot read as a file
    line = daemon_finding()
    assert line.finding == f"{file}, which holds the token, cannot be read: Is a directory"
    assert line.mend == f"make it yours again, or remove it: {file}"
