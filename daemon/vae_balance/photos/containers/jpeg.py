"""JPEG segments: metadata out of and into JPEG files.

Formats: ITU-T T.81 (JPEG), annex B; ITU-T T.871 (JFIF); CIPA DC-008 (Exif 2.32); ICC.1:2022, B.4;
Adobe, XMP Specification Part 3.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vae_balance.errors import ImageError
from vae_balance.photos.containers.metadata import Metadata, check_size, fitting

_APP0, _APP1, _APP2, _APP13, _APP14, _COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE
_SCAN = 0xDA
_JFIF, _EXIF, _ICC = b"JFIF\0", b"Exif\0\0", b"ICC_PROFILE\0"
_XMP, _XMP_EXTENSION = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
# Frames that libjpeg decodes: Huffman or arithmetic coding, sequential or progressive.
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})
_MAX_SEGMENT = 65533
MAX_EXIF = _MAX_SEGMENT - len(_EXIF)
_MAX_PROFILE_PART = _MAX_SEGMENT - len(_ICC) - 2
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
    for segment in _segments(path):
        marker, data = segment.marker, segment.data
        if marker in _FRAMES | _OTHER_FRAMES:
            _check_frame(segment)
        elif marker == _APP0 and data.startswith(_JFIF) and len(data) >= 12:
            resolution = _resolution(data)
        elif marker == _APP1 and data.startswith(_EXIF) and exif is None:
            exif = data.removeprefix(_EXIF)
        elif marker == _APP1 and data.startswith(_XMP):
            xmp = data.removeprefix(_XMP)
        elif marker == _APP2 and data.startswith(_ICC) and len(data) > len(_ICC) + 2:
            profile_parts[data[len(_ICC)]] = data[len(_ICC) + 2 :]
        elif marker in (_APP13, _COMMENT) or data.startswith(_XMP_EXTENSION):
            own.append(_bytes_of(segment))
    profile = b"".join(profile_parts[part] for part in sorted(profile_parts))
    return Metadata(exif, xmp, resolution, tuple(own)), profile or None


def embed(pixels: BinaryIO, target: Path, metadata: Metadata, icc_profile: bytes | None) -> None:
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
    with target.open("wb") as out:
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


def _segments(path: Path) -> Iterator[_Segment]:
    """Yield the segments before the first scan; whether scans are whole their decoder finds."""
    with path.open("rb") as file:
        file.seek(2)
        while True:
            filled, marker = file.read(1), file.read(1)
            while marker == b"\xff":  # any number of them may precede a marker
                marker = file.read(1)
            length = int.from_bytes(file.read(2), "big") - 2
            data = file.read(max(length, 0))
            if filled != b"\xff" or not 0 <= length == len(data):
                raise ImageError(_CUT_SHORT)
            if marker[0] == _SCAN:
                return
            yield _Segment(marker[0], data)


def _check_frame(frame: _Segment) -> None:
    """Raise ImageError unless the frame is of a picture that can be balanced."""
    if len(frame.data) < 6:
        raise ImageError(_CUT_SHORT)
    bits, height, width, channels = struct.unpack_from(">BHHB", frame.data)
    if channels == 1:
        raise ImageError("is greyscale: there is no color to balance")
    if channels == 4:
        raise ImageError("is a CMYK picture: convert it to RGB first")
    if channels != 3:
        raise ImageError(f"has {channels} channels: only RGB pictures can be balanced")
    if bits != 8 or frame.marker in _OTHER_FRAMES:
        raise ImageError("is a JPEG of a rare kind (lossless or 12 bits): save it as PNG or TIFF")
    check_size(width, height)


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
