"""`vae-balance models fetch`: from nothing to a model that balances, and whatever is in the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest
import torch
from click.testing import Result
from hub_server import HubServer, Mirror, path_of
from huggingface_hub import constants
from published import CONFIG_TEXT

import vae_balance
import vae_balance_protocol
from vae_balance.commands import console
from vae_balance.correctors.latent_balancer.model import load_model
from vae_balance.errors import ModelError
from vae_balance.models.catalog import SD_VAE_FT_MSE
from vae_balance.models.store import find_model, find_vae, verify_files, write_info
from vae_balance.photos.photo import read_photo

NAME = "sd-vae-ft-mse"
PARTS = {"latent_balancer_part_00", "latent_balancer_part_01"}
Run = Callable[..., Result]
WritePhoto = Callable[..., Path]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def files_in(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in paths} - {".fetch.lock"}


WHOLE = {
    "model.json",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "latent_balancer/config.json",
    "latent_balancer/diffusion_pytorch_model.safetensors",
}


def test_a_fetched_model_is_whole_and_says_where_it_is_from(
    fetch: Run, run: Run, own_models: Path, mirror: Mirror
) -> None:
    assert fetch().exit_code == 0
    assert files_in(own_models / NAME) == WHOLE
    info = find_model(NAME)
    assert (info.name, info.version, info.license) == (NAME, "31f26fdeee13", "MIT")
    assert "stabilityai/sd-vae-ft-mse" in info.source
    assert "VAE-Color-Balance" in info.source
    for file in mirror.model.vae:
        assert info.sha256[file.target] == file.sha256
    rows = {row["name"]: row for row in json.loads(run("models", "--json").stdout)}
    assert rows[NAME]["checksum"] == "ok"
    assert rows[NAME]["folder"] == str(own_models / NAME)


def test_a_fetched_model_balances_as_it_was_published(
    fetch: Run, run: Run, photo: WritePhoto, tmp_path: Path
) -> None:
    fetch()
    model = load_model(NAME, "cpu")
    assert model.vae.pixel_range == (0.0, 1.0)
    assert not model.latent_balancer.config.second_opinions
    options = ("--model", NAME, "--device", "cpu", "--cube", tmp_path / "look.cube")
    result = run("balance", photo("a.png"), "-o", tmp_path / "b.png", "--iterations", 2, *options)
    assert (result.exit_code, result.output) == (0, "")
    pictures = [read_photo(tmp_path / name).pixels for name in ("a.png", "b.png")]
    assert (pictures[0] != pictures[1]).any()
    assert f"model: {NAME} 31f26fdeee13" in (tmp_path / "look.cube").read_text()


def test_the_same_command_again_asks_for_nothing(fetch: Run, server: HubServer) -> None:
    fetch()
    asked = len(server.asked)
    assert fetch().exit_code == 0
    assert len(server.asked) == asked


@pytest.mark.parametrize(
    ("damaged", "asked_for"),
    [
        ("vae/diffusion_pytorch_model.safetensors", {"diffusion_pytorch_model.safetensors"}),
        ("latent_balancer/diffusion_pytorch_model.safetensors", PARTS),
    ],
)
def test_the_same_command_mends_what_is_damaged(
    fetch: Run, own_models: Path, server: HubServer, damaged: str, asked_for: set[str]
) -> None:
    fetch()
    server.requests.clear()
    path = own_models / NAME / damaged
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert fetch().exit_code == 0
    verify_files(find_model(NAME))
    assert {Path(name).name for name, _ in server.requests} == asked_for
    assert files_in(own_models / NAME) == WHOLE


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("joined", [False, True])
def test_files_that_were_copied_by_hand_make_the_model_without_a_network(
    fetch: Run, own_models: Path, mirror: Mirror, checkpoint: Path, joined: bool
) -> None:
    for file in mirror.files:
        target = own_models / NAME / file.target
        target.parent.mkdir(parents=True, exist_ok=True)
        if not joined or file in mirror.model.vae:
            target.write_bytes(mirror.content(file))
    if joined:
        shutil.copy(checkpoint, own_models / NAME / "latent_balancer")
    assert fetch().exit_code == 0
    assert files_in(own_models / NAME) == WHOLE
    load_model(NAME, "cpu")


@pytest.mark.usefixtures("offline")
def test_without_a_network_one_line_says_what_to_copy_where(
    run: Run, mirror: Mirror, own_models: Path
) -> None:
    config, weights = mirror.model.vae
    target = own_models / NAME / config.target
    target.parent.mkdir(parents=True)
    target.write_bytes(mirror.content(config))
    result = run("models", "fetch", NAME)
    assert result.exit_code == console.BAD_MODEL
    (line,) = result.stderr.splitlines()
    assert "HF_HUB_OFFLINE is set" in line
    address = (
        "https://huggingface.co/stabilityai/sd-vae-ft-mse/resolve/31f26fdeee1355a5c34592e401dd4"
    )
    assert f"{address}1e45d25a493/{weights.path} to {own_models / NAME / weights.target}" in line
    assert config.path not in line
    for part in mirror.model.balancer_parts:
        assert f"{part.path} to {own_models / NAME / part.target}" in line


def test_a_wrong_checksum_ends_the_command(
    fetch: Run, own_models: Path, mirror: Mirror, server: HubServer
) -> None:
    weights = mirror.model.vae[1]
    server.files[path_of(weights)] = b"x" + mirror.content(weights)[1:]
    result = fetch()
    assert result.exit_code == console.BAD_MODEL
    (line,) = result.stderr.splitlines()
    assert "not the file that is expected" in line
    assert files_in(own_models / NAME) == {"vae/config.json"}


def test_a_model_that_was_not_fetched_says_how_to_get_it(
    run: Run, photo: WritePhoto, tmp_path: Path, own_models: Path
) -> None:
    result = run("balance", photo(), "-o", tmp_path / "out.jpg", "--model", NAME)
    assert result.exit_code == console.BAD_MODEL
    assert "vae-balance models fetch sd-vae-ft-mse" in result.stderr
    listed = run("models")
    assert listed.exit_code == 0
    (row,) = [line for line in listed.stdout.splitlines() if line.startswith(NAME)]
    assert "not fetched" in row
    assert "MIT" in row
    assert listed.stdout.splitlines()[-1].endswith("vae-balance models fetch sd-vae-ft-mse")


@pytest.mark.parametrize("name", ["embedded", "no-such-model", "../up"])
def test_a_name_that_cannot_be_fetched_is_wrong_usage(
    run: Run, own_models: Path, name: str
) -> None:
    result = run("models", "fetch", name)
    assert result.exit_code == console.WRONG_USAGE
    assert "choose: sd-vae-ft-mse" in result.stderr
    assert not own_models.exists()


def test_a_mirror_that_is_no_address_is_wrong_usage(run: Run, own_models: Path) -> None:
    result = run("models", "fetch", NAME, "--mirror", "hub.example.org")
    assert result.exit_code == console.WRONG_USAGE
    assert "mirror 'hub.example.org': not an address" in result.stderr
    assert not own_models.exists()


def test_two_fetches_do_not_write_the_same_file(
    fetch: Run, own_models: Path, server: HubServer
) -> None:
    (own_models / NAME).mkdir(parents=True)
    with filelock.FileLock(own_models / NAME / ".fetch.lock"):
        result = fetch()
    assert result.exit_code == console.BAD_MODEL
    assert "another vae-balance fetches it" in result.stderr
    assert not server.asked


@pytest.fixture
def no_published_balancer(mirror: Mirror, server: HubServer) -> None:
    for part in mirror.model.balancer_parts:
        del server.files[path_of(part)]


@pytest.fixture
def trained(
    fetch: Run,
    own_models: Path,
    random_model: Path,
    tmp_path: Path,
    no_published_balancer: None,
) -> Path:
    """Return a model whose latent balancer was trained for the fetched VAE."""
    fetch()
    mine = tmp_path / "mine"
    shutil.copytree(own_models / NAME / "vae", mine / "vae")
    shutil.copytree(random_model / "latent_balancer", mine / "latent_balancer")
    write_info(mine, "mine", "1", "not stated", "trained on photos")
    return mine


@pytest.mark.usefixtures("no_published_balancer")
def test_without_the_published_balancer_the_vae_is_there_to_train_one(
    fetch: Run, own_models: Path
) -> None:
    result = fetch()
    assert result.exit_code == console.BAD_MODEL
    (line,) = result.stderr.splitlines()
    assert "latent_balancer_part_00: cannot be fetched: HTTP 404" in line
    assert "for the VAE, which is there" in line
    assert "vae-balance train balancer --vae sd-vae-ft-mse" in line
    assert find_vae(NAME) == own_models / NAME / "vae"
    with pytest.raises(ModelError, match="vae-balance models fetch sd-vae-ft-mse"):
        find_model(NAME)


def test_a_balancer_that_was_trained_for_it_takes_the_published_ones_place(
    fetch: Run, run: Run, trained: Path, photo: WritePhoto, tmp_path: Path
) -> None:
    assert load_model(str(trained), "cpu").vae.pixel_range == (-1.0, 1.0)
    assert fetch("--balancer", trained).exit_code == 0
    model = load_model(NAME, "cpu")
    assert model.vae.pixel_range == (-1.0, 1.0)
    assert model.latent_balancer.config.second_opinions
    assert "mine 1" in model.info.source
    moments = torch.randn(1, 8, 28, 28)
    own = load_model(str(trained), "cpu")
    assert torch.equal(model.latent_balancer(moments), own.latent_balancer(moments))
    out = tmp_path / "out.png"
    assert run("balance", photo(), "-o", out, "--model", NAME).exit_code == 0
    assert fetch().exit_code == 0  # and it stays
    assert find_model(NAME) == model.info


def test_a_balancer_for_another_vae_is_refused(
    fetch: Run, random_model: Path, own_models: Path
) -> None:
    fetch()
    before = find_model(NAME)
    result = fetch("--balancer", random_model)
    assert result.exit_code == console.BAD_MODEL
    assert "was trained for another VAE" in result.stderr
    assert find_model(NAME) == before


def test_the_real_files_are_asked_for_where_the_environment_says(
    server: HubServer, tmp_path: Path
) -> None:
    config, weights = SD_VAE_FT_MSE.vae
    server.files[path_of(config)] = CONFIG_TEXT.encode()  # its true bytes: the checksum is theirs
    packages = (vae_balance, vae_balance_protocol)
    environ = {
        **os.environ,
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "PYTHONPATH": os.pathsep.join(str(Path(str(p.__file__)).parents[1]) for p in packages),
    }
    environ.pop("HF_HUB_CACHE", None)

    def run_fetch(**more: str) -> Any:
        command = [sys.executable, "-m", "vae_balance", "models", "fetch", NAME]
        return subprocess.run(
            command, env={**environ, **more}, capture_output=True, text=True, timeout=120
        )

    missing = run_fetch()
    assert missing.returncode == console.BAD_MODEL, missing.stderr
    assert server.asked == [path_of(config), path_of(weights)]
    assert "HTTP 404" in missing.stderr
    (copied,) = (path for path in tmp_path.rglob("vae/config.json"))
    assert copied.read_text() == CONFIG_TEXT

    snapshot = tmp_path / "hf/hub/models--stabilityai--sd-vae-ft-mse/snapshots" / config.revision
    snapshot.mkdir(parents=True)
    copied.rename(snapshot / "config.json")  # as if another program had fetched it
    offline = run_fetch(HF_HUB_OFFLINE="1")
    assert offline.returncode == console.BAD_MODEL
    assert "HF_HUB_OFFLINE is set" in offline.stderr
    assert copied.read_text() == CONFIG_TEXT
    assert len(server.asked) == 2
