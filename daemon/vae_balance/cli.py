"""The command `vae-balance`."""

from __future__ import annotations

import errno
from copy import copy

import click

from vae_balance import __version__
from vae_balance.commands.apply import apply
from vae_balance.commands.balance import balance
from vae_balance.commands.batch import batch
from vae_balance.commands.benchmark import benchmark
from vae_balance.commands.colorize import colorize
from vae_balance.commands.console import (
    FAILED,
    INTERRUPTED,
    termination,
    told,
    what_the_system_says,
)
from vae_balance.commands.convert import convert
from vae_balance.commands.demo import demo
from vae_balance.commands.doctor import doctor
from vae_balance.commands.evaluate import evaluate
from vae_balance.commands.identity import identity
from vae_balance.commands.learn import learn
from vae_balance.commands.lut import lut
from vae_balance.commands.models import models
from vae_balance.commands.serve import serve
from vae_balance.commands.service import service
from vae_balance.commands.status import status
from vae_balance.commands.stop import stop
from vae_balance.commands.train import train
from vae_balance.errors import BalanceError

# The modules of the commands import what computes (numpy, torch, OpenColorIO) inside functions
# only, so that help and wrong usage answer at once.


class CommandLine(click.Group):
    """A group of commands whose errors are one line each and end with a documented exit code."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            with termination():
                return super().invoke(ctx)
        except BalanceError as error:
            click.echo(f"vae-balance: {told(error)}", err=True)
            raise click.exceptions.Exit(error.exit_status) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # who reads us has enough: click knows
                raise
            click.echo(f"vae-balance: {what_the_system_says(error)}", err=True)
            raise click.exceptions.Exit(FAILED) from error
        except KeyboardInterrupt:
            click.echo("\nvae-balance: interrupted", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vae-balance")
def main() -> None:
    """Give photographs their colors back.

    A look is learned from a thumbnail of a photo, or of a whole roll, and applied to pixels of
    any size and depth; .cube and Hald files carry it to other programs.

    \b
    Exit codes:
      0    everything was done
      1    a photo or another file could not be done; all others of the list were
      2    wrong usage, or something the command needs is not installed
      3    a model is missing or damaged
      4    an output exists already, and --force was not given
      130  interrupted with Ctrl-C
    """


for command in (
    balance,
    colorize,
    batch,
    learn,
    apply,
    lut,
    models,
    serve,
    status,
    stop,
    service,
    doctor,
    train,
    evaluate,
    benchmark,
    demo,
):
    main.add_command(command)

for command in (identity, convert):  # their names before there was `lut`
    alias = copy(command)
    alias.hidden = True
    main.add_command(alias)
