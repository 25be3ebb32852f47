"""The metadata of a picture file that outlive a change of its pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vae_balance.errors import ImageError

MAX_PIXELS = 1_000_000_000

Warn = Callable[[str], None]  # is told, in half a sentence, what is odd about a photo
# Makes the picture anew in small, as a JPEG file without metadata, of at most so many pixels across
# and down and at most so many bytes; returns it and its size, or None if it cannot be that small.
MakeThumbnail = Callable[[tuple[int, int], "int | None"], "tuple[bytes, int, int] | None"]


@dataclass(frozen=True)
class Metadata:
    r"""Metadata as stored bytes.

    Attributes:
        exif: A TIFF structure, as after "Exif\0\0" in a JPEG file. From a TIFF file: its first
            directory without what describes the pixels, with the directories below it.
        xmp: An XMP packet.
        resolution: Pixels per inch, across and down, where the file states it outside of EXIF.
        own: Segments or chunks that only the same file format can hold.
        attributes: Named values that only the same file format can hold (OpenEXR, DPX).
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    resolution: tuple[float, float] | None = None
    own: tuple[bytes, ...] = ()
    attributes: tuple[tuple[str, Any], ...] = ()


def fitting(name: str, data: bytes | None, limit: int, warn: Warn) -> bytes | None:
    """Return `data`, or None with a warning if it is longer than the file format can hold."""
    if data is not None and len(data) > limit:
        warn(f"{name} of {len(data)} bytes is left out: at most {limit} fit")
        return None
    return data


def check_size(width: int, height: int) -> None:
    """Raise ImageError for a picture that no one has, but that a malicious file may claim to be."""
    if width * height > MAX_PIXELS:
        raise ImageError(f"has {width} x {height} pixels: make it smaller than a gigapixel")
