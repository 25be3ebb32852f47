"""LUT files of any form, chosen by suffix."""

from __future__ import annotations

from pathlib import Path

from vae_balance.color.lut import ColorLut
from vae_balance.errors import OptionError
from vae_balance.luts.cube import format_cube, parse_cube, read_cube, write_cube
from vae_balance.luts.hald import format_hald, parse_hald, read_hald, write_hald
from vae_balance.luts.opencolorio import parse_with_opencolorio, read_with_opencolorio
from vae_balance_protocol.messages import LUT_FORMATS

_WRITERS = {".cube": write_cube, ".png": write_hald}
_FORMATTERS = {"cube": format_cube, "hald": format_hald}
_PARSERS = {"cube": parse_cube, "hald": parse_hald}
SUFFIXES = frozenset(LUT_FORMATS)  # of the files that can be read
_PROFILE_SUFFIXES = (".icc", ".icm", ".pf")  # which OpenColorIO reads, too


def read_lut(path: Path) -> ColorLut:
    """Read a .cube file, a Hald picture (.png), or one of OpenColorIO's formats.

    Raises:
        LutError: the file is malformed, or asks for what cannot be done.
        OptionError: it is none of these by its name.
    """
    suffix = path.suffix.lower()
    if suffix in _PROFILE_SUFFIXES:
        raise OptionError(f"{path}: is a color profile, not a LUT; assign it to the photo instead")
    if suffix not in SUFFIXES:
        known = " ".join(LUT_FORMATS)
        raise OptionError(f"{path}: not the name of a LUT; these can be read: {known}")
    if suffix == ".cube":
        return read_cube(path)
    if suffix == ".png":
        return read_hald(path)
    return read_with_opencolorio(path)


def write_lut(path: Path, lut: ColorLut, *, overwrite: bool = False) -> None:
    """Write a .cube file or a Hald picture (.png), all or nothing; of steps, what they bake.

    Raises:
        OptionError: the suffix is neither of the two.
        OutputExistsError: `path` exists and `overwrite` is false.
        BalanceError: the file cannot be written.
    """
    _WRITERS[lut_suffix(path)](path, lut.baked(), overwrite=overwrite)


def parse_lut(content: bytes, file_format: str, name: str) -> ColorLut:
    """Return the LUT that the bytes of a file hold; errors call it `name`.

    Args:
        content: the file.
        file_format: as in `vae_balance_protocol.messages.LUT_FORMATS`.
        name: of the file.

    Raises:
        LutError: the file is malformed, or asks for what cannot be done.
    """
    parse = _PARSERS.get(file_format)
    return parse(content, name) if parse else parse_with_opencolorio(content, file_format, name)


def format_lut(lut: ColorLut, file_format: str) -> bytes:
    """Return the bytes of a "cube" or "hald" file; of several steps, what they bake."""
    return _FORMATTERS[file_format](lut.baked())


def lut_suffix(path: Path) -> str:
    """Return the suffix of a LUT file to write, in lower case.

    Raises:
        OptionError: it is none that can be written.
    """
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise OptionError(f"{path}: not the name of a LUT: end it in .cube, or .png for a Hald")
    return suffix


def lut_format(path: Path) -> str:
    """Return "cube" or "hald", as the suffix says.

    Raises:
        OptionError: it is none that can be written.
    """
    return LUT_FORMATS[lut_suffix(path)]
