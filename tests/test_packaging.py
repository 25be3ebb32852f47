"""What is installed: the wheel's contents, what is imported when, what the documents promise."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from vae_balance.cli import main
from vae_balance.commands import console

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "numpy", "diffusers", "PIL", "PyOpenColorIO", "OpenImageIO", "matplotlib", "dask"}


def imported_by(code: str) -> set[str]:
    """Return the packages that a fresh Python has imported after running `code`."""
    command = [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules, file=sys.stderr)"]
    child = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return {name.split(".")[0] for name in child.stderr.split()}


@pytest.mark.parametrize("arguments", [["--help"], ["balance", "--help"], ["train", "--help"]])
def test_help_imports_nothing_that_computes(arguments: list[str]) -> None:
    code = f"from vae_balance.cli import main; main({arguments}, standalone_mode=False)"
    assert not HEAVY & imported_by(code)


def test_wrong_usage_imports_nothing_that_computes() -> None:
    code = (
        "import click; from vae_balance.cli import main\n"
        "try: main(['balance', 'a.jpg'], standalone_mode=False)\n"
        "except click.UsageError: pass"
    )
    assert not HEAVY & imported_by(code)


def test_applying_a_look_does_not_wait_for_torch(tmp_path: Path) -> None:
    (tmp_path / "look.cube").write_text("LUT_3D_SIZE 2\n" + "0 0 0\n" * 8)
    arguments = ["apply", str(tmp_path / "look.cube"), "missing.jpg", "-o", "out.jpg"]
    code = f"from vae_balance.cli import main; main({arguments}, standalone_mode=False)"
    assert not {"torch", "diffusers"} & imported_by(code)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Return the wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


@pytest.mark.parametrize(
    "name",
    [
        "vae_balance/correctors/latent_balancer/learn.py",
        "vae_balance/py.typed",
        "vae_balance/training/split.json",
        "vae_balance/photos/samples/astronaut.jpg",
        "vae_balance/models/embedded/model.json",
        "vae_balance/models/embedded/README.md",
        "vae_balance/models/embedded/vae/diffusion_pytorch_model.safetensors",
        "vae_balance/models/embedded/latent_balancer/diffusion_pytorch_model.safetensors",
        "vae_balance/models/vae-white-balance/vae/diffusion_pytorch_model.safetensors",
        "vae_balance/models/unet/unet/diffusion_pytorch_model.safetensors",
        "vae_balance_protocol/__init__.py",
    ],
)
def test_the_wheel_holds(wheel: zipfile.ZipFile, name: str) -> None:
    assert name in wheel.namelist()


def test_the_wheel_holds_the_two_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "vae_balance",
        "vae_balance_protocol",
    }


def test_the_model_in_the_wheel_is_small(wheel: zipfile.ZipFile) -> None:
    sizes = [file.file_size for file in wheel.infolist() if "/embedded/" in file.filename]
    assert sum(sizes) <= 16_000_000


def test_the_readme_shows_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = [name for name, command in main.commands.items() if not command.hidden]
    assert [name for name in shown if f"vae-balance {name}" not in readme] == []


def test_readme_and_help_name_the_exit_codes_that_there_are() -> None:
    codes = {0, console.FAILED, console.WRONG_USAGE, console.BAD_MODEL}
    codes |= {console.OUTPUT_EXISTS, console.INTERRUPTED}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", readme, re.MULTILINE)} == codes
    assert {int(code) for code in re.findall(r"^ +(\d+) ", main.help or "", re.MULTILINE)} == codes


def test_ci_runs_the_test_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1]
    assert f"\n    {command}\n" in readme


def test_every_folder_of_the_program_is_on_the_map_and_says_what_it_is() -> None:
    development = (ROOT / "DEVELOPMENT.md").read_text(encoding="utf-8")
    package = ROOT / "daemon" / "vae_balance"
    for start in package.glob("*/__init__.py"):
        assert f"`{start.parent.name}/`" in development
        assert start.read_text(encoding="utf-8").startswith('"""'), start
