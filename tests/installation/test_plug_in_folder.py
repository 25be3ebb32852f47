"""The plug-in's folder in a profile: whole, replaced whole, and removed without a trace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from user import places_of, profile_in

from vae_balance.installation import plug_in
from vae_balance.installation.gimp_profiles import GimpProfile, find_profiles

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def profile(tmp_path: Path) -> GimpProfile:
    profile_in(tmp_path)
    (found,) = find_profiles(places_of(tmp_path), {})
    return found


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Return the files of a small plug-in."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("vae-balance.py", "client.py"):
        (source / name).write_text(f"# {name}\n")
    return {"vae-balance.py": source / "vae-balance.py", "lib/client.py": source / "client.py"}


def content(folder: Path) -> dict[str, str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


def test_the_folder_holds_all_that_the_plug_in_imports() -> None:
    files = plug_in.files_for(PROJECT, "3.2")
    for name in (
        "vae-balance.py",
        "layers.py",
        "vae_balance_gimp/work.py",
        "vae_balance_protocol/client.py",
        "locale/de/LC_MESSAGES/vae-balance.mo",
    ):
        assert name in files
    kinds = {Path(name).suffix for name in files}
    assert not kinds & {".po", ".md", ".pyc", ".toml"}


def test_it_is_named_as_its_program_and_may_be_run(
    profile: GimpProfile, files: dict[str, Path]
) -> None:
    plug_in.install(profile, files, "1.0")
    program = profile.folder / "plug-ins" / "vae-balance" / "vae-balance.py"
    assert os.access(program, os.X_OK)
    assert (program.parent / "lib/client.py").read_text() == "# client.py\n"
    assert plug_in.is_current(profile, files, "1.0")
    assert not plug_in.is_current(profile, files, "1.1")


def test_an_upgrade_leaves_nothing_of_the_old_one_but_files_of_the_users(
    profile: GimpProfile, files: dict[str, Path]
) -> None:
    plug_in.install(profile, files, "1.0")
    folder = plug_in.folder_of(profile)
    (folder / "my look.cube").write_text("LUT_3D_SIZE 2")
    del files["lib/client.py"]
    files["vae-balance.py"].write_text("# new\n")
    assert not plug_in.is_current(profile, files, "1.1")
    plug_in.install(profile, files, "1.1")
    assert plug_in.is_current(profile, files, "1.1")
    found = content(folder)
    assert found.pop(plug_in.MANIFEST)
    assert found == {"vae-balance.py": "# new\n", "my look.cube": "LUT_3D_SIZE 2"}
    assert [path.name for path in profile.folder.iterdir()] == ["plug-ins"]


@pytest.fixture
def interrupted(profile: GimpProfile, files: dict[str, Path]) -> GimpProfile:
    """Return a profile as an installation leaves it that ends between its last two steps."""
    plug_in.install(profile, files, "1.0")
    (plug_in.folder_of(profile) / "my look.cube").touch()
    plug_in.folder_of(profile).rename(profile.folder / ".vae-balance.old")
    (profile.folder / ".vae-balance.partial").mkdir()
    return profile


def test_what_was_interrupted_is_cleared_away(
    interrupted: GimpProfile, files: dict[str, Path]
) -> None:
    plug_in.install(interrupted, files, "1.0")
    assert plug_in.is_current(interrupted, files, "1.0")
    assert (plug_in.folder_of(interrupted) / "my look.cube").exists()
    assert [path.name for path in interrupted.folder.iterdir()] == ["plug-ins"]


def test_an_interrupted_installation_is_put_back_where_the_plug_ins_folder_has_gone(
    interrupted: GimpProfile, files: dict[str, Path]
) -> None:
    interrupted.plug_ins.rmdir()
    plug_in.install(interrupted, files, "1.0")
    assert (plug_in.folder_of(interrupted) / "my look.cube").exists()


def test_removing_after_an_interruption_leaves_nothing_but_files_of_the_users(
    interrupted: GimpProfile,
) -> None:
    list(plug_in.remove(interrupted))
    assert content(interrupted.folder) == {"plug-ins/vae-balance/my look.cube": ""}


@pytest.mark.parametrize("damage", ["changed", "missing", "not executable"])
def test_damage_is_seen_and_mended(
    profile: GimpProfile, files: dict[str, Path], damage: str
) -> None:
    plug_in.install(profile, files, "1.0")
    program = plug_in.folder_of(profile) / "vae-balance.py"
    if damage == "changed":
        program.write_text("# mine\n")
    elif damage == "missing":
        (program.parent / "lib/client.py").unlink()
    else:
        program.chmod(0o644)
    assert not plug_in.is_current(profile, files, "1.0")
    plug_in.install(profile, files, "1.0")
    assert plug_in.is_current(profile, files, "1.0")


def test_removing_takes_what_was_installed_and_what_the_plug_in_left(
    profile: GimpProfile, files: dict[str, Path]
) -> None:
    own = profile.folder / "plug-ins" / "other" / "other.py"
    own.parent.mkdir(parents=True)
    own.touch()
    before = content(profile.folder)
    plug_in.install(profile, files, "1.0")
    cache = plug_in.folder_of(profile) / "lib" / "__pycache__"
    cache.mkdir()
    (cache / "client.cpython-313.pyc").touch()
    (cache.parent / "client.pyc").touch()  # of Python 2
    for name in ("vae-balance/last-look.cube", "plug-in-settings/plug-in-vae-balance.last"):
        (profile.folder / name).parent.mkdir()
        (profile.folder / name).touch()
    removed = [str(path.relative_to(profile.folder)) for path in plug_in.remove(profile)]
    assert removed == [
        "plug-ins/vae-balance",
        "vae-balance/last-look.cube",
        "plug-in-settings/plug-in-vae-balance.last",
        "vae-balance",
    ]
    assert content(profile.folder) == before


def test_removing_leaves_files_of_the_users(profile: GimpProfile, files: dict[str, Path]) -> None:
    plug_in.install(profile, files, "1.0")
    mine = plug_in.folder_of(profile) / "my look.cube"
    mine.touch()
    list(plug_in.remove(profile))
    assert content(plug_in.folder_of(profile)) == {"my look.cube": ""}


def test_a_plug_in_that_somebody_put_there_by_hand_is_not_removed(profile: GimpProfile) -> None:
    program = plug_in.folder_of(profile) / "vae-balance.py"
    program.parent.mkdir(parents=True)
    program.touch()
    assert list(plug_in.remove(profile)) == []
    assert program.exists()
