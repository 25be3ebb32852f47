"""A Python environment of our own: which Python makes it, and what is installed into it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
# Minor versions of Python 3 for which constraints.txt names packages.
VERSIONS = (13, 12, 11, 10, 14)

# Fails without the parts that Debian and Ubuntu keep in a package of their own.
_PROBE = "import ensurepip, sys, venv; print(*sys.version_info[:2], sys.base_prefix)"
# Prints the packages of which a file is missing or of another size than it was installed with; of
# our own, every byte counts.
_DAMAGED = """
import base64, hashlib
from importlib.metadata import distributions

def is_whole(file, every_byte):
    if file.size is None:  # made later, as bytecode is
        return True
    try:
        path = file.locate()
        if not every_byte or file.hash is None:
            return path.stat().st_size == file.size
        digest = hashlib.new(file.hash.mode, path.read_bytes()).digest()
    except OSError:
        return False
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value

for package in distributions():
    name = package.metadata["Name"]
    if not all(is_whole(file, name == "vae-balance") for file in package.files or ()):
        print(name)
"""
# Python of the Microsoft Store writes into folders that no other program sees.
_STORE = "WindowsApps"


class InstallError(Exception):
    """The installation cannot go on; the message says why, and what to do."""


def make_environment(folder: Path, wanted: str | None) -> Path:
    """Make the environment, or make it anew if it does not work; return its Python.

    Args:
        folder: of the environment.
        wanted: the Python to make it with; None keeps the one that there is, or else takes the
            first that will do.

    Raises:
        InstallError: no Python here will do.
        subprocess.CalledProcessError: making it failed.
    """
    python = python_of(folder)
    if not is_ready(folder, wanted):
        source = choose_python([wanted] if wanted else candidates())
        subprocess.run([source, "-m", "venv", "--clear", str(folder)], check=True)
    return python


def is_ready(folder: Path, wanted: str | None) -> bool:
    """Return whether the environment works, and is made with the Python that is wanted."""
    python = python_of(folder)
    if not python.exists() or not _prints([str(python), "-m", "pip", "--version"]):
        return False  # none, or interrupted, or the Python that it was made with is gone
    return wanted is None or _prints([wanted, "-c", _PROBE]) == _prints([str(python), "-c", _PROBE])


def damaged_packages(folder: Path) -> list[str]:
    """Return the names of packages in the environment that are not as they were installed."""
    return _prints([str(python_of(folder)), "-c", _DAMAGED]).split()


def python_of(folder: Path) -> Path:
    """Return the path of an environment's Python."""
    if os.name == "nt":
        return folder / "Scripts" / "python.exe"
    return folder / "bin" / "python"


def candidates() -> Iterator[str]:
    """Yield the Pythons that may do: the one that runs this, then others that can be found."""
    yield sys.executable
    for minor in VERSIONS:
        path = shutil.which(f"python3.{minor}")
        if path:
            yield path
    if os.name == "nt" and shutil.which("py"):
        for minor in VERSIONS:
            found = _prints(["py", f"-3.{minor}", "-c", "import sys; print(sys.executable)"])
            if found:
                yield found.strip()


def choose_python(paths: Sequence[str] | Iterator[str]) -> str:
    """Return the first Python of a supported version that can make environments.

    Raises:
        InstallError: none can; the message says what to install.
    """
    reasons = []
    for path in paths:
        reason = _unfit(path)
        if not reason:
            return path
        reasons.append(f"{path} {reason}")
    raise InstallError(
        f"needs Python 3.{min(VERSIONS)} to 3.{max(VERSIONS)} with venv, but "
        f"{'; '.join(reasons)}; install one, or name one with --python PATH"
    )


def pip(python: Path, *arguments: str) -> list[str]:
    """Return a command of an environment's pip."""
    return [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]


def _unfit(path: str) -> str:
    """Return why a Python will not do; nothing if it will."""
    try:
        probe = subprocess.run([path, "-c", _PROBE], capture_output=True, text=True, check=True)
    except OSError as error:
        return f"does not run ({error.strerror})"
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no message"])[-1]
        if "No module named" in reason:
            return "lacks venv (Debian and Ubuntu: apt install python3-venv)"
        return f"does not run ({reason})"
    major, minor, prefix = probe.stdout.split(maxsplit=2)
    if _STORE in prefix:
        return "is the Microsoft Store's, whose files other programs do not see"
    if major != "3" or int(minor) not in VERSIONS:
        return f"is Python {major}.{minor}"
    return ""


def _prints(command: list[str]) -> str:
    """Return what a command prints; nothing if it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
