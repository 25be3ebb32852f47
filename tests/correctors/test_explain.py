"""The explaining sheet: it shows the photo, every round, and asks for what it needs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vae_balance.correctors import explain
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.explain import explain_sheet
from vae_balance.correctors.latent_balancer.learn import BalancedLook, learn_look
from vae_balance.correctors.latent_balancer.model import load_model
from vae_balance.errors import OptionError, OutputExistsError

BEFORE, AFTER = (10, 200, 30), (230, 40, 250)


@pytest.fixture(scope="module")
def look(random_model: Path) -> BalancedLook:
    y, x = np.mgrid[0:224, 0:224] / 223.0
    proxy = np.stack([x, y, 0.5 * (x + y)], axis=-1).astype(np.float32)
    return learn_look([proxy], load_model(str(random_model), "cpu"), LookOptions(iterations=3))


@pytest.fixture(autouse=True)
def _coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "DPI", 40)  # a ninth of the pixels


def one_color(color: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.full((60, 90, 3), color, dtype=np.uint8)


def count(sheet: Path, color: tuple[int, int, int]) -> int:
    """Return how many pixels of the sheet have about this color."""
    with Image.open(sheet) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    return int((np.abs(pixels - color).max(axis=-1) <= 2).sum())


def test_photo_and_result_are_on_the_sheet(look: BalancedLook, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    explain_sheet(look, one_color(BEFORE), one_color(AFTER), sheet)
    assert count(sheet, AFTER) > 10_000
    assert count(sheet, BEFORE) > 1.3 * count(sheet, AFTER)  # twice: as the photo, and before


def test_further_rounds_get_a_strip(look: BalancedLook, tmp_path: Path) -> None:
    one_round = replace(look, rounds=look.rounds[:1])
    heights = []
    for name, shown in (("one.png", one_round), ("three.png", look)):
        deep = (one_color(BEFORE).astype(np.uint16) * 257, one_color(AFTER) / np.float32(255))
        explain_sheet(shown, deep[0], deep[1], tmp_path / name)
        with Image.open(tmp_path / name) as image:
            heights.append(image.height)
        assert count(tmp_path / name, AFTER) > 10_000  # of any depth
    assert heights[1] > heights[0] + 70


def test_an_existing_file_is_kept(look: BalancedLook, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    sheet.write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        explain_sheet(look, one_color(BEFORE), one_color(AFTER), sheet)
    assert sheet.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [sheet]


def test_without_matplotlib_the_error_says_what_to_install(
    look: BalancedLook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(OptionError, match=r"pip install 'vae-balance\[explain\]'"):
        explain_sheet(look, one_color(BEFORE), one_color(AFTER), tmp_path / "sheet.png")
    assert not list(tmp_path.iterdir())
