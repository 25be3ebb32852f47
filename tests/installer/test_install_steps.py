"""The installer's steps around pip, and what it refuses; pip itself is in test_beside_gimp."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from user import profile_in

import install
from environment import python_of
from vae_balance import __version__

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def home(empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home folder of a user, who has no GIMP but those that a test makes."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(install, "find_gpu", lambda: None)
    monkeypatch.setattr(install, "sources", lambda build, python: [])
    return empty_home


@pytest.fixture
def ran(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Let commands succeed without running them, pip put its command there; return them."""
    commands: list[list[str]] = []

    def run(command: list[str], **options: object) -> SimpleNamespace:
        commands.append([str(part) for part in command])
        return SimpleNamespace(returncode=0, stdout="", stderr="")

    def make(folder: Path, wanted: str | None) -> None:
        python = python_of(folder)
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(install, "make_environment", make)
    monkeypatch.setattr(install, "is_ready", lambda folder, wanted: python_of(folder).exists())
    return commands


def listing(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if p.suffix != ".log"}


def pip_install(ran: list[list[str]]) -> list[str]:
    (command,) = [command for command in ran if "install" in command and "pip" in command]
    return command


def test_the_program_is_installed_from_this_checkout_at_pinned_versions(
    home: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert install.main([]) == 0
    command = pip_install(ran)
    assert command[0] == str(home / ".local/share/vae-balance/environment/bin/python")
    assert command[command.index("--constraint") + 1] == str(PROJECT / "constraints.txt")
    assert command[-2] == str(PROJECT)
    assert command[-1].startswith("torch==")
    told = capsys.readouterr().out
    assert "PyTorch for the CPU: there is no NVIDIA driver. About " in told and " MB are" in told


def test_a_wheel_can_be_named(home: Path, ran: list[list[str]], tmp_path: Path) -> None:
    wheel = tmp_path / f"vae_balance-{__version__}-py3-none-any.whl"
    wheel.touch()
    assert install.main(["--wheel", str(wheel)]) == 0
    assert pip_install(ran)[-2] == str(wheel)


def test_with_a_folder_of_wheels_no_index_is_asked(
    home: Path, ran: list[list[str]], tmp_path: Path
) -> None:
    wheel = tmp_path / f"vae_balance-{__version__}-py3-none-any.whl"
    wheel.touch()
    assert install.main(["--wheels", str(tmp_path)]) == 0
    command = pip_install(ran)
    assert "--no-index" in command and "--extra-index-url" not in command
    assert command[command.index("--find-links") + 1] == str(tmp_path)
    assert command[-2:] == [str(wheel), "torch"]


def test_what_is_damaged_is_installed_anew(
    home: Path,
    ran: list[list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert install.main([]) == 0
    monkeypatch.setattr(install, "damaged_packages", lambda folder: ["numpy"])
    ran.clear()
    assert install.main([]) == 0
    assert "Damaged, and to be installed anew: numpy." in capsys.readouterr().out
    (remove,) = [command for command in ran if "uninstall" in command]
    assert remove[-2:] == ["vae-balance", "numpy"]
    assert pip_install(ran)


def test_the_choice_of_a_build_is_kept_for_the_next_time(
    home: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert install.main(["--torch", "cuda"]) == 0
    assert "PyTorch for CUDA: as you asked for" in capsys.readouterr().out
    assert install.main([]) == 0
    assert f"VAE Balance {__version__} is in " in capsys.readouterr().out
    assert install.main(["--torch", "cpu"]) == 0
    assert "PyTorch for the CPU: as you asked for" in capsys.readouterr().out


def test_clients_are_told_the_command_that_starts_the_daemon(
    home: Path, ran: list[list[str]]
) -> None:
    assert install.main([]) == 0
    content = json.loads((home / ".config/vae-balance/client.json").read_text())
    python = home / ".local/share/vae-balance/environment/bin/python"
    assert content == {"command": [str(python), "-m", "vae_balance"]}


def test_another_program_of_the_same_name_stays(
    home: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    other = home / ".local/bin/vae-balance"
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    assert install.main([]) == 0
    assert f"{other} is another program, and stays" in capsys.readouterr().out
    assert install.main(["--uninstall"]) == 0
    assert other.read_text() == "mine"


def test_every_gimp_gets_the_plug_in_for_its_version(home: Path, ran: list[list[str]]) -> None:
    for version in ("2.10", "3.0", "3.2"):
        profile_in(home, version)
    assert install.main([]) == 0
    for version, only in (("3.0", "preview.py"), ("3.2", "preview.py"), ("2.10", None)):
        folder = home / ".config/GIMP" / version / "plug-ins/vae-balance"
        assert os.access(folder / "vae-balance.py", os.X_OK)
        assert (folder / "vae_balance_protocol/client.py").exists()
        assert only is None or (folder / only).exists()
    python_2 = (home / ".config/GIMP/2.10/plug-ins/vae-balance/vae-balance.py").read_text()
    assert "gimpfu" in python_2


def test_twice_changes_nothing_and_removing_leaves_nothing(
    home: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    profile = profile_in(home)
    (profile / "gimprc").write_text("# mine")
    (home / "photo.jpg").write_text("mine")
    before = sorted(home.rglob("*"))
    assert install.main([]) == 0
    first = listing(home)
    assert install.main([]) == 0
    assert listing(home) == first
    assert install.main(["--uninstall", "--dry-run"]) == 0
    assert listing(home) == first
    assert install.main(["--uninstall"]) == 0
    assert sorted(home.rglob("*")) == before
    assert f"- removed {profile / 'plug-ins/vae-balance'}" in capsys.readouterr().out


def test_removing_keeps_what_is_the_users(
    home: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert install.main([]) == 0
    settings = home / ".config/vae-balance/config.toml"
    settings.write_text('device = "cpu"')
    model = home / ".local/share/vae-balance/models/mine/model.json"
    model.parent.mkdir(parents=True)
    model.touch()
    assert install.main(["--uninstall"]) == 0
    kept = sorted(path for path in home.rglob("*") if path.is_file())
    assert kept == [settings, model]
    told = capsys.readouterr().out
    assert f"{settings.parent} stays, with what is yours: config.toml" in told
    assert f"{home / '.local/share/vae-balance'} stays, with what is yours: models" in told


def test_removing_takes_away_the_start_at_login(home: Path, ran: list[list[str]]) -> None:
    assert install.main([]) == 0
    unit = home / ".config/systemd/user/vae-balance.service"
    unit.parent.mkdir(parents=True)
    for file in (unit, unit.with_suffix(".socket")):
        file.touch()
    assert install.main(["--uninstall"]) == 0
    assert not unit.parent.exists()
    units = ["vae-balance.socket", "vae-balance.service"]
    assert ["systemctl", "--user", "disable", "--now", *units] in ran


def test_a_named_profile_that_is_not_there_is_told(
    home: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert install.main(["--gimp-profile", "/no/such/profile"]) == 1
    assert capsys.readouterr().err == (
        "install.py: /no/such/profile: no such folder; start that GIMP once to make it\n"
    )


def test_a_user_of_flatpak_is_told_what_such_a_gimp_cannot_do(
    home: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    (home / ".var/app/org.gimp.GIMP/config/GIMP/3.0").mkdir(parents=True)
    assert install.main([]) == 0
    assert "-m vae_balance service install" in capsys.readouterr().out


def fail_if_checked(command: list[str], **options: object) -> SimpleNamespace:
    """Stand in for `subprocess.run` of commands that fail where somebody looks."""
    if options.get("check"):
        raise subprocess.CalledProcessError(1, command)
    return SimpleNamespace(returncode=0, stdout="", stderr="")


def test_a_failed_download_is_told_in_one_line_and_in_the_log(
    home: Path,
    ran: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(subprocess, "run", fail_if_checked)
    assert install.main([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("install.py: this failed: ")
    assert line.endswith("; run install.py again to go on")
    assert line in (home / ".local/state/vae-balance/install.log").read_text().splitlines()
    record = json.loads((home / ".local/share/vae-balance/installed.json").read_text())
    assert record["digest"] == ""


def test_an_index_of_pytorch_that_cannot_be_reached_is_told_with_a_way_out(
    home: Path,
    ran: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(install, "sources", lambda b, python: ["--extra-index-url", b.index])
    monkeypatch.setattr(subprocess, "run", fail_if_checked)
    assert install.main(["--torch", "cuda", "--dry-run"]) == 0
    assert install.main(["--torch", "cpu"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "if https://download.pytorch.org/whl/cpu cannot be reached from here" in line
    assert "--wheels DIR" in line and "--torch cuda" in line


def test_sudo_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUDO_USER", "anna")
    assert install.main([]) == 1
    assert capsys.readouterr().err.startswith("install.py: leave out sudo: ")
    assert not list(home.iterdir())


def test_what_cannot_be_written_is_told(
    home: Path, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    (home / ".local").write_text("a file in the way")
    assert install.main([]) == 1
    assert capsys.readouterr().err.startswith(f"install.py: {home}/.local")
