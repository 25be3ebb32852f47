"""`vae-balance evaluate`: the quality table of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import click
from click.core import ParameterSource

from vae_balance.commands import options
from vae_balance.commands.console import Console, require_extra
from vae_balance.errors import OptionError
from vae_balance.files import make_folder


@click.command()
@options.photo_folder
@click.option(
    "--out",
    type=options.PATH,
    default="quality",
    show_default=True,
    metavar="DIR",
    help="Folder for quality.json, quality.md and the sheets of pictures.",
)
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Evaluate on N photos, evenly spaced."
)
@options.page
@options.model
@click.option(
    "--models",
    metavar="NAME,...",
    help="Compare several models instead; those that colorize by what they make of grey photos.",
)
@click.option(
    "--black-and-white",
    type=options.PATH,
    metavar="DIR",
    help="Photos that never had colors, for the second sheet of models that colorize.",
)
@options.device
@options.as_json
@options.quiet
def evaluate(
    photos: Path,
    out: Path,
    limit: int | None,
    page: Path | None,
    model: str,
    models: str | None,
    black_and_white: Path | None,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Print the quality table of a model.

    Errors are measured on photos that no training has seen. Needs
    pip install 'vae-balance[train]'. Results of before in --out are replaced.

    \b
    vae-balance evaluate --photos photos
    vae-balance evaluate --photos photos --page docs/quality.md
    vae-balance evaluate --photos photos --model mixed-light
    vae-balance evaluate --photos photos --models embedded,stretch,my-model
    vae-balance evaluate --photos photos --models colorize-fusion,colorize-cross-channel
    """
    require_extra("train")
    source = click.get_current_context().get_parameter_source("model")
    if models is not None and source is not ParameterSource.DEFAULT:
        raise OptionError("--model and --models: give one of them")
    if models is None:
        _refuse_sheet(black_and_white)
        table = _table_of(model, device)
    else:
        table = _table_of_several(models, device, black_and_white)
    make_folder(out)
    with Console(quiet).bar("evaluating") as move:
        measured = table.measure(photos, out, move, limit)
    if page is not None:
        from vae_balance.evaluation.page import write_page

        few = "" if limit is None else f" --limit {limit}"
        command = f"vae-balance evaluate --photos photos{few}{table.page.options}"
        write_page(page, table.page.title, command, table.page.about, measured.table_markdown())
    click.echo(measured.dumps() if as_json else measured.table_markdown())


class _Measured(Protocol):
    """A table that was measured."""

    def dumps(self) -> str: ...

    def table_markdown(self) -> str: ...


@dataclass(frozen=True)
class _Page:
    """What a page says beside its table; `options` are those of the command that wrote it."""

    title: str
    about: str
    options: str = ""


@dataclass(frozen=True)
class _Table:
    """A table that can be measured.

    Attributes:
        measure: of photos, with a folder for the results, what is told of progress, and of how many
            photos at most.
        page: what its page says.
    """

    measure: Callable[[Path, Path, Callable[[int, int], None], int | None], _Measured]
    page: _Page


def _table_of(model: str, device: str) -> _Table:
    """Return the table of one model.

    Raises:
        ModelError: there is no such model, or it is damaged.
        OptionError: it has no table of its own.
    """
    from vae_balance.models.store import FIRST_CORRECTOR, find_model

    corrector = find_model(model).corrector
    if corrector == "mixed-light":
        return _mixed_light_table(model, device)
    if corrector != FIRST_CORRECTOR:
        raise OptionError(
            f"model {model}: has no latent balancer, whose table this is; --models {model} tells "
            "how good it is, beside others if you name some"
        )
    from vae_balance.correctors.latent_balancer.model import load_model
    from vae_balance.evaluation.evaluate import evaluate as evaluate_model
    from vae_balance.evaluation.quality import ABOUT

    loaded = load_model(model, device)
    return _Table(
        lambda photos, out, move, limit: evaluate_model(
            photos, loaded, out, lambda done, total, what: move(done, total), limit
        ),
        _Page("How good it is", ABOUT),
    )


def _mixed_light_table(model: str, device: str) -> _Table:
    """Return the table of damage that depends on the place."""
    from vae_balance.correctors.mixed_light.corrector import MixedLightCorrector
    from vae_balance.correctors.registry import load_corrector
    from vae_balance.evaluation.mixed_light import ABOUT, evaluate_mixed_light

    corrector = load_corrector(model, device)
    assert isinstance(corrector, MixedLightCorrector)  # what its model.json says
    return _Table(
        lambda photos, out, move, limit: evaluate_mixed_light(photos, corrector, out, move, limit),
        _Page("Mixed light", ABOUT, f" --model {model}"),
    )


def _refuse_sheet(black_and_white: Path | None) -> None:
    if black_and_white is not None:
        raise OptionError("--black-and-white is for --models that colorize")


def _table_of_several(models: str, device: str, black_and_white: Path | None) -> _Table:
    """Return the table of several models, all for grey photos or none.

    Raises:
        OptionError: some are for grey photos, others are not; or there are black-and-white photos
            for models that want colors.
    """
    from vae_balance.correctors.registry import load_corrector
    from vae_balance.evaluation import colorizing, compare

    correctors = [load_corrector(name.strip(), device) for name in models.split(",")]
    kinds = {corrector.wants.colors == "grey" for corrector in correctors}
    if len(kinds) > 1:
        raise OptionError("--models: models for grey photos can be compared with such only")
    if kinds == {False}:
        _refuse_sheet(black_and_white)
        return _Table(
            lambda photos, out, move, limit: compare.compare(photos, correctors, out, move, limit),
            _Page("How the models compare", compare.ABOUT, f" --models {models}"),
        )
    return _Table(
        lambda photos, out, move, limit: colorizing.compare_colorizers(
            photos, correctors, out, move, limit, black_and_white
        ),
        _Page("How well grey photos get colors", colorizing.ABOUT, f" --models {models}"),
    )
