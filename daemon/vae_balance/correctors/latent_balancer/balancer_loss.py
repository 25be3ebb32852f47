"""What a latent balancer is trained by: divergence of moments, errors of colors, its own judgement.

Colors are compared where looks are made of them: what counts is how far the smooth map to the
predicted colors goes from the damaged photo's colors to the undamaged one's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_balance.color.lab import ciede2000, mean_chroma, srgb_to_lab
from vae_balance.correctors.classifier import Features
from vae_balance.correctors.latent_balancer.fused_network import Answer, FusedLatentBalancer
from vae_balance.models.folder import FolderModel
from vae_balance.training.loop import Row

# The VAE halves the side three times: a latent stands for 8 x 8 pixels.
REDUCTION = 8


class PartWeights(Protocol):
    """Weights of the parts of a loss, each an attribute of its own name."""

    @property
    def undamaged(self) -> float:
        """How much a case without damage counts, beside one with damage."""
        ...


@dataclass(frozen=True)
class LossWeights:
    """How much each part counts.

    Attributes:
        kl: the divergence between predicted and true moments, per moment.
        map: the CIEDE2000 error left by the best smooth map to the predicted colors.
        color: the CIEDE2000 error of the predicted colors themselves.
        chroma: the difference in mean chroma; without it, doubt about a hue is answered with grey.
        judge: the error of the errors that the balancer expects, in logarithms.
        undamaged: a case without damage, beside one with damage: sound photos stay sound.
        variance_floor: least variance in the divergence, as a part of a channel's own variance.
    """

    kl: float = 0.5
    map: float = 1.0
    color: float = 0.3
    chroma: float = 0.25
    judge: float = 0.5
    undamaged: float = 2.2
    variance_floor: float = 0.05


@dataclass(frozen=True)
class ThumbnailConfig:
    """Sizes of the network that reads colors from latents."""

    latent_channels: int = 4
    wide: int = 128
    narrow: int = 64


class Thumbnail(FolderModel):
    """Reads the mean color of each latent's 8 x 8 pixels from the latent, in training only.

    It stands in for the decoder, which costs far more and whose detail no color map uses.
    """

    config_type = ThumbnailConfig
    mean_shift: Tensor
    mean_scale: Tensor

    def __init__(self, config: ThumbnailConfig = ThumbnailConfig()) -> None:
        super().__init__(config)
        for name, start in (("mean_shift", torch.zeros), ("mean_scale", torch.ones)):
            self.register_buffer(name, start(config.latent_channels, 1, 1))
        self.net = nn.Sequential(
            nn.Conv2d(config.latent_channels, config.wide, 1),
            nn.SiLU(),
            nn.Conv2d(config.wide, config.narrow, 1),
            nn.SiLU(),
            nn.Conv2d(config.narrow, 3, 1),
        )

    def forward(self, moments: Tensor) -> Tensor:
        """Map moments (B, 8, h, w) to sRGB-encoded colors (B, 3, h, w), about 0..1."""
        mean = moments.chunk(2, dim=1)[0]
        colors: Tensor = self.net((mean - self.mean_shift) / self.mean_scale)
        return colors + 0.5


@dataclass(frozen=True)
class Batch:
    """Cases to learn from; colors are sRGB-encoded, 0..1.

    Attributes:
        given: (B, 8, 28, 28) moments of damaged photos.
        true: (B, 8, 28, 28) moments of the undamaged ones.
        before: (B, 3, 28, 28) colors of the damaged photos, each the mean of 8 x 8 pixels.
        after: (B, 3, 28, 28) colors of the undamaged ones.
        features: what the classifier sees in the damaged ones.
        statistics: (B, 135) of the colors of the damaged ones, see `color_statistics.py`.
        undamaged: (B,) whether nothing is to be undone.
        corner: the latent of every 2 x 2 that is moved; None moves all.
    """

    given: Tensor
    true: Tensor
    before: Tensor
    after: Tensor
    features: Features
    statistics: Tensor
    undamaged: Tensor
    corner: tuple[int, int] | None = None

    def chosen(self, x: Tensor) -> Tensor:
        """Return those places of (B, C, 28, 28) that are moved."""
        return x if self.corner is None else x[:, :, self.corner[0] :: 2, self.corner[1] :: 2]


def gaussian_kl(predicted: Tensor, true: Tensor, floor: Tensor) -> Tensor:
    """Return KL(true || predicted), (B,), the mean over moments; variances are at least `floor`.

    Source: Kullback and Leibler (1951), for two normal distributions of one dimension.
    """
    mean, log_variance = predicted.chunk(2, dim=1)
    true_mean, true_log_variance = true.chunk(2, dim=1)
    variance = log_variance.exp() + floor
    true_variance = true_log_variance.exp() + floor
    spread = (true_variance + (true_mean - mean).square()) / variance
    return 0.5 * (spread - 1.0 + torch.log(variance / true_variance)).flatten(1).mean(dim=1)


def fit_smooth_map(colors: Tensor, targets: Tensor, ridge: float = 1e-3) -> Tensor:
    """Return the quadratic function, (B, 10, 3), that brings `colors` nearest to `targets`.

    Both (B, 3, h, w), sRGB-encoded; gradients flow to both.
    """
    terms = _terms(colors)
    change = (targets - colors).flatten(2).transpose(1, 2)
    gram = terms.transpose(1, 2) @ terms / terms.shape[1]
    moment = terms.transpose(1, 2) @ change / terms.shape[1]
    fitted: Tensor = torch.linalg.solve(gram + ridge * torch.eye(10).to(gram), moment)
    return fitted


def apply_smooth_map(fitted: Tensor, colors: Tensor) -> Tensor:
    """Return colors (B, 3, h, w), sRGB-encoded, moved by functions of `fit_smooth_map`."""
    return colors + (_terms(colors) @ fitted).transpose(1, 2).reshape(colors.shape)


def smooth_map(colors: Tensor, targets: Tensor, ridge: float = 1e-3) -> Tensor:
    """Return `colors` moved by the quadratic function that brings them nearest to `targets`.

    Only what such a function can do survives in a look, so only that is worth learning. All
    (B, 3, h, w), sRGB-encoded; gradients flow to both.
    """
    return apply_smooth_map(fit_smooth_map(colors, targets, ridge), colors)


def _terms(colors: Tensor) -> Tensor:
    """Return the terms, (B, N, 10), of a quadratic function of colors (B, 3, h, w)."""
    x = colors.flatten(2).transpose(1, 2) - 0.5
    r, g, b = x.unbind(-1)
    terms = [torch.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, g * b, b * r]
    return torch.stack(terms, dim=-1)


def errors_of(colors: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean CIEDE2000 error (B,) of colors (B, 3, h, w), wanted L*a*b* being known."""
    error: Tensor = ciede2000(srgb_to_lab(colors.clamp(0.0, 1.0)), wanted)
    return error.flatten(1).mean(dim=1)


def balancer_loss(
    balancer: FusedLatentBalancer, thumbnail: Thumbnail, batch: Batch, weights: LossWeights
) -> tuple[Tensor, Row]:
    """Return the loss of the balancer on a batch, and its parts for the log."""
    given, true = batch.chosen(batch.given), batch.chosen(batch.true)
    wanted = srgb_to_lab(batch.chosen(batch.after))
    with torch.autocast(batch.given.device.type, torch.bfloat16):
        answer = balancer(batch.given, batch.features, batch.statistics, batch.corner)
    moments = answer.moments.float()
    before, predicted = thumbnail(given), thumbnail(moments)
    mapped = srgb_to_lab(smooth_map(before, predicted).clamp(0.0, 1.0))
    left = ciede2000(mapped, wanted).flatten(1).mean(dim=1)
    fault = errors_of(batch.chosen(batch.before), wanted)
    floor = weights.variance_floor * balancer.mean_scale.square()
    parts = {
        "kl": gaussian_kl(moments, true, floor),
        "map": left,
        "color": errors_of(predicted, wanted),
        "chroma": (mean_chroma(mapped) - mean_chroma(wanted)).abs().flatten(),
        "judge": misjudged(answer, fault, left),
    }
    return weighed(parts, weights, batch.undamaged)


def misjudged(answer: Answer, fault: Tensor, left: Tensor) -> Tensor:
    """Return how wrong a balancer judges photos and its answers (B,), in logarithms.

    Args:
        answer: to the photos.
        fault: (B,) their mean CIEDE2000 errors.
        left: (B,) those of the answers; nothing is learned through them.
    """
    judged = torch.stack([answer.fault, answer.doubt], dim=1).log1p()
    truth = torch.stack([fault, left.detach()], dim=1).log1p()
    return F.smooth_l1_loss(judged, truth, reduction="none", beta=0.2).mean(dim=1)


def weighed(
    parts: Mapping[str, Tensor], weights: PartWeights, undamaged: Tensor
) -> tuple[Tensor, Row]:
    """Return the mean over cases of the weighed sum of a loss's parts, and the parts for the log.

    Args:
        parts: (B,) each, by the name of its weight.
        weights: of the parts, and of a case without damage.
        undamaged: (B,) whether nothing is to be undone.
    """
    each = torch.stack([getattr(weights, name) * part for name, part in parts.items()]).sum(dim=0)
    counts = torch.where(undamaged, weights.undamaged, 1.0)
    loss = (counts * each).sum() / counts.sum()
    return loss, {name: part.mean().item() for name, part in parts.items()}
