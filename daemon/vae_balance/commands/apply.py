"""`vae-balance apply`: a look, ours or not, on any photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from vae_balance.commands import options
from vae_balance.commands.console import Console
from vae_balance.commands.outputs import plan_tasks
from vae_balance_protocol.options import APPLIED_STRENGTH


@click.command()
@click.argument("look", type=options.PATH)
@options.photos
@options.output
@options.out_dir
@options.option(APPLIED_STRENGTH)
@options.force
@options.as_json
@options.quiet
def apply(
    look: Path,
    photos: tuple[Path, ...],
    output: Path | None,
    out_dir: Path | None,
    strength: float,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Apply LOOK to each PHOTO: a LUT of any program.

    Read are .cube, Hald pictures (.png), and what OpenColorIO reads: .3dl .cc .ccc .cdl .clf .csp
    .ctf .cub .itx .look .lut .m3d .mga .spi1d .spi3d .spimtx .vf. Curves, shapers and formulas are
    applied as exactly as OpenColorIO does.

    \b
    vae-balance apply roll.cube roll/*.jpg --out-dir balanced
    """
    tasks = plan_tasks(photos, output, out_dir, force)

    from vae_balance.looks.given_look import GivenLook
    from vae_balance.luts.files import read_lut
    from vae_balance.pipeline import How, LearnedLook, change_photo

    learned = LearnedLook(GivenLook(read_lut(look)))
    how = How(overwrite=force, strength=strength)
    console = Console(quiet)
    results: list[dict[str, Any]] = []
    with console.bar("applying") as move:
        for number, task in enumerate(tasks, 1):
            result: dict[str, Any] = {"photo": str(task.photo), "output": str(task.output)}
            with console.going_on(task.photo, result):
                change_photo(task, how, learned)
                console.note(f"{task.photo} -> {task.output}")
            results.append(result)
            move(number, len(tasks))
    if as_json:
        click.echo(json.dumps(results, indent=2))
    console.end()
