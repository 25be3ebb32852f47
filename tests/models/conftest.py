"""What the tests of models share: small networks of the published kinds, a hub, a user's folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_server import HubServer, Mirror, path_of
from published import CONFIG, SMALL, make_autoencoder, published_state, save_as_published

from vae_balance.models import catalog, hub
from vae_balance.models.catalog import SD_VAE_FT_MSE


@pytest.fixture(scope="session")
def small_vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small AutoencoderKL, saved as sd-vae-ft-mse was published."""
    folder = tmp_path_factory.mktemp("stability") / "vae"
    save_as_published(make_autoencoder(**SMALL), folder, json.dumps({**CONFIG, **SMALL}))
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a small published latent balancer, joined."""
    path = tmp_path_factory.mktemp("published") / "latent_balancer.pth"
    torch.save(published_state((16, 16, 16)), path)
    return path


@pytest.fixture
def server() -> Iterator[HubServer]:
    running = HubServer()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_WAIT_SECONDS", 0.0)


@pytest.fixture
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the user's folder for models, empty."""
    folder = tmp_path / "models"
    monkeypatch.setattr("vae_balance.models.store.user_models_folder", lambda: folder)
    return folder


@pytest.fixture
def mirror(
    server: HubServer, small_vae: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> Mirror:
    """Return a mirror that has all files of sd-vae-ft-mse, small ones; it is in the catalog."""
    contents = [(small_vae / Path(file.path).name).read_bytes() for file in SD_VAE_FT_MSE.vae]
    vae = tuple(
        replace(file, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        for file, content in zip(SD_VAE_FT_MSE.vae, contents, strict=True)
    )
    model = replace(SD_VAE_FT_MSE, vae=vae)
    monkeypatch.setitem(catalog.FETCHABLE, model.name, model)
    mirror = Mirror(server, model)
    joined = checkpoint.read_bytes()
    half = len(joined) // 2  # as `split -n 2` does
    for file, content in zip(mirror.files, [*contents, joined[:half], joined[half:]], strict=True):
        server.files[path_of(file)] = content
    return mirror


@pytest.fixture
def fetch(run: Callable[..., Any], mirror: Mirror, own_models: Path) -> Callable[..., Any]:
    """Return a function that runs `vae-balance models fetch sd-vae-ft-mse` from the mirror."""
    command = ("models", "fetch", "sd-vae-ft-mse", "--mirror", mirror.server.url)
    return lambda *arguments: run(*command, *arguments)
