"""White-balance VAE and U-Net as they come with the program: small, whole, and of some use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.registry import load_corrector
from vae_balance.evaluation.evaluate import error_to
from vae_balance.models.store import find_model
from vae_balance.photos.photo import read_photo
from vae_balance.photos.proxy import make_proxy
from vae_balance.photos.sample import SAMPLE
from vae_balance.training.damage import random_damage

# Each with a damage that it was trained for and does something about.
MODELS = {"vae-white-balance": "white balance", "unet": "lost dye"}
MEGABYTES = 10


def test_together_they_are_small() -> None:
    files = [path for name in MODELS for path in find_model(name).folder.rglob("*.safetensors")]
    assert len(files) == len(MODELS)
    assert sum(path.stat().st_size for path in files) < MEGABYTES * 1e6


@pytest.mark.parametrize("name", MODELS)
def test_it_has_a_card(name: str) -> None:
    card = (find_model(name).folder / "README.md").read_text("utf-8")
    assert card.startswith(f"# Model card: {name}, version {find_model(name).version}")
    for told in ("## Training", "## Evaluation", "## Limits", "License: MIT"):
        assert told in card


@pytest.mark.parametrize("name", MODELS)
def test_it_brings_a_damaged_photo_nearer_to_what_it_was(name: str) -> None:
    corrector = load_corrector(name, "cpu")
    truth = make_proxy(read_photo(SAMPLE), corrector.wants.part)
    error = error_to(truth)
    before, after = [], []
    for seed in range(3):
        damaged = random_damage(np.random.default_rng(seed), MODELS[name], 1.2)(truth)
        look = corrector.learn([damaged], LookOptions())
        assert look.lut is not None
        before.append(error(damaged))
        after.append(error(look.lut(damaged)))
    assert np.mean(after) < 0.95 * np.mean(before)


@pytest.mark.parametrize("name", MODELS)
def test_the_command_balances_with_it(
    run: Callable[..., Result], photo: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    cube = tmp_path / "look.cube"
    result = run("balance", photo(), "-o", tmp_path / "out.png", "--lut", cube, "--model", name)
    assert (result.exit_code, result.output) == (0, "")
    assert "proxy: frame" in cube.read_text("utf-8")
    with Image.open(photo()) as given, Image.open(tmp_path / "out.png") as made:
        assert given.size == made.size
        assert np.abs(np.asarray(given, float) - np.asarray(made, float)).mean() > 1
