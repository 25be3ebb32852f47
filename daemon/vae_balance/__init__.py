"""VAE Balance: give a photograph its colors back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_balance.api import Balancer
    from vae_balance.looks.look import Look

__version__ = "0.1.0"
__all__ = ["Balancer", "Look", "__version__"]

_HOMES = {"Balancer": "vae_balance.api", "Look": "vae_balance.looks.look"}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: `vae-balance --help` must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
