"""What several tests need: a model with random weights, pictures made by code, the command."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from pictures import picture
from PIL import Image

from vae_balance.cli import main
from vae_balance.training.allocator import SETTINGS

if TYPE_CHECKING:
    from vae_balance.correctors.latent_balancer.model import Model

# Before PyTorch is imported: with another number of threads its sums differ in the last bits, and
# tests compare what this process computes with what a daemon or a command does.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, as whoever gets it last works on alone.

    What needs a GIMP is second: its root is built in the meantime, see tests/gimp/conftest.py.
    """

    def place(item: pytest.Item) -> int:
        if item.get_closest_marker("gimp"):
            return 1
        return 0 if item.path.parent.name == "server" else 2

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def no_daemon_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests and the daemon that their user has running apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAE_BALANCE_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Return an empty folder for what has sockets in it, whose paths may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="vb-") as folder:
        yield Path(folder).resolve()


@pytest.fixture
def empty_home(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the empty home folder of a user whose environment says nothing else."""
    folder = short_path / "home"
    folder.mkdir()
    for variable in os.environ:
        if variable.startswith(("XDG_", "GIMP", "VAE_BALANCE_")):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small model that does something, if nothing sensible, to colors."""
    import torch

    from vae_balance.correctors.latent_balancer.balancer_network import (
        LatentBalancer,
        LatentBalancerConfig,
    )
    from vae_balance.correctors.latent_balancer.vae import VAE, VAEConfig
    from vae_balance.models.store import write_info

    folder = tmp_path_factory.mktemp("models") / "random"
    with torch.random.fork_rng():
        torch.manual_seed(1)
        vae = VAE(
            VAEConfig(
                encoder_channels=(16, 16),
                encoder_blocks=(1, 1),
                decoder_channels=(16, 16),
                decoder_blocks=(1, 1),
            )
        )
        balancer = LatentBalancer(
            LatentBalancerConfig(
                palette=16, coarse=16, coarse_blocks=1, context=16, fine=16, fine_blocks=1
            )
        )
        torch.nn.init.normal_(balancer.leave.weight, std=4.0)  # zero would leave every photo alone
    vae.save_folder(folder / "vae")
    balancer.save_folder(folder / "latent_balancer")
    write_info(folder, "random", "0", "MIT", "made by the tests")
    return folder


@pytest.fixture(scope="session")
def model(random_model: Path) -> Model:
    """Return the model with random weights, loaded."""
    from vae_balance.correctors.latent_balancer.model import load_model

    return load_model(str(random_model), "cpu")


@pytest.fixture
def photo(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a photo, `photo("a.jpg", seed=1)`, and returns its path."""

    def write(name: str = "photo.jpg", seed: int = 0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(seed=seed)).save(path)
        return path

    return write


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that runs `vae-balance` with arguments in this process."""
    for name, (_, value) in SETTINGS.items():
        monkeypatch.setenv(name, str(value))  # so that no command changes this process

    def invoke(*arguments: object) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke
