"""A folder of wheels: this checkout's, and those of everything that it needs."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from pathlib import Path

from roots import kept, whole

from torch_build import CPU, choose_torch, sources
from vae_balance.installation.places import platform_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PROJECT = Path(__file__).resolve().parents[2]
_MEGABYTES = 400


def wheels_of_checkout() -> Path:
    """Return the folder; what comes from the network is kept below ~/.cache for the next time."""
    project = tomllib.loads((_PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    constraints = (_PROJECT / "constraints.txt").read_text(encoding="utf-8")
    recipe = json.dumps([sys.version, project["dependencies"], constraints])
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:8]
    folder = kept(f"wheels-{digest}", _download)
    for old in folder.glob("vae_balance-*"):
        old.unlink()
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=_PROJECT, check=True, capture_output=True)
    return folder


def _download(folder: Path) -> None:
    torch = choose_torch(CPU, platform_of(sys.platform), platform.machine(), None)
    python = Path(sys.executable)
    with whole(folder, _MEGABYTES) as partial:
        subprocess.run(
            [
                *(str(python), "-m", "pip", "download", "--quiet", "--dest", str(partial)),
                *("--constraint", str(_PROJECT / "constraints.txt"), *sources(torch, python)),
                *(torch.requirement, str(_PROJECT)),
            ],
            check=True,
        )
