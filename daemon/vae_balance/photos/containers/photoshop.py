"""Image resources of Photoshop, which JPEG and TIFF files carry: their thumbnail.

Format: Adobe Photoshop File Formats Specification, Image Resources Section.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from vae_balance.photos.containers.metadata import MakeThumbnail

_SIGNATURES = (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR")
_OLD_THUMBNAIL, _THUMBNAIL = 1033, 1036
_JPEG = 1
_MOST_PIXELS = 512  # along a side; Photoshop makes 160
_HEAD = ">6I2H"  # format, width, height, bytes a row and in all, compressed, bits, planes


def with_thumbnail(resources: bytes, make: MakeThumbnail) -> bytes:
    """Return image resources whose thumbnail, if they have one, is made anew.

    A thumbnail of Photoshop 4, whose colors lie the other way round, is left out. Resources without
    one keep their bytes, and so does what cannot be read.
    """
    renewed = []
    changed = False
    end = 0
    for number, start, data_start, data_stop, end in _resources(resources):
        if number not in (_OLD_THUMBNAIL, _THUMBNAIL):
            renewed.append(resources[start:end])
            continue
        changed = True
        size = _size(resources[data_start:data_stop])
        if number == _THUMBNAIL and size and (made := make(size, None)):
            data = _head(*made) + made[0]
            head = resources[start : data_start - 4] + struct.pack(">I", len(data))
            renewed.append(head + data + b"\0" * (len(data) % 2))
    return b"".join([*renewed, resources[end:]]) if changed else resources


def _size(thumbnail: bytes) -> tuple[int, int] | None:
    """Return the pixels across and down of a thumbnail's data, None if it is damaged."""
    if len(thumbnail) < struct.calcsize(_HEAD):
        return None
    width, height = struct.unpack_from(">2I", thumbnail, 4)
    return (min(width, _MOST_PIXELS), min(height, _MOST_PIXELS)) if width and height else None


def _head(thumbnail: bytes, width: int, height: int) -> bytes:
    row = (width * 24 + 31) // 32 * 4
    return struct.pack(_HEAD, _JPEG, width, height, row, row * height, len(thumbnail), 24, 1)


def _resources(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield number, start, start and stop of the data, and end of each resource."""
    start = 0
    while data[start : start + 4] in _SIGNATURES and start + 7 <= len(data):
        (number,) = struct.unpack_from(">H", data, start + 4)
        name_bytes = 1 + data[start + 6]
        data_start = start + 6 + name_bytes + name_bytes % 2 + 4
        if data_start > len(data):
            return
        (size,) = struct.unpack_from(">I", data, data_start - 4)
        data_stop = data_start + size
        if data_stop > len(data):
            return
        end = min(data_stop + size % 2, len(data))
        yield number, start, data_start, data_stop, end
        start = end
