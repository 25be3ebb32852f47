"""Photos in and out of files: pixels as stored, with their profile, orientation and metadata.

OpenImageIO reads and writes pixels; it was chosen by test, on one core with a 24-megapixel 16-bit
photo, against pyvips and tifffile + imagecodecs. Read TIFF (LZW) 1.0 / 0.7 / 1.4 s and PNG 1.5 /
0.9 / 1.1 s; write TIFF (LZW) 2.8 / 2.8 / 2.1 s; memory beyond the picture 10 / 15 / 190 MB; import
0.03 s each. It is the only one that writes float16 TIFF, and one package of 8 MB (the third: two,
28 MB) that finds every truncation of ours. None of the three carries EXIF unchanged from file to
file, hence `containers`. Pillow, needed anyway, writes WebP, because it takes all metadata as
bytes, and JPEG, because OpenImageIO's libjpeg ends the whole process when the disk is full.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vae_balance.color.profile import profile_problem
from vae_balance.color.spaces import adobe_rgb
from vae_balance.errors import BalanceError, ImageError, OptionError, printable
from vae_balance.files import atomic_write
from vae_balance.photos.containers import Metadata, jpeg, png, tiff, webp
from vae_balance.photos.containers import exif as exif_tags
from vae_balance.photos.containers import xmp as xmp_packet
from vae_balance.photos.containers.metadata import Warn, fitting

Pixels = npt.NDArray[Any]

_log = logging.getLogger(__name__)

_STRIP_BYTES = 16 << 20
_BIGTIFF_BYTES = 4_000_000_000

_FORMATS = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".png": "png",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".webp": "webp",
}
SUFFIXES = frozenset(_FORMATS)  # in lower case, of the files that can be read and written
_MAX_SIDE = {"jpeg": 65500, "png": 2**31 - 1, "tiff": 2**31 - 1, "webp": 16383}
_DTYPES: dict[str, np.dtype[Any]] = {  # by the names in OpenImageIO
    "uint8": np.dtype(np.uint8),
    "uint16": np.dtype(np.uint16),
    "half": np.dtype(np.float16),
    "float": np.dtype(np.float32),
}
_TYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_TIFF_COMPRESSIONS = ("none", "lzw", "zip", "packbits")
_NO_TIME = "0000:00:00 00:00:00"  # instead of the present: the same photo gives the same bytes
_PNG_COMPRESSION = 4  # 5 % larger than 6, zlib's default, in a third of the time


@dataclass
class Photo:
    """A picture as it is stored: in its own profile and orientation.

    Attributes:
        pixels: (H, W, 3) or (H, W, 4), uint8, uint16 (0..full scale), float16 or float32 (0..1,
            values outside and NaN are allowed), encoded as `icc_profile` says. Colors are never
            multiplied by alpha, the fourth channel.
        icc_profile: The embedded profile, or that of the color space that the file names; None
            means sRGB.
        orientation: 1..8 as in EXIF: how to turn the picture to see it upright.
        metadata: Passed on to the file that is written.
        file_format: "jpeg", "png", "tiff", "webp", or "" if it did not come from a file.
        compression: "none", "lzw", "zip", "packbits" of TIFF; "lossless" of WebP; else "".
        alpha: "associated" if a TIFF file has colors multiplied by alpha: `pixels` are float32
            then, as colors may be brighter than their alpha allows; "unspecified" if the fourth
            channel is not transparency (but a saved selection or infrared, say); else
            "unassociated".
        masks: Grey pages, (H, W), that a TIFF file has beside the picture, such as the infrared
            of a scanner; passed on to a TIFF file.
        stored_dtype: What is written, as far as the format has it, where that is not the type of
            `pixels`; None where it is.

    Raises:
        ImageError: The pixels have another shape or type, or there are none.
    """

    pixels: Pixels
    icc_profile: bytes | None = None
    orientation: int = 1
    metadata: Metadata = field(default_factory=Metadata)
    file_format: str = ""
    compression: str = ""
    alpha: str = "unassociated"
    masks: tuple[Pixels, ...] = ()
    stored_dtype: np.dtype[Any] | None = None

    def __post_init__(self) -> None:
        """Check the pixels."""
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if len(shape) != 3 or shape[2] not in (3, 4) or 0 in shape:
            raise ImageError(f"pixels of shape {shape}: it must be (H, W, 3) or (H, W, 4)")
        if dtype not in _TYPE_NAMES:
            names = ", ".join(str(known) for known in _TYPE_NAMES)
            raise ImageError(f"pixels of type {dtype}: convert to one of {names}")

    @property
    def depth(self) -> np.dtype[Any]:
        """The type of pixels in a file, where its format has it."""
        return self.stored_dtype or self.pixels.dtype


def read_photo(path: str | os.PathLike[str]) -> Photo:
    """Read a JPEG, PNG, TIFF or WebP file, whatever its name ends in.

    JPEG and WebP have 8 bits, PNG 8 or 16, TIFF 8 or 16 or float16 or float32, with strips or
    tiles, any common compression, interleaved or planar. Palettes become RGB or RGBA. Pixels are
    not rotated. Memory beyond the returned pixels does not grow with the picture, but for WebP
    and for what a TIFF file compresses in one piece.

    Logged as a warning of one line that names the file: harmless damage, that is outside of the
    pixels; an ICC profile that cannot be used; what cannot follow the colors, and is left out.

    Raises:
        ImageError: The file is missing, unreadable, damaged, or not a single RGB picture of at
            most a gigapixel. The message is one line that names the file.
    """
    path = Path(path)
    warnings: list[str] = []
    with _named_errors(path):
        photo = _READERS[_sniff(path)](path, warnings.append)
    if problem := profile_problem(photo.icc_profile):
        warnings.append(f"its ICC profile {problem}: its colors are taken for sRGB")
    for warning in warnings:
        _log.warning("%s: %s", printable(str(path)), warning)
    return photo


def read_grey(path: Path) -> Pixels:
    """Return the grey values of a grey picture, (H, W), of any depth; alpha is ignored.

    Raises:
        ImageError: The file is unreadable, damaged, or has colors.
    """
    with _named_errors(path):
        return _decode(path, channels=(1, 2))[0][..., 0]


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
        path: Ends in .jpg, .jpeg, .jpe, .png, .tif, .tiff or .webp.
        overwrite: Replace an existing file.
        quality: 1..100, for JPEG and lossy WebP.

    Raises:
        ImageError: The format is none of these or cannot hold the picture.
        OutputExistsError: `path` exists and `overwrite` is false.
        OptionError: The quality is not in 1..100.
        BalanceError: The file cannot be written.
    """
    path = Path(path)
    file_format = _FORMATS.get(path.suffix.lower(), "")
    _check_output(photo, path, file_format, quality)
    if photo.masks and file_format != "tiff":
        name = printable(str(path))
        _log.warning("%s: a page beside the picture is left out: only TIFF holds it", name)
    with atomic_write(path, overwrite) as temporary:
        try:
            _write(photo, temporary, file_format, quality)
        except ImageError as error:
            raise BalanceError(f"{path}: cannot be written: {error}; is the disk full?") from error


def _sniff(path: Path) -> str:
    """Return the file format by the first bytes of the file."""
    if not path.exists():
        if path.is_symlink():
            raise ImageError("is a link that leads nowhere: check what it points to")
        raise ImageError("does not exist: check the path")
    if path.is_dir():
        raise ImageError("is a folder: give a picture file")
    if not path.is_file():
        raise ImageError("is not an ordinary file: give a picture file")
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise ImageError("is empty (0 bytes): copy it again from where it came from")
    if head.startswith(b"\xff\xd8"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        if tiff.is_raw(path):
            raise ImageError("is a raw file: develop it to RGB first")
        return "tiff"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"GIF8"):
        raise ImageError("is a GIF: save the frame you want as PNG first")
    raise ImageError("is not a JPEG, PNG, TIFF or WebP picture: convert it to one of these")


def _read_jpeg(path: Path, warn: Warn) -> Photo:
    header = jpeg.inspect(path, warn)
    if header.is_whole:
        pixels, _ = _decode(path)
    else:
        with tempfile.TemporaryDirectory() as folder:
            mended = Path(folder, "mended.jpg")
            jpeg.write_mended(path, mended)
            pixels, _ = _decode(mended)
    return _photo(pixels, header.icc_profile, header.metadata, "jpeg", warn)


def _read_png(path: Path, warn: Warn) -> Photo:
    metadata, profile = png.inspect(path, warn)
    return _photo(_decode(path)[0], profile, metadata, "png", warn)


def _read_webp(path: Path, warn: Warn) -> Photo:
    metadata, profile, lossless = webp.inspect(path)
    compression = "lossless" if lossless else ""
    return _photo(_decode(path)[0], profile, metadata, "webp", warn, compression=compression)


def _read_tiff(path: Path, warn: Warn) -> Photo:
    header = tiff.inspect(path, warn)
    try:
        pixels, compression = _decode(path, header.page)
    except ImageError as error:
        if not header.rare_compression:
            raise
        raise ImageError(
            f"is compressed with {header.rare_compression}, which is not read here: save it with "
            "LZW, ZIP or no compression"
        ) from error
    stored_dtype = pixels.dtype
    if header.alpha == "associated" and pixels.shape[2] == 4:
        pixels = _divided_by_alpha(pixels)
    return _photo(
        pixels,
        header.icc_profile,
        header.metadata,
        "tiff",
        warn,
        compression=compression,
        alpha=header.alpha,
        stored_dtype=stored_dtype,
        masks=tuple(_decode(path, page, channels=(1,))[0][..., 0] for page in header.masks),
    )


_READERS = {"jpeg": _read_jpeg, "png": _read_png, "tiff": _read_tiff, "webp": _read_webp}


def _photo(
    pixels: Pixels,
    profile: bytes | None,
    metadata: Metadata,
    file_format: str,
    warn: Warn,
    **details: Any,
) -> Photo:
    xmp, companions = xmp_packet.without_companions(metadata.xmp)
    for companion in sorted(companions - {xmp_packet.PREVIEW}):
        warn(f"its {companion} is left out: it was made for the colors as they were")
    if metadata.xmp and xmp is None:
        warn("its XMP is left out: it tells of a gain map, a video or a preview, and is damaged")
    metadata = replace(metadata, xmp=xmp)
    if profile is None and exif_tags.is_adobe_rgb(metadata.exif):
        profile = adobe_rgb()
    orientation = exif_tags.orientation_of(metadata.exif)
    return Photo(pixels, profile, orientation, metadata, file_format, **details)


def _decode(path: Path, page: int = 0, channels: Collection[int] = (3, 4)) -> tuple[Pixels, str]:
    """Return the pixels of a file, (H, W, C), and the name of its compression.

    Args:
        path: The file.
        page: Which page of it, from 0.
        channels: How many there may be.
    """
    with _unicode_path(path) as name:
        return _decode_named(name, page, channels)


def _decode_named(name: str, page: int, channels: Collection[int]) -> tuple[Pixels, str]:
    import OpenImageIO

    config = OpenImageIO.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)  # do not multiply colors by alpha
    file = OpenImageIO.ImageInput.open(name, config)
    if file is None:
        raise ImageError(f"cannot be read: {_one_line(OpenImageIO.geterror())}")
    try:
        if not file.seek_subimage(page, 0):
            raise ImageError(f"is damaged or cut short: {_one_line(file.geterror())}")
        spec = file.spec()
        height, width, count = spec.height, spec.width, spec.nchannels
        type_name = str(spec.format)
        if count not in channels or type_name not in _DTYPES:
            raise ImageError(f"has {count} channels of type {type_name}: convert it to RGB")
        pixels = np.empty((height, width, count), _DTYPES[type_name])
        for top, bottom in _strip_bounds(spec):
            x, y = (spec.x, spec.x + width), (spec.y + top, spec.y + bottom)  # on its sheet
            if spec.tile_height:
                strip = file.read_tiles(page, 0, *x, *y, 0, 1, 0, count, type_name)
            else:
                strip = file.read_scanlines(page, 0, *y, 0, 0, count, type_name)
            if strip is None or file.has_error:
                raise ImageError(f"is damaged or cut short: {_one_line(file.geterror())}")
            pixels[top:bottom] = strip.reshape(bottom - top, width, count)
        return pixels, str(spec.getattribute("Compression") or "")
    finally:
        file.close()


def _strip_bounds(spec: Any) -> Iterator[tuple[int, int]]:
    """Yield the first row and the row after the last of strips to read a file by."""
    unit = spec.tile_height or 1
    if spec.getattribute("planarconfig") == "separate" and not spec.tile_height:
        unit = min(int(spec.getattribute("tiff:RowsPerStrip") or 1), spec.height)
    step = -(-_rows(spec.width * spec.pixel_bytes()) // unit) * unit
    for top in range(0, spec.height, step):
        yield top, min(top + step, spec.height)


def _rows(row_bytes: int) -> int:
    """Return the rows of a strip that is large enough to be fast and small beside a picture."""
    return max(1, _STRIP_BYTES // row_bytes)


def _strips(pixels: Pixels) -> Iterator[Pixels]:
    step = _rows(pixels[0].nbytes)
    for top in range(0, len(pixels), step):
        yield pixels[top : top + step]


def _check_output(photo: Photo, path: Path, file_format: str, quality: int) -> None:
    if not file_format:
        raise ImageError(
            f"{path}: cannot be written as {path.suffix or 'a file without suffix'}: "
            "use .jpg, .png, .tif or .webp"
        )
    if not 1 <= quality <= 100:
        raise OptionError(f"quality {quality}: it must be in 1..100")
    height, width, channels = photo.pixels.shape
    if file_format != "tiff" and channels == 4 and photo.alpha == "unspecified":
        raise ImageError(f"{path}: only TIFF holds a channel beside colors and alpha: use .tif")
    if file_format == "jpeg" and channels == 4:
        raise ImageError(f"{path}: JPEG cannot hold transparency: use .png, .tif or .webp")
    if max(height, width) > _MAX_SIDE[file_format]:
        raise ImageError(
            f"{path}: {width} x {height} pixels: {file_format.upper()} holds at most "
            f"{_MAX_SIDE[file_format]} a side: use .png or .tif"
        )


def _write(photo: Photo, path: Path, file_format: str, quality: int) -> None:
    metadata = _metadata_for(file_format, photo)
    if file_format == "jpeg":
        _write_jpeg(photo, metadata, path, quality)
    elif file_format == "png":
        _write_png(photo, metadata, path)
    elif file_format == "tiff":
        _write_tiff(photo, metadata, path)
    else:
        _write_webp(photo, metadata, path, quality)


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
        return replace(metadata, exif=exif, own=())
    if file_format == "tiff":
        exif = exif_tags.with_photoshop_thumbnail(exif, make)
    own = jpeg.with_thumbnail(metadata.own, make) if file_format == "jpeg" else metadata.own
    return replace(metadata, exif=exif, own=own)


def _write_jpeg(photo: Photo, metadata: Metadata, path: Path, quality: int) -> None:
    from PIL import Image

    exif = fitting("EXIF", metadata.exif, jpeg.MAX_EXIF)
    metadata = replace(metadata, exif=exif or exif_tags.with_orientation(None, photo.orientation))
    picture = Image.fromarray(_converted(photo.pixels, np.dtype(np.uint8)))
    with _beside(path) as temporary:
        # Into a file: only then does Pillow let other threads run while it encodes.
        with temporary.open("wb") as encoded:
            picture.save(encoded, "JPEG", quality=quality, subsampling="4:4:4")
        with temporary.open("rb") as encoded:
            jpeg.embed(encoded, path, metadata, photo.icc_profile)


def _write_png(photo: Photo, metadata: Metadata, path: Path) -> None:
    dtype = np.dtype(np.uint8 if photo.depth == np.uint8 else np.uint16)
    attributes = {"png:compressionLevel": _PNG_COMPRESSION, "oiio:UnassociatedAlpha": 1}
    with _beside(path) as encoded:
        _encode(photo, encoded, "png", dtype, attributes)
        png.embed(encoded, path, metadata, photo.icc_profile)


def _write_tiff(photo: Photo, metadata: Metadata, path: Path) -> None:
    known = photo.file_format == "tiff" and photo.compression in _TIFF_COMPRESSIONS
    size = photo.pixels.size * photo.depth.itemsize + sum(mask.nbytes for mask in photo.masks)
    attributes = {
        "Compression": photo.compression if known else "lzw",
        "oiio:UnassociatedAlpha": int(photo.alpha != "associated"),
        "tiff:half": 1,  # write float16 as such
        "tiff:bigtiff": int(size > _BIGTIFF_BYTES),
        "DateTime": _NO_TIME,
    }
    _encode(photo, path, "tiff", photo.depth, attributes)
    tiff.embed(path, metadata, photo.icc_profile, photo.masks)


def _write_webp(photo: Photo, metadata: Metadata, path: Path, quality: int) -> None:
    from PIL import Image

    Image.fromarray(_converted(photo.pixels, np.dtype(np.uint8))).save(
        path,
        "WEBP",
        quality=quality,
        lossless=photo.file_format == "webp" and photo.compression == "lossless",
        exact=True,  # keep colors where alpha is 0
        icc_profile=photo.icc_profile or b"",
        exif=metadata.exif or b"",
        xmp=metadata.xmp or b"",
    )


def _encode(
    photo: Photo, path: Path, file_format: str, dtype: np.dtype[Any], attributes: dict[str, Any]
) -> None:
    """Write the pixels of a photo, converted to `dtype`, without any metadata that matters."""
    import OpenImageIO

    height, width, channels = photo.pixels.shape
    spec = OpenImageIO.ImageSpec(width, height, channels, _TYPE_NAMES[dtype])
    if photo.alpha == "unspecified":
        spec.alpha_channel = -1
    for name, value in attributes.items():
        spec.attribute(name, value)
    file = OpenImageIO.ImageOutput.create(file_format)
    if file is None:
        raise ImageError(_one_line(OpenImageIO.geterror()))
    with _unicode_path(path) as name:
        done = file.open(name, spec)
        top = 0
        for strip in _strips(photo.pixels):
            if channels == 4 and photo.alpha == "associated" and file_format == "tiff":
                strip = _multiplied_by_alpha(strip, dtype)
            else:
                strip = _converted(strip, dtype)
            done = done and file.write_scanlines(top, top + len(strip), 0, strip)
            top += len(strip)
        if not (file.close() and done):
            raise ImageError(_one_line(file.geterror()))


@contextmanager
def _unicode_path(path: Path) -> Iterator[str]:
    """Yield a name that OpenImageIO can open a file by: on Linux names may be any bytes."""
    try:
        name = str(path)
        name.encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder, "photo" + path.suffix)
            link.symlink_to(path.absolute())
            yield str(link)
    else:
        yield name


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file in the same folder."""
    temporary = path.with_name(path.name + ".pixels")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _converted(pixels: Pixels, dtype: np.dtype[Any]) -> Pixels:
    """Return pixels in `dtype`: themselves, or with less depth, rounded to nearest."""
    if pixels.dtype == dtype:
        return pixels
    if pixels.dtype == np.uint16:
        return ((pixels.astype(np.uint32) + 128) // 257).astype(dtype)
    values = np.nan_to_num(pixels.astype(np.float32), nan=0.0).clip(0.0, 1.0)
    return (values * np.iinfo(dtype).max + 0.5).astype(dtype)


def _divided_by_alpha(pixels: Pixels) -> Pixels:
    """Return float32 pixels with the colors that were multiplied by alpha; as stored under alpha 0.

    Colors may be brighter than their alpha allows (fire, lights): these are above 1 then.
    """
    divided = np.empty(pixels.shape, np.float32)
    step = _rows(divided[0].nbytes)
    for top in range(0, len(pixels), step):
        strip = pixels[top : top + step]
        values = strip.astype(np.float64) / _full_scale(pixels.dtype)
        alpha = values[..., 3:]
        values[..., :3] /= np.where(alpha, alpha, 1.0)
        divided[top : top + step] = values
    return divided


def _multiplied_by_alpha(pixels: Pixels, dtype: np.dtype[Any]) -> Pixels:
    """Return pixels in `dtype` with colors multiplied by alpha; as they are under alpha 0."""
    values = pixels.astype(np.float64) / _full_scale(pixels.dtype)
    alpha = values[..., 3:]
    values[..., :3] *= np.where(alpha, alpha, 1.0)
    if dtype.kind == "f":
        return values.astype(dtype)
    values = np.nan_to_num(values, nan=0.0).clip(0.0, 1.0)
    return np.round(values * _full_scale(dtype)).astype(dtype)


def _full_scale(dtype: np.dtype[Any]) -> float:
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else 1.0


def _one_line(message: str) -> str:
    """Return the first line of another library's error message."""
    return (message.strip() or "no reason given").splitlines()[0]
