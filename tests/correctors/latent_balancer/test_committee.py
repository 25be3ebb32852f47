"""A committee: the mean of its members' answers, kept in the space of one, made by a command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import Result

from vae_balance.correctors.classifier import Features
from vae_balance.correctors.latent_balancer.color_statistics import STATISTICS
from vae_balance.correctors.latent_balancer.committee import BalancerCommittee
from vae_balance.correctors.latent_balancer.fused_network import (
    FusedBalancerConfig,
    FusedLatentBalancer,
)
from vae_balance.correctors.latent_balancer.model import load_model
from vae_balance.correctors.latent_balancer.networks import load_members
from vae_balance.correctors.latent_balancer.train_balancer import BalancerTraining, begin_balancer
from vae_balance.models.folder import WEIGHTS_NAME
from vae_balance.models.store import find_model, write_info

SMALL = FusedBalancerConfig(palette=16, context=32, token=16, token_blocks=1, fine=16)
Members = tuple[Path, Path]


def told(photos: int) -> tuple[torch.Tensor, Features, torch.Tensor]:
    """Return moments, features and statistics of photos."""
    features = Features(
        torch.rand(photos, 2464), torch.rand(photos, 40, 28, 28), torch.rand(photos, 112, 14, 14)
    )
    return torch.randn(photos, 8, 28, 28), features, torch.rand(photos, STATISTICS)


def balancer(seed: int, config: FusedBalancerConfig = SMALL) -> FusedLatentBalancer:
    torch.manual_seed(seed)
    made = FusedLatentBalancer(config).eval()
    torch.nn.init.normal_(made.leave.weight, std=0.5)
    torch.nn.init.normal_(made.leave.bias, std=0.5)
    return made


@pytest.fixture
def members(random_model: Path, tmp_path: Path) -> Members:
    """Return the folders of two models with the same VAE."""
    folders = tmp_path / "one", tmp_path / "other"
    vae = find_model(str(random_model)).folder / "vae"
    for seed, folder in enumerate(folders):
        balancer(seed).save_folder(folder / "latent_balancer", torch.float32)
        for file in vae.iterdir():
            (folder / "vae").mkdir(exist_ok=True)
            (folder / "vae" / file.name).write_bytes(file.read_bytes())
        write_info(folder, folder.name, "3", "MIT", "made by the tests")
    return folders


@torch.inference_mode()
def test_its_answer_is_the_mean_of_its_members_answers() -> None:
    one, other = balancer(1), balancer(2, replace(SMALL, dropout=0.1))
    asked = told(3)
    mine, theirs = one(*asked), other(*asked)
    assert not torch.allclose(mine.moments, theirs.moments, atol=0.1)
    answer = BalancerCommittee.of([one, other])(*asked)
    torch.testing.assert_close(answer.moments, (mine.moments + theirs.moments) / 2)
    torch.testing.assert_close(answer.fault, (mine.fault + theirs.fault) / 2)
    torch.testing.assert_close(answer.doubt, (mine.doubt + theirs.doubt) / 2)


@torch.inference_mode()
def test_a_command_puts_models_together_in_the_space_of_one(
    run: Callable[..., Result], members: Members, tmp_path: Path
) -> None:
    out = tmp_path / "both"
    result = run("train", "committee", *members, "--out", out)
    assert (result.exit_code, result.output) == (0, f"{out}: committee of one 3, other 3\n")
    model = load_model(str(out), "cpu")
    assert model.info.license == "MIT"
    assert model.classifier is not None
    asked = told(2)
    said = [
        FusedLatentBalancer.load_folder(folder / "latent_balancer")(*asked) for folder in members
    ]
    mean = (said[0].moments + said[1].moments) / 2
    change = (mean - asked[0]).abs().mean()
    assert (model.latent_balancer(*asked).moments - mean).abs().mean() < 0.02 * change
    one = tmp_path / "half"
    balancer(1).save_folder(one, torch.float16)
    sizes = [(folder / WEIGHTS_NAME).stat().st_size for folder in (out / "latent_balancer", one)]
    assert sizes[0] < 1.3 * sizes[1]


def test_a_photo_is_balanced_by_a_committee(
    run: Callable[..., Result], members: Members, photo: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "both"
    run("train", "committee", *members, "--out", out)
    result = run("balance", photo(), "-o", tmp_path / "done.png", "--model", out)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "done.png").is_file()


def test_a_member_of_members_is_one_of_them_all(
    run: Callable[..., Result], members: Members, tmp_path: Path
) -> None:
    run("train", "committee", *members, "--out", tmp_path / "both")
    run("train", "committee", tmp_path / "both", members[0], "--out", tmp_path / "three")
    assert len(load_members(tmp_path / "three" / "latent_balancer")) == 3


def test_training_begins_with_the_first_member(
    run: Callable[..., Result], members: Members, tmp_path: Path
) -> None:
    run("train", "committee", *members, "--out", tmp_path / "both")
    start = tmp_path / "both" / "latent_balancer"
    config = BalancerTraining(tmp_path, tmp_path, tmp_path, tmp_path, start=start)
    begun = begin_balancer(config, [])
    assert begun.training
    first = FusedLatentBalancer.load_folder(members[0] / "latent_balancer")
    torch.testing.assert_close(begun.leave.bias, first.leave.bias, atol=1e-3, rtol=0.0)


def test_what_cannot_be_put_together_is_told(
    run: Callable[..., Result], members: Members, random_model: Path, tmp_path: Path
) -> None:
    one, other = members

    def refused(*models: object, out: Path = tmp_path / "both") -> str:
        result = run("train", "committee", *models, "--out", out)
        assert result.exit_code != 0
        assert len(result.output.strip().splitlines()) == 1
        return result.output

    assert "two members or more" in refused(one)
    assert "is a member itself" in refused(one, other, out=other)
    assert "LatentBalancer, where a balancer that is told what" in refused(one, random_model)
    assert "no such model" in refused(one, "nobody")
    balancer(3, replace(SMALL, fine=32)).save_folder(other / "latent_balancer")
    write_info(other, "other", "1", "MIT", "made by the tests")
    assert "balancers of different sizes make no committee" in refused(one, other)
    (other / "vae" / "config.json").write_text("{}")
    write_info(other, "other", "1", "MIT", "made by the tests")
    assert "trained for another VAE" in refused(one, other)
    with (other / "latent_balancer" / WEIGHTS_NAME).open("ab") as weights:
        weights.write(b"more")
    assert str(other) in refused(one, other)
    assert not (tmp_path / "both").exists()
