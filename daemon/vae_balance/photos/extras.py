"""Packages that are installed only where their file formats are wanted."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from vae_balance.errors import ImageError


def extra(module: str, name: str, what: str) -> Any:
    """Return the module of an extra of the package.

    Args:
        module: Its name.
        name: The extra, as in pyproject.toml.
        what: What needs it.

    Raises:
        ImageError: It is not installed; the message has the command that does it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImageError(f"{what} needs {module}: pip install 'vae-balance[{name}]'") from error
