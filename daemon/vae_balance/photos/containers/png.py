"""PNG chunks: metadata out of and into PNG files.

Format: W3C, Portable Network Graphics (PNG) Specification (Third Edition).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vae_balance.color import spaces, srgb
from vae_balance.errors import ImageError
from vae_balance.photos.containers.metadata import Metadata, Warn, check_size

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP = b"XML:com.adobe.xmp\0"
# Texts, and what else than a profile says how numbers mean colors. Others describe the stored
# pixels (tRNS, bKGD, sBIT, hIST) or the old file (tIME), or are not known here.
_OWN = frozenset(
    {b"tEXt", b"zTXt", b"iTXt", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI"} | {b"oFFs"}
)
_CRITICAL = frozenset({b"PLTE", b"IDAT", b"IEND"})
# What a wrong checksum does no harm to: people would see it, or it has a checksum of its own.
_ROBUST = frozenset({b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"iCCP"})
_BLOCK = 1 << 20
_MAX_UNPACKED = 1 << 26
_METERS_PER_INCH = 0.0254
_GAMMA_OF_SRGB, _SAME_GAMMA, _SAME_CHROMATICITY = 2.2, 0.03, 0.002
_CUT_SHORT = "is damaged or cut short: copy it again from where it came from"


def inspect(path: Path, warn: Warn) -> tuple[Metadata, bytes | None]:
    """Return the metadata and the ICC profile of a PNG file; check all its checksums.

    Args:
        path: The file.
        warn: Is told of damage that does not touch the pixels.

    Raises:
        ImageError: The file is damaged or cut short, or animated. The message does not name the
            file.
    """
    exif = xmp = resolution = profile = None
    own: list[bytes] = []
    space: dict[bytes, bytes] = {}
    for kind, data in _chunks(path, warn):
        if kind == b"IHDR":
            _check_header(data)
        elif kind == b"acTL":
            raise ImageError("is animated: save the frame you want as a file of its own")
        elif kind == b"eXIf":
            exif = data.removeprefix(b"Exif\0\0")  # which some writers put there
        elif kind == b"iCCP":
            profile = _unpack(data.partition(b"\0")[2][1:])
        elif kind == b"pHYs" and len(data) == 9:
            resolution = _resolution(data)
        elif kind == b"iTXt" and data.startswith(_XMP):
            xmp = _international_text(data)
        elif kind in _OWN:
            own.append(_bytes_of(kind, data))
            space[kind] = data
    if b"cICP" in space or not (profile or b"sRGB" in space):
        try:
            profile = _named_profile(space)
        except spaces.UnknownSpaceError as problem:
            warn(f"its color space {problem}: its colors are taken for sRGB")
    return Metadata(exif, xmp, resolution, tuple(own)), profile


def embed(source: Path, target: Path, metadata: Metadata, icc_profile: bytes | None) -> None:
    """Copy a PNG file with other metadata in place of all that it has.

    Raises:
        ImageError: It is not whole, which OpenImageIO does not tell where a disk is full.
    """
    chunks = list(metadata.own)
    if icc_profile:
        chunks.append(_bytes_of(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc_profile)))
    if metadata.exif:
        chunks.append(_bytes_of(b"eXIf", metadata.exif))
    if metadata.xmp:
        chunks.append(_bytes_of(b"iTXt", _XMP + bytes(4) + metadata.xmp))
    if metadata.resolution:
        per_meter = (round(value / _METERS_PER_INCH) for value in metadata.resolution)
        chunks.append(_bytes_of(b"pHYs", struct.pack(">IIB", *per_meter, 1)))
    with source.open("rb") as pixels, target.open("wb") as out:
        out.write(pixels.read(len(_SIGNATURE) + 25) + b"".join(chunks))  # IHDR has 25 bytes
        kind = b""
        while kind != b"IEND":
            head = pixels.read(8)
            if len(head) < 8:
                raise ImageError("its pixels are not all there")
            length, kind = struct.unpack(">I4s", head)
            if kind in _CRITICAL:
                out.write(head)
                _copy(pixels, out, length + 4)
            else:
                pixels.seek(length + 4, 1)


def _check_header(data: bytes) -> None:
    """Raise ImageError unless the header is of a picture that can be balanced."""
    if len(data) != 13:
        raise ImageError(_CUT_SHORT)
    check_size(*struct.unpack_from(">II", data))


def _chunks(path: Path, warn: Warn) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and data of each chunk; those of pixels are checked and come without data."""
    with path.open("rb") as file:
        file.seek(len(_SIGNATURE))
        kind = b""
        while kind != b"IEND":
            head = file.read(8)
            if kind == b"IDAT" and not head:
                warn("has no end, though its pixels are all there")
                return
            if len(head) < 8:
                raise ImageError(_CUT_SHORT)
            length, kind = struct.unpack(">I4s", head)
            checksum = zlib.crc32(kind)
            parts = []
            while length:
                part = file.read(min(length, _BLOCK))
                if not part:
                    raise ImageError(_CUT_SHORT)
                checksum = zlib.crc32(part, checksum)
                length -= len(part)
                if kind != b"IDAT":
                    parts.append(part)
            if file.read(4) != checksum.to_bytes(4, "big"):
                if not kind[0] & 0x20:  # critical: the picture cannot be had without it
                    raise ImageError(_CUT_SHORT)
                kept = kind in _ROBUST
                fate = "its content is kept" if kept else "it is left out"
                warn(f"has a wrong checksum in its chunk {kind.decode('latin-1')!r}: {fate}")
                if not kept:
                    continue
            yield kind, b"".join(parts)


def _named_profile(chunks: dict[bytes, bytes]) -> bytes | None:
    """Return the profile of the color space that chunks name (sections 11.3.2 and 4.3).

    Raises:
        UnknownSpaceError: There is no profile for it.
    """
    code = chunks.get(b"cICP", b"")
    if len(code) == 4:
        primaries, transfer, matrix, is_full = code
        if matrix or not is_full:
            raise spaces.UnknownSpaceError("is one of video, not of a picture")
        return spaces.coded_space(primaries, transfer)
    chromaticities: spaces.Chromaticities = spaces.BT_709
    curve: tuple[float, ...] = srgb.CURVE
    if len(stated := chunks.get(b"cHRM", b"")) == 32:
        numbers = [number / 100_000 for number in struct.unpack(">8I", stated)]
        white, *colors = zip(numbers[::2], numbers[1::2], strict=True)
        chromaticities = (*colors, white)
    if len(stated := chunks.get(b"gAMA", b"")) == 4 and any(stated):
        curve = (100_000 / int.from_bytes(stated, "big"),)
    # Files in sRGB state the gamma that comes next to its curve.
    is_srgb_curve = len(curve) > 1 or abs(curve[0] - _GAMMA_OF_SRGB) < _SAME_GAMMA
    if is_srgb_curve and np.allclose(chromaticities, spaces.BT_709, atol=_SAME_CHROMATICITY):
        return None
    return spaces.matrix_profile("PNG", chromaticities, curve)


def _resolution(data: bytes) -> tuple[float, float] | None:
    """Return the pixels per inch that a pHYs chunk states, None if it states only their shape."""
    across, down, unit = struct.unpack(">IIB", data)
    return (across * _METERS_PER_INCH, down * _METERS_PER_INCH) if unit == 1 else None


def _international_text(data: bytes) -> bytes | None:
    """Return the text of an iTXt chunk: keyword 0 compressed method language 0 translated 0."""
    _, _, rest = data.partition(b"\0")
    _, _, text = rest[2:].split(b"\0", 2) if rest[2:].count(b"\0") >= 2 else (b"", b"", b"")
    return (_unpack(text) if rest[:1] == b"\1" else text) or None


def _unpack(data: bytes) -> bytes | None:
    """Return zlib-compressed data, None if it is damaged or suspiciously large."""
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(data, _MAX_UNPACKED)
    except zlib.error:
        return None
    return unpacked if unpacker.eof else None


def _bytes_of(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", checksum)


def _copy(source: BinaryIO, target: BinaryIO, length: int) -> None:
    while length:
        part = source.read(min(length, _BLOCK))
        if not part:
            raise ImageError("cannot be given its metadata: the written file is damaged")
        target.write(part)
        length -= len(part)
