"""`vae-balance batch --scheduler` with real processes of Dask: as by the daemon, and faults."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from dask_cluster import WAIT, Cluster, dask_cluster, wait_for
from test_batch_command import MANY, REPORT, WANTING, Batches, check_wanting_batch, pixels_of

from vae_balance.commands import console
from vae_balance.luts.cube import read_cube

pytest.importorskip("distributed")

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a scheduler with two workers that all tests share."""
    with dask_cluster(tmp_path_factory.mktemp("cluster"), 2) as cluster:
        cluster.wait_for_workers(2)
        yield cluster


@pytest.fixture
def batches(tmp_path: Path, run: Run, random_model: Path) -> Batches:
    return Batches(tmp_path, random_model, run)


def test_photos_are_balanced_as_in_this_process(
    batches: Batches, cluster: Cluster, run: Run
) -> None:
    batches.photos("a.png", "1987/b.jpg", "c.tif")
    cubes = batches.folder / "looks"
    options = ("--recursive", "--scheduler", cluster.address, "--lut-dir", cubes)
    result = batches.run(*options)
    assert (result.exit_code, result.output) == (0, "")
    assert batches.written() == sorted(
        ["1987/b.jpg", "a.png", "c.tif", "contact-sheet.jpg", REPORT]
    )
    for name in ("a.png", "1987/b.jpg", "c.tif"):
        alone = batches.folder / f"alone{Path(name).suffix}"
        source, cube = batches.folder / "in" / name, batches.folder / "alone.cube"
        more = ("--model", batches.model, "--device", "cpu", "--lut", cube, "--force")
        run("balance", source, "-o", alone, "--daemon", "never", *more)
        assert alone.read_bytes() == (batches.folder / "out" / name).read_bytes()
        np.testing.assert_array_equal(
            read_cube(cubes / f"{name}.cube").baked().table, read_cube(cube).baked().table
        )
    lines = {Path(line["source"]).name: line for line in batches.report()}
    assert sorted(lines) == ["a.png", "b.jpg", "c.tif"]
    line = lines["a.png"]
    assert (line["outcome"], line["width"], line["height"]) == ("done", 60, 60)
    assert line["device"] == "cpu"
    assert list(line["seconds"])[:2] == ["read", "shrink"]
    assert list(line["seconds"])[-2:] == ["apply", "write"]
    assert set(batches.outcomes(*options).values()) == {"skipped"}
    assert len(batches.report()) == 3
    assert cluster.is_clean()


def test_a_roll_has_one_look(batches: Batches, cluster: Cluster, run: Run) -> None:
    batches.photos("a.png", "b.png", "c.png")
    (batches.folder / "in" / "bad.jpg").write_text("no picture")
    cubes = batches.folder / "looks"
    options = ("--roll", "--lut-dir", cubes, "--scheduler", cluster.address)
    result = batches.run(*options)
    assert result.exit_code == console.FAILED
    assert result.stderr.count("\n") == 1
    assert "bad.jpg: is not a picture" in result.stderr
    lines = batches.report()
    assert [line["outcome"] for line in lines].count("done") == 3
    assert len({line["look"] for line in lines if line["outcome"] == "done"}) == 1
    assert [path.name for path in cubes.iterdir()] == ["roll.cube"]
    names = [batches.folder / "in" / name for name in ("a.png", "b.png", "c.png")]
    alone = batches.folder / "alone.cube"
    run("learn", *names, "-o", alone, "--model", batches.model, "--device", "cpu")
    roll = read_cube(cubes / "roll.cube")
    np.testing.assert_array_equal(roll.baked().table, read_cube(alone).baked().table)
    assert "learned from: c.png" in roll.comments

    (batches.folder / "in" / "bad.jpg").unlink()
    (batches.folder / "out" / "b.png").unlink()
    assert set(batches.outcomes(*options).values()) == {"done"}  # another roll, another look
    (batches.folder / "out" / "b.png").unlink()
    before = (batches.folder / "out" / "a.png").stat().st_mtime_ns
    assert batches.outcomes(*options) == {"a.png": "skipped", "b.png": "done", "c.png": "skipped"}
    assert (batches.folder / "out" / "a.png").stat().st_mtime_ns == before


@pytest.mark.parametrize(("model", "wanted", "advice"), WANTING)
def test_models_that_want_a_place_or_grey_get_it(
    batches: Batches, cluster: Cluster, run: Run, model: str, wanted: str, advice: str
) -> None:
    check_wanting_batch(batches, run, model, wanted, advice, "--scheduler", cluster.address)


def test_workers_killed_in_the_middle_cost_nothing(batches: Batches, cluster: Cluster) -> None:
    batches.photos(*MANY, side=300)
    process = batches.start("--scheduler", cluster.address)
    for lines in (2, 6):
        batches.wait_for_lines(lines, process)
        os.kill(cluster.pids()[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=WAIT)
    assert process.returncode == 0, errors
    assert errors.count("is lost; others do what it was doing") == 2
    told = [Path(line["target"]).name for line in batches.report()]
    assert sorted(told) == MANY
    assert {line["outcome"] for line in batches.report()} == {"done"}
    assert batches.written() == sorted([*MANY, "contact-sheet.jpg", REPORT])
    for name in MANY:
        assert pixels_of(batches.folder / "out" / name).shape == (300, 300, 3)
    assert cluster.is_clean()


def test_ctrl_c_leaves_the_cluster_clean_and_the_next_run_goes_on(
    batches: Batches, cluster: Cluster
) -> None:
    batches.photos(*MANY, side=300)
    process = batches.start("--scheduler", cluster.address)
    batches.wait_for_lines(2, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=WAIT)
    assert process.returncode == console.INTERRUPTED
    assert "to do; the same command goes on" in errors
    assert "Traceback" not in errors
    wait_for(cluster.is_clean)
    done = {Path(line["target"]).name for line in batches.report()}
    assert 2 <= len(done) < len(MANY)
    result = batches.outcomes("--scheduler", cluster.address)
    assert {name for name, outcome in result.items() if outcome == "skipped"} == done
    assert set(result.values()) == {"skipped", "done"}
    assert batches.written() == sorted([*MANY, "contact-sheet.jpg", REPORT])


def test_processes_of_our_own_do_it_too(batches: Batches) -> None:
    batches.photos("a.png", "b.png")
    process = batches.start("--scheduler", "local", "--jobs", 2, "--json")
    output, errors = process.communicate(timeout=WAIT)
    assert (process.returncode, errors) == (0, "")
    assert {photo["outcome"] for photo in json.loads(output)["photos"]} == {"done"}


@pytest.mark.skipif(os.name == "nt", reason="process groups of POSIX")
def test_ctrl_c_at_a_terminal_ends_processes_of_our_own_without_a_word(batches: Batches) -> None:
    batches.photos(*MANY, side=300)
    command = [sys.executable, "-m", "vae_balance", *batches.arguments("--scheduler", "local")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    batches.wait_for_lines(1, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=WAIT)
    assert process.returncode == console.INTERRUPTED
    assert errors.strip().startswith("vae-balance: interrupted: ")
    assert errors.strip().count("\n") == 0
    done = {Path(line["target"]).name for line in batches.report()}
    assert done == {name for name in batches.written() if name in MANY}
