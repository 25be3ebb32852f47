"""The plug-in in each GIMP: every way in which its menu entry goes missing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from vae_balance import __version__
from vae_balance.doctor.finding import Finding
from vae_balance.doctor.gimp_plug_ins import gimp_findings
from vae_balance.installation import plug_in
from vae_balance.installation.gimp_profiles import GimpProfile, find_profiles
from vae_balance.installation.places import Places

PROJECT = Path(__file__).parents[2]
AGAIN = "run the installer again: python3 installer/install.py"
LABEL = "GIMP 3.0 (package or AppImage)"


@pytest.fixture
def profile(home: Path, places: Places) -> GimpProfile:
    """Return a profile with the plug-in."""
    (home / ".config/GIMP/3.0").mkdir(parents=True)
    (found,) = find_profiles(places, {})
    plug_in.install(found, plug_in.files_for(PROJECT, "3.0"), __version__)
    return found


def only_finding(places: Places) -> Finding:
    (line,) = gimp_findings(places, {})
    return line


def note(profile: GimpProfile, *programs: Path) -> None:
    """Write what GIMP notes when it starts, a second after the plug-in was installed."""
    noted = [
        f'(plug-in-def "${{gimp_dir}}/{path.relative_to(profile.folder)}" '
        f'{int(path.stat().st_mtime)}\n    (proc-def "plug-in-vae-balance" 1))\n'
        for path in programs
    ]
    notes = profile.folder / "pluginrc"
    notes.write_text("\n".join(["# GIMP pluginrc", "(protocol-version 277)", *noted]))
    time = plug_in.folder_of(profile).joinpath("vae-balance.py").stat().st_mtime + 1.5
    os.utime(notes, (time, time))


def test_without_a_gimp_there_is_nothing_to_mend(places: Places) -> None:
    assert only_finding(places).ok


def test_a_plug_in_that_gimp_has_taken_up_is_green(profile: GimpProfile, places: Places) -> None:
    assert only_finding(places) == Finding(
        LABEL, f"plug-in {__version__}; GIMP takes it up at its next start"
    )
    note(profile, plug_in.folder_of(profile) / "vae-balance.py")
    assert only_finding(places) == Finding(
        LABEL, f"plug-in {__version__}, in the menu Filters > Color"
    )


def test_one_that_gimp_could_not_start_is_red(profile: GimpProfile, places: Places) -> None:
    note(profile)
    line = only_finding(places)
    assert line.finding == f"plug-in {__version__}, but GIMP could not start it"
    assert line.mend == (
        "check what GIMP says of vae-balance.py when it is started from a terminal"
    )


def test_gimp_2_10_needs_python_fu(home: Path, places: Places) -> None:
    (home / ".config/GIMP/2.10").mkdir(parents=True)
    (profile,) = find_profiles(places, {})
    plug_in.install(profile, plug_in.files_for(PROJECT, "2.10"), __version__)
    note(profile)
    assert only_finding(places).mend.startswith("check that it has Python-Fu, and what GIMP says")


def test_a_profile_without_it_is_red(profile: GimpProfile, places: Places) -> None:
    list(plug_in.remove(profile))
    line = only_finding(places)
    assert line.finding == f"no plug-in in {plug_in.folder_of(profile)}"
    assert line.mend == AGAIN


def test_a_missing_run_bit_is_red(profile: GimpProfile, places: Places) -> None:
    program = plug_in.folder_of(profile) / "vae-balance.py"
    program.chmod(0o644)
    line = only_finding(places)
    assert line.finding == f"{program} may not be run"
    assert line.mend == f"chmod +x {program}"


@pytest.mark.parametrize("name", ["vae-balance-main", "vae_balance"])
def test_a_wrong_folder_name_is_red(profile: GimpProfile, places: Places, name: str) -> None:
    wrong = plug_in.folder_of(profile).rename(profile.plug_ins / name)
    line = only_finding(places)
    assert line.finding == f"GIMP does not look for the plug-in at {wrong / 'vae-balance.py'}"
    assert line.mend == f"remove that, and {AGAIN}"


def test_another_version_is_red(profile: GimpProfile, places: Places) -> None:
    plug_in.install(profile, plug_in.files_for(PROJECT, "3.0"), "0.0.9")
    line = only_finding(places)
    assert line.finding == f"the plug-in is version 0.0.9, this is {__version__}"
    assert line.mend == AGAIN


def test_a_changed_file_is_red(profile: GimpProfile, places: Places) -> None:
    (plug_in.folder_of(profile) / "vae_balance_protocol/client.py").write_text("")
    line = only_finding(places)
    assert line.finding.endswith("plug-ins/vae-balance: vae_balance_protocol/client.py")
    assert line.mend == AGAIN


def test_one_that_was_copied_by_hand_is_red(profile: GimpProfile, places: Places) -> None:
    manifest = plug_in.folder_of(profile) / plug_in.MANIFEST
    manifest.write_text(json.dumps([]))
    line = only_finding(places)
    assert line.finding.endswith("is not the installer's")
    assert line.mend == AGAIN
