"""`installer/run.py` and the environments that it and `installer/install.py` make."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from programs import shell_script

import environment
import run
from environment import InstallError

PROJECT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the scripts work on a project of its own, in `tmp_path`."""
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "ENVIRONMENT", tmp_path / ".venv")
    monkeypatch.setattr(run, "CONSTRAINTS", tmp_path / "constraints.txt")
    monkeypatch.setattr(run, "sources", lambda build, python: [])
    (tmp_path / ".venv").mkdir()
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / "constraints.txt").write_text("torch==2.13.0")
    return tmp_path


@pytest.fixture
def ran(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the commands that the script has run, without running them."""
    commands: list[list[str]] = []

    def note(command: list[str], **options: object) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(returncode=1 if "mypy" in command else 0)

    monkeypatch.setattr(subprocess, "run", note)
    monkeypatch.setattr(run, "find_gpu", lambda: None)
    return commands


def test_a_python_that_can_make_environments_is_taken() -> None:
    assert environment.choose_python(["no-such-python", sys.executable]) == sys.executable


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 3 9 /usr", "is Python 3.9"),
        ("echo 3 15 /usr", "is Python 3.15"),
        ("echo \"No module named 'ensurepip'\" >&2; exit 1", "apt install python3-venv"),
        ("echo cannot open libpython3.11.so >&2; exit 127", "does not run .cannot open libpython"),
        (r"echo '3 12 C:\Program Files\WindowsApps\PythonSoftware'", "the Microsoft Store's"),
    ],
)
def test_an_unfit_python_is_refused_with_its_reason(
    tmp_path: Path, script: str, reason: str
) -> None:
    with pytest.raises(InstallError, match=reason):
        environment.choose_python([str(shell_script(tmp_path / "python", script))])


def test_an_environment_is_kept_until_it_must_be_made_anew(tmp_path: Path) -> None:
    python = environment.make_environment(tmp_path / "env", sys.executable)
    note = tmp_path / "env" / "note"
    note.touch()
    assert environment.make_environment(tmp_path / "env", None) == python
    assert environment.make_environment(tmp_path / "env", sys.executable) == python
    assert note.exists()
    other = str(shell_script(tmp_path / "python", "echo 3 12 /usr"))
    assert not environment.is_ready(tmp_path / "env", other)
    python.unlink()
    python.symlink_to(tmp_path / "removed")
    environment.make_environment(tmp_path / "env", None)
    assert subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0


def test_packages_are_installed_at_the_versions_of_the_constraints(
    ran: list[list[str]], project: Path
) -> None:
    run.install(Path("python"))
    (command,) = ran
    assert command[command.index("--constraint") + 1] == str(project / "constraints.txt")
    assert command[-1] == f"{project}[test]"
    assert command[-3].startswith("torch==")


def test_what_is_installed_is_not_installed_again(ran: list[list[str]]) -> None:
    run.install(Path("python"))
    run.install(Path("python"))
    assert len(ran) == 1


def test_changed_constraints_are_installed(ran: list[list[str]], project: Path) -> None:
    run.install(Path("python"))
    (project / "constraints.txt").write_text("torch==2.14.0")
    run.install(Path("python"))
    assert len(ran) == 2


def test_the_tests_end_badly_if_any_check_fails_and_all_are_run(
    ran: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "make_environment", lambda folder, wanted: Path("python"))
    assert run.main(["test", "-k", "cli"]) == 1
    assert [command[2] for command in ran[1:]] == ["ruff", "ruff", "mypy", "pytest"]
    assert ran[-1][-2:] == ["-k", "cli"]
    assert "python -m mypy" in capsys.readouterr().err


def test_slow_tests_are_left_out_unless_all_are_asked_for(
    ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "make_environment", lambda folder, wanted: Path("python"))
    run.main(["test"])
    assert "not slow" in ran[-1]
    run.main(["test", "--all"])
    assert ran[-1][2] == "pytest"
    assert "not slow" not in ran[-1]


def test_a_failed_installation_is_an_error_of_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(python: Path) -> None:
        raise subprocess.CalledProcessError(1, [python, "-m", "pip"])

    monkeypatch.setattr(run, "make_environment", lambda folder, wanted: Path("python"))
    monkeypatch.setattr(run, "install", fail)
    assert run.main(["test"]) == 1
    assert capsys.readouterr().err == "run.py: this failed: python -m pip\n"


OLD_PYTHON_FILES = [
    *(PROJECT / "installer").glob("*.py"),
    *(PROJECT / "daemon/vae_balance/installation").glob("*.py"),
    PROJECT / "daemon/vae_balance/__init__.py",
]


@pytest.mark.parametrize("path", OLD_PYTHON_FILES, ids=lambda path: path.name)
def test_the_installer_is_python_3_8_with_nothing_installed(path: Path) -> None:
    """Its grammar, and what it imports; run by a real Python 3.8 where there is one."""
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
    ours = {"vae_balance", "vae_balance_protocol", *(p.stem for p in OLD_PYTHON_FILES)}
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            assert name.split(".")[0] in {*sys.stdlib_module_names, *ours}, name


def test_the_installer_runs_with_the_oldest_python_that_is_here(tmp_path: Path) -> None:
    names = (f"python3.{minor}" for minor in range(8, sys.version_info.minor))
    pythons = [*(_executable(path) for path in map(shutil.which, names) if path), sys.executable]
    oldest = next(path for path in pythons if path)
    command = [oldest, str(PROJECT / "installer/install.py")]
    environ = {"HOME": str(tmp_path), "PATH": "/nowhere"}
    done = subprocess.run(
        [*command, "--dry-run"], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "would make a Python environment" in done.stdout
    assert not list(tmp_path.iterdir())


def _executable(python: str) -> str:
    """Return the path of a Python; nothing if it is but a manager's note that there is none."""
    command = [python, "-c", "import sys; print(sys.executable)"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
