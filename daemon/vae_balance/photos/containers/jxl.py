"""JPEG XL boxes: metadata out of and into JPEG XL files.

Formats: ISO/IEC 18181-1 (codestream), annexes B, D and E; ISO/IEC 18181-2 (file format).
"""

from __future__ import annotations

import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

from vae_balance.errors import ImageError
from vae_balance.photos.containers.boxes import box, boxes
from vae_balance.photos.containers.metadata import Metadata, Warn, check_size

_CODESTREAM = b"\xff\x0a"
_FILE_HEAD = box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl \0\0\0\0jxl ")
_MAX_METADATA = 1 << 26
_ALPHA, _SPOT_COLOR, _FILTER_ARRAY = 0, 2, 5  # types of extra channels
_SIZES = ((9, 1), (13, 1), (18, 1), (30, 1))
_DEPTHS = ((0, 8), (0, 10), (0, 12), (6, 1))
_FLOAT_DEPTHS = ((0, 32), (0, 16), (0, 24), (6, 1))
_ENUM = ((0, 0), (0, 1), (4, 2), (6, 18))


@dataclass(frozen=True)
class JxlHeader:
    """What `inspect` finds; `is_lossless` if pixels may be coded without loss (as no XYB)."""

    metadata: Metadata
    is_lossless: bool


def inspect(path: Path, warn: Warn) -> JxlHeader:
    """Return the metadata of a JPEG XL file; the profile comes with the pixels.

    Raises:
        ImageError: The file is damaged or animated. The message does not name the file.
    """
    exif = xmp = None
    with path.open("rb") as file:
        if file.read(2) == _CODESTREAM:
            file.seek(0)
            return JxlHeader(Metadata(), _read_codestream(file.read(4096), warn))
        lossless = None
        for kind, start, length in boxes(file):
            file.seek(start)
            if kind == b"Exif" and 4 < length <= _MAX_METADATA:
                content = file.read(length)
                exif = content[4 + int.from_bytes(content[:4], "big") :] or None
            elif kind == b"xml " and length <= _MAX_METADATA:
                xmp = file.read(length) or None
            elif kind == b"brob":
                if (packed := file.read(4)) in (b"Exif", b"xml "):
                    warn(f"its {packed.decode().strip()} is compressed (Brotli), and is left out")
            elif kind in (b"jxlc", b"jxlp") and lossless is None:
                if kind == b"jxlp":
                    file.seek(start + 4)  # its number
                lossless = _read_codestream(file.read(4096), warn)
    if lossless is None:
        raise ImageError("is damaged or cut short: it has no picture")
    return JxlHeader(Metadata(exif, xmp), lossless)


def embed(codestream: Path, target: Path, metadata: Metadata) -> None:
    """Copy a file without metadata, or a codestream, and add metadata."""
    with codestream.open("rb") as source, target.open("wb") as out:
        is_bare = source.read(2) == _CODESTREAM
        if is_bare and (metadata.exif or metadata.xmp):
            length = source.seek(0, 2)
            out.write(_FILE_HEAD)
            out.write(struct.pack(">I4sQ", 1, b"jxlc", 16 + length))
        source.seek(0)
        shutil.copyfileobj(source, out, 1 << 20)
        if metadata.exif:
            out.write(box(b"Exif", bytes(4) + metadata.exif))
        if metadata.xmp:
            out.write(box(b"xml ", metadata.xmp))


def _read_codestream(head: bytes, warn: Warn) -> bool:
    """Return whether the pixels of a codestream may be coded without loss.

    Raises:
        ImageError: It is damaged, animated or too large.
    """
    if not head.startswith(_CODESTREAM):
        raise ImageError("is damaged or cut short: it has no picture")
    bits = _Bits(head[2:])
    width, height = _size(bits)
    check_size(width, height)
    if bits.take(1):  # all default: 8 bits in XYB
        return False
    if bits.take(1):
        bits.take(3)  # the orientation, in which the decoder turns the picture
        if bits.take(1):
            _size(bits)  # the intrinsic one
        if bits.take(1):
            return False  # a preview, whose header is not read here
        if bits.take(1):
            raise ImageError("is animated: save the frame you want as a file of its own")
    _depth(bits)
    bits.take(1)
    for _ in range(min(bits.number(((0, 0), (0, 1), (4, 2), (12, 1))), 256)):
        _extra_channel(bits)
    if not bits.take(1):
        return True
    if not bits.take(1) and bits.take(1):  # its colors are not the default ones, but in a profile
        warn("its profile is lost, as are colors beyond sRGB, where JPEG XL has lossy pixels")
    return False


class _Bits:
    """Takes bits of data, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ImageError("is damaged or cut short: copy it again from where it came from")
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        return taken

    def number(self, choices: tuple[tuple[int, int], ...]) -> int:
        """Take a number in one of four lengths, (bits, what is added)."""
        count, added = choices[self.take(2)]
        return self.take(count) + added


def _size(bits: _Bits) -> tuple[int, int]:
    is_small = bits.take(1)

    def side() -> int:
        return (bits.take(5) + 1) * 8 if is_small else bits.number(_SIZES)

    height = side()
    ratio = bits.take(3)
    if ratio == 0:
        return side(), height
    across, down = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
    return height * across // down, height


def _depth(bits: _Bits) -> None:
    if bits.take(1):
        bits.number(_FLOAT_DEPTHS)
        bits.take(4)
    else:
        bits.number(_DEPTHS)


def _extra_channel(bits: _Bits) -> None:
    if bits.take(1):  # all default: alpha of 8 bits
        return
    kind = bits.number(_ENUM)
    _depth(bits)
    bits.number(((0, 0), (0, 3), (0, 4), (3, 1)))
    bits.take(8 * bits.number(((0, 0), (4, 0), (5, 16), (10, 48))))  # its name
    if kind == _ALPHA:
        bits.take(1)
    elif kind == _SPOT_COLOR:
        bits.take(64)
    elif kind == _FILTER_ARRAY:
        bits.number(((0, 1), (2, 0), (4, 3), (8, 19)))
