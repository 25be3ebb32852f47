"""LUT files of either form, chosen by suffix, and the lines that tell where a look comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import vae_balance
from vae_balance.color.lut import Lut3D
from vae_balance.errors import OptionError, printable
from vae_balance.luts.cube import format_cube, parse_cube, read_cube, write_cube
from vae_balance.luts.hald import format_hald, parse_hald, read_hald, write_hald
from vae_balance_protocol.options import AUTO

if TYPE_CHECKING:
    from vae_balance.correctors.latent_balancer.learn import Look
    from vae_balance.models.store import ModelInfo

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


def labeled_lut(look: Look, model: ModelInfo, proxy: str, photos: Sequence[Path]) -> Lut3D:
    """Return the LUT of a look with a title, and comments that tell how to learn it again.

    Args:
        look: what was learned.
        model: what it was learned with.
        proxy: "centre" or "frame".
        photos: what it was learned from.
    """
    more = f" and {len(photos) - 1} more" if len(photos) > 1 else ""
    names = [printable(photo.name) for photo in photos]
    sources = (f"proxy: {proxy}", *(f"learned from: {name}" for name in names))
    return titled_lut(look, model, f"{printable(photos[0].stem)}{more}, balanced", sources)


def titled_lut(look: Look, model: ModelInfo, title: str, sources: Sequence[str] = ()) -> Lut3D:
    """Return the LUT of a look with a title, and comments that tell how it was learned.

    Args:
        look: what was learned.
        model: what it was learned with.
        title: a name for people.
        sources: further comments, about what it was learned from.
    """
    options = look.options
    seed = "none (means decoded)" if options.seed is None else str(options.seed)
    learned = "" if options.iterations != AUTO else f", {len(look.rounds)} learned"
    comments = (
        f"VAE Balance {vae_balance.__version__}",
        f"model: {model.name} {model.version}",
        f"iterations: {options.iterations}{learned}",
        f"strength: {options.strength:g}",
        f"seed: {seed}",
        *sources,
        f"sha256 of the LUT: {look.lut.digest()}",
        "sRGB-encoded colors in and out",
    )
    return replace(look.lut, title=title, comments=comments)
