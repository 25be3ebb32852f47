"""What the installer tells: on the screen, and in a log that stays."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_LOG_BYTES = 2_000_000


class Journal:
    """Tells each step before it is done; in a dry run nothing is done."""

    def __init__(self, dry_run: bool) -> None:
        """Tell on the screen only, until there is a log."""
        self.dry_run = dry_run
        self.log: Path | None = None

    def keep_log(self, path: Path, arguments: Sequence[str]) -> None:
        """From now on keep a log, too; the one before the last is dropped when it is large.

        Args:
            path: of the log.
            arguments: of this program, for the log.
        """
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_name(f"{path.name}.1"))
        self.log = path
        self._write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(arguments)}")

    def say(self, text: str) -> None:
        """Tell something."""
        print(text, flush=True)
        self._write(text)

    def do(self, text: str, action: Callable[[], object]) -> None:
        """Tell a step and do it."""
        self.say(f"would {text}" if self.dry_run else f"- {text}")
        if not self.dry_run:
            action()

    def run(self, text: str, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """Tell a step and run the command that does it.

        Raises:
            subprocess.CalledProcessError: it failed.
        """

        def run() -> None:
            self._write(" ".join(command))
            subprocess.run(command, check=True, env=dict(environ))

        self.do(text, run)

    def fail(self, text: str) -> None:
        """Tell why it goes no further."""
        print(f"install.py: {text}", file=sys.stderr, flush=True)
        self._write(f"install.py: {text}")

    def _write(self, text: str) -> None:
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"{text}\n")
