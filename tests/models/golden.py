"""What the embedded model makes of three photos, as a few numbers.

    .venv/bin/python tests/models/golden.py

writes the numbers to golden.json anew, which is wanted after another model was embedded or the way
from a photo to its look was changed: look at what it prints before you commit. The photos come with
scikit-image and are damaged here by fixed functions, so that changes of training change nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import data
from skimage.color import deltaE_ciede2000, rgb2lab

from vae_balance import Balancer

Colors = NDArray[np.float64]

GOLDEN = Path(__file__).with_name("golden.json")
# Asked of each look, sRGB-encoded 0..255: greys, skin, leaves, sky, brick, wood, a lemon.
ASKED = (
    *((40, 40, 40), (128, 128, 128), (215, 215, 215)),
    *(
        (224, 172, 140),
        (84, 110, 52),
        (120, 160, 205),
        (150, 74, 58),
        (112, 84, 60),
        (230, 205, 70),
    ),
)


def in_lamp_light(colors: Colors) -> Colors:
    """Return colors, (H, W, 3), 0..1, in the light of a tungsten lamp."""
    return np.clip(colors**2.2 * [1.25, 0.9, 0.45], 0.0, 1.0) ** (1 / 2.2)


def faded(colors: Colors) -> Colors:
    """Return colors as a slide has them whose cyan dye has gone, and whose black with it."""
    return np.array([0.30, 0.14, 0.16]) + colors * [0.62, 0.70, 0.66]


def expired(colors: Colors) -> Colors:
    """Return colors as from film that was too old: its layers mix, its shadows are green."""
    cross_talk = np.array([[0.80, 0.18, 0.02], [0.10, 0.86, 0.04], [0.08, 0.26, 0.66]])
    return (colors @ cross_talk.T) ** [1.25, 0.8, 1.1] * [0.92, 0.95, 0.85]


PHOTOS: dict[str, tuple[Callable[[], Any], Callable[[Colors], Colors]]] = {
    "astronaut": (data.astronaut, in_lamp_light),
    "coffee": (data.coffee, faded),
    "chelsea": (data.chelsea, expired),
}


def measure(balancer: Balancer, name: str) -> dict[str, Any]:
    """Balance a photo of `PHOTOS` once.

    Returns:
        damaged, balanced: mean CIEDE2000 to the undamaged photo. colors: what the look makes of
        `ASKED`, sRGB-encoded, 0..255.
    """
    load, damage = PHOTOS[name]
    photo = load()
    damaged = np.uint8(damage(photo / 255.0) * 255.0 + 0.5)
    look = balancer.learn(damaged)
    asked = np.array([ASKED], np.float32) / 255.0
    return {
        "damaged": difference(damaged, photo),
        "balanced": difference(balancer.apply(look, damaged), photo),
        "colors": np.round(balancer.apply(look, asked)[0].astype(float) * 255.0, 2).tolist(),
    }


def difference(colors: NDArray[np.uint8], others: NDArray[np.uint8]) -> float:
    """Return the mean CIEDE2000 between two photos, of every fourth row and column."""
    one, other = (rgb2lab(array[::4, ::4]) for array in (colors, others))
    return round(float(deltaE_ciede2000(one, other).mean()), 3)


def main() -> None:
    balancer = Balancer(device="cpu")
    lines = [f'"model": "{balancer.model.info.version}"']
    for name in PHOTOS:
        made = measure(balancer, name)
        print(f"{name}: CIEDE2000 {made['damaged']:.2f} -> {made['balanced']:.2f}")
        lines.append(f'"{name}": {json.dumps(made)}')
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="ascii")


if __name__ == "__main__":
    main()
