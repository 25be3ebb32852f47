"""`vae-balance learn`: one look from a photo or a whole roll."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from vae_balance.commands import options
from vae_balance.commands.console import Console
from vae_balance.commands.outputs import check_distinct
from vae_balance.files import check_new


@click.command()
@options.photos
@click.option(
    "-o",
    "--output",
    required=True,
    type=options.PATH,
    metavar="LOOK",
    help="LUT file to write: .cube, or .png for a Hald.",
)
@options.look
@options.average_lut
@options.device
@options.force
@options.as_json
@options.quiet
def learn(
    photos: tuple[Path, ...],
    output: Path,
    look: dict[str, Any],
    average_lut: bool,
    device: str,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Learn one look from a photo or a roll.

    The photos of a roll share one fault, and then one look.

    \b
    vae-balance learn roll/*.jpg -o roll.cube
    """
    for photo in photos:
        check_distinct([photo, output])

    from vae_balance.correctors.corrector import LookOptions
    from vae_balance.correctors.registry import load_corrector
    from vae_balance.looks.labels import file_look, require_lut
    from vae_balance.looks.light_map import AVERAGE, AVERAGE_WARNING, LightLook
    from vae_balance.looks.look import report_of
    from vae_balance.luts.files import lut_suffix
    from vae_balance.pipeline import How, check_roll, check_seed, proxy_of, write_look
    from vae_balance.pipeline import learn as learn_look

    lut_suffix(output)
    check_new(output, force)
    chosen = LookOptions.of(look)
    corrector = load_corrector(look["model"], device)
    if len(photos) > 1:
        check_roll(corrector.wants, corrector.info.name)
    check_seed(chosen.seed, corrector.options, corrector.info.name)
    how = How.of(look, overwrite=force, wants=corrector.wants)
    console = Console(quiet)
    proxies = {}
    with console.bar("learning") as move:
        for number, photo in enumerate(photos, 1):
            with console.going_on(photo):
                proxies[photo] = proxy_of(photo, how)
            move(number, len(photos) + 1)
        if not proxies:
            console.end()
        learned = learn_look(
            corrector,
            list(proxies.values()),
            chosen,
            lambda done, rounds, _stage: move(len(photos) + done, len(photos) + rounds),
        )
    if average_lut and isinstance(learned, LightLook):
        console.tell(f"{output}: {AVERAGE} {AVERAGE_WARNING}")
    learned = file_look(learned, average_lut)
    require_lut(learned)
    write_look(learned, output, how, list(proxies))
    console.note(f"one look of {len(proxies)} photos -> {output}")
    if as_json:
        result = {
            "output": str(output),
            "photos": [str(photo) for photo in proxies],
            "lut_sha256": learned.digest(),
            "report": report_of(learned),
        }
        click.echo(json.dumps(result, indent=2))
    console.end()
