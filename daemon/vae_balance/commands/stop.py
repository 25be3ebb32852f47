"""`vae-balance stop`: end the daemon."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress

import click

from vae_balance.commands import options

_END_SECONDS = 15.0
_FOREVER = -1.0


@click.command()
@options.as_json
@click.option(
    "--when-idle", is_flag=True, help="Let it finish what it is asked for until it is idle."
)
def stop(as_json: bool, when_idle: bool) -> None:
    """End the daemon, and wait until it has ended.

    What it is doing is cancelled, without --when-idle; no file is left half-written. It is no error
    if none runs.
    """
    from vae_balance.errors import BalanceError
    from vae_balance.server.lock import holder, wait_for_end
    from vae_balance_protocol.client import Client
    from vae_balance_protocol.errors import DaemonError

    runs = False
    pid = 0
    try:
        with Client.connect("vae-balance stop", start=False) as client:
            runs, pid = True, client.daemon["pid"]
            client.shutdown(when_idle)
    except DaemonError:  # there is none, or it is of another version, or does not answer
        if not wait_for_end(0.0):
            runs, pid = True, holder()
            if pid:
                _signal_end(pid)
    if not wait_for_end(_FOREVER if when_idle else _END_SECONDS):
        which = f"the daemon, pid {pid}," if pid else "a daemon, whose pid cannot be told,"
        advice = f"kill -9 {pid}" if pid else "look for 'vae-balance serve' among your processes"
        raise BalanceError(f"{which} has not ended in {_END_SECONDS:g} s: {advice}")
    if as_json:
        click.echo(json.dumps({"stopped": runs, "pid": pid or None}))
    else:
        which = f"the daemon, pid {pid}," if pid else "the daemon"
        click.echo(f"{which} has ended" if runs else "no daemon runs")


def _signal_end(pid: int) -> None:
    """Ask a process to end, even one that was stopped in the middle (Ctrl-Z, SIGSTOP)."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        if hasattr(signal, "SIGCONT"):
            os.kill(pid, signal.SIGCONT)
