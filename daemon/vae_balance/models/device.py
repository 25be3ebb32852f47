"""Where networks run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vae_balance.errors import OptionError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")


def check_device(device: str) -> None:
    """Check that a device has a name that there is, without waiting for torch.

    Raises:
        OptionError: it has not.
    """
    if device.split(":")[0] not in DEVICES:
        raise OptionError(f"device {device!r}: choose one of {', '.join(DEVICES)}, cuda:N")


def choose_device(device: str) -> torch.device:
    """Return the torch device for "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        OptionError: the device is unknown or not there.
    """
    import torch

    check_device(device)
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise OptionError(f"device {device!r}: torch finds no usable CUDA device; use cpu or auto")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise OptionError(f"device {device!r}: not a device name; for instance cuda:0") from error
