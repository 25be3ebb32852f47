"""Contact sheets: photos before and after, as people see them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from icc import DISPLAY_P3, SRGB_CURVE, icc_profile
from PIL import Image

from vae_balance.batch import contact_sheet
from vae_balance.batch.contact_sheet import Pair, check_replaceable, sheet_pages, write_sheet
from vae_balance.errors import OptionError, OutputExistsError
from vae_balance.photos.photo import Photo, read_photo, write_photo

WritePhoto = Callable[..., Path]

RED, BLUE = (200, 30, 20), (20, 30, 200)


def plain(path: Path, color: tuple[int, ...], shape: tuple[int, int], **details: Any) -> Path:
    pixels = np.zeros((*shape, 3), np.uint8) + np.array(color, np.uint8)
    write_photo(Photo(pixels, **details), path)
    return path


def box_of(sheet: Path, color: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of what has a color; nearly all inside must have it."""
    pixels = read_photo(sheet).pixels.astype(int)
    rows, columns = np.nonzero(np.abs(pixels - color).max(axis=-1) < 12)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert len(rows) > 0.99 * (box[2] - box[0]) * (box[3] - box[1])
    return box


@pytest.mark.parametrize("name", ["sheet.png", "sheet.jpg"])
def test_before_is_left_of_after(tmp_path: Path, name: str) -> None:
    before = plain(tmp_path / "a.png", RED, (300, 400))
    after = plain(tmp_path / "b.png", BLUE, (300, 400))
    assert write_sheet([Pair("a", before, after)], tmp_path / name, "roll") == [tmp_path / name]
    left, right = box_of(tmp_path / name, RED), box_of(tmp_path / name, BLUE)
    assert left[2] < right[0]
    assert left[1::2] == right[1::2]
    width, height = left[2] - left[0], left[3] - left[1]
    assert width / height == pytest.approx(4 / 3, abs=0.02)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_pictures_are_upright_and_in_srgb(tmp_path: Path, suffix: str) -> None:
    profile = icc_profile(DISPLAY_P3, SRGB_CURVE)
    path = plain(
        tmp_path / f"a{suffix}", (200, 40, 40), (400, 200), icc_profile=profile, orientation=6
    )
    write_sheet([Pair("a", path, path)], tmp_path / "sheet.png", "roll")
    shown = read_photo(tmp_path / "sheet.png").pixels.astype(int)
    reds = shown[..., 0] - shown[..., 1] > 120
    rows, columns = np.nonzero(reds)
    assert np.ptp(columns) > 3 * np.ptp(rows)  # two pictures that are wider than high
    # Display P3 is wider: the same numbers are a more saturated color.
    assert shown[reds].mean(axis=0)[0] > 210


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_pictures_of_all_depths_are_shown(tmp_path: Path, dtype: type[np.generic]) -> None:
    full = 65535 if dtype == np.uint16 else 1.0
    pixels = (np.full((50, 60, 3), RED) / 255 * full).astype(dtype)
    write_photo(Photo(pixels), tmp_path / "a.tif")
    pair = Pair("a", tmp_path / "a.tif", tmp_path / "a.tif")
    write_sheet([pair], tmp_path / "sheet.png", "roll")
    shown = read_photo(tmp_path / "sheet.png").pixels
    assert (np.abs(shown.astype(int) - RED).max(axis=-1) < 3).any()


def test_a_picture_that_is_gone_leaves_a_frame(tmp_path: Path) -> None:
    after = plain(tmp_path / "b.png", BLUE, (300, 400))
    (tmp_path / "c.jpg").write_bytes(b"\xff\xd8\xff no picture")
    pairs = [Pair("a", tmp_path / "gone.jpg", after), Pair("c", tmp_path / "c.jpg", after)]
    write_sheet(pairs, tmp_path / "sheet.png", "roll")
    shown = read_photo(tmp_path / "sheet.png").pixels.astype(int)
    assert (np.abs(shown - BLUE).max(axis=-1) < 12).any()


def test_many_pairs_take_several_pages(
    tmp_path: Path, photo: WritePhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_sheet, "PAIRS_PER_PAGE", 4)
    path = photo("a.jpg")
    told: list[tuple[int, int]] = []
    pages = write_sheet(
        [Pair(str(i), path, path) for i in range(9)],
        tmp_path / "sheet.jpg",
        "roll",
        progress=lambda done, total: told.append((done, total)),
    )
    assert [page.name for page in pages] == ["sheet.jpg", "sheet-2.jpg", "sheet-3.jpg"]
    assert all(read_photo(page).pixels.size for page in pages)
    assert told == [(i, 9) for i in range(1, 10)]


def test_the_names_of_pages_are_known_before(tmp_path: Path) -> None:
    assert sheet_pages(tmp_path / "s.png", 40) == [tmp_path / "s.png"]
    assert sheet_pages(tmp_path / "s.png", 41) == [tmp_path / "s.png", tmp_path / "s-2.png"]
    with pytest.raises(OptionError, match=r"s\.gif: .* \.jpg or \.png"):
        sheet_pages(tmp_path / "s.gif", 1)


@pytest.mark.parametrize("name", ["sheet.png", "sheet.jpg"])
def test_an_older_sheet_is_replaced_and_nothing_else(
    tmp_path: Path, photo: WritePhoto, name: str
) -> None:
    path = photo("a.jpg")
    pairs = [Pair("a", path, path)]
    write_sheet(pairs, tmp_path / name, "roll")
    write_sheet(pairs * 2, tmp_path / name, "roll")
    check_replaceable(tmp_path / name)
    other = photo(f"photo-{name}")
    before = other.read_bytes()
    with pytest.raises(OutputExistsError, match="is no contact sheet"):
        write_sheet(pairs, other, "roll")
    assert other.read_bytes() == before
    write_sheet(pairs, other, "roll", overwrite=True)
    assert other.read_bytes() != before


def test_a_long_name_is_shortened_in_the_middle(tmp_path: Path, photo: WritePhoto) -> None:
    path = photo("a.png")
    long = Pair("x" * 500 + ".png", path, path)
    write_sheet([long, Pair("b", path, path)], tmp_path / "sheet.png", "y" * 500)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width < 2000
