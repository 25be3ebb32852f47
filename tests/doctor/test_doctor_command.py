"""`vae-balance doctor`: its screen, its JSON, and a report that tells nothing private."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from vae_balance.doctor import examination, report
from vae_balance.doctor.finding import Finding
from vae_balance.doctor.report import Redactor
from vae_balance.installation.places import Places

GREEN = Finding("Python", "3.11.7, /usr/bin/python3")
RED = Finding("GIMP 3.0 (flatpak)", "no plug-in in /home/anna/.config/GIMP/3.0", "install again")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """Return the lines that the doctor will have; a test fills them."""
    found: list[Finding] = []

    def examine(photo: Path | None) -> Iterator[Finding]:
        return iter(found)

    monkeypatch.setattr(examination, "examine", examine)
    return found


def test_all_is_well(run: Callable[..., Result], lines: list[Finding]) -> None:
    lines.append(GREEN)
    result = run("doctor")
    assert result.exit_code == 0
    assert result.output == "ok  Python  3.11.7, /usr/bin/python3\nAll is well.\n"


def test_a_red_line_has_its_mend_below_it(run: Callable[..., Result], lines: list[Finding]) -> None:
    lines += [GREEN, RED]
    result = run("doctor")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "ok  Python              3.11.7, /usr/bin/python3",
        "RED GIMP 3.0 (flatpak)  no plug-in in /home/anna/.config/GIMP/3.0",
        "                        -> install again",
        "To mend: 1 of 2.",
    ]
    assert "\x1b[31mRED" in report.as_text(lines)
    assert "\x1b[32mok" in report.as_text(lines)


def test_json_for_programs(run: Callable[..., Result], lines: list[Finding]) -> None:
    lines += [GREEN, RED]
    result = run("doctor", "--json")
    assert result.exit_code == 1
    document = json.loads(result.output)
    assert document["ok"] is False
    assert document["lines"][1] == {
        "subject": "GIMP 3.0 (flatpak)",
        "ok": False,
        "finding": "no plug-in in /home/anna/.config/GIMP/3.0",
        "mend": "install again",
    }


def test_a_report_is_not_written_over(
    run: Callable[..., Result], lines: list[Finding], tmp_path: Path
) -> None:
    lines.append(GREEN)
    file = tmp_path / "report.json"
    assert run("doctor", "--report", file).exit_code == 0
    assert json.loads(file.read_text())["lines"][0]["subject"] == "Python"
    lines.append(Finding("late", "looked at before the file is refused"))
    refused = run("doctor", "--report", file)
    assert (refused.exit_code, refused.stdout) == (4, "")  # at once: all that takes a while
    assert run("doctor", "--report", file, "--force").exit_code == 0


def test_a_report_has_nothing_private() -> None:
    lines = [
        Finding("disk", "12 MB free in /home/anna/.local/share/vae-balance"),
        Finding("log", "/home/anna/.local/state/daemon.log; last error: /home/anna/Tom/a.tif: bad"),
        Finding("model mine", "/mnt/clients/Smith/model.json: damaged", "ask anna@studio"),
        Finding("command", "/usr/bin/python3 -m vae_balance: Permission denied"),
        Finding("a photo", "/home/annabel/of hers/a.tif: cannot be read"),
    ]
    places = Places({"HOME": "/home/anna"}, "linux")
    document = json.loads(report.as_report(lines, places, {"USER": "anna"}))
    told = [line["finding"] for line in document["lines"]]
    assert told == [
        "12 MB free in ~/.local/share/vae-balance",
        "~/.local/state/daemon.log; last error: ~/<path>: bad",
        "<path>: damaged",
        "/usr/bin/python3 -m vae_balance: Permission denied",
        "<path>: cannot be read",
    ]
    assert document["lines"][2]["mend"] == "ask <name>@studio"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (r"C:\Users\Anna\AppData\Local\vae-balance: gone", r"~\AppData\Local\vae-balance: gone"),
        (r"D:\Kunden\Huber\scan.tif: damaged", "<path>: damaged"),
        (r"C:\Program Files\GIMP 3\bin: found", r"C:\Program Files\GIMP 3\bin: found"),
        (r"~\Pictures\a.png: damaged", "~/<path>: damaged"),
        ("version 2, all 4 checksums are right", "version 2, all 4 checksums are right"),
        ("in the menu Filters > Color", "in the menu Filters > Color"),
    ],
)
def test_windows_paths_are_hidden_too(text: str, hidden: str) -> None:
    assert Redactor(r"C:\Users\Anna", ["Anna"]).in_text(text) == hidden


def test_an_examination_has_a_line_for_everything(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setattr(examination, "daemon_finding", lambda: Finding("daemon", "answers"))
    subjects = [line.subject for line in examination.examine()]
    models = [subject for subject in subjects if subject.startswith("model ")]
    assert models[0] == "model embedded"
    assert "model colorize-cross-channel" in models
    assert subjects == [
        *("Python", "package", "torch", *models, "classifier"),
        *("settings", "command", "disk", "daemon", "GIMP", "log"),
    ]
