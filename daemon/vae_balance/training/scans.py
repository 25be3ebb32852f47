"""What scanners and files add to a photo: noise, and the artefacts of JPEG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from vae_balance.color.arrays import Colors
from vae_balance.training.photos import to_8_bits


def scanned(pixels: Colors, rng: np.random.Generator, share: float = 0.3) -> Colors:
    """Add noise, then the blocks of JPEG, to (H, W, 3) in 0..1, sRGB-encoded; 8-bit steps.

    Args:
        pixels: a damaged photo.
        rng: the source of chance.
        share: how likely each of both is; 1 adds both.
    """
    if rng.uniform() < share:
        noise = rng.normal(0.0, rng.uniform(0.005, 0.04), pixels.shape).astype(np.float32)
        pixels = np.clip(pixels + noise, 0.0, 1.0)
    if rng.uniform() < share:
        file = io.BytesIO()
        picture = Image.fromarray(np.rint(pixels * 255.0).astype(np.uint8))
        picture.save(file, "JPEG", quality=int(rng.integers(35, 92)))
        pixels = np.asarray(Image.open(file), dtype=np.float32) / 255.0
    return to_8_bits(pixels)
