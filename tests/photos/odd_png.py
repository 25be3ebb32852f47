"""PNG files with chunks that Pillow does not write."""

from __future__ import annotations

import io
import struct
import zlib

from pictures import picture
from PIL import Image


def png(*extra: bytes) -> bytes:
    """Return a PNG file of `picture()` with further chunks, given whole, before the pixels."""
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, "PNG")
    data = buffer.getvalue()
    return data[:33] + b"".join(extra) + data[33:]


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    """Return a chunk, with a checksum of its own if it is given."""
    if checksum is None:
        checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
