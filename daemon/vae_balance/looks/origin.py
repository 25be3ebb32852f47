"""Where a look comes from, and the title and comments of LUT files that tell of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import vae_balance
from vae_balance.color.lut import Lut3D
from vae_balance.errors import OptionError, printable


@dataclass(frozen=True)
class Origin:
    """What a look was learned with.

    Attributes:
        corrector: its name in `model.json`.
        model: what `--model` calls it.
        version: of the model.
        options: by name, those that had an influence.
        found: what was wrong with the photos, in one line; "" where that was not looked for.
    """

    corrector: str
    model: str
    version: str
    options: Mapping[str, Any] = field(default_factory=dict)
    found: str = ""


UNKNOWN = Origin("", "", "")  # of a LUT file


def labeled_lut(lut: Lut3D | None, origin: Origin, proxy: str, photos: Sequence[Path]) -> Lut3D:
    """Return the LUT of a look with a title, and comments that tell how to learn it again.

    Args:
        lut: of the look.
        origin: of the look.
        proxy: "centre" or "frame".
        photos: what it was learned from.

    Raises:
        OptionError: the look has no LUT.
    """
    more = f" and {len(photos) - 1} more" if len(photos) > 1 else ""
    names = [printable(photo.name) for photo in photos]
    sources = (f"proxy: {proxy}", *(f"learned from: {name}" for name in names))
    return titled_lut(lut, origin, f"{printable(photos[0].stem)}{more}, balanced", sources)


def titled_lut(lut: Lut3D | None, origin: Origin, title: str, sources: Sequence[str] = ()) -> Lut3D:
    """Return the LUT of a look with a title, and comments that tell how it was learned.

    Args:
        lut: of the look.
        origin: of the look.
        title: a name for people.
        sources: further comments, about what it was learned from.

    Raises:
        OptionError: the look has no LUT.
    """
    if lut is None:
        raise OptionError(
            f"model {origin.model}: what it learns depends on the photo and the place in it, and "
            "cannot be a LUT file"
        )
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


def _text(name: str, value: Any) -> str:
    if name == "seed" and value is None:
        return "none (means decoded)"
    return f"{value:g}" if isinstance(value, float) else str(value)
