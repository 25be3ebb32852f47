"""Which photos a batch has, and what a run has to do after the ones before it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from vae_balance.batch.plan import (
    Folders,
    Planned,
    Request,
    State,
    check_targets,
    find_photos,
    outputs_of,
    plan_photos,
    plan_requests,
    settings_of,
)
from vae_balance.batch.report import Line, Report, Stamp
from vae_balance.errors import BalanceError, OptionError, OutputExistsError
from vae_balance.models.store import ModelInfo
from vae_balance_protocol import messages

MODEL = ModelInfo("m", Path("/m"), "1", "MIT", "the tests", {"vae/config.json": "12ab"})


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("photo")


def found(folder: Path, recursive: bool = False) -> list[str]:
    return [Path(p).as_posix() for p in find_photos(folder, recursive, folder / "out").photos]


def test_photos_are_found_by_their_suffix_in_order(tmp_path: Path) -> None:
    make(tmp_path, "b.JPG", "a.tiff", "c.webp", "d.png", "e.jpeg", "f.tif", "notes.txt", "h.xyz")
    assert found(tmp_path) == ["a.tiff", "b.JPG", "c.webp", "d.png", "e.jpeg", "f.tif"]
    passed_over = find_photos(tmp_path, False, tmp_path / "out")
    assert passed_over.passed_over == {".txt": 1, ".xyz": 1}


def test_what_is_passed_over_is_told_by_suffix(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "b.XYZ", "c.xyz", "notes.txt", "README", "more/d.xyz")
    assert find_photos(tmp_path, False, tmp_path / "out").told() == (
        "2 .xyz, 1 without suffix, 1 .txt"
    )
    assert find_photos(tmp_path, True, tmp_path / "out").told().startswith("3 .xyz, ")


def test_a_folder_without_photos_tells_what_it_has_instead(tmp_path: Path) -> None:
    make(tmp_path, "b.xyz", "c.xyz", "notes.txt")
    with pytest.raises(BalanceError, match=r"no photos here \(.*\) but 2 \.xyz, 1 \.txt"):
        find_photos(tmp_path, True, tmp_path / "out")


def test_inner_folders_are_looked_into_if_wanted(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "1987/b.jpg", "1987/spring/c.jpg")
    assert found(tmp_path) == ["a.jpg"]
    assert found(tmp_path, recursive=True) == ["1987/b.jpg", "1987/spring/c.jpg", "a.jpg"]


def test_hidden_files_and_results_are_no_photos(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", ".b.jpg", "._c.jpg", ".trash/d.jpg", "out/a.jpg", "out/deep/e.jpg")
    assert found(tmp_path, recursive=True) == ["a.jpg"]
    assert not find_photos(tmp_path, True, tmp_path / "out").passed_over


def test_a_folder_without_photos_is_an_error_that_helps(tmp_path: Path) -> None:
    make(tmp_path, "notes.txt", "1987/a.jpg")
    with pytest.raises(BalanceError, match=r"no photos here \(.*--recursive"):
        find_photos(tmp_path, False, tmp_path / "out")
    (tmp_path / "1987" / "a.jpg").unlink()
    with pytest.raises(BalanceError, match=r"no photos here \([^-]*$"):
        find_photos(tmp_path, True, tmp_path / "out")


@pytest.mark.parametrize("name", ["missing", "a.jpg"])
def test_what_is_no_folder_is_told_so(tmp_path: Path, name: str) -> None:
    make(tmp_path, "a.jpg")
    with pytest.raises(BalanceError, match=f"{name}: cannot be read: "):
        find_photos(tmp_path / name, False, tmp_path / "out")


def test_two_photos_with_one_target_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_balance.files._is_one_file", lambda *_: True)  # as on Windows
    check_targets(["a.jpg", "a.png", "b/a.jpg"], tmp_path)
    with pytest.raises(OptionError, match=r"b/a\.jpg and B/A\.jpg would be written to one file"):
        check_targets(["b/a.jpg", "B/A.jpg"], tmp_path)


def test_names_that_differ_in_case_are_two_where_the_drive_tells_them_apart(tmp_path: Path) -> None:
    (tmp_path / "case").touch()
    if (tmp_path / "CASE").exists():
        pytest.skip("this drive does not")
    check_targets(["b/a.jpg", "B/A.jpg", "b/A.jpg"], tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["case"]


def test_all_that_the_result_depends_on_is_among_the_settings(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "b.jpg")
    roll = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    variants = [
        settings_of({"seed": None}, "centre", MODEL, []),
        settings_of({"seed": 1}, "centre", MODEL, []),
        settings_of({"seed": None}, "frame", MODEL, []),
        settings_of({"seed": None}, "centre", replace(MODEL, version="2"), []),
        settings_of({"seed": None}, "centre", replace(MODEL, sha256={"vae": "34cd"}), []),
        settings_of({"seed": None}, "centre", MODEL, roll[:1]),
        settings_of({"seed": None}, "centre", MODEL, roll),
    ]
    os.utime(roll[1], ns=(1, 1))
    variants.append(settings_of({"seed": None}, "centre", MODEL, roll))
    assert all(variants.count(variant) == 1 for variant in variants)
    assert variants[0] == settings_of({"seed": None}, "centre", replace(MODEL), [])


@dataclass
class Runs:
    """Runs of one batch after the other, in which everything is written as text."""

    folder: Path
    roll: bool = False
    cubes: bool = False
    settings: dict[str, Any] = field(default_factory=lambda: {"seed": None})

    def plan(self, *names: str) -> list[Planned]:
        cubes = self.folder / "cubes" if self.cubes else None
        folders = Folders(self.folder / "in", self.folder / "out", cubes)
        report = Report(self.folder / "report.jsonl")
        return list(plan_photos(names, folders, self.roll, self.settings, report))

    def do(self, *names: str) -> None:
        report = Report(self.folder / "report.jsonl")
        for photo in self.plan(*names):
            outputs = [path for path in (photo.target, photo.cube) if path]
            for path in outputs:
                path.parent.mkdir(exist_ok=True)
                if not (self.roll and path == photo.cube and path.exists()):
                    path.write_text("made of it")
            stamps = {str(path): Stamp.of(path) for path in [photo.source, *outputs]}
            cube = str(photo.cube) if photo.cube else None
            line = Line(
                source=str(photo.source),
                target=str(photo.target),
                cube=cube,
                outcome="done",
                settings=self.settings,
            )
            report.append(replace(line, stamps=stamps))

    def states(self, *names: str) -> list[State]:
        return [photo.state for photo in self.plan(*names)]

    def requests(self, *names: str, force: bool = False) -> list[tuple[list[str], bool]]:
        asked = plan_requests(self.plan(*names), self.roll, force)
        return [([p.source.name for p in r.photos], r.overwrite) for r in asked]


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    make(tmp_path / "in", "a.jpg", "b.jpg", "c.jpg")
    return Runs(tmp_path)


@pytest.mark.parametrize("cubes", [False, True])
@pytest.mark.parametrize("roll", [False, True])
def test_what_is_done_and_unchanged_is_not_asked_for_again(
    runs: Runs, roll: bool, cubes: bool
) -> None:
    runs.roll, runs.cubes = roll, cubes
    assert runs.states("a.jpg", "b.jpg") == [State.NEW, State.NEW]
    runs.do("a.jpg", "b.jpg")
    assert runs.states("a.jpg", "b.jpg") == [State.DONE, State.DONE]
    assert runs.requests("a.jpg", "b.jpg") == []


def test_new_photos_are_asked_for_and_may_not_overwrite(runs: Runs) -> None:
    runs.do("a.jpg")
    assert runs.requests("a.jpg", "b.jpg", "c.jpg") == [(["b.jpg", "c.jpg"], False)]


def test_a_changed_photo_is_done_again_in_place_of_its_old_result(runs: Runs) -> None:
    runs.do("a.jpg", "b.jpg")
    (runs.folder / "in" / "b.jpg").write_text("scanned again")
    assert runs.states("a.jpg", "b.jpg") == [State.DONE, State.OURS]
    assert runs.requests("a.jpg", "b.jpg", "c.jpg") == [(["c.jpg"], False), (["b.jpg"], True)]


def test_other_settings_do_all_again(runs: Runs) -> None:
    runs.do("a.jpg", "b.jpg")
    runs.settings = {"seed": 1}
    assert runs.requests("a.jpg", "b.jpg") == [(["a.jpg", "b.jpg"], True)]


def test_a_result_that_is_gone_is_made_again(runs: Runs) -> None:
    runs.do("a.jpg", "b.jpg")
    (runs.folder / "out" / "b.jpg").unlink()
    assert runs.requests("a.jpg", "b.jpg") == [(["b.jpg"], False)]


def test_a_cube_that_is_missing_is_made_with_its_photo(runs: Runs) -> None:
    runs.do("a.jpg", "b.jpg")
    runs.cubes = True
    assert runs.requests("a.jpg", "b.jpg") == [(["a.jpg", "b.jpg"], True)]
    runs.do("a.jpg", "b.jpg")
    (runs.folder / "cubes" / "b.jpg.cube").unlink()
    assert runs.requests("a.jpg", "b.jpg") == [(["b.jpg"], True)]
    runs.cubes = False  # nobody wants them any more
    assert runs.requests("a.jpg", "b.jpg") == []


def test_photos_of_one_name_have_cubes_of_their_own(runs: Runs) -> None:
    runs.cubes = True
    cubes = {photo.cube and photo.cube.name for photo in runs.plan("a.jpg", "a.tif")}
    assert cubes == {"a.jpg.cube", "a.tif.cube"}


def test_a_retouched_result_is_not_lost(runs: Runs) -> None:
    runs.do("a.jpg", "b.jpg")
    (runs.folder / "out" / "b.jpg").write_text("retouched by hand")
    a, b = runs.plan("a.jpg", "b.jpg")
    assert (a.state, b.state) == (State.DONE, State.TAKEN)
    assert b.taken == runs.folder / "out" / "b.jpg"
    assert runs.requests("a.jpg", "b.jpg") == []
    assert runs.requests("a.jpg", "b.jpg", force=True) == [(["b.jpg"], True)]


def test_a_file_that_was_there_before_is_not_lost(runs: Runs) -> None:
    make(runs.folder / "out", "a.jpg")
    assert runs.requests("a.jpg", "b.jpg") == [(["b.jpg"], False)]


def test_a_photo_of_the_same_name_from_elsewhere_does_not_overwrite(runs: Runs) -> None:
    runs.do("a.jpg")
    (runs.folder / "in").rename(runs.folder / "in1")
    make(runs.folder / "in", "a.jpg")
    report = Report(runs.folder / "report.jsonl")
    elsewhere = Folders(runs.folder / "in1", runs.folder / "out", None)
    (photo,) = plan_photos(["a.jpg"], elsewhere, False, runs.settings, report)
    assert photo.state is State.TAKEN


def test_a_roll_is_asked_for_whole_and_keeps_what_is_done(runs: Runs) -> None:
    runs.roll, runs.cubes = True, True
    runs.do("a.jpg", "b.jpg")
    (runs.folder / "out" / "b.jpg").unlink()
    assert runs.requests("a.jpg", "b.jpg", "c.jpg") == [(["a.jpg", "b.jpg", "c.jpg"], False)]


def test_a_roll_with_other_settings_is_done_again(runs: Runs) -> None:
    runs.roll = True
    runs.do("a.jpg", "b.jpg")
    runs.settings = {"seed": 1}
    assert runs.requests("a.jpg", "b.jpg") == [(["a.jpg", "b.jpg"], True)]


def test_a_roll_whose_cube_is_there_but_no_photo_may_replace_the_cube(runs: Runs) -> None:
    runs.roll, runs.cubes = True, True
    runs.do("a.jpg", "b.jpg")
    for name in ("a.jpg", "b.jpg"):
        (runs.folder / "out" / name).unlink()
    assert runs.requests("a.jpg", "b.jpg") == [(["a.jpg", "b.jpg"], True)]


@pytest.mark.parametrize("name", ["out/b.jpg", "cubes/roll.cube"])
def test_a_roll_that_would_overwrite_something_else_is_refused(runs: Runs, name: str) -> None:
    runs.roll, runs.cubes = True, True
    make(runs.folder, name)
    with pytest.raises(OutputExistsError, match=rf"{name}: exists, .* roll .* --force"):
        runs.requests("a.jpg", "b.jpg")
    assert runs.requests("a.jpg", "b.jpg", force=True) == [(["a.jpg", "b.jpg"], True)]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are Unicode")
@pytest.mark.parametrize("roll", [False, True])
def test_a_name_that_is_not_unicode_is_left_out(runs: Runs, roll: bool) -> None:
    runs.roll = roll
    name = os.fsdecode(b"caf\xe9.jpg")
    make(runs.folder / "in", name)
    assert runs.states(name) == [State.NAMELESS]
    assert runs.requests(name, "a.jpg") == [(["a.jpg"], False)]


def planned(count: int, path: Path) -> list[Planned]:
    return [
        Planned(path / f"{i}.jpg", path / f"{i}.jpg", None, State.NEW, None) for i in range(count)
    ]


def test_many_photos_are_several_requests(tmp_path: Path) -> None:
    requests = list(plan_requests(planned(messages.PHOTOS * 2 + 1, tmp_path), False, False))
    assert [len(r.photos) for r in requests] == [messages.PHOTOS, messages.PHOTOS, 1]


def test_long_paths_fit_into_the_header_of_a_request() -> None:
    from vae_balance_protocol.packing import pack

    deep = Path("/" + "/".join(["ä" * 100] * 12))
    requests = list(plan_requests(planned(3000, deep), False, False))
    assert sum(len(request.photos) for request in requests) == 3000
    for request in requests:
        rows = [[str(p.source), str(p.target), None] for p in request.photos]
        assert len(pack({"photos": rows})) < messages.HEADER_BYTES - 10_000


def test_a_roll_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="a roll of 10001 photos: at most 10000"):
        list(plan_requests(planned(messages.PHOTOS + 1, tmp_path), True, False))


def test_outputs_that_will_be_written_are_listed_with_their_photos() -> None:
    new = Planned(Path("a"), Path("b"), Path("c"), State.NEW, None)
    done = Planned(Path("d"), Path("e"), None, State.DONE, None)
    outputs = {Path("b"): Path("a"), Path("c"): Path("a")}
    assert outputs_of(Request([new, done], False)) == outputs
    assert outputs_of(Request([new, done], True)) == {**outputs, Path("e"): Path("d")}
