"""Names that files can have: a strange one costs no other photo of the list anything."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from pictures import picture
from PIL import Image

from vae_balance.batch.contact_sheet import Pair, write_sheet
from vae_balance.errors import BalanceError, printable
from vae_balance.luts.cube import read_cube
from vae_balance.photos.photo import Photo, read_photo, write_photo

Run = Callable[..., Result]

NOT_UTF_8 = os.fsdecode(b"d\xffe.jpg")
STRANGE = ["b\nc.jpg", NOT_UTF_8, "\x1b[31mred.jpg", "tab\t.png", "\u202egpj.exe.jpg"]

posix = pytest.mark.skipif(os.name == "nt", reason="names that Windows does not have")


@pytest.fixture
def balance(run: Run, random_model: Path) -> Run:
    return lambda *arguments: run("balance", *arguments, "--model", random_model)


def put(folder: Path, *names: str) -> list[Path]:
    try:
        for name in names:
            Image.fromarray(picture()).save(folder / name)
    except (OSError, UnicodeError):
        pytest.skip("this drive does not have such names")
    return [folder / name for name in names]


@posix
@pytest.mark.parametrize("name", STRANGE)
def test_a_photo_of_any_name_is_read_and_written(tmp_path: Path, name: str) -> None:
    (path,) = put(tmp_path, name)
    inner = tmp_path / os.fsdecode(b"folder\xfe")
    inner.mkdir()
    for suffix in (".jpg", ".png", ".tif", ".webp"):
        target = inner / (name + suffix)
        write_photo(read_photo(path), target)
        assert read_photo(target).pixels.shape == picture().shape
    assert {file.name for file in inner.iterdir()} == {
        name + suffix for suffix in (".jpg", ".png", ".tif", ".webp")
    }


@posix
def test_apply_goes_on_after_links_that_lead_nowhere(run: Run, tmp_path: Path) -> None:
    run("identity", tmp_path / "look.cube")
    photos = put(tmp_path, "a.jpg", *STRANGE, "z.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "dangling.jpg").symlink_to("nowhere.jpg")
    given = [photos[0], tmp_path / "loop.jpg", tmp_path / "dangling.jpg", *photos[1:]]
    result = run("apply", tmp_path / "look.cube", *given, "--out-dir", tmp_path / "out")
    assert result.exit_code == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {p.name for p in photos}
    assert result.stderr.splitlines() == [
        f"vae-balance: {tmp_path / name}: is a link that leads nowhere: check what it points to"
        for name in ("loop.jpg", "dangling.jpg")
    ]


@posix
@pytest.mark.parametrize("name", STRANGE)
def test_an_error_is_one_line_that_any_terminal_can_show(
    run: Run, tmp_path: Path, name: str
) -> None:
    run("identity", tmp_path / "look.cube")
    (tmp_path / name).write_text("no picture")
    result = run("apply", tmp_path / "look.cube", tmp_path / name, "-o", tmp_path / "o.jpg")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert printable(name) in line
    assert line.encode("utf-8").decode().isprintable()


@posix
def test_a_look_tells_strange_names_in_one_comment_each(balance: Run, tmp_path: Path) -> None:
    (path,) = put(tmp_path, "b\nLUT_3D_SIZE 2.jpg")
    cube = tmp_path / "look.cube"
    assert balance(path, "-o", tmp_path / "o.jpg", "--cube", cube).exit_code == 0
    assert r"learned from: b\nLUT_3D_SIZE 2.jpg" in read_cube(cube).comments


@posix
def test_a_contact_sheet_shows_strange_names(tmp_path: Path) -> None:
    pairs = [Pair(path.name, path, path) for path in put(tmp_path, *STRANGE)]
    (page,) = write_sheet(pairs, tmp_path / "sheet.png", "strange\nnames")
    with Image.open(page) as sheet:
        assert sheet.size[0] > 1000


@pytest.mark.parametrize("command", ["balance", "apply"])
def test_names_that_differ_in_case_are_two_photos_where_the_drive_says_so(
    balance: Run, run: Run, tmp_path: Path, command: str
) -> None:
    (tmp_path / "case").touch()
    if (tmp_path / "CASE").exists():
        pytest.skip("this drive says they are one")
    run("identity", tmp_path / "look.cube")
    photos = put(tmp_path, "upper.jpg", "UPPER.JPG")
    arguments = (*photos, "--out-dir", tmp_path / "new" / "out")
    if command == "balance":
        assert balance(*arguments).exit_code == 0
    else:
        assert run("apply", tmp_path / "look.cube", *arguments).exit_code == 0
    names = sorted(path.name for path in (tmp_path / "new" / "out").iterdir())
    assert names == ["UPPER.JPG", "upper.jpg"]


def test_names_that_differ_in_case_are_one_file_where_the_drive_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_balance.files._is_one_file", lambda *_: True)
    run("identity", tmp_path / "look.cube")
    photos = [tmp_path / "one" / "a.jpg", tmp_path / "two" / "A.JPG"]
    result = run("apply", tmp_path / "look.cube", *photos, "--out-dir", tmp_path / "out")
    assert result.exit_code == 2
    assert "would both be written to" in result.stderr


@pytest.mark.parametrize("names", [("one/a.jpg", "two/a.jpg")])
def test_two_photos_of_one_name_are_refused(
    run: Run, tmp_path: Path, names: tuple[str, ...]
) -> None:
    run("identity", tmp_path / "look.cube")
    photos = [tmp_path / name for name in names]
    result = run("apply", tmp_path / "look.cube", *photos, "--out-dir", tmp_path / "out")
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_printable() -> None:
    assert printable("Grüße 東京 👩‍🚀 a b") == "Grüße 東京 👩‍🚀 a b"
    assert printable("a\r\nb\x1b\x85\u2028") == r"a\r\nb\x1b\x85\u2028"
    assert printable(os.fsdecode(b"d\xff")) in (r"d\xff", "dÿ")
    assert str(BalanceError("a\nb")) == r"a\nb"
    assert np.all([printable(chr(code)).isprintable() for code in range(32)])


@posix
def test_warnings_are_one_line_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_photo(Photo(picture(), b"no profile"), tmp_path / "b\nc.jpg")
    read_photo(tmp_path / "b\nc.jpg")
    assert r"b\nc.jpg: its ICC profile is damaged" in caplog.records[0].getMessage()
    assert "\n" not in caplog.records[0].getMessage()


@posix
@pytest.mark.parametrize(
    ("folders", "options"),
    [
        (("loop", "out"), ()),
        (("in", "loop"), ()),
        (("in", "loop/out"), ()),
        (("in", "out"), ("--report", "loop")),
    ],
)
def test_a_link_to_itself_ends_a_batch_in_one_line(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    folders: tuple[str, str],
    options: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAE_BALANCE_COMMAND", "/nowhere")  # nothing is to be asked of a daemon
    Path("in").mkdir()
    put(Path("in"), "a.jpg")
    Path("loop").symlink_to("loop")
    result = run("batch", *folders, *options, "--model", "grey-world")
    assert result.exit_code != 0
    (line,) = result.stderr.splitlines()
    assert f"{tmp_path}/loop" in line
