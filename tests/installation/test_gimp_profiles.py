"""The GIMPs of a user are found, wherever they come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import shell_script
from user import places_of, profile_in

from vae_balance.installation.gimp_profiles import (
    GimpProfile,
    find_profiles,
    find_programs,
    make_profile,
)
from vae_balance.installation.places import Places


def labels(profiles: list[GimpProfile]) -> list[str]:
    return [profile.label for profile in profiles]


def fake_gimp(folder: Path, name: str, version: str, then: str = "") -> Path:
    says = f'case "$*" in *--version*) echo "GNU Image Manipulation Program version {version}";'
    return shell_script(folder / name, f"{says} exit;; esac\n{then}")


def test_every_gimp_of_linux_is_found(tmp_path: Path) -> None:
    profile_in(tmp_path, "2.10")
    profile_in(tmp_path, "3.0")
    (tmp_path / ".var/app/org.gimp.GIMP/config/GIMP/3.2").mkdir(parents=True)
    (tmp_path / "snap/gimp/47/GIMP/3.0").mkdir(parents=True)
    (tmp_path / "snap/gimp/current").symlink_to("47")
    found = find_profiles(places_of(tmp_path), {})
    assert labels(found) == [
        "GIMP 2.10 (package or AppImage)",
        "GIMP 3.0 (package or AppImage)",
        "GIMP 3.2 (flatpak)",
        "GIMP 3.0 (snap)",
    ]
    assert [profile.sandboxed for profile in found] == [False, False, True, True]


def test_gimps_that_have_no_such_plug_ins_are_left_alone(tmp_path: Path) -> None:
    for name in ("2.8", "2.99", "backup 3.0"):
        profile_in(tmp_path, name)
    assert find_profiles(places_of(tmp_path), {}) == []


def test_a_home_folder_that_looks_like_a_pattern_is_one_folder(tmp_path: Path) -> None:
    home = tmp_path / "jo [work]"
    profile_in(home, "3.0")
    assert labels(find_profiles(places_of(home), {})) == ["GIMP 3.0 (package or AppImage)"]


def test_what_is_no_folder_holds_no_profiles(tmp_path: Path) -> None:
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config/GIMP").write_text("")
    assert find_profiles(places_of(tmp_path), {}) == []


def test_the_gimps_of_macos_and_windows_are_found(tmp_path: Path) -> None:
    (tmp_path / "Library/Application Support/GIMP/3.0").mkdir(parents=True)
    places = Places({"HOME": str(tmp_path)}, "darwin")
    assert labels(find_profiles(places, {})) == ["GIMP 3.0 (app)"]


def test_a_profile_can_be_named(tmp_path: Path) -> None:
    chosen = tmp_path / "elsewhere" / "2.10"
    chosen.mkdir(parents=True)
    profile_in(tmp_path, "3.0")
    found = find_profiles(places_of(tmp_path), {}, [chosen])
    assert labels(found) == ["GIMP 2.10 (chosen)", "GIMP 3.0 (package or AppImage)"]


def test_a_profile_is_found_once(tmp_path: Path) -> None:
    profile = profile_in(tmp_path, "3.0")
    found = find_profiles(places_of(tmp_path), {"GIMP3_DIRECTORY": str(profile)}, [profile])
    assert labels(found) == ["GIMP 3.0 (chosen)"]


@pytest.mark.parametrize(("protocol", "version"), [(21, "2.10"), (277, "3.0")])
def test_a_profile_of_another_name_is_of_the_gimp_that_wrote_there(
    tmp_path: Path, protocol: int, version: str
) -> None:
    (tmp_path / "pluginrc").write_text(f"# GIMP pluginrc\n\n(protocol-version {protocol})\n")
    (found,) = find_profiles(places_of(tmp_path), {"GIMP3_DIRECTORY": str(tmp_path)})
    assert found.version == version


def test_a_gimp_that_was_never_started_is_found_and_can_be(tmp_path: Path) -> None:
    profile = tmp_path / ".config/GIMP/3.0"
    program = fake_gimp(tmp_path / "bin", "gimp-console-3.0", "3.0.4", f"mkdir -p '{profile}'")
    (tmp_path / "bin/gimp-console").symlink_to(program)
    environ = {"PATH": str(tmp_path / "bin")}
    (found,) = find_programs(places_of(tmp_path), environ)
    assert (found.version, found.command) == ("3.0", (str(program),))
    assert find_profiles(places_of(tmp_path), environ) == []
    assert make_profile(found)
    assert labels(find_profiles(places_of(tmp_path), environ)) == ["GIMP 3.0 (package or AppImage)"]


def test_the_gimp_of_a_flatpak_is_run_by_flatpak(tmp_path: Path) -> None:
    flatpak = fake_gimp(tmp_path / "bin", "flatpak", "3.2.6")
    (tmp_path / ".local/share/flatpak/app/org.gimp.GIMP").mkdir(parents=True)
    (found,) = find_programs(places_of(tmp_path), {"PATH": str(tmp_path / "bin")})
    assert found.version == "3.2"
    assert found.command == (str(flatpak), "run", "--command=gimp-console", "org.gimp.GIMP")


def test_the_app_of_macos_is_found(tmp_path: Path) -> None:
    console = fake_gimp(tmp_path / "Applications/GIMP.app/Contents/MacOS", "gimp-console", "3.0.6")
    places = Places({"HOME": str(tmp_path)}, "darwin")
    (found,) = find_programs(places, {"PATH": ""})
    assert found.command == (str(console),)


def test_a_gimp_that_cannot_run_is_none(tmp_path: Path) -> None:
    fake_gimp(tmp_path / "bin", "gimp-console", "2.8.22")
    (tmp_path / "bin/gimp-console-3.0").write_text("no program")
    (tmp_path / "bin/gimp-console-3.0").chmod(0o755)
    assert find_programs(places_of(tmp_path), {"PATH": str(tmp_path / "bin")}) == []
