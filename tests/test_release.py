"""`installer/run.py release`: what it refuses, and what it finds wrong with what was built."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import release
import run
from environment import InstallError
from release import check_changelog, check_source, check_tree
from vae_balance import __version__

PROJECT = Path(__file__).parents[1]

CHANGELOG = f"# Changelog\n\n## [Unreleased]\n\n## [{__version__}] - 2026-01-31\n\n- A change.\n"
# The smallest project that the build tool takes; {text} is what its module holds.
PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "small"
version = "1.0"
[tool.hatch.build]
only-include = ["small.py"]
"""


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout that may be released."""
    monkeypatch.setattr(release, "ROOT", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_a_clean_tree_may_be_released_also_when_it_is_tagged(tree: Path) -> None:
    check_tree()
    git(tree, "tag", f"v{__version__}")
    check_tree()


def test_changes_that_are_not_committed_are_refused_before_anything_is_run(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "forgotten.py").touch()
    monkeypatch.setattr(run, "make_environment", lambda folder, wanted: pytest.fail("was run"))
    assert run.main(["release"]) == 1
    assert capsys.readouterr().err.startswith("run.py: there are changes that are not committed")


def test_a_version_is_released_once(tree: Path) -> None:
    git(tree, "tag", f"v{__version__}")
    git(tree, "commit", "--allow-empty", "-m", "second")
    with pytest.raises(InstallError, match=f"v{__version__} is an earlier commit: set a new"):
        check_tree()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (" - 2026-01-31", "", rf"no section '## \[{__version__}\] - YYYY-MM-DD'"),
        (__version__, "9.9.9", "no section"),
        ("## [Unreleased]\n", "## [Unreleased]\n\n- Forgotten.\n", "has unreleased changes"),
    ],
)
def test_a_changelog_that_does_not_tell_of_the_version_is_refused(
    old: str, new: str, reason: str
) -> None:
    check_changelog(CHANGELOG, __version__)
    with pytest.raises(InstallError, match=reason):
        check_changelog(CHANGELOG.replace(old, new), __version__)


def test_a_wheel_is_the_same_as_the_one_of_the_source_distribution(tmp_path: Path) -> None:
    project, dist = tmp_path / "project", tmp_path / "dist"
    project.mkdir()
    (project / "pyproject.toml").write_text(PYPROJECT)
    (project / "small.py").write_text("one = 1\n")
    wheel, source = release.build(Path(sys.executable), project, dist)
    check_source(Path(sys.executable), source, wheel, tmp_path / "first")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("left_from_before.py", "")
    with pytest.raises(InstallError, match=r"left_from_before\.py is another in the wheel"):
        check_source(Path(sys.executable), source, wheel, tmp_path / "second")


def test_nothing_is_built_when_a_check_fails(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[list[str]] = []

    def succeeds(command: list[str]) -> bool:
        ran.append(command)
        return "mypy" in command

    monkeypatch.setattr(run, "make_environment", lambda folder, wanted: Path("python"))
    monkeypatch.setattr(run, "install", lambda python: None)
    monkeypatch.setattr(run, "succeeds", succeeds)
    monkeypatch.setattr(run, "make_release", lambda python: pytest.fail("was built"))
    assert run.main(["release"]) == 1
    assert "not slow" not in ran[-1]
    assert "python -m ruff check ." in capsys.readouterr().err
