"""What OpenColorIO itself makes of a LUT file, by its own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PyOpenColorIO


def opencolorio_applies(path: Path, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return pixels (H, W, 3), uint8, uint16 or float32, as the file makes them."""
    names = {"uint8": "UINT8", "uint16": "UINT16", "float32": "F32"}
    depth = getattr(PyOpenColorIO, f"BIT_DEPTH_{names[pixels.dtype.name]}")
    PyOpenColorIO.ClearAllCaches()  # it knows files by their names
    level = PyOpenColorIO.GetLoggingLevel()
    PyOpenColorIO.SetLoggingLevel(PyOpenColorIO.LOGGING_LEVEL_NONE)
    try:
        processor = PyOpenColorIO.Config.CreateRaw().getProcessor(
            PyOpenColorIO.FileTransform(str(path), interpolation=PyOpenColorIO.INTERP_TETRAHEDRAL)
        )
    finally:
        PyOpenColorIO.SetLoggingLevel(level)
    result = np.array(pixels, order="C")
    height, width, channels = result.shape
    step = result.itemsize
    strides = (step, channels * step, width * channels * step)
    image = PyOpenColorIO.PackedImageDesc(result, width, height, channels, depth, *strides)
    processor.getOptimizedCPUProcessor(depth, depth, PyOpenColorIO.OPTIMIZATION_NONE).apply(image)
    return result
