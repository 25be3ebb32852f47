"""Install VAE Balance for yourself: the program, the plug-in for every GIMP, and a self-check.

    python3 installer/install.py
    python3 installer/install.py --uninstall

Needs nothing but Python's standard library, any version from 3.8, and no administrator rights. What
it makes lies in your own folders; run again it mends, renews, or changes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from environment import (
    CONSTRAINTS,
    ROOT,
    InstallError,
    damaged_packages,
    is_ready,
    make_environment,
    pip,
    python_of,
)
from journal import Journal
from record import Record

sys.path[:0] = [str(ROOT / "daemon"), str(ROOT / "shared")]

from torch_build import CPU, CUDA, TorchBuild, choose_torch, sources  # noqa: E402
from uninstall import stop_daemon, uninstall  # noqa: E402
from vae_balance import __version__  # noqa: E402
from vae_balance.installation import plug_in  # noqa: E402
from vae_balance.installation.gimp_profiles import (  # noqa: E402
    GimpProfile,
    find_profiles,
    find_programs,
    make_profile,
)
from vae_balance.installation.nvidia import find_gpu  # noqa: E402
from vae_balance.installation.places import Places  # noqa: E402

# What is downloaded beside PyTorch.
_OTHER_MEGABYTES = 72


class Installer:
    """One run of the installer."""

    def __init__(self, options: argparse.Namespace, places: Places, journal: Journal) -> None:
        """Look at what an earlier run has left."""
        self.options = options
        self.places = places
        self.journal = journal
        self.record = Record(Path(places.record))

    def install(self) -> None:
        """Do everything.

        Raises:
            InstallError: it cannot be done.
            subprocess.CalledProcessError: a command failed.
            OSError: something cannot be written.
        """
        if not self.journal.dry_run:
            self._keep_record()
        self._install_package()
        profiles = self._install_plug_ins()
        self._write_client_file()
        self._link_command()
        if not self.journal.dry_run:
            self._check(profiles)

    def _keep_record(self) -> None:
        for folder, mode in ((self.places.data, 0o777), (self.places.state, 0o700)):
            self.record.make_folder(Path(folder), mode)
        self.record.save()
        self.journal.keep_log(Path(self.places.install_log), sys.argv)

    # The private environment

    def _install_package(self) -> None:
        folder = Path(self.places.environment)
        wanted = self.options.torch or self.record.torch
        source, digest = self._source()
        digest = f"{digest} torch={wanted}"
        ready = is_ready(folder, self.options.python)
        damaged = damaged_packages(folder) if ready else []
        if damaged:
            self.journal.say(f"Damaged, and to be installed anew: {', '.join(damaged)}.")
        elif ready and self.record.digest == digest and self._runs():
            self.journal.say(f"VAE Balance {__version__} is in {folder} already.")
            return
        if ready:
            stop_daemon(self.places, self.journal)
        self._note(digest="")
        if not ready:
            self.journal.do(
                f"make a Python environment in {folder}",
                lambda: make_environment(folder, self.options.python),
            )
        build = choose_torch(wanted, self.places.platform, platform.machine(), find_gpu())
        self.journal.say(_torch_text(build, self.options.wheels))
        self._pip(source, build, damaged)
        self._note(digest=digest, torch=wanted)

    def _source(self) -> tuple[Path, str]:
        """Return the wheel or checkout to install, and what changes with its content."""
        wheel = self.options.wheel
        if wheel is None and self.options.wheels is not None:
            found = sorted(self.options.wheels.glob(f"vae_balance-{__version__}-*.whl"))
            wheel = found[0] if found else None
        hashed = hashlib.sha256(CONSTRAINTS.read_bytes())
        for path in [wheel] if wheel else _package_files():
            hashed.update(path.read_bytes())
        return wheel or ROOT, hashed.hexdigest()

    def _runs(self) -> bool:
        python = str(python_of(Path(self.places.environment)))
        command = [python, "-m", "vae_balance", "--version"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _pip(self, source: Path, build: TorchBuild, damaged: list[str]) -> None:
        python = python_of(Path(self.places.environment))
        offline = self.options.wheels is not None
        environ = {**os.environ, "PIP_CACHE_DIR": str(self.places.downloads)}
        if offline:
            environ = {n: v for n, v in environ.items() if not n.upper().startswith("PIP_")}
            environ["PIP_CONFIG_FILE"] = os.devnull
            finding = ["--quiet", "--no-index", "--find-links", str(self.options.wheels.resolve())]
        else:
            finding = [] if self.journal.dry_run else sources(build, python)
        logged = ["--log", str(self.places.install_log)]
        # Of the same version, they would be left as they are.
        remove = pip(python, "uninstall", "--yes", "--quiet", "vae-balance", *damaged)
        if not self.journal.dry_run:
            subprocess.run(remove, capture_output=True, check=False, env=environ)
        requirements = [str(source), "torch" if offline else build.requirement]
        command = pip(python, "install", "--constraint", str(CONSTRAINTS), *logged, *finding)
        try:
            self.journal.run(
                f"install VAE Balance {__version__} from {source}, and what it needs",
                [*command, *requirements],
                environ,
            )
        except subprocess.CalledProcessError as error:
            if build.index is None or build.index not in finding:
                raise
            raise InstallError(
                f"pip failed, see above; if {build.index} cannot be reached from here, "
                "--wheels DIR installs without a network, and on Linux --torch cuda takes the "
                "larger build of the Python Package Index, which uses the CPU, too"
            ) from error
        # Complete downloads are there for the next try; after this one nobody needs them.
        self.journal.do(
            f"remove downloads from {self.places.downloads}",
            lambda: shutil.rmtree(self.places.downloads, ignore_errors=True),
        )

    def _note(self, digest: str, torch: str | None = None) -> None:
        self.record.digest = digest
        self.record.torch = torch or self.record.torch
        if not self.journal.dry_run:
            self.record.save()

    # GIMP

    def _install_plug_ins(self) -> list[GimpProfile]:
        profiles = self._profiles()
        for profile in profiles:
            try:
                files = plug_in.files_for(ROOT, profile.version)
            except FileNotFoundError as error:
                raise InstallError(f"this checkout is not whole: {error}") from error
            place = plug_in.folder_of(profile)
            if plug_in.is_current(profile, files, __version__):
                self.journal.say(f"The plug-in for {profile.label} is in {place} already.")
                continue
            self.journal.do(
                f"put the plug-in for {profile.label} into {place}",
                partial(self._put_plug_in, profile, files),
            )
        return profiles

    def _put_plug_in(self, profile: GimpProfile, files: dict[str, Path]) -> None:
        self.record.make_folder(profile.plug_ins)
        self.record.add_profile(profile.folder)
        plug_in.install(profile, files, __version__)

    def _profiles(self) -> list[GimpProfile]:
        chosen = [path.resolve() for path in self.options.gimp_profile]
        for path in chosen:
            if not path.is_dir():
                raise InstallError(f"{path}: no such folder; start that GIMP once to make it")
        profiles = find_profiles(self.places, os.environ, chosen)
        for program in find_programs(self.places, os.environ):
            if any(profile.version == program.version for profile in profiles):
                continue
            self.journal.do(
                f"start GIMP {program.version} once without a window, so that it makes its profile",
                partial(make_profile, program),
            )
        return find_profiles(self.places, os.environ, chosen)

    # How programs find the daemon

    def _write_client_file(self) -> None:
        path = Path(self.places.client_file)
        command = [str(self.places.environment_python), "-m", "vae_balance"]
        text = json.dumps({"command": command}, indent=1) + "\n"
        if path.exists() and path.read_text(encoding="utf-8", errors="replace") == text:
            return

        def write() -> None:
            self.record.make_folder(path.parent)
            self.record.save()
            temporary = path.with_name(f"{path.name}.partial")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)

        self.journal.do(f"write {path}, which tells GIMP how to start the daemon", write)

    def _link_command(self) -> None:
        if self.places.command_link is None:
            return
        link, program = Path(self.places.command_link), Path(self.places.environment_program)
        if link.is_symlink() and os.readlink(link) == str(program):  # noqa: PTH115
            return
        if link.exists():
            self.journal.say(f"{link} is another program, and stays; the command is {program}.")
            return

        def make() -> None:
            self.record.make_folder(link.parent)
            self.record.save()
            link.unlink(missing_ok=True)  # one that leads nowhere
            link.symlink_to(program)

        self.journal.do(f"link {link} to the command", make)

    # The end

    def _check(self, profiles: list[GimpProfile]) -> None:
        say = self.journal.say
        say("Checking:")
        python = str(self.places.environment_python)
        command = [python, "-m", "vae_balance", "doctor", "--photo", str(self.places.self_check)]
        healthy = subprocess.run(command, check=False).returncode == 0
        say("")
        for profile in profiles:
            say(f"In {profile.label}: open a photo, then Filters > Color > VAE Balance...")
        if profiles:
            say("A GIMP that is open now has it after its next start.")
        else:
            say("There is no GIMP here. Once you have started one, run this again for its plug-in.")
        if any(profile.sandboxed for profile in profiles):
            say(
                "A GIMP from flatpak or snap cannot start the daemon itself: let it be started at "
                f"login, with: {_shown(python)} -m vae_balance service install"
            )
        say(f"In a shell: {self._command()} --help")
        say(f"Log: {self.places.install_log}")
        say(f"To remove all of it: {_shown(sys.executable)} {_shown(__file__)} --uninstall")
        if not healthy:
            raise InstallError("all is installed, but not all is well: see the red lines above")

    def _command(self) -> str:
        link = self.places.command_link
        if link is not None and str(link.parent) in os.environ.get("PATH", "").split(os.pathsep):
            return link.name
        return _shown(str(link or self.places.environment_program))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = _parser().parse_args(arguments)
    places = Places(os.environ, sys.platform)
    journal = Journal(options.dry_run)
    try:
        _refuse_sudo(os.environ)
        if options.uninstall:
            uninstall(places, journal, options.gimp_profile)
        else:
            Installer(options, places, journal).install()
    except subprocess.CalledProcessError as error:
        journal.fail(f"this failed: {_shown(*map(str, error.cmd))}; run install.py again to go on")
    except OSError as error:
        journal.fail(f"{error.filename}: {error.strerror}")
    except InstallError as error:
        journal.fail(str(error))
    except KeyboardInterrupt:
        journal.fail("interrupted; run install.py again to go on")
        return 130
    else:
        return 0
    return 1


def _refuse_sudo(environ: Mapping[str, str]) -> None:
    if environ.get("SUDO_USER", "root") != "root":
        raise InstallError("leave out sudo: this installs for the user who runs it, without rights")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="install.py",
        description="Install VAE Balance for yourself, with the plug-in for every GIMP you have.",
    )
    add = parser.add_argument
    add("--uninstall", action="store_true", help="remove all of it and nothing else")
    add("--dry-run", action="store_true", help="print every step and do none")
    add("--python", metavar="PATH", help="the Python 3.10 or later to run VAE Balance with")
    add("--torch", choices=(CPU, CUDA), help="the build of PyTorch; left out, what fits the driver")
    add("--wheel", type=Path, metavar="FILE", help="a wheel of VAE Balance, not this checkout")
    add("--wheels", type=Path, metavar="DIR", help="install from these wheels, without a network")
    add(
        "--gimp-profile",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a further folder of a GIMP's settings that gets the plug-in",
    )
    return parser


def _torch_text(build: TorchBuild, wheels: Path | None) -> str:
    if wheels is not None:
        return f"PyTorch: the build in {wheels}; nothing is downloaded."
    kind = "for the CPU" if build.kind == CPU else "for CUDA"
    return (
        f"PyTorch {kind}: {build.reason}. About {build.megabytes + _OTHER_MEGABYTES} MB are "
        "downloaded in all."
    )


def _package_files() -> Iterator[Path]:
    yield ROOT / "pyproject.toml"
    for folder in ("daemon", "shared"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                yield path


def _shown(*words: str) -> str:
    """Return a command as one types it."""
    if os.name == "nt":
        return subprocess.list2cmdline(words)
    return " ".join(map(shlex.quote, words))


if __name__ == "__main__":
    sys.exit(main())
