"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

# A path is checked where it is used: one missing photo of a list is no wrong usage.
PATH = click.Path(path_type=Path)

photos = click.argument("photos", nargs=-1, required=True, type=PATH, metavar="PHOTO...")
photo_folder = click.option(
    "--photos",
    required=True,
    type=PATH,
    metavar="DIR",
    help="Folder of photos, one sub-folder for each source.",
)
force = click.option("--force", is_flag=True, help="Overwrite outputs that exist.")
quiet = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors and results.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
strength = click.option(
    "--strength",
    type=click.FloatRange(0.0, 1.5),
    default=1.0,
    metavar="X",
    show_default=True,
    help="0 changes nothing, 1 corrects, more goes beyond.",
)
model = click.option(
    "--model",
    default="embedded",
    show_default=True,
    metavar="NAME",
    help="A name that `vae-balance models` lists, or a model's folder.",
)
device = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="auto, cpu, cuda or cuda:N.",
)
output = click.option("-o", "--output", type=PATH, metavar="OUT", help="Where to write the photo.")
out_dir = click.option(
    "--out-dir", type=PATH, metavar="DIR", help="Folder for the photos; they keep their names."
)

page = click.option(
    "--page",
    type=PATH,
    metavar="FILE.md",
    help="Write the table as a page, too, in the place of the one that is there.",
)


def learning(command: F) -> F:
    """Add the options of learning a look in this process, in the order of the help."""
    return look(device(command))


def look(command: F) -> F:
    """Add the options of learning a look wherever that happens, in the order of the help."""
    for option in reversed(_LOOK):
        command = option(command)
    return command


_LOOK: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--iterations",
        type=click.IntRange(1, 10),
        default=1,
        show_default=True,
        metavar="N",
        help="Rounds; more correct stronger faults.",
    ),
    strength,
    click.option(
        "--seed",
        type=click.IntRange(0, 2**32 - 1),
        metavar="N",
        help="Decode a sample of the moments, drawn with this seed, instead of their mean.",
    ),
    click.option(
        "--size",
        type=click.IntRange(2, 129),
        default=33,
        show_default=True,
        metavar="N",
        help="Nodes along each edge of the LUT.",
    ),
    click.option(
        "--proxy",
        type=click.Choice(["centre", "frame"]),
        default="centre",
        show_default=True,
        help="What the network looks at: the centre square, or the whole frame squeezed.",
    ),
    model,
)
