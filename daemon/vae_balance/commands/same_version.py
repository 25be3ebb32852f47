"""A daemon of this program's version: an older one that runs is replaced when it is idle."""

from __future__ import annotations

import time

from packaging.version import InvalidVersion, Version

from vae_balance import __version__
from vae_balance.commands.console import Console
from vae_balance.errors import BalanceError
from vae_balance.server.lock import wait_for_end
from vae_balance_protocol import DaemonError
from vae_balance_protocol.client import Client

_LOOK_SECONDS = 0.5
_END_SECONDS = 30.0


def connect(name: str, console: Console) -> Client:
    """Connect to the daemon, started if there is none, of this version or a newer one.

    What an older one is doing for others is waited for; then it ends and this version's is
    started. A newer one is used, and told of.

    Args:
        name: what the daemon's log calls this client.
        console: where it is told what is waited for.

    Raises:
        DaemonError: it cannot be started or talked to.
        BalanceError: the older one does not end.
    """
    client = Client.connect(name, waiting=console.line)
    version = client.daemon["version"]
    if version == __version__:
        return client
    if not _is_older(version):
        console.tell(f"the daemon that runs is of version {version}, this program of {__version__}")
        return client
    with client:
        _end_when_idle(client, console)
    # Somebody may have asked for more before it was told to end when idle.
    has_work = _has_work(name)
    while not wait_for_end(_END_SECONDS):
        if not has_work:
            raise BalanceError(f"the daemon of version {version} does not end: vae-balance stop")
        console.line("waiting for the daemon's other work")
        has_work = _has_work(name)
    return Client.connect(name, waiting=console.line)


def _end_when_idle(client: Client, console: Console) -> None:
    """Wait until nobody's work is unfinished, which earlier versions do not do, and end it."""
    version = client.daemon["version"]
    console.tell(f"the daemon of version {version} is replaced by {__version__} when it is idle")
    began = time.monotonic()
    while (status := client.status())["running"] or status["queued"]:
        console.line(f"waiting for the daemon's other work: {time.monotonic() - began:.0f} s")
        time.sleep(_LOOK_SECONDS)
    # Work that has come in between is waited for as well, by versions that know how.
    client.shutdown(when_idle=True)


def _has_work(name: str) -> bool:
    """Tell whether the daemon that runs has unfinished work."""
    try:
        with Client.connect(name, start=False) as client:
            status = client.status()
    except DaemonError:
        return False
    return bool(status["running"] or status["queued"])


def _is_older(version: str) -> bool:
    try:
        return Version(version) < Version(__version__)
    except InvalidVersion:  # of a fork, or of none of ours
        return False
