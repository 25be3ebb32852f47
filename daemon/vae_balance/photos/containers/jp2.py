"""JPEG 2000 boxes: metadata out of and into JP2 files.

Formats: ISO/IEC 15444-1, annex I; Adobe, XMP Specification Part 3; EXIF as ExifTool and others have
it, in a box of its own UUID.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from vae_balance.errors import ImageError
from vae_balance.photos.containers.boxes import box, boxes
from vae_balance.photos.containers.metadata import Metadata

_EXIF = b"JpgTiffExif->JP2"
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_MAX_METADATA = 1 << 26
_END = b"\xff\xd9"  # of a codestream


def inspect(path: Path) -> Metadata:
    """Return the metadata of a JP2 file; the profile comes with the pixels.

    Raises:
        ImageError: The file is cut short. The message does not name the file.
    """
    found: dict[bytes, bytes] = {}
    with path.open("rb") as file:
        for kind, start, length in boxes(file):
            if kind == b"uuid" and 16 < length <= _MAX_METADATA:
                file.seek(start)
                identity = file.read(16)
                if identity in (_EXIF, _XMP):
                    found[identity] = file.read(length - 16)
    exif = found.get(_EXIF, b"").removeprefix(b"Exif\0\0")
    return Metadata(exif or None, found.get(_XMP))


def embed(path: Path, metadata: Metadata) -> None:
    """Add metadata to a JP2 file that was just written and has none.

    Raises:
        ImageError: The file is not whole, which OpenJPEG does not tell where a disk is full.
    """
    with path.open("rb+") as file:
        kind, start, length = _codestream(file)
        file.seek(start - 8)
        if file.read(4) == bytes(4):  # the last box reaches to the end: no more
            file.seek(start - 8)
            file.write(struct.pack(">I4s", 8 + length, kind))
        file.seek(0, 2)
        if metadata.exif:
            file.write(box(b"uuid", _EXIF + metadata.exif))
        if metadata.xmp:
            file.write(box(b"uuid", _XMP + metadata.xmp))


def _codestream(file: BinaryIO) -> tuple[bytes, int, int]:
    """Return type, start and length of the last box, which has all pixels.

    Raises:
        ImageError: It is missing, or has no end.
    """
    try:
        found = list(boxes(file))
    except ImageError:
        found = []
    if found and found[-1][0] == b"jp2c":
        _, start, length = found[-1]
        file.seek(start + length - len(_END))
        if file.read() == _END:
            return found[-1]
    raise ImageError("its pixels are not all there")
