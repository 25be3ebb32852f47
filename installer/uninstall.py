"""Remove what the installer, the daemon and the plug-in have made, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from environment import InstallError, python_of
from journal import Journal
from record import Record
from vae_balance.installation import plug_in
from vae_balance.installation.gimp_profiles import GimpProfile, find_profiles
from vae_balance.installation.login_start import login_start, switch_off
from vae_balance.installation.places import Places
from vae_balance_protocol import DaemonError
from vae_balance_protocol.client import Client

_END_SECONDS = 20.0
# What the daemon leaves in its folder, and the installer's log.
_STATE_FILES = ("daemon.json", "daemon.lock", "daemon.log*", "install.log*")


def uninstall(places: Places, journal: Journal, chosen: Sequence[Path]) -> None:
    """Remove all of it, telling what is removed.

    Args:
        places: of the user and system.
        journal: what tells.
        chosen: profiles of GIMP that would not be found.

    Raises:
        InstallError: this very Python is to be removed, or the daemon does not end.
        OSError: something cannot be removed.
    """
    record = Record(Path(places.record))
    if Path(sys.prefix) == Path(places.environment):
        raise InstallError("run this with another Python than the one to be removed")
    _stop_login_start(places, journal)
    stop_daemon(places, journal)
    for profile in _profiles(places, record, chosen):
        _remove_plug_in(profile, journal)
    for path in _files(places):
        _remove(path, journal)
    _remove_folders(places, record, journal)
    journal.say("VAE Balance is removed." if not journal.dry_run else "Nothing was changed.")


def stop_daemon(places: Places, journal: Journal) -> None:
    """End the daemon, if one runs.

    Raises:
        InstallError: it does not end.
    """
    if not Path(places.state, "daemon.json").exists():
        return
    journal.do("stop the daemon", lambda: _stop(places))


def _stop(places: Places) -> None:
    python = python_of(Path(places.environment))
    try:
        command = [str(python), "-m", "vae_balance", "stop"]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return
    except OSError:
        pass  # the environment is broken: the daemon may run all the same
    try:
        with Client.connect("installer", start=False) as client:
            client.shutdown()
    except DaemonError:
        return  # none runs
    deadline = time.monotonic() + _END_SECONDS
    while Path(places.state, "daemon.json").exists():
        if time.monotonic() > deadline:
            raise InstallError("the daemon does not end: end it, then run this again")
        time.sleep(0.1)


def _stop_login_start(places: Places, journal: Journal) -> None:
    user_id = os.getuid() if hasattr(os, "getuid") else 0
    start = login_start(places, places.environment_python, os.environ, user_id)
    if Path(start.file).exists():
        journal.do(f"start the daemon at login no more: {start.file}", lambda: switch_off(start))


def _profiles(places: Places, record: Record, chosen: Sequence[Path]) -> list[GimpProfile]:
    recorded = [Path(folder) for folder in record.profiles]
    known = [path for path in (*map(Path.resolve, chosen), *recorded) if path.is_dir()]
    return find_profiles(places, os.environ, known)


def _remove_plug_in(profile: GimpProfile, journal: Journal) -> None:
    if journal.dry_run:
        if plug_in.read_manifest(profile) is not None:
            journal.say(f"would remove {plug_in.folder_of(profile)}")
        return
    for path in plug_in.remove(profile):
        journal.say(f"- removed {path}")
    if plug_in.folder_of(profile).exists():
        journal.say(f"{plug_in.folder_of(profile)} stays: not all in it is the installer's.")


def _files(places: Places) -> Iterator[Path]:
    """Yield what is there of ours outside of GIMP."""
    client = Path(places.client_file)
    if _names(client, places):
        yield client
    if places.command_link is not None:
        link = Path(places.command_link)
        if link.is_symlink() and os.readlink(link) == str(places.environment_program):  # noqa: PTH115
            yield link
    for path in (places.environment, places.downloads, places.self_check, places.record):
        if Path(path).exists():
            yield Path(path)
    for pattern in _STATE_FILES:
        yield from sorted(Path(places.state).glob(pattern))


def _names(client: Path, places: Places) -> bool:
    """Return whether the client's configuration has our Python start the daemon."""
    try:
        command = json.loads(client.read_text(encoding="utf-8"))["command"]
        return bool(command[0] == str(places.environment_python))
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _remove(path: Path, journal: Journal) -> None:
    def remove() -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    journal.do(f"remove {path}", remove)


def _remove_folders(places: Places, record: Record, journal: Journal) -> None:
    """Remove folders that are empty now: our own, and those that were made for them."""
    if journal.dry_run:
        return
    for place in {places.data, places.config, places.state}:
        folder = Path(place)
        if folder.is_dir():
            left = sorted(path.name for path in folder.iterdir())
            if left:
                journal.say(f"{folder} stays, with what is yours: {', '.join(left)}")
            else:
                folder.rmdir()
                journal.say(f"- removed {folder}")
    for name in reversed(record.folders):
        folder = Path(name)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            journal.say(f"- removed {folder}")
