"""Photos in and out of files: pixels as stored, with their profile, orientation and metadata.

Pixels are decoded and encoded by OpenImageIO, and by Pillow where OpenImageIO has not the format or
ends the process on a full disk (its libjpeg). Neither carries EXIF unchanged from file to file,
hence `containers`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vae_balance.color.arrays import Pixels
from vae_balance.color.profile import profile_problem
from vae_balance.errors import BalanceError, ImageError, OptionError, printable
from vae_balance.files import atomic_write
from vae_balance.photos.extras import extra
from vae_balance.photos.formats import FORMATS, SUFFIXES, format_of, written_suffixes
from vae_balance.photos.picture import Photo
from vae_balance.photos.readers import READERS
from vae_balance.photos.sniff import sniff
from vae_balance.photos.writers import write

__all__ = ["SUFFIXES", "Photo", "Pixels", "read_photo", "write_photo"]

_log = logging.getLogger(__name__)


def read_photo(path: str | os.PathLike[str]) -> Photo:
    """Read a file of any of `FORMATS`, whatever its name ends in; docs/photos.md compares them.

    JPEG and WebP have 8 bits, PNG 8 or 16, TIFF 8 or 16 or float16 or float32, with strips or
    tiles, any common compression, interleaved or planar. Palettes and grey become RGB or RGBA.
    Pixels are not rotated. Memory beyond the returned pixels does not grow with the picture, but
    for WebP and for what a TIFF file compresses in one piece.

    Logged as a warning of one line that names the file: harmless damage, that is outside of the
    pixels; an ICC profile that cannot be used; what cannot follow the colors, and is left out.

    Raises:
        ImageError: The file is missing, unreadable, damaged, or not a single picture, RGB or grey,
            of at most a gigapixel. The message is one line that names the file.
    """
    path = Path(path)
    warnings: list[str] = []
    with _named_errors(path):
        photo = READERS[sniff(path)](path, warnings.append)
    if problem := profile_problem(photo.icc_profile):
        warnings.append(f"its ICC profile {problem}: its colors are taken for sRGB")
    for warning in warnings:
        _log.warning("%s: %s", printable(str(path)), warning)
    return photo


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Turn what goes wrong in reading a file into an `ImageError` that names it."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ImageError(f"{path}: cannot be read: {reason}; check its permissions") from error
    except MemoryError as error:
        raise ImageError(f"{path}: does not fit into memory: make it smaller first") from error


def write_photo(
    photo: Photo, path: str | os.PathLike[str], overwrite: bool = False, quality: int = 95
) -> None:
    """Write a photo in the format that the suffix of `path` names, whole or not at all.

    Profile, EXIF, orientation, XMP and resolution are kept in every format (WebP holds resolution
    in EXIF only), texts and IPTC where the format stays the same. EXIF keeps its bytes; in TIFF,
    whose directories it becomes part of, its values.

    TIFF keeps any depth, and the compression it had (other than none, LZW, deflate and PackBits:
    LZW). PNG keeps 8 and 16 bits; floats become 16 bits. JPEG and WebP have 8 bits. A lower depth
    is reached by clipping to 0..1 and rounding, NaN becomes 0. JPEG is written with full color
    resolution (4:4:4). WebP is written without loss if the photo came so from a WebP file.

    Args:
        photo: What to write.
        path: Ends in a suffix of `FORMATS`, but for those of raw files.
        overwrite: Replace an existing file.
        quality: 1..100, for JPEG, HEIF, AVIF and what is lossy of WebP and JPEG XL.

    Raises:
        ImageError: The format is none of these or cannot hold the picture.
        OutputExistsError: `path` exists and `overwrite` is false.
        OptionError: The quality is not in 1..100.
        BalanceError: The file cannot be written.
    """
    path = Path(path)
    file_format = format_of(path)
    _check_output(photo, path, file_format, quality)

    def warn(text: str) -> None:
        _log.warning("%s: %s", printable(str(path)), text)

    if photo.masks and file_format != "tiff":
        warn("a page beside the picture is left out: only TIFF holds it")
    with atomic_write(path, overwrite) as temporary:
        try:
            write(photo, temporary, file_format, quality, warn)
        except ImageError as error:
            raise BalanceError(f"{path}: cannot be written: {error}; is the disk full?") from error


def _check_output(photo: Photo, path: Path, file_format: str, quality: int) -> None:
    if not file_format or not FORMATS[file_format].is_written:
        raise ImageError(
            f"{path}: cannot be written as {path.suffix or 'a file without suffix'}: "
            f"use {written_suffixes()}"
        )
    if not 1 <= quality <= 100:
        raise OptionError(f"quality {quality}: it must be in 1..100")
    target = FORMATS[file_format]
    if target.extra:
        extra(*target.extra, f"a {target.name} file")
    height, width, channels = photo.pixels.shape
    if file_format != "tiff" and channels == 4 and photo.alpha == "unspecified":
        raise ImageError(f"{path}: only TIFF holds a channel beside colors and alpha: use .tif")
    if channels == 4 and not target.has_alpha:
        raise ImageError(f"{path}: {target.name} cannot hold transparency: use .png, .tif or .webp")
    if max(height, width) > target.max_side:
        raise ImageError(
            f"{path}: {width} x {height} pixels: {target.name} holds at most "
            f"{target.max_side} a side: use .png or .tif"
        )
    if min(height, width) < target.min_side:
        raise ImageError(
            f"{path}: {width} x {height} pixels: {target.name} is written with at least "
            f"{target.min_side} a side: use .png or .tif"
        )
