"""The optimizer that trainers share."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

# Name, in a group of parameters, of the factor by which these learn faster than others.
PACE = "pace"


def decaying_optimizer(
    network: nn.Module, weight_decay: float, apart: nn.Module | None = None, pace: float = 1.0
) -> torch.optim.AdamW:
    """Return an optimizer under which matrices decay, and biases do not.

    Args:
        network: what is trained.
        weight_decay: of the matrices.
        apart: a part of the network that does not decay, and learns at a rate of its own.
        pace: that rate, as a multiple of the others'.
    """
    own = list(apart.parameters()) if apart is not None else []
    others = [p for p in network.parameters() if all(p is not one for one in own)]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in others if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in others if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if own:
        groups.append({"params": own, "weight_decay": 0.0, PACE: pace})
    return torch.optim.AdamW(groups, betas=(0.9, 0.98))
