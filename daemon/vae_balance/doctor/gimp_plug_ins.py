"""The plug-in in each profile of GIMP: there, whole, of this version, and taken up by GIMP."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from vae_balance import __version__
from vae_balance.doctor.finding import INSTALL_AGAIN, Finding
from vae_balance.installation import plug_in
from vae_balance.installation.gimp_profiles import GimpProfile, find_profiles
from vae_balance.installation.places import Places

# GIMP notes the plug-ins that it could start, each with the time of its file.
_NOTED = re.compile(
    rf'^\(plug-in-def "[^"]*[/\\]{plug_in.NAME}[/\\]{re.escape(plug_in.PROGRAM)}" (\d+)',
    re.MULTILINE,
)


def gimp_findings(places: Places, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Look at each profile."""
    profiles = find_profiles(places, environ)
    if not profiles:
        yield Finding(
            "GIMP", "none found; once you have started one, the installer adds the plug-in"
        )
    for profile in profiles:
        yield _profile_finding(profile)


def _profile_finding(profile: GimpProfile) -> Finding:
    place = plug_in.folder_of(profile)
    manifest = plug_in.read_manifest(profile)
    astray = plug_in.misplaced(profile)
    if not (place / plug_in.PROGRAM).is_file():
        if astray:
            finding = f"GIMP does not look for the plug-in at {astray[0]}"
            mend = f"remove that, and {INSTALL_AGAIN}"
            return Finding(profile.label, finding, mend)
        return Finding(profile.label, f"no plug-in in {place}", INSTALL_AGAIN)
    if not plug_in.is_executable(profile):
        program = place / plug_in.PROGRAM
        return Finding(profile.label, f"{program} may not be run", f"chmod +x {program}")
    if manifest is None:
        finding = f"the plug-in in {place} is not the installer's"
        return Finding(profile.label, finding, INSTALL_AGAIN)
    if manifest["version"] != __version__:
        finding = f"the plug-in is version {manifest['version']}, this is {__version__}"
        return Finding(profile.label, finding, INSTALL_AGAIN)
    changed = plug_in.changed_files(profile)
    if changed:
        finding = f"missing or changed in {place}: {', '.join(changed[:3])}"
        return Finding(profile.label, finding, INSTALL_AGAIN)
    return _registration_finding(profile)


def _registration_finding(profile: GimpProfile) -> Finding:
    """Look at what GIMP noted of the plug-in when it started last."""
    found = f"plug-in {__version__}"
    program = plug_in.folder_of(profile) / plug_in.PROGRAM
    notes = profile.folder / "pluginrc"
    try:
        noted = _NOTED.search(notes.read_text(encoding="utf-8", errors="replace"))
        started = int(notes.stat().st_mtime)
    except OSError:
        noted, started = None, 0
    installed = int(program.stat().st_mtime)
    if noted is not None and int(noted.group(1)) == installed:
        return Finding(profile.label, f"{found}, in the menu Filters > Color")
    if started > installed:
        python = "that it has Python-Fu, and " if profile.version == "2.10" else ""
        return Finding(
            profile.label,
            f"{found}, but GIMP could not start it",
            f"check {python}what GIMP says of vae-balance.py when it is started from a terminal",
        )
    return Finding(profile.label, f"{found}; GIMP takes it up at its next start")
