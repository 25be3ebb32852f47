"""`vae-balance doctor`: what is well, what is not, and how to mend it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from vae_balance.commands import options
from vae_balance.commands.console import FAILED


@click.command()
@options.as_json
@click.option(
    "--report",
    type=options.PATH,
    metavar="FILE",
    help="Also write FILE to attach to a bug report, without private paths and names.",
)
@click.option(
    "--photo",
    type=options.PATH,
    metavar="DIR",
    help="Also balance a bundled photo as GIMP does; DIR has it before and after, and its look.",
)
@options.force
def doctor(as_json: bool, report: Path | None, photo: Path | None, force: bool) -> None:
    """Look at all that VAE Balance needs; exit code 1 if something is to be mended.

    Python, packages, PyTorch and GPU, models, settings, disk, the daemon (which is started if it
    does not run), the plug-in of each GIMP, and the log.

    \b
    vae-balance doctor
    vae-balance doctor --report report.json
    """
    from vae_balance.doctor import report as reports
    from vae_balance.doctor.examination import examine
    from vae_balance.files import atomic_write, check_new
    from vae_balance.installation.places import Places

    if report is not None:
        check_new(report, force)
    lines = list(examine(photo))
    click.echo(reports.as_json(lines) if as_json else reports.as_text(lines))
    if report is not None:
        text = reports.as_report(lines, Places(os.environ, sys.platform))
        with atomic_write(report, overwrite=force) as temporary:
            temporary.write_text(text, encoding="utf-8")
        if not as_json:
            click.echo(f"Report: {report}")
    if not all(line.ok for line in lines):
        raise click.exceptions.Exit(FAILED)
