"""`installer/run.py`: from a bare clone to a demo or a test run."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest


@pytest.fixture
def installer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the script as a module that works on a project of its own, in `tmp_path`."""
    script = Path(__file__).parents[1] / "installer" / "run.py"
    spec = importlib.util.spec_from_file_location("installer_run", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "ENVIRONMENT", tmp_path / ".venv")
    (tmp_path / ".venv").mkdir()
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / "constraints.txt").write_text("torch==2.13.0")
    return module


@pytest.fixture
def ran(installer: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the commands that the script has run, without running them."""
    commands: list[list[str]] = []

    def run(command: list[str], **options: object) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(returncode=1 if "mypy" in command else 0)

    monkeypatch.setattr(installer.subprocess, "run", run)
    return commands


def fake_python(folder: Path, script: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_python_that_can_make_environments_is_taken(installer: ModuleType) -> None:
    assert installer.choose_python(["no-such-python", sys.executable]) == sys.executable


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 3 9", "is Python 3.9"),
        ("exit 1", "apt install python3-venv"),
    ],
)
def test_an_unfit_python_is_refused_with_its_reason(
    installer: ModuleType, tmp_path: Path, script: str, reason: str
) -> None:
    with pytest.raises(RuntimeError, match=reason):
        installer.choose_python([fake_python(tmp_path, script)])


def test_packages_are_installed_at_the_versions_of_the_constraints(
    installer: ModuleType, ran: list[list[str]], tmp_path: Path
) -> None:
    installer.install(Path("python"), "test")
    (command,) = ran
    assert command[command.index("--constraint") + 1] == str(tmp_path / "constraints.txt")
    assert command[-1] == f"{tmp_path}[test]"


def test_what_is_installed_is_not_installed_again(
    installer: ModuleType, ran: list[list[str]]
) -> None:
    installer.install(Path("python"), "test")
    installer.install(Path("python"), "test")
    assert len(ran) == 1


def test_changed_constraints_are_installed(
    installer: ModuleType, ran: list[list[str]], tmp_path: Path
) -> None:
    installer.install(Path("python"), "test")
    (tmp_path / "constraints.txt").write_text("torch==2.14.0")
    installer.install(Path("python"), "test")
    assert len(ran) == 2


def test_the_tests_end_badly_if_any_check_fails_and_all_are_run(
    installer: ModuleType,
    ran: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(installer, "make_environment", lambda wanted: Path("python"))
    assert installer.main(["test", "-k", "cli"]) == 1
    assert [command[2] for command in ran[1:]] == ["ruff", "mypy", "pytest"]
    assert ran[-1][-2:] == ["-k", "cli"]
    assert "python -m mypy" in capsys.readouterr().err


def test_a_failed_installation_is_an_error_of_one_line(
    installer: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(python: Path, task: str) -> None:
        raise subprocess.CalledProcessError(1, [python, "-m", "pip"])

    monkeypatch.setattr(installer, "make_environment", lambda wanted: Path("python"))
    monkeypatch.setattr(installer, "install", fail)
    assert installer.main(["demo"]) == 1
    assert capsys.readouterr().err == "run.py: this failed: python -m pip\n"
