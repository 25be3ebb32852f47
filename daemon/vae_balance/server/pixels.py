"""Data frames of messages as arrays of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_balance.color.arrays import Pixels

_TYPE_CODES = {"u8": "u1", "u16": "<u2", "f16": "<f2", "f32": "<f4"}


def as_pixels(frame: Any, rows: int, width: int, channels: int, dtype: str) -> Pixels:
    """Return a data frame as writable pixels (rows, width, channels), the frame's own.

    Args:
        frame: a writable buffer, as long as the pixels are.
        rows: of the pixels.
        width: as rows.
        channels: 3 or 4.
        dtype: "u8", "u16", "f16" or "f32".
    """
    import numpy as np

    return np.frombuffer(frame, _TYPE_CODES[dtype]).reshape(rows, width, channels)
