"""WebP chunks: metadata out of WebP files.

Format: RFC 9649, section 2. Pillow puts them back.
"""

from __future__ import annotations

import struct
from pathlib import Path

from vae_balance.errors import ImageError
from vae_balance.photos.containers.metadata import Metadata

_CUT_SHORT = "is damaged or cut short: copy it again from where it came from"
_EXIF_PREFIX = b"Exif\0\0"  # some writers keep it, though the format does not want it


def inspect(path: Path) -> tuple[Metadata, bytes | None, bool]:
    """Return the metadata, the ICC profile and whether the pixels are coded without loss.

    Raises:
        ImageError: The file is cut short or animated. The message does not name the file.
    """
    found: dict[bytes, bytes] = {}
    with path.open("rb") as file:
        _, size, _ = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        end = size + 8
        if path.stat().st_size < end:
            raise ImageError(_CUT_SHORT)
        while file.tell() + 8 <= end:
            kind, length = struct.unpack("<4sI", file.read(8))
            if kind in (b"ANIM", b"ANMF"):
                raise ImageError("is animated: save the frame you want as a file of its own")
            position = file.tell()
            found[kind] = file.read(length) if kind in (b"ICCP", b"EXIF", b"XMP ") else b""
            file.seek(position + length + length % 2)
    exif = found.get(b"EXIF", b"").removeprefix(_EXIF_PREFIX)
    metadata = Metadata(exif or None, found.get(b"XMP ") or None)
    return metadata, found.get(b"ICCP") or None, b"VP8L" in found
