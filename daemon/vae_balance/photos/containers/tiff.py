"""TIFF directories: the tags of TIFF files and of EXIF, which has the same structure.

Formats: Adobe, TIFF Revision 6.0, 1992, section 2; the BigTIFF proposal; CIPA DC-008 (Exif 2.32).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vae_balance.errors import ImageError
from vae_balance.photos.containers.metadata import Metadata, check_size

ORIENTATION = 274
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_WIDTH, _HEIGHT = 256, 257
_SUBFILE_TYPE, _BITS, _PHOTOMETRIC, _SAMPLES = 254, 258, 262, 277
_EXTRA_SAMPLES, _SAMPLE_FORMAT = 338, 339
_XMP, _IPTC, _PHOTOSHOP, _ICC, _DNG_VERSION = 700, 33723, 34377, 34675, 50706
_CHILDREN = (34665, 34853, 40965)  # pointers to the directories of Exif, GPS and interoperability
_SHORT, _LONG, _RATIONAL, _BYTE, _UNDEFINED, _LONG8 = 3, 4, 5, 1, 7, 16

# What describes the stored pixels, and what would show the picture as it was before: the layers
# of Photoshop (37724) and previews (330). These come from the writer of the new file, if at all.
_OF_PIXELS = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284}
    | {288, 289, 290, 291, 292, 293, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 330}
    | {332, 333, 334, 336, 337, 338, 339, 340, 341, 342, 347, 512, 513, 514, 515, 517, 518, 519}
    | {520, 521, 529, 530, 531, 532, 559, 37724}
)
# Types of values: bytes of one number (two numbers make a RATIONAL), and numbers in one value.
_NUMBERS = {1: (1, 1), 2: (1, 1), 3: (2, 1), 4: (4, 1), 5: (4, 2), 6: (1, 1), 7: (1, 1)} | {
    8: (2, 1), 9: (4, 1), 10: (4, 2), 11: (4, 1), 12: (8, 1), 13: (4, 1), 16: (8, 1),
    17: (8, 1), 18: (8, 1), 129: (1, 1),
}  # fmt: skip
_MAX_VALUE = 1 << 28  # bytes; no sane tag is longer

# By the value of ExtraSamples; Photoshop stores selections as unspecified.
_ALPHA = {0: "unspecified", 1: "associated", 2: "unassociated"}
_INTEGERS, _FLOATS = 1, 3
_RGB, _PALETTE, _YCBCR = 2, 3, 6
_REFUSED = {
    0: "is greyscale: there is no color to balance",
    1: "is greyscale: there is no color to balance",
    4: "is a transparency mask, not a picture",
    5: "is a CMYK picture: convert it to RGB first",
    8: "is a Lab picture: convert it to RGB first",
    9: "is a Lab picture: convert it to RGB first",
    10: "is a Lab picture: convert it to RGB first",
    32803: "is a raw file: develop it to RGB first",
    34892: "is a raw file: develop it to RGB first",
}


@dataclass
class Directory:
    """Tags by number: (type, count, value bytes); and the directories that tags point to."""

    tags: dict[int, tuple[int, int, bytes]] = field(default_factory=dict)
    children: dict[int, Directory] = field(default_factory=dict)


@dataclass(frozen=True)
class _Layout:
    """Byte order ("<" or ">") of a TIFF structure, and whether its offsets have 8 bytes."""

    order: str
    big: bool

    @property
    def offset(self) -> str:
        return self.order + ("Q" if self.big else "I")

    @property
    def count(self) -> str:
        return self.order + ("Q" if self.big else "H")

    @property
    def entry(self) -> str:
        return self.order + ("HHQ8s" if self.big else "HHI4s")


@dataclass(frozen=True)
class TiffHeader:
    """What `inspect` finds; `alpha` is "associated", "unassociated" or "unspecified"."""

    metadata: Metadata
    icc_profile: bytes | None
    alpha: str


def inspect(path: Path) -> TiffHeader:
    """Return the metadata of a TIFF file.

    Raises:
        ImageError: The file is damaged, or does not hold one RGB or palette picture of 8 or 16
            bits or float16 or float32. The message does not name the file.
    """
    with path.open("rb") as file:
        layout, offset = _read_header(file)
        first, following = _read_directory(file, layout, offset)
        if first is None:
            raise ImageError("is damaged or cut short: it has no readable directory")
        pages = 1 + _count_pictures(file, layout, following)

    def numbers(tag: int) -> list[int]:
        return _numbers(first, tag, layout.order)

    _refuse(numbers)
    if pages > 1:
        raise ImageError(f"has {pages} pages: save the one you want as a file of its own")
    profile = first.tags.pop(_ICC, (0, 0, None))[2]
    xmp = first.tags.pop(_XMP, (0, 0, None))[2]
    alpha = _ALPHA.get((numbers(_EXTRA_SAMPLES) or [2])[0], "unspecified")
    for tag in _OF_PIXELS & first.tags.keys():
        del first.tags[tag]
    exif = _serialize_alone(first, layout.order) if first.tags or first.children else None
    return TiffHeader(Metadata(exif, xmp), profile, alpha)


def embed(path: Path, metadata: Metadata, icc_profile: bytes | None) -> None:
    """Give a TIFF file new metadata in place of all that it has.

    A new directory is appended to the file; pixels stay where they are.
    """
    with path.open("rb+") as file:
        layout, offset = _read_header(file)
        written, _ = _read_directory(file, layout, offset)
        if written is None:
            raise ImageError("cannot be given its metadata: the written file is damaged")
        fresh = Directory({t: v for t, v in written.tags.items() if t in _OF_PIXELS})
        if metadata.resolution:
            unit = struct.pack(layout.order + "H", 2)  # inches
            fresh.tags[_RESOLUTION_UNIT] = (_SHORT, 1, unit)
            for tag, value in zip((_X_RESOLUTION, _Y_RESOLUTION), metadata.resolution, strict=True):
                ratio = struct.pack(layout.order + "II", round(value * 1000), 1000)
                fresh.tags[tag] = (_RATIONAL, 1, ratio)
        if exif := parse_exif(metadata.exif, layout.order):
            fresh.tags |= {t: v for t, v in exif.tags.items() if t not in _OF_PIXELS}
            fresh.children = exif.children
        if metadata.xmp:
            fresh.tags[_XMP] = (_BYTE, len(metadata.xmp), metadata.xmp)
        if icc_profile:
            fresh.tags[_ICC] = (_UNDEFINED, len(icc_profile), icc_profile)
        end = file.seek(0, 2)
        end += file.write(b"\0" * (-end % 8))
        file.write(_serialize(fresh, end, layout))
        file.seek(8 if layout.big else 4)
        file.write(struct.pack(layout.offset, end))


def parse_exif(exif: bytes | None, order: str = "") -> Directory | None:
    """Return the first directory of EXIF, None if there is none or it cannot be read.

    Numbers are converted to the byte order `order` if it is given.
    """
    if exif is None:
        return None
    file = io.BytesIO(exif)
    try:
        layout, offset = _read_header(file)
    except ImageError:
        return None
    directory, _ = _read_directory(file, layout, offset)
    if directory and order not in ("", layout.order):
        _swap(directory)
    return directory


def orientation_of(exif: bytes | None) -> int:
    """Return the orientation, 1..8, that EXIF states; 1 (upright) if it states none."""
    directory = parse_exif(exif, "<")
    numbers = _numbers(directory, ORIENTATION, "<") if directory else []
    return numbers[0] if len(numbers) == 1 and 1 <= numbers[0] <= 8 else 1


def with_orientation(exif: bytes | None, orientation: int) -> bytes | None:
    """Return EXIF that states `orientation`: `exif` itself if it does so already."""
    if orientation_of(exif) == orientation:
        return exif
    directory = parse_exif(exif, "<") or Directory()
    directory.tags[ORIENTATION] = (_SHORT, 1, struct.pack("<H", orientation))
    return _serialize_alone(directory, "<")


def for_other_formats(exif: bytes | None) -> bytes | None:
    """Return EXIF without what only TIFF files keep there: blocks of IPTC and Photoshop."""
    directory = parse_exif(exif, "<")
    if not directory or not {_IPTC, _PHOTOSHOP} & directory.tags.keys():
        return exif
    for tag in (_IPTC, _PHOTOSHOP):
        directory.tags.pop(tag, None)
    return _serialize_alone(directory, "<")


def _refuse(numbers: Callable[[int], list[int]]) -> None:
    """Raise ImageError unless the first directory describes a picture that can be balanced."""
    if numbers(_DNG_VERSION):
        raise ImageError("is a raw file (DNG): develop it to RGB first")
    photometric = (numbers(_PHOTOMETRIC) or [-1])[0]
    if photometric not in (_RGB, _PALETTE, _YCBCR):
        raise ImageError(_REFUSED.get(photometric, "is not an RGB picture: convert it to RGB"))
    check_size((numbers(_WIDTH) or [0])[0], (numbers(_HEIGHT) or [0])[0])
    samples = (numbers(_SAMPLES) or [1])[0]
    if samples not in ((1,) if photometric == _PALETTE else (3, 4)):
        raise ImageError(f"has {samples} channels: only RGB with or without alpha can be balanced")
    bits = set(numbers(_BITS) or [1])
    formats = set(numbers(_SAMPLE_FORMAT) or [_INTEGERS])
    if photometric == _PALETTE and formats == {_INTEGERS} and bits <= {1, 2, 4, 8}:
        return
    if (formats, bits) not in (
        ({_INTEGERS}, {8}),
        ({_INTEGERS}, {16}),
        ({_FLOATS}, {16}),
        ({_FLOATS}, {32}),
    ):
        kind = "float" if formats == {_FLOATS} else "integer"
        depth = "/".join(str(number) for number in sorted(bits))
        raise ImageError(
            f"has {depth}-bit {kind} channels: save it with 8 or 16 bits, or as 16 or 32-bit float"
        )


def _count_pictures(file: BinaryIO, layout: _Layout, offset: int) -> int:
    """Return how many of the following directories are pages, not previews or masks."""
    pages = 0
    seen = set()
    while offset and offset not in seen:
        seen.add(offset)
        directory, offset = _read_directory(file, layout, offset)
        if directory is not None:
            kind = (_numbers(directory, _SUBFILE_TYPE, layout.order) or [0])[0]
            pages += not kind & 0b101
    return pages


def _read_header(file: BinaryIO) -> tuple[_Layout, int]:
    """Return the layout and the offset of the first directory."""
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
    if order and len(head) >= 8:
        if head[2:4] == struct.pack(order + "H", 42):
            return _Layout(order, False), struct.unpack_from(order + "I", head, 4)[0]
        if head[2:8] == struct.pack(order + "HHH", 43, 8, 0) and len(head) == 16:
            return _Layout(order, True), struct.unpack_from(order + "Q", head, 8)[0]
    raise ImageError("is damaged: it has no TIFF header")


def _read_directory(
    file: BinaryIO, layout: _Layout, offset: int, depth: int = 0
) -> tuple[Directory | None, int]:
    """Return the directory at `offset` and the offset of the next one (0 for none).

    None in place of a directory that lies beyond the end of the file; single tags that do are
    left out.
    """
    file_size = file.seek(0, 2)
    count_size, entry_size = struct.calcsize(layout.count), struct.calcsize(layout.entry)
    file.seek(min(offset, file_size))
    head = file.read(count_size)
    if len(head) < count_size:
        return None, 0
    (count,) = struct.unpack(layout.count, head)
    entries = file.read(min(count, 65535) * entry_size)
    if len(entries) < count * entry_size:
        return None, 0
    link_size = struct.calcsize(layout.offset)
    link = file.read(link_size).ljust(link_size, b"\0")  # EXIF is at times written without it
    directory = Directory()
    for tag, kind, amount, inline in struct.iter_unpack(layout.entry, entries):
        size = amount * _size(kind)
        if not 0 < size <= _MAX_VALUE:
            continue
        if size <= len(inline):
            value = inline[:size]
        else:
            (position,) = struct.unpack(layout.offset, inline)
            if position + size > file_size:
                continue
            file.seek(position)
            value = file.read(size)
        directory.tags[tag] = (kind, amount, value)
    for tag in _CHILDREN:
        if tag in directory.tags and depth < 2:
            pointer = _numbers(directory, tag, layout.order)
            del directory.tags[tag]
            if pointer:
                child, _ = _read_directory(file, layout, pointer[0], depth + 1)
                if child is not None:
                    directory.children[tag] = child
    return directory, struct.unpack(layout.offset, link)[0]


def _size(kind: int) -> int:
    """Return the bytes of one value of a type, 0 for an unknown type."""
    size, numbers = _NUMBERS.get(kind, (0, 0))
    return size * numbers


def _numbers(directory: Directory, tag: int, order: str) -> list[int]:
    """Return the value of a tag of unsigned integers; empty if it is missing or another type."""
    kind, _, value = directory.tags.get(tag, (0, 0, b""))
    letter = {_BYTE: "u1", _SHORT: "u2", _LONG: "u4", 13: "u4", _LONG8: "u8", 18: "u8"}.get(kind)
    return np.frombuffer(value, order + letter).tolist() if letter else []


def _swap(directory: Directory) -> None:
    """Reverse the byte order of all numbers."""
    for tag, (kind, count, value) in directory.tags.items():
        size = _NUMBERS[kind][0]
        swapped = np.frombuffer(value, f"u{size}").byteswap().tobytes()
        directory.tags[tag] = (kind, count, swapped)
    for child in directory.children.values():
        _swap(child)


def _serialize_alone(directory: Directory, order: str) -> bytes:
    """Return a whole TIFF structure, header and all, as EXIF has it."""
    layout = _Layout(order, False)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return head + _serialize(directory, 8, layout)


def _serialize(directory: Directory, start: int, layout: _Layout) -> bytes:
    """Return the bytes of a directory, and of all that it points to, to be put at `start`."""
    tags = sorted(directory.tags.keys() | directory.children.keys())
    inline_size = struct.calcsize(layout.offset)
    entries_size = len(tags) * struct.calcsize(layout.entry)
    end = start + struct.calcsize(layout.count) + entries_size + inline_size
    entries, values = [], []
    for tag in tags:
        position = end + end % 2
        if tag in directory.children:
            kind, count = (_LONG8 if layout.big else _LONG), 1
            value = struct.pack(layout.offset, position)
            placed = _serialize(directory.children[tag], position, layout)
        else:
            kind, count, value = directory.tags[tag]
            placed = b"" if len(value) <= inline_size else value
            value = struct.pack(layout.offset, position) if placed else value
        entries.append(struct.pack(layout.entry, tag, kind, count, value))
        if placed:
            values.append(b"\0" * (position - end) + placed)
            end = position + len(placed)
    head = struct.pack(layout.count, len(tags))
    return head + b"".join(entries) + struct.pack(layout.offset, 0) + b"".join(values)
