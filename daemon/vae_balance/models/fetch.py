"""Fetch the files of a model of the catalog that are not there yet.

What is there already and whole stays: the same command mends what is damaged, goes on with what
broke off, and takes up files that were copied by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vae_balance.errors import ModelError, OptionError
from vae_balance.models.catalog import RemoteFile
from vae_balance.models.hub import UnreachableError, fetch_file, is_whole, url_of

# Called with the file that is being fetched, the bytes that are there, and all its bytes if known.
FetchProgress = Callable[[RemoteFile, int, int | None], None]


def check_mirror(mirror: str | None) -> None:
    """Check that a mirror has an address.

    Raises:
        OptionError: it has not.
    """
    if mirror is not None and not mirror.startswith(("http://", "https://")):
        raise OptionError(
            f"mirror {mirror!r}: not an address; for instance https://hub.example.org"
        )


def fetch_files(
    files: Sequence[RemoteFile],
    folder: Path,
    mirror: str | None,
    progress: FetchProgress,
    otherwise: Callable[[RemoteFile], str],
) -> None:
    """Fetch the files that are not there.

    Args:
        files: of one model.
        folder: of the model.
        mirror: where the files are fetched instead, see `hub.url_of`.
        progress: told how much of a file is there.
        otherwise: says what else can be done without a file, "" if nothing.

    Raises:
        ModelError: one cannot be fetched, and what to do by hand; or one is not what is expected.
    """
    for file in files:

        def follow(done: int, total: int | None, file: RemoteFile = file) -> None:
            progress(file, done, total)

        try:
            fetch_file(file, folder / file.target, mirror, follow)
        except UnreachableError as error:
            advice = _by_hand(files, folder) + otherwise(file)
            raise ModelError(f"{error}; {advice}") from error


def _by_hand(files: Sequence[RemoteFile], folder: Path) -> str:
    missing = [file for file in files if not is_whole(file, folder / file.target)]
    copies = ", ".join(f"{url_of(file)} to {folder / file.target}" for file in missing)
    return (
        "without a connection, download on another computer, copy each file to its place and run "
        f"the same command again: {copies}"
    )
