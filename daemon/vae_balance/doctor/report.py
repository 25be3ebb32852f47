"""The doctor's lines as people, programs and bug reports have them."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from typing import Any

import click

from vae_balance import __version__
from vae_balance.doctor.finding import Finding
from vae_balance.installation.places import Places

# What lies under the home folder and tells nothing of its user but which programs there are.
_KNOWN_IN_HOME = (".cache", ".config", ".local", ".var", "AppData", "Library", "snap")
# Folders that are alike on every computer of a system.
_SYSTEM_FOLDERS = (
    "/Applications",
    "/Library",
    "/bin",
    "/dev",
    "/etc",
    "/lib",
    "/opt",
    "/proc",
    "/sbin",
    "/snap",
    "/sys",
    "/tmp",
    "/usr",
    "/var/lib",
    "C:\\Program Files",
    "C:\\Windows",
)
# An absolute path, to the end of the line or to what rarely is in one.
_PATH = re.compile(r"(?<![\w.~/\\])(?:[A-Za-z]:\\|/)[^\n:;,\"'<>|]*")
_PATH_IN_HOME = re.compile(r"~[/\\][^\n:;,\"'<>|]*")
_HIDDEN = "<path>"


def as_text(lines: Sequence[Finding]) -> str:
    """Return the lines for a screen: green or red, with the mend below each red one."""
    width = max(len(line.subject) for line in lines)
    text = []
    for line in lines:
        mark = click.style("ok ", fg="green") if line.ok else click.style("RED", fg="red")
        text.append(f"{mark} {line.subject.ljust(width)}  {line.finding}")
        if not line.ok:
            text.append(f"    {' ' * width}  -> {line.mend}")
    red = sum(not line.ok for line in lines)
    text.append("All is well." if not red else f"To mend: {red} of {len(lines)}.")
    return "\n".join(text)


def as_json(lines: Sequence[Finding]) -> str:
    """Return the lines as a JSON document."""
    return json.dumps({"ok": all(line.ok for line in lines), "lines": _rows(lines)}, indent=2)


def as_report(
    lines: Sequence[Finding], places: Places, environ: Mapping[str, str] = os.environ
) -> str:
    """Return the lines and what the computer is, as JSON, without private paths and names."""
    document = {
        "version": __version__,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "ok": all(line.ok for line in lines),
        "lines": _rows(lines),
    }
    names = [environ.get(variable, "") for variable in ("USER", "USERNAME", "LOGNAME")]
    hide = Redactor(str(places.home), [*names, platform.node()])
    return json.dumps(hide.in_all(document), indent=2) + "\n"


class Redactor:
    """Hides what is private in texts."""

    def __init__(self, home: str, names: Sequence[str]) -> None:
        """Remember what is private: the user's folder, and names of user and computer."""
        self._home = home
        # Shorter ones are parts of many words.
        self._names = [name for name in {*names, os.path.basename(home)} if len(name) > 2]  # noqa: PTH119
        self._names = [name for name in self._names if name.lower() not in ("root", "home", "user")]

    def in_all(self, value: Any) -> Any:
        """Return a document with nothing private in its texts."""
        if isinstance(value, dict):
            return {key: self.in_all(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.in_all(item) for item in value]
        return self.in_text(value) if isinstance(value, str) else value

    def in_text(self, text: str) -> str:
        """Return a text with ~ for the user's folder, and <path> for what lies elsewhere."""
        if len(self._home) > 1:  # and not the beginning of another user's
            text = re.sub(rf"{re.escape(self._home)}(?![\w.-])", "~", text)
        text = _PATH.sub(lambda match: _path_of_system(match.group()), text)
        text = _PATH_IN_HOME.sub(lambda match: _path_in_home(match.group()), text)
        for name in self._names:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "<name>", text, flags=re.IGNORECASE)
        return text


def _path_of_system(path: str) -> str:
    known = any(re.match(rf"{re.escape(folder)}(?![^/\\])", path) for folder in _SYSTEM_FOLDERS)
    return path if known else _HIDDEN


def _path_in_home(path: str) -> str:
    first = re.split(r"[/\\]", path)[1]
    return path if first in _KNOWN_IN_HOME else f"~/{_HIDDEN}"


def _rows(lines: Sequence[Finding]) -> list[dict[str, Any]]:
    return [
        {"subject": line.subject, "ok": line.ok, "finding": line.finding, "mend": line.mend}
        for line in lines
    ]
