"""`vae-balance apply`: a look, ours or not, on any photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vae_balance.commands import options
from vae_balance.commands.console import Console
from vae_balance.commands.outputs import Job, plan_jobs
from vae_balance.files import as_private_as, check_new
from vae_balance_protocol.options import APPLIED_STRENGTH

if TYPE_CHECKING:
    from vae_balance.color.lut import ColorLut


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
    jobs = plan_jobs(photos, output, out_dir, force)

    from vae_balance.luts.files import read_lut

    lut = read_lut(look)
    if strength != 1.0:
        lut = lut.blended(strength)
    console = Console(quiet)
    results: list[dict[str, Any]] = []
    with console.bar("applying") as move:
        for number, job in enumerate(jobs, 1):
            result: dict[str, Any] = {"photo": str(job.photo), "output": str(job.output)}
            with console.going_on(job.photo, result):
                check_new(job.output, force)
                _apply_to_photo(lut, job, force)
                console.note(f"{job.photo} -> {job.output}")
            results.append(result)
            move(number, len(jobs))
    if as_json:
        click.echo(json.dumps(results, indent=2))
    console.end()


def _apply_to_photo(lut: ColorLut, job: Job, force: bool) -> None:
    from vae_balance.color.profile import apply_in_profile
    from vae_balance.photos.photo import read_photo, write_photo

    photo = read_photo(job.photo)
    apply_in_profile(lut, photo.pixels, photo.icc_profile, out=photo.pixels)
    with as_private_as([job.photo]):
        write_photo(photo, job.output, overwrite=force)
