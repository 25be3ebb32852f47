"""`vae-balance balance`: every photo learns a look of its own, which is applied to it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vae_balance.commands import options
from vae_balance.commands.by_daemon import ByDaemon, Ended
from vae_balance.commands.console import Console, require_extra
from vae_balance.commands.outputs import Job, check_distinct, plan_jobs
from vae_balance.errors import OptionError
from vae_balance.files import as_private_as, check_new

if TYPE_CHECKING:
    from vae_balance.correctors.corrector import Corrector, LookOptions, Progress
    from vae_balance.looks.look import Look
    from vae_balance.photos.photo import Photo

_COMMON_LUTS = (".cube", ".png")  # whose names need no numpy to be found good
_PREVIEW_SIDE = 900  # pixels of the longer side of the photos on an explaining sheet


@click.command()
@options.photos
@options.output
@options.out_dir
@options.look
@options.device
@click.option(
    "--daemon",
    type=click.Choice(["auto", "never"]),
    default="auto",
    show_default=True,
    help="Let the daemon do the work if it runs, or do it in this process.",
)
@click.option(
    "--cube",
    type=options.PATH,
    metavar="FILE",
    help="Write the look of the one photo too: .cube, or .png for a Hald.",
)
@click.option(
    "--explain",
    type=options.PATH,
    metavar="FILE.png",
    help="Draw the steps that led to the look of the one photo.",
)
@options.force
@options.as_json
@options.quiet
def balance(
    photos: tuple[Path, ...],
    output: Path | None,
    out_dir: Path | None,
    look: dict[str, Any],
    device: str,
    daemon: str,
    cube: Path | None,
    explain: Path | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Balance each PHOTO by a look of its own.

    \b
    vae-balance balance scan.tif -o balanced.tif --cube scan.cube
    vae-balance balance *.jpg --out-dir balanced --iterations 2
    """
    jobs = plan_jobs(photos, output, out_dir, force)
    _check_extra_outputs(jobs, cube, explain, force)
    console = Console(quiet)
    results = [{"photo": str(job.photo), "output": str(job.output)} for job in jobs]
    rest = dict(enumerate(jobs))
    begun: frozenset[int] = frozenset()
    with console.bar("balancing") as move:
        if daemon == "auto" and explain is None:
            by_daemon = ByDaemon(jobs, look, cube, force)
            for number, ended in by_daemon.ended(device, console):
                _tell(rest.pop(number), ended, results[number], console)
                move(number + 1, len(jobs))
            begun = by_daemon.begun
        if rest:
            _balance_here(rest, begun, look, device, cube, explain, force, results, console, move)
    if as_json:
        click.echo(json.dumps(results, indent=2))
    console.end()


def _tell(job: Job, ended: Ended, result: dict[str, Any], console: Console) -> None:
    """Tell what became of a photo."""
    with console.going_on(job.photo, result):
        if ended.error is not None:
            raise ended.error
        result["lut_sha256"] = ended.lut_sha256
        result["seconds"] = ended.seconds
        console.note(f"{job.photo} -> {job.output}")


def _balance_here(
    jobs: Mapping[int, Job],
    begun: Collection[int],
    look: dict[str, Any],
    device: str,
    cube: Path | None,
    explain: Path | None,
    force: bool,
    results: Sequence[dict[str, Any]],
    console: Console,
    move: Callable[[int, int], None],
) -> None:
    """Balance photos in this process.

    Args:
        jobs: by number; what became of each is put into `results` at that number.
        begun: numbers of photos whose outputs may be there in part by now, and are ours.
        look: options of the look, the proxy and the model, by name.
        device: "auto", "cpu", "cuda" or "cuda:N".
        cube: where the look of the one photo goes.
        explain: where the steps that led to it are drawn.
        force: overwrite outputs.
        results: of all photos.
        console: where people are told.
        move: the progress bar.
    """
    from vae_balance.correctors.corrector import LookOptions
    from vae_balance.correctors.registry import load_corrector
    from vae_balance.looks.origin import labeled_lut
    from vae_balance.luts.files import write_lut
    from vae_balance.models.store import FIRST_CORRECTOR

    how = LookOptions.of(look)
    corrector = load_corrector(look["model"], device)
    if explain is not None and corrector.info.corrector != FIRST_CORRECTOR:
        raise OptionError(f"--explain: the model {corrector.info.name} has no steps to draw")
    proxy = look["proxy"]
    for number, job in jobs.items():
        overwrite = force or number in begun

        def follow(done: int, rounds: int, *_: object, number: int = number) -> None:
            steps = rounds + 1  # its rounds, then writing
            move(number * steps + done, len(results) * steps)

        result = results[number]
        with console.going_on(job.photo, result):
            check_new(job.output, overwrite)
            began = time.perf_counter()
            learned = _balance_photo(job, corrector, how, proxy, explain, overwrite, follow)
            if cube is not None:
                lut = labeled_lut(learned.lut, learned.origin, proxy, [job.photo])
                write_lut(cube, lut, overwrite=overwrite)
            result["lut_sha256"] = learned.digest()
            result["seconds"] = round(time.perf_counter() - began, 3)
            console.note(f"{job.photo} -> {job.output}")
        move(number + 1, len(results))


def _check_extra_outputs(
    jobs: Sequence[Job], cube: Path | None, explain: Path | None, force: bool
) -> None:
    """Check the outputs that only one photo can have.

    Raises:
        click.UsageError: there are several photos, or two outputs are one file.
        OutputExistsError: an output exists, and overwriting was not asked for.
        BalanceError: an output has a name that is not of its kind, or cannot be made here.
    """
    if len(jobs) > 1 and cube is not None:
        raise click.UsageError(
            "--cube is for one photo: `vae-balance learn PHOTO... -o LOOK.cube` learns one look "
            "from several"
        )
    if len(jobs) > 1 and explain is not None:
        raise click.UsageError("--explain is for one photo")
    further = [path for path in (cube, explain) if path is not None]
    check_distinct([jobs[0].photo, *further], [jobs[0].output, *further])
    for path in further:
        check_new(path, force)
    if cube is not None and cube.suffix.lower() not in _COMMON_LUTS:
        from vae_balance.luts.files import lut_suffix

        lut_suffix(cube)
    if explain is not None:
        require_extra("explain")


def _balance_photo(
    job: Job,
    corrector: Corrector,
    how: LookOptions,
    proxy: str,
    explain: Path | None,
    force: bool,
    progress: Progress,
) -> Look:
    """Learn the look of a photo, apply it in place, write the photo; return the look."""
    from vae_balance.looks.look import Place
    from vae_balance.photos.photo import read_photo, write_photo
    from vae_balance.photos.proxy import make_proxy

    photo = read_photo(job.photo)
    look = corrector.learn([make_proxy(photo, proxy)], how, progress)
    with as_private_as([job.photo]):
        if explain is not None:
            _explain(look, photo, proxy, explain, force)
        place = Place.whole(photo.pixels, photo.orientation)
        look.apply(photo.pixels, place, photo.icc_profile, out=photo.pixels)
        write_photo(photo, job.output, overwrite=force)
    return look


def _explain(look: Look, photo: Photo, proxy: str, sheet: Path, force: bool) -> None:
    """Draw how the look of a photo was learned, with the photo in small, as a screen shows it."""
    from vae_balance.correctors.latent_balancer.explain import explain_sheet
    from vae_balance.correctors.latent_balancer.learn import BalancedLook
    from vae_balance.photos.preview import preview

    assert isinstance(look, BalancedLook)
    before = preview(photo, _PREVIEW_SIDE)
    explain_sheet(look, before, look.lut(before), sheet, overwrite=force, proxy=proxy)
