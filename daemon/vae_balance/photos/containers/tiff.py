"""TIFF pages: metadata out of and into TIFF files.

Formats: Adobe, TIFF Revision 6.0, 1992; Adobe, TIFF Technical Note 1 (trees of directories); the
BigTIFF proposal; ISO 12234-2 (TIFF/EP).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy.typing as npt

from vae_balance.errors import ImageError
from vae_balance.photos.containers.exif import (
    BYTE,
    LONG,
    LONG8,
    RATIONAL,
    SHORT,
    UNDEFINED,
    Directory,
    Layout,
    numbers_of,
    parse_exif,
    read_directory,
    read_header,
    serialize,
    serialize_alone,
)
from vae_balance.photos.containers.metadata import Metadata, Warn, check_size

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES = 273, 277, 278, 279
_SUBFILE_TYPE, _SUB_DIRECTORIES, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 254, 330, 338, 339
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_XMP, _ICC, _DNG_VERSION = 700, 34675, 50706
_REDUCED, _MASK = 0b1, 0b100  # bits of the subfile type
_MAX_PAGES = 1000
_MAX_SUB_DIRECTORIES = 16

# What describes the stored pixels, and what would show the picture as it was before: the layers
# of Photoshop (37724) and previews (330). These come from the writer of the new file, if at all.
_OF_PIXELS = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284}
    | {288, 289, 290, 291, 292, 293, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 330}
    | {332, 333, 334, 336, 337, 338, 339, 340, 341, 342, 347, 512, 513, 514, 515, 517, 518, 519}
    | {520, 521, 529, 530, 531, 532, 559, 37724}
)
# By the value of ExtraSamples; Photoshop stores selections as unspecified.
_ALPHA = {0: "unspecified", 1: "associated", 2: "unassociated"}
_UNSIGNED, _FLOATS = 1, 3
_SAMPLE_FORMATS = {1: "integer", 2: "signed integer", 3: "float", 5: "complex", 6: "complex"}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_GREY = (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
_OF_SENSORS = (32803, 34892)  # what one sees through a color filter array, and linear raw
_DEPTHS = (
    ({_UNSIGNED}, {8}),
    ({_UNSIGNED}, {16}),
    ({_FLOATS}, {16}),
    ({_FLOATS}, {32}),
)
# Known to every reader are 1 (none), 5 (LZW), 7 (JPEG), 8 and 32946 (deflate), 32773 (PackBits).
_RARE_COMPRESSIONS = {
    6: "old-style JPEG",
    34676: "SGI's LogLuv",
    34677: "SGI's LogLuv",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
}
_REFUSED = {
    4: "is a transparency mask, not a picture",
    5: "is a CMYK picture: convert it to RGB first",
    8: "is a Lab picture: convert it to RGB first",
    9: "is a Lab picture: convert it to RGB first",
    10: "is a Lab picture: convert it to RGB first",
}


@dataclass(frozen=True)
class TiffHeader:
    """What `inspect` finds.

    Attributes:
        metadata: Of the page of the picture.
        icc_profile: Its profile.
        alpha: "associated", "unassociated" or "unspecified".
        page: The number of its page in the file, from 0.
        masks: Those of grey pages that belong to the picture, a scanner's infrared for instance.
        rare_compression: The name of a compression that not every reader knows, else "".
    """

    metadata: Metadata
    icc_profile: bytes | None
    alpha: str
    page: int
    masks: tuple[int, ...]
    rare_compression: str


def is_raw(path: Path) -> bool:
    """Tell whether a file with a TIFF header holds what a camera's sensor has seen.

    Raw files of most cameras are such; their first page is often a small RGB picture.
    """
    with path.open("rb") as file:
        try:
            layout, offset = read_header(file)
        except ImageError:
            return False
        for page in _pages(file, layout, offset):
            if numbers_of(page, _DNG_VERSION, layout.order):
                return True
            below = numbers_of(page, _SUB_DIRECTORIES, layout.order)[:_MAX_SUB_DIRECTORIES]
            for directory in (page, *(read_directory(file, layout, o)[0] for o in below)):
                photometric = directory and numbers_of(directory, _PHOTOMETRIC, layout.order)
                if photometric and photometric[0] in _OF_SENSORS:
                    return True
    return False


def inspect(path: Path, warn: Warn) -> TiffHeader:
    """Return the metadata of a TIFF file.

    Args:
        path: The file.
        warn: Is told of pages that belong to the picture and cannot be kept.

    Raises:
        ImageError: The file is damaged, or does not hold one RGB, grey or palette picture of 8 or
            16 bits or float16 or float32. The message does not name the file.
    """
    with path.open("rb") as file:
        layout, offset = read_header(file)
        pages = list(_pages(file, layout, offset))
    if not pages:
        raise ImageError("is damaged or cut short: it has no readable directory")

    def kind(page: Directory) -> int:
        return (numbers_of(page, _SUBFILE_TYPE, layout.order) or [0])[0]

    pictures = [n for n, page in enumerate(pages) if not kind(page) & (_REDUCED | _MASK)] or [0]
    main = pages[pictures[0]]

    def numbers(tag: int) -> list[int]:
        return numbers_of(main, tag, layout.order)

    _refuse(numbers)
    if len(pictures) > 1:
        count = len(pictures)
        raise ImageError(f"has {count} pages: save the one you want as a file of its own")
    masks = []
    for number, page in enumerate(pages):
        if kind(page) & _MASK and not kind(page) & _REDUCED and page is not main:
            if _is_grey(page, layout):
                masks.append(number)
            else:
                warn("its page of a mask is left out: only grey ones of 8 or 16 bits are kept")
    profile = main.tags.pop(_ICC, (0, 0, None))[2]
    xmp = main.tags.pop(_XMP, (0, 0, None))[2]
    # A further channel without a word is not transparency: scanners keep infrared there.
    alpha = _ALPHA.get((numbers(_EXTRA_SAMPLES) or [0])[0], "unspecified")
    if numbers(_SAMPLES) not in ([2], [4]):
        alpha = "unassociated"
    compression = _RARE_COMPRESSIONS.get((numbers(_COMPRESSION) or [1])[0], "")
    for tag in _OF_PIXELS & main.tags.keys():
        del main.tags[tag]
    exif = serialize_alone(main, layout.order) if main.tags or main.children else None
    return TiffHeader(Metadata(exif, xmp), profile, alpha, pictures[0], tuple(masks), compression)


def embed(
    path: Path,
    metadata: Metadata,
    icc_profile: bytes | None,
    masks: Sequence[npt.NDArray[Any]] = (),
) -> None:
    """Give a TIFF file new metadata in place of all that it has.

    A new directory is appended to the file, and a page for each of `masks`, (H, W), uint8,
    uint16, float16 or float32; pixels stay where they are.
    """
    with path.open("rb+") as file:
        layout, offset = read_header(file)
        written, _ = read_directory(file, layout, offset)
        if written is None:
            raise ImageError("cannot be given its metadata: the written file is damaged")
        fresh = Directory({t: v for t, v in written.tags.items() if t in _OF_PIXELS})
        if metadata.resolution:
            unit = struct.pack(layout.order + "H", 2)  # inches
            fresh.tags[_RESOLUTION_UNIT] = (SHORT, 1, unit)
            for tag, value in zip((_X_RESOLUTION, _Y_RESOLUTION), metadata.resolution, strict=True):
                ratio = struct.pack(layout.order + "II", round(value * 1000), 1000)
                fresh.tags[tag] = (RATIONAL, 1, ratio)
        if exif := parse_exif(metadata.exif, layout.order):
            fresh.tags |= {t: v for t, v in exif.tags.items() if t not in _OF_PIXELS}
            fresh.children = exif.children
        if metadata.xmp:
            fresh.tags[_XMP] = (BYTE, len(metadata.xmp), metadata.xmp)
        if icc_profile:
            fresh.tags[_ICC] = (UNDEFINED, len(icc_profile), icc_profile)
        following = 0
        for mask in reversed(masks):
            following = _append(file, _page_of(file, mask, layout), layout, following)
        start = _append(file, fresh, layout, following)
        file.seek(8 if layout.big else 4)
        file.write(struct.pack(layout.offset, start))


def _append(file: BinaryIO, directory: Directory, layout: Layout, following: int) -> int:
    """Write a directory at the end of a file, linked to the one at `following`; return where."""
    start = _aligned_end(file)
    file.write(serialize(directory, start, layout, following))
    return start


def _page_of(file: BinaryIO, mask: npt.NDArray[Any], layout: Layout) -> Directory:
    """Write the pixels of a grey page at the end of a file; return its directory."""
    start = _aligned_end(file)
    for row in mask:
        file.write(row.astype(row.dtype.newbyteorder(layout.order)).tobytes())
    height, width = mask.shape
    is_float = mask.dtype.kind == "f"
    place, place_format = (LONG8, "Q") if layout.big else (LONG, "I")
    values: dict[int, tuple[int, str, int]] = {
        _SUBFILE_TYPE: (LONG, "I", _MASK),
        _WIDTH: (LONG, "I", width),
        _HEIGHT: (LONG, "I", height),
        _BITS: (SHORT, "H", mask.dtype.itemsize * 8),
        _COMPRESSION: (SHORT, "H", 1),
        _PHOTOMETRIC: (SHORT, "H", _BLACK_IS_ZERO),
        _STRIP_OFFSETS: (place, place_format, start),
        _SAMPLES: (SHORT, "H", 1),
        _ROWS_PER_STRIP: (LONG, "I", height),
        _STRIP_BYTES: (place, place_format, mask.nbytes),
        _SAMPLE_FORMAT: (SHORT, "H", _FLOATS if is_float else _UNSIGNED),
    }
    tags = {t: (k, 1, struct.pack(layout.order + f, v)) for t, (k, f, v) in values.items()}
    return Directory(tags)


def _aligned_end(file: BinaryIO) -> int:
    """Fill a file up to a multiple of 8 bytes; return its length."""
    end = file.seek(0, 2)
    return end + file.write(b"\0" * (-end % 8))


def _refuse(numbers: Callable[[int], list[int]]) -> None:
    """Raise ImageError unless the tags of a page describe a picture that can be balanced."""
    photometric = (numbers(_PHOTOMETRIC) or [-1])[0]
    if photometric not in (*_GREY, _RGB, _PALETTE, _YCBCR):
        raise ImageError(_REFUSED.get(photometric, "is not an RGB picture: convert it to RGB"))
    check_size((numbers(_WIDTH) or [0])[0], (numbers(_HEIGHT) or [0])[0])
    samples = (numbers(_SAMPLES) or [1])[0]
    expected = {_PALETTE: (1,), **dict.fromkeys(_GREY, (1, 2))}.get(photometric, (3, 4))
    if samples not in expected:
        raise ImageError(f"has {samples} channels: only RGB with or without alpha can be balanced")
    bits = set(numbers(_BITS) or [1])
    formats = set(numbers(_SAMPLE_FORMAT) or [_UNSIGNED])
    if photometric == _PALETTE and formats == {_UNSIGNED} and bits <= {1, 2, 4, 8}:
        return
    if (formats, bits) not in _DEPTHS:
        kinds = {_SAMPLE_FORMATS.get(number, "unknown") for number in formats}
        kind = kinds.pop() if len(kinds) == 1 else "mixed"
        depth = "/".join(str(number) for number in sorted(bits))
        raise ImageError(
            f"has {depth}-bit {kind} channels: save it with 8 or 16 bits, unsigned, or as 16 or "
            "32-bit float"
        )


def _is_grey(page: Directory, layout: Layout) -> bool:
    def numbers(tag: int, default: int) -> set[int]:
        return set(numbers_of(page, tag, layout.order) or [default])

    height, width = numbers(_HEIGHT, 0), numbers(_WIDTH, 0)
    check_size(max(width), max(height))
    depth = (numbers(_SAMPLE_FORMAT, _UNSIGNED), numbers(_BITS, 1))
    is_grey = numbers(_PHOTOMETRIC, -1) <= {*_GREY}
    return is_grey and numbers(_SAMPLES, 1) == {1} and depth in _DEPTHS


def _pages(file: BinaryIO, layout: Layout, offset: int) -> Iterator[Directory]:
    """Yield the directories of a file, as far as they can be read."""
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) < _MAX_PAGES:
        seen.add(offset)
        directory, offset = read_directory(file, layout, offset)
        if directory is not None:
            yield directory
