"""Pixels out of and into files by OpenImageIO.

docs/decisions/libraries.md tells what it was chosen against.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vae_balance.color.arrays import Pixels
from vae_balance.errors import ImageError
from vae_balance.photos.pixels import converted, multiplied_by_alpha, rows, strips

# Of OpenEXR: x and y of the pixels, then x, y, width and height of the frame (display window).
WINDOW = "window"
NO_TIME = "0000:00:00 00:00:00"  # instead of the present: the same photo gives the same bytes

_DTYPES: dict[str, np.dtype[Any]] = {  # by the names in OpenImageIO
    "uint8": np.dtype(np.uint8),
    "uint16": np.dtype(np.uint16),
    "half": np.dtype(np.float16),
    "float": np.dtype(np.float32),
}
# Of these nobody else sees that the last bytes are missing: they wait in a buffer, and OpenImageIO
# does not tell that the disk had no room for them. PNG and JPEG 2000 are looked at where they get
# their metadata; libtiff has no buffer.
_UNTOLD = ("openexr", "dpx", "jpegxl")
_BITS = "oiio:BitsPerSample"
_OF_STORAGE = frozenset({"compression", "planarconfig", "Orientation", "tiles", "type"})
_TYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


@dataclass(frozen=True, eq=False)
class Decoded:
    """Pixels, (H, W, C), and what else the file says, as OpenImageIO's ImageSpec."""

    pixels: Pixels
    spec: Any

    def text(self, name: str) -> str:
        """Return an attribute, "" if there is none."""
        try:
            return str(self.spec.getattribute(name) or "")
        except UnicodeDecodeError:  # it is damaged
            return ""

    def attributes(self) -> tuple[tuple[str, Any], ...]:
        """Return the attributes that describe the photo, not how its pixels are stored."""
        found: list[tuple[str, Any]] = []
        for attribute in self.spec.extra_attribs:
            with suppress(UnicodeDecodeError):  # a damaged text
                name, value = attribute.name, attribute.value
                if isinstance(value, str | int | float | tuple) and _describes(name):
                    found.append((name, value))
        return tuple(found)

    def window(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Return, as an attribute, where the pixels lie in a frame that is not all of them."""
        spec = self.spec
        place = (spec.x, spec.y, spec.full_x, spec.full_y, spec.full_width, spec.full_height)
        whole = (0, 0, 0, 0, spec.width, spec.height)
        return () if place == whole else ((WINDOW, place),)

    def icc_profile(self) -> bytes | None:
        """Return the embedded profile."""
        profile = self.spec.getattribute("ICCProfile")
        return None if profile is None else bytes(np.asarray(profile, dtype=np.uint8))


def _describes(name: str) -> bool:
    return name not in _OF_STORAGE and (not name.startswith("oiio:") or name == _BITS)


def decode(path: Path, page: int = 0, channels: Collection[int] = (1, 2, 3, 4)) -> Decoded:
    """Read the pixels of a file.

    Args:
        path: The file.
        page: Which page of it, from 0.
        channels: How many there may be.

    Raises:
        ImageError: They cannot be read, or are of another kind. The message does not name the file.
    """
    with _unicode_path(path) as name:
        return _decode(name, page, channels)


def encode(
    pixels: Pixels,
    path: Path,
    file_format: str,
    dtype: np.dtype[Any],
    attributes: Mapping[str, Any],
    alpha: str = "unassociated",
) -> None:
    """Write pixels, converted to `dtype`, and nothing else but the attributes.

    Args:
        pixels: (H, W, 3 or 4), never multiplied by alpha.
        path: The file.
        file_format: By its name in OpenImageIO.
        dtype: As the format has it.
        attributes: By their names in OpenImageIO, and WINDOW; bytes become arrays.
        alpha: As `Photo.alpha`; with "associated" colors are multiplied by it.

    Raises:
        ImageError: The file cannot be written.
    """
    import OpenImageIO

    height, width, channels = pixels.shape
    spec = OpenImageIO.ImageSpec(width, height, channels, _TYPE_NAMES[dtype])
    if alpha == "unspecified":
        spec.alpha_channel = -1
    for name, value in attributes.items():
        if name == WINDOW:
            spec.x, spec.y = value[:2]
            spec.full_x, spec.full_y, spec.full_width, spec.full_height = value[2:]
        elif isinstance(value, bytes):
            kind = OpenImageIO.TypeDesc(f"uint8[{len(value)}]")
            spec.attribute(name, kind, np.frombuffer(value, np.uint8))
        elif isinstance(value, tuple):
            spec.attribute(name, OpenImageIO.TypeDesc(f"float[{len(value)}]"), value)
        else:
            spec.attribute(name, value)
    file = OpenImageIO.ImageOutput.create(file_format)
    if file is None:
        raise ImageError(_reason(OpenImageIO))
    with _unicode_path(path) as path_name:
        done = file.open(path_name, spec)
        top = spec.y
        for strip in strips(pixels):
            if channels == 4 and alpha == "associated":
                strip = multiplied_by_alpha(strip, dtype)
            else:
                strip = converted(strip, dtype)
            done = done and file.write_scanlines(top, top + len(strip), 0, strip)
            top += len(strip)
        if not (file.close() and done):
            raise ImageError(_reason(file, path_name))
        if file_format in _UNTOLD:
            _check_end(path_name)


def _check_end(name: str) -> None:
    """Check that the last row of a file that was just written can be read.

    Raises:
        ImageError: It cannot.
    """
    import OpenImageIO

    row = None
    file = OpenImageIO.ImageInput.open(name)
    if file is not None:
        spec = file.spec()
        end = spec.y + spec.height
        row = file.read_scanlines(0, 0, end - 1, end, 0, 0, spec.nchannels, str(spec.format))
        file.geterror()  # which OpenImageIO prints where nobody asks
        file.close()
    if row is None:
        OpenImageIO.geterror()
        raise ImageError("its pixels are not all there")


def _decode(name: str, page: int, channels: Collection[int]) -> Decoded:
    import OpenImageIO

    config = OpenImageIO.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)  # do not multiply colors by alpha
    file = OpenImageIO.ImageInput.open(name, config)
    if file is None:
        raise ImageError(f"cannot be read: {_reason(OpenImageIO, name)}")
    try:
        if not file.seek_subimage(page, 0):
            raise ImageError(f"is damaged or cut short: {_reason(file, name)}")
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
                raise ImageError(f"is damaged or cut short: {_reason(file, name)}")
            pixels[top:bottom] = strip.reshape(bottom - top, width, count)
        return Decoded(pixels, spec)
    finally:
        file.close()


def _strip_bounds(spec: Any) -> Iterator[tuple[int, int]]:
    """Yield the first row and the row after the last of strips to read a file by."""
    unit = spec.tile_height or 1
    if spec.getattribute("planarconfig") == "separate" and not spec.tile_height:
        unit = min(int(spec.getattribute("tiff:RowsPerStrip") or 1), spec.height)
    step = -(-rows(spec.width * spec.pixel_bytes()) // unit) * unit
    for top in range(0, spec.height, step):
        yield top, min(top + step, spec.height)


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


def _reason(source: Any, name: str = "") -> str:
    """Return the first line of OpenImageIO's last error, of the library or of a file.

    Args:
        source: The library or the file.
        name: Of the file, which the caller names: it may be that of a copy.
    """
    try:
        message = source.geterror().strip()
    except UnicodeDecodeError:  # it quotes the damaged file
        message = ""
    for quoted in (f' ("{name}")', f' "{name}"'):
        message = message.replace(quoted, "")
    return (message or "no reason given").splitlines()[0]
