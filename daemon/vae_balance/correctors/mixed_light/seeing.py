"""What the grid network is told of a photo: what frozen networks see after the balancer's look.

The latent balancer gives one color function for the whole photo. The photo that this makes is shown
to VAE, classifier and balancer once more: where the light differs from place to place, the balancer
moves the colors of one place this way and those of another that way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vae_balance.color.arrays import Colors
from vae_balance.correctors.latent_balancer.color_statistics import color_statistics
from vae_balance.correctors.latent_balancer.model import Model
from vae_balance.correctors.latent_balancer.networks import FusedBalancer


@dataclass(frozen=True)
class Sight:
    """What is told of B photos; colors are sRGB-encoded, 0..1.

    Attributes:
        given: (B, 3, 28, 28) colors of the photos as they were, each the mean of 8 x 8 pixels.
        balanced: (B, 3, 112, 112) of the photos after the balancer's look, means of 2 x 2.
        first_moves: (B, 4, 28, 28) by how much the balancer moved the means of the moments.
        moments: (B, 8, 28, 28) of the photos after its look.
        moves: (B, 4, 28, 28) by how much it would move these.
        fine: (B, 40, 14, 14) what the classifier sees after its look, means of 2 x 2.
        middle: (B, 112, 14, 14) the same, deeper.
        pooled: (B, 2464) the same, of the whole photo.
        statistics: (B, 135) of the colors after its look, see `color_statistics.py`.
        judged: (B, 2) error that it expects after its look, and after another one.
    """

    given: Tensor
    balanced: Tensor
    first_moves: Tensor
    moments: Tensor
    moves: Tensor
    fine: Tensor
    middle: Tensor
    pooled: Tensor
    statistics: Tensor
    judged: Tensor


@torch.inference_mode()
def see(
    proxies: Sequence[Colors], balanced: Sequence[Colors], first_moves: Tensor, model: Model
) -> Sight:
    """Look at photos again after the balancer's look.

    Args:
        proxies: (224, 224, 3) each, sRGB-encoded, 0..1, as the balancer was given them.
        balanced: the same after its look.
        first_moves: (B, 4, 28, 28), see `Sight`.
        model: VAE, classifier and a fused latent balancer.
    """
    balancer = model.latent_balancer
    assert isinstance(balancer, FusedBalancer) and model.classifier is not None
    pixels = _pixels(balanced, model.device)
    moments = model.vae.encode(pixels)
    features = model.classifier(pixels)
    statistics = torch.from_numpy(np.stack([color_statistics(photo) for photo in balanced]))
    statistics = statistics.to(model.device)
    answer = balancer(moments, features, statistics)
    return Sight(
        F.avg_pool2d(_pixels(proxies, model.device), 8),
        F.avg_pool2d(pixels, 2),
        first_moves,
        moments,
        (answer.moments - moments)[:, :4],
        F.avg_pool2d(features.fine, 2),
        features.middle,
        features.pooled,
        statistics,
        torch.stack([answer.fault, answer.doubt], dim=1),
    )


def _pixels(photos: Sequence[Colors], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).contiguous().to(device)
