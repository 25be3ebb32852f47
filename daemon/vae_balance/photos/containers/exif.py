"""EXIF: the tags of a photo. A TIFF file has the same structure, and keeps them among its own.

Formats: Adobe, TIFF Revision 6.0, 1992, section 2; the BigTIFF proposal; CIPA DC-008 (Exif 2.32).
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from vae_balance.errors import ImageError
from vae_balance.photos.containers import photoshop
from vae_balance.photos.containers.metadata import MakeThumbnail

ORIENTATION = 274
IPTC, PHOTOSHOP = 33723, 34377
BYTE, SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 1, 3, 4, 5, 7, 16  # types of values
_EXIF, _GPS, _INTEROPERABILITY = 34665, 34853, 40965  # pointers to directories
_CHILDREN = (_EXIF, _GPS, _INTEROPERABILITY)
_COLOR_SPACE = 40961
_THUMBNAIL, _THUMBNAIL_BYTES = 513, 514
_THUMBNAIL_SIZE = (160, 160)  # pixels across and down; DCF has 160 x 120
# Types of values: bytes of one number (two numbers make a RATIONAL), and numbers in one value.
_NUMBERS = {1: (1, 1), 2: (1, 1), 3: (2, 1), 4: (4, 1), 5: (4, 2), 6: (1, 1), 7: (1, 1)} | {
    8: (2, 1), 9: (4, 1), 10: (4, 2), 11: (4, 1), 12: (8, 1), 13: (4, 1), 16: (8, 1),
    17: (8, 1), 18: (8, 1), 129: (1, 1),
}  # fmt: skip
_MAX_VALUE = 1 << 28  # bytes; no sane tag is longer


@dataclass
class Directory:
    """Tags by number: (type, count, value bytes); and the directories that tags point to."""

    tags: dict[int, tuple[int, int, bytes]] = field(default_factory=dict)
    children: dict[int, Directory] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """Byte order ("<" or ">") of a TIFF structure, and whether its offsets have 8 bytes."""

    order: str
    big: bool

    @property
    def offset(self) -> str:
        """How an offset is packed."""
        return self.order + ("Q" if self.big else "I")

    @property
    def count(self) -> str:
        """How the number of tags of a directory is packed."""
        return self.order + ("Q" if self.big else "H")

    @property
    def entry(self) -> str:
        """How a tag is packed: number, type, count, value or its offset."""
        return self.order + ("HHQ8s" if self.big else "HHI4s")


def parse_exif(exif: bytes | None, order: str = "") -> Directory | None:
    """Return the first directory of EXIF, None if there is none or it cannot be read.

    Numbers are converted to the byte order `order` if it is given.
    """
    if exif is None:
        return None
    file = io.BytesIO(exif)
    try:
        layout, offset = read_header(file)
    except ImageError:
        return None
    directory, _ = read_directory(file, layout, offset)
    if directory and order not in ("", layout.order):
        swap(directory)
    return directory


def orientation_of(exif: bytes | None) -> int:
    """Return the orientation, 1..8, that EXIF states; 1 (upright) if it states none."""
    directory = parse_exif(exif, "<")
    numbers = numbers_of(directory, ORIENTATION, "<") if directory else []
    return numbers[0] if len(numbers) == 1 and 1 <= numbers[0] <= 8 else 1


def is_adobe_rgb(exif: bytes | None) -> bool:
    """Tell whether EXIF says that colors are in Adobe RGB, as cameras do without a profile.

    Source: CIPA DC-010 (DCF 2.0), DCF optional color space.
    """
    directory = (parse_exif(exif, "<") or Directory()).children.get(_EXIF, Directory())
    color_space = numbers_of(directory, _COLOR_SPACE, "<")
    _, _, index = directory.children.get(_INTEROPERABILITY, Directory()).tags.get(1, (0, 0, b""))
    return color_space == [2] or (color_space == [65535] and index.startswith(b"R03"))


def with_orientation(exif: bytes | None, orientation: int) -> bytes | None:
    """Return EXIF that states `orientation`: `exif` itself if it does so already."""
    if orientation_of(exif) == orientation:
        return exif
    if exif is not None and (patched := _with_number(exif, ORIENTATION, orientation)):
        return patched
    directory = parse_exif(exif, "<") or Directory()
    directory.tags[ORIENTATION] = (SHORT, 1, struct.pack("<H", orientation))
    return serialize_alone(directory, "<")


def without_orientation(exif: bytes | None) -> bytes | None:
    """Return EXIF that states no orientation, all else in its place."""
    if exif is None or ORIENTATION not in (parse_exif(exif) or Directory()).tags:
        return exif
    layout, place = read_header(io.BytesIO(exif))
    (count,) = struct.unpack_from(layout.count, exif, place)
    size = struct.calcsize(layout.entry)
    start = place + struct.calcsize(layout.count)
    stop = start + count * size
    number = struct.pack(layout.order + "H", ORIENTATION)
    entries = [exif[at : at + size] for at in range(start, stop, size)]
    kept = [entry for entry in entries if not entry.startswith(number)]
    link_stop = stop + struct.calcsize(layout.offset)
    fresh = struct.pack(layout.count, len(kept)) + b"".join(kept) + exif[stop:link_stop]
    return exif[:place] + fresh.ljust(link_stop - place, b"\0") + exif[link_stop:]


def _with_number(exif: bytes, tag: int, number: int) -> bytes | None:
    """Return EXIF with another number in a tag of its first directory, all else in its place.

    None if there is no such tag of one short number.
    """
    file = io.BytesIO(exif)
    try:
        layout, place = read_header(file)
    except ImageError:
        return None
    if read_directory(file, layout, place)[0] is None:
        return None
    patched = bytearray(exif)
    (count,) = struct.unpack_from(layout.count, exif, place)
    entry_size = struct.calcsize(layout.entry)
    place += struct.calcsize(layout.count)
    for at in range(place, place + count * entry_size, entry_size):
        known, kind, amount, value = struct.unpack_from(layout.entry, exif, at)
        if (known, kind, amount) == (tag, SHORT, 1):
            value = struct.pack(layout.order + "H", number) + value[2:]
            struct.pack_into(layout.entry, patched, at, tag, SHORT, 1, value)
            return bytes(patched)
    return None


def with_thumbnail(exif: bytes | None, make: MakeThumbnail) -> bytes | None:
    """Return EXIF whose thumbnail, if it has one, is made anew in the old one's place, or left out.

    All other bytes stay where they are, because maker notes point to some.
    """
    if exif is None:
        return None
    file = io.BytesIO(exif)
    try:
        layout, first = read_header(file)
    except ImageError:
        return exif
    _, second = read_directory(file, layout, first)
    directory = read_directory(file, layout, second)[0] if second else None
    if directory is None:
        return exif
    renewed = bytearray(exif)
    if _renew_thumbnail(renewed, directory, second, layout, make):
        if parse_exif(bytes(renewed)) == parse_exif(exif):
            return bytes(renewed)
        renewed = bytearray(exif)  # its place is a lie: there are tags
    (count,) = struct.unpack_from(layout.count, exif, first)
    link = first + struct.calcsize(layout.count) + count * struct.calcsize(layout.entry)
    struct.pack_into(layout.offset, renewed, link, 0)
    return bytes(renewed)


def _renew_thumbnail(
    exif: bytearray, directory: Directory, place: int, layout: Layout, make: MakeThumbnail
) -> bool:
    """Overwrite the thumbnail of the directory at `place`; return whether there is a new one."""
    start = (numbers_of(directory, _THUMBNAIL, layout.order) or [0])[0]
    length = (numbers_of(directory, _THUMBNAIL_BYTES, layout.order) or [0])[0]
    is_there = exif[start : start + 2] == b"\xff\xd8" and start + length <= len(exif)
    made = make(_THUMBNAIL_SIZE, length) if is_there else None
    if made is None:
        return False
    exif[start : start + length] = made[0].ljust(length, b"\0")
    value = struct.pack(layout.order + "I", len(made[0]))
    value = value.ljust(struct.calcsize(layout.offset), b"\0")
    entry = struct.pack(layout.entry, _THUMBNAIL_BYTES, LONG, 1, value)
    (count,) = struct.unpack_from(layout.count, exif, place)
    entries = place + struct.calcsize(layout.count)
    for at in range(entries, entries + count * len(entry), len(entry)):
        if exif[at : at + 2] == entry[:2]:
            exif[at : at + len(entry)] = entry
    return True


def with_photoshop_thumbnail(exif: bytes | None, make: MakeThumbnail) -> bytes | None:
    """Return the EXIF of a TIFF file whose image resources of Photoshop have a new thumbnail."""
    directory = parse_exif(exif, "<")
    if directory is None or PHOTOSHOP not in directory.tags:
        return exif
    kind, _, resources = directory.tags[PHOTOSHOP]
    renewed = photoshop.with_thumbnail(resources, make)
    if renewed == resources:
        return exif
    directory.tags[PHOTOSHOP] = (kind, len(renewed), renewed)
    return serialize_alone(directory, "<")


def for_other_formats(exif: bytes | None) -> bytes | None:
    """Return EXIF without what only TIFF files keep there: blocks of IPTC and Photoshop."""
    directory = parse_exif(exif, "<")
    if not directory or not {IPTC, PHOTOSHOP} & directory.tags.keys():
        return exif
    for tag in (IPTC, PHOTOSHOP):
        directory.tags.pop(tag, None)
    return serialize_alone(directory, "<")


def read_header(file: BinaryIO) -> tuple[Layout, int]:
    """Return the layout and the offset of the first directory."""
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
    if order and len(head) >= 8:
        if head[2:4] == struct.pack(order + "H", 42):
            return Layout(order, False), struct.unpack_from(order + "I", head, 4)[0]
        if head[2:8] == struct.pack(order + "HHH", 43, 8, 0) and len(head) == 16:
            return Layout(order, True), struct.unpack_from(order + "Q", head, 8)[0]
    raise ImageError("is damaged: it has no TIFF header")


def read_directory(
    file: BinaryIO, layout: Layout, offset: int, depth: int = 0
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
    room = file_size  # values that share bytes would take more memory than the file has
    for tag, kind, amount, inline in struct.iter_unpack(layout.entry, entries):
        size = amount * _size(kind)
        if not 0 < size <= min(room, _MAX_VALUE):
            continue
        room -= size
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
            pointer = numbers_of(directory, tag, layout.order)
            del directory.tags[tag]
            if pointer:
                child, _ = read_directory(file, layout, pointer[0], depth + 1)
                if child is not None:
                    directory.children[tag] = child
    return directory, struct.unpack(layout.offset, link)[0]


def _size(kind: int) -> int:
    """Return the bytes of one value of a type, 0 for an unknown type."""
    size, numbers = _NUMBERS.get(kind, (0, 0))
    return size * numbers


def numbers_of(directory: Directory, tag: int, order: str) -> list[int]:
    """Return the value of a tag of unsigned integers; empty if it is missing or another type."""
    kind, _, value = directory.tags.get(tag, (0, 0, b""))
    letter = {BYTE: "u1", SHORT: "u2", LONG: "u4", 13: "u4", LONG8: "u8", 18: "u8"}.get(kind)
    return np.frombuffer(value, order + letter).tolist() if letter else []


def swap(directory: Directory) -> None:
    """Reverse the byte order of all numbers."""
    for tag, (kind, count, value) in directory.tags.items():
        size = _NUMBERS[kind][0]
        swapped = np.frombuffer(value, f"u{size}").byteswap().tobytes()
        directory.tags[tag] = (kind, count, swapped)
    for child in directory.children.values():
        swap(child)


def serialize_alone(directory: Directory, order: str) -> bytes:
    """Return a whole TIFF structure, header and all, as EXIF has it."""
    layout = Layout(order, False)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return head + serialize(directory, 8, layout)


def serialize(directory: Directory, start: int, layout: Layout, following: int = 0) -> bytes:
    """Return the bytes of a directory, and of all that it points to, to be put at `start`.

    `following` is where the next directory of the file is.
    """
    tags = sorted(directory.tags.keys() | directory.children.keys())
    inline_size = struct.calcsize(layout.offset)
    entries_size = len(tags) * struct.calcsize(layout.entry)
    end = start + struct.calcsize(layout.count) + entries_size + inline_size
    entries, values = [], []
    for tag in tags:
        position = end + end % 2
        if tag in directory.children:
            kind, count = (LONG8 if layout.big else LONG), 1
            value = struct.pack(layout.offset, position)
            placed = serialize(directory.children[tag], position, layout)
        else:
            kind, count, value = directory.tags[tag]
            placed = b"" if len(value) <= inline_size else value
            value = struct.pack(layout.offset, position) if placed else value
        entries.append(struct.pack(layout.entry, tag, kind, count, value))
        if placed:
            values.append(b"\0" * (position - end) + placed)
            end = position + len(placed)
    head = struct.pack(layout.count, len(tags))
    return head + b"".join(entries) + struct.pack(layout.offset, following) + b"".join(values)
