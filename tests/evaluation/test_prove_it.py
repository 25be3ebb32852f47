"""The proof: small runs of all four, and a page that tells what they measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from numpy.typing import NDArray
from PIL import Image

from vae_balance.correctors.latent_balancer import train_balancer
from vae_balance.correctors.latent_balancer.fused_network import FusedBalancerConfig
from vae_balance.correctors.latent_balancer.train_balancer import BalancerTraining
from vae_balance.correctors.unet.network import UNetConfig
from vae_balance.correctors.unet.train import UNetTraining
from vae_balance.evaluation import proof_page, prove_it
from vae_balance.evaluation.cases import Case
from vae_balance.evaluation.proof_page import Followed, follow
from vae_balance.models.store import EMBEDDED, find_model
from vae_balance.training.checkpoint import read_log

Colors = NDArray[np.float32]
small_balancer = partial(
    FusedBalancerConfig,
    palette=16,
    context=32,
    token=16,
    token_blocks=1,
    attention=2,
    gazes=2,
    fine=16,
    fine_blocks=1,
)
small_unet = partial(UNetConfig, channels=(4, 6))


@dataclass(frozen=True)
class SmallBalancerTraining(BalancerTraining):
    batch: int = 4
    processes: int = 1
    network: FusedBalancerConfig = field(default_factory=small_balancer)


@dataclass(frozen=True)
class SmallUNetTraining(UNetTraining):
    batch: int = 2
    processes: int = 1
    network: UNetConfig = field(default_factory=small_unet)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return photos to train on, of which two are watched, and one that is held out."""
    rng = np.random.default_rng(0)
    for source, count in (("mine", 22), ("budgie", 1)):
        folder = tmp_path / "photos" / source
        folder.mkdir(parents=True)
        for i in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
            coarse.resize((96, 80), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return tmp_path / "photos"


def test_one_command_trains_measures_and_tells(
    run: Callable[..., Result], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prove_it, "BalancerTraining", SmallBalancerTraining)
    monkeypatch.setattr(prove_it, "FusedBalancerConfig", small_balancer)
    monkeypatch.setattr(prove_it, "UNetTraining", SmallUNetTraining)
    monkeypatch.setattr(prove_it, "UNetConfig", small_unet)
    monkeypatch.setattr(prove_it, "_TRIAL_STEPS", 5)
    monkeypatch.setattr(prove_it, "_TRIAL_EVERY", 1)
    monkeypatch.setattr(train_balancer, "THUMBNAIL_STEPS", 5)
    monkeypatch.setattr(proof_page, "_STRIPS", proof_page._STRIPS[:1])
    page, out = tmp_path / "docs" / "prove-it.md", tmp_path / "proof"
    page.parent.mkdir()
    command = ("train", "prove", "--photos", photos, "--out", out, "--page", page, "-q")
    options = ("--views", 4, "--minutes", 0.0001, "--limit", 1)
    result = run(*command, *options)
    assert (result.exit_code, result.output) == (0, "")

    text = page.read_text("utf-8")
    assert f"| latents, embedded model {find_model(EMBEDDED).version} |" in text
    for name in prove_it.NAMES:
        assert f"| `{name}` |" in text
        assert len(read_log(out / name / "times.jsonl")) > 2
    assert "published: 220 to 30" in text
    assert "| further rounds converge in latents and flip on pixels | latents rest" in text
    for name in ("learning.png", "rounds.png", "strips.jpg"):
        assert f"(prove-it-{name})" in text
        with Image.open(page.with_name(f"prove-it-{name}")) as image:
            assert min(image.size) > 100
    config = (out / "pixels-free" / "unet" / "config.json").read_text("utf-8")
    assert '"dropout": 0.0' in config

    logs = {path: path.read_bytes() for path in out.glob("*/log.jsonl")}
    assert run(*command, *options).exit_code == 0  # what is done is not done again
    assert {path: path.read_bytes() for path in out.glob("*/log.jsonl")} == logs


def test_a_way_that_flips_is_seen_to_flip() -> None:
    truth = np.full((224, 224, 3), 0.5, np.float32)
    other = truth * np.array([1.4, 1.0, 0.6], np.float32)
    case = Case(Path("a.jpg"), "neon", "strong", truth, other)

    def flip(proxy: Colors) -> list[Colors]:
        return [other if number % 2 == 0 else truth for number in range(11)]

    def settle(proxy: Colors) -> list[Colors]:
        return [other, *[truth] * 10]

    flipping: Followed = follow(flip, [case, case])
    settled: Followed = follow(settle, [case])
    assert min(flipping.changes) > 10
    assert flipping.errors[0] == pytest.approx(flipping.errors[2])
    assert settled.changes[0] == pytest.approx(flipping.changes[0])
    assert max(settled.changes[1:]) < 0.01
