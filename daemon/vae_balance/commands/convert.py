"""`vae-balance convert`: a LUT file in the other form."""

from __future__ import annotations

from pathlib import Path

import click

from vae_balance.commands import options
from vae_balance.commands.outputs import check_distinct


@click.command()
@click.argument("lut", type=options.PATH, metavar="LUT")
@click.argument("output", type=options.PATH, metavar="OUT")
@options.force
def convert(lut: Path, output: Path, force: bool) -> None:
    """Write the LUT of a .cube file as a Hald picture (.png), or that of a Hald as .cube.

    \b
    vae-balance convert edited-hald.png faded.cube
    """
    check_distinct([lut, output])
    from vae_balance.luts.files import read_lut, write_lut

    write_lut(output, read_lut(lut), overwrite=force)
