"""What all sheets are painted with: paper and ink, letters, pictures in small, a grid of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from vae_balance.files import atomic_write

PAPER, CARD, EDGE = "#f4f1ec", "#ffffff", "#e2dcd2"
INK, FAINT, ACCENT = "#23211f", "#7b756c", "#b5482a"

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# What has more letters than the font that comes with Pillow, which knows ASCII only.
_FONTS = ("DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf", "Arial.ttf")
# Of a grid, in pixels: what lies between pictures, and the height of a line of text.
_GAP, _LINE, _LETTERS = 6, 18, 12


def codes_of(colors: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Return colors of 0..1 in 8 bits; what is beyond is clipped, and what is no number black."""
    return np.rint(np.nan_to_num(colors).clip(0.0, 1.0) * 255.0).astype(np.uint8)


@lru_cache(maxsize=16)
def font(size: int) -> Font:
    """Return a font with as many letters as there are on this computer."""
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def shortened(text: str, letters: Font, width: int) -> str:
    """Return a text that is at most `width` pixels long: its middle is left out if need be."""
    kept = len(text)
    short = text
    while letters.getlength(short) > width:
        kept -= 1
        short = f"{text[: kept - kept // 2]}...{text[len(text) - kept // 2 :]}"
    return short


def paint_grid(
    names: Sequence[str],
    rows: Sequence[Sequence[NDArray[np.float32]]],
    path: Path,
    *,
    side: int = 112,
    labels: Sequence[str] = (),
) -> None:
    """Write pictures in rows, over a file of before.

    Args:
        names: of the columns; repeated where the rows are longer.
        rows: pictures (H, W, 3), sRGB-encoded, of which the square in the middle is shown; what is
            beyond 0..1 is clipped.
        path: ends in .jpg or .png.
        side: of the pictures on the sheet.
        labels: what is written below the pictures, row by row: one for each, or one for as many as
            there are names.

    Raises:
        BalanceError: it cannot be written.
    """
    columns, step = max(map(len, rows), default=0), side + _GAP
    height = step + (_LINE if labels else 0)
    sheet = Image.new("RGB", (columns * step + _GAP, len(rows) * height + _LINE + _GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    for column in range(columns if names else 0):
        name = names[column % len(names)]
        pen.text((_GAP + column * step, 2), name, INK, font(_LETTERS))
    count = sum(map(len, rows))
    below = count // len(labels) if labels else 0  # pictures above one label
    number = 0
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            left, top = _GAP + column * step, _LINE + row * height
            small = Image.fromarray(codes_of(picture))
            small = ImageOps.fit(small, (side, side), Image.Resampling.BOX)
            sheet.paste(small, (left, top))
            if labels and number % below == 0:
                text = shortened(labels[number // below], font(_LETTERS), below * step - _GAP)
                pen.text((left, top + side + 2), text, FAINT, font(_LETTERS))
            number += 1
    with atomic_write(path, overwrite=True) as temporary:
        if path.suffix.lower() == ".png":
            sheet.save(temporary, "PNG")
        else:
            sheet.save(temporary, "JPEG", quality=88)
