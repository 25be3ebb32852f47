"""`vae-balance service`: the daemon is started at login, or no more."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from vae_balance.installation.login_start import LoginStart


@click.group()
def service() -> None:
    """Have the daemon started at login, or no more.

    It is not needed: GIMP and other clients start the daemon themselves, in a second or two. It
    is for a GIMP from flatpak or snap, which cannot start programs outside of its sandbox, and
    for those who do not want to wait.
    """


@service.command()
def install() -> None:
    """Start the daemon at every login, and now.

    \b
    vae-balance service install
    """
    from vae_balance.errors import BalanceError
    from vae_balance.installation.login_start import LoginStartError, switch_on

    start = _login_start()
    try:
        switch_on(start)
    except LoginStartError as error:
        raise BalanceError(
            f"the daemon cannot be started at login here: {error}; have your desktop start "
            f"this at login instead: {sys.executable} -m vae_balance serve"
        ) from error
    except OSError as error:
        raise BalanceError(f"{start.file}: cannot be written: {error.strerror}") from error
    click.echo(f"the daemon is started at login: {start.file}")


@service.command()
def remove() -> None:
    """Start the daemon at login no more, and end the one that was started so.

    It is no error if it is not started at login.
    """
    from vae_balance.errors import BalanceError
    from vae_balance.installation.login_start import switch_off

    start = _login_start()
    try:
        was_on = switch_off(start)
    except OSError as error:
        raise BalanceError(f"{start.file}: cannot be removed: {error.strerror}") from error
    if was_on:
        click.echo(f"the daemon is started at login no more; removed {start.file}")
    else:
        click.echo("the daemon is not started at login")


def _login_start() -> LoginStart:
    from vae_balance.installation.login_start import login_start
    from vae_balance.installation.places import Places

    user_id = os.getuid() if hasattr(os, "getuid") else 0
    places = Places(os.environ, sys.platform)
    return login_start(places, Path(sys.executable), os.environ, user_id)
