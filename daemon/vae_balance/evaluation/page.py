"""A measured table as a page of the documentation, which says with what it was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from vae_balance import __version__
from vae_balance.files import atomic_write

_CPU_INFO = Path("/proc/cpuinfo")


def write_page(
    path: Path, title: str, command: str, about: str, table: str, *, keep: str | None = None
) -> None:
    """Write a page in Markdown, in the place of the one that was there.

    Args:
        path: of the page.
        title: its heading.
        command: that measures anew what it shows.
        about: how to read the table: paragraphs in Markdown.
        table: what was measured, in Markdown.
        keep: the heading of the page's last section, which another command writes.

    Raises:
        BalanceError: it cannot be written.
    """
    _write(path, [f"# {title}", _origin(command), about, table, _section(path, keep) or ""])


def write_section(path: Path, title: str, command: str, about: str, table: str) -> None:
    """Write the last section of a page, in the place of the one of that title; as `write_page`."""
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    rest = page.removesuffix(_section(path, title) or "")
    _write(path, [rest, f"## {title}", _origin(command), about, table])


def _section(path: Path, title: str | None) -> str | None:
    """Return a page from the heading of a section on, None if there is no such heading."""
    page = path.read_text(encoding="utf-8") if title and path.exists() else ""
    _, heading, section = page.partition(f"\n## {title}\n")
    return heading + section if heading else None


def _write(path: Path, parts: Sequence[str]) -> None:
    text = "\n\n".join(part.strip() for part in parts if part.strip())
    with atomic_write(path, overwrite=True) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _origin(command: str) -> str:
    return f"Written by `{command}` of version {__version__}, on {this_computer()}."


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
