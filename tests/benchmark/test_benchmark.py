"""The speed table: fair references, figures beside their targets."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vae_balance.benchmark import table as speed
from vae_balance.benchmark import tools
from vae_balance.benchmark.table import (
    balance_as_published,
    benchmark,
    measure_applying,
    measure_beside,
    measure_color_map,
    measure_colorizing,
    measure_learning,
    measure_light,
)
from vae_balance.benchmark.tools import peak_memory, run_python, sample_photo
from vae_balance.correctors.latent_balancer.model import Model, load_model
from vae_balance.errors import BalanceError, OptionError
from vae_balance.evaluation.targets import Target, targets_markdown


@pytest.fixture(scope="module")
def model(random_model: Path) -> Model:
    return load_model(str(random_model), "cpu")


def negative(distorted: Any, fixed: Any) -> Any:
    """Stand for the published color map: whatever it is trained on, it inverts colors."""
    return lambda colors: 1.0 - colors


@pytest.mark.parametrize("megapixels", [0.01, 0.25])
def test_the_sample_has_the_size_asked_for(megapixels: float) -> None:
    photo = sample_photo(megapixels)
    assert photo.shape[0] * photo.shape[1] == pytest.approx(megapixels * 1e6, rel=0.02)
    assert np.ptp(photo, axis=(0, 1)).min() > 100


def test_the_published_algorithm_maps_the_full_size_picture_in_every_iteration(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "fit_published_color_map", negative)
    monkeypatch.setattr(speed, "_STRIP", 1000)
    photo = sample_photo(0.01)
    once, twice = (balance_as_published(photo, model, count).astype(int) for count in (1, 2))
    assert np.abs(once - (255 - photo.astype(int))).max() <= 1  # it cuts off, not rounds
    assert np.abs(twice - photo).max() <= 2


def test_the_published_algorithm_trains_on_subimages_of_its_own_rounds(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[NDArray[np.float32]] = []

    def remember(distorted: NDArray[np.float32], fixed: NDArray[np.float32]) -> Any:
        assert distorted.shape == fixed.shape == (224, 224, 3)
        seen.append(distorted)
        return negative(distorted, fixed)

    monkeypatch.setattr(speed, "fit_published_color_map", remember)
    balance_as_published(sample_photo(0.06), model, 2)
    assert np.abs(seen[0] - seen[1]).mean() > 0.005


def test_learning_applying_and_mapping_are_timed(model: Model) -> None:
    rows = [
        *measure_learning(model, 0.002, repeats=5),  # a difference of times: one is noise
        measure_color_map(model, repeats=1),
        measure_applying(model, 0.05, repeats=1),
    ]
    assert [row.unit for row in rows] == ["", "s", "s", ""]
    assert all(row.figure is not None and row.figure > 0.0 for row in rows)
    assert rows[0].figure is not None
    assert rows[0].figure >= 1.0


def test_the_time_to_learn_is_compared_with_that_of_another_model(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(model, info=replace(model.info, name="slow"))
    asked: list[Model] = []

    def learn(proxies: Any, model: Model, options: Any) -> None:
        assert options.iterations == 1
        asked.append(model)

    def seconds_of(work: Callable[[], object]) -> float:  # of no clock: machines may be busy
        work()
        return 0.4 if asked[-1] is other else 0.1

    monkeypatch.setattr(speed, "learn_look", learn)
    monkeypatch.setattr(tools, "seconds_of", seconds_of)
    row = measure_beside(model, other, 0.002, repeats=1)
    assert row.name == "learning a look, 1 iteration: random 0 / slow 0"
    assert row.figure == pytest.approx(0.25)
    assert row.detail == "0.100 / 0.400 s"


@pytest.mark.skipif(sys.platform == "win32", reason="no getrusage")
def test_peak_memory_is_that_of_the_command_alone() -> None:
    ours = np.ones(300_000_000, dtype=np.uint8)  # what this process holds must not count
    hold = "x = bytearray(60_000_000)"
    peak = peak_memory([sys.executable, "-c", hold])
    assert ours[-1] == 1
    assert 60e6 < peak < 150e6


def test_a_program_that_fails_is_an_error_of_one_line() -> None:
    with pytest.raises(BalanceError, match=r"failed: ValueError: broken$"):
        run_python(["-c", "raise ValueError('broken')"])


def test_programs_find_this_package() -> None:
    assert run_python(["-c", "import vae_balance; print(vae_balance.__version__)"]).strip()


def test_the_table_has_every_line_of_the_readme(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "fit_published_color_map", negative)
    monkeypatch.setattr(speed, "run_python", lambda arguments: "")
    monkeypatch.setattr(speed, "peak_memory", lambda command: 123_456_000)
    row = Target("sd-vae-ft-mse", 1.0, 1.0)  # of full size, and measured by a test of its own
    monkeypatch.setattr(speed, "measure_stability", lambda device: [row])
    reports: list[tuple[int, int]] = []
    rows = benchmark(model, 0.02, lambda done, total, what: reports.append((done, total)), 1)
    assert reports == [(done, 11) for done in range(12)]
    starts = [
        "learning from",
        "a further iteration",
        "fitting the color map",
        "applying to 0.02 megapixels",
        "applying mixed light to 0.02 megapixels",
        "colorizing 0.02 megapixels",
        "cold start of vae-balance --help",
        "cold balance",
        "peak memory",
        "daemon: start",
        "daemon: 0.02 megapixels of 8-bit RGBA",
        "daemon: slowest answer to `status`",
        "daemon: learning a look",
        "daemon: a 0.00166667-megapixel layer",
        "daemon: `vae-balance balance` of a 0.00166667-megapixel JPEG",
        "daemon: 2 photos",
        "sd-vae-ft-mse",
        "0.02 megapixels, 5 iterations: published algorithm / ours",
    ]
    assert len(rows) == len(starts)
    for row, start in zip(rows, starts, strict=True):
        assert row.name.startswith(start)
        assert set(row.to_json()) == {"name", "figure", "unit", "target", "reached", "detail"}


@pytest.mark.parametrize(("megapixels", "repeats"), [(0.0, 1), (-1.0, 1), (1.0, 0)])
def test_sizes_that_make_no_sense_are_refused(
    model: Model, megapixels: float, repeats: int
) -> None:
    with pytest.raises(OptionError, match="must be positive"):
        benchmark(model, megapixels, repeats=repeats)


def test_targets_are_reached_at_their_bound_and_not_beyond() -> None:
    assert Target("a", 2.5, 2.5).reached
    assert not Target("a", 2.51, 2.5).reached
    assert Target("a", 30.0, 30.0, at_most=False).reached
    assert not Target("a", 29.9, 30.0, at_most=False).reached
    assert not Target("a", None, 1.0).reached


def test_a_figure_that_misses_by_a_hair_does_not_look_like_its_target() -> None:
    assert Target("a", 1.0043722, 1.0).measured == "1.00437"
    assert Target("a", 0.9999, 1.0).measured == "1"
    assert Target("a", 2.51, 2.5).measured == "2.51"


def test_the_table_says_what_is_not_reached() -> None:
    rows = [
        Target("speed", 12.0, 30.0, at_most=False, detail="1 / 2 s"),
        Target("fit", 0.05, 0.1, "s"),
    ]
    lines = targets_markdown(rows).splitlines()
    assert lines[2] == "| speed (1 / 2 s) | 12 | at least 30 | NOT reached |"
    assert lines[3] == "| fit | 0.05 s | at most 0.1 s | reached |"


def test_colorizing_is_compared_with_a_lut_on_the_same_photo() -> None:
    row = measure_colorizing(0.2, 1)
    assert row.figure is not None and row.figure > 0.5
    colors, lut = (float(part) for part in row.detail.removesuffix(" s").split(" / "))
    assert colors > 0.0 and lut > 0.0


def test_mixed_light_is_compared_with_a_lut_on_the_same_photo() -> None:
    row = measure_light(0.2, 1)
    assert row.figure is not None and row.figure > 0.5
    assert row.bound == 4.0
    light, lut = (float(part) for part in row.detail.removesuffix(" s").split(" / "))
    assert light > 0.0 and lut > 0.0
