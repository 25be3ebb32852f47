"""AVIF boxes: what Pillow does not tell of an AVIF file.

Formats: ISO/IEC 23008-12 (HEIF), section 6.5.5; AV1 Codec ISO Media File Format Binding, 2.3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_HEAD = 1 << 16  # bytes; the boxes lie before the pixels
_HIGH_BIT_DEPTH = 0x40


@dataclass(frozen=True)
class AvifHeader:
    """Code points (H.273) of primaries and transfer, or None; whether it has more than 8 bits."""

    color_space: tuple[int, int] | None
    is_deep: bool


def inspect(path: Path) -> AvifHeader:
    """Look at the properties of the pictures in an AVIF file."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    color_space = None
    place = head.find(b"colrnclx")
    if 0 <= place <= len(head) - 12:
        color_space = struct.unpack_from(">HH", head, place + 8)
    place = head.find(b"av1C")
    is_deep = 0 <= place <= len(head) - 7 and bool(head[place + 6] & _HIGH_BIT_DEPTH)
    return AvifHeader(color_space, is_deep)
