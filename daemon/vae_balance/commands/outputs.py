"""Which photo goes where: everything that can be known to go wrong is found before any work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from vae_balance.errors import OutputExistsError, printable
from vae_balance.files import make_folder, same_files


@dataclass(frozen=True)
class Job:
    """One photo and where its result goes."""

    photo: Path
    output: Path


def plan_jobs(
    photos: Sequence[Path], output: Path | None, out_dir: Path | None, force: bool
) -> list[Job]:
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
        jobs = [Job(photos[0], output)]
    else:
        assert out_dir is not None
        jobs = [Job(photo, out_dir / photo.name) for photo in photos]
    _check_names(jobs)
    for job in jobs:
        if not force and os.path.realpath(job.output) == os.path.realpath(job.photo):
            raise OutputExistsError(
                f"{job.output}: is the photo itself; give --force to overwrite it"
            )
    if out_dir is not None:
        make_folder(out_dir)
    return jobs


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


def _check_names(jobs: Sequence[Job]) -> None:
    for first, second in same_files([job.output for job in jobs]):
        both = f"{jobs[first].photo} and {jobs[second].photo}"
        text = f"{both} would both be written to {jobs[second].output}: do them one by one"
        raise click.UsageError(printable(text))
