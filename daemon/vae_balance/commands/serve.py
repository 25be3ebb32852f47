"""`vae-balance serve`: the daemon, which keeps models warm for GIMP, scripts and `batch`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from vae_balance.server.settings import FILE_NAME, SETTINGS, read_settings

F = TypeVar("F", bound=Callable[..., Any])


def _settings(command: F) -> F:
    """Add an option for each setting."""
    for setting in reversed([setting for setting in SETTINGS if setting.is_daemons]):
        values = f"{setting.values}; default {setting.default}"
        command = click.option(
            setting.flag, setting.name, metavar="X", help=f"{setting.meaning} [{values}]"
        )(command)
    return command


@click.command()
@_settings
@click.option(
    "--by-client",
    is_flag=True,
    help="For clients that start the daemon: end when nothing is asked for --idle-exit seconds.",
)
def serve(by_client: bool, **flags: str | None) -> None:
    """Keep models warm and serve GIMP, scripts and `vae-balance batch`, until stopped.

    Clients start the daemon themselves when none runs. Ctrl-C or `vae-balance stop` ends it. What
    is not given as an option is taken from the environment, for instance VAE_BALANCE_DEVICE=cpu,
    or else from config.toml in the user's folder for configurations, for instance device = "cpu".

    \b
    vae-balance serve --device cuda --keep-alive forever
    """
    from vae_balance_protocol import places

    settings = read_settings(Path(places.config_folder()) / FILE_NAME, os.environ, flags)
    # Threads of torch's that wait for each other are not to keep the cores from those that apply
    # looks, read and write. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

    from vae_balance.server.activation import listen_for_activation
    from vae_balance.server.lifecycle import serve as be_the_daemon

    listen_for_activation()
    ended = be_the_daemon(settings, by_client)
    if ended.other is not None:
        pid = f", pid {ended.other}" if ended.other else ""
        click.echo(f"a daemon runs already{pid}")
    if not ended.clean:
        # A thread computes on, and Python would wait for it, or crash while it ends.
        os._exit(0)
