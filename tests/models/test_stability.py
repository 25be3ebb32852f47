"""Stability's VAE: pixels in 0..1 in and out, whatever it is given; its files; its full size."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from daemon_process import Daemon
from published import (
    CONFIG_TEXT,
    SMALL,
    make_autoencoder,
    published_state,
    save_as_published,
)
from safetensors.torch import load_file, save_file

from vae_balance.benchmark.stability import CONFIG
from vae_balance.correctors.corrector import LookOptions
from vae_balance.correctors.latent_balancer.learn import BalancedLook, learn_look
from vae_balance.correctors.latent_balancer.model import load_model
from vae_balance.correctors.latent_balancer.networks import load_latent_balancer, load_vae
from vae_balance.correctors.latent_balancer.published_network import read_checkpoint
from vae_balance.correctors.latent_balancer.stability_vae import StabilityVAE
from vae_balance.correctors.latent_balancer.vae import VAE, latents_of
from vae_balance.errors import ModelError
from vae_balance.models.catalog import SD_VAE_FT_MSE
from vae_balance.models.checksum import sha256_of
from vae_balance.models.store import write_info
from vae_balance.photos.photo import read_photo

RANGES = [(-1.0, 1.0), (0.0, 1.0)]
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="session")
def autoencoder() -> Any:
    """Return the small AutoencoderKL that `small_vae` has on disk."""
    return make_autoencoder(**SMALL)


@pytest.mark.parametrize("pixel_range", RANGES)
@torch.inference_mode()
def test_pixels_are_given_to_it_in_the_range_asked_for(
    autoencoder: Any, pixel_range: tuple[float, float]
) -> None:
    vae = StabilityVAE(autoencoder, pixel_range)
    pixels = torch.rand(2, 3, 64, 64)
    given = pixels if pixel_range == (0.0, 1.0) else 2.0 * pixels - 1.0
    expected = autoencoder.encode(given).latent_dist
    moments = vae.encode(pixels)
    assert moments.shape == (2, 8, 8, 8)
    torch.testing.assert_close(moments[:, :4], expected.mean)
    torch.testing.assert_close(moments[:, 4:], expected.logvar)


@pytest.mark.parametrize("pixel_range", RANGES)
@torch.inference_mode()
def test_pixels_come_back_in_0_to_1(autoencoder: Any, pixel_range: tuple[float, float]) -> None:
    latents = torch.randn(1, 4, 8, 8)
    raw = autoencoder.decode(latents).sample
    decoded = StabilityVAE(autoencoder, pixel_range).decode(latents)
    assert decoded.shape == (1, 3, 64, 64)
    torch.testing.assert_close(decoded, raw if pixel_range == (0.0, 1.0) else raw / 2.0 + 0.5)


@torch.inference_mode()
def test_samples_are_those_of_its_own_distribution(autoencoder: Any) -> None:
    pixels = torch.rand(1, 3, 64, 64)
    moments = StabilityVAE(autoencoder, (0.0, 1.0)).encode(pixels)
    distribution = autoencoder.encode(pixels).latent_dist
    assert torch.equal(latents_of(moments), distribution.mode())
    ours = latents_of(moments, torch.Generator().manual_seed(7))
    theirs = distribution.sample(torch.Generator().manual_seed(7))
    torch.testing.assert_close(ours, theirs)
    assert not torch.equal(ours, distribution.mode())


@torch.inference_mode()
def test_the_published_and_todays_names_are_the_same_network(
    small_vae: Path, autoencoder: Any, tmp_path: Path
) -> None:
    assert any("mid_block.attentions.0.query" in name for name in load_file(small_vae / WEIGHTS))
    autoencoder.save_pretrained(tmp_path)
    pixels = torch.rand(1, 3, 64, 64)
    published, saved = (load_vae(folder).encode(pixels) for folder in (small_vae, tmp_path))
    assert torch.equal(published, saved)
    torch.testing.assert_close(published, StabilityVAE(autoencoder).encode(pixels))


def test_the_class_in_config_json_says_which_network_it_is(
    small_vae: Path, random_model: Path, tmp_path: Path
) -> None:
    assert isinstance(load_vae(small_vae), StabilityVAE)
    assert isinstance(load_vae(random_model / "vae"), VAE)
    with pytest.raises(ModelError, match="describes a LatentBalancer, where a VAE or Auto"):
        load_vae(random_model / "latent_balancer")
    with pytest.raises(ModelError, match="describes a VAE, where one of LatentBalancer"):
        load_latent_balancer(random_model / "vae")
    with pytest.raises(ModelError, match=r"config.json: not a model configuration"):
        load_vae(tmp_path)


@pytest.fixture
def own_copy(small_vae: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small_vae, tmp_path / "vae")


def test_truncated_weights_of_it_are_refused(own_copy: Path) -> None:
    weights = own_copy / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"vae: not an AutoencoderKL"):
        load_vae(own_copy)


def test_missing_weights_of_it_are_refused(own_copy: Path) -> None:
    (own_copy / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=r"vae: not an AutoencoderKL"):
        load_vae(own_copy)


def test_incomplete_weights_of_it_are_refused(own_copy: Path) -> None:
    state = load_file(own_copy / WEIGHTS)
    del state["decoder.conv_out.bias"]
    save_file(state, own_copy / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"of two networks: decoder.conv_out.bias"):
        load_vae(own_copy)


def test_other_sizes_of_it_are_refused(own_copy: Path) -> None:
    config = {**CONFIG, **SMALL, "block_out_channels": [8, 8, 16, 32]}
    (own_copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"vae: not an AutoencoderKL"):
        load_vae(own_copy)


def save_model(folder: Path, vae: Any, config: str, channels: tuple[int, int, int]) -> Path:
    """Write a model of published form: Stability's VAE and the published latent balancer."""
    save_as_published(vae, folder / "vae", config)
    torch.save(published_state(channels), folder / "latent_balancer.pth")
    balancer = read_checkpoint(folder / "latent_balancer.pth")
    (folder / "latent_balancer.pth").unlink()
    balancer.save_folder(folder / "latent_balancer", torch.float32)
    write_info(folder, "sd-vae-ft-mse", "1", "MIT", "made by the tests")
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="where the user's folder is told by XDG")
def test_the_daemon_balances_with_it_by_name(
    autoencoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "vae-balance" / "models"
    config = json.dumps({**CONFIG, **SMALL})
    save_model(models / "sd-vae-ft-mse", autoencoder, config, (16, 16, 16))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    daemon = Daemon(tmp_path / "daemon", ["--model", "sd-vae-ft-mse"])
    try:
        with daemon.client() as client:
            assert {"embedded", "sd-vae-ft-mse"} <= set(client.hello()["models"])
            proxy = np.random.default_rng(0).random((224, 224, 3), dtype=np.float32)
            learned = client.learn([proxy.tobytes()], model="sd-vae-ft-mse", iterations=2, seed=1)
            assert (learned["model"], learned["device"]) == ("sd-vae-ft-mse", "cpu")
            cube = client.export(learned["look"], "cube")
    finally:
        assert daemon.end() == 0
    assert b"model: sd-vae-ft-mse" in cube
    model = load_model(str(models / "sd-vae-ft-mse"), "cpu")
    look = learn_look([proxy], model, LookOptions(iterations=2, seed=1))
    rows = [line.split() for line in cube.splitlines() if line[:1].isdigit()]
    table = np.array(rows, dtype=np.float32).reshape(33, 33, 33, 3).transpose(2, 1, 0, 3)
    np.testing.assert_allclose(table, look.lut.table.clip(0.0, 1.0), atol=1e-5)


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a model of the architecture and size of sd-vae-ft-mse, with random weights."""
    folder = tmp_path_factory.mktemp("full") / "sd-vae-ft-mse"
    yield save_model(folder, make_autoencoder(), CONFIG_TEXT, (128, 256, 512))
    shutil.rmtree(folder)  # 440 MB, which other tests may need


def test_a_photo_is_balanced_at_full_size(
    full_size: Path,
    run: Callable[..., Result],
    photo: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, weights = SD_VAE_FT_MSE.vae
    # The true config.json, and weights that differ from the true ones in nothing but values.
    assert sha256_of(full_size / config.target) == config.sha256
    assert (full_size / weights.target).stat().st_size == weights.size
    looks: list[BalancedLook] = []

    def remember(*arguments: Any) -> BalancedLook:
        looks.append(learn_look(*arguments))
        return looks[-1]

    monkeypatch.setattr("vae_balance.correctors.latent_balancer.learn.learn_look", remember)
    before, after = photo("a.png"), tmp_path / "b.png"
    result = run("balance", before, "-o", after, "--model", full_size)
    assert (result.exit_code, result.output) == (0, "")
    (learned,) = looks[0].rounds
    assert learned.moments.shape == learned.balanced.shape == (1, 8, 28, 28)
    assert learned.distorted.shape == learned.fixed.shape == (1, 224, 224, 3)
    assert (read_photo(before).pixels != read_photo(after).pixels).any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_cuda_gives_the_look_of_the_cpu(full_size: Path) -> None:
    proxy = np.random.default_rng(0).random((224, 224, 3), dtype=np.float32)
    looks = [
        learn_look([proxy], load_model(str(full_size), device), LookOptions(iterations=2, seed=2))
        for device in ("cpu", "cuda")
    ]
    tables = [look.lut.table for look in looks]
    np.testing.assert_allclose(tables[0], tables[1], atol=0.02)
