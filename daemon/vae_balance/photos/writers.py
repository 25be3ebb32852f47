"""Writing photos: one function a file format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from vae_balance.color.arrays import Pixels
from vae_balance.color.profile import from_srgb, to_srgb
from vae_balance.color.spaces import linear_bt_709
from vae_balance.photos.containers import Metadata, jp2, jpeg, jxl, png, tiff
from vae_balance.photos.containers import exif as exif_tags
from vae_balance.photos.containers.metadata import Warn, fitting
from vae_balance.photos.heif import write_heif
from vae_balance.photos.openimageio import NO_TIME, encode
from vae_balance.photos.picture import Photo
from vae_balance.photos.pixels import converted, full_scale, rows, upright

# Photos from these are in linear light without an upper end; these are shown as they are.
_SCENE_LINEAR = ("openexr", "dpx")
_DISPLAYED = ("jpeg", "png", "webp", "heif", "avif", "jpeg2000")
# Whose readers turn pictures as EXIF says; in all others they are stored upright.
_TURNED_BY_EXIF = ("jpeg", "png", "tiff", "webp")
_DPX_NAME = (36, 100)  # offset and bytes in the header (SMPTE 268M)
_BIGTIFF_BYTES = 4_000_000_000
_TIFF_COMPRESSIONS = ("none", "lzw", "zip", "packbits")
_PNG_COMPRESSION = 4  # 5 % larger than 6, zlib's default, in a third of the time


def write(photo: Photo, path: Path, file_format: str, quality: int, warn: Warn) -> None:
    """Write a photo in a file format, by its name in `formats.py`, over what is at `path`.

    What the format cannot hold is left out, and `warn` is told.

    Raises:
        ImageError: It cannot be written.
    """
    if photo.file_format in _SCENE_LINEAR and file_format in _DISPLAYED:
        photo = _in_srgb(photo)
    if file_format not in _TURNED_BY_EXIF and photo.orientation != 1:
        turned = np.ascontiguousarray(upright(photo.pixels, photo.orientation))
        photo = replace(photo, pixels=turned, orientation=1)
    metadata = _metadata_for(file_format, photo)
    if file_format == "jpeg":
        exif = fitting("its EXIF", metadata.exif, jpeg.MAX_EXIF, warn)
        xmp = fitting("its XMP", metadata.xmp, jpeg.MAX_XMP, warn)
        profile = fitting("its ICC profile", photo.icc_profile, jpeg.MAX_PROFILE, warn)
        metadata = replace(metadata, exif=exif, xmp=xmp)
        photo = replace(photo, icc_profile=profile)
    WRITERS[file_format](photo, metadata, path, quality)


def _metadata_for(file_format: str, photo: Photo) -> Metadata:
    """Return the metadata of a photo that a file format can hold, true of its pixels as they are.

    Orientation and thumbnails are those of the photo.
    """

    def make(size: tuple[int, int], most_bytes: int | None) -> tuple[bytes, int, int] | None:
        from vae_balance.photos.thumbnail import jpeg_thumbnail

        return jpeg_thumbnail(photo.pixels, photo.icc_profile, size, most_bytes)

    metadata = photo.metadata
    exif = exif_tags.with_orientation(metadata.exif, photo.orientation)
    exif = exif_tags.with_thumbnail(exif, make)
    if photo.file_format != file_format:
        if file_format != "tiff":
            exif = exif_tags.for_other_formats(exif)
        return replace(metadata, exif=exif, own=(), attributes=())
    if file_format == "tiff":
        exif = exif_tags.with_photoshop_thumbnail(exif, make)
    own = jpeg.with_thumbnail(metadata.own, make) if file_format == "jpeg" else metadata.own
    return replace(metadata, exif=exif, own=own)


def _write_jpeg(photo: Photo, metadata: Metadata, path: Path, quality: int) -> None:
    from PIL import Image

    exif = metadata.exif or exif_tags.with_orientation(None, photo.orientation)
    metadata = replace(metadata, exif=exif)
    picture = Image.fromarray(converted(photo.pixels, np.dtype(np.uint8)))
    with _beside(path) as temporary:
        # Into a file: only then does Pillow let other threads run while it encodes.
        with temporary.open("wb") as encoded:
            picture.save(encoded, "JPEG", quality=quality, subsampling="4:4:4")
        with temporary.open("rb") as encoded:
            jpeg.embed(encoded, path, metadata, photo.icc_profile)


def _write_png(photo: Photo, metadata: Metadata, path: Path, quality: int) -> None:
    dtype = np.dtype(np.uint8 if photo.depth == np.uint8 else np.uint16)
    attributes = {"png:compressionLevel": _PNG_COMPRESSION, "oiio:UnassociatedAlpha": 1}
    with _beside(path) as encoded:
        encode(photo.pixels, encoded, "png", dtype, attributes)
        png.embed(encoded, path, metadata, photo.icc_profile)


def _write_tiff(photo: Photo, metadata: Metadata, path: Path, quality: int) -> None:
    known = photo.file_format == "tiff" and photo.compression in _TIFF_COMPRESSIONS
    size = photo.pixels.size * photo.depth.itemsize + sum(mask.nbytes for mask in photo.masks)
    attributes = {
        "Compression": photo.compression if known else "lzw",
        "oiio:UnassociatedAlpha": int(photo.alpha != "associated"),
        "tiff:half": 1,  # write float16 as such
        "tiff:bigtiff": int(size > _BIGTIFF_BYTES),
        "DateTime": NO_TIME,
    }
    encode(photo.pixels, path, "tiff", photo.depth, attributes, photo.alpha)
    tiff.embed(path, metadata, photo.icc_profile, photo.masks)


def _write_webp(photo: Photo, metadata: Metadata, path: Path, quality: int) -> None:
    from PIL import Image

    Image.fromarray(converted(photo.pixels, np.dtype(np.uint8))).save(
        path,
        "WEBP",
        quality=quality,
        lossless=photo.file_format == "webp" and photo.compression == "lossless",
        exact=True,  # keep colors where alpha is 0
        icc_profile=photo.icc_profile or b"",
        exif=metadata.exif or b"",
        xmp=metadata.xmp or b"",
    )


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file in the same folder."""
    temporary = path.with_name(path.name + ".pixels")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _write_heif(photo: Photo, metadata: Metadata, path: Path, quality: int) -> None:
    dtype = np.dtype(np.uint8 if photo.depth == np.uint8 else np.uint16)
    write_heif(converted(photo.pixels, dtype), path, photo.icc_profile, metadata, quality)


def _write_avif(photo: Photo, metadata: Metadata, path: Path, quality: int) -> None:
    from PIL import Image

    # Pillow makes EXIF anew, and loses parts of it, to take an orientation out.
    exif = exif_tags.without_orientation(metadata.exif)
    with path.open("wb") as file:
        Image.fromarray(converted(photo.pixels, np.dtype(np.uint8))).save(
            file,
            "AVIF",
            quality=quality,
            subsampling="4:4:4",
            icc_profile=photo.icc_profile or b"",
            exif=exif or b"",
            xmp=metadata.xmp or b"",
        )


def _write_jpegxl(photo: Photo, metadata: Metadata, path: Path, quality: int) -> None:
    # Lossy pixels with a profile are read by OpenImageIO as sRGB, which clips others' colors.
    is_lossless = (
        photo.compression == "lossless" or photo.depth.kind == "f" or photo.icc_profile is not None
    )
    attributes = {
        "compression": f"jpegxl:{100 if is_lossless else quality}",
        "jpegxl:use_boxes": 0,
        "oiio:UnassociatedAlpha": 1,
        **_profile_attribute(photo),
    }
    with _beside(path) as codestream:
        encode(photo.pixels, codestream, "jpegxl", photo.depth, attributes)
        jxl.embed(codestream, path, metadata)


def _write_jpeg2000(photo: Photo, metadata: Metadata, path: Path, quality: int) -> None:
    dtype = np.dtype(np.uint8 if photo.depth == np.uint8 else np.uint16)
    attributes = {"oiio:UnassociatedAlpha": 1, **_profile_attribute(photo)}
    encode(photo.pixels, path, "jpeg2000", dtype, attributes)
    jp2.embed(path, metadata)


def _write_openexr(photo: Photo, metadata: Metadata, path: Path, quality: int) -> None:
    if photo.file_format != "openexr":
        photo = _in_linear_light(photo)
    is_half = photo.depth in (np.uint8, np.float16)
    known = photo.file_format == "openexr" and photo.compression
    attributes = {
        "DateTime": NO_TIME,
        **dict(metadata.attributes),
        "compression": photo.compression if known else "zip",
    }
    dtype = np.dtype(np.float16 if is_half else np.float32)
    encode(photo.pixels, path, "openexr", dtype, attributes, "associated")


def _write_dpx(photo: Photo, metadata: Metadata, path: Path, quality: int) -> None:
    attributes = {"DateTime": NO_TIME, "dpx:Transfer": "Linear", **dict(metadata.attributes)}
    dtype = photo.depth
    if photo.file_format != "dpx":
        photo = _in_linear_light(photo)
        dtype = np.dtype(np.float32 if dtype.kind == "f" else np.uint16)
    encode(photo.pixels, path, "dpx", dtype, {**attributes, "oiio:UnassociatedAlpha": 1})
    with path.open("rb+") as file:  # the header has the name of our temporary file
        file.seek(_DPX_NAME[0])
        file.write(bytes(_DPX_NAME[1]))


def _profile_attribute(photo: Photo) -> dict[str, bytes]:
    return {"ICCProfile": photo.icc_profile} if photo.icc_profile else {}


def _in_srgb(photo: Photo) -> Photo:
    """Return a photo of scene-linear light as screens show it."""
    return _recolored(photo, lambda colors: to_srgb(colors, photo.icc_profile), None)


def _in_linear_light(photo: Photo) -> Photo:
    """Return a photo in linear light with the primaries of BT.709."""
    profile = linear_bt_709()

    def linear(colors: Pixels) -> Pixels:
        return from_srgb(to_srgb(colors, photo.icc_profile), profile)

    return _recolored(photo, linear, profile)


def _recolored(
    photo: Photo, function: Callable[[Pixels], Pixels], icc_profile: bytes | None
) -> Photo:
    """Return a photo of float32 with other colors; it is still stored in its own depth."""
    recolored = np.empty(photo.pixels.shape, np.float32)
    step = rows(recolored[0].nbytes)
    white = full_scale(photo.pixels.dtype)
    for top in range(0, len(recolored), step):
        strip = photo.pixels[top : top + step] / np.float32(white)
        recolored[top : top + step, :, :3] = function(strip[..., :3])
        recolored[top : top + step, :, 3:] = strip[..., 3:]
    return replace(photo, pixels=recolored, icc_profile=icc_profile, stored_dtype=photo.depth)


WRITERS: dict[str, Callable[[Photo, Metadata, Path, int], None]] = {
    "jpeg": _write_jpeg,
    "png": _write_png,
    "tiff": _write_tiff,
    "webp": _write_webp,
    "heif": _write_heif,
    "avif": _write_avif,
    "jpegxl": _write_jpegxl,
    "jpeg2000": _write_jpeg2000,
    "openexr": _write_openexr,
    "dpx": _write_dpx,
}
