"""The record of what the installer has made, kept in the data folder for the next run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Record:
    """What the installer has made.

    Attributes:
        digest: of what was installed into the environment; "" before all of it is.
        torch: the kind of PyTorch build that the user asked for; None if it was left to us.
        folders: folders that were not there before, outer ones first.
        profiles: folders of GIMP profiles with the plug-in.
    """

    def __init__(self, path: Path) -> None:
        """Read the record, if there is one that can be read."""
        self._path = path
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            content = {}
        self.digest = str(content.get("digest", ""))
        self.torch: str | None = content.get("torch")
        self.folders = _texts(content.get("folders"))
        self.profiles = _texts(content.get("profiles"))

    def make_folder(self, folder: Path, mode: int = 0o777) -> None:
        """Make a folder and those around it, and remember which were not there."""
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        self.folders += [str(path) for path in reversed(missing) if str(path) not in self.folders]
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=mode, exist_ok=True)

    def add_profile(self, folder: Path) -> None:
        """Remember that a profile gets the plug-in."""
        if str(folder) not in self.profiles:
            self.profiles.append(str(folder))
            self.save()

    def save(self) -> None:
        """Write the record, whole or not at all, unless it is written already."""
        content = {
            "digest": self.digest,
            "torch": self.torch,
            "folders": self.folders,
            "profiles": self.profiles,
        }
        text = json.dumps(content, indent=1) + "\n"
        if self._path.exists() and self._path.read_text(encoding="utf-8") == text:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(f"{self._path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(self._path)


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
