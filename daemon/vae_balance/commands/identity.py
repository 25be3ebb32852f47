"""`vae-balance lut identity`: the LUT that changes nothing, to be edited in GIMP like a photo."""

from __future__ import annotations

from pathlib import Path

import click

from vae_balance.commands import options


@click.command()
@click.argument("output", type=options.PATH, metavar="FILE")
@options.force
def identity(output: Path, force: bool) -> None:
    """Write a LUT that changes nothing: .png for a Hald picture, or .cube.

    Edit the Hald picture in GIMP (colors only: curves, color balance, filters without blur),
    export it as a PNG of 16 bits, and it is the LUT of what you did.

    \b
    vae-balance lut identity hald.png
    vae-balance lut convert edited-hald.png faded.cube
    """
    from vae_balance.color.lut import Lut3D
    from vae_balance.luts.files import write_lut

    write_lut(output, Lut3D.identity(), overwrite=force)
