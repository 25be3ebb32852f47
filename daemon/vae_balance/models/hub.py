"""Fetch one file of a public repository: resumed where it broke off, and checked.

huggingface_hub tells where its hub and its cache are (HF_ENDPOINT, HF_HOME) and whether the user
is offline (HF_HUB_OFFLINE). The bytes are fetched here: since its version 2 it throws away what a
run that was cut off had fetched, and it compares no checksum.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import requests

from vae_balance.errors import ModelError
from vae_balance.models.catalog import RemoteFile
from vae_balance.models.checksum import sha256_of

# Called with the bytes that are there and those of the whole file, None if that is unknown.
FileProgress = Callable[[int, int | None], None]

_TRIES = 5  # without a single new byte
_WAIT_SECONDS = 1.0  # before another try
_TIMEOUT_SECONDS = (10.0, 60.0)  # to connect, and between two bytes
_CHUNK = 1 << 16  # at most so much is fetched twice
_TRY_AGAIN = (408, 429, 500, 502, 503, 504)
_RANGE_NOT_SATISFIABLE = 416


class UnreachableError(Exception):
    """A file cannot be fetched now, or not from here."""


def url_of(file: RemoteFile, mirror: str | None = None) -> str:
    """Return the address of a file.

    A mirror has every file at MIRROR/OWNER/NAME/resolve/REVISION/PATH, as the hub has its own.
    """
    if mirror is None and file.host == "github.com":
        return f"https://raw.githubusercontent.com/{file.repository}/{file.revision}/{file.path}"
    from huggingface_hub import constants

    endpoint = (mirror or constants.ENDPOINT).rstrip("/")
    return f"{endpoint}/{file.repository}/resolve/{file.revision}/{file.path}"


def is_whole(file: RemoteFile, path: Path) -> bool:
    """Return whether `path` is there and, where a checksum is known, has it."""
    return path.is_file() and file.sha256 in (None, sha256_of(path))


def fetch_file(file: RemoteFile, target: Path, mirror: str | None, progress: FileProgress) -> None:
    """Bring a file to `target`, unless it is there already: from the hub's cache, or fetched.

    A fetch that breaks off goes on where it stopped, in this run or in a later one.

    Raises:
        UnreachableError: there is no connection, or no such file at its other end.
        ModelError: what was fetched has another checksum, or cannot be written.
    """
    if is_whole(file, target):
        return
    partial = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        cached = _cached(file)
        if cached is not None:
            shutil.copyfile(cached, partial)
        else:
            _download(file, url_of(file, mirror), partial, progress)
            _check(file, url_of(file, mirror), partial)
        partial.replace(target)
    except OSError as error:
        raise ModelError(
            f"{target}: cannot be written: {error.strerror or error}; mend that and run the same "
            "command again: it goes on where it stopped"
        ) from error


def _cached(file: RemoteFile) -> str | None:
    """Return where the hub's cache has the whole file, if it has."""
    if file.host != "huggingface.co":
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(file.repository, file.path, revision=file.revision)
    return found if isinstance(found, str) and is_whole(file, Path(found)) else None


def _download(file: RemoteFile, url: str, partial: Path, progress: FileProgress) -> None:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise UnreachableError(f"{url}: not fetched: HF_HUB_OFFLINE is set")
    tries = _TRIES
    while True:
        before = _size(partial)
        try:
            return _download_rest(file, url, partial, progress)
        except requests.RequestException as error:
            tries = _TRIES if _size(partial) > before else tries - 1
            if tries == 0 or not _may_pass(error):
                raise UnreachableError(f"{url}: cannot be fetched: {_reason(error)}") from error
        time.sleep(_WAIT_SECONDS)


def _download_rest(file: RemoteFile, url: str, partial: Path, progress: FileProgress) -> None:
    """Fetch what `partial` lacks.

    Raises:
        requests.RequestException: it broke off, or did not even begin.
    """
    start = _size(partial)
    if start == file.size:
        return
    headers = {"Accept-Encoding": "identity"}  # a range of compressed bytes would be of no use
    if start:
        headers["Range"] = f"bytes={start}-"
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
        if response.status_code == _RANGE_NOT_SATISFIABLE:  # more than there is: another file's
            partial.unlink()
        response.raise_for_status()
        if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0  # the server sends all of it again
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else file.size
        with partial.open("ab" if start else "wb") as out:
            for chunk in response.iter_content(_CHUNK):
                out.write(chunk)
                progress(out.tell(), total)
    if total is not None and _size(partial) < total:
        raise requests.ConnectionError("the connection was closed too early")


def _check(file: RemoteFile, url: str, partial: Path) -> None:
    if is_whole(file, partial):
        return
    digest = sha256_of(partial)
    partial.unlink()
    raise ModelError(
        f"{url}: not the file that is expected, or damaged on its way: its sha256 is "
        f"{digest[:12]}..., not {str(file.sha256)[:12]}...; run the same command again, or give "
        "another --mirror"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _may_pass(error: requests.RequestException) -> bool:
    """Return whether another try may succeed."""
    if error.response is not None:
        return error.response.status_code in (*_TRY_AGAIN, _RANGE_NOT_SATISFIABLE)
    return isinstance(
        error,
        requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError,
    )


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}".strip()
    if isinstance(error, requests.Timeout):
        return "no answer"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate cannot be verified"
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "no connection, or it breaks off again and again"
    return str(error).splitlines()[0]
