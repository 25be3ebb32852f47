"""`vae-balance models`: what is there, where from, whole or damaged, under which license."""

from __future__ import annotations

import json

import click

from vae_balance.commands import options
from vae_balance.commands.console import BAD_MODEL

_COLUMNS = ("name", "version", "license", "checksum", "source", "folder")


@click.command()
@options.as_json
def models(as_json: bool) -> None:
    """List the models and check that their files are whole."""
    from vae_balance.errors import ModelError
    from vae_balance.models.registry import list_models, verify_files

    rows = []
    for info in list_models():
        try:
            verify_files(info)
            checksum = "ok"
        except ModelError as error:
            checksum = "DAMAGED"
            click.echo(f"vae-balance: {error}", err=True)
        values = (info.name, info.version, info.license, checksum, info.source, str(info.folder))
        rows.append(dict(zip(_COLUMNS, values, strict=True)))
    click.echo(json.dumps(rows, indent=2) if as_json else _table(rows))
    if any(row["checksum"] != "ok" for row in rows):
        raise click.exceptions.Exit(BAD_MODEL)


def _table(rows: list[dict[str, str]]) -> str:
    lines = [dict(zip(_COLUMNS, _COLUMNS, strict=True)), *rows]
    widths = {column: max(len(line[column]) for line in lines) for column in _COLUMNS}
    padded = ("  ".join(line[c].ljust(widths[c]) for c in _COLUMNS).rstrip() for line in lines)
    return "\n".join(padded)
