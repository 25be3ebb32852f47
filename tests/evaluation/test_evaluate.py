"""The quality table: fixed cases, honest columns, targets."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.latent_balancer.balancer_network import LatentBalancer
from vae_balance.correctors.latent_balancer.learn import learn_look
from vae_balance.correctors.latent_balancer.model import Model, load_model
from vae_balance.errors import OptionError
from vae_balance.evaluation import evaluate as evaluation
from vae_balance.evaluation.cases import (
    EXTREME,
    SCANNED,
    SOURCE_PHOTOS,
    STRENGTHS,
    UNDAMAGED,
    Case,
    draw_cases,
    draw_extreme_cases,
    draw_scanned_cases,
    held_out_photos,
)
from vae_balance.evaluation.evaluate import evaluate, measure
from vae_balance.evaluation.quality import (
    ALL_DAMAGE,
    AUTO,
    BEST,
    COLUMNS,
    GREY_WORLD,
    NONE,
    OURS,
    OURS_BESIDE_PUBLISHED,
    PUBLISHED,
    SHADES_OF_GREY,
    STRETCH,
    Quality,
    Score,
    VaeScore,
)
from vae_balance.evaluation.sheets import SHEET_PHOTOS, damage_sheet
from vae_balance.looks.color_map import fit_color_map
from vae_balance.looks.safe_lut import Safety
from vae_balance.training import damage
from vae_balance.training.damage import KIND_NAMES
from vae_balance.training.photos import read_split


def save_photos(folder: Path, source: str, count: int, side: int = 240) -> None:
    """Save photos of soft color gradients as `folder/source/00.png` and so on."""
    (folder / source).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        y, x = np.mgrid[0:side, 0:side] / side
        waves = [np.sin(rng.uniform(2, 9) * x + rng.uniform(2, 9) * y + i) for i in range(3)]
        pixels = (255 * (0.5 + 0.45 * np.stack(waves, axis=-1))).astype(np.uint8)
        Image.fromarray(pixels).save(folder / source / f"{number:02d}.png")


@pytest.fixture(scope="module")
def model(random_model: Path) -> Model:
    return load_model(str(random_model), "cpu")


@dataclass
class Evaluated:
    quality: Quality
    out: Path
    reports: list[tuple[int, int]]


@pytest.fixture(scope="module")
def evaluated(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evaluated]:
    photos, out = tmp_path_factory.mktemp("photos"), tmp_path_factory.mktemp("out") / "quality"
    save_photos(photos, "gov_doi", 1)
    reports: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        # The published mapper takes seconds: the columns beside it are tested with ours in place.
        patch.setattr(evaluation, "fit_published_color_map", fit_color_map)
        patch.setattr(evaluation, "PUBLISHED_EVERY", 3)
        patch.setattr(evaluation, "damage_sheet", Path.touch)
        quality = evaluate(photos, model, out, lambda done, total, _: reports.append((done, total)))
    yield Evaluated(quality, out, reports)


def flat(value: float) -> NDArray[np.float32]:
    return np.full((224, 224, 3), value, dtype=np.float32)


def test_only_held_out_photos_are_evaluated_and_food_does_not_outweigh_the_rest(
    tmp_path: Path,
) -> None:
    for source, count in (("gsa18f", 3), ("gov_ekip", 5), ("basedcooking", 60)):
        save_photos(tmp_path, source, count, side=8)
    photos = held_out_photos(tmp_path)
    counts = Counter(path.parent.name for path in photos)
    assert counts == {"gov_ekip": 5, "basedcooking": SOURCE_PHOTOS}
    assert not set(photos) & {p for group in read_split(tmp_path).training for p in group.paths}


def test_a_limit_takes_photos_of_all_sources(tmp_path: Path) -> None:
    for source in ("gov_ekip", "budgie", "calyx"):
        save_photos(tmp_path, source, 6, side=8)
    photos = held_out_photos(tmp_path, limit=3)
    assert {path.parent.name for path in photos} == {"gov_ekip", "budgie", "calyx"}


def test_a_folder_without_held_out_photos_says_so(tmp_path: Path) -> None:
    save_photos(tmp_path, "mine", 2, side=8)
    with pytest.raises(OptionError, match="none of the held-out sources"):
        held_out_photos(tmp_path)


def test_a_limit_of_nothing_is_refused(tmp_path: Path) -> None:
    save_photos(tmp_path, "calyx", 1, side=8)
    with pytest.raises(OptionError, match="limit 0"):
        held_out_photos(tmp_path, limit=0)


def test_all_kinds_at_all_strengths_come_round(tmp_path: Path) -> None:
    for source in ("calyx", "budgie"):
        save_photos(tmp_path, source, 8, side=16)
    cases = list(draw_cases(held_out_photos(tmp_path)))
    cells = Counter((case.kind, case.strength) for case in cases if case.kind != UNDAMAGED)
    assert set(cells) == {(kind, strength) for kind in KIND_NAMES for strength in STRENGTHS}
    assert max(cells.values()) - min(cells.values()) <= 1


def test_every_photo_comes_once_with_extreme_damage_and_once_as_a_scan_of_all_kinds_in_turn(
    tmp_path: Path,
) -> None:
    for source, count in (("budgie", len(KIND_NAMES) // 2), ("calyx", len(KIND_NAMES) // 2 + 1)):
        save_photos(tmp_path, source, count, side=16)
    photos = held_out_photos(tmp_path)
    for draw, strength in ((draw_extreme_cases, EXTREME), (draw_scanned_cases, SCANNED)):
        cases = list(draw(photos))
        assert [case.photo for case in cases] == photos
        assert [case.kind for case in cases] == list(KIND_NAMES)
        assert {case.strength for case in cases} == {strength}


@pytest.mark.parametrize("draw", [draw_cases, draw_extreme_cases, draw_scanned_cases])
def test_cases_are_the_same_every_time_and_of_8_bits(
    draw: Callable[[Sequence[Path]], Iterator[Case]], tmp_path: Path
) -> None:
    save_photos(tmp_path, "calyx", 1, side=64)
    first, second = (list(draw(held_out_photos(tmp_path))) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.damaged, other.damaged)
        steps = one.damaged * 255.0
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)


def test_a_balancer_that_moves_nothing_changes_nothing(model: Model) -> None:
    idle = copy.deepcopy(model.latent_balancer)
    assert isinstance(idle, LatentBalancer)
    torch.nn.init.zeros_(idle.leave.weight)
    photo = np.random.default_rng(0).uniform(0, 1, (224, 224, 3)).astype(np.float32)
    case = Case(Path("a"), "tone", "mild", photo, np.sqrt(photo))
    errors, _ = measure(case, replace(model, latent_balancer=idle), with_published=False)
    for column in OURS.values():
        assert errors[column] == pytest.approx(errors[NONE], abs=0.1)
    assert PUBLISHED not in errors


def test_columns_of_iterations_are_looks_of_as_many_rounds(model: Model, tmp_path: Path) -> None:
    save_photos(tmp_path, "calyx", 1)
    case = list(draw_cases(held_out_photos(tmp_path)))[1]
    errors, _ = measure(case, model, with_published=False)
    for count in (1, 3):
        lut = learn_look([case.damaged], model, LookOptions(iterations=count)).lut
        corrected = np.clip(lut(case.damaged[::2, ::2]), 0.0, 1.0)
        truth = rgb2lab(case.truth[::2, ::2])
        expected = deltaE_ciede2000(truth, rgb2lab(corrected)).mean()
        assert errors[OURS[count]] == pytest.approx(expected, abs=1e-3)
    assert errors[OURS[1]] != pytest.approx(errors[OURS[3]], abs=0.1)


def test_errors_are_ciede2000_to_the_undamaged_photo(model: Model) -> None:
    # Of greys, CIEDE2000 is the difference in L* by the weight of lightness (Sharma et al. 2005).
    case = Case(Path("a"), "tone", "mild", flat(0.5), flat(0.6))
    light, dark = (116 * (((v + 0.055) / 1.055) ** 2.4) ** (1 / 3) - 16 for v in (0.6, 0.5))
    mean = ((light + dark) / 2 - 50) ** 2
    expected = (light - dark) / (1 + 0.015 * mean / np.sqrt(20 + mean))
    errors, _ = measure(case, model, with_published=False)
    assert errors[NONE] == pytest.approx(expected, rel=1e-3)
    assert errors[BEST] < 0.2


def test_every_case_has_every_column_but_the_slow_pair(evaluated: Evaluated) -> None:
    slow = {PUBLISHED, OURS_BESIDE_PUBLISHED}
    for number, score in enumerate(evaluated.quality.scores):
        missing = set(COLUMNS) - set(score.errors)
        with_slow = number % 3 == 0 and score.strength != SCANNED
        assert missing == (set() if with_slow else slow)


def test_undamaged_photos_need_no_correction(evaluated: Evaluated) -> None:
    cell = evaluated.quality.cell(UNDAMAGED, NONE)
    assert cell is not None
    assert (cell.mean, cell.cases) == (0.0, 1)


@pytest.mark.parametrize("apart", [EXTREME, SCANNED])
def test_what_is_not_in_all_damage_has_a_row_of_its_own_and_is_in_no_other(
    evaluated: Evaluated, apart: str
) -> None:
    quality = evaluated.quality
    (score,) = (score for score in quality.scores if score.strength == apart)
    cell = quality.cell(apart, NONE)
    assert cell is not None
    assert (cell.mean, cell.cases) == (score.errors[NONE], 1)
    kinds = [quality.cell(kind, NONE) for kind in KIND_NAMES]
    assert sum(kind.cases for kind in kinds if kind) == 4
    assert f"| **{apart}** |" in quality.table_markdown()


def test_noise_and_jpeg_are_more_than_a_color_function(evaluated: Evaluated) -> None:
    (score,) = (score for score in evaluated.quality.scores if score.strength == SCANNED)
    others = [s.errors[BEST] for s in evaluated.quality.scores if s.strength in STRENGTHS]
    assert score.errors[BEST] > max(others)


def test_the_published_pair_differs_in_the_mapper_only(evaluated: Evaluated) -> None:
    # Here both are the same mapper; what is left is the LUT, its shoulders and interpolation.
    pairs = [s.errors for s in evaluated.quality.scores if PUBLISHED in s.errors]
    assert len(pairs) == 2
    for errors in pairs:
        assert errors[PUBLISHED] == pytest.approx(errors[OURS_BESIDE_PUBLISHED], abs=0.2)


def test_progress_counts_all_cases(evaluated: Evaluated) -> None:
    assert evaluated.reports == [(done, 7) for done in range(8)]


def test_table_and_sheets_are_left_in_the_folder(evaluated: Evaluated) -> None:
    table = (evaluated.out / "quality.md").read_text("utf-8")
    assert table == evaluated.quality.table_markdown()
    values = json.loads((evaluated.out / "quality.json").read_text("utf-8"))
    assert values["table"][ALL_DAMAGE][NONE]["cases"] == 4
    assert len(values["cases"]) == 7
    with Image.open(evaluated.out / "before_after.png") as sheet:
        assert sheet.width > sheet.height > 168
    assert (evaluated.out / "damage.png").is_file()


def quality_of(**errors: float) -> Quality:
    """Return a table of one damaged and one undamaged case with the same errors."""
    values = dict.fromkeys(COLUMNS, 10.0) | errors
    scores = (Score("a", "neon", "mild", values), Score("a", UNDAMAGED, "", values))
    return Quality("m 1", scores, VaeScore(27.0, 1.5), VaeScore(25.0, 1.7))


def test_we_are_compared_with_the_best_classical_column() -> None:
    classical = {GREY_WORLD: 9.0, SHADES_OF_GREY: 8.0, STRETCH: 12.0}
    reached = quality_of(**classical, **{OURS[1]: 4.4}).targets()[0]
    missed = quality_of(**classical, **{OURS[1]: 4.5}).targets()[0]
    assert reached.figure == pytest.approx(0.55)
    assert SHADES_OF_GREY in reached.name
    assert (reached.reached, missed.reached) == (True, False)


def test_targets_say_what_is_not_reached() -> None:
    text = quality_of(**{OURS[1]: 2.0, OURS[2]: 2.1, AUTO: 2.05}).table_markdown()
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if "reached" in line}
    verdicts = {name.split(" (")[0]: "NOT" not in line for name, line in lines.items()}
    assert verdicts == {
        "all damage: ours, 1 iteration / grey world": True,
        "worst kind of damage: ours, 1 iteration / best classical for it": True,
        "extreme damage, at auto": False,
        "change of undamaged photos, at auto": False,
        "all damage: ours, auto / ours, 1 iteration": True,
        "extreme: ours, 3 iterations / ours, 1 iteration": False,
        "all damage: our mapper / published mapper": True,
        "safe looks, at auto": False,
        "least share of a photo's colors without folds": False,
        "VAE on undamaged photos, PSNR": True,
        "VAE on damaged photos, PSNR": False,
        "VAE on undamaged photos, CIE76 at 1/8": True,
        "VAE on damaged photos, CIE76 at 1/8": False,
    }


def test_the_worst_kind_is_the_one_with_the_greatest_ratio() -> None:
    easy = dict.fromkeys(COLUMNS, 10.0) | {OURS[1]: 2.0}
    hard = dict.fromkeys(COLUMNS, 4.0) | {OURS[1]: 3.0}
    scores = (Score("a", "neon", "mild", easy), Score("a", "tone", "mild", hard))
    worst = Quality("m 1", scores, VaeScore(0, 0), VaeScore(0, 0)).targets()[1]
    assert worst.figure == pytest.approx(0.75)
    assert worst.detail == "tone"


def test_looks_that_are_not_safe_are_counted() -> None:
    safe, falling, folded = Safety(1.0, 0, 3), Safety(1.0, -1, 3), Safety(0.99, 0, 3)
    scores = tuple(
        Score("a", "neon", "mild", {NONE: 1.0}, safety=each)
        for each in (safe, safe, falling, folded)
    )
    targets = {t.name: t for t in Quality("m 1", scores, VaeScore(0, 0), VaeScore(0, 0)).targets()}
    share = targets["safe looks, at auto"]
    assert (share.figure, share.detail, share.reached) == (0.5, "4", False)
    least = targets["least share of a photo's colors without folds"]
    assert (least.figure, least.reached) == (0.99, False)


def test_every_look_is_measured_for_safety(evaluated: Evaluated) -> None:
    assert all(score.safety is not None for score in evaluated.quality.scores)
    values = json.loads((evaluated.out / "quality.json").read_text("utf-8"))
    assert set(values["cases"][0]["safety"]) == {"unfolded", "least_step", "greatest_step"}


def test_confidence_is_held_against_what_came_out() -> None:
    def score(error: float, sure: float) -> Score:
        return Score("a", "neon", "mild", dict.fromkeys(COLUMNS, error), sure, 2)

    apart = replace(score(9.0, 0.95), strength=SCANNED)  # whose error is of noise, too
    scores = (score(3.0, 0.95), score(5.0, 1.0), score(9.0, 0.91), score(9.0, 0.1), apart)
    text = Quality("m 1", scores, VaeScore(0, 0), VaeScore(0, 0)).table_markdown()
    assert "| 90% to 100% | 3 | 67% |" in text
    assert "| 0% to 25% | 1 | 0% |" in text
    assert "Rounds at auto: 2.00" in text


def test_the_95th_percentile_stands_beside_the_mean() -> None:
    scores = tuple(Score("a", "neon", "mild", {NONE: float(i)}) for i in range(101))
    table = Quality("m 1", scores, VaeScore(0, 0), VaeScore(0, 0)).table_markdown()
    assert "| neon | 50.0 (95.0) |" in table


def test_a_column_that_was_not_measured_is_no_number() -> None:
    scores = (Score("a", "neon", "mild", {NONE: 3.0}),)
    quality = Quality("m 1", scores, VaeScore(0, 0), VaeScore(0, 0))
    assert quality.cell("neon", PUBLISHED) is None
    assert "NaN" not in quality.dumps()


def test_the_sheet_shows_24_held_out_photos() -> None:
    text = Path(damage.__file__).with_name("split.json").read_text("utf-8")
    final = set(json.loads(text)["final"])
    assert len(set(SHEET_PHOTOS)) == 24
    assert {name.split("/")[0] for name in SHEET_PHOTOS} <= final


def test_the_damage_sheet_has_60_different_pictures(tmp_path: Path) -> None:
    damage_sheet(tmp_path / "damage.png")
    with Image.open(tmp_path / "damage.png") as sheet:
        pixels = np.asarray(sheet)
    pitch_x, pitch_y = (pixels.shape[1] - 6) // 10, (pixels.shape[0] - 6) // 6
    pictures = {
        pixels[6 + y * pitch_y :, 6 + x * pitch_x :][:168, :168].tobytes()
        for y in range(6)
        for x in range(10)
    }
    assert len(pictures) == 60
