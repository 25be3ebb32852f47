"""Read and write Hald CLUTs: a LUT as a picture that any editor can open, and change.

A Hald of level L is L^3 pixels high and wide and holds a cube of n = L^2 nodes an edge. Pixels
are counted row by row; pixel r + g n + b n^2 is the output for the node [r, g, b] (Eskil
Steenberg, http://www.quelsolaar.com/technology/clut.html).
"""

from __future__ import annotations

import os
import struct
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vae_balance.color.lut import MAX_SIZE, Lut3D
from vae_balance.errors import BalanceError, ImageError, LutError, OptionError
from vae_balance.photos.photo import Photo, read_photo, write_photo

LEVELS = range(2, 13)  # 12, of the large collections of film looks, is 1728 pixels wide
DEFAULT_LEVEL = 8  # as in ImageMagick and G'MIC: 512 pixels, a 64-cube
_PNG = b"\x89PNG\r\n\x1a\n"


def read_hald(path: str | os.PathLike[str]) -> Lut3D:
    """Read a Hald PNG, 8 or 16 bits, of level 2..12; alpha and color profile are ignored.

    A grey one, as programs save that of a black-and-white film, gives grey. The cube is taken
    over node by node, that of level 12 (144 nodes) is reduced to 129.

    Raises:
        LutError: The picture is not a PNG, or not as wide and high as a Hald.
        ImageError: The picture cannot be read.
    """
    _check_side(path)
    photo = read_photo(path)
    if photo.file_format != "png":
        raise LutError(f"{path}: is a {photo.file_format.upper()} file; a Hald must be a PNG")
    pixels = photo.pixels[..., :3]
    size = round(len(pixels) ** (2 / 3))
    colors = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
    table = colors.reshape(size, size, size, 3).transpose(2, 1, 0, 3)
    return Lut3D(table if size <= MAX_SIZE else _reduced(table, MAX_SIZE))


def write_hald(
    path: str | os.PathLike[str],
    lut: Lut3D,
    *,
    level: int = DEFAULT_LEVEL,
    overwrite: bool = False,
) -> None:
    """Write `lut`, clipped to 0..1, as a Hald PNG of 16 bits, all or nothing.

    The LUT is sampled at the nodes of the Hald's own cube of level^2 nodes an edge.

    Raises:
        OptionError: The level is not in 2..12, or `path` does not end in .png.
        OutputExistsError: `path` exists and `overwrite` is false.
        BalanceError: The file cannot be written.
    """
    if level not in LEVELS:
        raise OptionError(f"Hald level {level}: it must be in {LEVELS[0]}..{LEVELS[-1]}")
    if Path(path).suffix.lower() != ".png":
        raise OptionError(f"{path}: a Hald is a PNG; give a name that ends in .png")
    steps = np.arange(level**2, dtype=np.float32) / (level**2 - 1)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    colors = lut(np.stack([red, green, blue], axis=-1)).clip(0, 1)
    pixels = np.rint(colors * 65535).astype(np.uint16).reshape(level**3, level**3, 3)
    write_photo(Photo(pixels), path, overwrite)


def parse_hald(content: bytes, name: str) -> Lut3D:
    """Return the LUT that the bytes of a Hald PNG hold, as `read_hald` does; `name` is for errors.

    Raises:
        LutError: The picture is not a PNG, is damaged, or is not as wide and high as a Hald.
        BalanceError: There is no room for temporary files.
    """
    if not content.startswith(_PNG):
        raise LutError(f"{name}: is not a PNG file; a Hald must be one")
    with tempfile.TemporaryDirectory(prefix="vae-balance-") as folder:
        path = Path(folder) / "hald.png"
        try:
            path.write_bytes(content)
            return read_hald(path)
        except OSError as error:
            raise BalanceError(f"{folder}: cannot be written: {error.strerror}") from error
        except (LutError, ImageError) as error:
            raise LutError(str(error).replace(str(path), name)) from error


def format_hald(lut: Lut3D) -> bytes:
    """Return the bytes of the file that `write_hald` writes.

    Raises:
        BalanceError: There is no room for temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="vae-balance-") as folder:
        path = Path(folder) / "hald.png"
        write_hald(path, lut)
        return path.read_bytes()


def _check_side(path: str | os.PathLike[str]) -> None:
    """Check the width and height of a PNG, before all its pixels are read into memory.

    Raises:
        LutError: They are not those of a Hald.
    """
    with suppress(OSError), Path(path).open("rb") as file:  # which `read_photo` reports
        head = file.read(24)
        if not head.startswith(_PNG) or len(head) < 24:
            return
        width, height = struct.unpack(">II", head[16:24])
        if not any(height == width == level**3 for level in LEVELS):
            sides = ", ".join(str(level**3) for level in LEVELS)
            raise LutError(
                f"{path}: {width} x {height} pixels; a Hald is square with a side of {sides}"
            )


def _reduced(table: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
    """Return a table (n, n, n, 3) at `size` nodes an edge, interpolated linearly."""
    position = np.linspace(0, len(table) - 1, size, dtype=np.float32)
    below = np.minimum(position.astype(int), len(table) - 2)
    for axis in range(3):
        share = (position - below).reshape([-1 if place == axis else 1 for place in range(4)])
        low, high = table.take(below, axis), table.take(below + 1, axis)
        table = low + share * (high - low)
    return table
