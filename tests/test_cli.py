"""The command `vae-balance`, as a person or a script meets it."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from vae_balance.color.lut import Lut3D
from vae_balance.commands import console
from vae_balance.correctors.latent_balancer.model import Model
from vae_balance.evaluation.cases import UNDAMAGED
from vae_balance.evaluation.quality import OURS, Quality, Score, VaeScore
from vae_balance.evaluation.targets import Target
from vae_balance.luts.cube import read_cube, write_cube
from vae_balance.luts.hald import read_hald, write_hald
from vae_balance.photos.photo import Photo, read_photo, write_photo

Report = Callable[[int, int, str], None]
Run = Callable[..., Result]
WritePhoto = Callable[..., Path]

INVERTED = Lut3D(1.0 - Lut3D.identity(2).table)


def read_pixels(path: Path) -> np.ndarray:
    return read_photo(path).pixels


@pytest.fixture
def balance(run: Run, random_model: Path) -> Run:
    here = ("--daemon", "never", "--model", random_model, "--device", "cpu")
    return lambda *arguments: run("balance", *here, *arguments)


@pytest.fixture
def learn(run: Run, random_model: Path) -> Run:
    return lambda *arguments: run("learn", "--model", random_model, "--device", "cpu", *arguments)


def test_balance_writes_a_changed_photo_of_the_same_size(
    balance: Run, photo: WritePhoto, tmp_path: Path
) -> None:
    result = balance(photo("a.png"), "-o", tmp_path / "out.png")
    assert result.exit_code == 0
    before, after = read_pixels(tmp_path / "a.png"), read_pixels(tmp_path / "out.png")
    assert after.shape == before.shape
    assert (after != before).any()


def test_the_cube_of_a_balanced_photo_makes_the_same_photo(
    balance: Run, run: Run, photo: WritePhoto, tmp_path: Path
) -> None:
    # A .cube file is clipped to 0..1, the look itself is not: no color may come near.
    pale = read_pixels(photo("a.png")) // 4 + 96
    write_photo(Photo(pale), tmp_path / "a.png", overwrite=True)
    cube = tmp_path / "look.cube"
    options = ("--iterations", 2, "--strength", 0.6, "--size", 17, "--proxy", "frame", "--seed", 3)
    balance(tmp_path / "a.png", "-o", tmp_path / "out.png", "--cube", cube, *options)
    assert read_cube(cube).size == 17
    assert run("apply", cube, tmp_path / "a.png", "-o", tmp_path / "again.png").exit_code == 0
    balanced, again = read_pixels(tmp_path / "out.png"), read_pixels(tmp_path / "again.png")
    assert np.abs(balanced.astype(int) - again).max() <= 1
    assert (balanced != pale).any()


def test_each_photo_gets_a_look_of_its_own(balance: Run, photo: WritePhoto, tmp_path: Path) -> None:
    photos = [photo("a.png", seed=1), photo("b.png", seed=2)]
    result = balance(*photos, "--out-dir", tmp_path / "out", "--json")
    first, second = json.loads(result.stdout)
    assert first["lut_sha256"] != second["lut_sha256"]


def test_the_same_photo_and_options_make_the_same_cube(
    learn: Run, photo: WritePhoto, tmp_path: Path
) -> None:
    path = photo()
    for name in ("1.cube", "2.cube"):
        learn(path, "-o", tmp_path / name)
    assert (tmp_path / "1.cube").read_bytes() == (tmp_path / "2.cube").read_bytes()


def test_a_cube_tells_where_it_comes_from(learn: Run, photo: WritePhoto, tmp_path: Path) -> None:
    learn(photo("müde.png"), "-o", tmp_path / "look.cube", "--iterations", 2, "--seed", 5)
    comments = read_cube(tmp_path / "look.cube").comments
    for line in (
        "VAE Balance 0.1.0",
        "model: random 0",
        "iterations: 2",
        "strength: 1",
        "seed: 5",
        "proxy: centre",
        "learned from: mude.png",
    ):
        assert line in comments


def test_out_dir_is_made_and_keeps_the_names(
    balance: Run, photo: WritePhoto, tmp_path: Path
) -> None:
    photos = [photo("a.png"), photo("roll/b.jpg")]
    assert balance(*photos, "--out-dir", tmp_path / "new" / "out").exit_code == 0
    assert sorted(p.name for p in (tmp_path / "new" / "out").iterdir()) == ["a.png", "b.jpg"]


def test_a_bad_photo_does_not_stop_the_others(
    balance: Run, photo: WritePhoto, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no picture")
    out = tmp_path / "out"
    result = balance(bad, tmp_path / "missing.jpg", photo("good.jpg"), "--out-dir", out)
    assert result.exit_code == console.FAILED
    lines = result.stderr.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["vae-balance", str(bad)],
        ["vae-balance", str(tmp_path / "missing.jpg")],
    ]
    assert [p.name for p in out.iterdir()] == ["good.jpg"]


def test_json_tells_of_good_and_bad_photos(balance: Run, photo: WritePhoto, tmp_path: Path) -> None:
    result = balance(
        tmp_path / "missing.jpg", photo("good.jpg"), "--out-dir", tmp_path / "out", "--json"
    )
    missing, good = json.loads(result.stdout)
    assert "does not exist" in missing["error"]
    assert good["output"] == str(tmp_path / "out" / "good.jpg")
    assert "error" not in good


def test_nothing_is_printed_when_piped_and_all_is_well(
    balance: Run, photo: WritePhoto, tmp_path: Path
) -> None:
    assert balance(photo(), "-o", tmp_path / "out.jpg").output == ""


def in_terminal(*arguments: object) -> str:
    """Run the command with standard error on a terminal; return what it shows."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "vae_balance", *map(str, arguments)]
    subprocess.run(command, stderr=theirs, check=True, timeout=60)
    os.close(theirs)
    shown = b""
    try:
        while block := os.read(ours, 4096):
            shown += block
    except OSError:  # how Linux tells the end of a terminal
        pass
    os.close(ours)
    return shown.decode()


def test_a_terminal_shows_progress_and_what_was_written(photo: WritePhoto, tmp_path: Path) -> None:
    write_cube(tmp_path / "look.cube", INVERTED)
    path, output = photo(), tmp_path / "out.jpg"
    shown = in_terminal("apply", tmp_path / "look.cube", path, "-o", output)
    assert "100%" in shown
    assert f"{path} -> {output}" in shown


def test_quiet_shows_nothing_in_a_terminal(photo: WritePhoto, tmp_path: Path) -> None:
    write_cube(tmp_path / "look.cube", INVERTED)
    output = tmp_path / "out.jpg"
    assert in_terminal("apply", tmp_path / "look.cube", photo(), "-o", output, "--quiet") == ""


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["a.jpg", "b.jpg", "-o", "out.jpg"], "--out-dir"),
        (["a.jpg"], "-o OUT"),
        (["a.jpg", "-o", "out.jpg", "--out-dir", "out"], "either"),
        (["a.jpg", "b.jpg", "--out-dir", "out", "--cube", "look.cube"], "learn"),
        (["a.jpg", "b.jpg", "--out-dir", "out", "--explain", "sheet.png"], "one photo"),
        (["a.jpg", "-o", "same.png", "--explain", "same.png"], "named twice"),
        (["a.png", "-o", "out.png", "--explain", "a.png", "--force"], "named twice"),
        (["a.png", "-o", "out.png", "--cube", "a.png", "--force"], "named twice"),
        (["a.jpg", "roll/a.jpg", "--out-dir", "out"], "would both be written"),
        (["a.jpg", "-o", "out.jpg", "--iterations", "11"], "1<=x<=10"),
        (["a.jpg", "-o", "out.jpg", "--strength", "1.6"], "0.0<=x<=1.5"),
        (["a.jpg", "-o", "out.jpg", "--size", "130"], "2<=x<=129"),
        (["a.jpg", "-o", "out.jpg", "--proxy", "corner"], "centre"),
        (["a.jpg", "-o", "out.jpg", "--device", "abacus"], "abacus"),
        ([], "PHOTO"),
    ],
)
def test_wrong_usage_is_told_before_any_work(
    balance: Run,
    photo: WritePhoto,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    hint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {photo("a.jpg"), photo("b.jpg"), photo("roll/a.jpg")}
    result = balance(*arguments)
    assert result.exit_code == console.WRONG_USAGE
    assert hint in result.stderr
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_existing_output_is_kept(balance: Run, photo: WritePhoto, tmp_path: Path) -> None:
    output = tmp_path / "out.jpg"
    output.write_text("precious")
    result = balance(photo(), "-o", output)
    assert result.exit_code == console.OUTPUT_EXISTS
    assert "--force" in result.stderr
    assert output.read_text() == "precious"


def test_force_overwrites_an_existing_output(
    balance: Run, photo: WritePhoto, tmp_path: Path
) -> None:
    output = tmp_path / "out.jpg"
    output.write_text("old")
    assert balance(photo(), "-o", output, "--force").exit_code == 0
    assert read_pixels(output).size


@pytest.mark.parametrize("option", ["--cube", "--explain"])
def test_existing_further_outputs_are_kept_and_nothing_is_written(
    balance: Run, photo: WritePhoto, tmp_path: Path, option: str
) -> None:
    further = tmp_path / "further.png"
    further.write_text("precious")
    result = balance(photo(), "-o", tmp_path / "out.jpg", option, further)
    assert result.exit_code == console.OUTPUT_EXISTS
    assert further.read_text() == "precious"
    assert not (tmp_path / "out.jpg").exists()


def test_a_photo_is_not_overwritten_by_its_result(
    balance: Run, photo: WritePhoto, tmp_path: Path
) -> None:
    path = photo()
    before = path.read_bytes()
    result = balance(path, "--out-dir", path.parent)
    assert result.exit_code == console.OUTPUT_EXISTS
    assert "the photo itself" in result.stderr
    assert path.read_bytes() == before


def test_force_replaces_a_photo_by_its_result(balance: Run, photo: WritePhoto) -> None:
    path = photo("a.png")
    before = read_pixels(path)
    assert balance(path, "--out-dir", path.parent, "--force").exit_code == 0
    assert (read_pixels(path) != before).any()


def test_an_out_dir_that_is_a_file_is_an_error_of_one_line(
    balance: Run, photo: WritePhoto, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    result = balance(photo(), "--out-dir", tmp_path / "out")
    assert result.exit_code == console.FAILED
    assert result.stderr.count("\n") == 1


def test_a_missing_model_ends_the_command(run: Run, photo: WritePhoto, tmp_path: Path) -> None:
    result = run("balance", photo(), "-o", tmp_path / "out.jpg", "--model", tmp_path / "none")
    assert result.exit_code == console.BAD_MODEL
    assert result.stderr.count("\n") == 1


def test_a_damaged_model_ends_the_command(
    run: Run, photo: WritePhoto, tmp_path: Path, random_model: Path
) -> None:
    damaged = shutil.copytree(random_model, tmp_path / "model")
    weights = damaged / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    result = run("balance", photo(), "-o", tmp_path / "out.jpg", "--model", damaged)
    assert result.exit_code == console.BAD_MODEL
    assert str(weights) in result.stderr


def test_explain_draws_a_sheet(balance: Run, photo: WritePhoto, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    assert balance(photo(), "-o", tmp_path / "out.jpg", "--explain", sheet).exit_code == 0
    assert min(read_pixels(sheet).shape[:2]) > 200


def test_a_missing_extra_is_told_with_the_command_that_installs_it(
    balance: Run, photo: WritePhoto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "find_spec", lambda package: None)
    result = balance(photo(), "-o", tmp_path / "out.jpg", "--explain", tmp_path / "sheet.png")
    assert result.exit_code == console.WRONG_USAGE
    assert "pip install 'vae-balance[explain]'" in result.stderr


def test_ctrl_c_ends_with_130(
    balance: Run, photo: WritePhoto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path) -> Photo:
        raise KeyboardInterrupt

    monkeypatch.setattr("vae_balance.pipeline.read_photo", interrupted)
    result = balance(photo(), "-o", tmp_path / "out.jpg")
    assert result.exit_code == console.INTERRUPTED
    assert "Traceback" not in result.output


@pytest.mark.parametrize(("name", "read"), [("look.cube", read_cube), ("look.png", read_hald)])
def test_a_roll_learns_one_look(
    learn: Run,
    photo: WritePhoto,
    tmp_path: Path,
    name: str,
    read: Callable[[Path], Lut3D],
) -> None:
    photos = [photo("a.png", seed=1), photo("b.png", seed=2)]
    assert learn(*photos, "-o", tmp_path / name).exit_code == 0
    learn(photos[0], "-o", tmp_path / "one.cube")
    roll, one = read(tmp_path / name), read_cube(tmp_path / "one.cube")
    colors = one.baked().table.reshape(-1, 3)
    assert np.abs(roll(colors) - one(colors)).max() > 0.003


@pytest.mark.skipif(os.name == "nt", reason="permission bits of POSIX")
def test_a_look_is_as_private_as_the_photos_it_is_learned_from(
    learn: Run, photo: WritePhoto, tmp_path: Path
) -> None:
    photos = [photo("a.png"), photo("b.png", seed=2)]
    photos[1].chmod(0o600)
    assert learn(*photos, "-o", tmp_path / "look.cube").exit_code == 0
    assert stat.S_IMODE((tmp_path / "look.cube").stat().st_mode) == 0o600


def test_learn_goes_on_after_a_bad_photo(learn: Run, photo: WritePhoto, tmp_path: Path) -> None:
    result = learn(tmp_path / "missing.jpg", photo(), "-o", tmp_path / "look.cube", "--json")
    assert result.exit_code == console.FAILED
    told = json.loads(result.stdout)
    assert told["photos"] == [str(tmp_path / "photo.jpg")]
    assert f"# found: {told['report']['text']}" in (tmp_path / "look.cube").read_text()


def test_learn_from_bad_photos_only_writes_nothing(learn: Run, tmp_path: Path) -> None:
    result = learn(tmp_path / "missing.jpg", "-o", tmp_path / "look.cube")
    assert result.exit_code == console.FAILED
    assert not (tmp_path / "look.cube").exists()


def test_learn_does_not_overwrite_its_photo(learn: Run, photo: WritePhoto, tmp_path: Path) -> None:
    path = photo("a.png")
    before = path.read_bytes()
    assert learn(path, "-o", path, "--force").exit_code == console.WRONG_USAGE
    assert path.read_bytes() == before


def test_learn_refuses_other_kinds_of_files(learn: Run, photo: WritePhoto, tmp_path: Path) -> None:
    result = learn(photo(), "-o", tmp_path / "look.3dl")
    assert result.exit_code == console.WRONG_USAGE
    assert ".cube" in result.stderr


def test_apply_takes_any_cube(run: Run, photo: WritePhoto, tmp_path: Path) -> None:
    write_cube(tmp_path / "look.cube", INVERTED)
    run("apply", tmp_path / "look.cube", photo("a.png"), "--out-dir", tmp_path / "out")
    inverted = 255 - read_pixels(tmp_path / "a.png")
    np.testing.assert_array_equal(read_pixels(tmp_path / "out" / "a.png"), inverted)


def test_apply_at_half_strength(run: Run, photo: WritePhoto, tmp_path: Path) -> None:
    write_cube(tmp_path / "look.cube", INVERTED)
    output = tmp_path / "out.png"
    run("apply", tmp_path / "look.cube", photo("a.png"), "-o", output, "--strength", "0.5")
    assert np.abs(read_pixels(output).astype(float) - 127.5).max() <= 0.5


def test_apply_names_the_broken_line_of_a_cube(run: Run, photo: WritePhoto, tmp_path: Path) -> None:
    cube = tmp_path / "look.cube"
    cube.write_text("LUT_3D_SIZE 2\n0 0\n")
    result = run("apply", cube, photo(), "-o", tmp_path / "out.jpg")
    assert result.exit_code == console.FAILED
    assert result.stderr.startswith(f"vae-balance: {cube}:2: ")


def test_apply_holds_one_photo_at_a_time(run: Run, tmp_path: Path) -> None:
    look = tmp_path / "look.png"
    write_hald(look, INVERTED, level=2)
    photos = [tmp_path / f"{i}.tif" for i in range(3)]
    for path in photos:
        write_photo(Photo(np.zeros((1500, 2000, 3), np.uint16)), path)

    def peak(paths: list[Path]) -> int:
        tracemalloc.start()
        run("apply", look, *paths, "--out-dir", tmp_path / f"out{len(paths)}")
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    assert peak(photos) < peak(photos[:1]) + 4_000_000


@pytest.fixture
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, random_model: Path) -> Path:
    """Return the user's folder of models, with one model in it."""
    models = tmp_path / "models"
    monkeypatch.setattr("vae_balance.models.store.user_models_folder", lambda: models)
    shutil.copytree(random_model, models / "random")
    return models


def test_models_lists_what_is_there(run: Run, own_models: Path) -> None:
    result = run("models", "--json")
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert rows["embedded"]["checksum"] == "ok"
    assert rows["random"] == {
        "name": "random",
        "version": "0",
        "license": "MIT",
        "checksum": "ok",
        "source": "made by the tests",
        "folder": str(own_models / "random"),
    }


def test_models_points_out_a_damaged_one(run: Run, own_models: Path) -> None:
    (own_models / "random" / "vae" / "config.json").write_text("{}")
    result = run("models")
    assert result.exit_code == console.BAD_MODEL
    damaged = [line for line in result.stdout.splitlines() if "DAMAGED" in line]
    assert [line.split()[0] for line in damaged] == ["random"]


def test_demo_damages_and_balances_the_sample(run: Run, random_model: Path, tmp_path: Path) -> None:
    result = run("demo", "--out-dir", tmp_path / "demo", "--model", random_model)
    assert result.exit_code == 0
    assert str(tmp_path / "demo" / "before-after.png") in result.stdout
    damaged = read_pixels(tmp_path / "demo" / "damaged.png")
    pair = read_pixels(tmp_path / "demo" / "before-after.png")
    np.testing.assert_array_equal(pair[:, :512], damaged)
    # The cast: blacks are lifted to blue, whites are green.
    assert damaged.min(axis=(0, 1)).argmax() == 2
    assert damaged.max(axis=(0, 1)).argmax() == 1
    assert read_cube(tmp_path / "demo" / "look.cube").size == 33


def test_demo_writes_a_roll_that_shares_a_fault(run: Run, tmp_path: Path) -> None:
    demo = ("demo", "--out-dir", tmp_path, "--model", "stretch", "--roll")
    assert run(*demo).exit_code == 0
    frames = [read_pixels(path) for path in sorted((tmp_path / "roll").iterdir())]
    assert [frame.shape for frame in frames] == [(256, 384, 3)] * 12
    assert len({frame.tobytes() for frame in frames}) == 12
    damaged = read_pixels(tmp_path / "damaged.png")
    assert np.array_equal(frames[0], damaged[:256, :384])
    assert np.array_equal(frames[-1], damaged[-256:, -384:])


def test_demo_draws_the_steps_that_led_to_the_look(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_balance.correctors.explain.DPI", 40)
    demo = ("demo", "--out-dir", tmp_path, "--model", "stretch", "--steps")
    assert run(*demo).exit_code == 0
    steps = sorted(path.name for path in tmp_path.glob("step-*.png"))
    # Photo and proxy, colors counted, color map, result, LUT.
    assert steps == [f"step-{number}.png" for number in range(1, 6)]
    assert run(*demo).exit_code != 0  # nothing is overwritten


def test_evaluate_prints_the_table_of_the_photos_asked_for(
    run: Run, random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(photos: Path, model: Model, out: Path, report: Report, limit: int) -> Quality:
        report(1, 2, "a.jpg")
        score = Score(f"{photos.name} {out.name} {limit}", UNDAMAGED, "", {OURS[1]: 1.25})
        return Quality(model.info.name, (score,), VaeScore(27.0, 1.5), VaeScore(26.0, 1.5))

    monkeypatch.setattr("vae_balance.evaluation.evaluate.evaluate", evaluate)
    paths = ("--photos", tmp_path / "photos", "--out", tmp_path / "new" / "out")
    options = ("--limit", 3, "--model", random_model, "--device", "cpu")
    assert "1.2 (1.2)" in run("evaluate", *paths, *options).stdout
    (case,) = json.loads(run("evaluate", *paths, *options, "--json").stdout)["cases"]
    assert case["photo"] == "photos out 3"
    assert (tmp_path / "new" / "out").is_dir()
    page = tmp_path / "quality.md"
    page.write_text("the page of before")
    run("evaluate", *paths, *options, "--page", page)
    text = page.read_text(encoding="utf-8")
    written = "Written by `vae-balance evaluate --photos photos --limit 3` of version "
    assert text.startswith(f"# How good it is\n\n{written}")
    assert "| no correction |" in text
    assert "1.2 (1.2)" in text


def test_benchmark_prints_figures_beside_their_targets(
    run: Run, random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def benchmark(
        model: Model, megapixels: float, report: Report, beside: Model | None
    ) -> list[Target]:
        report(1, 2, "learning")
        rows = [Target(f"{megapixels:g} megapixels", 31.0, 30.0, at_most=False)]
        return rows + ([Target(f"beside {beside.info.name}", 1.0, 1.5)] if beside else [])

    monkeypatch.setattr("vae_balance.benchmark.table.benchmark", benchmark)
    arguments = ("benchmark", "--megapixels", 2, "--model", random_model, "--device", "cpu")
    assert "| 2 megapixels | 31 | at least 30 | reached |" in run(*arguments).stdout
    assert json.loads(run(*arguments, "--json").stdout)[0]["figure"] == 31.0
    run(*arguments, "--page", tmp_path / "speed.md")
    text = (tmp_path / "speed.md").read_text(encoding="utf-8")
    assert text.startswith("# How fast it is\n\nWritten by `vae-balance benchmark` of version ")
    assert re.search(r"on \d+ cores of .+, Python 3\.\d+\.\d+, PyTorch 2\.", text)
    assert "| 2 megapixels | 31 | at least 30 | reached |" in text
    beside = run(*arguments, "--beside", random_model).stdout
    assert "| beside random | 1 | at most 1.5 | reached |" in beside
    refused = run(*arguments, "--beside", random_model, "--archive")
    assert refused.exit_code == 2 and "--beside" in refused.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is of Linux")
def test_results_that_cannot_be_printed_are_told_in_one_line() -> None:
    command = [sys.executable, "-m", "vae_balance", "models", "--json"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "vae-balance: standard output: No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a folder in use cannot be removed there")
@pytest.mark.parametrize(
    "command", [("balance", "/a.png", "-o", "x.png", "--daemon", "never"), ("batch", "/", "out")]
)
def test_a_folder_that_is_gone_is_told_in_one_line(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "gone").mkdir()
    inside = f"import os, sys; os.rmdir({str(tmp_path / 'gone')!r}); sys.path[:] = {sys.path!r}; "
    inside += f"from vae_balance.cli import main; main({list(command)!r})"
    done = subprocess.run(
        [sys.executable, "-c", inside],
        cwd=tmp_path / "gone",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    told = "vae-balance: the folder in which this runs is gone (No such file or directory): "
    assert done.stderr == f"{told}change to another one\n"


SLOW = """
import sys, time
from pathlib import Path
from vae_balance.cli import main
from vae_balance.files import atomic_write

@main.command()
def slow():
    with atomic_write(Path(sys.argv[1])) as temporary:
        temporary.write_text("half")
        print("begun", flush=True)
        time.sleep(60)

main(["slow"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_sigterm_leaves_nothing_half_written(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, str(tmp_path / "out.png")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "begun\n"
        assert [path.name[0] for path in tmp_path.iterdir()] == ["."]
        process.terminate()
        assert process.wait(60) == -signal.SIGTERM
        assert process.stderr.read() == ""
    assert list(tmp_path.iterdir()) == []
