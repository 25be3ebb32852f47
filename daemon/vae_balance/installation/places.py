"""Where the program lies on each system: one table.

Everything here is a function of an environment and a platform (as `sys.platform` has it), so that
each system's paths can be looked at on any other. The folders for settings and for the daemon's
state are those of vae_balance_protocol.places.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath, PureWindowsPath

from vae_balance_protocol import places as protocol_places
from vae_balance_protocol.places import FOLDER

LINUX, MACOS, WINDOWS = "linux", "darwin", "win32"
SERVICE_LABEL = "io.github.vae-balance.daemon"
PROGRAM = "vae-balance"

_VARIABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class GimpFolder:
    """A folder that holds GIMP's profiles, one for each version.

    Attributes:
        kind: how GIMP came to this computer.
        pattern: the folder; it may have a * in it.
        sandboxed: whether such a GIMP can start no program outside of itself.
    """

    kind: str
    pattern: str
    sandboxed: bool = False


@dataclass(frozen=True)
class _System:
    """A row of the table; {NAME} stands for a variable of the environment, or its default.

    Attributes:
        path: the kind of its paths.
        defaults: variable -> where that is if it is not set.
        data: the folder of the private environment and of the user's own models.
        bin: the environment's folder of programs.
        suffix: of programs.
        link_folder: where a link to the command is put, for the shell; None where links are not
            for everybody.
        gimp_folders: where GIMP keeps profiles.
        gimp_programs: consoles of GIMPs outside of $PATH; they may have a * in them.
        login_file: what tells the system to start the daemon at login.
    """

    path: type[PurePath]
    defaults: Mapping[str, str]
    data: str
    bin: str
    suffix: str
    link_folder: str | None
    gimp_folders: tuple[GimpFolder, ...]
    gimp_programs: tuple[str, ...]
    login_file: str


_SYSTEMS = {
    LINUX: _System(
        path=PurePosixPath,
        defaults={
            "XDG_DATA_HOME": "{HOME}/.local/share",
            "XDG_CONFIG_HOME": "{HOME}/.config",
        },
        data="{XDG_DATA_HOME}",
        bin="bin",
        suffix="",
        link_folder="{HOME}/.local/bin",
        gimp_folders=(
            GimpFolder("package or AppImage", "{XDG_CONFIG_HOME}/GIMP"),
            # Takes ~/.config/GIMP instead if that was there first.
            GimpFolder("flatpak", "{HOME}/.var/app/org.gimp.GIMP/config/GIMP", sandboxed=True),
            GimpFolder("snap", "{HOME}/snap/gimp/current/GIMP", sandboxed=True),
            GimpFolder("snap", "{HOME}/snap/gimp/current/.config/GIMP", sandboxed=True),
        ),
        gimp_programs=(),
        login_file="{XDG_CONFIG_HOME}/systemd/user/vae-balance.service",
    ),
    MACOS: _System(
        path=PurePosixPath,
        defaults={},
        data="{HOME}/Library/Application Support",
        bin="bin",
        suffix="",
        link_folder="{HOME}/.local/bin",
        gimp_folders=(GimpFolder("app", "{HOME}/Library/Application Support/GIMP"),),
        gimp_programs=(
            "/Applications/GIMP*.app/Contents/MacOS/gimp-console*",
            "{HOME}/Applications/GIMP*.app/Contents/MacOS/gimp-console*",
        ),
        login_file="{HOME}/Library/LaunchAgents/" + SERVICE_LABEL + ".plist",
    ),
    WINDOWS: _System(
        path=PureWindowsPath,
        defaults={
            "APPDATA": r"{USERPROFILE}\AppData\Roaming",
            "LOCALAPPDATA": r"{USERPROFILE}\AppData\Local",
            "PROGRAMFILES": r"C:\Program Files",
        },
        data="{LOCALAPPDATA}",
        bin="Scripts",
        suffix=".exe",
        link_folder=None,
        gimp_folders=(
            GimpFolder("installer", r"{APPDATA}\GIMP"),
            # The Store's GIMP sees the folder above, too, until it writes a profile of its own.
            GimpFolder("Store", r"{LOCALAPPDATA}\Packages\*GIMP*\LocalCache\Roaming\GIMP"),
        ),
        gimp_programs=(
            r"{PROGRAMFILES}\GIMP *\bin\gimp-console*.exe",
            r"{LOCALAPPDATA}\Programs\GIMP *\bin\gimp-console*.exe",
        ),
        login_file=r"{LOCALAPPDATA}\vae-balance\login-task.xml",
    ),
}


class Places:
    """Where everything of a user lies.

    Attributes:
        data: the program's folder of data.
        environment: the private Python environment.
        environment_python: its Python.
        environment_program: its command `vae-balance`.
        models: the user's own models; never the installer's to remove.
        self_check: what the self-check leaves.
        downloads: what is being downloaded, while the installer runs.
        record: what the installer has made.
        command_link: the link to the command; None where there is none.
        config: the folder of settings.
        client_file: which command starts the daemon.
        state: the folder of what the daemon leaves.
        wake_socket: where systemd may listen for clients that want the daemon.
        install_log: the installer's log.
        gimp_folders: folders of GIMP profiles, each with its kind.
        gimp_programs: patterns of GIMP's consoles outside of $PATH.
        login_file: what tells the system to start the daemon at login.
    """

    def __init__(self, environ: Mapping[str, str], platform: str) -> None:
        """Work out the places for an environment on a platform."""
        self.platform = platform_of(platform)
        system = _SYSTEMS[self.platform]
        path = system.path

        def filled(pattern: str) -> str:
            def value(match: re.Match[str]) -> str:
                name = match.group(1)
                given = environ.get(name, "")
                # XDG's specification has relative paths ignored.
                if given and path(given).is_absolute():
                    return given
                return filled(system.defaults.get(name, "."))

            return _VARIABLE.sub(value, pattern)

        self.home = path(filled("{USERPROFILE}" if self.platform == WINDOWS else "{HOME}"))
        self.data = path(filled(system.data), FOLDER)
        self.environment = self.data / "environment"
        programs = self.environment / system.bin
        self.environment_python = programs / f"python{system.suffix}"
        self.environment_program = programs / f"{PROGRAM}{system.suffix}"
        self.models = self.data / "models"
        self.self_check = self.data / "self-check"
        self.downloads = self.data / "downloads"
        self.record = self.data / "installed.json"
        links = system.link_folder
        self.command_link = path(filled(links), PROGRAM) if links is not None else None
        self.config = path(protocol_places.config_folder(environ, platform))
        self.client_file = self.config / "client.json"
        self.state = path(protocol_places.state_folder(environ, platform))
        self.wake_socket = path(protocol_places.wake_socket(environ, platform))
        self.install_log = self.state / "install.log"
        self.gimp_folders = [
            (folder, path(filled(folder.pattern))) for folder in system.gimp_folders
        ]
        self.gimp_programs = [path(filled(pattern)) for pattern in system.gimp_programs]
        self.login_file = path(filled(system.login_file))


def platform_of(platform: str) -> str:
    """Return LINUX, MACOS or WINDOWS for what `sys.platform` says; other Unixes are like Linux."""
    if platform.startswith("win"):
        return WINDOWS
    return MACOS if platform == MACOS else LINUX
