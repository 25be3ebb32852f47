"""Many photos at once: what is read, learned from and written beside each other, and what fails."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from vae_balance import pipeline
from vae_balance.batch.local_runner import LocalRunner, sensible_jobs
from vae_balance.batch.runner import PhotoReport
from vae_balance.color.arrays import Floats
from vae_balance.color.lut import Lut3D
from vae_balance.errors import BalanceError, CancelledError, ModelError
from vae_balance.looks.lut_look import LutLook
from vae_balance.looks.origin import Origin
from vae_balance.luts.cube import read_cube
from vae_balance.photos.photo import read_photo
from vae_balance.photos.task import PhotoTask
from vae_balance.pipeline import How, Learn, LearnedLook
from vae_balance_protocol import messages

WritePhoto = Callable[..., Path]
WAIT = 20.0  # seconds, for what should happen at once

ORIGIN = Origin("abacus", "fake", "7", {"iterations": 1})


def look_of(proxies: list[Floats]) -> LearnedLook:
    """Return a look that has all photos' mean color everywhere: it tells what it was learned of."""
    color = np.mean(proxies, axis=(0, 1, 2))
    lut = Lut3D(np.broadcast_to(color, (2, 2, 2, 3)).copy())
    return LearnedLook(LutLook(lut, ORIGIN), "abacus", {"encode": 0.25})


@dataclass
class Batch:
    """Runs batches with options that are few, and keeps what they report."""

    folder: Path
    reports: dict[int, PhotoReport] = field(default_factory=dict)

    def photos(self, sources: list[Path], cubes: bool = False) -> list[PhotoTask]:
        out = self.folder / "out"
        return [
            PhotoTask(s, out / s.name, out / f"{s.name}.cube" if cubes else None) for s in sources
        ]

    def run(
        self,
        photos: list[PhotoTask],
        *,
        roll: bool = False,
        overwrite: bool = False,
        jobs: int = 2,
        learn: Learn = look_of,
        keep_going: Callable[[], bool] = lambda: True,
        umask: int | None = None,
    ) -> tuple[int, int]:
        def report(photo: PhotoReport) -> None:
            self.reports[photo.index] = photo

        runner = LocalRunner(learn, jobs, keep_going)
        return runner.run(photos, How("centre", overwrite, umask), roll, report)

    def written(self) -> list[str]:
        out = self.folder / "out"
        return sorted(path.name for path in out.iterdir()) if out.exists() else []


@pytest.fixture
def runner(tmp_path: Path) -> Batch:
    return Batch(tmp_path)


def mean(path: Path) -> np.ndarray:
    return read_photo(path).pixels.mean(axis=(0, 1))


def test_every_photo_is_balanced_by_a_look_of_its_own(runner: Batch, photo: WritePhoto) -> None:
    sources = [photo(f"{seed}.png", seed=seed) for seed in range(5)]
    assert runner.run(runner.photos(sources)) == (5, 0)
    for source in sources:
        # The picture's centre is what the look was learned from: near the mean of it all.
        expected = mean(source)
        balanced = read_photo(runner.folder / "out" / source.name).pixels
        assert balanced.std(axis=(0, 1)).max() == 0.0
        assert np.abs(balanced[0, 0] - expected).max() < 40.0
    assert len({report.look for report in runner.reports.values()}) == 5


def test_a_report_has_the_figures_of_the_photo(runner: Batch, photo: WritePhoto) -> None:
    runner.run(runner.photos([photo("a.png")]))
    report = runner.reports[0]
    assert (report.outcome, report.code, report.message) == ("done", "", "")
    assert (report.width, report.height, report.device) == (80, 60, "abacus")
    assert list(report.seconds) == ["read", "shrink", "encode", "apply", "write"]
    assert report.seconds["encode"] == 0.25


def test_a_cube_tells_its_photo_and_makes_the_same_colors(runner: Batch, photo: WritePhoto) -> None:
    photos = runner.photos([photo("a.png"), photo("b.png", seed=2)], cubes=True)
    runner.run(photos)
    for one in photos:
        assert one.lut is not None
        lut = read_cube(one.lut)
        assert {"model: fake 7", f"learned from: {one.photo.name}"} <= set(lut.comments)
        color = read_photo(one.output).pixels[0, 0] / 255.0
        assert np.abs(lut.baked().table[0, 0, 0] - color).max() < 0.003


@pytest.mark.skipif(os.name == "nt", reason="permission bits of POSIX")
def test_results_are_as_private_as_their_photos_and_as_who_asked_wants(
    runner: Batch, photo: WritePhoto
) -> None:
    private, open_to_all = photo("a.png"), photo("b.png")
    private.chmod(0o600)
    open_to_all.chmod(0o644)
    runner.run(runner.photos([private, open_to_all], cubes=True), umask=0o027)
    out = runner.folder / "out"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()}
    assert modes == {"a.png": 0o600, "a.png.cube": 0o600, "b.png": 0o640, "b.png.cube": 0o640}
    assert stat.S_IMODE(out.stat().st_mode) == 0o750


@pytest.mark.skipif(os.name == "nt", reason="permission bits of POSIX")
def test_the_look_of_a_roll_is_as_private_as_its_most_private_photo(
    runner: Batch, photo: WritePhoto
) -> None:
    for name, mode in (("a.png", 0o644), ("b.png", 0o600)):
        photo(name).chmod(mode)
    photos = [runner.folder / "a.png", runner.folder / "b.png"]
    cube = runner.folder / "out" / "roll.cube"
    tasks = [replace(task, lut=cube) for task in runner.photos(photos)]
    assert runner.run(tasks, roll=True, umask=0o022) == (2, 0)
    assert stat.S_IMODE(cube.stat().st_mode) == 0o600
    assert stat.S_IMODE((cube.parent / "a.png").stat().st_mode) == 0o644


def test_photos_are_read_while_others_are_learned_from(runner: Batch, photo: WritePhoto) -> None:
    together = threading.Barrier(3)

    def learn(proxies: list[Floats]) -> LearnedLook:
        together.wait(WAIT)  # nobody gets a look before three photos were read
        return look_of(proxies)

    sources = [photo(f"{i}.png", seed=i) for i in range(6)]
    assert runner.run(runner.photos(sources), jobs=3, learn=learn) == (6, 0)


def test_no_more_photos_are_held_than_jobs(
    runner: Batch, photo: WritePhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = most = 0
    lock = threading.Lock()

    def read(path: Path) -> object:
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        return read_photo(path)

    def write(*arguments: object, **options: object) -> None:
        nonlocal held
        with lock:
            held -= 1

    monkeypatch.setattr(pipeline, "read_photo", read)
    monkeypatch.setattr(pipeline, "write_photo", write)
    sources = [photo(f"{i}.png", seed=i) for i in range(12)]
    runner.run(runner.photos(sources), jobs=3)
    assert 1 <= most <= 3


def test_a_number_of_jobs_is_chosen(runner: Batch, photo: WritePhoto) -> None:
    assert sensible_jobs() >= 1
    assert runner.run(runner.photos([photo("a.png")]), jobs=0) == (1, 0)


def test_reports_come_in_the_calling_thread(runner: Batch, photo: WritePhoto) -> None:
    callers = []
    photos = runner.photos([photo("a.png"), photo("b.png")])

    def report(_: PhotoReport) -> None:
        callers.append(threading.current_thread())

    LocalRunner(look_of, 2).run(photos, How(), False, report)
    assert callers == [threading.current_thread()] * 2


def test_bad_photos_are_reported_and_the_others_go_on(
    runner: Batch, photo: WritePhoto, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no picture")
    photos = runner.photos([bad, photo("a.png"), tmp_path / "missing.png"])
    assert runner.run(photos) == (1, 2)
    for index in (0, 2):
        report = runner.reports[index]
        assert (report.outcome, report.code) == ("failed", messages.IMAGE)
        assert str(photos[index].photo) in report.message
    assert runner.written() == ["a.png"]


def test_an_existing_target_is_kept_and_not_even_read_for(
    runner: Batch, photo: WritePhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = runner.photos([photo("a.png")])
    photos[0].output.parent.mkdir()
    photos[0].output.write_text("precious")
    monkeypatch.setattr(pipeline, "read_photo", lambda path: pytest.fail("it was read"))
    assert runner.run(photos) == (0, 1)
    assert runner.reports[0].code == messages.OUTPUT_EXISTS
    assert photos[0].output.read_text() == "precious"


def test_an_existing_target_is_replaced_if_wanted(runner: Batch, photo: WritePhoto) -> None:
    photos = runner.photos([photo("a.png")])
    photos[0].output.parent.mkdir()
    photos[0].output.write_text("old")
    assert runner.run(photos, overwrite=True) == (1, 0)
    assert read_photo(photos[0].output).pixels.size


def test_a_target_that_cannot_be_written_fails_alone_and_leaves_no_cube(
    runner: Batch, photo: WritePhoto, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    source = photo("a.png")
    inside = PhotoTask(source, tmp_path / "file" / "a.png", tmp_path / "cubes" / "a.cube")
    assert runner.run([inside, *runner.photos([source])]) == (1, 1)
    assert runner.reports[0].code == messages.FAILED
    assert list((tmp_path / "cubes").iterdir()) == []


def test_a_form_that_the_target_cannot_have_is_an_error_of_the_image(
    runner: Batch, photo: WritePhoto, tmp_path: Path
) -> None:
    assert runner.run([PhotoTask(photo("a.png"), tmp_path / "out" / "a.xyz")]) == (0, 1)
    assert runner.reports[0].code == messages.IMAGE


def test_a_look_that_cannot_be_learned_fails_its_photo_only(
    runner: Batch, photo: WritePhoto
) -> None:
    calls = []

    def learn(proxies: list[Floats]) -> LearnedLook:
        calls.append(proxies)
        if len(calls) == 1:
            raise BalanceError("the device is on fire")
        return look_of(proxies)

    photos = runner.photos([photo("a.png"), photo("b.png")])
    assert runner.run(photos, jobs=1, learn=learn) == (1, 1)
    assert (runner.reports[0].code, runner.reports[0].message) == (
        messages.FAILED,
        "the device is on fire",
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [(MemoryError(), messages.MEMORY), (ZeroDivisionError("oh"), messages.INTERNAL)],
)
def test_errors_of_other_kinds_fail_their_photo_only(
    runner: Batch, photo: WritePhoto, error: Exception, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    def learn(proxies: list[Floats]) -> LearnedLook:
        raise error

    source = photo("a.png")
    assert runner.run(runner.photos([source]), learn=learn) == (0, 1)
    assert runner.reports[0].code == code
    assert "\n" not in runner.reports[0].message
    assert ("ZeroDivisionError" in caplog.text) == (code == messages.INTERNAL)


def test_a_model_that_is_missing_ends_the_batch(runner: Batch, photo: WritePhoto) -> None:
    def learn(proxies: list[Floats]) -> LearnedLook:
        raise ModelError("no such model")

    with pytest.raises(ModelError, match="no such model"):
        runner.run(runner.photos([photo(f"{i}.png") for i in range(20)]), learn=learn)
    assert runner.written() == []


def test_a_stopped_batch_leaves_whole_files_only(
    runner: Batch, photo: WritePhoto, tmp_path: Path
) -> None:
    going = threading.Event()
    going.set()
    calls = []

    def learn(proxies: list[Floats]) -> LearnedLook:
        calls.append(proxies)
        if len(calls) == 4:
            going.clear()
            raise CancelledError
        return look_of(proxies)

    photos = runner.photos([photo(f"{i:02d}.png", seed=i) for i in range(20)], cubes=True)
    done, failed = runner.run(photos, learn=learn, keep_going=going.is_set)
    assert (len(runner.reports), failed) == (done, 0)
    assert 2 <= done <= 4
    kept = [photos[index] for index in runner.reports]
    names = [path.name for one in kept for path in (one.output, one.lut) if path]
    assert runner.written() == sorted(names)
    for one in kept:
        assert read_photo(one.output).pixels.size


def test_an_error_of_who_is_told_stops_the_batch(runner: Batch, photo: WritePhoto) -> None:
    def report(_: PhotoReport) -> None:
        raise ConnectionError("the client is gone")

    learned = []

    def learn(proxies: list[Floats]) -> LearnedLook:
        learned.append(proxies)
        return look_of(proxies)

    photos = runner.photos([photo(f"{i:02d}.png", seed=i) for i in range(30)])
    with pytest.raises(ConnectionError):
        LocalRunner(learn, 1).run(photos, How(), False, report)
    assert len(learned) < 30
    assert all(name.endswith(".png") and name[0] != "." for name in runner.written())


def test_a_roll_has_one_look_of_all_photos(runner: Batch, photo: WritePhoto) -> None:
    calls = []

    def learn(proxies: list[Floats]) -> LearnedLook:
        calls.append(len(proxies))
        return look_of(proxies)

    cube = runner.folder / "cubes" / "roll.cube"
    sources = [photo(f"{i}.png", seed=i) for i in range(4)]
    photos = [PhotoTask(s, runner.folder / "out" / s.name, cube) for s in sources]
    assert runner.run(photos, roll=True, learn=learn) == (4, 0)
    assert calls == [4]
    assert len({report.look for report in runner.reports.values()}) == 1
    assert {f"learned from: {source.name}" for source in sources} <= set(read_cube(cube).comments)


def test_a_long_roll_is_learned_from_frames_picked_evenly(
    runner: Batch, photo: WritePhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "PROXIES", 3)
    sources = [photo(f"{i}.png", seed=i) for i in range(9)]
    cube = runner.folder / "roll.cube"
    photos = [PhotoTask(s, runner.folder / "out" / s.name, cube) for s in sources]
    assert runner.run(photos, roll=True) == (9, 0)
    learned = [line for line in read_cube(cube).comments if line.startswith("learned from")]
    assert learned == [f"learned from: {i}.png" for i in (0, 4, 8)]


def test_a_roll_goes_on_without_its_bad_frames(
    runner: Batch, photo: WritePhoto, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no picture")
    photos = runner.photos([photo("a.png"), bad, photo("b.png")])
    assert runner.run(photos, roll=True) == (2, 1)
    assert runner.reports[1].code == messages.IMAGE


def test_a_roll_of_bad_frames_learns_nothing(
    runner: Batch, tmp_path: Path, photo: WritePhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "PROXIES", 2)
    photos = runner.photos([tmp_path / "a.png", photo("b.png"), tmp_path / "c.png"])
    learn: Learn = lambda proxies: pytest.fail("there is nothing to learn from")  # noqa: E731
    assert runner.run(photos, roll=True, learn=learn) == (0, 3)
    assert {report.code for report in runner.reports.values()} == {messages.IMAGE}


def test_frames_that_are_done_are_learned_from_but_kept(runner: Batch, photo: WritePhoto) -> None:
    photos = runner.photos([photo("a.png", seed=1), photo("b.png", seed=2)])
    runner.run(photos, roll=True)
    first, look = photos[0].output.stat().st_mtime_ns, runner.reports[1].look
    photos[1].output.unlink()
    assert runner.run(photos, roll=True) == (1, 1)
    assert runner.reports[0].code == messages.OUTPUT_EXISTS
    assert (photos[0].output.stat().st_mtime_ns, runner.reports[1].look) == (first, look)


def test_a_roll_whose_cube_exists_is_refused_before_any_work(
    runner: Batch, photo: WritePhoto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cube = tmp_path / "roll.cube"
    cube.write_text("precious")
    monkeypatch.setattr(pipeline, "read_photo", lambda path: pytest.fail("it was read"))
    with pytest.raises(BalanceError, match=r"roll\.cube: exists"):
        runner.run([PhotoTask(photo("a.png"), tmp_path / "out" / "a.png", cube)], roll=True)
    assert cube.read_text() == "precious"


def test_a_stopped_roll_writes_nothing(runner: Batch, photo: WritePhoto) -> None:
    photos = runner.photos([photo("a.png"), photo("b.png")])
    assert runner.run(photos, roll=True, keep_going=lambda: False) == (0, 0)
    assert runner.reports == {}
    assert runner.written() == []
