"""HEIF pictures (HEIC) in and out, by pillow-heif, an extra of the package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vae_balance.color.arrays import Pixels
from vae_balance.color.spaces import UnknownSpaceError, coded_space
from vae_balance.errors import ImageError
from vae_balance.photos.containers.metadata import Metadata, Warn, check_size
from vae_balance.photos.extras import extra

_MODES = {("u1", 3): "RGB", ("u1", 4): "RGBA", ("u2", 3): "RGB;16", ("u2", 4): "RGBA;16"}
_UNSPECIFIED = 2


@dataclass(frozen=True, eq=False)
class HeifPicture:
    """An upright picture, (H, W, 3 or 4), uint8, or uint16 where it has more bits."""

    pixels: Pixels
    icc_profile: bytes | None
    metadata: Metadata


def read_heif(path: Path, warn: Warn) -> HeifPicture:
    """Read the primary picture of a HEIF file.

    Raises:
        ImageError: pillow-heif is not installed; the file is damaged. The message does not name the
            file.
    """
    pillow_heif = extra("pillow_heif", "heif", "a HEIF file")
    try:
        with path.open("rb") as file:
            picture = pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
            width, height = picture.size
            check_size(width, height)
            pixels = np.asarray(picture).copy()
            if pixels.ndim == 2:
                pixels = pixels[..., None]
    except IndexError as error:
        raise ImageError("is damaged: there is no picture in it") from error
    except (ValueError, RuntimeError, SyntaxError, EOFError) as error:
        reason = (str(error) or "no reason given").splitlines()[0]
        raise ImageError(f"is damaged or cut short: {reason}") from error
    info = picture.info
    if len(picture) > 1:
        warn(f"of its {len(picture)} pictures only the primary one is read")
    if info.get("aux"):
        warn("its gain map (HDR), or what else hangs beside the picture, is left out")
    exif = (info.get("exif") or b"").removeprefix(b"Exif\0\0")
    metadata = Metadata(exif or None, info.get("xmp") or None)
    return HeifPicture(pixels, _profile(info, warn), metadata)


def write_heif(
    pixels: Pixels, path: Path, icc_profile: bytes | None, metadata: Metadata, quality: int
) -> None:
    """Write an upright picture, uint8 or uint16, of which 10 bits are kept.

    Raises:
        ImageError: pillow-heif is not installed.
    """
    pillow_heif = extra("pillow_heif", "heif", "a HEIF file")
    height, width, channels = pixels.shape
    mode = _MODES[pixels.dtype.str[1:], channels]
    picture = pillow_heif.from_bytes(
        mode=mode, size=(width, height), data=np.ascontiguousarray(pixels).tobytes()
    )
    details = {"icc_profile": icc_profile} if icc_profile else {}
    with path.open("wb") as file:
        picture.save(
            file,
            quality=quality,
            chroma=444,
            exif=b"Exif\0\0" + metadata.exif if metadata.exif else None,
            xmp=metadata.xmp,
            **details,
        )


def _profile(info: dict[str, Any], warn: Warn) -> bytes | None:
    """Return the embedded profile, or that of the color space that the file names."""
    if info.get("icc_profile"):
        return bytes(info["icc_profile"])
    named = info.get("nclx_profile") or {}
    codes = (
        int(named.get("color_primaries", _UNSPECIFIED)),
        int(named.get("transfer_characteristics", _UNSPECIFIED)),
    )
    try:
        return coded_space(*codes)
    except UnknownSpaceError as problem:
        warn(f"its color space {problem}: its colors are taken for sRGB")
        return None
