"""The report of a batch: what it says, what it survives, and whose files are whose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from vae_balance.batch.report import Line, Report, Stamp, held_report, path_digest
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


def is_done(report: Report, line: Line) -> bool:
    """Tell whether a report says that a photo is done, with the settings of a line."""
    cube = None if line.cube is None else Path(line.cube)
    return report.is_done(Path(line.source), Path(line.target), cube, line.settings)


def report_of(folder: Path, *lines: Line) -> Path:
    path = folder / "report.jsonl"
    report = Report(path)
    for line in lines:
        report.append(line)
    return path


def test_what_is_appended_is_read_again(tmp_path: Path) -> None:
    line = line_of(tmp_path, look="12ab", device="cpu", width=3, height=2)
    path = report_of(tmp_path, line)
    assert is_done(Report(path), line)
    assert Line.from_json(path.read_bytes()) == line
    (told,) = map(json.loads, path.read_text().splitlines())
    assert told["source"] == line.source
    assert told["stamps"][line.target]["bytes"] == len("balanced")


def test_the_last_line_that_says_done_counts(tmp_path: Path) -> None:
    first, second = (line_of(tmp_path, settings={"seed": seed}) for seed in (1, 2))
    failed = replace(second, outcome="failed", code="image", settings={"seed": 3})
    report = Report(report_of(tmp_path, first, second, failed))
    assert [is_done(report, line) for line in (first, second, failed)] == [False, True, False]


def test_no_report_is_an_empty_one(tmp_path: Path) -> None:
    assert Report(tmp_path / "report.jsonl").owner(tmp_path / "a.jpg") is None
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
    assert (is_done(report, whole), is_done(report, torn)) == (True, False)
    assert path.stat().st_size > size  # nothing is changed by reading
    report.append(torn)
    assert is_done(Report(path), whole)
    assert is_done(Report(path), torn)
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


@pytest.mark.parametrize("name", ["a.jpg", "out/a.jpg"])
@pytest.mark.parametrize("change", ["touched", "longer", "gone"])
def test_changed_files_are_noticed(tmp_path: Path, name: str, change: str) -> None:
    line = line_of(tmp_path)
    report = Report(report_of(tmp_path, line))
    assert is_done(report, line)
    path = tmp_path / name
    if change == "touched":
        os.utime(path, ns=(1, 1))
    elif change == "longer":
        stamp = path.stat().st_mtime_ns
        path.write_text("a longer text than before")
        os.utime(path, ns=(stamp, stamp))
    else:
        path.unlink()
    assert not is_done(report, line)


def test_a_cube_counts_where_it_is_wanted(tmp_path: Path) -> None:
    plain = line_of(tmp_path)
    cube = tmp_path / "a.cube"
    cube.write_text("a look")
    stamps = {**plain.stamps, str(cube): Stamp.of(cube)}
    report = Report(report_of(tmp_path, replace(plain, cube=str(cube), stamps=stamps)))
    source, target = Path(plain.source), Path(plain.target)
    assert report.is_done(source, target, cube, plain.settings)
    assert report.is_done(source, target, None, plain.settings)
    assert not report.is_done(source, target, tmp_path / "b.cube", plain.settings)
    assert report.owner(cube) == path_digest(source)
    cube.write_text("another look")
    assert not report.is_done(source, target, cube, plain.settings)
    report.append(plain)  # done again without one
    cube.write_text("a look")
    assert not report.is_done(source, target, cube, plain.settings)


def test_settings_that_take_turns_are_told_apart(tmp_path: Path) -> None:
    lines = [
        line_of(tmp_path, f"{number}.jpg", settings={"seed": number % 2}) for number in range(6)
    ]
    report = Report(report_of(tmp_path, *lines))
    for number, line in enumerate(lines):
        assert is_done(report, line)
        other = replace(line, settings={"seed": 1 - number % 2})
        assert not is_done(report, other)


def test_outputs_belong_to_their_photo_until_somebody_changes_them(tmp_path: Path) -> None:
    line = line_of(tmp_path)
    report = Report(report_of(tmp_path, line))
    target = Path(line.target)
    assert report.owner(target) == path_digest(line.source)
    assert report.owner(tmp_path / "other.jpg") is None
    target.write_text("retouched by hand")
    assert report.owner(target) is None


def killed(report: Report, outputs: dict[Path, Path]) -> None:
    """Leave behind what a run leaves that was killed in the middle."""
    with pytest.raises(KeyboardInterrupt), report.begun() as begin:
        begin(outputs)
        raise KeyboardInterrupt


def test_what_a_killed_run_wrote_without_telling_is_ours(tmp_path: Path) -> None:
    path, target, source = tmp_path / "report.jsonl", tmp_path / "b.jpg", tmp_path / "a.jpg"
    killed(Report(path), {target: source})
    target.write_text("written, but never told")
    assert Report(path).owner(target) == path_digest(source)


def test_what_a_killed_run_told_of_is_not_ours_when_it_was_changed(tmp_path: Path) -> None:
    path, target = tmp_path / "report.jsonl", tmp_path / "out" / "a.jpg"
    killed(Report(path), {target: tmp_path / "a.jpg"})
    report_of(tmp_path, line_of(tmp_path))
    assert Report(path).owner(target) == path_digest(tmp_path / "a.jpg")
    target.write_text("retouched by hand")
    assert Report(path).owner(target) is None


def test_what_a_killed_run_was_doing_again_is_ours(tmp_path: Path) -> None:
    line = line_of(tmp_path)
    path, target = report_of(tmp_path, line), Path(line.target)
    killed(Report(path), {target: Path(line.source)})
    target.write_text("written again, but never told")
    assert Report(path).owner(target) == path_digest(line.source)


def test_what_was_killed_again_and_again_is_ours(tmp_path: Path) -> None:
    line = line_of(tmp_path)
    path, target = report_of(tmp_path, line), Path(line.target)
    for times in (1, 2, 3):
        killed(Report(path), {target: Path(line.source)})
        target.write_text("written again" * times)
    assert Report(path).owner(target) == path_digest(line.source)


def test_a_run_that_ends_well_leaves_the_report_only(tmp_path: Path) -> None:
    report = Report(tmp_path / "report.jsonl")
    with report.begun() as begin:
        begin({tmp_path / "b.jpg": tmp_path / "a.jpg"})
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_forgets_only_what_it_began_itself(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    killed(Report(path), {tmp_path / "b.jpg": tmp_path / "a.jpg"})
    with Report(path).begun() as begin:
        begin({tmp_path / "d.jpg": tmp_path / "c.jpg"})
    (tmp_path / "b.jpg").write_text("written, but never told")
    assert Report(path).owner(tmp_path / "b.jpg") == path_digest(tmp_path / "a.jpg")


def test_what_many_killed_runs_began_is_remembered_as_it_was_first(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    for name in ("b.jpg", "c.jpg", "b.jpg"):
        killed(Report(path), {tmp_path / name: tmp_path / "a.jpg"})
        (tmp_path / name).write_text(f"written, but never told: {len(list(tmp_path.iterdir()))}")
    begun = path.with_name(".report.jsonl.begun")
    for text in (begun.read_text(), begun.read_text() + '{"/some/path": ["/cut'):
        begun.write_text(text)
        for name in ("b.jpg", "c.jpg"):
            assert Report(path).owner(tmp_path / name) == path_digest(tmp_path / "a.jpg")


def test_what_version_0_1_0_was_doing_is_known(tmp_path: Path) -> None:
    path, target = tmp_path / "report.jsonl", tmp_path / "b.jpg"
    entries = {str(tmp_path / name): ("/photos/a.jpg", None) for name in ("b.jpg", "c.jpg")}
    path.with_name(".report.jsonl.begun").write_text(json.dumps(entries))
    target.write_text("written, but never told")
    assert Report(path).owner(target) == path_digest("/photos/a.jpg")
    killed(Report(path), {tmp_path / "d.jpg": tmp_path / "a.jpg"})
    assert Report(path).owner(target) == path_digest("/photos/a.jpg")


def test_a_file_of_what_was_begun_that_somebody_broke_is_named(tmp_path: Path) -> None:
    begun = tmp_path / ".report.jsonl.begun"
    begun.write_text("my notes\n")
    with pytest.raises(BalanceError, match=r"begun: is damaged: remove it"):
        Report(tmp_path / "report.jsonl")


def test_a_report_has_one_batch_at_a_time(tmp_path: Path) -> None:
    """Else a second one takes the line that the first is writing for a torn one, and removes it."""
    path, line = tmp_path / "report.jsonl", line_of(tmp_path)
    with held_report(path) as report:
        report.append(line)
        with pytest.raises(BalanceError, match=r"report\.jsonl: another batch .* --report$"):
            held_report(path).__enter__()
        report.append(line_of(tmp_path, "b.jpg"))
    with held_report(path) as report:
        assert is_done(report, line)
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_a_report_is_free_again_after_its_batch_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    hold = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from vae_balance.batch.report import held_report\n"
        "held = held_report(Path(sys.argv[1]))\n"
        "held.__enter__()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", hold, str(path)]).returncode != 0
    assert (tmp_path / ".report.jsonl.lock").exists()
    with held_report(path) as report:
        report.append(line_of(tmp_path))
    assert not (tmp_path / ".report.jsonl.lock").exists()


def test_a_report_in_a_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BalanceError, match=r"there is no folder .*missing; create it first"):
        held_report(tmp_path / "missing" / "report.jsonl").__enter__()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="a folder of Linux in which nothing is made")
def test_where_no_file_can_be_made_nobody_else_is_blamed() -> None:
    path = Path("/proc/report.jsonl")
    with (
        held_report(path) as report,
        pytest.raises(BalanceError, match=rf"{path}: cannot be written: No such"),
    ):
        report.append(Line(source="/a.png", target="/b.png", cube=None, outcome="failed"))


def test_a_folder_that_nobody_may_write_to_still_has_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = line_of(tmp_path)
    path = report_of(tmp_path, line)

    def refuse(lock: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with held_report(path) as report:
        assert is_done(report, line)
