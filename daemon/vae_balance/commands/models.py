"""`vae-balance models`: what is there and what can be fetched, where from, under which license."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vae_balance.commands import options
from vae_balance.commands.console import BAD_MODEL, Console

if TYPE_CHECKING:
    from vae_balance.models.catalog import RemoteFile

_COLUMNS = ("name", "version", "license", "checksum", "source", "folder")
_WHOLE, _DAMAGED, _NOT_FETCHED = "ok", "DAMAGED", "not fetched"


@click.group(invoke_without_command=True)
@options.as_json
@click.pass_context
def models(context: click.Context, as_json: bool) -> None:
    """List the models and check that their files are whole; fetch others.

    \b
    vae-balance models
    vae-balance models fetch sd-vae-ft-mse
    """
    if context.invoked_subcommand is not None:
        return
    rows = _rows()
    click.echo(json.dumps(rows, indent=2) if as_json else _table(rows))
    if any(row["checksum"] == _DAMAGED for row in rows):
        raise click.exceptions.Exit(BAD_MODEL)


@models.command()
@click.argument("name")
@click.option(
    "--mirror",
    metavar="URL",
    help="Fetch every file from URL/OWNER/NAME/resolve/REVISION/PATH.",
)
@click.option(
    "--balancer",
    type=options.PATH,
    metavar="DIR",
    help="Use the latent balancer of this model, trained with --vae NAME.",
)
@options.quiet
def fetch(name: str, mirror: str | None, balancer: Path | None, quiet: bool) -> None:
    """Fetch the model NAME into your folder for models, for --model NAME.

    What is there and whole stays; what broke off goes on where it stopped; every file is checked.
    HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE are honored.

    \b
    vae-balance models fetch sd-vae-ft-mse
    vae-balance models fetch sd-vae-ft-mse --balancer my-model
    """
    from vae_balance.correctors.latent_balancer.fetch_balancer import fetch_model

    console = Console(quiet)

    def follow(file: RemoteFile, done: int, total: int | None) -> None:
        of_all = f" of {total / 1e6:.0f}" if total else ""
        console.line(f"{file.path}: {done / 1e6:.0f}{of_all} MB")

    info = fetch_model(name, mirror, balancer, follow)
    console.note(f"{info.name}: {info.source} -> {info.folder}")


def _rows() -> list[dict[str, str]]:
    from vae_balance.errors import ModelError
    from vae_balance.models.catalog import FETCHABLE
    from vae_balance.models.store import list_models, verify_files

    rows = []
    for info in list_models():
        try:
            verify_files(info)
            checksum = _WHOLE
        except ModelError as error:
            checksum = _DAMAGED
            click.echo(f"vae-balance: {error}", err=True)
        values = (info.name, info.version, info.license, checksum, info.source, str(info.folder))
        rows.append(dict(zip(_COLUMNS, values, strict=True)))
    there = {row["name"] for row in rows}
    for remote in FETCHABLE.values():
        if remote.name not in there:
            values = (remote.name, remote.version, remote.license, _NOT_FETCHED, remote.source, "")
            rows.append(dict(zip(_COLUMNS, values, strict=True)))
    return rows


def _table(rows: list[dict[str, str]]) -> str:
    lines = [dict(zip(_COLUMNS, _COLUMNS, strict=True)), *rows]
    widths = {column: max(len(line[column]) for line in lines) for column in _COLUMNS}
    table = ["  ".join(line[c].ljust(widths[c]) for c in _COLUMNS).rstrip() for line in lines]
    for row in rows:
        if row["checksum"] == _NOT_FETCHED:
            table.append(f"To get {row['name']}: vae-balance models fetch {row['name']}")
    return "\n".join(table)
