"""`vae-balance lut convert`: a LUT file in another form."""

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
    """Write a LUT of any form that `apply` reads as .cube, or as a Hald picture (.png).

    What is not a 3D LUT is baked into one, and a line tells how much was lost.

    \b
    vae-balance lut convert edited-hald.png faded.cube
    """
    check_distinct([lut, output])
    from vae_balance.errors import printable
    from vae_balance.files import as_private_as
    from vae_balance.luts.files import read_lut, write_lut

    given = read_lut(lut)
    baked = given.baked()
    with as_private_as([lut]):
        write_lut(output, baked, overwrite=force)
    if baked is not given:
        click.echo(f"{printable(str(lut))}: {baked.comments[-1]}", err=True)
