"""Files and folders that are written: whole or not at all, and nothing replaced unasked."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import sys
import tempfile
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

from vae_balance.errors import BalanceError, OutputExistsError

if sys.platform != "win32":
    import fcntl

_PREFIX = ".vae-balance-"
_TEMPORARY = re.compile(re.escape(_PREFIX) + r"[0-9a-f]{16}(\.[^.]*)?")
_OWNERS = 0o600
_UMASK_LOCK = threading.Lock()
# Permissions of new files and of new folders; None for what the umask allows.
_new_modes: ContextVar[tuple[int, int] | None] = ContextVar("new_modes", default=None)
_ADVICE = {
    errno.ENOSPC: "free some space or choose another drive",
    errno.EDQUOT: "free some space or choose another drive",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that you may write to",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextmanager
def atomic_write(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it becomes `path` when the block ends well.

    The temporary file exists already, is empty, and carries the suffix of `path`, so that
    writers that choose a format by suffix can be given it. If the block raises anything,
    KeyboardInterrupt included, it is removed and an old file at `path` is as it was. A symbolic
    link at `path` stays and the file it points to is replaced. A new file gets the permissions
    that the umask, or `as_private_as` around it, allows; a replaced one keeps those of the old
    file. It has no others for a moment.

    Raises:
        OutputExistsError: `path` exists, or appears while the block runs, and `overwrite` is
            false.
        BalanceError: The file cannot be written: its folder is missing or read-only, `path` is a
            folder or a device, the disk is full.
    """
    target = Path(os.path.realpath(path))
    temporary = target.parent / f"{_PREFIX}{secrets.token_hex(8)}{target.suffix}"
    try:
        old_mode = _check_target(target, path, overwrite)
        mode = old_mode if old_mode is not None else _new_file_mode()
        with _made_and_locked(temporary, 0o666 if mode is None else _OWNERS):
            yield temporary
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            if mode is not None:
                temporary.chmod(mode)
            if overwrite:
                temporary.replace(target)
            else:
                _move_without_replacing(temporary, target)
        _flush_folder(target.parent)
    except OSError as error:
        ours = error.filename is None or str(error.filename) in (str(temporary), str(target))
        if error.errno is None or not ours:  # of a library's own making, or about another file
            raise
        if isinstance(error, FileExistsError):
            raise _exists(path) from error
        raise cannot_be_written(path, error) from error
    finally:
        with suppress(OSError):  # the error that brought us here matters more
            temporary.unlink(missing_ok=True)


def cannot_be_written(path: str | os.PathLike[str], error: OSError) -> BalanceError:
    """Return the error that tells why a file cannot be written, and what to do."""
    reason = error.strerror or str(error)
    advice = _ADVICE.get(error.errno or 0, "choose another place")
    return BalanceError(f"{path}: cannot be written: {reason}; {advice}")


@contextmanager
def as_private_as(
    sources: Iterable[str | os.PathLike[str]], umask: int | None = None
) -> Iterator[None]:
    """Let nobody read the new files of the block who cannot read the sources.

    Args:
        sources: files; those that are missing do not count.
        umask: of whoever wants the files and their folders, by default that of this process.
    """
    allowed = 0o777 & ~(process_umask() if umask is None else umask)
    mode = 0o666 & allowed
    for source in sources:
        with suppress(OSError):
            mode &= Path(source).stat().st_mode | _OWNERS
    token = _new_modes.set((mode, allowed))
    try:
        yield
    finally:
        _new_modes.reset(token)


def same_files(paths: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the places of two paths, of files that need not exist yet, that would be one file.

    Names that differ in case, or in how accents are composed, are one file on some systems, and
    that depends on the drive: it is tried out.
    """
    alike_folder = lru_cache(maxsize=1024)(lambda folder: _folded(os.path.realpath(folder)))
    seen: dict[int, int] = {}  # by hash: there may be a million, and a few are tried in vain
    for place, path in enumerate(paths):
        folder, name = os.path.split(path)
        alike = hash((alike_folder(folder), _folded(name)))
        first = seen.setdefault(alike, place)
        if first != place and _is_one_file(Path(paths[first]), Path(path)):
            yield first, place


def _folded(name: str) -> str:
    """Return what names have in common that some systems do not tell apart."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name.casefold())


def _is_one_file(first: Path, second: Path) -> bool:
    """Try out, in a folder of its own, whether two paths that look alike are one file."""
    one, other = Path(os.path.realpath(first.parent)), Path(os.path.realpath(second.parent))
    common = Path(os.path.commonpath([one, other]))
    existing = next(folder for folder in (common, *common.parents) if folder.is_dir())
    try:
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=existing) as trial:
            made = Path(trial, one.relative_to(common), first.name)
            made.parent.mkdir(parents=True, exist_ok=True)
            made.touch()
            return Path(trial, other.relative_to(common), second.name).exists()
    except OSError:
        return True  # nothing can be written here, which is told when it is tried


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of `atomic_write` that killed processes have left in a folder.

    Those that are being written are locked, and stay. Not on Windows, whose locks forbid renaming.
    """
    if sys.platform == "win32":
        return
    with suppress(OSError):  # no such folder, or none that may be read
        with os.scandir(folder) as entries:
            paths = [folder / entry.name for entry in entries if entry.name.startswith(_PREFIX)]
        for left in [path for path in paths if _TEMPORARY.fullmatch(path.name)]:
            with suppress(OSError), left.open("rb+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for path in paths:  # a writer may have put another file beside it
                    if path.name.startswith(left.name):
                        path.unlink(missing_ok=True)


@contextmanager
def marked(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield a file in a folder for the block, and the one line that only who sees it can know.

    Raises:
        BalanceError: it cannot be written.
    """
    mark = folder / f"{_PREFIX}{secrets.token_hex(8)}"
    content = secrets.token_hex(16)
    try:
        with _made_and_locked(mark, 0o644):
            mark.write_text(content, encoding="ascii")
            yield mark, content
    except OSError as error:
        if str(error.filename) != str(mark):
            raise
        reason = error.strerror or str(error)
        raise BalanceError(f"{folder}: cannot be written to: {reason}") from error
    finally:
        with suppress(OSError):
            mark.unlink(missing_ok=True)


def real_path(path: Path) -> Path:
    """Return a path, absolute and without links; one that leads to itself stays as it is.

    `Path.resolve` ends with a RuntimeError there before Python 3.13.
    """
    return Path(os.path.realpath(path))


def check_new(path: Path, force: bool) -> None:
    """Check, before the work, that an output may be written.

    Raises:
        OutputExistsError: it exists, and overwriting was not asked for.
    """
    if os.path.lexists(path) and not force:
        raise OutputExistsError(f"{path}: exists already; give --force to overwrite it")


def make_folder(folder: Path) -> None:
    """Make a folder and those it lies in, where they are missing.

    Raises:
        BalanceError: it cannot be made.
    """
    modes = _new_modes.get()
    mode = 0o777 if modes is None else modes[1]
    try:
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir(mode=mode, exist_ok=True)
        folder.mkdir(exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BalanceError(f"{folder}: cannot make this folder: {reason}") from error


def process_umask() -> int:
    """Return the umask, which can only be read by setting it: to none that opens anything."""
    with _UMASK_LOCK:
        umask = os.umask(0o077)
        os.umask(umask)
    return umask


def _new_file_mode() -> int | None:
    modes = _new_modes.get()
    return None if modes is None else modes[0]


@contextmanager
def _made_and_locked(temporary: Path, mode: int) -> Iterator[None]:
    """Make a file, and lock it for the block where the system can: the lock ends with us."""
    while True:
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        if sys.platform == "win32":
            os.close(descriptor)
            yield
            return
        with suppress(OSError):  # some network drives have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if temporary.exists():
            break
        os.close(descriptor)  # `remove_leftovers` was faster than the lock
    try:
        yield
    finally:
        os.close(descriptor)


def _check_target(target: Path, path: str | os.PathLike[str], overwrite: bool) -> int | None:
    """Return the permission bits of the file that will be replaced, None for a new file."""
    if not target.parent.is_dir():
        raise BalanceError(
            f"{path}: cannot be written: there is no folder {target.parent}; create it first"
        )
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        if not overwrite and os.path.lexists(path):  # a link to nothing
            raise _exists(path) from None
        return None
    if stat.S_ISDIR(mode):
        raise BalanceError(f"{path}: is a folder; give the name of a file")
    if not stat.S_ISREG(mode):
        raise BalanceError(f"{path}: is not an ordinary file; give another name")
    if not overwrite:
        raise _exists(path)
    return stat.S_IMODE(mode) & 0o777


def _move_without_replacing(temporary: Path, target: Path) -> None:
    """Rename `temporary` to `target`; FileExistsError if something has appeared there."""
    if os.name == "nt":
        temporary.rename(target)  # on Windows this refuses to replace
        return
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # no hard links here (FAT, some network drives): take the name, then rename
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            temporary.replace(target)
        except BaseException:
            target.unlink()
            raise


def _flush_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, where the system can (not on Windows)."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exists(path: str | os.PathLike[str]) -> OutputExistsError:
    return OutputExistsError(
        f"{path}: exists already; give --force to overwrite it or choose another name"
    )
