"""Pictures made for tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def picture(height: int = 60, width: int = 80, seed: int = 0) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3): soft gradients of color and a little noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = rng.uniform(1.0, 5.0, (3, 2))
    colors = [0.5 + 0.4 * np.sin(a * rows + b * columns + a) for a, b in waves]
    noisy = np.stack(colors, axis=-1) + rng.normal(0.0, 0.02, (height, width, 3))
    return np.round(noisy.clip(0.0, 1.0) * 255.0).astype(np.uint8)
