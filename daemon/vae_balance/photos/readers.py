"""Reading photos: one function a file format."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vae_balance.color.arrays import Pixels
from vae_balance.color.profile import in_color as profile_in_color
from vae_balance.color.spaces import (
    LINEAR,
    UnknownSpaceError,
    adobe_rgb,
    coded_space,
    linear_bt_709,
    matrix_profile,
)
from vae_balance.errors import ImageError
from vae_balance.photos.containers import Metadata, avif, jp2, jpeg, jxl, png, tiff, webp
from vae_balance.photos.containers import exif as exif_tags
from vae_balance.photos.containers import xmp as xmp_packet
from vae_balance.photos.containers.metadata import Warn, check_size
from vae_balance.photos.formats import RAW
from vae_balance.photos.heif import read_heif
from vae_balance.photos.openimageio import Decoded, decode
from vae_balance.photos.picture import Photo
from vae_balance.photos.pixels import divided_by_alpha, in_color
from vae_balance.photos.raw import develop

# What the header of a DPX file may say of its numbers; anything else is linear light.
_LOGARITHMIC = ("Printing density", "Logarithmic")
_OPENEXR_CHANNELS = (["R", "G", "B"], ["R", "G", "B", "A"], ["Y"], ["Y", "A"])
_VIDEO = ("ITU-R 709-4", "ITU-R 601-5 system B or G", "ITU-R 601-5 system M", "SMPTE 274M")


def _read_jpeg(path: Path, warn: Warn) -> Photo:
    header = jpeg.inspect(path, warn)
    if header.is_whole:
        pixels = decode(path).pixels
    else:
        with tempfile.TemporaryDirectory() as folder:
            mended = Path(folder, "mended.jpg")
            jpeg.write_mended(path, mended)
            pixels = decode(mended).pixels
    return _photo(pixels, header.icc_profile, header.metadata, "jpeg", warn)


def _read_png(path: Path, warn: Warn) -> Photo:
    metadata, profile = png.inspect(path, warn)
    return _photo(decode(path).pixels, profile, metadata, "png", warn)


def _read_webp(path: Path, warn: Warn) -> Photo:
    metadata, profile, lossless = webp.inspect(path)
    compression = "lossless" if lossless else ""
    return _photo(decode(path).pixels, profile, metadata, "webp", warn, compression=compression)


def _read_tiff(path: Path, warn: Warn) -> Photo:
    header = tiff.inspect(path, warn)
    try:
        decoded = decode(path, header.page)
    except ImageError as error:
        if not header.rare_compression:
            raise
        raise ImageError(
            f"is compressed with {header.rare_compression}, which is not read here: save it with "
            "LZW, ZIP or no compression"
        ) from error
    pixels = in_color(decoded.pixels)
    stored_dtype = pixels.dtype
    if header.alpha == "associated" and pixels.shape[2] == 4:
        pixels = divided_by_alpha(pixels)
    return _photo(
        pixels,
        header.icc_profile,
        header.metadata,
        "tiff",
        warn,
        is_grey=_is_grey(decoded),
        compression=decoded.text("Compression"),
        alpha=header.alpha,
        stored_dtype=stored_dtype,
        masks=tuple(decode(path, page, channels=(1,)).pixels[..., 0] for page in header.masks),
    )


def _read_heif(path: Path, warn: Warn) -> Photo:
    found = read_heif(path, warn)
    profile, metadata = found.icc_profile, found.metadata
    return _photo(found.pixels, profile, metadata, "heif", warn, is_upright=True)


def _read_avif(path: Path, warn: Warn) -> Photo:
    from PIL import Image

    header = avif.inspect(path)
    try:
        with path.open("rb") as file, Image.open(file, formats=("AVIF",)) as picture:
            check_size(*picture.size)
            if getattr(picture, "n_frames", 1) > 1:
                raise ImageError("is animated: save the frame you want as a file of its own")
            info = picture.info
            grey = picture.mode.startswith("L")
            pixels = np.array(picture.convert("RGBA" if "A" in picture.mode else "RGB"))
    except (OSError, SyntaxError, ValueError, RuntimeError) as error:
        reason = (str(error) or "no reason given").splitlines()[0]
        raise ImageError(f"is damaged or cut short: {reason}") from error
    if header.is_deep:
        warn("has more than 8 bits, of which 8 are read")
    profile = info.get("icc_profile")
    if profile is None and header.color_space:
        profile = _named_profile(*header.color_space, warn)
    exif = (info.get("exif") or b"").removeprefix(b"Exif\0\0")
    metadata = Metadata(exif or None, info.get("xmp") or None)
    return _photo(pixels, profile, metadata, "avif", warn, is_grey=grey)


def _read_jpegxl(path: Path, warn: Warn) -> Photo:
    header = jxl.inspect(path, warn)
    decoded = decode(path)
    compression = "lossless" if header.is_lossless else ""
    return _photo(
        decoded.pixels,
        decoded.icc_profile(),
        header.metadata,
        "jpegxl",
        warn,
        is_upright=True,
        compression=compression,
    )


def _read_jpeg2000(path: Path, warn: Warn) -> Photo:
    metadata = jp2.inspect(path)
    decoded = decode(path)
    return _photo(decoded.pixels, decoded.icc_profile(), metadata, "jpeg2000", warn)


def _read_openexr(path: Path, warn: Warn) -> Photo:
    decoded = decode(path)
    spec = decoded.spec
    if spec.deep or list(spec.channelnames) not in _OPENEXR_CHANNELS:
        names = ", ".join(spec.channelnames)
        raise ImageError(f"has the channels {names}: only R, G, B and A, or Y, can be read")
    if int(spec.getattribute("oiio:subimages") or 1) > 1:
        raise ImageError("has several parts: save the one you want as a file of its own")
    profile = linear_bt_709()
    stated = spec.getattribute("chromaticities")
    if stated is not None and len(stated) == 8:
        red, green, blue, white = (tuple(stated[i : i + 2]) for i in range(0, 8, 2))
        try:
            profile = matrix_profile("OpenEXR", (red, green, blue, white), LINEAR)
        except UnknownSpaceError as problem:
            warn(f"its color space {problem}: its primaries are taken for those of BT.709")
    pixels = in_color(decoded.pixels)
    has_alpha = pixels.shape[2] == 4
    return _photo(
        divided_by_alpha(pixels) if has_alpha else pixels,
        profile,
        Metadata(attributes=(*decoded.attributes(), *decoded.window())),
        "openexr",
        warn,
        is_grey=_is_grey(decoded),
        compression=decoded.text("compression"),
        alpha="associated" if has_alpha else "unassociated",
        stored_dtype=pixels.dtype,
    )


def _read_dpx(path: Path, warn: Warn) -> Photo:
    decoded = decode(path)
    transfer = decoded.text("dpx:Transfer")
    profile: bytes | None = linear_bt_709()
    if transfer in _LOGARITHMIC:
        warn(f"is logarithmic ({transfer}): its codes are taken for sRGB")
        profile = None
    elif transfer in _VIDEO:
        profile = coded_space(1, 1)
    metadata = Metadata(attributes=decoded.attributes())
    photo = _photo(decoded.pixels, profile, metadata, "dpx", warn)
    orientation = int(decoded.spec.getattribute("Orientation") or 1)
    return replace(photo, orientation=orientation if 1 <= orientation <= 8 else 1)


def _read_raw(path: Path, warn: Warn) -> Photo:
    pixels, metadata = develop(path)
    return _photo(pixels, None, metadata, RAW, warn, is_upright=True)


def _is_grey(decoded: Decoded) -> bool:
    return decoded.pixels.shape[2] < 3


def _named_profile(primaries: int, transfer: int, warn: Warn) -> bytes | None:
    """Return the profile of a color space by its code points (H.273); None for sRGB."""
    try:
        return coded_space(primaries, transfer)
    except UnknownSpaceError as problem:
        warn(f"its color space {problem}: its colors are taken for sRGB")
        return None


def _photo(
    pixels: Pixels,
    profile: bytes | None,
    metadata: Metadata,
    file_format: str,
    warn: Warn,
    *,
    is_upright: bool = False,
    is_grey: bool = False,
    **details: Any,
) -> Photo:
    if profile is not None and (is_grey or pixels.shape[2] < 3):
        profile = profile_in_color(profile)
    xmp, companions = xmp_packet.without_companions(metadata.xmp)
    for companion in sorted(companions - {xmp_packet.PREVIEW}):
        warn(f"its {companion} is left out: it was made for the colors as they were")
    if metadata.xmp and xmp is None:
        warn("its XMP is left out: it tells of a gain map, a video or a preview, and is damaged")
    metadata = replace(metadata, xmp=xmp)
    if profile is None and exif_tags.is_adobe_rgb(metadata.exif):
        profile = adobe_rgb()
    orientation = 1 if is_upright else exif_tags.orientation_of(metadata.exif)
    return Photo(in_color(pixels), profile, orientation, metadata, file_format, **details)


READERS: dict[str, Callable[[Path, Warn], Photo]] = {
    "jpeg": _read_jpeg,
    "png": _read_png,
    "tiff": _read_tiff,
    "webp": _read_webp,
    "heif": _read_heif,
    "avif": _read_avif,
    "jpegxl": _read_jpegxl,
    "jpeg2000": _read_jpeg2000,
    "openexr": _read_openexr,
    "dpx": _read_dpx,
    RAW: _read_raw,
}
