"""`vae-balance train`: its settings, its live line, its plot, and the model it leaves."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from vae_balance.commands import console
from vae_balance.commands.train import MakingLine, TrainingLine
from vae_balance.models.store import find_model, verify_files
from vae_balance.photos.photo import read_photo
from vae_balance.training import allocator
from vae_balance.training.checkpoint import read_log
from vae_balance.training.plots import plot_losses

Run = Callable[..., Result]


@pytest.fixture
def photos(photo: Callable[..., Path]) -> Path:
    """Return a folder with photos of one source."""
    paths = [photo(f"photos/mine/{i}.jpg", seed=i) for i in range(3)]
    return paths[0].parents[1]


def test_train_vae_leaves_a_network_and_a_plot(run: Run, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("train", "vae", "--photos", photos, "--out", out, "--steps", 1, "--batch", 1)
    assert (result.exit_code, result.output) == (0, "")
    assert (out / "vae" / "config.json").exists()
    assert read_photo(out / "losses.png").pixels.size


@pytest.fixture
def fake_training(monkeypatch: pytest.MonkeyPatch, random_model: Path) -> list[Any]:
    """Replace the training of a latent balancer by a copy; return the settings it was given."""
    given: list[Any] = []

    def train_balancer(config: Any, report: Callable[[dict[str, float]], None], _: Any) -> None:
        given.append(config)
        shutil.copytree(random_model / "latent_balancer", config.out / "latent_balancer")
        report({"step": config.steps, "kl": 1.0})

    target = "vae_balance.correctors.latent_balancer.train_balancer.train_balancer"
    monkeypatch.setattr(target, train_balancer)
    return given


def test_a_trained_balancer_is_a_model_to_balance_with(
    run: Run,
    photo: Callable[..., Path],
    tmp_path: Path,
    random_model: Path,
    fake_training: list[Any],
) -> None:
    out, vae = tmp_path / "mine", random_model / "vae"
    trained = run("train", "balancer", "--photos", tmp_path, "--vae", vae, "--out", out)
    assert trained.exit_code == 0
    balanced = tmp_path / "out.jpg"
    assert run("balance", photo(), "-o", balanced, "--model", out).exit_code == 0


def test_options_of_training_become_its_settings(
    run: Run, tmp_path: Path, random_model: Path, fake_training: list[Any]
) -> None:
    options = ("--steps", 7, "--batch", 3, "--seed", 9, "--learning-rate", 0.5, "--device", "cpu")
    paths = ("--photos", tmp_path, "--vae", random_model / "vae", "--out", tmp_path / "mine")
    more = ("--luts", tmp_path / "luts", "--cases", 50, "--own", 0, "--cache", tmp_path / "kept")
    run("train", "balancer", *paths, *options, *more)
    (config,) = fake_training
    assert (config.steps, config.batch, config.seed, config.learning_rate) == (7, 3, 9, 0.5)
    assert (config.photos, config.luts, config.device) == (tmp_path, tmp_path / "luts", "cpu")
    assert (config.cases, config.own, config.cache) == (50, 0, tmp_path / "kept")


def test_cases_are_kept_beside_the_model_and_are_no_part_of_it(
    run: Run, tmp_path: Path, random_model: Path, fake_training: list[Any]
) -> None:
    paths = ("--photos", tmp_path, "--vae", random_model / "vae", "--out", tmp_path / "mine")
    run("train", "balancer", *paths)
    (config,) = fake_training
    assert config.cache == tmp_path / "mine-cases"
    assert (config.cases, config.own) == (100_000, 30_000)


def test_one_command_goes_from_photos_to_a_model(
    run: Run,
    photos: Path,
    photo: Callable[..., Path],
    tmp_path: Path,
    random_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trainer = "vae_balance.correctors.latent_balancer.train_balancer"
    monkeypatch.setattr(f"{trainer}.THUMBNAIL_STEPS", 3)
    out = tmp_path / "mine"
    paths = ("--photos", photos, "--vae", random_model / "vae", "--out", out)
    small = ("--cases", 4, "--own", 2, "--steps", 3, "--batch", 2, "--device", "cpu")
    result = run("train", "balancer", *paths, *small)
    assert (result.exit_code, result.output) == (0, "")
    rows = read_log(out / "log.jsonl")
    assert [row["step"] for row in rows] == [2, 3]
    assert rows[-1]["watch_damaged"] > 0.0
    assert (out / "losses.png").exists()
    info = find_model(str(out))
    verify_files(info)
    assert {name.split("/")[0] for name in info.sha256} == {"vae", "latent_balancer"}
    shutil.rmtree(tmp_path / "mine-cases")  # the model does without
    balanced = tmp_path / "out.jpg"
    assert run("balance", photo(), "-o", balanced, "--model", out).exit_code == 0


def test_the_line_tells_how_many_cases_are_made() -> None:
    line = MakingLine()
    assert line.describe("cases", 1600, 100_000, now=5.0) == "cases 1600/100000"
    later = line.describe("cases", 2800, 100_000, now=45.0)
    assert later == "cases 2800/100000  30 cases/s  54 min left"
    assert line.describe("cases of its own answers", 0, 10, now=46.0) == (
        "cases of its own answers 0/10"
    )


def test_ctrl_c_in_training_plots_and_tells_how_to_go_on(
    run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(config: Any, report: Callable[[dict[str, float]], None]) -> None:
        config.out.mkdir()
        (config.out / "log.jsonl").write_text(json.dumps({"step": 100, "psnr": 20.0}) + "\n")
        (config.out / "checkpoint.pt").write_bytes(b"state")
        raise KeyboardInterrupt

    monkeypatch.setattr("vae_balance.correctors.latent_balancer.train_vae.train_vae", interrupted)
    result = run("train", "vae", "--photos", photos, "--out", tmp_path / "out")
    assert result.exit_code == console.INTERRUPTED
    assert "the same command goes on from its last checkpoint" in result.stderr
    assert (tmp_path / "out" / "losses.png").exists()


def test_ctrl_c_while_cases_are_made_tells_that_they_are_kept(
    run: Run, tmp_path: Path, random_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    target = "vae_balance.correctors.latent_balancer.train_balancer.train_balancer"
    monkeypatch.setattr(target, interrupted)
    paths = ("--photos", tmp_path, "--vae", random_model / "vae", "--out", tmp_path / "mine")
    result = run("train", "balancer", *paths)
    assert result.exit_code == console.INTERRUPTED
    assert "the same command goes on with the cases that are made" in result.stderr


def test_training_without_its_extra_tells_what_to_install(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "find_spec", lambda package: None)
    result = run("train", "vae", "--photos", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == console.WRONG_USAGE
    assert "pip install 'vae-balance[train]'" in result.stderr


def test_training_on_a_missing_folder_is_an_error_of_one_line(run: Run, tmp_path: Path) -> None:
    result = run("train", "vae", "--photos", tmp_path / "none", "--out", tmp_path / "out")
    assert result.exit_code == console.WRONG_USAGE
    assert result.stderr.count("\n") == 1


def test_the_line_tells_speed_and_remaining_time_since_the_run_went_on() -> None:
    line = TrainingLine(steps=7400)
    assert line.describe({"step": 4000, "kl": 9.5}, now=10.0) == "step 4000/7400  kl 9.5"
    later = line.describe({"step": 4200, "kl": 9.25, "watch_damaged": 8.0}, now=210.0)
    assert later == "step 4200/7400  kl 9.25  watch_damaged 8  1 steps/s  53 min left"


def test_the_line_keeps_what_was_watched_last() -> None:
    line = TrainingLine(steps=1000)
    line.describe({"step": 100, "kl": 9.5, "watch_damaged": 8.0}, now=0.0)
    assert "watch_damaged 8" in line.describe({"step": 200, "kl": 9.0}, now=1.0)


def test_a_plot_shows_every_value_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    rows = [{"step": i, "kl": 5.0 / i, "color": 1.0 / i, "watch_color": 2.0} for i in range(1, 9)]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    plot_losses(log, tmp_path / "losses.png")
    two_panels = read_photo(tmp_path / "losses.png").pixels
    log.write_text("".join(json.dumps({"step": r["step"], "kl": r["kl"]}) + "\n" for r in rows))
    plot_losses(log, tmp_path / "losses.png")
    one_panel = read_photo(tmp_path / "losses.png").pixels
    assert two_panels.shape[1] > 1.5 * one_panel.shape[1]


def test_a_plot_takes_the_later_of_steps_that_a_resumed_run_logged_again(tmp_path: Path) -> None:
    log, picture = tmp_path / "log.jsonl", tmp_path / "losses.png"
    rows = [{"step": step, "kl": 1.0 / step} for step in range(1, 6)]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    plot_losses(log, picture)
    straight = read_photo(picture).pixels
    again = [{"step": 4, "kl": 99.0}, {"step": 5, "kl": 99.0}]
    log.write_text("".join(json.dumps(row) + "\n" for row in [*rows[:3], *again, *rows[3:]]))
    plot_losses(log, picture)
    np.testing.assert_array_equal(read_photo(picture).pixels, straight)


def faults_of_a_large_block(**environment: str) -> int:
    """Return how often the kernel maps pages when a freed block of 64 MB is asked for again."""
    code = (
        "import resource; from vae_balance.training.allocator import keep_freed_memory\n"
        "keep_freed_memory()\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def fill(): bytearray(64 << 20)[::4096] = bytes([1]) * (64 << 8)\n"
        "fill(); before = faults(); fill(); print(faults() - before)"
    )
    bare = {name: value for name, value in os.environ.items() if name not in allocator.SETTINGS}
    command = [sys.executable, "-c", code]
    shown = subprocess.run(
        command, env=bare | environment, capture_output=True, text=True, check=True, timeout=60
    )
    return int(shown.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc")
def test_memory_that_was_freed_is_not_mapped_again() -> None:
    assert faults_of_a_large_block() < 1000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc")
def test_a_setting_of_the_user_is_kept() -> None:
    assert faults_of_a_large_block(MALLOC_MMAP_MAX_="65536") > 10000


def test_a_process_without_glibc_goes_on_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in allocator.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    monkeypatch.setattr("ctypes.CDLL", lambda *call: pytest.fail("asked for mallopt"))
    allocator.keep_freed_memory()
