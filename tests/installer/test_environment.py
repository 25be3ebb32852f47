"""What the installer sees of an environment that is there already."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from environment import damaged_packages, python_of

CONTENT = b"print('as it was installed')\n"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment without any package, not even pip."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder


@pytest.fixture
def packages(environment: Path) -> dict[str, Path]:
    """Return the file of each of two packages as they are after an installation."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    told = [str(python_of(environment)), "-c", code]
    site = Path(subprocess.run(told, check=True, capture_output=True, text=True).stdout.strip())
    return {name: put_package(site, name) for name in ("vae-balance", "other")}


def put_package(site: Path, name: str) -> Path:
    file = site / f"{name}.py"
    file.write_bytes(CONTENT)
    digest = base64.urlsafe_b64encode(hashlib.sha256(CONTENT).digest()).rstrip(b"=").decode()
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    rows = [
        f"{file.name},sha256={digest},{len(CONTENT)}",
        f"__pycache__/{name}.pyc,,",
        f"{info.name}/RECORD,,",
    ]
    (info / "RECORD").write_text("\n".join(rows) + "\n")
    return file


def test_packages_that_are_whole_are_left(environment: Path, packages: dict[str, Path]) -> None:
    assert damaged_packages(environment) == []


@pytest.mark.parametrize("name", ["vae-balance", "other"])
@pytest.mark.parametrize("content", [None, CONTENT[:-1]])
def test_a_package_that_lost_something_is_named(
    environment: Path, packages: dict[str, Path], name: str, content: bytes | None
) -> None:
    if content is None:
        packages[name].unlink()
    else:
        packages[name].write_bytes(content)
    assert damaged_packages(environment) == [name]


def test_of_our_own_package_every_byte_counts(environment: Path, packages: dict[str, Path]) -> None:
    packages["vae-balance"].write_bytes(CONTENT[:-2] + b"!\n")
    assert damaged_packages(environment) == ["vae-balance"]
