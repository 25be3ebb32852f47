"""Models of whichever correctors side by side, on the cases of the quality table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from vae_balance.correctors.classical import per_channel_stretch
from vae_balance.evaluation.cases import draw_cases, held_out_photos
from vae_balance.evaluation.evaluate import error_to
from vae_balance.evaluation.quality import BEST, NONE

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one photo of a held-out source."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "gov_doi").mkdir()
    y, x = np.mgrid[0:240, 0:240] / 240
    pixels = np.stack([np.sin(7 * x + i) * np.cos(5 * y - i) for i in range(3)], axis=-1)
    image = Image.fromarray(np.round(255 * (0.5 + 0.45 * pixels)).astype(np.uint8))
    image.save(folder / "gov_doi" / "00.png")
    return folder


def test_every_model_has_a_column(
    run: Run, photos: Path, random_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    names = f"{random_model},stretch,grey-world"
    options = ("--models", names, "--device", "cpu", "--out", out)
    result = run("evaluate", "--photos", photos, *options, "--json")
    assert result.exit_code == 0, result.stderr
    written = json.loads((out / "comparison.json").read_text("utf-8"))
    assert written == json.loads(result.stdout)
    columns = {NONE, "random 0", "stretch 1", "grey-world 1", BEST}
    assert all(set(case["errors"]) == columns for case in written["cases"])
    table = (out / "comparison.md").read_text("utf-8")
    assert table.startswith(
        "| mean (95th percentile) of CIEDE2000 | no correction | random 0 | stretch 1 | "
        "grey-world 1 | best color map | cases |"
    )
    case = next(draw_cases(held_out_photos(photos)))
    expected = error_to(case.truth)(per_channel_stretch(case.damaged))
    assert written["cases"][0]["errors"]["stretch 1"] == pytest.approx(expected, abs=0.2)


def test_a_model_named_twice_is_refused(run: Run, photos: Path, tmp_path: Path) -> None:
    options = ("--models", "stretch, stretch", "--out", tmp_path)
    result = run("evaluate", "--photos", photos, *options)
    assert result.exit_code == 2
    assert "twice" in result.stderr


def test_a_page_is_of_one_model(run: Run, photos: Path, tmp_path: Path) -> None:
    options = ("--models", "stretch", "--page", tmp_path / "page.md")
    assert run("evaluate", "--photos", photos, *options).exit_code == 2
