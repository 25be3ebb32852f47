"""The bundled photo that the demo and the self-check damage and balance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vae_balance.photos.photo import Photo

SAMPLE = Path(__file__).parent / "samples" / "astronaut.jpg"

# Expired film: each channel (R, G, B) has a black, a white and a gamma of its own.
_BLACK, _WHITE, _GAMMA = (0.05, 0.12, 0.16), (0.72, 0.95, 0.82), (1.25, 0.80, 0.95)
# Of the frames of the sample roll, which are cut from the photo: pixels, and how many each way.
_FRAME_HEIGHT, _FRAME_WIDTH = 256, 384
_FRAMES_DOWN, _FRAMES_ACROSS = 4, 3
_GAP = 8  # white pixels between before and after


def cast(colors: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return colors (..., 3), sRGB-encoded, 0..1, as the photo is damaged."""
    import numpy as np

    black, white = np.array(_BLACK), np.array(_WHITE)
    return black + (white - black) * colors ** np.array(_GAMMA)


def roll_of(photo: Photo) -> list[Photo]:
    """Return twelve frames (256, 384), parts of a photo of 8 bits, that share its fault."""
    import numpy as np

    from vae_balance.photos.photo import Photo

    height, width = photo.pixels.shape[:2]
    tops = np.linspace(0, height - _FRAME_HEIGHT, _FRAMES_DOWN).astype(int)
    lefts = np.linspace(0, width - _FRAME_WIDTH, _FRAMES_ACROSS).astype(int)
    corners = [(top, left) for top in tops for left in lefts]
    return [
        Photo(photo.pixels[top : top + _FRAME_HEIGHT, left : left + _FRAME_WIDTH].copy())
        for top, left in corners
    ]


def side_by_side(before: Photo, after: Photo) -> Photo:
    """Return two photos of 8 bits and one height beside each other."""
    import numpy as np

    from vae_balance.photos.photo import Photo

    gap = np.full((len(before.pixels), _GAP, 3), 255, np.uint8)
    return Photo(np.concatenate([before.pixels, gap, after.pixels], axis=1))
