"""Folders that are made once for all tests: whole or not at all, and never the disk's last room."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import roots


@pytest.fixture(autouse=True)
def room_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """These folders are small, and need nobody's room."""
    monkeypatch.setattr(roots, "_LEFT_MB", 0)


def test_a_folder_appears_when_all_is_in_it(tmp_path: Path) -> None:
    with roots.whole(tmp_path / "root", 0) as partial:
        (partial / "file").write_text("x")
        assert not (tmp_path / "root").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["root", "file"]


def test_nothing_stays_of_a_folder_that_could_not_be_made(tmp_path: Path) -> None:
    """What a full disk has let through would keep it full for the tests that come after."""
    with pytest.raises(roots.RootError, match="apt"), roots.whole(tmp_path / "root", 0) as partial:
        (partial / "file").write_text("x")
        raise roots.RootError("apt-get failed")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_has_left_is_replaced(tmp_path: Path) -> None:
    left = tmp_path / "root.partial"
    left.mkdir()
    (left / "half").write_text("x")
    with roots.whole(tmp_path / "root", 0):
        pass
    assert list((tmp_path / "root").iterdir()) == []


def test_without_room_for_it_nothing_is_begun(tmp_path: Path) -> None:
    with (
        pytest.raises(roots.NoRoomError, match=r"needs 999999999 MB .*, but there are \d+ MB"),
        roots.whole(tmp_path / "root", 999_999_999),
    ):
        pytest.fail("it was begun")
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_asks_for_any_more_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIMP_TEST_ROOTS", str(tmp_path))
    made = [roots.kept(name, Path.mkdir) for name in ("a-1", "a-2", "b-1", "a-3")]
    long_ago = time.time() - 8 * 24 * 3600
    for folder in made[:3]:
        os.utime(folder, (long_ago, long_ago))
    assert roots.kept("a-2", Path.mkdir) == made[1]  # so that it is used again
    roots.kept("a-4", Path.mkdir)
    there = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert there == ["a-2", "a-3", "a-4", "b-1"]
