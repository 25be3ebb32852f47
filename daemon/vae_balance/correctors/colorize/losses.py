"""What a colorizing network learns by: three losses on a and b, and one on classes of colors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_balance.correctors.colorize.cases import Batch
from vae_balance.correctors.colorize.color_head import STEP, ColorHead
from vae_balance.correctors.colorize.seen import Seen
from vae_balance.training.loop import Row

# a* and b* are brought to about 1.
_SCALE = 25.0
_HUBER_DELTA = 0.4
# Distances, in the 56 x 56 places, of the neighbors that the pairwise loss compares.
_NEIGHBORS = (1, 2, 4, 8, 16)
# Differences say nothing of the mean of a photo: so much of the squared error is added.
_PAIRWISE_MEAN = 0.1
# Places of a photo whose likelihoods are learned in a step, of 56 x 56.
_PLACES = 320
# Share of an even distribution in that by which weights are balanced: the more of it, the less rare
# colors count. With the 0.5 of Zhang et al. our networks make blotches where they are not sure.
_EVEN = 0.9


class Colorizer(Protocol):
    """A network of one of the three designs."""

    head: ColorHead

    def shown(self, grey: Tensor) -> Tensor:
        """Return what the classifier is shown, (B, 3, S, S), of the grey picture (B, 1, S, S)."""
        ...

    def features(self, seen: Seen) -> Tensor:
        """Return what the head is given, (B, C, 56, 56)."""
        ...

    def __call__(self, seen: Seen) -> Tensor:
        """Return a* and b* (B, 2, 56, 56)."""
        ...


# Returns the loss of a network on a batch, and its parts for the log.
Loss = Callable[[Colorizer, Batch], tuple[Tensor, Row]]


def l2(network: Colorizer, batch: Batch) -> tuple[Tensor, Row]:
    """Mean squared error."""
    loss = ((network(batch.seen) - batch.chroma) / _SCALE).square().mean()
    return loss, {"l2": loss.item()}


def huber(network: Colorizer, batch: Batch) -> tuple[Tensor, Row]:
    """Squared where the error is small, absolute where it is great."""
    loss = F.huber_loss(network(batch.seen) / _SCALE, batch.chroma / _SCALE, delta=_HUBER_DELTA)
    return loss, {"huber": loss.item()}


def pairwise(network: Colorizer, batch: Batch) -> tuple[Tensor, Row]:
    """Mean squared error of the differences between neighboring places, near and far."""
    error = (network(batch.seen) - batch.chroma) / _SCALE
    parts = [
        (error[..., gap:, :] - error[..., :-gap, :]).square().mean()
        + (error[..., gap:] - error[..., :-gap]).square().mean()
        for gap in _NEIGHBORS
        if gap < error.shape[-1]
    ]
    loss = torch.stack(parts).mean() / 2.0
    whole = loss + _PAIRWISE_MEAN * error.square().mean()
    return whole, {"pairwise": loss.item()}


class Classes(nn.Module):
    """Cross entropy of the classes of colors, rare ones counting more.

    Zhang, Isola and Efros (2016): a color belongs to the classes near it by a Gaussian of 5, and
    counts the more, the rarer its class is.

    Args:
        centres: (K, 2) a* and b* of the classes.
        frequency: (K,) of the classes in photos, adding up to 1.
    """

    def __init__(self, centres: Tensor, frequency: Tensor) -> None:
        super().__init__()
        mixed = (1.0 - _EVEN) * frequency + _EVEN / len(frequency)
        self.centres = centres
        self.weights = (1.0 / mixed) / (frequency / mixed).sum()

    def forward(self, network: Colorizer, batch: Batch) -> tuple[Tensor, Row]:
        """Return the loss on some places of the photos, and its part for the log."""
        features = network.features(batch.seen)
        places = torch.randperm(features.shape[2] * features.shape[3], device=features.device)
        places = places[:_PLACES]
        picked = features.flatten(2)[..., places].transpose(1, 2).flatten(0, 1)
        wanted = batch.chroma.flatten(2)[..., places].transpose(1, 2).flatten(0, 1)
        shares = class_shares(wanted, self.centres)
        entropy = -(shares * network.head.log_likelihoods(picked)).sum(dim=1)
        weights = self.weights[shares.argmax(dim=1)]
        loss = (weights * entropy).mean()
        return loss, {"classes": loss.item()}


def class_shares(chroma: Tensor, centres: Tensor) -> Tensor:
    """Return how much a* and b* (N, 2) belong to each class (N, K); they add up to 1."""
    return torch.softmax(-torch.cdist(chroma, centres).square() / (STEP**2 / 2.0), dim=1)


def class_frequency(chroma: Tensor, centres: Tensor) -> Tensor:
    """Return how often the classes (K, 2) are among a* and b* (N, 2)."""
    parts = [class_shares(part, centres).sum(dim=0) for part in chroma.split(1 << 14)]
    return torch.stack(parts).sum(dim=0) / len(chroma)


LOSSES: dict[str, Loss] = {"l2": l2, "huber": huber, "pairwise": pairwise}
CLASSES = "classes"
