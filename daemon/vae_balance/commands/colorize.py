"""`vae-balance colorize`: every grey photo gets colors of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vae_balance.commands import options
from vae_balance.commands.balance import give_looks


@click.command()
@options.photos
@options.output
@options.out_dir
@options.colors
@options.device
@options.daemon
@options.explain
@click.option(
    "--force",
    is_flag=True,
    help="Overwrite outputs that exist, and take the lightness of photos that have colors.",
)
@options.as_json
@options.quiet
def colorize(
    photos: tuple[Path, ...],
    output: Path | None,
    out_dir: Path | None,
    look: dict[str, Any],
    device: str,
    daemon: str,
    explain: Path | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Give each grey PHOTO colors that it may have had.

    Grey is a photo without colors, in whichever form it is stored, and one in tones of a single
    hue, such as sepia. Its lightness stays exactly as it is. The colors are guesses.

    \b
    vae-balance colorize portrait.tif -o colored.tif --strength 0.8
    vae-balance colorize album/*.jpg --out-dir colored --tone keep
    """
    look["any_colors"] = force
    give_looks(
        "colorizing",
        photos,
        output,
        out_dir,
        look,
        device,
        daemon,
        None,
        explain,
        force,
        as_json,
        quiet,
    )
