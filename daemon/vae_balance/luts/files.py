"""LUT files of either form, chosen by suffix."""

from __future__ import annotations

from pathlib import Path

from vae_balance.color.lut import Lut3D
from vae_balance.errors import OptionError
from vae_balance.luts.cube import format_cube, parse_cube, read_cube, write_cube
from vae_balance.luts.hald import format_hald, parse_hald, read_hald, write_hald

_READERS = {".cube": read_cube, ".png": read_hald}
_WRITERS = {".cube": write_cube, ".png": write_hald}
_FORMATS = {".cube": "cube", ".png": "hald"}
SUFFIXES = frozenset(_READERS)
_PARSERS = {"cube": parse_cube, "hald": parse_hald}
_FORMATTERS = {"cube": format_cube, "hald": format_hald}


def read_lut(path: Path) -> Lut3D:
    """Read a .cube file or a Hald picture (.png).

    Raises:
        LutError: the file is malformed.
        OptionError: it is neither of the two by its name.
    """
    return _READERS[lut_suffix(path)](path)


def write_lut(path: Path, lut: Lut3D, *, overwrite: bool = False) -> None:
    """Write a .cube file or a Hald picture (.png), all or nothing.

    Raises:
        OptionError: the suffix is neither of the two.
        OutputExistsError: `path` exists and `overwrite` is false.
        BalanceError: the file cannot be written.
    """
    _WRITERS[lut_suffix(path)](path, lut, overwrite=overwrite)


def parse_lut(content: bytes, file_format: str, name: str) -> Lut3D:
    """Return the LUT that the bytes of a "cube" or "hald" file hold; errors call it `name`.

    Raises:
        LutError: the file is malformed.
    """
    return _PARSERS[file_format](content, name)


def format_lut(lut: Lut3D, file_format: str) -> bytes:
    """Return the bytes of a "cube" or "hald" file."""
    return _FORMATTERS[file_format](lut)


def lut_suffix(path: Path) -> str:
    """Return the suffix of a LUT file, in lower case.

    Raises:
        OptionError: it is none that can be read or written.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionError(f"{path}: not the name of a LUT: end it in .cube, or .png for a Hald")
    return suffix


def lut_format(path: Path) -> str:
    """Return "cube" or "hald", as the suffix says.

    Raises:
        OptionError: it is none that can be read or written.
    """
    return _FORMATS[lut_suffix(path)]
