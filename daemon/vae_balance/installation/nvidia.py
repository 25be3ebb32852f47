"""The NVIDIA GPU of this computer and its driver, if there are any."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_QUERY_SECONDS = 30.0
_KERNEL_MODULE = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        name: what its maker calls it.
        driver: its driver's version, such as (580, 65, 6).
        capability: its generation, such as (8, 6); None if the driver does not tell.
    """

    name: str
    driver: tuple[int, ...]
    capability: tuple[int, ...] | None

    @property
    def driver_text(self) -> str:
        """The driver's version as its maker writes it, without leading zeros."""
        return ".".join(map(str, self.driver))


# The oldest driver with which programs built for a major version of CUDA run.
OLDEST_DRIVER = {13: (580,), 12: (525,), 11: (450,)}


def find_gpu() -> Gpu | None:
    """Return the first GPU that the driver knows; None without a GPU or driver."""
    # Older drivers do not know compute_cap, and then answer nothing at all.
    for fields in ("name,driver_version,compute_cap", "name,driver_version"):
        answer = _ask_driver(fields)
        if answer:
            return read_gpu(answer)
    try:
        return _read_kernel_module(_KERNEL_MODULE.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return None


def read_gpu(answer: str) -> Gpu | None:
    """Return the GPU of the first line of nvidia-smi's answer; None if it is no answer."""
    values = [value.strip() for value in answer.splitlines()[0].split(",")]
    driver = _version(values[1]) if len(values) > 1 else ()
    if not driver:
        return None
    return Gpu(values[0], driver, (_version(values[2]) or None) if len(values) > 2 else None)


def _ask_driver(fields: str) -> str:
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_QUERY_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _read_kernel_module(text: str) -> Gpu | None:
    match = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", text)
    return Gpu("NVIDIA GPU", _version(match.group(1)), None) if match else None


def _version(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+(\.\d+)*", text):
        return ()
    return tuple(map(int, text.split(".")))
