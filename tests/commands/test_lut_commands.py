"""`identity` and `convert`: LUT files made by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from click.testing import Result

from vae_balance.color.lut import Lut3D
from vae_balance.luts.cube import read_cube, write_cube
from vae_balance.photos.photo import read_photo, write_photo

Run = Callable[..., Result]


def test_an_identity_edited_like_a_photo_is_the_lut_of_the_edit(run: Run, tmp_path: Path) -> None:
    hald, cube = tmp_path / "hald.png", tmp_path / "edit.cube"
    assert run("identity", hald).exit_code == 0
    picture = read_photo(hald)
    picture.pixels[:] = 65535 - picture.pixels  # what Colors > Invert does in GIMP
    write_photo(picture, hald, overwrite=True)
    assert run("convert", hald, cube).exit_code == 0
    colors = np.random.default_rng(0).uniform(0, 1, (50, 3)).astype(np.float32)
    np.testing.assert_allclose(read_cube(cube)(colors), 1.0 - colors, atol=1e-4)


def test_an_identity_as_cube_changes_nothing(run: Run, tmp_path: Path) -> None:
    assert run("identity", tmp_path / "identity.cube").exit_code == 0
    table = read_cube(tmp_path / "identity.cube").table
    np.testing.assert_allclose(table, Lut3D.identity().table, atol=1e-6)


def test_a_cube_becomes_a_hald_and_a_cube_again(run: Run, tmp_path: Path) -> None:
    square = Lut3D.from_function(np.square, 64)
    write_cube(tmp_path / "square.cube", square)
    assert run("convert", tmp_path / "square.cube", tmp_path / "square.png").exit_code == 0
    assert run("convert", tmp_path / "square.png", tmp_path / "again.cube").exit_code == 0
    np.testing.assert_allclose(read_cube(tmp_path / "again.cube").table, square.table, atol=2e-5)


def test_files_stay_as_they_are(run: Run, tmp_path: Path) -> None:
    hald = tmp_path / "hald.png"
    hald.write_text("mine")
    assert run("identity", hald).exit_code == 4
    assert run("identity", tmp_path / "lut.txt").exit_code == 2
    assert run("convert", hald, hald).exit_code == 2
    broken = run("convert", hald, tmp_path / "lut.cube")
    assert broken.exit_code == 1
    assert "hald.png" in broken.stderr
    assert hald.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hald.png"]
