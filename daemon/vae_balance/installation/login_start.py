"""Starting the daemon at login: what each system wants to be told, and by which commands.

On Linux it is a systemd user unit and a socket unit that activates it. The daemon takes a new port
and token at each start, so that systemd cannot listen there beforehand; it listens in the state
folder, where clients knock when no daemon answers. A GIMP in a sandbox, which cannot start programs
outside of it, gets a daemon so even after the one of the login was stopped.
"""

from __future__ import annotations

import os
import plistlib
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from xml.sax.saxutils import escape

from vae_balance.installation.places import LINUX, MACOS, SERVICE_LABEL, Places

UNIT = "vae-balance.service"
SOCKET_UNIT = "vae-balance.socket"
TASK = "VAE Balance"
_SERVE = ("-m", "vae_balance", "serve")
# Of the path of a socket, unix(7).
_LONGEST_SOCKET_PATH = 107


class LoginStartError(Exception):
    """The system does not take it; the message says which command failed and why."""


@dataclass(frozen=True)
class Command:
    """A command of the system.

    Attributes:
        arguments: the program and its arguments.
        may_fail: whether it may have nothing to do.
    """

    arguments: tuple[str, ...]
    may_fail: bool = False


@dataclass(frozen=True)
class LoginStart:
    """How the daemon is started at login on one system.

    Attributes:
        file: what is written; it stays as long as the daemon is to be started.
        content: of the file.
        install: commands to run when the file is there.
        before_removal: commands to run while the file is still there.
        after_removal: commands to run when it is gone.
        folders: are removed with the file when they are empty.
        beside: further files, and their content.
    """

    file: PurePath
    content: bytes
    install: tuple[Command, ...]
    before_removal: tuple[Command, ...]
    after_removal: tuple[Command, ...] = ()
    folders: tuple[PurePath, ...] = ()
    beside: tuple[tuple[PurePath, bytes], ...] = ()


def login_start(
    places: Places, python: PurePath, environ: Mapping[str, str], user_id: int
) -> LoginStart:
    """Return how the daemon is started at login.

    Args:
        places: of the user and system.
        python: the Python of the daemon.
        environ: the environment; Windows has the user's name there.
        user_id: of the user; Windows has none.
    """
    if places.platform == LINUX:
        return _systemd(places, python)
    if places.platform == MACOS:
        return _launchd(places, python, user_id)
    return _task_scheduler(places, python, environ)


def switch_on(start: LoginStart) -> None:
    """Let the daemon be started at login, and start it now.

    Raises:
        OSError: the file cannot be written.
        LoginStartError: the system refuses; the file is gone again.
    """
    for file, content in ((start.file, start.content), *start.beside):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_bytes(content)
    try:
        _run_all(start.install)
    except LoginStartError:
        switch_off(start)
        raise


def switch_off(start: LoginStart) -> bool:
    """Let the daemon be started at login no more, and end the one that was; False if none was."""
    file = Path(start.file)
    if not file.exists():
        return False
    _run_all(start.before_removal)
    file.unlink()
    for other, _content in start.beside:
        with suppress(FileNotFoundError):
            Path(other).unlink()
    for folder in map(Path, start.folders):
        if not any(folder.iterdir()):
            folder.rmdir()
    _run_all(start.after_removal)
    return True


def _run_all(commands: Sequence[Command]) -> None:
    for command in commands:
        line = " ".join(command.arguments)
        try:
            done = subprocess.run(
                command.arguments, capture_output=True, text=True, check=False, timeout=60
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            reason, failed = str(getattr(error, "strerror", None) or error), True
        else:
            reason, failed = _last_line(done.stderr or done.stdout), done.returncode != 0
        if failed and not command.may_fail:
            raise LoginStartError(f"{line}: {reason}")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]


def _systemd(places: Places, python: PurePath) -> LoginStart:
    units = [UNIT]
    beside = []
    knocked_at = str(places.wake_socket)
    if len(os.fsencode(knocked_at)) <= _LONGEST_SOCKET_PATH:
        units.append(SOCKET_UNIT)
        beside.append((places.login_file.with_name(SOCKET_UNIT), _socket_unit(knocked_at).encode()))
    unit = (
        "[Unit]\n"
        "Description=VAE Balance, which gives photographs their colors back\n"
        + ("".join(f"{key}={SOCKET_UNIT}\n" for key in ("Wants", "After")) if beside else "")
        + "\n"
        "[Service]\n"
        f"ExecStart={_for_systemd((str(python), *_SERVE))}\n"
        "Restart=on-failure\n"
        "RestartSec=10\n"
        "\n"
        "[Install]\n"
        "WantedBy=default.target\n"
    )
    return LoginStart(
        places.login_file,
        unit.encode(),
        install=(_systemctl("daemon-reload"), _systemctl("enable", "--now", *reversed(units))),
        before_removal=(
            # The socket first, or a knock would start again what was just stopped.
            Command(("systemctl", "--user", "disable", "--now", *reversed(units)), may_fail=True),
        ),
        after_removal=(Command(("systemctl", "--user", "daemon-reload"), may_fail=True),),
        folders=(places.login_file.parent, places.login_file.parent.parent),  # systemd/user
        beside=tuple(beside),
    )


def _socket_unit(path: str) -> str:
    return (
        "[Unit]\n"
        "Description=VAE Balance: where clients knock when the daemon does not run\n"
        "\n"
        "[Socket]\n"
        f"ListenStream={path.replace('%', '%%')}\n"
        "SocketMode=0600\n"
        "DirectoryMode=0700\n"
        "RemoveOnStop=yes\n"
        "\n"
        "[Install]\n"
        "WantedBy=sockets.target\n"
    )


def _systemctl(*arguments: str) -> Command:
    return Command(("systemctl", "--user", *arguments))


def _for_systemd(arguments: Sequence[str]) -> str:
    """Return a command line as units have it: quoted, and with nothing that is expanded."""
    quoted = []
    for argument in arguments:
        text = argument.replace("\\", "\\\\").replace('"', '\\"')
        quoted.append('"' + text.replace("%", "%%").replace("$", "$$") + '"')
    return " ".join(quoted)


def _launchd(places: Places, python: PurePath, user_id: int) -> LoginStart:
    agent = {
        "Label": SERVICE_LABEL,
        "ProgramArguments": [str(python), *_SERVE],
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        # What waits for it is somebody at the screen.
        "ProcessType": "Interactive",
    }
    domain = f"gui/{user_id}"
    stop = Command(("launchctl", "bootout", f"{domain}/{SERVICE_LABEL}"), may_fail=True)
    start = Command(("launchctl", "bootstrap", domain, str(places.login_file)))
    return LoginStart(
        places.login_file, plistlib.dumps(agent), install=(stop, start), before_removal=(stop,)
    )


def _task_scheduler(places: Places, python: PurePath, environ: Mapping[str, str]) -> LoginStart:
    user = f"{environ.get('USERDOMAIN', '.')}\\{environ.get('USERNAME', '')}"
    task = _TASK.format(
        user=escape(user),
        # Opens no console.
        program=escape(str(python.with_name("pythonw.exe"))),
        arguments=escape(" ".join(_SERVE)),
    )
    named = ("/TN", TASK)
    return LoginStart(
        places.login_file,
        task.encode("utf-16"),
        install=(
            Command(("schtasks", "/Create", *named, "/XML", str(places.login_file), "/F")),
            Command(("schtasks", "/Run", *named)),
        ),
        before_removal=(
            Command(("schtasks", "/End", *named), may_fail=True),
            Command(("schtasks", "/Delete", *named, "/F"), may_fail=True),
        ),
    )


# A trigger for one user, and the least rights: registering it needs no administrator.
_TASK = """<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>VAE Balance, which gives photographs their colors back</Description>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <Enabled>true</Enabled>
      <UserId>{user}</UserId>
    </LogonTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>{user}</UserId>
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Enabled>true</Enabled>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>{program}</Command>
      <Arguments>{arguments}</Arguments>
    </Exec>
  </Actions>
</Task>
"""
