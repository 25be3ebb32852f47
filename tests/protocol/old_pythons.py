"""Real Pythons 2.7 and 3.9 in a folder, from Debian 11's packages; needs no root rights."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from roots import NoRoomError, RootError, kept, mirror, whole

SUITE = "bullseye"  # the last with Python 2.7
VERSIONS = ("2.7", "3.9")
_MEGABYTES = 150  # with what is needed for a moment
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class UnobtainableError(Exception):
    """The Pythons cannot be had here; the message says why."""


def obtain() -> dict[str, Path]:
    """Return the interpreters by name; they are downloaded the first time.

    Raises:
        UnobtainableError: this is not Linux, or apt's mirror cannot be reached.
    """
    if not sys.platform.startswith("linux"):
        raise UnobtainableError("Debian's Pythons run on Linux only")
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    try:
        folder = kept(f"pythons-{recipe}", _download)
    except NoRoomError as error:
        raise UnobtainableError(str(error)) from error
    interpreters = {f"python{v}": folder / "root/usr/bin" / f"python{v}" for v in VERSIONS}
    for interpreter in interpreters.values():
        subprocess.run([interpreter, "-c", "import json, socket, subprocess, zlib"], check=True)
    return interpreters


def _download(target: Path) -> None:
    """Download and unpack the Pythons."""
    try:
        source = mirror()
    except (RootError, OSError) as error:
        raise UnobtainableError(str(error)) from error
    with whole(target, _MEGABYTES) as folder:
        _fill(folder, source)


def _fill(folder: Path, source: str) -> None:
    for place in ("lists/partial", "cache/archives/partial", "debs", "root"):
        (folder / place).mkdir(parents=True)
    signed_by = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
    (folder / "sources.list").write_text(f"deb {signed_by}{source} {SUITE} main\n")
    _apt(folder, "update", "-qq")
    packages = [
        name
        for version in VERSIONS
        for name in (
            f"python{version}-minimal",
            f"libpython{version}-minimal",
            f"libpython{version}-stdlib",
        )
    ]
    _apt(folder, "download", *packages)
    for package in (folder / "debs").iterdir():
        subprocess.run(["dpkg", "-x", package, folder / "root"], check=True)
    for needless in ("lists", "cache", "debs"):
        shutil.rmtree(folder / needless)


def _apt(folder: Path, *arguments: str) -> None:
    """Run apt-get on the one source, with all that it writes in `folder`."""
    settings = {
        "Dir::State": folder,
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Acquire::Languages": "none",
        "Acquire::Check-Valid-Until": "false",
        "Acquire::Retries": "3",
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
        "Debug::NoLocking": "true",
    }
    options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
    done = subprocess.run(
        ["apt-get", *options, *arguments], cwd=folder / "debs", capture_output=True, text=True
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise UnobtainableError(f"apt-get {arguments[0]} failed: {lines[-1]}")
