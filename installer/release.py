"""Make a release: wheel and source distribution in `dist/`, tried as a user has them.

`python3 installer/run.py release` calls this around all tests. Publishing stays with you.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from environment import CONSTRAINTS, ROOT, InstallError, make_environment, pip

sys.path[:0] = [str(ROOT / "daemon"), str(ROOT / "shared")]

from torch_build import CPU, choose_torch, sources  # noqa: E402
from vae_balance import __version__  # noqa: E402
from vae_balance.installation.places import platform_of  # noqa: E402

DIST = ROOT / "dist"


def check_tree() -> None:
    """Check that what is committed is what will be released, and that the changelog tells of it.

    Raises:
        InstallError: it does not; the message says what to do.
    """
    if _git("status", "--porcelain"):
        raise InstallError(
            "there are changes that are not committed: commit them, or put them away"
        )
    tag = f"v{__version__}"
    tagged = _git("tag", "--list", tag) and _git("rev-list", "-1", tag)
    if tagged and tagged != _git("rev-parse", "HEAD"):
        raise InstallError(
            f"{tag} is an earlier commit: set a new __version__ in daemon/vae_balance/__init__.py"
        )
    check_changelog((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), __version__)


def check_changelog(text: str, version: str) -> None:
    """Check that the changes of a version have a section with its date, and that none wait.

    Raises:
        InstallError: they have not; the message says what to write.
    """
    titles = re.findall(r"^## (.*)", text, flags=re.M)
    waiting = re.search(r"^## \[Unreleased\]\n((?:(?!## ).*\n)*)", text, flags=re.M)
    if waiting and "\n- " in waiting.group(1):
        raise InstallError(f"CHANGELOG.md has unreleased changes: move them below [{version}]")
    dated = re.compile(rf"\[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d")
    if not any(dated.fullmatch(title) for title in titles):
        raise InstallError(f"CHANGELOG.md has no section '## [{version}] - YYYY-MM-DD'")


def make_release(python: Path) -> None:
    """Build and try what is released, and say how it is published.

    Args:
        python: of the environment with the build tool.

    Raises:
        InstallError: something is wrong with what was built.
        subprocess.CalledProcessError: a step failed.
    """
    shutil.rmtree(DIST, ignore_errors=True)
    wheel, source = build(python, ROOT, DIST)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        check_source(python, source, wheel, folder)
        try_wheel(wheel, folder)
    for path in (wheel, source):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(ROOT)}")
    print(
        f"All is well. Publish with: git tag v{__version__} && git push --tags, and upload dist/."
    )


def build(python: Path, project: Path, folder: Path) -> tuple[Path, Path]:
    """Build a project's wheel and source distribution into a folder; return their paths."""
    command = [str(python), "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=project, check=True)
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def check_source(python: Path, source: Path, wheel: Path, folder: Path) -> None:
    """Check that the source distribution builds the same wheel, to the byte.

    Args:
        python: of the environment with the build tool.
        source: the source distribution.
        wheel: what the checkout has built.
        folder: an empty one, to work in.

    Raises:
        InstallError: it does not; the message names the first file that differs.
    """
    shutil.unpack_archive(str(source), str(folder))
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    again, _source = build(python, unpacked, folder / "again")
    first, second = _contents(wheel), _contents(again)
    for name in sorted({*first, *second}):
        if first.get(name) != second.get(name):
            raise InstallError(f"{name} is another in the wheel that {source.name} builds")


def try_wheel(wheel: Path, folder: Path) -> None:
    """Install the wheel into an empty environment, and balance the bundled photo with it.

    Args:
        wheel: to install.
        folder: to make environment and photo in.

    Raises:
        InstallError: it is another version, or no photo came out.
    """
    python = make_environment(folder / "environment", sys.executable)
    torch = choose_torch(CPU, platform_of(sys.platform), platform.machine(), None)
    options = ["--quiet", "--constraint", str(CONSTRAINTS), *sources(torch, python)]
    subprocess.run(pip(python, "install", *options, torch.requirement, str(wheel)), check=True)
    command = [str(python), "-m", "vae_balance"]
    told = subprocess.run(
        [*command, "--version"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout
    if __version__ not in told:
        raise InstallError(f"the wheel says that it is {told.strip()}, not {__version__}")
    subprocess.run([*command, "demo", "--out-dir", "demo"], cwd=folder, check=True)
    if not (folder / "demo" / "before-after.png").exists():
        raise InstallError("the wheel's demo has left no before-after.png")


def _contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
