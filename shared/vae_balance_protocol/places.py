"""Where the daemon and its clients find each other's files, on every system.

Paths are native strings: in Python 2 bytes, as the environment has them.
"""

from __future__ import absolute_import

import ntpath
import os
import posixpath
import sys

MYPY = False
if MYPY:
    from typing import Mapping

FOLDER = "vae-balance"


def state_folder(environ=os.environ, platform=sys.platform):
    # type: (Mapping[str, str], str) -> str
    """Return the folder of the connection file, the lock and the log; see PROTOCOL.md."""
    chosen = environ.get("VAE_BALANCE_STATE")
    if chosen:
        return os.path.abspath(chosen)
    return _folder(environ, platform, "XDG_STATE_HOME", ".local/state")


def config_folder(environ=os.environ, platform=sys.platform):
    # type: (Mapping[str, str], str) -> str
    """Return the folder of the daemon's settings and of client.json."""
    return _folder(environ, platform, "XDG_CONFIG_HOME", ".config")


def connection_file(environ=os.environ, platform=sys.platform):
    # type: (Mapping[str, str], str) -> str
    """Return the path of the file that tells how to reach the daemon."""
    return _join(platform, state_folder(environ, platform), "daemon.json")


def lock_file(environ=os.environ, platform=sys.platform):
    # type: (Mapping[str, str], str) -> str
    """Return the path of the file that is locked as long as a daemon runs."""
    return _join(platform, state_folder(environ, platform), "daemon.lock")


def log_file(environ=os.environ, platform=sys.platform):
    # type: (Mapping[str, str], str) -> str
    """Return the path of the daemon's log."""
    return _join(platform, state_folder(environ, platform), "daemon.log")


def wake_socket(environ=os.environ, platform=sys.platform):
    # type: (Mapping[str, str], str) -> str
    """Return the path of the socket at which systemd may listen to start the daemon."""
    return _join(platform, state_folder(environ, platform), "wake.socket")


def _folder(environ, platform, variable, default):
    # type: (Mapping[str, str], str, str, str) -> str
    """Return the user's folder of one kind; `variable` and `default` are those of XDG."""
    if platform.startswith("win"):
        local = environ.get("LOCALAPPDATA") or ntpath.join(
            environ.get("USERPROFILE") or os.path.expanduser("~"), "AppData", "Local"
        )
        return ntpath.join(local, FOLDER)
    home = environ.get("HOME") or os.path.expanduser("~")
    if platform == "darwin":
        return posixpath.join(home, "Library", "Application Support", FOLDER)
    # A flatpak or snap has its own folders under the usual names; the daemon runs outside of it.
    if environ.get("SNAP_REAL_HOME"):
        return posixpath.join(environ["SNAP_REAL_HOME"], default, FOLDER)
    if environ.get("FLATPAK_ID"):
        variable = "HOST_" + variable
    base = environ.get(variable, "")
    if not posixpath.isabs(base):  # so XDG's specification has it
        base = posixpath.join(home, default)
    return posixpath.join(base, FOLDER)


def _join(platform, folder, name):
    # type: (str, str, str) -> str
    return (ntpath.join if platform.startswith("win") else posixpath.join)(folder, name)
