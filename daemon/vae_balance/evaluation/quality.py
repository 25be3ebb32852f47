"""The quality table: color errors of every correction on every case, and what they add up to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from vae_balance.evaluation.cases import (
    EXTREME,
    EXTREME_STRENGTH,
    SCANNED,
    STRENGTHS,
    UNDAMAGED,
)
from vae_balance.evaluation.targets import Target, targets_markdown
from vae_balance.looks.report import RIGHT
from vae_balance.looks.safe_lut import LEAST_UNFOLDED, Safety
from vae_balance.training.damage import KIND_NAMES

NONE = "no correction"
GREY_WORLD = "grey world"
SHADES_OF_GREY = "shades of grey"
STRETCH = "per-channel stretch"
CLASSICAL = (GREY_WORLD, SHADES_OF_GREY, STRETCH)
PUBLISHED = "published mapper*"
OURS_BESIDE_PUBLISHED = "our mapper*"
ITERATIONS = (1, 2, 3, 5)
OURS = {count: f"ours, {count} iteration{'s' if count > 1 else ''}" for count in ITERATIONS}
AUTO = "ours, auto"
BEST = "best color map"
COLUMNS = (NONE, *CLASSICAL, PUBLISHED, OURS_BESIDE_PUBLISHED, *OURS.values(), AUTO, BEST)
ALL_DAMAGE = "all damage"
# The damage that some models are made for, and the rest of it.
WHITE_BALANCE, EVERYTHING_ELSE = "white balance", "everything else"
# For readers of the table.
ABOUT = """
Photos that no training has seen are damaged by chance, balanced, and compared with what they were.
The rows are kinds of damage, then its strengths, then all of it. The columns are no correction,
three classical ones, the published algorithm's own color map beside ours behind the same networks,
ours by iterations (auto: as many as the model finds worth while), and our color map fitted
to the undamaged photo itself, the best it could do. A look is safe when its LUT keeps 65,536 greys
in order, none more than 64 of 65,535 codes above the one before, and folds no colors over one
another in at least 99.5 % of the cells of its lattice that the photo occupies.
"""
MEANING = (
    "Error of a case: mean CIEDE2000 to the undamaged photo; of undamaged photos: how far they are "
    f"changed. Strengths: {', '.join(f'{name} {value}' for name, value in STRENGTHS.items())}; "
    f"extreme {EXTREME_STRENGTH} is not in all damage, nor is {SCANNED}: damage at all strengths, "
    "then what scans and files add, which no color function takes away."
)
# Bounds of confidence between which looks are counted.
CONFIDENCES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.01)
# Rows below those of kinds and strengths.
_APART = (ALL_DAMAGE, EXTREME, SCANNED, UNDAMAGED)


@dataclass(frozen=True)
class Score:
    """Mean CIEDE2000 of one case to its undamaged photo, by column.

    Attributes:
        photo: source and file name.
        kind: of the damage.
        strength: of the damage, as in `Case`.
        errors: column -> error; columns that were not measured on this case are missing.
        confidence: that the model has in its look at auto, 0..1; None where it does not judge.
        rounds: of the look at auto.
        safety: of its LUT; None where it was not measured.
    """

    photo: str
    kind: str
    strength: str
    errors: dict[str, float]
    confidence: float | None = None
    rounds: int = 1
    safety: Safety | None = None


@dataclass(frozen=True)
class Cell:
    """What one column makes of one row's cases."""

    mean: float
    percentile95: float
    cases: int


@dataclass(frozen=True)
class VaeScore:
    """How well the VAE gives proxies back, before any balancing.

    Attributes:
        psnr: mean over proxies, in dB.
        color: mean CIE76 of the pictures averaged 8 x 8.
    """

    psnr: float
    color: float


@dataclass(frozen=True)
class Quality:
    """All scores of one model.

    Attributes:
        model: its name and version.
        scores: one for each case.
        vae_clean: the VAE on undamaged photos.
        vae_damaged: the VAE on damaged photos.
    """

    model: str
    scores: tuple[Score, ...]
    vae_clean: VaeScore
    vae_damaged: VaeScore

    def cell(self, row: str, column: str) -> Cell | None:
        """Return mean and percentile over the cases of a row, None where none was measured."""
        return cell_of(self.scores, row, column)

    def rows(self) -> list[str]:
        """Return the rows that have cases, in order."""
        return rows_of(self.scores)

    def best_classical(self) -> str:
        """Return the classical column with the least mean error on all damage."""
        means = {column: self._mean(ALL_DAMAGE, column) for column in CLASSICAL}
        return min(CLASSICAL, key=lambda column: means[column] or 0.0)

    def targets(self) -> list[Target]:
        """Return every figure that has a target."""
        best = self.best_classical()
        fixed = min(OURS.values(), key=lambda column: self._mean(ALL_DAMAGE, column) or 0.0)
        return [
            self._ratio(ALL_DAMAGE, OURS[1], best, 0.55),
            self._worst_kind(OURS[1], 0.8),
            Target("extreme damage, at auto", self._mean(EXTREME, AUTO), 8.0),
            Target("change of undamaged photos, at auto", self._mean(UNDAMAGED, AUTO), 1.2),
            self._ratio(ALL_DAMAGE, AUTO, fixed, 1.03),
            self._ratio(EXTREME, OURS[3], OURS[1], 0.93),
            self._ratio(ALL_DAMAGE, OURS_BESIDE_PUBLISHED, PUBLISHED, 1.0),
            *self._safe_looks(),
            Target("VAE on undamaged photos, PSNR", self.vae_clean.psnr, 26.0, "dB", False),
            Target("VAE on damaged photos, PSNR", self.vae_damaged.psnr, 26.0, "dB", False),
            Target("VAE on undamaged photos, CIE76 at 1/8", self.vae_clean.color, 1.6),
            Target("VAE on damaged photos, CIE76 at 1/8", self.vae_damaged.color, 1.6),
        ]

    def table_markdown(self) -> str:
        """Return the table with its legend and the targets, in Markdown."""
        few = sum(PUBLISHED in score.errors for score in self.scores)
        legend = (
            f"Model {self.model}. {MEANING} * on {few} of the cases, the published mapper being "
            "slow.\n"
        )
        lines = table_lines(self.scores, COLUMNS)
        figures = targets_markdown(self.targets())
        return "\n".join([*lines, "", legend, figures, self.confidence_markdown()]).rstrip("\n")

    def to_json(self) -> dict[str, Any]:
        """Return the table, the targets and the scores as values that `json.dumps` takes."""
        return {
            "model": self.model,
            "table": table_values(self.scores, COLUMNS),
            "targets": [target.to_json() for target in self.targets()],
            "vae": {"undamaged": asdict(self.vae_clean), "damaged": asdict(self.vae_damaged)},
            "cases": [asdict(score) for score in self.scores],
        }

    def dumps(self) -> str:
        """Return `to_json` as text."""
        return json.dumps(self.to_json(), indent=1) + "\n"

    def _mean(self, row: str, column: str) -> float | None:
        cell = self.cell(row, column)
        return None if cell is None else cell.mean

    def _safe_looks(self) -> list[Target]:
        """Return how many looks keep colors and greys in order, and the worst of them."""
        measured = [score.safety for score in self.scores if score.safety is not None]
        share = float(np.mean([each.safe for each in measured])) if measured else None
        unfolded = min((each.unfolded for each in measured), default=None)
        return [
            Target("safe looks, at auto", share, 1.0, at_most=False, detail=f"{len(measured)}"),
            Target(
                "least share of a photo's colors without folds", unfolded, LEAST_UNFOLDED, "", False
            ),
        ]

    def _worst_kind(self, column: str, bound: float) -> Target:
        """Return the greatest ratio to the best classical column of the same kind of damage."""
        ratios: dict[str, float] = {}
        for kind in KIND_NAMES:
            ours = self._mean(kind, column)
            classical = [self._mean(kind, other) for other in CLASSICAL]
            known = [error for error in classical if error]
            if ours is not None and known:
                ratios[kind] = ours / min(known)
        name = f"worst kind of damage: {column} / best classical for it"
        if not ratios:
            return Target(name, None, bound)
        worst = max(ratios, key=lambda kind: ratios[kind])
        return Target(name, ratios[worst], bound, detail=worst)

    def confidence_markdown(self) -> str:
        """Return how often looks are right by how sure the model is of them, in Markdown."""
        # Noise is an error that says nothing of colors.
        colors = [score for score in self.scores if score.strength != SCANNED]
        judged = [score for score in colors if score.confidence is not None]
        if not judged:
            return ""
        lines = ["", "| sure by | looks | right |", "|---|---:|---:|"]
        for low, high in pairwise(CONFIDENCES):
            found = [s.errors[AUTO] <= RIGHT for s in judged if low <= (s.confidence or 0.0) < high]
            if found:
                share = sum(found) / len(found)
                lines.append(f"| {low:.0%} to {min(high, 1.0):.0%} | {len(found)} | {share:.0%} |")
        rounds = float(np.mean([score.rounds for score in judged]))
        text = (
            f"A look counts as right up to an error of {RIGHT:g}. Extreme damage is included, "
            f"{SCANNED} are not. "
            f"Rounds at auto: {rounds:.2f} on average.\n"
        )
        return "\n".join([*lines, "", text])

    def _ratio(self, row: str, column: str, reference: str, bound: float) -> Target:
        name = f"{row}: {column} / {reference}".replace("*", "")
        figure, other = self._mean(row, column), self._mean(row, reference)
        if figure is None or not other:
            return Target(name, None, bound)
        return Target(name, figure / other, bound, detail=f"{figure:.2f} / {other:.2f}")


def cell_of(scores: Sequence[Score], row: str, column: str) -> Cell | None:
    """Return mean and percentile over the cases of a row, None where none was measured."""
    errors = [s.errors[column] for s in scores if column in s.errors and _in(row, s)]
    if not errors:
        return None
    return Cell(float(np.mean(errors)), float(np.percentile(errors, 95)), len(errors))


def rows_of(scores: Sequence[Score]) -> list[str]:
    """Return the rows that have cases, in order."""
    names = [*KIND_NAMES, *STRENGTHS, *_APART]
    return [row for row in names if any(_in(row, score) for score in scores)]


def table_lines(
    scores: Sequence[Score], columns: Sequence[str], rows: Sequence[str] | None = None
) -> list[str]:
    """Return a table of scores in Markdown, by default of all rows that have cases."""
    lines = [
        f"| mean (95th percentile) of CIEDE2000 | {' | '.join(columns)} | cases |",
        "|---|" + "---:|" * (len(columns) + 1),
    ]
    for row in rows_of(scores) if rows is None else rows:
        cells = [_text(cell_of(scores, row, column)) for column in columns]
        name = f"**{row}**" if row in _APART else row
        count = sum(_in(row, score) for score in scores)
        lines.append(f"| {name} | {' | '.join(cells)} | {count} |")
    return lines


def table_values(
    scores: Sequence[Score], columns: Sequence[str]
) -> dict[str, dict[str, dict[str, float] | None]]:
    """Return a table of scores as values that `json.dumps` takes."""
    return {
        row: {column: _values(cell_of(scores, row, column)) for column in columns}
        for row in rows_of(scores)
    }


def _in(row: str, score: Score) -> bool:
    if score.strength in (EXTREME, SCANNED):
        return row == score.strength
    if row == ALL_DAMAGE:
        return score.kind != UNDAMAGED
    if row == EVERYTHING_ELSE:
        return score.kind not in (UNDAMAGED, WHITE_BALANCE)
    return row in (score.kind, score.strength)


def _text(cell: Cell | None) -> str:
    return "-" if cell is None else f"{cell.mean:.1f} ({cell.percentile95:.1f})"


def _values(cell: Cell | None) -> dict[str, float] | None:
    return None if cell is None else asdict(cell)
