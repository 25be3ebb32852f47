"""`vae-balance stop`: end the daemon."""

from __future__ import annotations

import json
import os
import signal

import click

from vae_balance.commands import options

_END_SECONDS = 15.0


@click.command()
@options.as_json
def stop(as_json: bool) -> None:
    """End the daemon, and wait until it has ended.

    What it is doing is cancelled; no file is left half-written. It is no error if none runs.
    """
    from vae_balance.errors import BalanceError
    from vae_balance.server.lifecycle import running_pid, wait_for_end
    from vae_balance_protocol.client import Client
    from vae_balance_protocol.errors import DaemonError

    pid = 0
    try:
        with Client.connect("vae-balance stop", start=False) as client:
            pid = client.daemon["pid"]
            client.shutdown()
    except DaemonError:  # there is none, or it is of another version, or does not answer
        if not wait_for_end(0.0):
            pid = running_pid()
            if pid:
                os.kill(pid, signal.SIGTERM)
    if not wait_for_end(_END_SECONDS):
        which = f"the daemon, pid {pid}," if pid else "the daemon"
        raise BalanceError(f"{which} has not ended in {_END_SECONDS:g} s: kill it")
    if as_json:
        click.echo(json.dumps({"stopped": bool(pid), "pid": pid or None}))
    else:
        click.echo(f"the daemon, pid {pid}, has ended" if pid else "no daemon runs")
