"""`vae-balance balance`: every photo learns a look of its own, which is applied to it."""

from __future__ import annotations

import filecmp
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from vae_balance.commands import options
from vae_balance.commands.console import Console, require_extra
from vae_balance.commands.outputs import check_distinct, plan_tasks
from vae_balance.files import as_private_as, check_new
from vae_balance.photos.task import PhotoTask

if TYPE_CHECKING:
    from vae_balance.commands.by_daemon import Outcome
    from vae_balance.looks.look import Look
    from vae_balance.photos.photo import Photo
    from vae_balance.pipeline import How, Learn

_COMMON_LUTS = (".cube", ".png")  # whose names need no numpy to be found good
_PREVIEW_SIDE = 900  # pixels of the longer side of the photos on an explaining sheet


@click.command()
@options.photos
@options.output
@options.out_dir
@options.look
@options.device
@options.daemon
@click.option(
    "--lut",
    "--cube",
    "cube",
    type=options.PATH,
    metavar="FILE",
    help="Write the look of the one photo too: .cube, or .png for a Hald.",
)
@options.average_lut
@options.explain
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
    average_lut: bool,
    explain: Path | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Balance each PHOTO by a look of its own.

    \b
    vae-balance balance scan.tif -o balanced.tif --lut scan.cube
    vae-balance balance *.jpg --out-dir balanced --iterations 2
    """
    give_looks(
        "balancing",
        photos,
        output,
        out_dir,
        look,
        device,
        daemon,
        cube,
        explain,
        force,
        as_json,
        quiet,
        average_lut,
    )


def give_looks(
    doing: str,
    photos: Sequence[Path],
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
    average_lut: bool = False,
) -> None:
    """Give each photo a look of its own, by the daemon or in this process.

    Args:
        doing: what it is called beside the progress bar.
        photos: what the user named.
        output: where the one photo goes.
        out_dir: where several go.
        look: options of the look, the proxy and the model by name, and whether photos of
            `any_colors` are shown to the model; those that are missing have their defaults.
        device: "auto", "cpu", "cuda" or "cuda:N".
        daemon: "auto" or "never".
        cube: where the look of the one photo goes.
        explain: where the steps that led to it are drawn.
        force: overwrite outputs.
        as_json: print the results as JSON.
        quiet: print nothing else.
        average_lut: `cube` holds the average of a look that differs from place to place.

    Raises:
        click.UsageError: the options contradict one another.
        BalanceError: nothing can be done.
    """
    _check_seed(look)
    tasks = plan_tasks(photos, output, out_dir, force)
    if average_lut and cube is None:
        raise click.UsageError("--average-lut says what --lut FILE is to hold: give that, too")
    _check_extra_outputs(tasks, cube, explain, force)
    console = Console(quiet)
    results = [{"photo": str(task.photo), "output": str(task.output)} for task in tasks]
    rest = dict(enumerate(tasks))
    begun: frozenset[int] = frozenset()
    with console.bar(doing) as move:
        if daemon == "auto" and explain is None and not average_lut:
            from vae_balance.commands.by_daemon import ByDaemon

            by_daemon = ByDaemon(tasks, look, cube, force)
            for number, ended in by_daemon.ended(device, console):
                _tell(rest.pop(number), ended, results[number], console)
                move(number + 1, len(tasks))
            begun = by_daemon.begun
        if rest:
            _balance_here(
                rest,
                begun,
                look,
                device,
                cube,
                average_lut,
                explain,
                force,
                results,
                console,
                move,
            )
    if as_json:
        click.echo(json.dumps(results, indent=2))
    console.end()


def _check_seed(look: Mapping[str, Any]) -> None:
    """Check that a seed is for something, where one is given: the imports take their time.

    Raises:
        ModelError: there is no such model.
        OptionError: the model draws no samples.
    """
    if look.get("seed") is None:
        return
    from vae_balance.correctors.registry import options_of
    from vae_balance.models.store import find_model
    from vae_balance.pipeline import check_seed

    info = find_model(look["model"])
    check_seed(look["seed"], options_of(info), info.name)


def _tell(task: PhotoTask, ended: Outcome, result: dict[str, Any], console: Console) -> None:
    """Tell what became of a photo."""
    with console.going_on(task.photo, result):
        if ended.error is not None:
            raise ended.error
        result["lut_sha256"] = ended.lut_sha256
        result["report"] = ended.report
        result["seconds"] = ended.seconds
        console.note(f"{task.photo} -> {task.output}")


def _balance_here(
    tasks: Mapping[int, PhotoTask],
    begun: Collection[int],
    look: dict[str, Any],
    device: str,
    cube: Path | None,
    average_lut: bool,
    explain: Path | None,
    force: bool,
    results: Sequence[dict[str, Any]],
    console: Console,
    move: Callable[[int, int], None],
) -> None:
    """Balance photos in this process.

    Args:
        tasks: by number; what became of each is put into `results` at that number.
        begun: numbers of photos whose outputs the daemon may have written without telling.
        look: options of the look, the proxy and the model, by name.
        device: "auto", "cpu", "cuda" or "cuda:N".
        cube: where the look of the one photo goes.
        average_lut: it goes there as the average over the places, if it differs between them.
        explain: where the steps that led to it are drawn.
        force: overwrite outputs.
        results: of all photos.
        console: where people are told.
        move: the progress bar.
    """
    from vae_balance.correctors.corrector import LookOptions, Proxy
    from vae_balance.correctors.registry import load_corrector
    from vae_balance.looks.light_map import AVERAGE, AVERAGE_WARNING, LightLook
    from vae_balance.looks.look import report_of
    from vae_balance.pipeline import How, LearnedLook, balance_photo, learn

    options = LookOptions.of(look)
    corrector = load_corrector(look["model"], device)
    for number, task in tasks.items():
        how = How.of(
            look,
            overwrite=force,
            wants=corrector.wants,
            any_colors=look.get("any_colors", False),
            average_lut=average_lut,
        )

        def learn_one(proxies: list[Proxy], number: int = number) -> LearnedLook:
            def follow(done: int, rounds: int, stage: str) -> None:
                steps = rounds + 1  # its rounds, then writing
                move(number * steps + done, len(results) * steps)

            return LearnedLook(learn(corrector, proxies, options, follow))

        def show(photo: Photo, look: Look, task: PhotoTask = task, how: How = how) -> None:
            if explain is not None:
                with as_private_as([task.photo]):
                    _explain(look, photo, how, explain)

        result = results[number]
        with console.going_on(task.photo, result):
            began = time.perf_counter()
            whole = replace(task, lut=cube)
            if number in begun and not force:
                how = replace(how, overwrite=_is_made_of(whole, how, learn_one))
            changed = balance_photo(whole, how, learn_one, seen=show)
            result["lut_sha256"] = changed.learned.look.digest()
            result["report"] = report_of(changed.learned.look)
            result["seconds"] = round(time.perf_counter() - began, 3)
            console.note(f"{task.photo} -> {task.output}")
            if isinstance(changed.learned.look, LightLook) and cube is not None:
                console.tell(f"{cube}: {AVERAGE} {AVERAGE_WARNING}")
        move(number + 1, len(results))


def _is_made_of(task: PhotoTask, how: How, learn: Learn) -> bool:
    """Tell whether what is in the place of outputs is what this photo becomes, bit for bit."""
    from vae_balance.pipeline import balance_photo

    with TemporaryDirectory(prefix="vae-balance-") as folder:
        again = {path: Path(folder, str(place), path.name) for place, path in _places(task)}
        if not again:
            return False
        trial = PhotoTask(
            task.photo,
            again.get(task.output, Path(folder, task.output.name)),
            None if task.lut is None else again.get(task.lut),
        )
        balance_photo(trial, replace(how, make_folders=True), learn)
        return all(filecmp.cmp(there, made, shallow=False) for there, made in again.items())


def _places(task: PhotoTask) -> Iterator[tuple[int, Path]]:
    """Yield the outputs of a photo that are there, numbered."""
    for place, path in enumerate((task.output, task.lut)):
        if path is not None and os.path.lexists(path):
            yield place, path


def _check_extra_outputs(
    tasks: Sequence[PhotoTask], cube: Path | None, explain: Path | None, force: bool
) -> None:
    """Check the outputs that only one photo can have.

    Raises:
        click.UsageError: there are several photos, or two outputs are one file.
        OutputExistsError: an output exists, and overwriting was not asked for.
        BalanceError: an output has a name that is not of its kind, or cannot be made here.
    """
    if len(tasks) > 1 and cube is not None:
        raise click.UsageError(
            "--lut is for one photo: `vae-balance learn PHOTO... -o LOOK.cube` learns one look "
            "from several"
        )
    if len(tasks) > 1 and explain is not None:
        raise click.UsageError("--explain is for one photo")
    further = [path for path in (cube, explain) if path is not None]
    check_distinct([tasks[0].photo, *further], [tasks[0].output, *further])
    for path in further:
        check_new(path, force)
    if cube is not None and cube.suffix.lower() not in _COMMON_LUTS:
        from vae_balance.luts.files import lut_suffix

        lut_suffix(cube)
    if explain is not None:
        require_extra("explain")


def _explain(look: Look, photo: Photo, how: How, sheet: Path) -> None:
    """Draw how the look of a photo was learned, with the photo in small, as a screen shows it."""
    from vae_balance.correctors.explain import explain_sheet
    from vae_balance.looks.look import Place
    from vae_balance.photos.preview import preview

    before = preview(photo, _PREVIEW_SIDE)
    after = look.apply(before, Place.whole(before))
    explain_sheet(look, before, after, sheet, how.overwrite, how.part)
