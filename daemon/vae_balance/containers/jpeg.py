"""JPEG segments: metadata out of and into JPEG files.

Formats: ITU-T T.81 (JPEG), annex B; ITU-T T.871 (JFIF); CIPA DC-008 (Exif 2.32); ICC.1:2022, B.4;
Adobe, XMP Specification Part 3.
"""

from __future__ import annotations

import mmap
import re
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vae_balance.containers.metadata import Metadata, fitting
from vae_balance.errors import ImageError

_APP0, _APP1, _APP2, _APP13, _APP14, _COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE
_SCAN, _END = 0xDA, 0xD9
_JFIF, _EXIF, _ICC = b"JFIF\0", b"Exif\0\0", b"ICC_PROFILE\0"
_XMP, _XMP_EXTENSION = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
# Frames that libjpeg decodes: Huffman or arithmetic coding, sequential or progressive.
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})
_MAX_SEGMENT = 65533
MAX_EXIF = _MAX_SEGMENT - len(_EXIF)
_MAX_PROFILE_PART = _MAX_SEGMENT - len(_ICC) - 2
# In coded data 0xFF is followed by 0 or by a restart marker; fill bytes 0xFF may precede a marker.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_CUT_SHORT = "is damaged or cut short: copy it again from where it came from"


@dataclass(frozen=True)
class _Segment:
    marker: int
    data: bytes


def inspect(path: Path) -> tuple[Metadata, bytes | None]:
    """Return the metadata and the ICC profile of a JPEG file.

    Raises:
        ImageError: The file is damaged or cut short, or not a picture of three 8-bit channels.
            The message does not name the file.
    """
    exif = xmp = resolution = None
    own: list[bytes] = []
    profile_parts: dict[int, bytes] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for marker, start, end in _segments(data):
            head = data[start : min(end, start + 64)]
            if marker in _FRAMES | _OTHER_FRAMES:
                _check_frame(marker, head)
            elif marker == _APP0 and head.startswith(_JFIF) and len(head) >= 12:
                resolution = _resolution(head)
            elif marker == _APP1 and head.startswith(_EXIF) and exif is None:
                exif = data[start + len(_EXIF) : end]
            elif marker == _APP1 and head.startswith(_XMP):
                xmp = data[start + len(_XMP) : end]
            elif marker == _APP2 and head.startswith(_ICC) and len(head) > len(_ICC) + 2:
                profile_parts[head[len(_ICC)]] = data[start + len(_ICC) + 2 : end]
            elif marker in (_APP13, _COMMENT) or head.startswith(_XMP_EXTENSION):
                own.append(_bytes_of(_Segment(marker, data[start:end])))
    profile = b"".join(profile_parts[part] for part in sorted(profile_parts))
    return Metadata(exif, xmp, resolution, tuple(own)), profile or None


def embed(source: Path, target: Path, metadata: Metadata, icc_profile: bytes | None) -> None:
    """Copy a JPEG file with other metadata in place of all that it has."""
    segments = []
    if metadata.exif:
        segments.append(_Segment(_APP1, _EXIF + metadata.exif))
    if xmp := fitting("XMP", metadata.xmp, _MAX_SEGMENT - len(_XMP)):
        segments.append(_Segment(_APP1, _XMP + xmp))
    if profile := fitting("ICC profile", icc_profile, 255 * _MAX_PROFILE_PART):
        starts = range(0, len(profile), _MAX_PROFILE_PART)
        for number, start in enumerate(starts, 1):
            part = bytes((number, len(starts))) + profile[start : start + _MAX_PROFILE_PART]
            segments.append(_Segment(_APP2, _ICC + part))
    with source.open("rb") as pixels, target.open("wb") as out:
        out.write(pixels.read(2))
        while (segment := _read_segment(pixels)).marker == _APP0:
            out.write(_bytes_of(_with_resolution(segment, metadata.resolution)))
        out.write(b"".join([*map(_bytes_of, segments), *metadata.own]))
        while segment.marker != _SCAN:
            if segment.marker == _APP14 or not _APP0 <= segment.marker <= _COMMENT:
                out.write(_bytes_of(segment))
            segment = _read_segment(pixels)
        out.write(_bytes_of(segment))
        shutil.copyfileobj(pixels, out, 1 << 20)


def _segments(data: mmap.mmap) -> Iterator[tuple[int, int, int]]:
    """Yield the marker of each segment and where its data starts and ends, through to the end."""
    position = 2
    while True:
        while data[position : position + 2] == b"\xff\xff":
            position += 1
        head = data[position : position + 4]
        if len(head) < 2 or head[0] != 0xFF:
            raise ImageError(_CUT_SHORT)
        marker = head[1]
        if marker == _END:
            return
        start = position + 4
        position += 2 + int.from_bytes(head[2:], "big")
        if not start <= position <= len(data):
            raise ImageError(_CUT_SHORT)
        yield marker, start, position
        if marker == _SCAN:
            following = _MARKER.search(data, position)
            if following is None:
                raise ImageError(_CUT_SHORT)
            position = following.start()


def _check_frame(marker: int, head: bytes) -> None:
    """Raise ImageError unless the frame is of a picture that can be balanced."""
    bits, channels = head[0], head[5] if len(head) > 5 else 0
    if channels == 1:
        raise ImageError("is greyscale: there is no color to balance")
    if channels == 4:
        raise ImageError("is a CMYK picture: convert it to RGB first")
    if channels != 3:
        raise ImageError(f"has {channels} channels: only RGB pictures can be balanced")
    if bits != 8 or marker in _OTHER_FRAMES:
        raise ImageError("is a JPEG of a rare kind (lossless or 12 bits): save it as PNG or TIFF")


def _resolution(jfif: bytes) -> tuple[float, float] | None:
    """Return the pixels per inch that JFIF states, None if it states only the pixels' shape."""
    unit, across, down = struct.unpack_from(">BHH", jfif, 7)
    scale = {1: 1.0, 2: 2.54}.get(unit)
    return (across * scale, down * scale) if scale and across and down else None


def _with_resolution(jfif: _Segment, resolution: tuple[float, float] | None) -> _Segment:
    if resolution is None or not jfif.data.startswith(_JFIF):
        return jfif
    across, down = (min(max(round(value), 1), 65535) for value in resolution)
    density = struct.pack(">BHH", 1, across, down)
    return _Segment(jfif.marker, jfif.data[:7] + density + jfif.data[12:])


def _read_segment(file: BinaryIO) -> _Segment:
    """Return the next segment of a file of our own writing."""
    _, marker, length = struct.unpack(">BBH", file.read(4))
    return _Segment(marker, file.read(length - 2))


def _bytes_of(segment: _Segment) -> bytes:
    return struct.pack(">BBH", 0xFF, segment.marker, len(segment.data) + 2) + segment.data
