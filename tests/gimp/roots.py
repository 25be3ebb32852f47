"""Roots: folders with a Debian of another suite, in which a real GIMP of that suite runs.

    python3 tests/gimp/roots.py build trixie /var/tmp/gimp-3.0
    python3 tests/gimp/roots.py run /var/tmp/gimp-3.0 --io /var/tmp/io -- gimp-console --version

Tests take `gimp_3(SUITE)` or `cached(SUITE, PACKAGES)`. Needs root rights, debootstrap and apt's
configuration of a Debian, of which the mirror is read. Standard library only.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

# What GIMP 3 needs: trixie has 3.0, sid 3.2.
GIMP_3 = ("gimp",)
# What a window without a screen needs, and the tools to drive it.
WINDOW = ("xvfb", "xdotool", "scrot", "fonts-dejavu-core", "adwaita-icon-theme", "locales")

# Seconds, after which a command in a root is given up; more where the computer has other work.
PATIENCE = float(os.environ.get("GIMP_TEST_PATIENCE", "600"))

_APT = """\
Acquire::Languages "none";
APT::Install-Recommends "false";
// A mirror of a rolling suite may be older than its Valid-Until.
Acquire::Check-Valid-Until "false";
"""
# A root that a power cut has spoiled is built again.
_DPKG = "force-unsafe-io\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/doc/*\n"
# What a root is rid of in the end, some 220 MB; it is no part of the checksum of roots there are.
_NEEDLESS = ("var/lib/apt/lists/*", "usr/share/doc/*", "usr/share/man/*", "usr/share/info/*")
_LANGUAGES = ("en", "de", "es", "fr", "zh")
# What is needed at most while a root is built, and what is to be left then for other tests.
_BUILD_MB = 1300
_LEFT_MB = 700
_KEPT_SECONDS = 7 * 24 * 3600

_PRIVATE = ("unshare", "--mount", "--propagation", "private")
# What stays mounted after a command would be in the way of removing the root: the mounts are
# private to the command. $1 is the root, $2 the folder that becomes /io.
_ENTER = """
root=$1 io=$2; shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$io" "$root/io"
exec chroot "$root" "$@"
"""
_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "DEBIAN_FRONTEND": "noninteractive",
    "NO_AT_BRIDGE": "1",
    "GTK_A11Y": "none",
}


class RootError(Exception):
    """A root cannot be built here; the message says why."""


class NoRoomError(RootError):
    """There is too little room on the disk; to fill it would make the other tests fail."""


def gimp_3(suite: str) -> Path:
    """Return a root with GIMP 3, a screen in memory and what drives a window; see `cached`."""
    return cached(suite, (*GIMP_3, *WINDOW))


def check_host() -> None:
    """Check that this machine can build roots, and install debootstrap if that is all it lacks.

    Raises:
        RootError: it cannot.
    """
    if not sys.platform.startswith("linux"):
        raise RootError("GIMP of a Debian runs on Linux only")
    if os.geteuid() != 0:
        raise RootError("building a Debian root folder needs root rights")
    missing = [tool for tool in ("apt-get", "unshare", "chroot") if not shutil.which(tool)]
    if missing:
        raise RootError(f"building a Debian root folder needs {', '.join(missing)}")
    mirror()
    mounting = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if mounting.returncode:
        raise RootError(f"a Debian root folder needs mounts: {_last_line(mounting.stderr)}")
    with alone("debootstrap"):
        _install_debootstrap()


def _install_debootstrap() -> None:
    if shutil.which("debootstrap"):
        return
    subprocess.run(["apt-get", "update"], check=False, capture_output=True)
    command = ["apt-get", "install", "-y", "--no-install-recommends", "debootstrap"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RootError(f"debootstrap cannot be installed: {_last_line(done.stderr)}")


def mirror() -> str:
    """Return the address of the Debian mirror that apt uses here.

    Raises:
        RootError: apt knows none.
    """
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    listed = subprocess.run(command, check=False, capture_output=True, text=True)
    for address in listed.stdout.split():
        if address.rstrip("/").endswith("/debian"):
            return address
    raise RootError("apt's configuration names no mirror of Debian")


def cached(
    suite: str,
    packages: Sequence[str],
    finish: Callable[[Path], None] | None = None,
    recipe: str = "",
) -> Path:
    """Return a root with packages of a suite; the first time it is built, which takes minutes.

    It is `kept` under a name that holds a checksum of all arguments.

    Args:
        suite: "trixie", "sid", "bullseye"...
        packages: names of Debian packages, as GIMP_3 and WINDOW.
        finish: puts into the root, whose path it gets, what is in no package; `command_inside`
            runs commands there.
        recipe: what `finish` does, for the checksum: text of its own source, for instance.

    Raises:
        RootError: `check_host` or `build` failed.
    """
    check_host()
    whole = repr((suite, sorted(packages), recipe, _APT, _DPKG))
    name = f"{suite}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
    return kept(name, lambda root: build(suite, root, packages, finish))


def kept(name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that is made the first time, and there from then on.

    It is kept in the folder $GIMP_TEST_ROOTS, by default below ~/.cache, until nobody has asked for
    it for a week. Tests that run at the same time wait for each other.

    Args:
        name: of the folder: its kind, "-", a checksum of all that its content depends on.
        make: makes it, given its path; it must appear when all is done, and not before: `whole`.
    """
    folder = _folder() / name
    with alone(name):
        if not folder.exists():
            _remove_outdated(name.partition("-")[0])
            make(folder)
        os.utime(folder)
    return folder


def _remove_outdated(kind: str) -> None:
    """Remove what was kept of a kind and was not asked for lately: another checksum is of today."""
    for folder in _folder().glob(f"{kind}-*"):
        if folder.is_dir() and folder.stat().st_mtime < time.time() - _KEPT_SECONDS:
            shutil.rmtree(folder)


@contextmanager
def whole(folder: Path, megabytes: int) -> Iterator[Path]:
    """Yield a new folder, which becomes `folder` when the block ends well, and else is removed.

    Args:
        folder: the path, at which there is none.
        megabytes: that it needs at most.

    Raises:
        NoRoomError: there is less room.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    partial.mkdir(parents=True)
    try:
        check_room(partial, megabytes)
        yield partial
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def check_room(folder: Path, megabytes: int) -> None:
    """Check that a folder's disk has room, and some more for other tests.

    Raises:
        NoRoomError: it has not.
    """
    free = shutil.disk_usage(folder).free // 1_000_000
    if free < megabytes + _LEFT_MB:
        wanted = f"{megabytes} MB of room in {folder}, and {_LEFT_MB} MB for other tests"
        raise NoRoomError(f"this needs {wanted}, but there are {free} MB")


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Let one process at a time do something."""
    with (_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _folder() -> Path:
    folder = Path(os.environ.get("GIMP_TEST_ROOTS") or Path.home() / ".cache/vae-balance-roots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def build(
    suite: str,
    root: Path,
    packages: Sequence[str],
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Build a root with packages of a suite.

    Args:
        suite: as Debian's mirror calls it.
        root: the folder, which must not be there; it appears when all is done.
        packages: as for `cached`.
        finish: as for `cached`.

    Raises:
        NoRoomError: the disk has too little room.
        RootError: it failed; the message has the last line of the log, which lies beside the root.
    """
    log = root.with_name(f"{root.name}.log")
    with whole(root, _BUILD_MB) as partial, log.open("w") as output:
        options = ["--variant=minbase", "--include=ca-certificates"]
        # What it mounts is gone with it, however it ends.
        command = [*_PRIVATE, "debootstrap", *options, suite, str(partial), mirror()]
        _logged(command, output, log)
        _configure(partial)
        install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
        for command in (["apt-get", "update"], install, ["apt-get", "clean"]):
            _logged(command_inside(partial, partial / "io", command), output, log)
        if finish is not None:
            finish(partial)
        _remove_needless(partial)


def command_inside(root: Path, io: Path, command: Sequence[str], **variables: str) -> list[str]:
    """Return the command that runs another one in a root.

    Args:
        root: from `cached` or `build`.
        io: the folder that the command sees as /io.
        command: what to run, with paths of the root.
        variables: for its environment, which is clean otherwise.
    """
    settings = [f"{name}={value}" for name, value in {**_ENVIRONMENT, **variables}.items()]
    enter = [*_PRIVATE, "sh", "-euc", _ENTER, "sh"]
    return [*enter, str(root), str(io), "/usr/bin/env", "-i", *settings, *command]


def output_inside(
    root: Path, io: Path, command: Sequence[str], seconds: float = PATIENCE, **variables: str
) -> str:
    """Run a command in a root; return what it printed, errors included.

    Nothing that it has started outlives it, unless it is in a session of its own.

    Args:
        root: as for `command_inside`, as are `io`, `command` and `variables`.
        seconds: when it is given up.

    Raises:
        RootError: it was given up; the message has what it printed.
    """
    inside = command_inside(root, io, command, **variables)
    # A file, as what outlives the command would keep a pipe open.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            inside, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        is_late = False
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            is_late = True
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        printed = output.read()
    if is_late:
        raise RootError(f"{' '.join(command)} took over {seconds:g} s: {printed}")
    return printed


def _configure(root: Path) -> None:
    (root / "io").mkdir()
    (root / "etc/apt/apt.conf.d/99lean").write_text(_APT)
    (root / "etc/dpkg/dpkg.cfg.d/lean").write_text(_DPKG)
    # No service may start in a root.
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)


def _remove_needless(root: Path) -> None:
    for pattern in _NEEDLESS:
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for path in (root / "usr/share/locale").iterdir():
        if path.is_dir() and not path.name.startswith(_LANGUAGES):
            shutil.rmtree(path)


def _logged(command: Sequence[str], output: object, log: Path) -> None:
    done = subprocess.run(command, check=False, stdout=output, stderr=subprocess.STDOUT)  # type: ignore[call-overload]
    if done.returncode:
        raise RootError(f"{command[0]} failed: {_last_line(log.read_text())}; see {log}")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tasks = parser.add_subparsers(dest="task", required=True)
    builder = tasks.add_parser("build", help="build a root")
    builder.add_argument("suite", help="trixie for GIMP 3.0, sid for GIMP 3.2")
    builder.add_argument("root", type=Path)
    builder.add_argument("packages", nargs="*", default=[*GIMP_3, *WINDOW])
    runner = tasks.add_parser("run", help="run a command in a root")
    runner.add_argument("root", type=Path)
    runner.add_argument("--io", type=Path, required=True, help="the folder that becomes /io")
    runner.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    runner.add_argument("command", nargs="+")
    given = parser.parse_args(arguments)
    if given.task == "run":
        variables = dict(pair.split("=", 1) for pair in given.set)
        inside = command_inside(given.root, given.io, given.command, **variables)
        return subprocess.run(inside, check=False).returncode
    try:
        check_host()
        build(given.suite, given.root, given.packages)
    except RootError as error:
        print(f"roots.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
