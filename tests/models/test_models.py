"""Models on disk: loading, saving, checksums, and what is said when something is wrong."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from vae_balance.correctors.latent_balancer.balancer_network import (
    LatentBalancer,
    LatentBalancerConfig,
)
from vae_balance.correctors.latent_balancer.model import load_model
from vae_balance.correctors.latent_balancer.vae import VAE, VAEConfig, latents_of
from vae_balance.errors import ModelError, OptionError
from vae_balance.models.device import choose_device
from vae_balance.models.store import EMBEDDED, find_model, find_vae, list_models, verify_files


def test_the_vae_has_the_published_shapes() -> None:
    vae = VAE()
    moments = vae.encode(torch.rand(2, 3, 224, 224))
    assert moments.shape == (2, 8, 28, 28)
    assert vae.decode(latents_of(moments)).shape == (2, 3, 224, 224)


def test_a_sample_has_the_mean_and_variance_of_its_moments() -> None:
    moments = torch.cat([torch.full((1, 4, 64, 64), 2.0), torch.full((1, 4, 64, 64), -1.0)], 1)
    sample = latents_of(moments, torch.Generator().manual_seed(0))
    assert sample.mean().item() == pytest.approx(2.0, abs=0.02)
    assert sample.var().item() == pytest.approx(0.3679, abs=0.02)  # exp(-1)


def test_an_untrained_balancer_moves_nothing() -> None:
    moments = torch.randn(1, 8, 28, 28)
    assert torch.equal(LatentBalancer().eval()(moments), moments)


def test_a_network_comes_back_from_its_folder_within_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = LatentBalancerConfig(mean_shift=(0.1, 0.2, 0.3, 0.4), fine=16, coarse=16, context=8)
    balancer = LatentBalancer(config).eval()
    torch.nn.init.normal_(balancer.leave.weight)
    balancer.save_folder(tmp_path)
    loaded = LatentBalancer.load_folder(tmp_path)
    moments = torch.randn(1, 8, 28, 28)
    assert loaded.config == config
    torch.testing.assert_close(loaded(moments), balancer(moments), atol=5e-3, rtol=5e-3)


def test_a_network_that_cannot_be_written_spares_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best step so far is nowhere else: who is stopped while a better one is kept needs it."""
    sizes = VAEConfig(encoder_channels=(8, 8), decoder_channels=(8, 8))
    VAE(sizes).save_folder(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def killed(path: Path, content: bytes) -> None:
        path.open("wb").close()
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        VAE(sizes).save_folder(tmp_path)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_of_another_network_is_refused(tmp_path: Path) -> None:
    VAE(VAEConfig(encoder_channels=(8, 8), decoder_channels=(8, 8))).save_folder(tmp_path)
    with pytest.raises(ModelError, match="describes a VAE, where a LatentBalancer is needed"):
        LatentBalancer.load_folder(tmp_path)


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    VAE(VAEConfig(encoder_channels=(8, 8), decoder_channels=(8, 8))).save_folder(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "colour": 1}))
    with pytest.raises(ModelError, match="unknown setting 'colour'"):
        VAE.load_folder(tmp_path)


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    VAE(VAEConfig(encoder_channels=(8, 8), decoder_channels=(8, 8))).save_folder(tmp_path)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match="not the weights of a VAE"):
        VAE.load_folder(tmp_path)


def test_weights_of_other_sizes_are_refused(tmp_path: Path) -> None:
    VAE(VAEConfig(encoder_channels=(8, 8), decoder_channels=(8, 8))).save_folder(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace("8,", "16,", 1))
    with pytest.raises(ModelError, match="not the weights of a VAE"):
        VAE.load_folder(tmp_path)


def test_a_changed_file_is_found_by_its_checksum(random_model: Path) -> None:
    info = find_model(str(random_model))
    verify_files(info)
    config = random_model / "vae" / "config.json"
    original = config.read_bytes()
    try:
        config.write_bytes(original + b" ")
        with pytest.raises(ModelError, match=r"config.json: damaged"):
            load_model(str(random_model), "cpu")
    finally:
        config.write_bytes(original)


def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match=f"no such model; known: .*{EMBEDDED}"):
        find_model("no-such-model")


def test_a_vae_is_found_by_its_folder_and_by_the_model_that_has_it(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_balance.models.store.user_models_folder", lambda: tmp_path)
    (tmp_path / "mine").symlink_to(random_model, target_is_directory=True)
    assert find_vae(str(random_model / "vae")) == random_model / "vae"
    assert find_vae(str(random_model)) == random_model / "vae"
    assert find_vae("mine") == tmp_path / "mine" / "vae"
    assert find_vae(EMBEDDED) == find_model(EMBEDDED).folder / "vae"
    with pytest.raises(ModelError, match="stretch: has no VAE"):
        find_vae("stretch")
    known = r"model 'yours': no such model; known: embedded, .*, random"
    with pytest.raises(ModelError, match=known):
        find_vae("yours")


def test_a_model_that_can_be_fetched_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_balance.models.store.user_models_folder", lambda: tmp_path)
    for find in (find_model, find_vae):
        with pytest.raises(ModelError, match="get it: vae-balance models fetch sd-vae-ft-mse"):
            find("sd-vae-ft-mse")


def test_a_model_in_the_users_folder_is_found_by_name(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_balance.models.store.user_models_folder", lambda: tmp_path)
    (tmp_path / "mine").symlink_to(random_model, target_is_directory=True)
    assert find_model("mine").folder == tmp_path / "mine"
    assert list_models()[-1] == find_model("mine")


def test_a_broken_model_does_not_hide_the_others(
    random_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("vae_balance.models.store.user_models_folder", lambda: tmp_path)
    (tmp_path / "mine").symlink_to(random_model, target_is_directory=True)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.json").write_text("{")
    names = [info.name for info in list_models()]
    assert (names[0], names[-1]) == (EMBEDDED, "random")
    assert "broken" in caplog.text


def test_a_broken_description_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(ModelError, match=r"model.json: not a model description"):
        find_model(str(tmp_path))


@pytest.fixture
def described(random_model: Path, tmp_path: Path) -> Path:
    """Return the folder of a model that a test may change."""
    return Path(shutil.copytree(random_model, tmp_path / "model"))


def change(folder: Path, **values: Any) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    "name",
    [
        "/dev/zero",
        "../other/config.json",
        "vae/../../config.json",
        "C:\\nul",
        "vae\\..\\x",
        "",
        "vae//x",
    ],
)
def test_a_description_names_files_of_its_folder_only(described: Path, name: str) -> None:
    change(described, sha256={name: "0" * 64})
    with pytest.raises(ModelError, match="which is not in this folder"):
        find_model(str(described))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "x" * 1001}, "its name is longer than 1000 characters"),
        ({"sha256": {f"{n}": "0" for n in range(1001)}}, "names more than 1000 files"),
        ({"source": "x" * (1 << 20)}, "not a model description: .*longer than 1048576 bytes"),
    ],
    ids=["name", "files", "bytes"],
)
def test_a_description_has_bounds(described: Path, values: dict[str, Any], message: str) -> None:
    change(described, **values)
    with pytest.raises(ModelError, match=message):
        find_model(str(described))


@pytest.mark.skipif(os.name == "nt", reason="pipes and devices of POSIX")
@pytest.mark.parametrize("file", ["vae/config.json", "vae/diffusion_pytorch_model.safetensors"])
@pytest.mark.parametrize("is_listed", [True, False])
def test_what_is_no_ordinary_file_is_not_read(described: Path, file: str, is_listed: bool) -> None:
    path = described / file
    path.unlink()
    os.mkfifo(path)  # whoever read it would wait for ever
    if not is_listed:
        change(described, sha256={})
    with pytest.raises(ModelError, match="not an ordinary file"):
        load_model(str(described), "cpu")


def test_a_file_that_is_too_long_for_a_network_is_not_read(described: Path) -> None:
    with (described / "vae" / "config.json").open("r+b") as file:
        file.truncate(9 << 30)  # sparse: it takes no room on the disk
    with pytest.raises(ModelError, match="longer than 8 GiB"):
        load_model(str(described), "cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "tpu:0"])
def test_a_device_that_is_none_is_refused(device: str) -> None:
    with pytest.raises(OptionError, match="device"):
        choose_device(device)


def test_auto_takes_the_cpu_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"


def test_the_embedded_model_is_whole_and_small() -> None:
    info = find_model(EMBEDDED)
    verify_files(info)
    assert set(info.sha256) == {
        f"{network}/{name}"
        for network in ("vae", "latent_balancer")
        for name in ("config.json", "diffusion_pytorch_model.safetensors")
    }
    size = sum((info.folder / name).stat().st_size for name in info.sha256)
    assert size <= 16e6
    assert (info.folder / "README.md").stat().st_size > 1000
