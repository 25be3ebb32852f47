"""Boxes, of which files of JPEG XL and JPEG 2000 consist.

Formats: ISO/IEC 14496-12, section 4.2; ISO/IEC 15444-1, annex I.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from vae_balance.errors import ImageError

_CUT_SHORT = "is damaged or cut short: copy it again from where it came from"
_MAX_BOXES = 10_000


def boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start of the content and its length of each box of a file.

    Raises:
        ImageError: A box ends beyond the file.
    """
    size = file.seek(0, 2)
    place = 0
    for _ in range(_MAX_BOXES):
        if place >= size:
            return
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            raise ImageError(_CUT_SHORT)
        length, kind = struct.unpack(">I4s", head)
        start = place + 8
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
            start += 8
        end = place + length if length else size  # the last box may have no length
        if not start <= end <= size:
            raise ImageError(_CUT_SHORT)
        yield kind, start, end - start
        place = end


def box(kind: bytes, content: bytes) -> bytes:
    """Return the bytes of a box.

    Raises:
        ImageError: The content is too long.
    """
    if len(content) > 0xFFFFFFF0:
        raise ImageError("holds at most 4 GB in a box")
    return struct.pack(">I4s", 8 + len(content), kind) + content
