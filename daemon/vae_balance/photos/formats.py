"""The file formats of photos: names, suffixes, bounds. Nothing that computes is imported here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FileFormat:
    """A file format.

    Attributes:
        name: What people call it.
        suffixes: In lower case; the first is the usual one.
        max_side: Pixels along a side, at most.
        min_side: The same, at least, in a file that is written.
        has_alpha: Whether it holds transparency.
        is_written: Whether photos are written in it.
        extra: The module it needs, and the extra of the package that has it.
    """

    name: str
    suffixes: tuple[str, ...]
    max_side: int = 2**31 - 1
    min_side: int = 1
    has_alpha: bool = True
    is_written: bool = True
    extra: tuple[str, str] | None = None


RAW = "raw"
FORMATS = {
    "jpeg": FileFormat("JPEG", (".jpg", ".jpeg", ".jpe"), 65500, has_alpha=False),
    "png": FileFormat("PNG", (".png",)),
    "tiff": FileFormat("TIFF", (".tif", ".tiff")),
    "webp": FileFormat("WebP", (".webp",), 16383),
    "heif": FileFormat("HEIF", (".heic", ".heif", ".hif"), 16384, extra=("pillow_heif", "heif")),
    "avif": FileFormat("AVIF", (".avif",), 65536),
    "jpegxl": FileFormat("JPEG XL", (".jxl",), 2**30),
    # OpenImageIO has OpenJPEG halve pictures five times, which writes smaller ones without pixels.
    "jpeg2000": FileFormat("JPEG 2000", (".jp2", ".jpx", ".jpf"), min_side=32),
    "openexr": FileFormat("OpenEXR", (".exr",)),
    "dpx": FileFormat("DPX", (".dpx",)),
    RAW: FileFormat(
        "camera raw",
        (
            ".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".raf", ".orf",
            ".rw2", ".rwl", ".raw", ".pef", ".srw", ".3fr", ".fff", ".iiq", ".mos", ".mef", ".mrw",
            ".x3f", ".erf", ".kdc", ".dcr",
        ),
        is_written=False,
        extra=("rawpy", "raw"),
    ),
}  # fmt: skip
_BY_SUFFIX = {suffix: key for key, value in FORMATS.items() for suffix in value.suffixes}
SUFFIXES = frozenset(_BY_SUFFIX)  # in lower case, of the files that are read


def format_of(path: Path) -> str:
    """Return the format, a key of `FORMATS`, that the name of a file says; "" for none."""
    return _BY_SUFFIX.get(path.suffix.lower(), "")


def written_suffixes() -> str:
    """Return the usual suffixes of the formats that photos are written in, for messages."""
    *others, last = (value.suffixes[0] for value in FORMATS.values() if value.is_written)
    return f"{', '.join(others)} or {last}"


def target_name(name: str) -> str:
    """Return the name of the file that the result of a photo goes to: a raw file becomes TIFF."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - an archive has a million
    return f"{stem}.tif" if _BY_SUFFIX.get(suffix.lower()) == RAW else name
