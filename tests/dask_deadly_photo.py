"""Loaded by a worker of Dask's: a photo called deadly.png ends the process that reads it."""

from __future__ import annotations

import os
import signal
from typing import Any

from vae_balance import pipeline

_read_photo = pipeline.read_photo


def _read(path: Any) -> Any:
    if path.name == "deadly.png":
        os.kill(os.getpid(), signal.SIGKILL)
    return _read_photo(path)


def dask_setup(worker: Any) -> None:
    """Do it in this worker."""
    pipeline.read_photo = _read
