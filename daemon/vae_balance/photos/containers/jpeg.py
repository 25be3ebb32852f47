"""JPEG segments: metadata out of and into JPEG files.

Formats: ITU-T T.81 (JPEG), annex B; ITU-T T.871 (JFIF); CIPA DC-008 (Exif 2.32); ICC.1:2022, B.4;
Adobe, XMP Specification Part 3.
"""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vae_balance.errors import ImageError
from vae_balance.photos.containers import photoshop
from vae_balance.photos.containers import xmp as xmp_packet
from vae_balance.photos.containers.metadata import (
    MakeThumbnail,
    Metadata,
    Warn,
    check_size,
)

_APP0, _APP1, _APP2, _APP13, _APP14, _COMMENT = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE
_TEM, _START, _END, _SCAN = 0x01, 0xD8, 0xD9, 0xDA
_JFIF, _EXIF, _ICC = b"JFIF\0", b"Exif\0\0", b"ICC_PROFILE\0"
_XMP, _XMP_EXTENSION = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
# Frames that libjpeg decodes: Huffman or arithmetic coding, sequential or progressive.
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})
_MAX_SEGMENT = 65533
MAX_EXIF = _MAX_SEGMENT - len(_EXIF)
MAX_XMP = _MAX_SEGMENT - len(_XMP)
_MAX_PROFILE_PART = _MAX_SEGMENT - len(_ICC) - 2
MAX_PROFILE = 255 * _MAX_PROFILE_PART
_CUT_SHORT = "is damaged or cut short: copy it again from where it came from"


_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither data of a scan nor a restart
_BLOCK = 1 << 20
_LEAST_BEHIND = 64  # bytes behind a picture; fewer are no picture or video


@dataclass(frozen=True)
class _Segment:
    """A marker and its data; where it begins in its file, and ends, data of a scan included."""

    marker: int
    data: bytes
    start: int = 0
    stop: int = 0


@dataclass(frozen=True)
class JpegHeader:
    """What `inspect` finds; a file that is not whole is to be decoded as `write_mended` has it."""

    metadata: Metadata
    icc_profile: bytes | None
    is_whole: bool


def inspect(path: Path, warn: Warn) -> JpegHeader:
    """Return the metadata and the ICC profile of a JPEG file.

    Args:
        path: The file.
        warn: Is told of bytes that belong to nothing, of a missing end, and of what hangs behind
            the picture and does not follow its colors.

    Raises:
        ImageError: The file is damaged or cut short, or not a picture of three 8-bit channels.
            The message does not name the file.
    """
    exif = xmp = resolution = None
    own: list[bytes] = []
    profile_parts: dict[int, bytes] = {}
    end = 2  # of what was read so far
    junk, has_end = False, False
    with path.open("rb") as file:
        for segment in _segments(file):
            marker, data = segment.marker, segment.data
            junk |= segment.start > end
            end, has_end = segment.stop, marker == _END
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
        file.seek(end)
        behind = file.read(_LEAST_BEHIND)
    if junk:
        warn("has stray bytes between its segments: they are passed over")
    if not has_end:
        warn("has no end, though its pixels are all there")
    if len(behind) == _LEAST_BEHIND and behind.strip(b"\0\xff") and has_end:
        _warn_of_what_hangs_behind(xmp, behind, warn)
    profile = b"".join(profile_parts[part] for part in sorted(profile_parts))
    metadata = Metadata(exif, xmp, resolution, tuple(own))
    return JpegHeader(metadata, profile or None, has_end and not junk)


def with_thumbnail(own: tuple[bytes, ...], make: MakeThumbnail) -> tuple[bytes, ...]:
    """Return segments of `Metadata.own` whose image resources of Photoshop have a new thumbnail."""
    prefix = len(_PHOTOSHOP) + 4
    ours = [segment[4:].startswith(_PHOTOSHOP) for segment in own]
    resources = b"".join(s[prefix:] for s, is_ours in zip(own, ours, strict=True) if is_ours)
    renewed = photoshop.with_thumbnail(resources, make)
    if renewed == resources:
        return own
    room = _MAX_SEGMENT - len(_PHOTOSHOP)
    parts = [renewed[start : start + room] for start in range(0, len(renewed), room)]
    segments = [_bytes_of(_Segment(_APP13, _PHOTOSHOP + part)) for part in parts]
    others = [segment for segment, is_ours in zip(own, ours, strict=True) if not is_ours]
    return (*segments, *others)


def write_mended(source: Path, target: Path) -> None:
    """Copy a JPEG file without stray bytes and with an end."""
    with source.open("rb") as file, target.open("wb") as out:
        out.write(b"\xff\xd8")
        places = [(s.start, s.stop) for s in _segments(file) if s.marker not in (_TEM, _END)]
        for start, stop in places:
            file.seek(start)
            out.write(file.read(stop - start))
        out.write(b"\xff\xd9")


def embed(pixels: BinaryIO, target: Path, metadata: Metadata, icc_profile: bytes | None) -> None:
    """Copy a JPEG file with other metadata in place of all that it has; it must fit."""
    segments = []
    if metadata.exif:
        segments.append(_Segment(_APP1, _EXIF + metadata.exif))
    if metadata.xmp:
        segments.append(_Segment(_APP1, _XMP + metadata.xmp))
    if icc_profile:
        starts = range(0, len(icc_profile), _MAX_PROFILE_PART)
        for number, start in enumerate(starts, 1):
            part = bytes((number, len(starts))) + icc_profile[start : start + _MAX_PROFILE_PART]
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


def _segments(file: BinaryIO) -> Iterator[_Segment]:
    """Yield the segments of a file up to the end of its picture, as far as they are there."""
    scanned = False
    place = _find_marker(file, 2)
    while place is not None:
        where, marker = place
        file.seek(stop := where.stop)
        data = b""
        if marker not in (_TEM, _START, _END):
            length = int.from_bytes(file.read(2), "big") - 2
            data = file.read(max(length, 0))
            if not 0 <= length == len(data):
                break
            stop += 2 + length
        place = _find_marker(file, stop)
        if marker == _SCAN:
            scanned = True
            stop = place[0].start if place else file.seek(0, 2)
        yield _Segment(marker, data, where.start, stop)
        if marker == _END:
            break
    if not scanned:
        raise ImageError(_CUT_SHORT)


def _find_marker(file: BinaryIO, place: int) -> tuple[range, int] | None:
    """Return the next marker from `place` on and where it is, with the bytes that fill it up."""
    size = 64
    while True:
        file.seek(place)
        block = file.read(size)
        if found := _MARKER.search(block):
            start = len(block[: found.start()].rstrip(b"\xff"))
            return range(place + start, place + found.end()), block[found.end() - 1]
        if len(block) < 2:
            return None
        place += len(block) - 1  # the last byte may be the first of a marker
        size = min(4 * size, _BLOCK)


def _warn_of_what_hangs_behind(xmp: bytes | None, behind: bytes, warn: Warn) -> None:
    if xmp_packet.without_companions(xmp)[1]:
        return  # whoever cleans the packet tells of it
    what = "another picture" if behind.startswith(b"\xff\xd8\xff") else "something else"
    warn(f"{what} behind the picture, in the same file, is left out: its colors stay the old ones")


def _check_frame(frame: _Segment) -> None:
    """Raise ImageError unless the frame is of a picture that can be balanced."""
    if len(frame.data) < 6:
        raise ImageError(_CUT_SHORT)
    bits, height, width, channels = struct.unpack_from(">BHHB", frame.data)
    if channels == 4:
        raise ImageError("is a CMYK picture: convert it to RGB first")
    if channels not in (1, 3):
        raise ImageError(f"has {channels} channels: only grey and RGB pictures are read")
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
