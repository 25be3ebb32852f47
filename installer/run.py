"""Set up VAE Balance for development in `.venv` of this folder, run the tests, make a release.

    python3 installer/run.py test
    python3 installer/run.py test --all
    python3 installer/run.py release

Needs nothing but Python's standard library, any version from 3.8; the program itself needs
Python 3.10 or later, which is looked for.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

from environment import CONSTRAINTS, ROOT, InstallError, make_environment, pip
from release import check_tree, make_release

sys.path[:0] = [str(ROOT / "daemon"), str(ROOT / "shared")]

from torch_build import choose_torch, sources  # noqa: E402
from vae_balance.installation.nvidia import find_gpu  # noqa: E402
from vae_balance.installation.places import platform_of  # noqa: E402

ENVIRONMENT = ROOT / ".venv"
# More processes than this need more memory than they save time.
_MOST_WORKERS = 4


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__.splitlines()[0])
    parser.add_argument(
        "task", choices=["test", "release"], help="what to do once all is installed"
    )
    parser.add_argument("--all", action="store_true", help="run the slow tests, too")
    parser.add_argument("--python", metavar="PATH", help="the Python to make the environment with")
    known, further = parser.parse_known_args(arguments)
    releasing = known.task == "release"
    if releasing and further:
        parser.error(f"release takes no {further[0]}")
    try:
        if releasing:
            check_tree()
        python = make_environment(ENVIRONMENT, known.python)
        install(python)
        failed = [
            command
            for command in checks(python, known.all or releasing, further)
            if not succeeds(command)
        ]
        for command in failed:
            print(f"run.py: this failed: {' '.join(command)}", file=sys.stderr)
        if releasing and not failed:
            make_release(python)
    except subprocess.CalledProcessError as error:
        print(f"run.py: this failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    except InstallError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    return 1 if failed else 0


def install(python: Path) -> None:
    """Install the project and what its tests need, unless that was done with the same files."""
    recipe = b"".join(path.read_bytes() for path in (ROOT / "pyproject.toml", CONSTRAINTS))
    digest = hashlib.sha256(recipe).hexdigest()
    stamp = ENVIRONMENT / "installed-test"
    if stamp.exists() and stamp.read_text(encoding="ascii") == digest:
        return
    build = choose_torch(None, platform_of(sys.platform), platform.machine(), find_gpu())
    print(f"Installing into {ENVIRONMENT}, with {build.requirement}: {build.reason}.", flush=True)
    project = ["--editable", f"{ROOT}[test]"]
    options = ["--constraint", str(CONSTRAINTS), *sources(build, python)]
    subprocess.run(pip(python, "install", *options, build.requirement, *project), check=True)
    stamp.write_text(digest, encoding="ascii")


def checks(python: Path, everything: bool, further: list[str]) -> list[list[str]]:
    """Return the commands that check the project.

    Args:
        python: of the environment.
        everything: whether to run the slow tests, too.
        further: arguments for pytest, which take the place of ours where they contradict.
    """
    module = [str(python), "-m"]
    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    # A file's tests share what they have started, so that they stay together in one process; the
    # order of files is that of tests/conftest.py.
    together = ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]
    chosen = [] if everything else ["-m", "not slow"]
    return [
        [*module, "ruff", "check", "."],
        [*module, "ruff", "format", "--check", "."],
        [*module, "mypy"],
        [*module, "pytest", *together, *chosen, *further],
    ]


def succeeds(command: list[str]) -> bool:
    """Run a command in the project's folder; return whether it succeeded."""
    return subprocess.run(command, cwd=ROOT).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
