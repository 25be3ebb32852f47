"""The table of mixed light: fixed cases, columns, targets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from vae_balance.evaluation.cases import UNDAMAGED
from vae_balance.evaluation.mixed_light import (
    BALANCER,
    BLENDED,
    COLUMNS,
    MIXED_LIGHT,
    ONE_FUNCTION,
    SHEET,
    MixedQuality,
    MixedScore,
    draw_mixed_cases,
)
from vae_balance.evaluation.quality import BEST
from vae_balance.training.photos import read_split

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two photos of a held-out source."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "pixls").mkdir()
    rng = np.random.default_rng(4)
    for number in range(2):
        small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        path = folder / "pixls" / f"{number}.png"
        small.resize((320, 240), Image.Resampling.BICUBIC).save(path)
    return folder


def test_every_photo_comes_blended_twice_with_one_function_and_undamaged(photos: Path) -> None:
    paths = read_split(photos).final
    first, again = (list(draw_mixed_cases(paths)) for _ in range(2))
    assert Counter(case.group for case in first) == {BLENDED: 4, ONE_FUNCTION: 2, UNDAMAGED: 2}
    assert len({case.kind for case in first if case.group == BLENDED}) == 4
    for case, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(case.damaged, same.damaged)
        changed = np.abs(case.damaged - case.truth).max() > 0.0
        assert changed == (case.group != UNDAMAGED)


def test_the_table_of_a_model_is_printed_and_kept(run: Run, photos: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "out", tmp_path / "page.md"
    result = run(
        *("evaluate", "--photos", photos, "--model", "mixed-light", "--device", "cpu"),
        *("--out", out, "--page", page, "--quiet"),
    )
    assert result.exit_code == 0, result.output
    for column in COLUMNS:
        assert column in result.output
    assert "blended: mixed light / latent balancer" in result.output
    kept = json.loads((out / "quality.json").read_text("utf-8"))
    assert len(kept["cases"]) == 8
    assert len(kept["targets"]) == 4
    with Image.open(out / SHEET) as sheet:
        assert sheet.width > 400
    assert "--model mixed-light" in page.read_text("utf-8")


def score(group: str, balancer: float, mixed: float, best: float) -> MixedScore:
    errors = {**dict.fromkeys(COLUMNS, 9.0), BALANCER: balancer, MIXED_LIGHT: mixed, BEST: best}
    return MixedScore("a.jpg", group, group, errors)


def test_targets_are_what_the_scores_add_up_to() -> None:
    scores = (
        score(BLENDED, 8.0, 5.0, 6.0),
        score(BLENDED, 8.0, 6.0, 5.0),
        score(ONE_FUNCTION, 4.0, 4.2, 1.0),
        score(UNDAMAGED, 0.5, 1.0, 0.0),
    )
    ratio, below, one, change = MixedQuality("a 1", scores).targets()
    assert ratio.figure == pytest.approx(11 / 16)
    assert ratio.reached
    assert (below.figure, below.reached) == (0.5, True)
    assert one.figure == pytest.approx(1.05)
    assert not one.reached
    assert (change.figure, change.reached) == (1.0, True)
