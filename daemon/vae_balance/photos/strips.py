"""A picture in strips, as clients of the daemon send it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

_ROWS = 256  # as the plug-ins cut a layer


def strips_of(pixels: NDArray[Any]) -> Iterator[tuple[int, int, memoryview]]:
    """Yield (first row, rows, pixels) of a C-contiguous picture (H, W, C), from top to bottom."""
    for first in range(0, len(pixels), _ROWS):
        strip = pixels[first : first + _ROWS]
        yield first, len(strip), strip.data
