"""Models and LUTs of the first version, from before there were other correctors, do what they did.

`made_before/` was written by version 0.1.0 as of 2026-11-28: a small model of random weights, and
the look that it learned of a picture then.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from click.testing import Result
from pictures import picture

from vae_balance.color.lut import Lut3D
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.registry import load_corrector
from vae_balance.luts.cube import read_cube
from vae_balance.models.store import find_model, verify_files

FOLDER = Path(__file__).parent / "made_before"


def test_its_description_names_no_corrector_and_is_the_latent_balancers() -> None:
    assert "corrector" not in json.loads((FOLDER / "model.json").read_text(encoding="utf-8"))
    info = find_model(str(FOLDER))
    verify_files(info)
    assert (info.name, info.corrector) == ("first", "latent-balancer")


def test_it_learns_what_it_learned() -> None:
    proxy = picture(224, 224, seed=5).astype(np.float32) / np.float32(255)
    look = load_corrector(str(FOLDER), "cpu").learn([proxy], LookOptions(iterations=2, size=5))
    then = read_cube(FOLDER / "look.cube").baked().table
    assert look.lut is not None
    near_ends = (then < 0.04) | (then > 0.96)  # where values were cut off, and are bent today
    change = np.abs(look.lut.table - then)
    assert change[~near_ends].max() < 2e-3
    assert change.max() < 0.02
    assert np.abs(then - Lut3D.identity(5).table).max() > 0.04  # it was more than nothing


def test_its_lut_is_applied(run: Callable[..., Result], photo: Callable[..., Path]) -> None:
    path = photo("a.png")
    out = path.with_name("out.png")
    result = run("apply", FOLDER / "look.cube", path, "-o", out)
    assert (result.exit_code, result.output) == (0, "")
    assert out.read_bytes() != path.read_bytes()
