"""Python, packages, settings and the command: what is red, and what mends it."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

import pytest
from programs import shell_script

from vae_balance import __version__
from vae_balance.doctor import software
from vae_balance.doctor.finding import Finding

AGAIN = "run the installer again: python3 installer/install.py"


def test_a_python_that_is_too_old_is_red() -> None:
    line = software.python_finding((3, 9, 2))
    assert line.finding.startswith("3.9.2, ")
    assert line.mend == f"needs 3.10 or later: {AGAIN} --python PATH"
    assert software.python_finding().ok


def test_the_package_with_all_that_it_needs_is_green(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: ["click>=8", "numpy", "x; extra == 'y'"])
    monkeypatch.setattr(metadata, "version", lambda name: __version__ if "vae" in name else "8.2")
    line = software.package_finding()
    assert line == Finding("package", f"{__version__}, with all 2 packages that it needs")


def test_a_missing_and_an_old_package_are_red(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "msgpack":
            raise metadata.PackageNotFoundError(name)
        return {"vae-balance": __version__, "pyzmq": "22.1"}[name]

    monkeypatch.setattr(metadata, "requires", lambda name: ["pyzmq>=26.0", "msgpack>=1.0"])
    monkeypatch.setattr(metadata, "version", version)
    line = software.package_finding()
    assert line.finding == f"{__version__}, but pyzmq is 22.1, not >=26.0, msgpack is missing"
    assert line.mend == AGAIN


def test_half_an_upgrade_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "0.0.9")
    line = software.package_finding()
    assert line.finding == f"0.0.9 is installed, but {__version__} is what runs"
    assert line.mend == AGAIN


def test_a_wrong_setting_is_red(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert software.settings_finding() == Finding("settings", "the defaults")
    file = home / ".config/vae-balance/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('devise = "cpu"')
    line = software.settings_finding()
    assert line.finding.startswith(f"{file}: unknown setting 'devise'")
    assert line.mend == "set it right, or remove it to have the default"
    file.write_text('device = "cpu"')
    assert software.settings_finding().finding == str(file)
    monkeypatch.setenv("VAE_BALANCE_JOBS", "many")
    assert "VAE_BALANCE_JOBS is 'many'" in software.settings_finding().finding


def client_file(home: Path, *command: str) -> Path:
    file = home / ".config/vae-balance/client.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"command": command}))
    return file


def test_the_command_of_clients_is_tried(home: Path) -> None:
    client_file(home, sys.executable, "-m", "vae_balance")
    line = software.command_finding()
    assert line == Finding("command", f"{sys.executable} -m vae_balance")


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("echo vae-balance, version 0.0.9", f"is version 0.0.9, this is {__version__}"),
        ("echo Traceback; echo No module vae_balance >&2; exit 1", "No module vae_balance"),
    ],
)
def test_a_command_of_another_version_and_one_that_fails_are_red(
    home: Path, text: str, finding: str
) -> None:
    client_file(home, str(shell_script(home / "program", text)))
    line = software.command_finding()
    assert line.finding.endswith(finding)
    assert line.mend == AGAIN


def test_a_command_that_is_gone_is_red(home: Path) -> None:
    client_file(home, "/removed/bin/python", "-m", "vae_balance")
    line = software.command_finding()
    assert line.finding == "/removed/bin/python -m vae_balance: No such file or directory"
    assert line.mend == AGAIN


def test_a_damaged_client_file_is_red(home: Path) -> None:
    client_file(home).write_text("{")
    line = software.command_finding()
    assert "client.json" in line.finding
    assert line.mend == AGAIN
