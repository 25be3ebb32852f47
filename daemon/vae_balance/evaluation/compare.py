"""Compare models, of whichever correctors: a column each on the cases of the quality table."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from vae_balance.color.arrays import Colors
from vae_balance.correctors.corrector import Corrector, LookOptions
from vae_balance.errors import OptionError
from vae_balance.evaluation.cases import (
    DAMAGES_PER_PHOTO,
    EXTREME,
    UNDAMAGED,
    draw_cases,
    draw_extreme_cases,
    draw_sheet_cases,
    held_out_photos,
)
from vae_balance.evaluation.evaluate import error_to
from vae_balance.evaluation.quality import (
    ALL_DAMAGE,
    BEST,
    EVERYTHING_ELSE,
    MEANING,
    NONE,
    WHITE_BALANCE,
    Score,
    rows_of,
    table_lines,
    table_values,
)
from vae_balance.evaluation.sheets import Strip, sheet_photos, strip_sheet
from vae_balance.files import atomic_write
from vae_balance.looks.color_map import fit_color_map
from vae_balance.looks.look import Place

# What some of the models are made for, beside everything else.
_IN_SHORT = (WHITE_BALANCE, EVERYTHING_ELSE, ALL_DAMAGE, EXTREME, UNDAMAGED)
# Sheets of pictures -> the kind of damage; None: another one for every photo.
_SHEETS = {"white_balance.jpg": WHITE_BALANCE, "compared.jpg": None}
ABOUT = """\
Photos that no training has seen are damaged by chance, corrected by each model as by a user who
chooses it and nothing else, and compared with what they were. "white balance" is a photo that a
camera developed for another light, which `vae-white-balance` is made for. The first table is in
short, the second has every kind of damage and its strengths."""


@dataclass(frozen=True)
class Comparison:
    """Scores of several models on the same cases.

    Attributes:
        models: their names and versions, in the order of the columns.
        scores: one for each case.
    """

    models: tuple[str, ...]
    scores: tuple[Score, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table: nothing done, each model, and the best that can be done."""
        return (NONE, *self.models, BEST)

    def table_markdown(self) -> str:
        """Return the table in short and in full, with its legend, in Markdown."""
        known = set(rows_of(self.scores)) | {EVERYTHING_ELSE}
        short = table_lines(self.scores, self.columns, [r for r in _IN_SHORT if r in known])
        return "\n".join([*short, "", *table_lines(self.scores, self.columns), "", MEANING])

    def dumps(self) -> str:
        """Return table and scores as JSON."""
        values: dict[str, Any] = {
            "models": list(self.models),
            "table": table_values(self.scores, self.columns),
            "cases": [asdict(score) for score in self.scores],
        }
        return json.dumps(values, indent=1) + "\n"


def compare(
    photos: Path,
    correctors: Sequence[Corrector],
    out: Path,
    report: Callable[[int, int], None] = lambda done, total: None,
    limit: int | None = None,
) -> Comparison:
    """Score models on the held-out photos and leave tables and sheets of pictures in `out`.

    Writes comparison.json, comparison.md, white_balance.jpg and compared.jpg (what each model makes
    of photos that a camera balanced wrongly, and of photos with all kinds of damage). What is
    scored is what a user gets who chooses the model and nothing else.

    Args:
        photos: folder of photos, in sub-folders by source as in `training/split.json`.
        correctors: what is compared.
        out: folder for the results, made when missing.
        report: called before every case with those done and all.
        limit: at most so many photos, evenly spaced; None takes all.

    Raises:
        OptionError: there are no held-out photos in the folder, or a model is named twice.
        BalanceError: a result cannot be written.
    """
    columns = {f"{each.info.name} {each.info.version}": each for each in correctors}
    if len(columns) < len(correctors):
        raise OptionError("models to compare: one is named twice")
    paths = held_out_photos(photos, limit)
    out.mkdir(parents=True, exist_ok=True)
    total = len(paths) * (2 + DAMAGES_PER_PHOTO)
    scores = []
    for number, case in enumerate(chain(draw_cases(paths), draw_extreme_cases(paths))):
        report(number, total)
        error = error_to(case.truth)
        errors = {NONE: error(case.damaged)}
        for column, corrector in columns.items():
            errors[column] = error(_corrected(case.damaged, corrector))
        errors[BEST] = error(fit_color_map(case.damaged, case.truth)(case.damaged))
        name = case.photo.relative_to(photos).as_posix()
        scores.append(Score(name, case.kind, case.strength, errors))
    report(total, total)
    comparison = Comparison(tuple(columns), tuple(scores))
    for name, text in (("json", comparison.dumps()), ("md", comparison.table_markdown())):
        with atomic_write(out / f"comparison.{name}", overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
    for name, kind in _SHEETS.items():
        strips = []
        for case in draw_sheet_cases(sheet_photos(photos, paths), kind):
            made = [_corrected(case.damaged, corrector) for corrector in columns.values()]
            strips.append(Strip(case.kind, (case.damaged, *made, case.truth)))
        strip_sheet(strips, ("damaged", *columns, "undamaged"), out / name, 1)
    return comparison


def _corrected(pixels: Colors, corrector: Corrector) -> Colors:
    """Return a proxy (H, W, 3), sRGB-encoded, 0..1, as a model corrects it by itself."""
    look = corrector.learn([pixels], LookOptions())
    return look.apply(pixels, Place.whole(pixels))
