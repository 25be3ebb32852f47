"""Programs made for tests."""

from __future__ import annotations

from pathlib import Path


def shell_script(path: Path, text: str) -> Path:
    """Make a program that does what lines of shell say, and the folder that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path
