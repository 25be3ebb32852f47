"""Starting at login: the files and commands of each system, and the service command on this one."""

from __future__ import annotations

import plistlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from click.testing import Result
from programs import shell_script

from vae_balance.installation.login_start import LoginStart, login_start
from vae_balance.installation.places import Places
from vae_balance_protocol.places import wake_socket


def on_linux(python: str = "/home/anna/env/bin/python") -> LoginStart:
    return login_start(Places({"HOME": "/home/anna"}, "linux"), PurePosixPath(python), {}, 1000)


def test_linux_has_a_unit_of_the_user() -> None:
    start = on_linux()
    assert str(start.file) == "/home/anna/.config/systemd/user/vae-balance.service"
    unit = start.content.decode().splitlines()
    assert 'ExecStart="/home/anna/env/bin/python" "-m" "vae_balance" "serve"' in unit
    assert "WantedBy=default.target" in unit
    assert [" ".join(command.arguments) for command in start.install] == [
        "systemctl --user daemon-reload",
        "systemctl --user enable --now vae-balance.socket vae-balance.service",
    ]
    assert (
        " ".join(start.before_removal[0].arguments)
        == "systemctl --user disable --now vae-balance.socket vae-balance.service"
    )


def test_linux_has_a_socket_that_activates_the_unit_where_clients_knock() -> None:
    ((file, content),) = on_linux().beside
    assert str(file) == "/home/anna/.config/systemd/user/vae-balance.socket"
    socket_unit = content.decode().splitlines()
    assert f"ListenStream={wake_socket({'HOME': '/home/anna'}, 'linux')}" in socket_unit
    assert "SocketMode=0600" in socket_unit
    assert "WantedBy=sockets.target" in socket_unit
    unit = on_linux().content.decode().splitlines()
    assert {"Wants=vae-balance.socket", "After=vae-balance.socket"} < set(unit)


def test_a_state_folder_too_deep_for_a_socket_gets_a_unit_without() -> None:
    deep = f"/home/{'a' * 90}"
    start = login_start(Places({"HOME": deep}, "linux"), PurePosixPath("/usr/bin/python3"), {}, 1)
    assert start.beside == ()
    assert b".socket" not in start.content
    assert start.install[-1].arguments[-2:] == ("--now", "vae-balance.service")


def test_nothing_in_a_path_is_taken_for_systemds_own_signs() -> None:
    start = on_linux('/home/50% "off"/$HOME/py thon')
    assert rb'ExecStart="/home/50%% \"off\"/$$HOME/py thon" "-m"' in start.content


def test_macos_has_an_agent() -> None:
    places = Places({"HOME": "/Users/anna"}, "darwin")
    start = login_start(places, PurePosixPath("/Users/anna/env/bin/python"), {}, 501)
    assert str(start.file) == "/Users/anna/Library/LaunchAgents/io.github.vae-balance.daemon.plist"
    agent = plistlib.loads(start.content)
    assert agent["Label"] == "io.github.vae-balance.daemon"
    assert agent["ProgramArguments"] == [
        "/Users/anna/env/bin/python",
        "-m",
        "vae_balance",
        "serve",
    ]
    assert agent["RunAtLoad"] is True
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert start.install[-1].arguments == ("launchctl", "bootstrap", "gui/501", str(start.file))
    assert start.before_removal[0].arguments == (
        "launchctl",
        "bootout",
        "gui/501/io.github.vae-balance.daemon",
    )


def test_windows_has_a_task_of_the_user_without_a_console_and_without_rights() -> None:
    environ = {"USERPROFILE": r"C:\Users\A&B", "USERDOMAIN": "STUDIO", "USERNAME": "A&B"}
    python = PureWindowsPath(r"C:\Users\A&B\env\Scripts\python.exe")
    start = login_start(Places(environ, "win32"), python, environ, 0)
    task = ElementTree.fromstring(start.content.decode("utf-16").split("\n", 1)[1])
    name = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}

    def text(path: str) -> str | None:
        return task.findtext(path, namespaces=name)

    assert text("t:Triggers/t:LogonTrigger/t:UserId") == r"STUDIO\A&B"
    assert text("t:Principals/t:Principal/t:RunLevel") == "LeastPrivilege"
    assert text("t:Settings/t:ExecutionTimeLimit") == "PT0S"
    assert text("t:Actions/t:Exec/t:Command") == r"C:\Users\A&B\env\Scripts\pythonw.exe"
    assert text("t:Actions/t:Exec/t:Arguments") == "-m vae_balance serve"
    assert start.install[0].arguments == (
        *("schtasks", "/Create", "/TN", "VAE Balance"),
        *("/XML", r"C:\Users\A&B\AppData\Local\vae-balance\login-task.xml", "/F"),
    )
    assert start.before_removal[1].arguments == ("schtasks", "/Delete", "/TN", "VAE Balance", "/F")


@pytest.fixture
def systemctl(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a systemctl in place that notes what it is asked; return the note."""
    note = short_path / "asked"
    program = shell_script(short_path / "bin" / "systemctl", f'echo "$@" >> {note}')
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(short_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return note


def test_service_install_and_remove(
    run: Callable[..., Result], systemctl: Path, short_path: Path
) -> None:
    unit = short_path / ".config/systemd/user/vae-balance.service"
    result = run("service", "install")
    assert result.exit_code == 0
    assert result.output == f"the daemon is started at login: {unit}\n"
    assert unit.exists()
    assert unit.with_suffix(".socket").exists()
    assert run("service", "install").exit_code == 0  # twice is no harm
    result = run("service", "remove")
    assert result.output == f"the daemon is started at login no more; removed {unit}\n"
    assert not (short_path / ".config/systemd").exists()
    assert systemctl.read_text().splitlines()[-2:] == [
        "--user disable --now vae-balance.socket vae-balance.service",
        "--user daemon-reload",
    ]
    assert run("service", "remove").output == "the daemon is not started at login\n"


def test_a_system_that_refuses_is_told_with_its_reason_and_nothing_stays(
    run: Callable[..., Result], systemctl: Path, short_path: Path
) -> None:
    refusal = "echo 'Failed to connect to bus: No medium found' >&2; exit 1"
    shell_script(short_path / "bin/systemctl", refusal)
    result = run("service", "install")
    assert result.exit_code == 1
    assert "systemctl --user daemon-reload: Failed to connect to bus" in result.stderr
    assert "-m vae_balance serve" in result.stderr
    assert not (short_path / ".config/systemd").exists()


def test_a_system_without_systemd_is_told_so(
    run: Callable[..., Result], systemctl: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(short_path / "empty"))
    result = run("service", "install")
    assert result.exit_code == 1
    assert "systemctl --user daemon-reload: No such file or directory" in result.stderr
