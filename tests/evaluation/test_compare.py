"""Models of whichever correctors side by side, on the cases of the quality table."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from vae_balance.correctors.classical import per_channel_stretch
from vae_balance.evaluation.cases import EXTREME, UNDAMAGED, draw_cases, held_out_photos
from vae_balance.evaluation.compare import Comparison
from vae_balance.evaluation.evaluate import error_to
from vae_balance.evaluation.quality import BEST, NONE, Score

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
    heading = (
        "| mean (95th percentile) of CIEDE2000 | no correction | random 0 | stretch 1 | "
        "grey-world 1 | best color map | cases |"
    )
    assert table.startswith(heading)
    assert table.count(heading) == 2  # in short, and in full
    case = next(draw_cases(held_out_photos(photos)))
    expected = error_to(case.truth)(per_channel_stretch(case.damaged))
    assert written["cases"][0]["errors"]["stretch 1"] == pytest.approx(expected, abs=0.2)


def test_a_model_named_twice_is_refused(run: Run, photos: Path, tmp_path: Path) -> None:
    options = ("--models", "stretch, stretch", "--out", tmp_path)
    result = run("evaluate", "--photos", photos, *options)
    assert result.exit_code == 2
    assert "twice" in result.stderr


def test_one_model_and_several_are_not_asked_for_together(run: Run, photos: Path) -> None:
    result = run("evaluate", "--photos", photos, "--model", "stretch", "--models", "grey-world")
    assert result.exit_code == 2
    assert "--model and --models: give one of them" in result.stderr


def test_a_model_without_a_latent_balancer_is_told_its_table(run: Run, photos: Path) -> None:
    result = run("evaluate", "--photos", photos, "--model", "stretch")
    assert result.exit_code == 2
    assert "--models stretch tells how good it is" in result.stderr


def test_a_page_that_could_not_be_written_is_refused_before_the_work(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    for page, reason in ((tmp_path / "absent" / "page.md", "no folder"), (tmp_path, "is a folder")):
        out = tmp_path / "out"
        result = run("evaluate", "--photos", photos, "--out", out, "--page", page)
        assert result.exit_code == 2
        assert reason in result.stderr
        assert not out.exists()


def test_white_balance_is_told_apart_from_everything_else() -> None:
    def score(kind: str, strength: str, error: float) -> Score:
        return Score("a/b.png", kind, strength, {NONE: error, "m 1": error / 2, BEST: 0.0})

    scores = (
        score("white balance", "mild", 8.0),
        score("white balance", "strong", 12.0),
        score("curves", "mild", 20.0),
        score("white balance", EXTREME, 90.0),
        score(UNDAMAGED, "", 0.0),
    )
    short, _ = Comparison(("m 1",), scores).table_markdown().split("\n\n", 1)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in short.splitlines()[2:]]
    told = {row[0].strip("*"): (row[1].split()[0], row[2].split()[0], row[-1]) for row in rows}
    assert told == {
        "white balance": ("10.0", "5.0", "2"),
        "everything else": ("20.0", "10.0", "1"),
        "all damage": ("13.3", "6.7", "3"),
        "extreme": ("90.0", "45.0", "1"),
        "undamaged": ("0.0", "0.0", "1"),
    }


def test_a_page_and_sheets_are_left(run: Run, photos: Path, tmp_path: Path) -> None:
    page, out = tmp_path / "page.md", tmp_path / "out"
    options = ("--models", "stretch,grey-world", "--page", page, "--out", out, "--limit", "1")
    result = run("evaluate", "--photos", photos, *options)
    assert result.exit_code == 0, result.stderr
    text = page.read_text("utf-8")
    assert "evaluate --photos photos --limit 1 --models stretch,grey-world`" in text
    assert "| **undamaged** |" in text
    sizes = []
    for name in ("white_balance.jpg", "compared.jpg"):
        with Image.open(out / name) as sheet:
            sizes.append(sheet.size)
            pixels = np.asarray(sheet.convert("RGB"), dtype=np.float32)
        # damaged, two models, undamaged: four pictures beside each other, no two alike
        squares = [pixels[40:160, 20 + 174 * i : 150 + 174 * i] for i in range(4)]
        assert all(np.abs(a - b).mean() > 1.0 for a, b in combinations(squares, 2)), name
    assert sizes[0] == sizes[1]
