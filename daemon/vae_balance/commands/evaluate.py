"""`vae-balance evaluate`: the quality table of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vae_balance.commands import options
from vae_balance.commands.console import Console, require_extra
from vae_balance.errors import OptionError
from vae_balance.files import make_folder

if TYPE_CHECKING:
    from vae_balance.correctors.corrector import Corrector


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
    if models is not None:
        _compare(photos, models, out, limit, page, device, as_json, quiet)
        return

    from vae_balance.models.store import find_model

    if find_model(model).corrector == "mixed-light":
        _evaluate_mixed_light(photos, model, out, limit, page, device, as_json, quiet)
        return

    from vae_balance.correctors.latent_balancer.model import load_model
    from vae_balance.evaluation.evaluate import evaluate as evaluate_model
    from vae_balance.evaluation.page import write_page
    from vae_balance.evaluation.quality import ABOUT

    loaded = load_model(model, device)
    make_folder(out)
    with Console(quiet).bar("evaluating") as move:
        quality = evaluate_model(
            photos, loaded, out, lambda done, total, what: move(done, total), limit
        )
    if page is not None:
        command = "vae-balance evaluate --photos photos"
        write_page(page, "How good it is", command, ABOUT, quality.table_markdown())
    click.echo(quality.dumps() if as_json else quality.table_markdown())


def _evaluate_mixed_light(
    photos: Path,
    model: str,
    out: Path,
    limit: int | None,
    page: Path | None,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Print the table of damage that depends on the place."""
    from vae_balance.correctors.mixed_light.corrector import MixedLightCorrector
    from vae_balance.correctors.registry import load_corrector
    from vae_balance.evaluation.mixed_light import ABOUT, evaluate_mixed_light
    from vae_balance.evaluation.page import write_page

    corrector = load_corrector(model, device)
    assert isinstance(corrector, MixedLightCorrector)  # what its model.json says
    make_folder(out)
    with Console(quiet).bar("evaluating") as move:
        quality = evaluate_mixed_light(photos, corrector, out, move, limit)
    if page is not None:
        command = f"vae-balance evaluate --photos photos --model {model}"
        write_page(page, "Mixed light", command, ABOUT, quality.table_markdown())
    click.echo(quality.dumps() if as_json else quality.table_markdown())


def _compare(
    photos: Path,
    models: str,
    out: Path,
    limit: int | None,
    page: Path | None,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Print the table of several models, all for grey photos or none.

    Raises:
        OptionError: some are for grey photos, others are not.
        click.UsageError: a page was asked for, and they are not.
    """
    from vae_balance.correctors.registry import load_corrector

    correctors = [load_corrector(name.strip(), device) for name in models.split(",")]
    kinds = {corrector.wants.colors == "grey" for corrector in correctors}
    if len(kinds) > 1:
        raise OptionError("--models: models for grey photos can be compared with such only")
    if kinds == {True}:
        _compare_colorizers(photos, correctors, models, out, limit, page, as_json, quiet)
        return
    if page is not None:
        raise click.UsageError("--page is for the table of one model, or of models that colorize")
    from vae_balance.evaluation.compare import compare

    make_folder(out)
    with Console(quiet).bar("evaluating") as move:
        comparison = compare(photos, correctors, out, move, limit)
    click.echo(comparison.dumps() if as_json else comparison.table_markdown())


def _compare_colorizers(
    photos: Path,
    correctors: Sequence[Corrector],
    models: str,
    out: Path,
    limit: int | None,
    page: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Print the table of models that colorize."""
    from vae_balance.evaluation.colorizing import ABOUT, compare_colorizers
    from vae_balance.evaluation.page import write_page

    make_folder(out)
    with Console(quiet).bar("evaluating") as move:
        comparison = compare_colorizers(photos, correctors, out, move, limit)
    if page is not None:
        command = f"vae-balance evaluate --photos photos --models {models}"
        title = "How well grey photos get colors"
        write_page(page, title, command, ABOUT, comparison.table_markdown())
    click.echo(comparison.dumps() if as_json else comparison.table_markdown())
