"""The folder of a plug-in as it is installed: the plug-in, what all plug-ins share, the client."""

from __future__ import annotations

import shutil
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[2]
_SHARED = (_PROJECT / "gimp-plugin" / "common", _PROJECT / "shared")


def install(plugin: str, plug_ins: Path) -> Path:
    """Copy a plug-in into GIMP's folder of plug-ins; return its own folder there."""
    target = plug_ins / plugin
    ignore = shutil.ignore_patterns("__pycache__", "*.po", "*.md")
    for source in (_PROJECT / "gimp-plugin" / plugin, *_SHARED):
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=ignore)
    return target
