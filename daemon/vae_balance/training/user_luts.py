"""LUT files of the user as damage to train on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from vae_balance.errors import OptionError
from vae_balance.training.damage import Damage

OWN_LUT = "own LUT"
_SHARE = 0.25


def lut_paths(folder: Path) -> list[Path]:
    """Return the LUT files in `folder`, those in folders of it as well.

    Raises:
        OptionError: there are none.
    """
    from vae_balance.luts.files import SUFFIXES

    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise OptionError(f"{folder}: holds no LUT files ({', '.join(sorted(SUFFIXES))})")
    return paths


def damage_source(
    luts: Path | None, draw: Callable[[np.random.Generator], Damage]
) -> Callable[[np.random.Generator], Damage]:
    """Return what draws a damage: `draw`, and a quarter of the time one of the user's LUTs.

    Raises:
        OptionError: there are none in the folder.
        LutError: a file is malformed.
    """
    if luts is None:
        return draw
    from vae_balance.luts.files import read_lut

    own = [read_lut(path) for path in lut_paths(luts)]

    def draw_either(rng: np.random.Generator) -> Damage:
        if rng.uniform() > _SHARE:
            return draw(rng)
        strength = float(rng.uniform(0.3, 1.2))
        return Damage(OWN_LUT, strength, own[int(rng.integers(len(own)))].blended(strength))

    return draw_either
