"""The plug-in as the installer puts it into a profile of GIMP."""

from __future__ import annotations

from pathlib import Path

from vae_balance import __version__
from vae_balance.installation import plug_in
from vae_balance.installation.gimp_profiles import GimpProfile

_PROJECT = Path(__file__).resolve().parents[2]


def install(gimp_version: str, plug_ins: Path) -> Path:
    """Put the plug-in for a version of GIMP into a folder of plug-ins; return its own folder."""
    profile = GimpProfile(plug_ins.parent, gimp_version, "test")
    profile.folder.mkdir(parents=True, exist_ok=True)
    plug_in.install(profile, plug_in.files_for(_PROJECT, gimp_version), __version__)
    return plug_in.folder_of(profile)
