"""`vae-balance benchmark`: the speed table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vae_balance.commands import options
from vae_balance.commands.console import Console, require_extra

if TYPE_CHECKING:
    from vae_balance.evaluation.targets import Target

_ARCHIVES = "Archives"  # the section of the page


@click.command()
@click.option(
    "--megapixels",
    type=click.FloatRange(0.01, 1000.0),
    default=24.0,
    show_default=True,
    metavar="X",
    help="Size of the large photo; the others are scaled with it. The targets are for 24.",
)
@click.option(
    "--beside",
    metavar="MODEL",
    help="Compare the time to learn a look with that of another model, a name or a folder, of a "
    "former version for instance.",
)
@click.option(
    "--archive",
    is_flag=True,
    help="Measure batches on a cluster instead: planning, beginning and resuming many photos, and "
    "workers beside each other. Needs pip install 'vae-balance[cluster]'.",
)
@click.option(
    "--photos",
    type=click.IntRange(10, 10_000_000),
    default=200_000,
    show_default=True,
    metavar="N",
    help="How many photos --archive has. The targets are for 200,000.",
)
@options.page
@options.model
@options.device
@options.as_json
@options.quiet
def benchmark(
    megapixels: float,
    beside: str | None,
    archive: bool,
    photos: int,
    page: Path | None,
    model: str,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Print the speed table.

    Figures are ratios and times of one run on this computer, beside a plain implementation of the
    published algorithm. Needs pip install 'vae-balance[train]'.

    \b
    vae-balance benchmark
    vae-balance benchmark --page docs/speed.md
    vae-balance benchmark --beside former/model
    vae-balance benchmark --archive --page docs/speed.md
    """
    from vae_balance.evaluation.targets import targets_markdown

    console = Console(quiet)
    if archive:
        if beside is not None:
            raise click.UsageError("--beside compares looks, which --archive does not measure.")
        rows = _archive(console, megapixels, photos, page, model, device)
    else:
        rows = _table(console, megapixels, beside, page, model, device)
    if as_json:
        click.echo(json.dumps([row.to_json() for row in rows], indent=2))
    else:
        click.echo(targets_markdown(rows), nl=False)


def _table(
    console: Console,
    megapixels: float,
    beside: str | None,
    page: Path | None,
    model: str,
    device: str,
) -> list[Target]:
    """Measure the speed table."""
    require_extra("train")
    from vae_balance.benchmark.table import ABOUT
    from vae_balance.benchmark.table import benchmark as measure
    from vae_balance.correctors.latent_balancer.model import load_model
    from vae_balance.evaluation.page import write_page
    from vae_balance.evaluation.targets import targets_markdown

    loaded = load_model(model, device)
    other = None if beside is None else load_model(beside, device)
    with console.bar("measuring") as move:
        rows = measure(
            loaded, megapixels, lambda done, total, what: move(done, total), beside=other
        )
    if page is not None:
        table = targets_markdown(rows)
        write_page(page, "How fast it is", "vae-balance benchmark", ABOUT, table, keep=_ARCHIVES)
    return rows


def _archive(
    console: Console, megapixels: float, photos: int, page: Path | None, model: str, device: str
) -> list[Target]:
    """Measure batches on a cluster, whose workers compute on the CPU."""
    require_extra("cluster")
    from vae_balance.benchmark.archive import ABOUT, benchmark_archive
    from vae_balance.evaluation.page import write_section
    from vae_balance.evaluation.targets import targets_markdown

    with console.bar("measuring") as move:
        rows = benchmark_archive(
            model, photos, megapixels, lambda done, total, what: move(done, total)
        )
    if page is not None:
        command = "vae-balance benchmark --archive"
        write_section(page, _ARCHIVES, command, ABOUT, targets_markdown(rows))
    return rows
