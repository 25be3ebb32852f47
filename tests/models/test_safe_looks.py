"""The embedded model's looks do no harm, whatever befell a photo."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from vae_balance import Balancer
from vae_balance.color.lut import apply_lut
from vae_balance.looks.safe_lut import MOST_STEP, safety_of
from vae_balance.photos.proxy import make_proxy
from vae_balance.training.damage import KIND_NAMES, random_damage

Colors = NDArray[np.float32]

PHOTOS = ("astronaut", "chelsea", "coffee")
STRENGTH = 1.2
# Folded or with greys that changed places before looks were made safe.
HARD = (
    ("astronaut", "tone"),
    ("astronaut", "lost dye"),
    ("chelsea", "lost dye"),
    ("coffee", "range cast"),
)
ALL = [(photo, kind) for photo in PHOTOS for kind in KIND_NAMES]
CASES = [
    pytest.param(*case, marks=[] if case in HARD else [pytest.mark.slow], id=" ".join(case))
    for case in ALL
]


@pytest.fixture(scope="module")
def embedded() -> Balancer:
    return Balancer(device="cpu")


def damaged(name: str, kind: str) -> NDArray[np.uint8]:
    """Return a photo of scikit-image with damage of a kind."""
    photo = getattr(data, name)().astype(np.float32) / 255.0
    damage = random_damage(np.random.default_rng(KIND_NAMES.index(kind)), kind, STRENGTH)
    return np.uint8(damage(photo) * 255.0 + 0.5)


def gradient(proxy: Colors) -> NDArray[np.uint16]:
    """Return 65,536 colors from a dark one of the photo to a light one, in 16 bits."""
    colors = proxy.reshape(-1, 3)
    order = np.argsort(colors.sum(axis=1))
    dark, light = (colors[order[int(share * len(order))]] for share in (0.02, 0.98))
    share = np.linspace(0.0, 1.0, 65536)[None, :, None]
    return np.uint16((dark + share * (light - dark)) * 65535.0 + 0.5)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_look_keeps_colors_and_greys_in_order_and_gradients_smooth(
    embedded: Balancer, name: str, kind: str
) -> None:
    photo = damaged(name, kind)
    lut = embedded.learn(photo).lut
    assert lut is not None
    proxy = make_proxy(photo).astype(np.float32)
    safety = safety_of(lut, proxy)
    assert safety.safe, safety
    before = gradient(proxy)
    after = apply_lut(lut, before)[0].astype(np.int64)
    assert np.abs(np.diff(after, axis=0)).max() <= MOST_STEP
    colors = [len(np.unique(each, axis=0)) for each in (before[0], after)]
    assert colors[1] > 0.8 * colors[0]
