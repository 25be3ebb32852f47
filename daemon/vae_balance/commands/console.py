"""What people see of a command: progress, notes, one-line errors, exit codes.

Results (tables, JSON) go to standard output. Everything here goes to standard error; progress and
notes only if that is a terminal.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from vae_balance.errors import (
    BalanceError,
    HasColorsError,
    IsGreyError,
    ModelError,
    OptionError,
    OutputExistsError,
    printable,
)

FAILED = BalanceError.exit_status
WRONG_USAGE = OptionError.exit_status
BAD_MODEL = ModelError.exit_status
OUTPUT_EXISTS = OutputExistsError.exit_status
INTERRUPTED = 130
_ERASE_LINE = "\r\x1b[K"

# What each extra of pyproject.toml is needed for at run time.
_EXTRAS = {
    "cluster": ("distributed", "cryptography"),
    "explain": ("matplotlib",),
    "train": ("matplotlib", "scipy", "skimage", "sklearn"),
}

# What this command can do where the photo is not for the model; others have other words for it.
_ADVICE: dict[type[BalanceError], str] = {
    HasColorsError: ", or use `vae-balance colorize --force`",
    IsGreyError: " with `vae-balance colorize`",
}


def told(error: BalanceError) -> str:
    """Return an error with what this command has to advise."""
    return f"{error}{_ADVICE.get(type(error), '')}"


class Console:
    """Tells people how far the work is, and goes on after a photo that cannot be done."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._shown = sys.stderr.isatty() and not quiet
        self._failures: list[BalanceError] = []

    def note(self, text: str) -> None:
        """Print a line."""
        if self._shown:
            click.echo(f"{_ERASE_LINE}{printable(text)}", err=True)

    def tell(self, text: str) -> None:
        """Print a line, also where it goes to a file, unless people want quiet."""
        if not self._quiet:
            erase = _ERASE_LINE if self._shown else ""
            click.echo(f"{erase}vae-balance: {printable(text)}", err=True)

    def line(self, text: str) -> None:
        """Print over the line that was printed so before."""
        if self._shown:
            click.echo(f"{_ERASE_LINE}{printable(text)}", err=True, nl=False)

    @contextmanager
    def bar(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """Show a progress bar; what is yielded moves it to so many steps done of so many."""
        with self._bar(label, show_eta=True) as shown:

            def move(done: int, total: int) -> None:
                shown.length = total
                shown.update(done - shown.pos)

            yield move

    @contextmanager
    def paced_bar(self, label: str) -> Iterator[Callable[[int, int, str], None]]:
        """Show a progress bar that is moved with a text about the pace, and told nothing else."""
        with self._bar(label, show_eta=False) as shown:

            def move(done: int, total: int, pace: str) -> None:
                shown.length = total
                shown.update(done - shown.pos, pace)

            yield move

    def _bar(self, label: str, show_eta: bool) -> Any:
        return click.progressbar(
            length=1,
            label=label,
            file=sys.stderr,
            hidden=not self._shown,
            show_eta=show_eta,
            item_show_func=lambda text: text,
        )

    @contextmanager
    def going_on(self, photo: Path, result: dict[str, Any] | None = None) -> Iterator[None]:
        """Print an error of the block, remember it, and go on; note it in `result` as well."""
        try:
            yield
        except MemoryError:
            self._remember(BalanceError(f"{photo}: does not fit into memory"), photo, result)
        except ModelError:
            raise  # would come with every photo
        except BalanceError as error:
            self._remember(error, photo, result)

    def end(self) -> None:
        """End the command with the exit code of the photos that could not be done, if any."""
        codes = {error.exit_status for error in self._failures}
        if codes:
            raise click.exceptions.Exit(codes.pop() if len(codes) == 1 else FAILED)

    def _remember(self, error: BalanceError, photo: Path, result: dict[str, Any] | None) -> None:
        self._failures.append(error)
        text = told(error)
        name = printable(str(photo))
        reason = text if name in text else f"{name}: {text}"
        if result is not None:
            result["error"] = reason
        click.echo(f"{_ERASE_LINE if self._shown else ''}vae-balance: {reason}", err=True)


@contextmanager
def interruption() -> Iterator[threading.Event]:
    """Yield what is set by Ctrl-C; pressed again, it interrupts at once, as usual."""
    asked = threading.Event()

    def remember(*_: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, usual)

    usual = signal.signal(signal.SIGINT, remember)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, usual)


class TerminatedError(SystemExit):
    """SIGTERM has come."""


@contextmanager
def termination() -> Iterator[None]:
    """Let SIGTERM end the block as an error would, which leaves nothing half-written; then us."""

    def end(*_: object) -> None:
        raise TerminatedError

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    except TerminatedError:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def what_the_system_says(error: OSError) -> str:
    """Return what keeps the system from doing something, where, and what to do where that helps."""
    reason = error.strerror or str(error)
    try:
        Path.cwd()
    except OSError:
        return f"the folder in which this runs is gone ({reason}): change to another one"
    if error.filename is not None:
        return printable(f"{error.filename}: {reason}")
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not frames or frames[-1].f_code is not click.echo.__code__:
        return reason
    nothing = os.open(os.devnull, os.O_WRONLY)  # so that it is not tried again at the end
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
    return f"standard output: {reason}"


def require_extra(extra: str) -> None:
    """Check that the packages of an extra are installed.

    Raises:
        OptionError: one is not.
    """
    for package in _EXTRAS[extra]:
        if find_spec(package) is None:
            raise OptionError(
                f"this needs {package}, which is not installed: pip install 'vae-balance[{extra}]'"
            )
