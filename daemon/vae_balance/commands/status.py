"""`vae-balance status`: what the daemon does."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import click

from vae_balance.commands import options
from vae_balance.commands.console import FAILED
from vae_balance.errors import printable

_ADVICE = "end it with 'vae-balance stop'"
_RUNNING_COLUMNS = "{verb} for {who}, {stage}: {done} of {total}, {seconds:.1f} s"


@click.command()
@options.as_json
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Let the daemon's log tell more or less from now on.",
)
@click.option("--metrics", is_flag=True, help="In the text form that Prometheus reads.")
def status(as_json: bool, log_level: str | None, metrics: bool) -> None:
    """Tell what the daemon does; exit code 1 if none runs.

    None is started.
    """
    from vae_balance.errors import BalanceError
    from vae_balance.server.lock import holder, wait_for_end
    from vae_balance.server.metrics import metrics_text
    from vae_balance_protocol.client import NO_ANSWER, Client
    from vae_balance_protocol.errors import DaemonError, NotStarted

    try:
        with Client.connect("vae-balance status", start=False) as client:
            if log_level is not None:
                client.set_log_level(log_level)
            answer = client.status()
    except NotStarted as error:
        runs = not wait_for_end(0.0)
        pid = holder() if runs else 0
        if as_json:
            click.echo(json.dumps({"running": runs, "answers": False, "pid": pid or None}))
        elif runs:
            which = f"the daemon, pid {pid}," if pid else "a daemon"
            reason = error.message.removeprefix(NO_ANSWER)
            click.echo(f"{which} runs, but does not answer: {reason}; {_ADVICE}")
        else:
            click.echo("no daemon runs")
        raise click.exceptions.Exit(FAILED) from None
    except DaemonError as error:
        raise BalanceError(str(error)) from error
    if metrics:
        click.echo(metrics_text(answer), nl=False)
        return
    values = {name: value for name, value in answer.items() if name not in ("v", "type")}
    click.echo(json.dumps(values, indent=2) if as_json else _lines(values))


def _who(client: str) -> str:
    return printable(client) or "a client without a name"


def _lines(values: dict[str, Any]) -> str:
    minutes, seconds = divmod(round(values["uptime"]), 60)
    lines = [
        f"daemon {values['version']}, pid {values['pid']}, up {minutes} min {seconds:02d} s",
        f"device:  {values['device']}",
        f"models:  {', '.join(values['models']) or 'none loaded'}",
        f"looks:   {values['looks']}",
        f"clients: {values['clients']}",
        f"queued:  {values['queued']}",
        f"memory:  {values['memory_bytes'] / 1e6:.0f} MB",
        f"log:     {values['log']}",
    ]
    if values["ending"]:
        lines.append(f"ends:    {values['ending']}")
    lately = values["last_minute"]
    lines.append(
        f"last minute: {lately['jobs']} requests, {lately['photos']} photos, "
        f"{lately['pixels'] / 1e6:.0f} megapixels"
    )
    for job in values["running"]:
        lines.append(f"running: {_RUNNING_COLUMNS.format(who=_who(job['client']), **job)}")
    waiting = Counter((job["verb"], job["client"]) for job in values["waiting"])
    for (verb, client), count in waiting.items():
        lines.append(f"waiting: {count} {verb} for {_who(client)}")
    return "\n".join(lines)
