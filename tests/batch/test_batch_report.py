"""The report of a batch: what it says, what it survives, and whose files are whose."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from vae_balance.batch.report import Line, Report, Stamp
from vae_balance.errors import BalanceError


def line_of(folder: Path, name: str = "a.jpg", outcome: str = "done", **more: object) -> Line:
    """Return the line of a photo that was just written, for files of text."""
    source, target = folder / name, folder / "out" / name
    target.parent.mkdir(exist_ok=True)
    source.write_text("photo")
    target.write_text("balanced")
    stamps = {str(path): Stamp.of(path) for path in (source, target)}
    values: dict[str, object] = {"seconds": {"read": 0.5}, "settings": {"seed": None}, **more}
    return Line(
        source=str(source),
        target=str(target),
        cube=None,
        outcome=outcome,
        stamps=stamps,
        **values,  # type: ignore[arg-type]
    )


def report_of(folder: Path, *lines: Line) -> Path:
    path = folder / "report.jsonl"
    report = Report(path)
    for line in lines:
        report.append(line)
    return path


def test_what_is_appended_is_read_again(tmp_path: Path) -> None:
    line = line_of(tmp_path, look="12ab", device="cpu", width=3, height=2)
    path = report_of(tmp_path, line)
    assert Report(path).done == {line.target: line}
    (told,) = map(json.loads, path.read_text().splitlines())
    assert told["source"] == line.source
    assert told["stamps"][line.target]["bytes"] == len("balanced")


def test_the_last_line_that_says_done_counts(tmp_path: Path) -> None:
    first, second = line_of(tmp_path, look="1"), line_of(tmp_path, look="2")
    failed = line_of(tmp_path, outcome="failed", code="image")
    assert Report(report_of(tmp_path, first, second, failed)).done == {second.target: second}


def test_no_report_is_an_empty_one(tmp_path: Path) -> None:
    assert Report(tmp_path / "report.jsonl").done == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept", [1, 10, -1])
def test_a_torn_last_line_is_forgotten_and_replaced(tmp_path: Path, kept: int) -> None:
    whole, torn = line_of(tmp_path, "a.jpg"), line_of(tmp_path, "b.jpg")
    path = report_of(tmp_path, whole)
    size = path.stat().st_size
    text = f"{torn.to_json()}\n"
    with path.open("a") as file:
        file.write(text[: kept if kept > 0 else len(text) + kept])
    report = Report(path)
    assert list(report.done) == [whole.target]
    assert path.stat().st_size > size  # nothing is changed by reading
    report.append(torn)
    assert list(Report(path).done) == [whole.target, torn.target]
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize("content", ["my notes", "my notes\n", "{}\n", "[]\n", "\xff\xd8\n\0"])
def test_another_file_is_not_taken_for_a_report(tmp_path: Path, content: str) -> None:
    path = tmp_path / "report.jsonl"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(BalanceError, match=r"report\.jsonl:1: not a line of a report"):
        Report(path)
    assert path.read_text(encoding="latin-1") == content


def test_a_line_that_somebody_broke_is_named(tmp_path: Path) -> None:
    line = line_of(tmp_path)
    path = report_of(tmp_path, line, line, line)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[1][5:] + lines[2])
    with pytest.raises(BalanceError, match=":2: not a line"):
        Report(path)


def test_a_report_that_cannot_be_written_is_an_error_of_one_line(tmp_path: Path) -> None:
    report = Report(tmp_path / "missing" / "report.jsonl")
    with pytest.raises(BalanceError, match=r"report\.jsonl: cannot be written: No such file"):
        report.append(line_of(tmp_path))


def test_changed_files_are_noticed(tmp_path: Path) -> None:
    line = line_of(tmp_path)
    source, target = Path(line.source), Path(line.target)
    assert line.is_unchanged(source, target)
    os.utime(source, ns=(1, 1))
    assert line.is_unchanged(target)
    assert not line.is_unchanged(source, target)
    target.unlink()
    assert not line.is_unchanged(target)


def test_outputs_belong_to_their_photo_until_somebody_changes_them(tmp_path: Path) -> None:
    line = line_of(tmp_path)
    report = Report(report_of(tmp_path, line))
    target = Path(line.target)
    assert report.owner(target) == line.source
    assert report.owner(tmp_path / "other.jpg") is None
    target.write_text("retouched by hand")
    assert report.owner(target) is None


def killed(report: Report, outputs: dict[Path, Path]) -> None:
    """Leave behind what a run leaves that was killed in the middle."""
    with pytest.raises(KeyboardInterrupt), report.begun(outputs):
        raise KeyboardInterrupt


def test_what_a_killed_run_wrote_without_telling_is_ours(tmp_path: Path) -> None:
    path, target, source = tmp_path / "report.jsonl", tmp_path / "b.jpg", tmp_path / "a.jpg"
    killed(Report(path), {target: source})
    target.write_text("written, but never told")
    assert Report(path).owner(target) == str(source)


def test_what_a_killed_run_told_of_is_not_ours_when_it_was_changed(tmp_path: Path) -> None:
    path, target = tmp_path / "report.jsonl", tmp_path / "out" / "a.jpg"
    killed(Report(path), {target: tmp_path / "a.jpg"})
    report_of(tmp_path, line_of(tmp_path))
    assert Report(path).owner(target) == str(tmp_path / "a.jpg")
    target.write_text("retouched by hand")
    assert Report(path).owner(target) is None


def test_what_a_killed_run_was_doing_again_is_ours(tmp_path: Path) -> None:
    line = line_of(tmp_path)
    path, target = report_of(tmp_path, line), Path(line.target)
    killed(Report(path), {target: Path(line.source)})
    target.write_text("written again, but never told")
    assert Report(path).owner(target) == line.source


def test_what_was_killed_again_and_again_is_ours(tmp_path: Path) -> None:
    line = line_of(tmp_path)
    path, target = report_of(tmp_path, line), Path(line.target)
    for times in (1, 2, 3):
        killed(Report(path), {target: Path(line.source)})
        target.write_text("written again" * times)
    assert Report(path).owner(target) == line.source


def test_a_run_that_ends_well_leaves_the_report_only(tmp_path: Path) -> None:
    report = Report(tmp_path / "report.jsonl")
    with report.begun({tmp_path / "b.jpg": tmp_path / "a.jpg"}):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_forgets_only_what_it_began_itself(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    killed(Report(path), {tmp_path / "b.jpg": tmp_path / "a.jpg"})
    with Report(path).begun({tmp_path / "d.jpg": tmp_path / "c.jpg"}):
        pass
    (tmp_path / "b.jpg").write_text("written, but never told")
    assert Report(path).owner(tmp_path / "b.jpg") == str(tmp_path / "a.jpg")
