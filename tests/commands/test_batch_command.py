"""`vae-balance batch` with the real daemon: a folder in, a folder out, whatever happens between."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from test_cli import in_terminal

from vae_balance.batch.contact_sheet import check_replaceable
from vae_balance.batch.report import held_report
from vae_balance.commands import console
from vae_balance.luts.cube import read_cube
from vae_balance.photos.photo import read_photo
from vae_balance_protocol.client import Client
from vae_balance_protocol.connection import read_connection

Run = Callable[..., Result]

REPORT = "vae-balance-report.jsonl"
WAIT = 60.0  # seconds, for what should take one
MANY = [f"{number:02d}.png" for number in range(20)]


def end_daemon(state: Path) -> None:
    """End the daemon of a state folder, if one runs, and wait until it has."""
    environ = {**os.environ, "VAE_BALANCE_STATE": str(state)}
    command = [sys.executable, "-m", "vae_balance", "stop"]
    subprocess.run(command, env=environ, check=True, capture_output=True, timeout=WAIT)


@pytest.fixture(scope="module")
def shared_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the state folder of a daemon that the first client starts and all tests share."""
    state = tmp_path_factory.mktemp("state")
    yield state
    end_daemon(state)


def picture(side: int, seed: int) -> Image.Image:
    """Return soft patches of color."""
    few = np.random.default_rng(seed).integers(20, 236, (4, 4, 3), np.uint8)
    return Image.fromarray(few).resize((side, side), Image.Resampling.BICUBIC)


@dataclass
class Batches:
    """Runs `vae-balance batch IN OUT` for the photos of a folder."""

    folder: Path
    model: Path
    invoke: Run

    def photos(self, *names: str, side: int = 60) -> None:
        for seed, name in enumerate(names):
            path = self.folder / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(side, seed).save(path)

    def arguments(self, *options: object) -> list[str]:
        folders = (self.folder / "in", self.folder / "out")
        return [str(a) for a in ("batch", *folders, "--model", self.model, *options)]

    def run(self, *options: object) -> Result:
        return self.invoke(*self.arguments(*options))

    def outcomes(self, *options: object) -> dict[str, str]:
        """Return what became of each photo, by name."""
        document = json.loads(self.run("--json", *options).stdout)
        return {Path(one["photo"]).name: one["outcome"] for one in document["photos"]}

    def start(self, *options: object) -> subprocess.Popen[str]:
        """Run it in a process of its own."""
        command = [sys.executable, "-m", "vae_balance", *self.arguments(*options)]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
        )

    def report(self) -> list[dict[str, Any]]:
        path = self.folder / "out" / REPORT
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]

    def written(self) -> list[str]:
        out = self.folder / "out"
        files = [path for path in out.rglob("*") if path.is_file()]
        return sorted(path.relative_to(out).as_posix() for path in files)

    def wait_for_lines(self, count: int, process: subprocess.Popen[str]) -> None:
        """Wait until the report has so many lines while a batch runs."""
        deadline = time.monotonic() + WAIT
        while len(self.report()) < count:
            assert process.poll() is None, "it ended early"
            assert time.monotonic() < deadline, "nothing happens"
            time.sleep(0.005)


@pytest.fixture
def batches(
    tmp_path: Path,
    run: Run,
    random_model: Path,
    shared_state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Batches:
    monkeypatch.setenv("VAE_BALANCE_STATE", str(shared_state))
    monkeypatch.setenv("VAE_BALANCE_DEVICE", "cpu")
    return Batches(tmp_path, random_model, run)


def pixels_of(path: Path) -> np.ndarray:
    return read_photo(path).pixels


def test_all_photos_of_a_folder_are_balanced(batches: Batches, run: Run) -> None:
    batches.photos("a.png", "b.jpg", "c.tif")
    (batches.folder / "in" / "notes.txt").write_text("mine")
    result = batches.run()
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"vae-balance: {batches.folder / 'in'}: passed over, as no photos by their names: 1 .txt"
    ]
    assert batches.written() == sorted(["a.png", "b.jpg", "c.tif", "contact-sheet.jpg", REPORT])
    source, target = batches.folder / "in" / "a.png", batches.folder / "out" / "a.png"
    assert (pixels_of(target) != pixels_of(source)).any()
    # The daemon does to a photo what `balance` does in this process.
    alone = batches.folder / "alone.png"
    run("balance", source, "-o", alone, "--model", batches.model, "--device", "cpu")
    assert np.array_equal(pixels_of(alone), pixels_of(target))


def test_a_second_batch_with_the_same_report_is_refused_before_it_begins(batches: Batches) -> None:
    batches.photos("a.png")
    (batches.folder / "out").mkdir()
    with held_report(batches.folder / "out" / REPORT):
        refused = batches.run()
    assert refused.exit_code == console.FAILED
    assert refused.stderr.count("\n") == 1 and "another batch is writing" in refused.stderr
    assert batches.written() == []
    assert batches.outcomes() == {"a.png": "done"}


# Model, the photo that it wants, the advice about the other one.
WANTING = (
    ("mixed-light", "color.png", "colorize it with `vae-balance colorize`"),
    ("colorize-cross-channel", "grey.png", "has colors already"),
)


def check_wanting_batch(
    batches: Batches, run: Run, model: str, wanted: str, advice: str, *options: object
) -> None:
    """Check a batch of a photo in color and a grey one, whose looks depend on the place."""
    batches.photos("color.png", "grey.png", side=90)
    grey = batches.folder / "in" / "grey.png"
    Image.open(grey).convert("L").save(grey)
    result = batches.run("--model", model, "--no-contact-sheet", *options)
    assert (result.exit_code, result.stderr.count("\n")) == (console.FAILED, 1), result.stderr
    assert advice in result.stderr
    assert batches.written() == sorted([wanted, REPORT])
    alone = batches.folder / "alone.png"
    more = ("--model", model, "--device", "cpu", "--daemon", "never")
    assert run("balance", batches.folder / "in" / wanted, "-o", alone, *more).exit_code == 0
    assert alone.read_bytes() == (batches.folder / "out" / wanted).read_bytes()
    assert np.any(pixels_of(alone) != pixels_of(batches.folder / "in" / wanted))


@pytest.mark.parametrize(("model", "wanted", "advice"), WANTING)
def test_models_that_want_a_place_or_grey_get_it(
    batches: Batches, run: Run, model: str, wanted: str, advice: str
) -> None:
    check_wanting_batch(batches, run, model, wanted, advice)


def test_the_report_has_the_figures_of_every_photo(batches: Batches) -> None:
    batches.photos("a.png", "b.jpg")
    document = json.loads(batches.run("--json", "--iterations", 2, "--seed", 5).stdout)
    lines = {Path(line["source"]).name: line for line in batches.report()}
    assert sorted(lines) == ["a.png", "b.jpg"]
    line = lines["a.png"]
    assert (line["outcome"], line["width"], line["height"]) == ("done", 60, 60)
    assert line["device"] == "cpu"
    assert {"read", "shrink", "apply", "write"} < set(line["seconds"])
    expected = {"iterations": 2, "seed": 5, "model": "random", "model_version": "0"}
    assert expected.items() <= line["settings"].items()
    first = document["photos"][0]
    assert (first["photo"], first["lut_sha256"]) == (line["source"], line["look"])
    assert document["report"] == str(batches.folder / "out" / REPORT)


def test_a_second_run_skips_what_is_done(batches: Batches) -> None:
    batches.photos("a.png", "b.png")
    batches.run()
    before = {path: path.stat().st_mtime_ns for path in (batches.folder / "out").iterdir()}
    assert batches.outcomes() == {"a.png": "skipped", "b.png": "skipped"}
    after = {path: path.stat().st_mtime_ns for path in (batches.folder / "out").iterdir()}
    assert after == before
    batches.photos("c.png")
    assert batches.outcomes() == {"a.png": "skipped", "b.png": "skipped", "c.png": "done"}


def test_a_changed_photo_is_done_again(batches: Batches) -> None:
    batches.photos("a.png", "b.png")
    batches.run()
    before = pixels_of(batches.folder / "out" / "b.png")
    picture(60, 7).save(batches.folder / "in" / "b.png")
    assert batches.outcomes() == {"a.png": "skipped", "b.png": "done"}
    assert (pixels_of(batches.folder / "out" / "b.png") != before).any()


@pytest.mark.parametrize(
    "change", [("--iterations", 2), ("--strength", 0.5), ("--seed", 3), ("--proxy", "frame")]
)
def test_other_options_do_all_again(batches: Batches, change: tuple[object, ...]) -> None:
    batches.photos("a.png", "b.png")
    batches.run("--iterations", 1, "--strength", 1.0)
    assert set(batches.outcomes(*change).values()) == {"done"}
    assert set(batches.outcomes(*change).values()) == {"skipped"}


def test_another_model_does_all_again(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    batches.photos("a.png")
    batches.run()
    other = shutil.copytree(batches.model, batches.folder / "model")
    description = other / "model.json"
    description.write_text(description.read_text().replace('"version": "0"', '"version": "1"'))
    monkeypatch.chdir(batches.folder)  # the daemon runs in another folder
    batches.model = Path("model")
    assert batches.outcomes() == {"a.png": "done"}


def test_a_torn_report_does_its_last_photo_again(batches: Batches) -> None:
    batches.photos("a.png", "b.png")
    batches.run("--jobs", 1)
    report = batches.folder / "out" / REPORT
    report.write_bytes(report.read_bytes()[:-40])
    (batches.folder / "out" / "b.png").unlink()
    assert batches.outcomes() == {"a.png": "skipped", "b.png": "done"}
    assert len(batches.report()) == 2


def test_a_bad_photo_is_one_line_and_the_others_go_on(batches: Batches) -> None:
    batches.photos("a.png", "c.png")
    bad = batches.folder / "in" / "b.jpg"
    bad.write_text("no picture")
    result = batches.run()
    assert result.exit_code == console.FAILED
    assert result.stderr.startswith(f"vae-balance: {bad}: is not a picture that is read here")
    assert result.stderr.count("\n") == 1
    told = [(Path(line["source"]).name, line["outcome"], line["code"]) for line in batches.report()]
    assert sorted(told) == [
        ("a.png", "done", ""),
        ("b.jpg", "failed", "image"),
        ("c.png", "done", ""),
    ]
    batches.photos("b.jpg")
    assert batches.outcomes() == {"a.png": "skipped", "b.jpg": "done", "c.png": "skipped"}


def test_inner_folders_stay_as_they_are(batches: Batches) -> None:
    batches.photos("a.png", "1987/spring/a.png")
    batches.run("--recursive", "--no-contact-sheet")
    assert batches.written() == ["1987/spring/a.png", "a.png", REPORT]


def test_a_target_that_cannot_be_written_does_not_stop_the_others(batches: Batches) -> None:
    batches.photos("a.png", "1987/b.png")
    (batches.folder / "out").mkdir()
    (batches.folder / "out" / "1987").write_text("a file where a folder should be")
    result = batches.run("--recursive")
    assert result.exit_code == console.FAILED
    assert "1987: cannot make this folder" in result.stderr
    assert (batches.folder / "out" / "a.png").exists()


def test_a_file_that_is_not_ours_is_kept(batches: Batches) -> None:
    batches.photos("a.png", "b.png")
    precious = batches.folder / "out" / "a.png"
    precious.parent.mkdir()
    precious.write_text("precious")
    result = batches.run()
    assert result.exit_code == console.OUTPUT_EXISTS
    assert str(precious) in result.stderr
    assert "--force" in result.stderr
    assert precious.read_text() == "precious"
    assert (batches.folder / "out" / "b.png").exists()
    assert batches.outcomes("--force") == {"a.png": "done", "b.png": "skipped"}


def test_a_roll_has_one_look_and_one_cube(batches: Batches) -> None:
    batches.photos("a.png", "b.png", "c.png")
    cubes = batches.folder / "looks"
    assert batches.run("--roll", "--lut-dir", cubes).exit_code == 0
    assert len({line["look"] for line in batches.report()}) == 1
    assert [path.name for path in cubes.iterdir()] == ["roll.cube"]
    assert "learned from: c.png" in read_cube(cubes / "roll.cube").comments
    (batches.folder / "out" / "b.png").unlink()
    before = (batches.folder / "out" / "a.png").stat().st_mtime_ns
    options = ("--roll", "--cube-dir", cubes)
    assert batches.outcomes(*options) == {"a.png": "skipped", "b.png": "done", "c.png": "skipped"}
    assert (batches.folder / "out" / "a.png").stat().st_mtime_ns == before
    assert len({line["look"] for line in batches.report()}) == 1


def test_every_photo_has_a_cube_of_its_own(batches: Batches) -> None:
    batches.photos("a.png", "roll/a.png")
    cubes = batches.folder / "looks"
    batches.run("--recursive", "--cube-dir", cubes, "--size", 9)
    for name in ("a.png", "roll/a.png"):
        lut = read_cube(cubes / f"{name}.cube")
        assert lut.size == 9
        assert "learned from: a.png" in lut.comments


def test_the_contact_sheet_can_be_elsewhere(batches: Batches) -> None:
    batches.photos("a.png", "b.png")
    sheet = batches.folder / "sheet.png"
    document = json.loads(batches.run("--json", "--contact-sheet", sheet).stdout)
    assert document["contact_sheet"] == [str(sheet)]
    check_replaceable(sheet)
    assert batches.written() == ["a.png", "b.png", REPORT]


def test_the_report_can_be_elsewhere(batches: Batches) -> None:
    batches.photos("a.png")
    report = batches.folder / "mine.jsonl"
    batches.run("--report", report)
    assert len(report.read_text().splitlines()) == 1
    assert batches.outcomes("--report", report) == {"a.png": "skipped"}
    assert batches.written() == ["a.png", "contact-sheet.jpg"]


@pytest.mark.parametrize(
    ("options", "code", "hint"),
    [
        (["--contact-sheet", "sheet.gif"], console.WRONG_USAGE, "end it in .jpg or .png"),
        (["--contact-sheet", "in/sheet.jpg"], console.WRONG_USAGE, "taken for a photo"),
        (["--contact-sheet", "out/a.png"], console.WRONG_USAGE, "replace one"),
        (["--contact-sheet", "precious.png"], console.OUTPUT_EXISTS, "is no contact sheet"),
        (["--contact-sheet", "s.png", "--no-contact-sheet"], console.WRONG_USAGE, "either"),
        (["--report", "precious.png"], console.FAILED, "not a line of a report"),
        (["--jobs", "65"], console.WRONG_USAGE, "0<=x<=64"),
        (["--model", "nowhere"], console.BAD_MODEL, "nowhere"),
    ],
)
def test_wrong_usage_is_told_before_any_work(
    batches: Batches, options: list[str], code: int, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(batches.folder)
    monkeypatch.setattr(Client, "connect", lambda *_, **__: pytest.fail("the daemon was asked"))
    batches.photos("a.png")
    (batches.folder / "precious.png").write_text("precious")
    result = batches.run(*options)
    assert result.exit_code == code
    assert hint in result.stderr
    assert result.stderr.count("\n") <= 4  # with click's usage
    assert batches.written() == []


def test_a_folder_without_photos_is_told(batches: Batches) -> None:
    (batches.folder / "in").mkdir()
    result = batches.run()
    assert result.exit_code == console.FAILED
    assert "no photos here" in result.stderr


def test_photos_are_not_balanced_onto_themselves(batches: Batches, run: Run) -> None:
    batches.photos("a.png")
    result = run("batch", batches.folder / "in", batches.folder / "in", "--force")
    assert result.exit_code == console.WRONG_USAGE
    assert "is the folder of the photos" in result.stderr


def test_two_photos_with_one_target_are_refused_by_name(
    batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a drive for which the names are one.
    monkeypatch.setattr("vae_balance.files._is_one_file", lambda first, second: True)
    batches.photos("a.png", "A.png")
    result = batches.run()
    assert result.exit_code == console.WRONG_USAGE
    assert "A.png and a.png would be written to one file" in result.stderr


def test_a_daemon_that_does_not_start_is_told(
    batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches.photos("a.png")
    monkeypatch.setenv("VAE_BALANCE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("VAE_BALANCE_COMMAND", str(tmp_path / "no-such-program"))
    result = batches.run()
    assert result.exit_code == console.FAILED
    assert "no-such-program" in result.stderr
    assert "a.png" not in batches.written()


def test_a_daemon_that_is_stopped_is_told(
    batches: Batches, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("VAE_BALANCE_STATE", str(state))
    batches.photos(*MANY, side=300)
    process = batches.start("--jobs", 1)
    batches.wait_for_lines(1, process)
    end_daemon(state)
    _, errors = process.communicate(timeout=WAIT)
    assert process.returncode == console.FAILED
    assert errors == "vae-balance: the daemon was stopped; the same command goes on\n"


def test_a_terminal_shows_a_bar_and_the_counts(batches: Batches) -> None:
    batches.photos("a.png", "b.png")
    (batches.folder / "in" / "notes.txt").write_text("mine")
    shown = in_terminal(*batches.arguments())
    assert "balancing" in shown
    assert "100%" in shown
    assert re.search(r"[0-9.]+ a second, 0:00:00 left", shown)
    assert "passed over, as no photos by their names: 1 .txt" in shown
    assert "2 done -> " in shown
    assert "2 done before -> " in in_terminal(*batches.arguments())
    assert in_terminal(*batches.arguments("--quiet")) == ""


def test_ctrl_c_keeps_what_is_done_and_the_next_run_goes_on(batches: Batches) -> None:
    batches.photos(*MANY, side=300)
    process = batches.start("--jobs", 2)
    batches.wait_for_lines(2, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=WAIT)
    assert process.returncode == console.INTERRUPTED
    assert "to do; the same command goes on" in errors
    assert "Traceback" not in errors
    done = {Path(line["target"]).name for line in batches.report()}
    assert 2 <= len(done) < len(MANY)
    assert done == {name for name in batches.written() if name in MANY}
    stamps = {name: (batches.folder / "out" / name).stat().st_mtime_ns for name in done}
    assert [name for name in batches.written() if ".vae-balance-" in name] == [f".{REPORT}.begun"]

    result = batches.outcomes()
    assert {name for name, outcome in result.items() if outcome == "skipped"} == done
    assert set(result.values()) == {"skipped", "done"}
    for name, stamp in stamps.items():
        assert (batches.folder / "out" / name).stat().st_mtime_ns == stamp
    assert batches.written() == sorted([*MANY, "contact-sheet.jpg", REPORT])


def test_a_killed_command_loses_nothing(batches: Batches) -> None:
    batches.photos(*MANY, side=300)
    process = batches.start("--jobs", 2)
    batches.wait_for_lines(2, process)
    process.kill()
    process.communicate(timeout=WAIT)
    with Client.connect("the test", start=False) as client:
        deadline = time.monotonic() + WAIT
        while client.status()["running"]:  # it ends when the daemon finds that nobody listens
            assert time.monotonic() < deadline
            time.sleep(0.02)
    done = {Path(line["target"]).name for line in batches.report()}
    result = batches.outcomes()
    assert {name for name, outcome in result.items() if outcome == "skipped"} == done
    assert set(result.values()) == {"skipped", "done"}
    assert batches.written() == sorted([*MANY, "contact-sheet.jpg", REPORT])


def test_a_killed_daemon_is_told_and_the_next_run_goes_on(
    batches: Batches, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("VAE_BALANCE_STATE", str(state))
    batches.photos(*MANY, side=300)
    process = batches.start("--jobs", 2)
    batches.wait_for_lines(2, process)
    os.kill(read_connection(os.environ).pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=WAIT)
    assert process.returncode == console.FAILED
    assert "the same command goes on" in errors
    assert errors.count("\n") == 1
    done = {Path(line["target"]).name for line in batches.report()}
    for name in batches.written():
        if name in MANY:
            assert pixels_of(batches.folder / "out" / name).size  # whole

    result = batches.outcomes()  # starts another daemon
    end_daemon(state)
    assert {name for name, outcome in result.items() if outcome == "skipped"} == done
    assert set(result.values()) == {"skipped", "done"}
    assert batches.written() == sorted([*MANY, "contact-sheet.jpg", REPORT])
