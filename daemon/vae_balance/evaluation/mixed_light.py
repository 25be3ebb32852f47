"""How well mixed light is corrected: held-out photos under damage that depends on the place.

Each photo comes under two blended damages, under one color function, and undamaged; kinds and
strengths rotate, and the seeds are fixed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vae_balance.color.arrays import Colors
from vae_balance.correctors.classical import grey_world, per_channel_stretch, shades_of_grey
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.mixed_light.corrector import MixedLightCorrector
from vae_balance.evaluation.cases import STRENGTHS, UNDAMAGED, held_out_photos
from vae_balance.evaluation.evaluate import error_to
from vae_balance.evaluation.quality import BEST, CLASSICAL, NONE
from vae_balance.evaluation.sheets import Strip, strip_sheet
from vae_balance.evaluation.targets import Target, targets_markdown
from vae_balance.files import atomic_write
from vae_balance.looks.color_map import fit_color_map
from vae_balance.looks.look import Place
from vae_balance.photos.proxy import PROXY_SIZE
from vae_balance.training.blended_damage import BLENDED_KINDS, random_blended_damage
from vae_balance.training.damage import KIND_NAMES, random_damage
from vae_balance.training.photos import centre_square, load_photo, to_8_bits

BALANCER, MIXED_LIGHT = "latent balancer", "mixed light"
COLUMNS = (NONE, *CLASSICAL, BALANCER, MIXED_LIGHT, BEST)
BLENDED, ONE_FUNCTION = "blended", "one function"
SHEET, SHEET_PHOTOS = "mixed_light.png", 24
SEED = 1604
ABOUT = f"""\
For photos whose light differs from place to place: window light beside a lamp, neon on one side, a
light leak, a burned corner. On top of the latent balancer's look, which is one color function for
the whole photo, a copy of the balancer that asks of every place what light falls there says what
colors it takes to be right. To that a grid is fitted: it tells 16 x 16 places, each at 8 steps from
dark to light, how their colors are to change beside that look (`--explain` draws what was added
where). Every pixel takes what the places around it say to its own lightness, so that edges of light
follow edges of things. Where the network expects to gain nothing, the photo is left to the look.
Such a look holds for one photo and depends on the place in it: a roll is balanced photo by photo,
and it cannot be a LUT file. `--average-lut` of `learn` and `balance` writes its average, which
corrects no place fully, as does GIMP's dialog where a LUT file is asked for; comments in the file
and a message say so, and scripts are refused.

    vae-balance balance photo.jpg -o balanced.jpg --model mixed-light

The table: photos that no training has seen, under two or three color functions blended by masks,
under vignettes, burned corners and light leaks; then under one color function, and undamaged.
Strengths: {", ".join(f"{name} {value:g}" for name, value in STRENGTHS.items())}. The columns are no
correction, three classical ones, the latent balancer at auto, mixed light on top of it, and the
best single color map: fitted to the undamaged photo itself, it is the bound of all LUTs."""


@dataclass(frozen=True, eq=False)
class MixedCase:
    """A photo and what befell it; (224, 224, 3), sRGB-encoded, of 8-bit steps.

    Attributes:
        photo: its file.
        group: `BLENDED`, `ONE_FUNCTION` or `UNDAMAGED`.
        kind: of the damage.
        truth: the undamaged photo.
        damaged: what a correction is given.
    """

    photo: Path
    group: str
    kind: str
    truth: Colors
    damaged: Colors


@dataclass(frozen=True)
class MixedScore:
    """Mean CIEDE2000 of one case to its undamaged photo, by column."""

    photo: str
    group: str
    kind: str
    errors: dict[str, float]


@dataclass(frozen=True)
class MixedQuality:
    """The scores of one model."""

    model: str
    scores: tuple[MixedScore, ...]

    def targets(self) -> list[Target]:
        """Return every figure that has a target."""
        blended = [score.errors for score in self.scores if score.group == BLENDED]
        below = [errors[MIXED_LIGHT] < errors[BEST] for errors in blended]
        return [
            self._ratio(BLENDED, 0.75),
            Target(
                "share of blended cases below the best single color map",
                float(np.mean(below)) if below else None,
                1 / 3,
                at_most=False,
            ),
            self._ratio(ONE_FUNCTION, 1.03),
            Target("change of undamaged photos", self._mean(UNDAMAGED, MIXED_LIGHT), 1.5),
        ]

    def table_markdown(self) -> str:
        """Return the table and the targets in Markdown."""
        lines = [
            f"| mean (95th percentile) of CIEDE2000 | {' | '.join(COLUMNS)} | cases |",
            "|---|" + "---:|" * (len(COLUMNS) + 1),
        ]
        groups = (BLENDED, ONE_FUNCTION, UNDAMAGED)
        rows = [
            *((kind, [s for s in self.scores if s.kind == kind]) for kind in BLENDED_KINDS),
            *((f"**{name}**", [s for s in self.scores if s.group == name]) for name in groups),
        ]
        for name, scores in rows:
            if scores:
                cells = [_cell([score.errors[column] for score in scores]) for column in COLUMNS]
                lines.append(f"| {name} | {' | '.join(cells)} | {len(scores)} |")
        table = "\n".join(lines)
        return f"{table}\n\nModel {self.model}.\n\n{targets_markdown(self.targets())}"

    def dumps(self) -> str:
        """Return targets and scores as JSON."""
        values: dict[str, Any] = {
            "model": self.model,
            "targets": [target.to_json() for target in self.targets()],
            "cases": [asdict(score) for score in self.scores],
        }
        return json.dumps(values, indent=1) + "\n"

    def _mean(self, group: str, column: str) -> float | None:
        errors = [score.errors[column] for score in self.scores if score.group == group]
        return float(np.mean(errors)) if errors else None

    def _ratio(self, group: str, bound: float) -> Target:
        name = f"{group}: {MIXED_LIGHT} / {BALANCER}"
        figure, other = self._mean(group, MIXED_LIGHT), self._mean(group, BALANCER)
        if figure is None or not other:
            return Target(name, None, bound)
        return Target(name, figure / other, bound, detail=f"{figure:.2f} / {other:.2f}")


def draw_mixed_cases(photos: Sequence[Path]) -> Iterator[MixedCase]:
    """Make the cases of photos; the same photos give the same cases, bit for bit."""
    strengths = list(STRENGTHS.values())
    for number, path in enumerate(photos):
        truth = to_8_bits(centre_square(load_photo(path), PROXY_SIZE))
        for drawn in (2 * number, 2 * number + 1):
            kind = BLENDED_KINDS[drawn % len(BLENDED_KINDS)]
            rng = np.random.default_rng((SEED, drawn))
            blended = random_blended_damage(rng, kind, strengths[drawn % len(strengths)])
            yield MixedCase(path, BLENDED, kind, truth, to_8_bits(blended(truth)))
        kind = KIND_NAMES[number % len(KIND_NAMES)]
        # The third number keeps these draws apart from those above.
        rng = np.random.default_rng((SEED, number, 1))
        damage = random_damage(rng, kind, strengths[number % len(strengths)])
        yield MixedCase(path, ONE_FUNCTION, kind, truth, to_8_bits(damage(truth)))
        yield MixedCase(path, UNDAMAGED, UNDAMAGED, truth, truth)


def corrections_of(case: MixedCase, corrector: MixedLightCorrector) -> dict[str, Colors]:
    """Return what every column makes of a case."""
    given = case.damaged
    look = corrector.learn([given], LookOptions())
    made = (
        given,
        grey_world(given),
        shades_of_grey(given),
        per_channel_stretch(given),
        look.balanced.lut(given),
        look.apply(given, Place.whole(given)),
        fit_color_map(given, case.truth)(given),
    )
    return dict(zip(COLUMNS, made, strict=True))


def evaluate_mixed_light(
    photos: Path,
    corrector: MixedLightCorrector,
    out: Path,
    report: Callable[[int, int], None] = lambda done, total: None,
    limit: int | None = None,
) -> MixedQuality:
    """Score a model on held-out photos, and leave table, scores and a sheet of pictures in `out`.

    Writes quality.json, quality.md and mixed_light.png (24 photos: damaged, latent balancer, mixed
    light, undamaged).

    Args:
        photos: folder of photos, in sub-folders by source as in `training/split.json`.
        corrector: what is scored.
        out: folder for the results, made when missing.
        report: called before every case with those done and all.
        limit: at most so many photos, evenly spaced; None takes all.

    Raises:
        OptionError: there are no held-out photos in the folder.
        BalanceError: a result cannot be written.
    """
    paths = held_out_photos(photos, limit)
    out.mkdir(parents=True, exist_ok=True)
    shown = {paths[i * len(paths) // SHEET_PHOTOS] for i in range(SHEET_PHOTOS)}
    scores: list[MixedScore] = []
    strips: list[Strip] = []
    for number, case in enumerate(draw_mixed_cases(paths)):
        report(number, 4 * len(paths))
        error, made = error_to(case.truth), corrections_of(case, corrector)
        name = case.photo.relative_to(photos).as_posix()
        errors = {column: error(picture) for column, picture in made.items()}
        scores.append(MixedScore(name, case.group, case.kind, errors))
        if case.group == BLENDED and case.photo in shown:
            shown.remove(case.photo)
            before, after = errors[BALANCER], errors[MIXED_LIGHT]
            pictures = [case.damaged, made[BALANCER], made[MIXED_LIGHT], case.truth]
            strips.append(Strip(f"{case.kind}: {before:.1f}, {after:.1f}", pictures))
    report(4 * len(paths), 4 * len(paths))
    model = f"{corrector.info.name} {corrector.info.version}"
    quality = MixedQuality(model, tuple(scores))
    for suffix, text in (("json", quality.dumps()), ("md", quality.table_markdown())):
        with atomic_write(out / f"quality.{suffix}", overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
    strip_sheet(strips, ("damaged", BALANCER, MIXED_LIGHT, "undamaged"), out / SHEET)
    return quality


def _cell(errors: Sequence[float]) -> str:
    return f"{np.mean(errors):.1f} ({np.percentile(errors, 95):.1f})"
