"""Python, the package and what it needs, the settings, and the command that starts the daemon."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from vae_balance import __version__
from vae_balance.doctor.finding import INSTALL_AGAIN, Finding
from vae_balance.errors import OptionError
from vae_balance.server.settings import FILE_NAME, read_settings
from vae_balance_protocol import NotStarted, places
from vae_balance_protocol.starter import find_command

PACKAGE = "vae-balance"
OLDEST_PYTHON = (3, 10)
_ANSWER_SECONDS = 30.0


def python_finding(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Look at the Python that runs this."""
    finding = f"{'.'.join(map(str, version))}, {sys.executable}"
    if version < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        mend = f"needs {oldest} or later: {INSTALL_AGAIN} --python PATH"
        return Finding("Python", finding, mend)
    return Finding("Python", finding)


def package_finding() -> Finding:
    """Look at the package, and at the packages that it needs."""
    try:
        installed = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return Finding("package", f"{__version__}, run from a checkout without an installation")
    if installed != __version__:
        finding = f"{installed} is installed, but {__version__} is what runs"
        return Finding("package", finding, INSTALL_AGAIN)
    needed = list(_needed())
    trouble = [text for text in map(_trouble_with, needed) if text]
    if trouble:
        return Finding("package", f"{__version__}, but {', '.join(trouble)}", INSTALL_AGAIN)
    return Finding("package", f"{__version__}, with all {len(needed)} packages that it needs")


def settings_finding() -> Finding:
    """Look at the daemon's settings in the file and in the environment."""
    file = Path(places.config_folder()) / FILE_NAME
    try:
        read_settings(file, os.environ, {})
    except OptionError as error:
        return Finding("settings", str(error), "set it right, or remove it to have the default")
    where = str(file) if file.exists() else "the defaults"
    return Finding("settings", where)


def command_finding() -> Finding:
    """Look at the command with which GIMP and other clients start the daemon."""
    try:
        command = find_command()
    except NotStarted as error:
        return Finding("command", error.message, INSTALL_AGAIN)
    shown = " ".join(command)
    try:
        done = subprocess.run(
            [*command, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except OSError as error:
        return Finding("command", f"{shown}: {error.strerror}", INSTALL_AGAIN)
    except subprocess.TimeoutExpired:
        return Finding("command", f"{shown}: no answer in {_ANSWER_SECONDS:g} s", INSTALL_AGAIN)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        return Finding("command", f"{shown}: {reason}", INSTALL_AGAIN)
    version = done.stdout.split()[-1] if done.stdout.split() else ""
    if version != __version__:
        finding = f"{shown} is version {version}, this is {__version__}"
        return Finding("command", finding, INSTALL_AGAIN)
    return Finding("command", shown)


def _needed() -> Iterator[Requirement]:
    for text in metadata.requires(PACKAGE) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement


def _trouble_with(requirement: Requirement) -> str:
    """Return what is wrong with a package that is needed; nothing if all is well."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.name} is {version}, not {requirement.specifier}"
    return ""
