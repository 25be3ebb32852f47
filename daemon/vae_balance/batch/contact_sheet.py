"""The contact sheet of a batch: photos before and after, with their names, on one page or more."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, PngImagePlugin, UnidentifiedImageError

from vae_balance.errors import ImageError, OptionError, OutputExistsError, printable
from vae_balance.files import as_private_as, atomic_write
from vae_balance.photos.painting import CARD, EDGE, FAINT, INK, PAPER, codes_of, font, shortened
from vae_balance.photos.photo import Photo, read_photo
from vae_balance.photos.preview import preview

PAIRS_PER_PAGE = 40

_MARK = "contact sheet of vae-balance batch"  # a sheet with this comment may be replaced
_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
_EXIF_ORIENTATION = 274

# Pixels.
_WIDTH = 1800
_MARGIN = 36
_GAP = 20  # between cards
_PADDING = 12  # within a card
_SEAM = 4  # between before and after
_LABEL = 30
_HEADING = 64
_RADIUS = 8


@dataclass(frozen=True)
class Pair:
    """A photo before and after, and what is written under it."""

    label: str
    before: Path
    after: Path


@dataclass(frozen=True)
class _Card:
    """A pair in small: pictures of one size, or None where one cannot be shown."""

    label: str
    size: tuple[int, int]
    pictures: tuple[Image.Image | None, Image.Image | None]


def sheet_pages(path: Path, pairs: int) -> list[Path]:
    """Return the files that the sheet of so many pairs takes: a.jpg, a-2.jpg, a-3.jpg...

    Raises:
        OptionError: the name ends in neither .jpg nor .png.
    """
    if path.suffix.lower() not in _FORMATS:
        raise OptionError(f"{path}: not the name of a contact sheet: end it in .jpg or .png")
    pages = -(-pairs // PAIRS_PER_PAGE)
    further = [path.with_name(f"{path.stem}-{page}{path.suffix}") for page in range(2, pages + 1)]
    return [path, *further]


def check_replaceable(path: Path) -> None:
    """Check that nothing is lost when a page is written to `path`.

    Raises:
        OutputExistsError: there is something else than a contact sheet.
    """
    if path.exists() and not _is_sheet(path):
        raise OutputExistsError(
            f"{path}: exists and is no contact sheet; give --force to overwrite it"
        )


def write_sheet(
    pairs: Sequence[Pair],
    path: Path,
    title: str,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write the contact sheet of at least one pair, at most 40 on a page.

    Pictures are upright, in sRGB. One that cannot be read any more leaves an empty frame. An
    older contact sheet is replaced.

    Args:
        pairs: in the order of the sheet.
        path: ends in .jpg or .png; further pages are numbered from 2.
        title: the heading of every page.
        overwrite: replace files that are no contact sheets, too.
        progress: told of pairs done, of so many.

    Returns:
        The pages.

    Raises:
        OptionError: the name ends in neither .jpg nor .png.
        OutputExistsError: there is something else in the place of a page.
        BalanceError: a page cannot be written.
    """
    pages = sheet_pages(path, len(pairs))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, page in enumerate(pages):
            if not overwrite:
                check_replaceable(page)
            first = number * PAIRS_PER_PAGE
            shown = pairs[first : first + PAIRS_PER_PAGE]
            columns = _columns(len(shown))
            sides = [_picture_side(columns)] * len(shown)
            cards = []
            for card in pool.map(_card, shown, sides):
                cards.append(card)
                progress(first + len(cards), len(pairs))
            title = printable(title)
            heading = title if len(pages) == 1 else f"{title}, page {number + 1} of {len(pages)}"
            with as_private_as([pair.before for pair in shown]):
                _save(_page(cards, columns, heading), page)
    return pages


def _is_sheet(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            comment = image.info.get("comment", "")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return False
    return (comment.decode("latin-1") if isinstance(comment, bytes) else comment) == _MARK


def _columns(pairs: int) -> int:
    return min(4, -(-pairs // 3)) if pairs > 3 else min(2, pairs)


def _column_width(columns: int) -> int:
    return (_WIDTH - 2 * _MARGIN - (columns - 1) * _GAP) // columns


def _picture_side(columns: int) -> int:
    return (_column_width(columns) - 2 * _PADDING - _SEAM) // 2


def _card(pair: Pair, side: int) -> _Card:
    pictures = (_small(pair.before, side), _small(pair.after, side))
    size = next((picture.size for picture in pictures if picture), (side, side * 2 // 3))
    return _Card(printable(pair.label), size, pictures)


def _small(path: Path, side: int) -> Image.Image | None:
    """Return a photo as it is shown, its longer side `side` pixels at most; None if unreadable."""
    try:
        colors = preview(_read_reduced(path, 2 * side), 2 * side)
    except ImageError:
        return None
    picture = Image.fromarray(np.ascontiguousarray(codes_of(colors)))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=None)
    return picture


def _read_reduced(path: Path, side: int) -> Photo:
    """Read a photo; a JPEG, as most are, with no more pixels than needed, which is far faster."""
    try:
        with Image.open(path) as image:
            if image.format == "JPEG" and image.mode == "RGB":
                image.draft("RGB", (side, side))
                orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
                return Photo(np.asarray(image), image.info.get("icc_profile"), orientation)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        pass  # the reader below says what is wrong, or reads what Pillow does not
    return read_photo(path)


def _page(cards: Sequence[_Card], columns: int, heading: str) -> Image.Image:
    width = _column_width(columns)
    rows = [cards[i : i + columns] for i in range(0, len(cards), columns)]
    heights = [max(card.size[1] for card in row) + 2 * _PADDING + _LABEL for row in rows]
    height = _HEADING + _MARGIN + sum(heights) + (len(rows) - 1) * _GAP + _MARGIN
    page = Image.new("RGB", (_WIDTH, height), PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((_MARGIN, _MARGIN), "Before | after", INK, font(28))
    place = (_WIDTH - _MARGIN, _MARGIN + 8)
    pen.text(place, shortened(heading, font(18), _WIDTH // 2), FAINT, font(18), anchor="ra")
    top = _MARGIN + _HEADING
    for row, row_height in zip(rows, heights, strict=True):
        for column, card in enumerate(row):
            left = _MARGIN + column * (width + _GAP)
            _draw_card(page, pen, card, (left, top, left + width, top + row_height))
        top += row_height + _GAP
    return page


def _draw_card(
    page: Image.Image, pen: ImageDraw.ImageDraw, card: _Card, box: tuple[int, int, int, int]
) -> None:
    left, top, right, bottom = box
    pen.rounded_rectangle((left, top, right - 1, bottom - 1), _RADIUS, CARD, EDGE)
    room = bottom - top - 2 * _PADDING - _LABEL
    width, height = card.size
    start = left + (right - left - 2 * width - _SEAM) // 2
    above = top + _PADDING + (room - height) // 2
    for number, picture in enumerate(card.pictures):
        x = start + number * (width + _SEAM)
        if picture is None:
            pen.rectangle((x, above, x + width - 1, above + height - 1), PAPER, EDGE)
            middle = (x + width // 2, above + height // 2)
            pen.text(middle, "cannot be read", FAINT, font(14), anchor="mm")
        else:
            page.paste(picture, (x, above))
    label = shortened(card.label, font(15), right - left - 2 * _PADDING)
    place = ((left + right) // 2, bottom - _PADDING - _LABEL // 2 + 4)
    pen.text(place, label, INK, font(15), anchor="mm")


def _save(page: Image.Image, path: Path) -> None:
    with atomic_write(path, overwrite=True) as temporary:
        if _FORMATS[path.suffix.lower()] == "JPEG":
            page.save(temporary, "JPEG", quality=92, subsampling=0, comment=_MARK.encode())
        else:
            text = PngImagePlugin.PngInfo()
            text.add_text("comment", _MARK)
            page.save(temporary, "PNG", pnginfo=text)
