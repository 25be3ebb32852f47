"""The GIMPs of a user: their profiles, which hold plug-ins, and GIMPs that have none yet."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vae_balance.installation.places import GimpFolder, Places

_PROFILE_NAME = re.compile(r"2\.10|3\.\d+")
_VERSION = re.compile(r"version (\d+\.\d+)")
_PROTOCOL = re.compile(r"\(protocol-version (\d+)\)")
_FIRST_PROTOCOL_OF_GIMP_3 = 0x0100
_ANSWER_SECONDS, _FIRST_START_SECONDS = 30.0, 180.0
# The console of each version has the version in its name; the last one is of any.
_CONSOLES = ("gimp-console-3.2", "gimp-console-3.0", "gimp-console-2.10", "gimp-console")
_FLATPAK = "org.gimp.GIMP"
_FLATPAK_FOLDERS = ("/var/lib/flatpak/app", "{data}/flatpak/app")


@dataclass(frozen=True)
class GimpProfile:
    """A folder in which one version of GIMP keeps what is the user's.

    Attributes:
        folder: the profile.
        version: of GIMP, "2.10", "3.0" and so on.
        kind: how GIMP came to this computer.
        sandboxed: whether such a GIMP can start no program outside of itself.
    """

    folder: Path
    version: str
    kind: str
    sandboxed: bool = False

    @property
    def plug_ins(self) -> Path:
        """The folder of plug-ins."""
        return self.folder / "plug-ins"

    @property
    def label(self) -> str:
        """What people call it."""
        return f"GIMP {self.version} ({self.kind})"


@dataclass(frozen=True)
class GimpProgram:
    """A GIMP that can be run without a window.

    Attributes:
        command: its console.
        version: "2.10", "3.0" and so on.
    """

    command: tuple[str, ...]
    version: str


def find_profiles(
    places: Places, environ: Mapping[str, str], chosen: Sequence[Path] = ()
) -> list[GimpProfile]:
    """Return the profiles of GIMP 2.10 and 3.x of a user, those in `chosen` first.

    Args:
        places: where to look.
        environ: GIMP2_DIRECTORY and GIMP3_DIRECTORY in it name profiles, as GIMP itself has it.
        chosen: further profiles.
    """
    found = [GimpProfile(path, version_of(path), "chosen") for path in chosen]
    for variable in ("GIMP3_DIRECTORY", "GIMP2_DIRECTORY"):
        named = environ.get(variable, "")
        if Path(named).is_absolute() and Path(named).is_dir():
            found.append(GimpProfile(Path(named), version_of(Path(named)), variable))
    for gimp_folder, pattern in places.gimp_folders:
        found += _profiles_in(gimp_folder, str(pattern))
    by_place = {os.path.realpath(profile.folder): profile for profile in reversed(found)}
    return list(reversed(list(by_place.values())))


def version_of(profile: Path) -> str:
    """Return the version of the GIMP of a profile: by its name, or else by what GIMP left there."""
    if _PROFILE_NAME.fullmatch(profile.name):
        return profile.name
    try:
        text = (profile / "pluginrc").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "3.0"
    protocol = _PROTOCOL.search(text)
    if protocol and int(protocol.group(1)) < _FIRST_PROTOCOL_OF_GIMP_3:
        return "2.10"
    return "3.0"


def find_programs(places: Places, environ: Mapping[str, str]) -> list[GimpProgram]:
    """Return the GIMPs that can be run without a window, each version once."""
    found: dict[str, GimpProgram] = {}
    for command in _consoles(places, environ):
        version = _version_of_program(command)
        if version is not None:
            found.setdefault(version, GimpProgram(command, version))
    return list(found.values())


def make_profile(program: GimpProgram) -> bool:
    """Start a GIMP once, without a window, so that it makes its profile; return whether it ended.

    GIMP takes over the settings of an older version only if it makes the folder itself.
    """
    quit_at_once = ("-b", "(gimp-quit 1)") if program.version == "2.10" else ("--quit",)
    command = [*program.command, "-i", "-d", "-f", *quit_at_once]
    return _run(command, _FIRST_START_SECONDS) is not None


def _profiles_in(gimp_folder: GimpFolder, pattern: str) -> Iterator[GimpProfile]:
    # A name of the user's may look like a pattern. A pattern begins with a drive.
    folders = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern))  # noqa: PTH207
    for folder in folders:
        try:
            paths = [path for path in sorted(Path(folder).iterdir()) if path.is_dir()]
        except OSError:  # another user's, or no folder
            continue
        for path in paths:
            if _PROFILE_NAME.fullmatch(path.name):
                yield GimpProfile(path, path.name, gimp_folder.kind, gimp_folder.sandboxed)


def _consoles(places: Places, environ: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    seen = set()
    on_path = [shutil.which(name, path=environ.get("PATH")) for name in _CONSOLES]
    elsewhere = [path for p in places.gimp_programs for path in sorted(glob.glob(str(p)))]  # noqa: PTH207
    for path in [*on_path, *elsewhere]:
        if path and os.path.realpath(path) not in seen:
            seen.add(os.path.realpath(path))
            yield (path,)
    flatpak = shutil.which("flatpak", path=environ.get("PATH"))
    folders = [folder.format(data=places.data.parent) for folder in _FLATPAK_FOLDERS]
    if flatpak and any(Path(folder, _FLATPAK).is_dir() for folder in folders):
        yield (flatpak, "run", "--command=gimp-console", _FLATPAK)


def _version_of_program(command: tuple[str, ...]) -> str | None:
    # GIMP makes folders even when it is asked for its version only.
    with tempfile.TemporaryDirectory() as folder:
        output = _run([*command, "--version"], _ANSWER_SECONDS, XDG_DATA_HOME=folder)
    match = _VERSION.search(output or "")
    version = match.group(1) if match else ""
    return version if _PROFILE_NAME.fullmatch(version) else None


def _run(command: list[str], seconds: float, **variables: str) -> str | None:
    """Return what a command prints; None if it cannot be run or does not end in time."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
            env={**os.environ, **variables},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace")
