"""Loaded by a worker of Dask's: a photo called deadly.png ends the process that reads it."""

from __future__ import annotations

import os
import signal
from typing import Any

from vae_balance import pipeline
from vae_balance.photos.photo import read_photo


def _read(path: Any) -> Any:
    if path.name == "deadly.png":
        os.kill(os.getpid(), signal.SIGKILL)
    return read_photo(path)


def dask_setup(worker: Any) -> None:
    """Do it in this worker."""
    setattr(pipeline, "read_photo", _read)  # noqa: B010 - a name that it does not export
