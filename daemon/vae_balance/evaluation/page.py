"""A measured table as a page of the documentation, which says with what it was measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from vae_balance import __version__
from vae_balance.files import atomic_write

_CPU_INFO = Path("/proc/cpuinfo")


def write_page(path: Path, title: str, command: str, about: str, table: str) -> None:
    """Write a page in Markdown, in the place of the one that was there.

    Args:
        path: of the page.
        title: its heading.
        command: that measures anew what it shows.
        about: how to read the table: paragraphs in Markdown.
        table: what was measured, in Markdown.

    Raises:
        BalanceError: it cannot be written.
    """
    origin = f"Written by `{command}` of version {__version__}, on {this_computer()}."
    parts = [f"# {title}", origin, about, table]
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


def this_computer() -> str:
    """Return cores, processor, GPU and what computes, for instance "2 cores of a Xeon, Linux"."""
    parts = [f"{_cores()} cores of {_processor()}"]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    parts.append(platform.system())
    parts.append(f"Python {platform.python_version()}, PyTorch {torch.__version__}")
    return ", ".join(parts)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # what a container may use, where that is less than all
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _colon, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
