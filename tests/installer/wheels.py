"""A folder of wheels: this checkout's, and those of everything that it needs."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from roots import kept

from torch_build import CPU, choose_torch, sources
from vae_balance.installation.places import platform_of

_PROJECT = Path(__file__).resolve().parents[2]


def wheels_of_checkout() -> Path:
    """Return the folder; what comes from the network is kept below ~/.cache for the next time."""
    recipe = sys.version.encode()
    for name in ("pyproject.toml", "constraints.txt"):
        recipe += (_PROJECT / name).read_bytes()
    digest = hashlib.sha256(recipe).hexdigest()[:8]
    folder = kept(f"wheels-{digest}", _download)
    for old in folder.glob("vae_balance-*"):
        old.unlink()
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=_PROJECT, check=True, capture_output=True)
    return folder


def _download(folder: Path) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    torch = choose_torch(CPU, platform_of(sys.platform), platform.machine(), None)
    python = Path(sys.executable)
    subprocess.run(
        [
            *(str(python), "-m", "pip", "download", "--quiet", "--dest", str(partial)),
            *("--constraint", str(_PROJECT / "constraints.txt"), *sources(torch, python)),
            *(torch.requirement, str(_PROJECT)),
        ],
        check=True,
    )
    partial.rename(folder)
