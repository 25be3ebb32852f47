"""`lut identity` and `lut convert`: LUT files made by hand."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from vae_balance.color.lut import Lut3D
from vae_balance.luts.cube import read_cube, write_cube
from vae_balance.photos.photo import Photo, read_photo, write_photo

Run = Callable[..., Result]


def test_an_identity_edited_like_a_photo_is_the_lut_of_the_edit(run: Run, tmp_path: Path) -> None:
    hald, cube = tmp_path / "hald.png", tmp_path / "edit.cube"
    assert run("lut", "identity", hald).exit_code == 0
    picture = read_photo(hald)
    picture.pixels[:] = 65535 - picture.pixels  # what Colors > Invert does in GIMP
    write_photo(picture, hald, overwrite=True)
    assert run("lut", "convert", hald, cube).exit_code == 0
    colors = np.random.default_rng(0).uniform(0, 1, (50, 3)).astype(np.float32)
    np.testing.assert_allclose(read_cube(cube)(colors), 1.0 - colors, atol=1e-4)


def test_an_identity_as_cube_changes_nothing(run: Run, tmp_path: Path) -> None:
    assert run("lut", "identity", tmp_path / "identity.cube").exit_code == 0
    table = read_cube(tmp_path / "identity.cube").baked().table
    np.testing.assert_allclose(table, Lut3D.identity().table, atol=1e-6)


def test_a_cube_becomes_a_hald_and_a_cube_again(run: Run, tmp_path: Path) -> None:
    square = Lut3D.from_function(np.square, 64)
    write_cube(tmp_path / "square.cube", square)
    assert run("lut", "convert", tmp_path / "square.cube", tmp_path / "square.png").exit_code == 0
    assert run("lut", "convert", tmp_path / "square.png", tmp_path / "again.cube").exit_code == 0
    np.testing.assert_allclose(
        read_cube(tmp_path / "again.cube").baked().table, square.table, atol=2e-5
    )


@pytest.mark.skipif(os.name == "nt", reason="permission bits of POSIX")
def test_a_private_lut_stays_private_in_another_format(run: Run, tmp_path: Path) -> None:
    write_cube(tmp_path / "own.cube", Lut3D.identity(4))
    (tmp_path / "own.cube").chmod(0o600)
    assert run("lut", "convert", tmp_path / "own.cube", tmp_path / "own.png").exit_code == 0
    assert stat.S_IMODE((tmp_path / "own.png").stat().st_mode) == 0o600


CURVE = "".join(f"{x:.6f} {x:.6f} {x:.6f}\n" for x in np.floor(np.arange(4096) / 512) / 7)
CURVE_FILE = f"Version 1\nFrom 0 1\nLength 4096\nComponents 3\n{{\n{CURVE}}}\n"


def test_what_is_no_cube_is_baked_and_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "posters.spi1d").write_text(CURVE_FILE, "ascii")
    result = run("lut", "convert", tmp_path / "posters.spi1d", tmp_path / "posters.cube")
    assert result.exit_code == 0
    assert "posters.spi1d: baked at 65 nodes an edge, up to " in result.stderr
    baked = read_cube(tmp_path / "posters.cube")
    assert baked.size == 65
    assert baked.comments[-1] in result.stderr
    quiet = run("lut", "convert", tmp_path / "posters.cube", tmp_path / "posters.png")
    assert (quiet.exit_code, quiet.stderr) == (0, "")


@pytest.mark.parametrize("strength", ["1", "0.5"])
def test_a_curve_is_applied_without_a_cube_between(run: Run, tmp_path: Path, strength: str) -> None:
    (tmp_path / "posters.spi1d").write_text(CURVE_FILE, "ascii")
    (tmp_path / "posters.cube").write_text(f"LUT_1D_SIZE 4096\n{CURVE}", "ascii")
    grey = np.repeat(np.arange(65536, dtype=np.uint16).reshape(256, 256, 1), 3, axis=2)
    write_photo(Photo(grey), tmp_path / "grey.png")
    values = np.interp(grey / 65535, np.arange(4096) / 4095, np.floor(np.arange(4096) / 512) / 7)
    expected = 65535 * (grey / 65535 + float(strength) * (values - grey / 65535))
    for name in ("posters.spi1d", "posters.cube"):
        out = tmp_path / f"{name}.png"
        arguments = (tmp_path / name, tmp_path / "grey.png", "-o", out, "--strength", strength)
        assert run("apply", *arguments).exit_code == 0
        assert np.abs(read_photo(out).pixels - expected).max() < 1.1


def test_the_file_is_the_look_that_balance_applies(run: Run, tmp_path: Path) -> None:
    dull = np.random.default_rng(0).integers(15_000, 50_000, (300, 300, 3), np.uint16)
    write_photo(Photo(dull), tmp_path / "dull.png")
    out, cube, again = tmp_path / "out.png", tmp_path / "look.cube", tmp_path / "again.png"
    # So strong that the nodes would go below 0 and above 1.
    how = ("--model", "stretch", "--strength", 1.5, "--daemon", "never", "--cube", cube)
    assert run("balance", tmp_path / "dull.png", "-o", out, *how).exit_code == 0
    assert run("apply", cube, tmp_path / "dull.png", "-o", again).exit_code == 0
    balanced, applied = (read_photo(path).pixels.astype(int) for path in (out, again))
    assert np.abs(balanced - dull).max() > 5000
    assert np.abs(balanced - applied).max() <= 1
    assert {0, 65535} <= set(balanced.flat)


def test_a_lut_that_cannot_be_read_is_told_in_one_line(run: Run, tmp_path: Path) -> None:
    write_photo(Photo(np.zeros((8, 8, 3), np.uint8)), tmp_path / "photo.png")
    for name, part in (("film.clf", "cannot be read"), ("film.icc", "color profile")):
        (tmp_path / name).write_text("no LUT")
        result = run("apply", tmp_path / name, tmp_path / "photo.png", "-o", tmp_path / "out.png")
        assert result.exit_code != 0
        assert part in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert not (tmp_path / "out.png").exists()


def test_files_stay_as_they_are(run: Run, tmp_path: Path) -> None:
    hald = tmp_path / "hald.png"
    hald.write_text("mine")
    assert run("lut", "identity", hald).exit_code == 4
    assert run("lut", "identity", tmp_path / "lut.txt").exit_code == 2
    assert run("lut", "convert", hald, hald).exit_code == 2
    broken = run("lut", "convert", hald, tmp_path / "lut.cube")
    assert broken.exit_code == 1
    assert "hald.png" in broken.stderr
    assert hald.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hald.png"]


def test_the_old_names_still_work_and_helps_show_the_new_ones(
    run: Run, photo: Callable[..., Path], random_model: Path, tmp_path: Path
) -> None:
    hald, cube = tmp_path / "hald.png", tmp_path / "identity.cube"
    assert run("identity", hald).exit_code == 0
    assert run("convert", hald, cube).exit_code == 0
    assert read_cube(cube).size == 64
    shown = run("--help").stdout
    assert "  lut " in shown
    assert "  identity " not in shown
    for flag in ("--lut", "--cube"):
        look = tmp_path / f"{flag[2:]}.cube"
        options = ("-o", tmp_path / f"{flag[2:]}.png", flag, look, "--model", random_model)
        assert run("balance", photo("a.png"), *options, "--daemon", "never").exit_code == 0
        assert look.is_file()
