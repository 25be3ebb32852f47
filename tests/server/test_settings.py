"""Settings come from the file, the environment and flags; wrong ones are refused by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vae_balance.errors import OptionError
from vae_balance.server.settings import (
    FOREVER,
    SETTINGS,
    DaemonSettings,
    read_settings,
    settings_markdown,
)

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_without_anything_the_defaults_hold(file: Path) -> None:
    assert read_settings(file, {}, {}) == DaemonSettings()
    assert (DaemonSettings().device, DaemonSettings().keep_alive) == ("auto", 300.0)


def test_the_defaults_can_be_written_down(file: Path) -> None:
    lines = [
        f'{s.name} = "{s.default}"' if isinstance(getattr(DaemonSettings(), s.name), str)
        else f"{s.name} = {s.default}"
        for s in SETTINGS
    ]  # fmt: skip
    file.write_text("\n".join(lines))
    assert read_settings(file, {}, {}) == DaemonSettings()
    assert read_settings(file, {}, {s.name: s.default for s in SETTINGS}) == DaemonSettings()


def test_flags_go_over_the_environment_and_that_over_the_file(file: Path) -> None:
    file.write_text('device = "cuda"\nlooks = 5\njobs = 3\n')
    environ = {"VAE_BALANCE_DEVICE": "cuda:1", "VAE_BALANCE_LOOKS": "6", "HOME": "/"}
    settings = read_settings(file, environ, {"device": "cpu", "looks": None})
    assert (settings.device, settings.looks, settings.jobs) == ("cpu", 6, 3)


@pytest.mark.parametrize("text", ['"forever"', "0", "0.5", "300"])
def test_time_is_seconds_or_forever(file: Path, text: str) -> None:
    file.write_text(f"keep_alive = {text}")
    expected = FOREVER if text == '"forever"' else float(text)
    assert read_settings(file, {}, {}).keep_alive == expected
    assert read_settings(file, {}, {"keep_alive": text.strip('"')}).keep_alive == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('devise = "cpu"', r"config\.toml: unknown setting 'devise'; known: device, model"),
        ('device = "gpu"', r"config\.toml: device is 'gpu': it must be auto, cpu, cuda or cuda:N"),
        ("device = 0", r"config\.toml: device is 0: it must be auto"),
        ("keep_alive = -1", r"config\.toml: keep_alive is -1: it must be seconds, 0 or more"),
        ("keep_alive = nan", r"keep_alive is nan"),
        ("keep_alive = inf", r"keep_alive is inf"),
        ("keep_alive = true", r"keep_alive is True"),
        ("idle_exit = 0", r"idle_exit is 0: it must be seconds, 1 or more"),
        ("looks = 0", r"looks is 0: it must be 1 to 10000"),
        ("looks = 1.5", r"looks is 1\.5"),
        ("jobs = true", r"jobs is True"),
        ("jobs = [1]", r"jobs is \[1\]"),
        ('log_level = "loud"', r"log_level is 'loud': it must be debug, info, warning or error"),
        ("[service]\njobs = 1", r"unknown setting 'service'"),
        ("jobs = \nlooks = 1", r"config\.toml: not a TOML file: .*line 1, column 8"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(file: Path, line: str, message: str) -> None:
    file.write_text(line)
    with pytest.raises(OptionError, match=message):
        read_settings(file, {}, {})


def test_a_file_that_is_not_text_is_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(OptionError, match=r"config\.toml: not a TOML file"):
        read_settings(file, {}, {})


def test_a_file_that_cannot_be_read_is_refused(file: Path) -> None:
    file.mkdir()
    with pytest.raises(OptionError, match=r"config\.toml: cannot be read"):
        read_settings(file, {}, {})


def test_a_wrong_variable_is_named(file: Path) -> None:
    with pytest.raises(OptionError, match=r"VAE_BALANCE_JOBS is 'many': it must be 0 to 64"):
        read_settings(file, {"VAE_BALANCE_JOBS": "many"}, {})


def test_an_unknown_variable_of_ours_is_refused(file: Path) -> None:
    with pytest.raises(OptionError, match="unknown environment variable VAE_BALANCE_DEVISE"):
        read_settings(file, {"VAE_BALANCE_DEVISE": "cpu"}, {})


def test_variables_that_are_no_settings_are_left_alone(file: Path) -> None:
    environ = {"VAE_BALANCE_STATE": "/somewhere", "VAE_BALANCE_COMMAND": "[]"}
    assert read_settings(file, environ, {}) == DaemonSettings()


def test_a_wrong_flag_is_named(file: Path) -> None:
    with pytest.raises(OptionError, match=r"--keep-alive is 'soon': it must be seconds"):
        read_settings(file, {}, {"keep_alive": "soon"})


def test_every_setting_has_a_row_in_the_table() -> None:
    table = settings_markdown()
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [s.name for s in SETTINGS]
    assert [s.name for s in SETTINGS] == list(DaemonSettings.__dataclass_fields__)


def test_the_table_is_in_the_readme() -> None:
    assert settings_markdown() in README.read_text(encoding="utf-8")
