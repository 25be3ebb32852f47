"""A user of any system, whose folders lie in a folder of the test."""

from __future__ import annotations

from pathlib import Path

from vae_balance.installation.places import Places


def places_of(home: Path) -> Places:
    """Return the places of a user of Linux with this home folder."""
    return Places({"HOME": str(home)}, "linux")


def profile_in(home: Path, version: str = "3.0") -> Path:
    """Make the folder of a GIMP's profile, where a package of Linux has it."""
    folder = home / ".config/GIMP" / version
    folder.mkdir(parents=True)
    return folder
