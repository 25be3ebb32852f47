"""`vae-balance benchmark --archive`: what batches on a cluster cost, with few photos."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from vae_balance.evaluation.page import write_page, write_section

pytest.importorskip("distributed")


def test_every_line_is_measured(
    run: Callable[..., Result],
    random_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vae_balance.benchmark.archive._PHOTOS_OF_A_WORKER", 2)
    monkeypatch.setattr("vae_balance.benchmark.archive._LINKS", 7)
    page = tmp_path / "speed.md"
    page.write_text("# How fast it is\n\nVery.\n", encoding="utf-8")
    arguments = ("--archive", "--photos", 40, "--megapixels", 0.05, "--page", page, "--json")
    result = run("benchmark", *arguments, "--model", random_model)
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    starts = [
        "planning 40 photos of one folder",
        "planning 40 photos: peak memory",
        "start of the command until the first photo is done",
        "resuming a finished batch of 40 photos",
        "2 workers / one worker, 0.05 megapixels",
        "a JPEG of 0.05 megapixels in a worker",
    ]
    assert len(rows) == len(starts)
    for row, start in zip(rows, starts, strict=True):
        assert row["name"].startswith(start.replace("2 workers", row["name"].split(" / ")[0]))
        assert row["figure"] > 0.0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# How fast it is\n\nVery.\n\n## Archives\n\nWritten by")
    assert "| planning 40 photos of one folder (" in text


def test_the_section_of_another_command_stays(tmp_path: Path) -> None:
    page = tmp_path / "speed.md"
    write_page(page, "Speed", "benchmark", "Of one.", "| a |", keep="Archives")
    alone = page.read_text(encoding="utf-8")
    for figure in ("1 s", "2 s"):
        write_section(page, "Archives", "benchmark --archive", "Of many.", f"| {figure} |")
    both = page.read_text(encoding="utf-8")
    assert both.startswith(alone + "\n## Archives\n")
    assert both.endswith("Of many.\n\n| 2 s |\n")
    assert both.count("## Archives") == 1
    write_page(page, "Speed", "benchmark", "Of one.", "| b |", keep="Archives")
    assert page.read_text(encoding="utf-8") == both.replace("| a |", "| b |")
