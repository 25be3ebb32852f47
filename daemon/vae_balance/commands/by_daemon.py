"""Photos that the daemon balances in place of this process, which then needs no torch.

Files, messages and exit codes are those of the work done here: the daemon reads, learns with as
many threads as would be used here, applies and writes. What it cannot do is left to this process.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_balance import __version__
from vae_balance.batch.photo_news import photo_news
from vae_balance.commands.console import Console, interruption
from vae_balance.errors import BalanceError, OptionError, error_of
from vae_balance.files import process_umask, remove_leftovers
from vae_balance.models.store import find_model
from vae_balance.photos.task import PhotoTask
from vae_balance.server.settings import FILE_NAME, read_settings
from vae_balance_protocol import ConnectionLost, DaemonError, NotStarted, messages, places
from vae_balance_protocol.client import Client
from vae_balance_protocol.connection import read_connection
from vae_balance_protocol.options import DEVICE

_NAME = "vae-balance balance"
_ANSWER_SECONDS = 3.0  # a daemon that is well answers in milliseconds
# These lie elsewhere for another process, or are nobody else's to read.
_OF_THIS_PROCESS = ("/dev/", "/proc/")
# What is wrong with a photo is the same here; what is wrong with the daemon is not.
_OF_THE_PHOTO = frozenset(
    {
        messages.IMAGE,
        messages.HAS_COLORS,
        messages.IS_GREY,
        messages.LUT,
        messages.OPTION,
        messages.OUTPUT_EXISTS,
        messages.FAILED,
    }
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of a photo.

    Attributes:
        error: why it failed; None if it is done.
        lut_sha256: of its look.
        report: what the look found; None if that is not known.
        seconds: that it took.
    """

    error: BalanceError | None
    lut_sha256: str
    report: dict[str, Any] | None
    seconds: float


class ByDaemon:
    """Photos to balance, and what the daemon makes of them.

    Attributes:
        begun: numbers of photos whose outputs, where there are any now, are the daemon's work.

    Args:
        tasks: the photos and their outputs.
        look: options of the look, the proxy and the model, by name.
        cube: where the look of the one photo goes.
        force: overwrite outputs.
    """

    def __init__(
        self, tasks: Sequence[PhotoTask], look: dict[str, Any], cube: Path | None, force: bool
    ) -> None:
        self.begun: frozenset[int] = frozenset()
        self._tasks = tasks
        self._look = look
        self._cube = cube
        self._force = force

    def ended(self, device: str, console: Console) -> Iterator[tuple[int, Outcome]]:
        """Yield the number of each photo that is done or failed; all others are left to do.

        Args:
            device: "auto", or the one to compute on.
            console: where people are told in a line that the daemon has left work to do.

        Raises:
            ModelError: there is no such model.
            KeyboardInterrupt: Ctrl-C was pressed, and the daemon has stopped.
        """
        model = find_model(self._look["model"]).folder.absolute()
        if not self._is_for_others(model):
            return
        try:
            client = _connect(console)
            if client is None:
                return
            with client:
                _check_version(client)
                if device in (DEVICE.default, client.daemon["device"]):
                    yield from self._ask(client, model)
        except DaemonError as error:
            if error.code not in (messages.MODEL, messages.OPTION):  # which come here as well
                console.tell(f"{_one_line(error.message)}; going on without the daemon")
            if self.begun:
                for folder in {task.output.parent for task in self._tasks}:
                    remove_leftovers(folder)

    def _ask(self, client: Client, model: Path) -> Iterator[tuple[int, Outcome]]:
        """Yield what becomes of the photos, in their order as long as the daemon is there."""
        fields = self._fields(model)
        self.begun = frozenset(
            number for number, task in enumerate(self._tasks) if not os.path.lexists(task.output)
        )
        told: dict[int, dict[str, Any]] = {}
        following = 0
        with interruption() as interrupted:
            try:
                for news in photo_news(client, fields, interrupted.is_set):
                    told[news["photo"]] = news
                    while following in told:
                        yield from self._ended(told.pop(following))
                        following += 1
            except DaemonError:
                for number in sorted(told):
                    yield from self._ended(told[number])
                raise
            if interrupted.is_set():
                raise KeyboardInterrupt

    def _ended(self, news: dict[str, Any]) -> Iterator[tuple[int, Outcome]]:
        """Yield what became of a photo, unless it is left to do."""
        if news["outcome"] != "done" and news["code"] not in _OF_THE_PHOTO:
            return
        error = None
        for warning in news["warnings"]:
            _log.warning("%s", self._as_given(warning))
        if news["outcome"] != "done":
            error = error_of(news["code"], self._as_given(news["message"]))
        seconds = round(sum(news["seconds"].values()), 3)
        yield news["photo"], Outcome(error, news["look"], news["report"], seconds)

    def _fields(self, model: Path) -> dict[str, Any]:
        """Return the fields of the request."""
        cube = None if self._cube is None else str(self._cube.absolute())
        photos = [[str(j.photo.absolute()), str(j.output.absolute()), cube] for j in self._tasks]
        return {
            **self._look,
            "model": str(model),
            "photos": photos,
            "overwrite": self._force,
            "threads": _threads(),
            "umask": process_umask(),
        }

    def _is_for_others(self, model: Path) -> bool:
        """Tell whether another process finds all files, and may make no more than we would."""
        photos = [task.photo for task in self._tasks]
        outputs = [task.output for task in self._tasks] + [self._cube] * (self._cube is not None)
        try:
            paths = [str(path.absolute()) for path in (*photos, *outputs, model) if path]
            for path in paths:
                path.encode()
        except (OSError, UnicodeEncodeError):  # no working folder; bytes that are no text
            return False
        return (
            len(photos) <= messages.PHOTOS
            and not any(path.startswith(_OF_THIS_PROCESS) for path in paths)
            and all(photo.is_file() or not os.path.lexists(photo) for photo in photos)
            and all(output.parent.is_dir() for output in outputs if output)
        )

    def _as_given(self, text: str) -> str:
        """Return a text of the daemon's with paths as they were given here."""
        paths = [path for task in self._tasks for path in (task.photo, task.output)]
        paths += [self._cube] if self._cube else []
        given = {str(path.absolute()): str(path) for path in paths}
        longest_first = sorted(given, key=len, reverse=True)
        pattern = "|".join(re.escape(path) for path in longest_first)
        return re.sub(pattern, lambda found: given[found[0]], text)


def _connect(console: Console) -> Client | None:
    """Connect to the daemon that runs, or start one where the user's settings say so.

    Raises:
        DaemonError: one runs that does not answer, or cannot be talked to, or be started.
    """
    try:
        return Client.connect(_NAME, timeout=_ANSWER_SECONDS, start=False)
    except NotStarted:
        if _is_there():
            raise
    try:
        settings = read_settings(Path(places.config_folder()) / FILE_NAME, os.environ, {})
    except OptionError as error:
        raise NotStarted(str(error)) from error
    if not settings.start_daemon:
        return None
    return Client.connect(_NAME, waiting=console.line)


def _is_there() -> bool:
    """Tell whether somebody listens where the daemon said that it can be reached."""
    try:
        connection = read_connection()
        socket.create_connection((connection.host, connection.port), _ANSWER_SECONDS).close()
    except (ConnectionLost, OSError):
        return False
    return True


def _check_version(client: Client) -> None:
    version = client.daemon["version"]
    if version != __version__:
        text = f"the daemon that runs is of version {version}, this program of {__version__}"
        raise DaemonError(messages.VERSION, f"{text}: end it with `vae-balance stop`")


def _threads() -> int:
    """Return with how many threads this process would learn; 0 for as many as there are."""
    given = os.environ.get("OMP_NUM_THREADS", "").strip()
    return min(int(given), messages.THREADS.high) if given.isdecimal() else 0


def _one_line(text: str) -> str:
    return text.strip().partition("\n")[0].rstrip(";:")
