"""Set up VAE Balance in `.venv` of this folder, then show a demo or run the tests.

    python3 installer/run.py demo
    python3 installer/run.py test

Needs nothing but Python's standard library, any version from 3.8; the program itself needs
Python 3.10 or later, which is looked for.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
# Minor versions of Python 3 for which constraints.txt names packages.
VERSIONS = (13, 12, 11, 10, 14)
EXTRAS = {"demo": "", "test": "[test]"}

# Fails without the parts that Debian and Ubuntu keep in a package of their own.
_PROBE = "import ensurepip, sys, venv; print(*sys.version_info[:2])"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=sorted(EXTRAS), help="what to do once all is installed")
    parser.add_argument("--python", metavar="PATH", help="the Python to make the environment with")
    known, further = parser.parse_known_args(arguments)
    try:
        python = make_environment(known.python)
        install(python, known.task)
    except subprocess.CalledProcessError as error:
        print(f"run.py: this failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    failed = [command for command in commands(known.task, python, further) if not succeeds(command)]
    for command in failed:
        print(f"run.py: this failed: {' '.join(command)}", file=sys.stderr)
    return 1 if failed else 0


def make_environment(wanted: str | None) -> Path:
    """Make the virtual environment unless it is there; return its Python.

    Args:
        wanted: the Python to make it with; None takes the first that can.

    Raises:
        RuntimeError: no Python here can.
    """
    folder = "Scripts" if os.name == "nt" else "bin"
    python = ENVIRONMENT / folder / ("python.exe" if os.name == "nt" else "python")
    if not python.exists():
        source = choose_python([wanted] if wanted else candidates())
        subprocess.run([source, "-m", "venv", "--clear", ENVIRONMENT], check=True)
    return python


def candidates() -> list[str]:
    """Return the Pythons that may do: the one that runs this, then others on the path."""
    others = (shutil.which(f"python3.{minor}") for minor in VERSIONS)
    return [sys.executable, *(path for path in others if path)]


def choose_python(paths: list[str]) -> str:
    """Return the first Python of a supported version that can make virtual environments.

    Raises:
        RuntimeError: none can; the message says what to install.
    """
    oldest, newest = min(VERSIONS), max(VERSIONS)
    reasons = []
    for path in paths:
        try:
            probe = subprocess.run([path, "-c", _PROBE], capture_output=True, text=True, check=True)
        except OSError as error:
            reasons.append(f"{path} does not run ({error.strerror})")
        except subprocess.CalledProcessError:
            reasons.append(f"{path} lacks venv (Debian and Ubuntu: apt install python3-venv)")
        else:
            major, minor = map(int, probe.stdout.split())
            if major == 3 and minor in VERSIONS:
                return path
            reasons.append(f"{path} is Python {major}.{minor}")
    raise RuntimeError(
        f"needs Python 3.{oldest} to 3.{newest} with venv, but {'; '.join(reasons)}; "
        "install one, or name one with --python PATH"
    )


def install(python: Path, task: str) -> None:
    """Install the project and what the task needs, unless that was done with the same files."""
    recipe = b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
    digest = hashlib.sha256(recipe).hexdigest()
    stamp = ENVIRONMENT / f"installed-{task}"
    if stamp.exists() and stamp.read_text(encoding="ascii") == digest:
        return
    print(f"Installing into {ENVIRONMENT}; PyTorch is large, this takes minutes.", flush=True)
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    project = ["--editable", f"{ROOT}{EXTRAS[task]}"]
    subprocess.run([*pip, *constraints, *project], check=True)
    stamp.write_text(digest, encoding="ascii")


def commands(task: str, python: Path, further: list[str]) -> list[list[str]]:
    """Return what the task runs; `further` arguments go to the demo or to pytest."""
    module = [str(python), "-m"]
    if task == "demo":
        return [[*module, "vae_balance", "demo", "--out-dir", "demo", "--force", *further]]
    return [[*module, "ruff", "check", "."], [*module, "mypy"], [*module, "pytest", *further]]


def succeeds(command: list[str]) -> bool:
    """Run a command in the project's folder; return whether it succeeded."""
    return subprocess.run(command, cwd=ROOT).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
