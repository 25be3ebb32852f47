"""The optimizer that trainers share."""

from __future__ import annotations

import torch
from torch import nn


def decaying_optimizer(network: nn.Module, weight_decay: float) -> torch.optim.AdamW:
    """Return an optimizer under which matrices decay, and biases do not."""
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98))
