"""Contact sheets: photos before and after, and what damage looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vae_balance.color.arrays import Colors
from vae_balance.evaluation.cases import SCANNED, STRENGTHS
from vae_balance.photos.painting import paint_grid
from vae_balance.training.damage import KIND_NAMES, MIXED, random_damage
from vae_balance.training.photos import centre_square, to_8_bits
from vae_balance.training.scans import scanned

# Held-out photos of the before/after sheet, faces first, of all skin tones.
SHEET_PHOTOS = (
    "gov_pcorps/f58ed6e11fd381.jpg",
    "gov_doi/af71b371a7c8e8.jpg",
    "gov_doi/712b7e153e1ae3.jpg",
    "gov_ekip/d00083098bcbc2.jpg",
    "gov_ekip/db4cd69012c7d3.jpg",
    "gov_pcorps/a6f04773b3525f.jpg",
    "gov_doi/c6cc0aab999b17.jpg",
    "gov_ekip/691fa4f9cc2202.jpg",
    "gov_ekip/46fbab5f5c87b4.jpg",
    "gov_pcorps/d81450546ee3c3.jpg",
    "gov_ekip/df772a30876abd.jpg",
    "gov_veda_eic/f8de22bd99527b.jpg",
    "gov_ekip/34bbee8fe549c5.jpg",
    "gov_ekip/42293274899e3f.jpg",
    "gov_veda_eic/802a579cefda4c.jpg",
    "gov_veda_eic/9fa63bf50522cf.jpg",
    "gov_veda_eic/55264eb862e398.jpg",
    "budgie/c6a34678106408.jpg",
    "budgie/04d2a93d218408.jpg",
    "budgie/50903c0ec5fb2b.jpg",
    "budgie/cfa488eaa4155b.jpg",
    "basedcooking/8bc78ec171d645.jpg",
    "basedcooking/26095779b9851e.jpg",
    "calyx/b14a97a9bd4227.jpg",
)

_PICTURE = 168


@dataclass(frozen=True, eq=False)
class Triple:
    """One photo of the before/after sheet; pictures are sRGB-encoded float32 (H, W, 3) in 0..1."""

    label: str
    damaged: Colors
    balanced: Colors
    undamaged: Colors


@dataclass(frozen=True, eq=False)
class Strip:
    """Versions of one photo side by side; pictures as in `Triple`, of any size."""

    label: str
    pictures: Sequence[Colors]


def sheet_photos(photos: Path, paths: Sequence[Path]) -> list[Path]:
    """Return the photos of a sheet: those of `SHEET_PHOTOS` in a folder, else some of `paths`."""
    chosen = [photos / name for name in SHEET_PHOTOS if (photos / name).is_file()]
    return chosen or list(paths[: len(SHEET_PHOTOS)])


def before_after_sheet(triples: Sequence[Triple], path: Path) -> None:
    """Write the photos as damaged | balanced | undamaged, four to a row, as a PNG."""
    strips = [Strip(t.label, (t.damaged, t.balanced, t.undamaged)) for t in triples]
    strip_sheet(strips, ("damaged", "balanced", "undamaged"), path, 4)


def strip_sheet(
    strips: Sequence[Strip], headings: Sequence[str], path: Path, columns: int = 2
) -> None:
    """Write strips as a PNG, `columns` to a row, with a heading above each picture of a strip."""
    pictures = [picture for strip in strips for picture in strip.pictures]
    step = columns * len(headings)
    rows = [pictures[first : first + step] for first in range(0, len(pictures), step)]
    labels = [strip.label for strip in strips]
    paint_grid(headings, rows, path, side=_PICTURE, labels=labels)


def damage_sheet(path: Path) -> None:
    """Write a PNG of 60 damaged pictures: every kind at every strength, and three more as scans.

    The photos are free of copyright and come with scikit-image.
    """
    from skimage import data

    photos = [
        centre_square(Image.fromarray(photo), _PICTURE)
        for photo in (data.astronaut(), data.coffee(), data.chelsea())
    ]
    examples = [(kind, name) for kind in KIND_NAMES for name in STRENGTHS]
    examples += [(SCANNED, name) for name in STRENGTHS]
    pictures = []
    for number, (kind, name) in enumerate(examples):
        rng = np.random.default_rng((40, number))
        damage = random_damage(rng, MIXED if kind == SCANNED else kind, STRENGTHS[name])
        photo = photos[(number + number // len(STRENGTHS)) % len(photos)]
        damaged = damage(photo)
        pictures.append(scanned(damaged, rng, 1.0) if kind == SCANNED else to_8_bits(damaged))
    rows = [pictures[first : first + 10] for first in range(0, len(pictures), 10)]
    labels = [f"{kind}, {name}" for kind, name in examples]
    paint_grid((), rows, path, side=_PICTURE, labels=labels)
