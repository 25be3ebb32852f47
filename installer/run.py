"""Set up VAE Balance for development in `.venv` of this folder, and run the tests.

    python3 installer/run.py test

Needs nothing but Python's standard library, any version from 3.8; the program itself needs
Python 3.10 or later, which is looked for.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import subprocess
import sys
from pathlib import Path

from environment import CONSTRAINTS, ROOT, InstallError, make_environment, pip

sys.path[:0] = [str(ROOT / "daemon"), str(ROOT / "shared")]

from torch_build import choose_torch, sources  # noqa: E402
from vae_balance.installation.nvidia import find_gpu  # noqa: E402
from vae_balance.installation.places import platform_of  # noqa: E402

ENVIRONMENT = ROOT / ".venv"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["test"], help="what to do once all is installed")
    parser.add_argument("--python", metavar="PATH", help="the Python to make the environment with")
    known, further = parser.parse_known_args(arguments)
    try:
        python = make_environment(ENVIRONMENT, known.python)
        install(python)
    except subprocess.CalledProcessError as error:
        print(f"run.py: this failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    except InstallError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    failed = [command for command in checks(python, further) if not succeeds(command)]
    for command in failed:
        print(f"run.py: this failed: {' '.join(command)}", file=sys.stderr)
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


def checks(python: Path, further: list[str]) -> list[list[str]]:
    """Return the commands that check the project; `further` arguments go to pytest."""
    module = [str(python), "-m"]
    return [[*module, "ruff", "check", "."], [*module, "mypy"], [*module, "pytest", *further]]


def succeeds(command: list[str]) -> bool:
    """Run a command in the project's folder; return whether it succeeded."""
    return subprocess.run(command, cwd=ROOT).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
