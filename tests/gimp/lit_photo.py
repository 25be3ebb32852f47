"""The photo that comes with the program, under two lights."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vae_balance.photos.sample import SAMPLE


def lit_photo() -> Image.Image:
    """Return it with 320 x 240 pixels, warm on the left and cool on the right."""
    with Image.open(SAMPLE) as photo:
        colors = np.asarray(photo, np.float32) / np.float32(255)
    cool = np.linspace(-4.5, 5.5, colors.shape[1]).clip(0.0, 1.0)[:, None]
    gains = (1.0 - cool) * (1.0, 0.62, 0.3) + cool * (0.45, 0.75, 1.0)
    lit = Image.fromarray(np.uint8((colors**2.2 * gains) ** (1 / 2.2) * 255 + 0.5))
    return lit.resize((320, 240), Image.Resampling.BOX)
