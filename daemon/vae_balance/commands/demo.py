"""`vae-balance demo`: a bundled photo is damaged and balanced, to look at side by side."""

from __future__ import annotations

from pathlib import Path

import click

from vae_balance.commands import options
from vae_balance.files import check_new, make_folder
from vae_balance.photos.sample import SAMPLE, cast, side_by_side
from vae_balance_protocol.options import ITERATIONS

_FILES = ("damaged.png", "balanced.png", "before-after.png", "look.cube")


@click.command()
@click.option(
    "--out-dir",
    type=options.PATH,
    default="demo",
    show_default=True,
    metavar="DIR",
    help=f"Folder for {', '.join(_FILES)}.",
)
@options.option(ITERATIONS)
@options.model
@options.device
@options.force
def demo(out_dir: Path, iterations: int | str, model: str, device: str, force: bool) -> None:
    """Damage a bundled photo with a color cast and balance it.

    \b
    vae-balance demo
    """
    damaged_file, balanced_file, pair_file, look_file = (out_dir / name for name in _FILES)
    for path in (damaged_file, balanced_file, pair_file, look_file):
        check_new(path, force)

    from vae_balance.api import Balancer
    from vae_balance.color.lut import Lut3D
    from vae_balance.looks.origin import labeled_lut
    from vae_balance.luts.files import write_lut
    from vae_balance.photos.photo import read_photo, write_photo

    balancer = Balancer(model, device)
    make_folder(out_dir)
    damaged = balancer.apply(Lut3D.from_function(cast), read_photo(SAMPLE))
    look = balancer.learn(damaged, iterations=iterations)
    balanced = balancer.apply(look, damaged)
    pair = side_by_side(damaged, balanced)
    for photo, path in ((damaged, damaged_file), (balanced, balanced_file), (pair, pair_file)):
        write_photo(photo, path, overwrite=force)
    lut = labeled_lut(look.lut, look.origin, "centre", [damaged_file])
    write_lut(look_file, lut, overwrite=force)
    click.echo(f"damaged photo:       {damaged_file}")
    click.echo(f"balanced photo:      {balanced_file}")
    click.echo(f"its look, as a LUT:  {look_file}")
    click.echo(f"side by side:        {pair_file.resolve()}")
