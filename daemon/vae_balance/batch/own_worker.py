"""Loaded by workers that the command starts itself: Ctrl-C is for the command, which ends them."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C, which a terminal sends to all its processes, to the command."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
