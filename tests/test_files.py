"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from vae_balance.errors import BalanceError, OutputExistsError
from vae_balance.files import (
    as_private_as,
    atomic_write,
    check_new,
    make_folder,
    remove_leftovers,
)

needs_posix = pytest.mark.skipif(os.name == "nt", reason="permission bits and links of POSIX")


def write(path: Path, text: str = "new", *, overwrite: bool = False) -> None:
    with atomic_write(path, overwrite) as temporary:
        temporary.write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_new_file_appears_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "photo.png")
    assert (tmp_path / "photo.png").read_text() == "new"
    assert names(tmp_path) == ["photo.png"]


def test_a_text_path_without_a_folder_means_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with atomic_write("look.cube") as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == ["look.cube"]


def test_the_temporary_file_is_beside_the_target_with_its_suffix(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "photo.TIFF") as temporary:
        assert temporary.parent == tmp_path.resolve()
        assert temporary.suffix == ".TIFF"
        assert not (tmp_path / "photo.TIFF").exists()


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_text("old")
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@needs_posix
def test_who_has_the_old_file_open_goes_on_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_text("old")
    with path.open() as reader:
        write(path, overwrite=True)
        assert reader.read() == "old"


def test_an_existing_file_is_kept_and_the_message_names_force(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_text("old")
    with pytest.raises(OutputExistsError, match=r"photo\.png: exists already; give --force"):
        write(path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["photo.png"]


def test_nothing_is_computed_for_a_file_that_exists(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_text("old")
    with pytest.raises(OutputExistsError), atomic_write(tmp_path / "photo.png"):
        pytest.fail("the block ran")


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    with pytest.raises(OutputExistsError), atomic_write(path) as temporary:
        temporary.write_text("new")
        path.write_text("of another program")
    assert path.read_text() == "of another program"
    assert names(tmp_path) == ["photo.png"]


def refuse_hard_links(*_: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def test_drives_without_hard_links_are_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "hardlink_to", refuse_hard_links)
    write(tmp_path / "photo.png")
    assert (tmp_path / "photo.png").read_text() == "new"
    assert names(tmp_path) == ["photo.png"]


def test_a_file_that_appears_meanwhile_is_kept_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "hardlink_to", refuse_hard_links)
    path = tmp_path / "photo.png"
    with pytest.raises(OutputExistsError), atomic_write(path) as temporary:
        temporary.write_text("new")
        path.write_text("of another program")
    assert path.read_text() == "of another program"
    assert names(tmp_path) == ["photo.png"]


def test_a_rename_that_fails_without_hard_links_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "hardlink_to", refuse_hard_links)
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(BalanceError, match="Input/output error"):
        write(tmp_path / "photo.png")
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
@pytest.mark.parametrize("old", [None, "old"])
def test_whatever_stops_the_writer_leaves_the_folder_as_it_was(
    tmp_path: Path, error: type[BaseException], old: str | None
) -> None:
    path = tmp_path / "photo.png"
    if old:
        path.write_text(old)
    before = names(tmp_path)
    with pytest.raises(error), atomic_write(path, overwrite=True) as temporary:
        temporary.write_text("half of")
        raise error
    assert names(tmp_path) == before
    assert not old or path.read_text() == old


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    message = r"photo\.png: cannot be written: No space left on device; free some space"
    with pytest.raises(BalanceError, match=message), atomic_write(tmp_path / "photo.png") as part:
        part.write_text("half of")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == []


def test_a_disk_that_fails_at_the_end_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "photo.png"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(BalanceError, match="Input/output error"):
        write(path, overwrite=True)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["photo.png"]


def test_errors_about_other_files_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"elsewhere"), atomic_write(tmp_path / "a.png"):
        (tmp_path / "elsewhere").read_text()
    assert names(tmp_path) == []


def test_another_file_that_exists_is_not_taken_for_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError), atomic_write(tmp_path / "a.png"):
        tmp_path.mkdir()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BalanceError, match=r"there is no folder .*prints; create it first"):
        write(tmp_path / "prints" / "photo.png")
    assert names(tmp_path) == []


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "photo.png").mkdir()
    with pytest.raises(BalanceError, match=r"photo\.png: is a folder"):
        write(tmp_path / "photo.png", overwrite=True)


@needs_posix
def test_a_device_or_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BalanceError, match="not an ordinary file"):
        write(tmp_path / "pipe", overwrite=True)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_name_that_is_too_long_is_refused_plainly(tmp_path: Path) -> None:
    with pytest.raises(BalanceError, match="choose a shorter name"):
        write(tmp_path / ("x" * 300 + ".png"))


@needs_posix
def test_a_folder_that_may_not_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object) -> int:  # permission bits would not stop root
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)
    message = r"photo\.png: cannot be written: Permission denied; choose a folder"
    with pytest.raises(BalanceError, match=message):
        write(tmp_path / "photo.png")


@needs_posix
def test_others_may_read_a_new_file_if_the_umask_says_so(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        write(tmp_path / "photo.png")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "photo.png").stat().st_mode) == 0o644


@needs_posix
@pytest.mark.parametrize(
    ("source", "umask", "expected"),
    [(0o600, 0o022, 0o600), (0o640, 0o022, 0o640), (0o664, 0o077, 0o600), (0o444, 0o002, 0o644)],
)
def test_nobody_may_read_a_result_who_may_not_read_its_source(
    tmp_path: Path, source: int, umask: int, expected: int
) -> None:
    photo, result = tmp_path / "source.png", tmp_path / "new" / "result.png"
    photo.touch()
    photo.chmod(source)
    with as_private_as([photo, tmp_path / "missing.png"], umask):
        make_folder(result.parent)
        with atomic_write(result) as temporary:
            assert stat.S_IMODE(temporary.stat().st_mode) == 0o600  # from the first byte on
            temporary.write_text("new")
    assert stat.S_IMODE(result.stat().st_mode) == expected
    assert stat.S_IMODE(result.parent.stat().st_mode) == 0o777 & ~umask & ~0o022


@needs_posix
def test_a_private_file_is_private_while_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.touch(mode=0o600)
    with atomic_write(path, overwrite=True) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        temporary.write_text("new")


@needs_posix
def test_a_link_to_nothing_is_not_followed_unasked(tmp_path: Path) -> None:
    link, elsewhere = tmp_path / "photo.png", tmp_path / "elsewhere.png"
    link.symlink_to(elsewhere)
    with pytest.raises(OutputExistsError, match="exists already"):
        write(link)
    with pytest.raises(OutputExistsError, match="exists already"):
        check_new(link, force=False)
    assert not elsewhere.exists()
    write(link, overwrite=True)
    assert elsewhere.exists()


@needs_posix
def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_text("old")
    path.chmod(0o600)
    write(path, overwrite=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@needs_posix
def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "prints").mkdir()
    real = tmp_path / "prints" / "photo.png"
    real.write_text("old")
    link = tmp_path / "latest.png"
    link.symlink_to(real)
    write(link, overwrite=True)
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_the_data_is_on_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photo.png"
    steps: list[str] = []
    real_fsync, real_link = os.fsync, Path.hardlink_to

    def fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "data")
        real_fsync(descriptor)

    def hardlink_to(self: Path, target: Path) -> None:
        steps.append("name")
        real_link(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "hardlink_to", hardlink_to)
    write(path)
    assert steps[:2] == ["data", "name"]
    assert os.name == "nt" or steps == ["data", "name", "folder"]


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from vae_balance.files import atomic_write
with atomic_write(sys.argv[1]) as temporary:
    temporary.write_text("half of")
    temporary.with_name(temporary.name + ".pixels").write_text("what a writer puts beside it")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@needs_posix
def test_what_killed_processes_have_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("a.png", "b"):
        command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path / name)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 4
    others = [".vae-balance-report.jsonl.begun", ".vae-balance-0123456789abcdeg.png", "photo.png"]
    for name in others:
        write(tmp_path / name, "mine")
    with atomic_write(tmp_path / "c.png") as temporary:
        temporary.write_text("new")
        remove_leftovers(tmp_path)
        assert names(tmp_path) == sorted([*others, temporary.name])
    assert names(tmp_path) == sorted([*others, "c.png"])


def test_there_may_be_no_folder_to_clear(tmp_path: Path) -> None:
    remove_leftovers(tmp_path / "missing")


@needs_posix
def test_a_file_that_is_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    flock = fcntl.flock
    calls = []

    def late(descriptor: int, operation: int) -> None:
        calls.append(operation)
        if len(calls) == 1:
            remove_leftovers(tmp_path)
            assert names(tmp_path) == []
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    write(tmp_path / "photo.png")
    assert names(tmp_path) == ["photo.png"]
    assert len(calls) == 3
