"""Options that several commands share; those of the table of options are made from its rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from vae_balance_protocol import options as table
from vae_balance_protocol.rules import Choice, Integer, IntegerOr, Number, OrNil, Rule

F = TypeVar("F", bound=Callable[..., Any])

# A path is checked where it is used: one missing photo of a list is no wrong usage.
PATH = click.Path(path_type=Path)


class _NumberOr(click.IntRange):
    """An integer in a range, or one word."""

    def __init__(self, rule: IntegerOr) -> None:
        super().__init__(rule.low, rule.high)
        self._word = rule.word

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == self._word:
            return self._word
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(f"{error.message.rstrip('.')}, nor {self._word}.", param, ctx)


def option(row: table.Option) -> Callable[[F], F]:
    """Return what gives a command the flag of a row of the table."""
    kind, metavar = _kind(row.rule)
    return click.option(
        f"--{row.name}",
        type=kind,
        default=row.default,
        show_default=row.default is not None,
        metavar=metavar,
        help=row.help.format(auto=table.AUTO) + ".",
    )


def _kind(rule: Rule) -> tuple[Any, str | None]:
    """Return the type of click's, and what stands for the value in helps."""
    if isinstance(rule, OrNil):
        return _kind(rule.rule)
    if isinstance(rule, IntegerOr):
        return _NumberOr(rule), f"N|{rule.word}"
    if isinstance(rule, Integer):
        return click.IntRange(rule.low, rule.high), "N"
    if isinstance(rule, Number):
        return click.FloatRange(rule.low, rule.high), "X"
    if isinstance(rule, Choice):
        return click.Choice(rule.choices), None
    return None, "NAME"


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
output = click.option("-o", "--output", type=PATH, metavar="OUT", help="Where to write the photo.")
out_dir = click.option(
    "--out-dir", type=PATH, metavar="DIR", help="Folder for the photos; they keep their names."
)
daemon = click.option(
    "--daemon",
    type=click.Choice(["auto", "never"]),
    default="auto",
    show_default=True,
    help="Let the daemon do the work if it runs, or do it in this process.",
)
explain = click.option(
    "--explain",
    type=PATH,
    metavar="FILE.png",
    help="Draw the steps that led to the look of the one photo.",
)
average_lut = click.option(
    "--average-lut",
    is_flag=True,
    help="Of a look that differs from place to place (mixed-light), write the average.",
)
model = option(table.MODEL)
device = option(table.DEVICE)


def _check_page(
    context: click.Context, parameter: click.Parameter, page: Path | None
) -> Path | None:
    """Refuse, before the work of an hour, a page that could not be written after it."""
    if page is not None and not page.parent.is_dir():
        raise click.BadParameter(f"there is no folder {page.parent}; create it first")
    if page is not None and page.is_dir():
        raise click.BadParameter(f"{page} is a folder")
    return page


page = click.option(
    "--page",
    type=PATH,
    callback=_check_page,
    metavar="FILE.md",
    help="Write the table as a page, too, in the place of the one that is there.",
)


def look_of(*rows: table.Option) -> Callable[[F], F]:
    """Return what gives a command options: one argument, `look`, has them by name."""

    def give(command: F) -> F:
        @wraps(command)
        def gathering(**values: Any) -> Any:
            return command(look={row.name: values.pop(row.name) for row in rows}, **values)

        for row in reversed(rows):
            gathering = option(row)(gathering)
        return gathering  # type: ignore[return-value]

    return give


# How a look is learned from photos.
look = look_of(*table.LEARNING, *table.TREATING, table.MODEL)
# How photos get looks by any model, also by one that colors grey photos.
any_look = look_of(*table.LEARNING, table.TONE, *table.TREATING, table.MODEL)
# How grey photos get colors.
colors = look_of(*table.COLORIZING, table.COLOR_MODEL)
