"""Starting the daemon: which command, how it is waited for, and what is said when it fails."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vae_balance_protocol import PROTOCOL, NotStarted, places, starter
from vae_balance_protocol.client import Client

HERE = Path(__file__).parent
COMMAND = [sys.executable, str(HERE / "fake_daemon.py")]
MOST_WAITS = 4000  # some minutes


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return an environment of its own for a daemon; what was started in it is ended."""
    paths = [str(HERE), str(HERE.parents[1] / "shared")]
    yield {
        **os.environ,
        "VAE_BALANCE_STATE": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PYTHONPATH": os.pathsep.join(paths),
    }
    for pid, _ in starts(tmp_path / "state"):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def starts(state: Path) -> list[tuple[int, int]]:
    """Return pid and session of each daemon that was started."""
    path = state / "starts"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(pid), int(session)) for pid, session in map(str.split, lines)]


def test_clients_that_start_it_at_the_same_instant_find_one_daemon(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    processes: list[subprocess.Popen[bytes]] = []
    start_daemon = starter.start_daemon

    def start(*arguments: Any) -> subprocess.Popen[bytes]:
        processes.append(start_daemon(*arguments))
        return processes[-1]

    def pid(name: str) -> int:
        with Client.connect(name, COMMAND, environ=environ) as client:
            return int(client.daemon["pid"])

    monkeypatch.setattr(starter, "start_daemon", start)
    with ThreadPoolExecutor(4) as clients:
        pids = set(clients.map(pid, "abcd"))
    assert len(pids) == 1
    while sum(process.returncode is None for process in processes) > 1:
        time.sleep(0.01)  # a late one must not become the daemon after the shutdown
    assert {process.returncode for process in processes} <= {None, 0}
    assert pids <= {process.pid for process in processes}
    with Client.connect("last", start=False, environ=environ) as client:
        client.shutdown()


def test_it_outlives_the_client_and_its_terminal(environ: dict[str, str], tmp_path: Path) -> None:
    with Client.connect("tests", COMMAND, environ=environ):
        pass
    ((pid, session),) = starts(tmp_path / "state")
    assert session == pid
    with Client.connect("tests", start=False, environ=environ) as client:
        assert client.daemon["pid"] == pid
        client.shutdown()


def test_a_stale_connection_file_does_not_matter(environ: dict[str, str]) -> None:
    with Client.connect("tests", COMMAND, environ=environ) as client:
        os.kill(client.daemon["pid"], signal.SIGKILL)
        killed = client.daemon["pid"]
    with Client.connect("tests", COMMAND, environ=environ) as client:
        assert client.daemon["pid"] != killed
        client.shutdown()


def test_a_daemon_that_just_ends_is_waited_for_and_another_started(
    environ: dict[str, str], tmp_path: Path
) -> None:
    state = Path(places.state_folder(environ))
    holder = (
        "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(); "
        "input()"
    )
    state.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", holder, places.lock_file(environ)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as ending:
        assert ending.stdout is not None and ending.stdin is not None
        ending.stdout.readline()

        def waiting(text: str) -> None:
            if "another one runs" in Path(places.log_file(environ)).read_text():
                ending.kill()

        with Client.connect("tests", COMMAND, waiting=waiting, environ=environ) as client:
            assert len(starts(state)) == 2
            client.shutdown()


def test_the_waiting_ends_in_time_with_the_log(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    now = 0.0

    def wait(text: str) -> None:
        nonlocal now
        told.append(text)
        # A machine that stalls may need long to start a program: time passes once it has spoken.
        if starter.log_tail(environ) or len(told) > MOST_WAITS:
            now += 1.0

    environ["FAKE_DAEMON"] = "silent"
    monkeypatch.setattr(starter, "clock", lambda: now)
    with pytest.raises(NotStarted) as raised:
        Client.connect("tests", COMMAND, timeout=1.5, waiting=wait, environ=environ)
    assert "no answer within 1 seconds: no daemon runs; its log ends:\nfake daemon: silent" in str(
        raised.value
    )
    assert sorted(set(told)) == [f"Starting VAE Balance's daemon: {n} s" for n in (0, 1)]


def test_a_command_that_ends_well_and_starts_nothing_is_told_soon(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starter, "_SIGN_SECONDS", 1.0)
    begun = time.monotonic()
    with pytest.raises(NotStarted, match="true ends without starting it: no daemon runs"):
        Client.connect("tests", ["true"], environ=environ)
    assert time.monotonic() - begun < 30


def test_a_daemon_that_is_stopped_is_told_soon(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starter, "ATTEMPT_SECONDS", 1.0)
    with Client.connect("tests", COMMAND, environ=environ) as client:
        pid = client.daemon["pid"]
    Path(places.lock_file(environ)).write_text(f"{pid}\n")
    os.kill(pid, signal.SIGSTOP)
    try:
        while Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
            time.sleep(0.01)  # on a busy machine it answers once more
        with pytest.raises(NotStarted, match=rf"does not answer: end it \(pid {pid}\)"):
            Client.connect("tests", ["true"], environ=environ)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_full_disk_is_told(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(number: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(NotStarted, match=r"nothing can be written to .*: No space left on device"):
        Client.connect("tests", ["sh", "-c", "exit 120"], environ=environ)


def test_the_waiting_can_be_given_up(environ: dict[str, str], tmp_path: Path) -> None:
    def give_up(text: str) -> None:
        if starts(tmp_path / "state"):
            raise KeyboardInterrupt

    environ["FAKE_DAEMON"] = "silent"
    with pytest.raises(KeyboardInterrupt):
        Client.connect("tests", COMMAND, timeout=600.0, waiting=give_up, environ=environ)


@pytest.mark.parametrize("said", [b"", b"\xff" + b"\0" * 8 + b"\x7f\x03\x01PLAIN" + b"\0" * 47])
def test_the_waiting_for_one_that_says_nothing_can_be_given_up(
    environ: dict[str, str], said: bytes
) -> None:
    def give_up(text: str) -> None:
        raise KeyboardInterrupt

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as other:
        content = {
            "endpoint": f"tcp://127.0.0.1:{listener.getsockname()[1]}",
            "token": "ab" * 32,
            "pid": os.getpid(),
            "version": "1",
            "protocol": PROTOCOL,
        }
        path = Path(places.connection_file(environ))
        path.parent.mkdir()
        path.write_text(json.dumps(content))
        accepted = other.submit(listener.accept)
        other.submit(lambda: accepted.result()[0].sendall(said))
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            Client.connect("tests", ["true"], waiting=give_up, environ=environ)
        assert time.monotonic() - begun < 0.8 * starter.ATTEMPT_SECONDS
        accepted.result()[0].close()


def test_only_the_log_s_new_lines_are_shown_and_the_last_ten(environ: dict[str, str]) -> None:
    log = Path(places.log_file(environ))
    log.parent.mkdir(parents=True)
    log.write_text("of yesterday\n")
    shell = 'i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo "line $i" >&2; done; exit 4'
    with pytest.raises(NotStarted) as raised:
        Client.connect("tests", ["sh", "-c", shell], environ=environ)
    assert raised.value.log.splitlines() == [f"line {i}" for i in range(11, 21)]
    assert "it ended with status 4; its log ends:\nline 11\n" in str(raised.value)


def test_a_command_that_is_not_there(environ: dict[str, str], tmp_path: Path) -> None:
    missing = str(tmp_path / "vae-balance")
    with pytest.raises(NotStarted, match=f"cannot start {missing}: No such file"):
        Client.connect("tests", [missing], environ=environ)


def test_a_state_folder_that_cannot_be_made(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    environ["VAE_BALANCE_STATE"] = str(tmp_path / "file" / "state")
    told = f"nothing can be written to {tmp_path / 'file' / 'state'}: Not a directory; set VAE_"
    with pytest.raises(NotStarted, match=told):
        Client.connect("tests", COMMAND, environ=environ)


def test_the_log_is_private(environ: dict[str, str], tmp_path: Path) -> None:
    environ["FAKE_DAEMON"] = "crash"
    with pytest.raises(NotStarted):
        Client.connect("tests", COMMAND, environ=environ)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert Path(places.log_file(environ)).stat().st_mode & 0o777 == 0o600


def test_relative_paths_mean_the_same_to_the_daemon(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(HERE.parents[1])
    environ["PYTHONPATH"] = os.pathsep.join(["shared", "tests/protocol"])
    environ["VAE_BALANCE_STATE"] = os.path.relpath(tmp_path / "state")
    with Client.connect("tests", COMMAND, environ=environ) as client:
        client.shutdown()
    assert f"in {tmp_path / 'state'}" in (tmp_path / "state" / "daemon.log").read_text()


def test_another_python_does_not_get_what_gimp_sets_for_its_own(environ: dict[str, str]) -> None:
    gimp = {"PYTHONHOME": "/of/another/python", "PYTHONPATH": str(HERE / "of another python")}
    script = 'test -z "$PYTHONHOME$PYTHONPATH" && PYTHONPATH=$0 exec "$@"'
    command = ["sh", "-c", script, environ["PYTHONPATH"], *COMMAND]
    with Client.connect("tests", command, environ={**environ, **gimp}) as client:
        client.shutdown()


# Which command


def write_client_json(environ: dict[str, str], content: object) -> Path:
    path = Path(places.config_folder(environ)) / "client.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    return path


def test_the_environment_names_the_command(environ: dict[str, str]) -> None:
    write_client_json(environ, {"command": ["/usr/bin/other"]})
    environ["VAE_BALANCE_COMMAND"] = "/opt/vae balance/vae-balance"
    assert starter.find_command(environ) == ["/opt/vae balance/vae-balance"]
    environ["VAE_BALANCE_COMMAND"] = '["/opt/python", "-m", "vae_balance"]'
    assert starter.find_command(environ) == ["/opt/python", "-m", "vae_balance"]
    environ["VAE_BALANCE_COMMAND"] = "bin/vae-balance"
    assert starter.find_command(environ) == [str(Path("bin/vae-balance").absolute())]
    environ["VAE_BALANCE_COMMAND"] = "vae-balance"
    assert starter.find_command(environ) == ["vae-balance"]


def test_client_json_names_the_command(environ: dict[str, str]) -> None:
    write_client_json(environ, {"command": ["/opt/vae-balance", "--verbose"], "more": 1})
    assert starter.find_command(environ) == ["/opt/vae-balance", "--verbose"]


def test_the_package_of_this_python_is_run(environ: dict[str, str]) -> None:
    assert starter.find_command(environ) == [sys.executable, "-m", "vae_balance"]


def test_the_program_of_the_path_is_run(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))  # too old for the daemon
    program = tmp_path / "bin" / "vae-balance"
    program.parent.mkdir()
    program.write_text("")
    environ["PATH"] = os.pathsep.join(["", str(tmp_path), str(program.parent)])
    with pytest.raises(NotStarted, match="install it, or set VAE_BALANCE_COMMAND"):
        starter.find_command(environ)
    program.chmod(0o755)
    assert starter.find_command(environ) == [str(program)]


@pytest.mark.parametrize("command", [[], "vae-balance", ["a", 1], ["a", ""], None, {}])
def test_a_command_must_be_a_list_of_strings(environ: dict[str, str], command: object) -> None:
    path = write_client_json(environ, {"command": command})
    with pytest.raises(NotStarted, match=f"{path}: the command must be a list such as"):
        starter.find_command(environ)
    environ["VAE_BALANCE_COMMAND"] = "[" + json.dumps(command)
    with pytest.raises(NotStarted, match="VAE_BALANCE_COMMAND: the command must be a list"):
        starter.find_command(environ)


def test_a_damaged_client_json_is_named(environ: dict[str, str]) -> None:
    path = write_client_json(environ, [])
    with pytest.raises(NotStarted, match="the command must be a list"):
        starter.find_command(environ)
    path.write_text("{")
    with pytest.raises(NotStarted, match=f"cannot read {path}: "):
        starter.find_command(environ)
