"""The fixed cases of the quality table: held-out photos, undamaged and damaged.

Every held-out source gives at most `SOURCE_PHOTOS` photos, evenly spaced: otherwise food alone
would decide (214 of 505 photos). Each photo comes once undamaged and with four damages, drawn with
fixed seeds; kinds and strengths rotate (19 and 3, so all pairs come round), and every pair gets
about the same number of photos of all sources. Beside these, each photo comes once with extreme
damage, and once with damage, noise and the artefacts of JPEG.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vae_balance.color.arrays import Colors
from vae_balance.errors import OptionError
from vae_balance.photos.proxy import PROXY_SIZE
from vae_balance.training.damage import KIND_NAMES, random_damage, undamaged
from vae_balance.training.photos import centre_square, load_photo, read_split, to_8_bits
from vae_balance.training.scans import scanned

STRENGTHS = {"mild": 0.4, "medium": 0.8, "strong": 1.2}
# Training draws strengths up to 2.4, a quarter of them above 1.2.
EXTREME, EXTREME_STRENGTH = "extreme", 2.0
# Damage with what scanners and files add, at all strengths in turn.
SCANNED = "noise and JPEG"
# Of the sheets of pictures.
SHEET_SEED, SHEET_STRENGTH = 24, 1.0
UNDAMAGED = undamaged().kind
DAMAGES_PER_PHOTO = 4
SOURCE_PHOTOS = 12
SEED = 2004


@dataclass(frozen=True, eq=False)
class Case:
    """A photo and what befell it; pixels are sRGB-encoded float32 (224, 224, 3) of 8-bit steps.

    Attributes:
        photo: its file.
        kind: of the damage, one of `damage.KIND_NAMES`, or "undamaged".
        strength: of the damage, a key of `STRENGTHS`, `EXTREME`, `SCANNED`, or "".
        truth: the undamaged photo.
        damaged: what a correction is given.
    """

    photo: Path
    kind: str
    strength: str
    truth: Colors
    damaged: Colors


def held_out_photos(folder: Path, limit: int | None = None) -> list[Path]:
    """Return the photos of the quality table.

    Args:
        folder: of photos, in sub-folders by source.
        limit: at most so many, evenly spaced; None takes all.

    Raises:
        OptionError: there are none, or the limit is not positive.
    """
    if limit is not None and limit < 1:
        raise OptionError(f"limit {limit}: must be at least 1")
    final = read_split(folder).final
    sources: dict[str, list[Path]] = {}
    for path in final:
        sources.setdefault(path.relative_to(folder).parts[0], []).append(path)
    photos = [path for source in sources.values() for path in _evenly(source, SOURCE_PHOTOS)]
    if not photos:
        raise OptionError(
            f"{folder}: none of the held-out sources is here (`final` in training/split.json)"
        )
    return photos if limit is None else _evenly(photos, limit)


def draw_cases(photos: Sequence[Path]) -> Iterator[Case]:
    """Make the cases of the photos: each undamaged first, then damaged `DAMAGES_PER_PHOTO` times.

    The same photos give the same cases, bit for bit.
    """
    strengths = list(STRENGTHS)
    for number, path in enumerate(photos):
        truth = _proxy(path)
        yield Case(path, UNDAMAGED, "", truth, truth)
        for drawn in range(number * DAMAGES_PER_PHOTO, (number + 1) * DAMAGES_PER_PHOTO):
            kind = KIND_NAMES[drawn % len(KIND_NAMES)]
            strength = strengths[drawn % len(strengths)]
            rng = np.random.default_rng((SEED, drawn))
            damage = random_damage(rng, kind, STRENGTHS[strength])
            yield Case(path, kind, strength, truth, to_8_bits(damage(truth)))


def draw_extreme_cases(photos: Sequence[Path]) -> Iterator[Case]:
    """Make a case of every photo with extreme damage; kinds rotate.

    The same photos give the same cases, bit for bit.
    """
    for number, path in enumerate(photos):
        truth = _proxy(path)
        kind = KIND_NAMES[number % len(KIND_NAMES)]
        # The third number keeps these draws apart from those of `draw_cases`.
        rng = np.random.default_rng((SEED, number, 1))
        damage = random_damage(rng, kind, EXTREME_STRENGTH)
        yield Case(path, kind, EXTREME, truth, to_8_bits(damage(truth)))


def draw_scanned_cases(photos: Sequence[Path]) -> Iterator[Case]:
    """Make a case of every photo with damage, then noise and JPEG; kinds and strengths rotate.

    The same photos give the same cases, bit for bit.
    """
    strengths = list(STRENGTHS.values())
    for number, path in enumerate(photos):
        truth = _proxy(path)
        kind = KIND_NAMES[number % len(KIND_NAMES)]
        # The third number keeps these draws apart from those above.
        rng = np.random.default_rng((SEED, number, 2))
        damage = random_damage(rng, kind, strengths[number % len(strengths)])
        yield Case(path, kind, SCANNED, truth, scanned(damage(truth), rng, 1.0))


def draw_sheet_cases(photos: Sequence[Path], kind: str | None = None) -> Iterator[Case]:
    """Make the cases of a sheet of pictures: each photo with damage of `kind`, or kinds rotate.

    The same photos give the same cases, bit for bit.
    """
    for number, path in enumerate(photos):
        truth = _proxy(path)
        drawn = kind or KIND_NAMES[number % len(KIND_NAMES)]
        damage = random_damage(np.random.default_rng((SHEET_SEED, number)), drawn, SHEET_STRENGTH)
        yield Case(path, drawn, "", truth, to_8_bits(damage(truth)))


def _proxy(path: Path) -> Colors:
    return to_8_bits(centre_square(load_photo(path), PROXY_SIZE))


def _evenly(paths: Sequence[Path], count: int) -> list[Path]:
    """Return `count` of the paths, evenly spaced, or all when there are fewer."""
    count = min(count, len(paths))
    return [paths[i * len(paths) // count] for i in range(count)]
