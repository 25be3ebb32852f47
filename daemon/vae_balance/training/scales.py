"""The scales by which a network standardizes what it is told: measured once, before training."""

from __future__ import annotations

from torch import Tensor, nn

LEAST_DEVIATION = 1e-3


def take_scales(
    network: nn.Module, name: str, values: Tensor, least: float = LEAST_DEVIATION
) -> None:
    """Set the buffers `name`_shift and `name`_scale to mean and deviation of values.

    Args:
        network: has both.
        name: of what it is told.
        values: (N, C) or (N, C, h, w).
        least: added to the deviation, so that what hardly varies does not shout.
    """
    values = values.float()
    others = [0, *range(2, values.dim())]
    shift, scale = network.get_buffer(f"{name}_shift"), network.get_buffer(f"{name}_scale")
    shift.copy_(values.mean(dim=others).reshape(shift.shape))
    scale.copy_((values.std(dim=others) + least).reshape(scale.shape))
