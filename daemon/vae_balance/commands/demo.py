"""`vae-balance demo`: a bundled photo is damaged and balanced, to look at side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vae_balance.commands import options
from vae_balance.commands.outputs import check_new, make_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SAMPLE = Path(__file__).parents[1] / "samples" / "astronaut.jpg"
_FILES = ("damaged.png", "balanced.png", "before-after.png", "look.cube")
# Expired film: each channel (R, G, B) has a black, a white and a gamma of its own.
_BLACK, _WHITE, _GAMMA = (0.05, 0.12, 0.16), (0.72, 0.95, 0.82), (1.25, 0.80, 0.95)
_GAP = 8  # white pixels between before and after


@click.command()
@click.option(
    "--out-dir",
    type=options.PATH,
    default="demo",
    show_default=True,
    metavar="DIR",
    help=f"Folder for {', '.join(_FILES)}.",
)
@click.option(
    "--iterations",
    type=click.IntRange(1, 10),
    default=1,
    show_default=True,
    metavar="N",
    help="Rounds.",
)
@options.model
@options.device
@options.force
def demo(out_dir: Path, iterations: int, model: str, device: str, force: bool) -> None:
    """Damage a bundled photo with a color cast and balance it.

    \b
    vae-balance demo
    """
    damaged_file, balanced_file, pair_file, look_file = (out_dir / name for name in _FILES)
    for path in (damaged_file, balanced_file, pair_file, look_file):
        check_new(path, force)

    import numpy as np

    from vae_balance.balancer import Balancer
    from vae_balance.images import Photo, read_photo, write_photo
    from vae_balance.lut import Lut3D
    from vae_balance.lut_files import labeled_lut, write_lut

    balancer = Balancer(model, device)
    make_folder(out_dir)
    damaged = balancer.apply(Lut3D.from_function(cast), read_photo(_SAMPLE))
    look = balancer.learn(damaged, iterations=iterations)
    balanced = balancer.apply(look, damaged)
    gap = np.full((len(damaged.pixels), _GAP, 3), 255, np.uint8)
    pair = Photo(np.concatenate([damaged.pixels, gap, balanced.pixels], axis=1))
    for photo, path in ((damaged, damaged_file), (balanced, balanced_file), (pair, pair_file)):
        write_photo(photo, path, overwrite=force)
    lut = labeled_lut(look, balancer.model.info, "centre", [damaged_file])
    write_lut(look_file, lut, overwrite=force)
    click.echo(f"damaged photo:       {damaged_file}")
    click.echo(f"balanced photo:      {balanced_file}")
    click.echo(f"its look, as a LUT:  {look_file}")
    click.echo(f"side by side:        {pair_file.resolve()}")


def cast(colors: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return colors (..., 3), sRGB-encoded, 0..1, as the demo damages them."""
    import numpy as np

    black, white = np.array(_BLACK), np.array(_WHITE)
    return black + (white - black) * colors ** np.array(_GAMMA)
