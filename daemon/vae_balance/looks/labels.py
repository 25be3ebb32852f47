"""The LUT of a look, with the title and comments that its file tells people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import vae_balance
from vae_balance.color.lut import Lut3D
from vae_balance.errors import LutError, printable
from vae_balance.looks.light_map import LightLook
from vae_balance.looks.look import Look


def labeled_lut(look: Look, proxy: str, photos: Sequence[Path]) -> Lut3D:
    """Return the LUT of a look with a title, and comments that tell how to learn it again.

    Args:
        look: that was learned here.
        proxy: "centre" or "frame".
        photos: what it was learned from.

    Raises:
        LutError: the look has no LUT.
    """
    more = f" and {len(photos) - 1} more" if len(photos) > 1 else ""
    names = [printable(photo.name) for photo in photos]
    sources = (f"proxy: {proxy}", *(f"learned from: {name}" for name in names))
    return titled_lut(look, f"{printable(photos[0].stem)}{more}, balanced", sources)


def titled_lut(look: Look, title: str, sources: Sequence[str] = ()) -> Lut3D:
    """Return the LUT of a look with a title, and comments that tell how it was learned.

    Args:
        look: that was learned here.
        title: a name for people.
        sources: further comments, about what it was learned from.

    Raises:
        LutError: the look has no LUT.
    """
    lut, origin = require_lut(look), look.origin
    comments = (
        f"VAE Balance {vae_balance.__version__}",
        f"model: {origin.model} {origin.version}",
        *(f"{name}: {_text(name, value)}" for name, value in origin.options.items()),
        *([f"found: {origin.found}"] if origin.found else []),
        *sources,
        f"sha256 of the LUT: {lut.digest()}",
        "sRGB-encoded colors in and out",
    )
    return replace(lut, title=title, comments=comments)


def file_look(look: Look, average: bool) -> Look:
    """Return the look that a LUT file is made of: where `average` is true, that of the average.

    A look that is the same everywhere is its own average.
    """
    return look.averaged() if average and isinstance(look, LightLook) else look


def require_lut(look: Look) -> Lut3D:
    """Return the LUT of a look.

    Raises:
        LutError: it has none.
    """
    if look.lut is None:
        other = ", or with --average-lut" if isinstance(look, LightLook) else ""
        raise LutError(
            f"model {look.origin.model}: what it learns holds for one photo and depends on the "
            f"place in it, and cannot be a LUT: balance the photo without asking for one{other}"
        )
    return look.lut


def _text(name: str, value: Any) -> str:
    if name == "seed" and value is None:
        return "none (means decoded)"
    return f"{value:g}" if isinstance(value, float) else str(value)
