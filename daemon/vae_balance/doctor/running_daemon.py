"""The daemon: whether it runs or starts, is of this version, and keeps its token to itself."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from vae_balance import __version__
from vae_balance.doctor.finding import Finding
from vae_balance_protocol import DaemonError, places
from vae_balance_protocol.client import Client
from vae_balance_protocol.connection import read_connection

_START_SECONDS = 60.0
_STOP = "vae-balance stop; the next client starts it anew"


def daemon_finding() -> Finding:
    """Reach the daemon as GIMP does, which starts it when none runs."""
    secret = _trouble_with_token(Path(places.connection_file()))
    if secret is not None:
        return secret
    try:
        with Client.connect("vae-balance doctor", timeout=_START_SECONDS) as client:
            answer = client.daemon
            port = read_connection().port
    except DaemonError as error:
        return _unreached(error)
    version = answer["version"]
    where = f"pid {answer['pid']}, port {port}"
    if version != __version__:
        return Finding("daemon", f"version {version} runs, {where}; this is {__version__}", _STOP)
    return Finding("daemon", f"version {version} answers, {where}, device {answer['device']}")


def _trouble_with_token(file: Path) -> Finding | None:
    """Return what is wrong with the rights to the file that holds the token, if anything is."""
    try:
        with file.open("rb"):
            mode = file.stat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        finding = f"{file}, which holds the token, cannot be read: {error.strerror}"
        return Finding("daemon", finding, f"make it yours again, or remove it: {file}")
    if os.name != "nt" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        finding = f"{file}, which holds the token, can be read by others"
        return Finding("daemon", finding, f"chmod 600 {file}; then {_STOP}")
    return None


def _unreached(error: DaemonError) -> Finding:
    lines = [line for line in error.message.splitlines() if line.strip()]
    finding = lines[0].rstrip(":").replace("; its log ends", "")
    if len(lines) > 1:
        finding += f"; its log ends: {lines[-1].strip()}"
    if error.code == "version":
        return Finding("daemon", finding, _STOP)
    return Finding("daemon", finding, "vae-balance stop; then vae-balance serve, which tells more")
