"""Sheets: pictures where they belong, texts that fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae_balance.photos.painting import codes_of, font, paint_grid, shortened


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_pictures_stand_in_rows_in_their_order(tmp_path: Path, name: str) -> None:
    levels = np.linspace(0.0, 1.0, 6, dtype=np.float32)
    pictures = [np.full((20, 20, 3), level, np.float32) for level in levels]
    rows = [pictures[:3], pictures[3:]]
    paint_grid(("one", "two", "three"), rows, tmp_path / name, side=40, labels=["first", "second"])
    with Image.open(tmp_path / name) as image:
        sheet = np.asarray(image.convert("RGB")).astype(int)
    height = (sheet.shape[0] - 18 - 6) // 2
    for number, level in enumerate(levels):
        x, y = 6 + number % 3 * 46 + 20, 18 + number // 3 * height + 20
        assert np.abs(sheet[y, x] - 255 * level).max() <= 3
    assert (sheet[18 + 42 : 18 + 56, 6:52].min(axis=2) < 200).any()  # the label is below


def test_a_label_that_is_too_long_loses_its_middle(tmp_path: Path) -> None:
    text = shortened("a" * 300 + "scan.tif", font(12), 200)
    assert text.startswith("aaa") and text.endswith("scan.tif")
    assert font(12).getlength(text) <= 200
    rows = [[np.zeros((8, 8, 3), np.float32)]]
    paint_grid((), rows, tmp_path / "a.png", side=100, labels=["x" * 500])


def test_what_is_no_color_becomes_one() -> None:
    assert codes_of(np.array([-1.0, 0.5, 2.0, np.nan])).tolist() == [0, 128, 255, 0]
