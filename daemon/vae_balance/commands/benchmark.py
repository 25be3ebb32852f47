"""`vae-balance benchmark`: the speed table."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vae_balance.commands import options
from vae_balance.commands.console import Console, require_extra


@click.command()
@click.option(
    "--megapixels",
    type=click.FloatRange(0.01, 1000.0),
    default=24.0,
    show_default=True,
    metavar="X",
    help="Size of the large photo; the others are scaled with it. The targets are for 24.",
)
@options.page
@options.model
@options.device
@options.as_json
@options.quiet
def benchmark(
    megapixels: float, page: Path | None, model: str, device: str, as_json: bool, quiet: bool
) -> None:
    """Print the speed table.

    Figures are ratios and times of one run on this computer, beside a plain implementation of the
    published algorithm. Needs pip install 'vae-balance[train]'.

    \b
    vae-balance benchmark
    vae-balance benchmark --page docs/speed.md
    """
    require_extra("train")

    from vae_balance.benchmark.table import ABOUT
    from vae_balance.benchmark.table import benchmark as measure
    from vae_balance.correctors.latent_balancer.model import load_model
    from vae_balance.evaluation.page import write_page
    from vae_balance.evaluation.targets import targets_markdown

    loaded = load_model(model, device)
    with Console(quiet).bar("measuring") as move:
        rows = measure(loaded, megapixels, lambda done, total, what: move(done, total))
    if page is not None:
        write_page(page, "How fast it is", "vae-balance benchmark", ABOUT, targets_markdown(rows))
    if as_json:
        click.echo(json.dumps([row.to_json() for row in rows], indent=2))
    else:
        click.echo(targets_markdown(rows), nl=False)
