"""`vae-balance demo`: a bundled photo is damaged and balanced, to look at side by side."""

from __future__ import annotations

from pathlib import Path

import click

from vae_balance.commands import options
from vae_balance.commands.console import require_extra
from vae_balance.files import check_new, make_folder, real_path
from vae_balance.photos.sample import SAMPLE, cast, side_by_side
from vae_balance.photos.task import PhotoTask
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
@click.option(
    "--steps", is_flag=True, help="Draw each step that led to the look, too: step-1.png and so on."
)
@click.option(
    "--roll", is_flag=True, help="Write a roll to try `batch` with, too: twelve frames in DIR/roll."
)
@options.option(ITERATIONS)
@options.model
@options.device
@options.force
def demo(
    out_dir: Path,
    steps: bool,
    roll: bool,
    iterations: int | str,
    model: str,
    device: str,
    force: bool,
) -> None:
    """Damage a bundled photo with a color cast and balance it.

    \b
    vae-balance demo
    vae-balance demo --roll
    """
    if steps:
        require_extra("explain")
    damaged_file, balanced_file, pair_file, look_file = (out_dir / name for name in _FILES)
    for path in (damaged_file, balanced_file, pair_file, look_file):
        check_new(path, force)

    from vae_balance.color.lut import Lut3D
    from vae_balance.correctors.corrector import LookOptions
    from vae_balance.correctors.registry import load_corrector
    from vae_balance.looks.given_look import GivenLook
    from vae_balance.photos.photo import read_photo, write_photo
    from vae_balance.pipeline import How, LearnedLook, balance_photo, changed, learn

    corrector = load_corrector(model, device)
    make_folder(out_dir)
    damaged = changed(read_photo(SAMPLE), GivenLook(Lut3D.from_function(cast)))
    write_photo(damaged, damaged_file, overwrite=force)
    chosen = LookOptions(iterations=iterations)
    task = PhotoTask(damaged_file, balanced_file, look_file)
    learned = balance_photo(
        task,
        How(overwrite=force, wants=corrector.wants),
        lambda proxies: LearnedLook(learn(corrector, proxies, chosen)),
    ).learned
    write_photo(side_by_side(damaged, read_photo(balanced_file)), pair_file, overwrite=force)
    click.echo(f"damaged photo:       {damaged_file}")
    click.echo(f"balanced photo:      {balanced_file}")
    click.echo(f"its look, as a LUT:  {look_file}")
    click.echo(f"side by side:        {real_path(pair_file)}")
    if roll:
        from vae_balance.photos.sample import roll_of

        make_folder(out_dir / "roll")
        for number, frame in enumerate(roll_of(damaged), 1):
            write_photo(frame, out_dir / "roll" / f"{number:02d}.png", overwrite=force)
        click.echo(f"a roll:              {out_dir / 'roll'}")
    if steps:
        from vae_balance.correctors.explain import step_pictures

        drawn = step_pictures(
            learned.look,
            damaged.pixels,
            read_photo(balanced_file).pixels,
            lambda number: out_dir / f"step-{number}.png",
            force,
        )
        click.echo(f"steps:               {drawn[0]} to {drawn[-1].name}")
