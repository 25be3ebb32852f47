"""`vae-balance lut`: what is done with LUT files themselves."""

from __future__ import annotations

import click

from vae_balance.commands.convert import convert
from vae_balance.commands.identity import identity


@click.group()
def lut() -> None:
    """Make LUT files, and write them in other forms.

    \b
    vae-balance lut identity hald.png
    vae-balance lut convert edited-hald.png faded.cube
    """


lut.add_command(identity)
lut.add_command(convert)
