"""Which photo goes where: everything that can be known to go wrong is found before any work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from vae_balance.errors import OutputExistsError, printable
from vae_balance.files import make_folder, same_files
from vae_balance.photos.formats import target_name
from vae_balance.photos.task import PhotoTask


def plan_tasks(
    photos: Sequence[Path], output: Path | None, out_dir: Path | None, force: bool
) -> list[PhotoTask]:
    """Pair every photo with its output and make the folder when it is missing.

    Raises:
        click.UsageError: the options contradict one another, or two outputs would be one file.
        OutputExistsError: a photo would be overwritten by its result, without `force`.
        BalanceError: the folder cannot be made.
    """
    if (output is None) == (out_dir is None):
        raise click.UsageError("give either -o OUT, for one photo, or --out-dir DIR")
    if output is not None:
        if len(photos) > 1:
            raise click.UsageError("-o OUT is for one photo: give --out-dir DIR for several")
        tasks = [PhotoTask(photos[0], output)]
    else:
        assert out_dir is not None
        tasks = [PhotoTask(photo, out_dir / target_name(photo.name)) for photo in photos]
    _check_names(tasks)
    for task in tasks:
        if not force and os.path.realpath(task.output) == os.path.realpath(task.photo):
            raise OutputExistsError(
                f"{task.output}: is the photo itself; give --force to overwrite it"
            )
    if out_dir is not None:
        make_folder(out_dir)
    return tasks


def check_distinct(*groups: Sequence[Path]) -> None:
    """Check that no two paths of a group are one file.

    Raises:
        click.UsageError: two are.
    """
    for paths in groups:
        seen: set[str] = set()
        for path in paths:
            real = os.path.realpath(path)  # unlike Path.resolve, no error for links in a circle
            if real in seen:
                name = printable(str(path))
                raise click.UsageError(f"{name}: named twice: give every file a name of its own")
            seen.add(real)


def _check_names(tasks: Sequence[PhotoTask]) -> None:
    for first, second in same_files([str(task.output) for task in tasks]):
        both = f"{tasks[first].photo} and {tasks[second].photo}"
        text = f"{both} would both be written to {tasks[second].output}: do them one by one"
        raise click.UsageError(printable(text))
