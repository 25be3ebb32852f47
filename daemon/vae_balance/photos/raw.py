"""Camera raw files, developed by LibRaw (rawpy, an extra of the package)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from vae_balance.color import srgb
from vae_balance.color.arrays import Pixels
from vae_balance.errors import ImageError
from vae_balance.photos.containers.exif import (
    Directory,
    parse_exif,
    read_directory,
    read_header,
    serialize_alone,
)
from vae_balance.photos.containers.metadata import Metadata, check_size
from vae_balance.photos.extras import extra

# What is as true of the developed picture: description, maker, model, time, artist, copyright.
_KEPT = frozenset({270, 271, 272, 306, 315, 33432})
_EXIF, _GPS, _MAKER_NOTE, _ORIENTATION = 34665, 34853, 37500, 274
_SRGB_GAMMA = (srgb.GAMMA, srgb.SLOPE)
_JPEG_HEAD = b"\xff\xd8"


def develop(path: Path) -> tuple[Pixels, Metadata]:
    """Develop a raw file: white balance of the camera, its exposure, upright, in sRGB.

    Returns:
        Pixels, (H, W, 3) uint16, sRGB-encoded, and the camera's EXIF without its maker note, which
        tells of the raw data.

    Raises:
        ImageError: rawpy is not installed; the file is damaged or of an unknown camera. The message
            does not name the file.
    """
    rawpy = extra("rawpy", "raw", "a raw file")
    try:
        with path.open("rb") as file, rawpy.imread(file) as raw:
            check_size(raw.sizes.width, raw.sizes.height)
            exif = _exif_of(path) or _exif_of_preview(raw, rawpy)
            pixels = raw.postprocess(
                use_camera_wb=True,
                no_auto_bright=True,  # frames of a roll keep their differences
                output_bps=16,
                output_color=rawpy.ColorSpace.sRGB,
                gamma=_SRGB_GAMMA,
            )
    except rawpy.LibRawError as error:
        reason = str(error.args[0] if error.args else error)
        reason = reason.removeprefix("b'").removesuffix("'")
        raise ImageError(f"is a raw file that cannot be developed: {reason}") from error
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ImageError("is a raw file without color: there is nothing to balance")
    return pixels, Metadata(exif)


def _exif_of(path: Path) -> bytes | None:
    """Return what a raw file that is shaped like TIFF says of the photo."""
    with path.open("rb") as file:
        try:
            layout, offset = read_header(file)
        except ImageError:
            return None
        directory, _ = read_directory(file, layout, offset)
    return _reduced(directory, layout.order) if directory else None


def _exif_of_preview(raw: Any, rawpy: Any) -> bytes | None:
    """Return what the JPEG preview within a raw file says of the photo."""
    try:
        preview = raw.extract_thumb()
    except rawpy.LibRawError:
        return None
    if preview.format != rawpy.ThumbFormat.JPEG or not preview.data.startswith(_JPEG_HEAD):
        return None
    place = preview.data.find(b"Exif\0\0", 0, 1 << 16)
    directory = parse_exif(bytes(preview.data[place + 6 :]), "<") if place >= 0 else None
    return _reduced(directory, "<") if directory else None


def _reduced(directory: Directory, order: str) -> bytes | None:
    kept = Directory({tag: value for tag, value in directory.tags.items() if tag in _KEPT})
    for tag in (_EXIF, _GPS):
        if child := directory.children.get(tag):
            child.tags.pop(_MAKER_NOTE, None)
            kept.children[tag] = child
    if not kept.tags and not kept.children:
        return None
    kept.tags[_ORIENTATION] = (3, 1, struct.pack(order + "H", 1))
    return serialize_alone(kept, order)
