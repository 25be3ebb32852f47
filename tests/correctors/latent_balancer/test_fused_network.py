"""The fused latent balancer: what goes in and comes out, and that it begins by doing nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vae_balance.correctors.classifier import Features
from vae_balance.correctors.latent_balancer.color_statistics import STATISTICS
from vae_balance.correctors.latent_balancer.fused_network import FusedLatentBalancer


def features_of(photos: int) -> Features:
    return Features(
        torch.rand(photos, 2464), torch.rand(photos, 40, 28, 28), torch.rand(photos, 112, 14, 14)
    )


@pytest.fixture
def balancer() -> FusedLatentBalancer:
    torch.manual_seed(0)
    return FusedLatentBalancer().eval()


@torch.inference_mode()
def test_an_untrained_balancer_moves_nothing(balancer: FusedLatentBalancer) -> None:
    moments = torch.randn(2, 8, 28, 28)
    answer = balancer(moments, features_of(2), torch.rand(2, STATISTICS))
    assert torch.equal(answer.moments, moments)
    assert answer.fault.shape == answer.doubt.shape == (2,)


def test_one_corner_of_every_four_is_what_the_whole_would_say(
    balancer: FusedLatentBalancer,
) -> None:
    # The palette is of the chosen latents only: alike where every 2 x 2 latents are alike.
    moments = torch.randn(2, 8, 14, 14).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    features, statistics = features_of(2), torch.rand(2, STATISTICS)
    with torch.no_grad():
        balancer.leave.weight.normal_()
        whole = balancer(moments, features, statistics).moments
        corner = balancer(moments, features, statistics, (1, 0)).moments
    assert not torch.allclose(whole, moments, atol=0.1)
    assert torch.allclose(corner, whole[:, :, 1::2, 0::2], atol=1e-4)


@torch.inference_mode()
def test_the_classifier_is_listened_to(balancer: FusedLatentBalancer) -> None:
    balancer.leave.weight.normal_()
    moments = torch.randn(1, 8, 28, 28)
    statistics = torch.rand(1, STATISTICS)
    one, other = (balancer(moments, features_of(1), statistics).moments for _ in range(2))
    assert not torch.allclose(one, other, atol=1e-3)


def test_it_is_saved_with_its_scales_and_loaded_again(
    balancer: FusedLatentBalancer, tmp_path: Path
) -> None:
    balancer.mean_scale.fill_(2.0)
    balancer.save_folder(tmp_path)
    assert FusedLatentBalancer.load_folder(tmp_path).mean_scale.unique().item() == 2.0
