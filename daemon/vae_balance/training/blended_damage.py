"""Damage that depends on the place: color functions blended by masks, as mixed light blends lamps.

Window light beside tungsten, neon on a face before a warm wall, film with a burned corner or a
light leak: no single color function can undo these. A damage holds two or three functions of
`damage.py` or of the faults below, and tells for every pixel how much each of them counts; what
they make of the photo is added up as light is.

Masks are drawn without a size, so that a damage does the same to a photo of any number of pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter, zoom

from vae_balance.color.arrays import Colors
from vae_balance.color.srgb import luma_of, to_encoded, to_linear
from vae_balance.training.damage import (
    ColorFunction,
    Damage,
    hue_color,
    random_damage,
    undamaged,
)

# The shares (H, W) of one of two functions, 0..1, in a photo (H, W, 3).
MaskFunction = Callable[[Colors], Colors]

# Lamps and what else differs from place to place: kinds of `damage.py` with their weights.
_LIGHTS = {
    "white balance": 4.0,
    "illuminant": 3.0,
    "neon": 1.5,
    "overlay": 1.0,
    "exposure": 1.0,
    "range cast": 1.0,
    "veil": 0.7,
    "faded dyes": 0.7,
    "film look": 0.5,
    "color balance": 0.5,
    "curves": 0.5,
    "expired film": 0.5,
    "lost dye": 0.3,
}
# How often one of the lights is the right one, and how often a further damage lies over all.
_ONE_RIGHT, _OVER_ALL = 0.35, 0.12


@dataclass(frozen=True)
class BlendedDamage:
    """Color functions and where each of them counts.

    Calling it maps a photo, sRGB-encoded float32 (H, W, 3) in 0..1, to the same shape and range.

    Attributes:
        kind: one of `BLENDED_KINDS`.
        strength: that it was drawn by.
        functions: two or three color functions.
        masks: for each function after the first, where it covers those before it.
    """

    kind: str
    strength: float
    functions: tuple[Damage, ...]
    masks: tuple[MaskFunction, ...]

    def __call__(self, photo: Colors) -> Colors:
        """Return the damaged photo, clipped as a file or a sensor clips it."""
        light = to_linear(self.functions[0](photo))
        for function, mask in zip(self.functions[1:], self.masks, strict=True):
            light = light + mask(photo)[..., None] * (to_linear(function(photo)) - light)
        return to_encoded(light).astype(np.float32, copy=False)

    def shares(self, photo: Colors) -> Colors:
        """Return how much each function counts, (functions, H, W), of which the sum is 1."""
        shares = [np.ones(photo.shape[:2], dtype=np.float32)]
        for mask in self.masks:
            covers = mask(photo)
            shares = [*((1.0 - covers) * share for share in shares), covers]
        return np.stack(shares)


def _places(photo: Colors) -> tuple[Colors, Colors]:
    """Return how far right and how far down every pixel lies, (H, W) each, -0.5..0.5."""
    height, width = photo.shape[:2]
    right = (np.arange(width, dtype=np.float32) + 0.5) / width - 0.5
    down = (np.arange(height, dtype=np.float32) + 0.5) / height - 0.5
    return np.broadcast_to(right, (height, width)), np.broadcast_to(down[:, None], (height, width))


def _rising(values: Colors, width: float) -> Colors:
    """Return 0 far below zero, 1 far above; `width` is the distance from 0.12 to 0.88."""
    shares: Colors = 1.0 / (1.0 + np.exp(np.clip(-4.0 * values / width, -30.0, 30.0)))
    return shares.astype(np.float32)


def _sides(rng: np.random.Generator) -> MaskFunction:
    """One side of a line through the photo, the passage sharp or soft."""
    angle, offset = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(-0.25, 0.25)
    width = float(np.exp(rng.uniform(np.log(0.04), np.log(0.9))))

    def mask(photo: Colors) -> Colors:
        right, down = _places(photo)
        return _rising(np.cos(angle) * right + np.sin(angle) * down - offset, width)

    return mask


def _spot(rng: np.random.Generator) -> MaskFunction:
    """A round or long patch, anywhere in the photo."""
    centre = rng.uniform(-0.4, 0.4, 2)
    radii = rng.uniform(0.18, 0.5, 2)
    angle = rng.uniform(0.0, np.pi)
    width = rng.uniform(0.15, 1.2)

    def mask(photo: Colors) -> Colors:
        right, down = _places(photo)
        x, y = right - centre[0], down - centre[1]
        along = (np.cos(angle) * x + np.sin(angle) * y) / radii[0]
        across = (np.cos(angle) * y - np.sin(angle) * x) / radii[1]
        return _rising(1.0 - np.hypot(along, across), width)

    return mask


def _field(rng: np.random.Generator) -> MaskFunction:
    """Hills and valleys as wide as a third of the photo."""
    hills = rng.normal(0.0, 1.0, (4, 4))
    width = rng.uniform(0.4, 3.0)

    def mask(photo: Colors) -> Colors:
        height, width_in_pixels = photo.shape[:2]
        factors = (height / 4, width_in_pixels / 4)
        smooth = zoom(hills, factors, order=3, mode="nearest", grid_mode=True)
        return _rising((smooth - np.median(smooth)).astype(np.float32), width)

    return mask


def _along_edges(rng: np.random.Generator) -> MaskFunction:
    """One side or a patch whose edge follows the edges of things.

    Source: He, Sun and Tang, "Guided Image Filtering" (2010), the photo's luma being the guide.
    """
    rough = (_sides, _spot)[int(rng.integers(2))](rng)
    radius, smoothness = rng.uniform(0.06, 0.15), rng.uniform(0.0005, 0.004)

    def mask(photo: Colors) -> Colors:
        guide, values = luma_of(photo)[..., 0], rough(photo)
        size = max(3, round(2 * radius * min(guide.shape)) | 1)

        def mean(picture: NDArray[Any]) -> NDArray[Any]:
            averaged: NDArray[Any] = uniform_filter(picture, size, mode="nearest")
            return averaged

        middle, level = mean(guide), mean(values)
        variance = np.maximum(mean(guide * guide) - middle * middle, 0.0)
        slope = (mean(guide * values) - middle * level) / (variance + smoothness)
        filtered = mean(slope) * guide + mean(level - slope * middle)
        return np.clip(filtered, 0.0, 1.0).astype(np.float32)

    return mask


def _of_light(rng: np.random.Generator) -> MaskFunction:
    """The bright or the dark parts: what the sky lights through a window, what lies in shadow."""
    part, blur = rng.uniform(0.3, 0.7), rng.uniform(0.004, 0.04)
    sign, width = rng.choice([-1.0, 1.0]), rng.uniform(0.1, 0.5)

    def mask(photo: Colors) -> Colors:
        light = _blurred(luma_of(photo)[..., 0], blur)
        return _rising((sign * (light - np.quantile(light, part))).astype(np.float32), width)

    return mask


def _of_color(rng: np.random.Generator) -> MaskFunction:
    """The parts of some color, and a side of the photo: a lamp that hits one thing."""
    part, blur = rng.uniform(0.3, 0.7), rng.uniform(0.004, 0.04)
    direction = rng.normal(0.0, 1.0, 3)
    direction -= direction.mean()
    direction /= np.linalg.norm(direction)
    side, width = 0.2 * rng.normal(0.0, 1.0, 2), rng.uniform(0.05, 0.3)

    def mask(photo: Colors) -> Colors:
        right, down = _places(photo)
        color = _blurred(photo @ direction.astype(np.float32), blur)
        values = color + side[0] * right + side[1] * down
        return _rising((values - np.quantile(values, part)).astype(np.float32), width)

    return mask


def _blurred(picture: Colors, radius: float) -> Colors:
    blurred: Colors = gaussian_filter(picture, radius * min(picture.shape), mode="nearest")
    return blurred


def _edge_of_lens(rng: np.random.Generator) -> MaskFunction:
    """The corners, as a lens or a flash leaves them."""
    centre, start = rng.uniform(-0.12, 0.12, 2), rng.uniform(0.15, 0.4)

    def mask(photo: Colors) -> Colors:
        right, down = _places(photo)
        distance = np.hypot(right - centre[0], down - centre[1])
        shares: Colors = np.clip((distance - start) / (0.75 - start), 0.0, 1.0) ** 1.5
        return shares.astype(np.float32)

    return mask


def _corner(rng: np.random.Generator) -> MaskFunction:
    """One corner, to a third or two thirds of the photo."""
    corner = rng.choice([-0.5, 0.5], 2)
    reach, steep = rng.uniform(0.5, 1.0), rng.uniform(1.0, 2.5)

    def mask(photo: Colors) -> Colors:
        right, down = _places(photo)
        distance = np.hypot(right - corner[0], down - corner[1])
        shares: Colors = np.clip(1.0 - distance / reach, 0.0, 1.0) ** steep
        return shares.astype(np.float32)

    return mask


def _streak(rng: np.random.Generator) -> MaskFunction:
    """A band of light along an edge or across, as a camera's back lets it in."""
    angle = rng.choice([0.0, 0.5, 1.0, 1.5]) * np.pi + rng.normal(0.0, 0.25)
    place, width = rng.uniform(0.1, 0.55), rng.uniform(0.12, 0.4)
    bend = rng.normal(0.0, 0.5)

    def mask(photo: Colors) -> Colors:
        right, down = _places(photo)
        across = np.cos(angle) * right + np.sin(angle) * down
        along = np.cos(angle) * down - np.sin(angle) * right
        distance = (across - place + bend * along**2) / width
        shares: Colors = np.exp(-0.5 * distance**2)
        return shares.astype(np.float32)

    return mask


def _darkened(rng: np.random.Generator, strength: float) -> Damage:
    """Less light, a little tinted."""
    gains = 2.0 ** (-rng.uniform(0.7, 2.0) * strength) * np.exp(rng.normal(0.0, 0.08, 3))

    def darken(colors: Colors) -> Colors:
        return to_encoded(to_linear(colors) * gains.astype(np.float32))

    return Damage("vignette", strength, darken)


def _glowing(rng: np.random.Generator, strength: float) -> Damage:
    """Light that came in from elsewhere: red, orange or yellow, at times any color or white."""
    centre = None if rng.uniform() < 0.25 else rng.choice([0.0, 0.05, 0.1])
    color = hue_color(rng, centre)
    color = color + rng.uniform(0.0, 0.6) * (1.0 - color)
    glow = (rng.uniform(0.25, 0.8) * strength * color).astype(np.float32)
    return Damage("glow", strength, lambda colors: to_encoded(to_linear(colors) + glow))


def _lights(rng: np.random.Generator, strength: float, count: int) -> tuple[Damage, ...]:
    """Draw as many lights; one of them may be the right one, or all seen through one fault more."""
    names, weights = list(_LIGHTS), np.array(list(_LIGHTS.values()))
    drawn = [
        random_damage(rng, str(name), strength)
        for name in rng.choice(names, count, p=weights / weights.sum())
    ]
    if rng.uniform() < _ONE_RIGHT:
        drawn[int(rng.integers(count))] = undamaged()
    if rng.uniform() < _OVER_ALL:
        return _seen_through(drawn, random_damage(rng, strength=0.5 * strength))
    return tuple(drawn)


def _fault_of_place(
    rng: np.random.Generator, strength: float, fault: Damage
) -> tuple[Damage, Damage]:
    """Return a fault that one place has beside what the whole photo has: nothing, or a damage."""
    over_all = undamaged() if rng.uniform() < 0.5 else random_damage(rng, strength=0.6 * strength)
    first, second = _seen_through([undamaged(), fault], over_all)
    return first, second


def _seen_through(damages: list[Damage], last: Damage) -> tuple[Damage, ...]:
    def chained(first: ColorFunction) -> ColorFunction:
        return lambda colors: last(np.clip(first(colors), 0.0, 1.0))

    return tuple(
        Damage(damage.kind, damage.strength, chained(damage.function)) for damage in damages
    )


# Where the second light falls, with the weight of each.
_MASKS: dict[str, tuple[Callable[[np.random.Generator], MaskFunction], float]] = {
    "sides": (_sides, 2.0),
    "spot": (_spot, 1.5),
    "field": (_field, 1.0),
    "along edges": (_along_edges, 2.5),
    "of light": (_of_light, 1.5),
    "of color": (_of_color, 1.0),
}
THREE_LIGHTS, VIGNETTE, BURNED_CORNER, LIGHT_LEAK = (
    "three lights",
    "vignette",
    "burned corner",
    "light leak",
)
# Kinds of blended damage, with how often each is drawn.
_WEIGHTS = {
    **{name: weight for name, (_, weight) in _MASKS.items()},
    THREE_LIGHTS: 1.5,
    VIGNETTE: 1.0,
    BURNED_CORNER: 1.0,
    LIGHT_LEAK: 1.0,
}
BLENDED_KINDS = tuple(_WEIGHTS)


def random_blended_damage(
    rng: np.random.Generator, kind: str | None = None, strength: float | None = None
) -> BlendedDamage:
    """Draw one damage that depends on the place.

    Args:
        rng: the source of chance; the same state gives the same damage.
        kind: one of `BLENDED_KINDS`; drawn when None.
        strength: of its functions, as in `random_damage`; drawn when None.
    """
    if kind is None:
        weights = np.array(list(_WEIGHTS.values()))
        kind = str(rng.choice(BLENDED_KINDS, p=weights / weights.sum()))
    if strength is None:
        strength = float(rng.uniform(0.3, 1.5) if rng.uniform() < 0.8 else rng.uniform(1.2, 2.0))
    if kind == VIGNETTE:
        functions = _fault_of_place(rng, strength, _darkened(rng, strength))
        return BlendedDamage(kind, strength, functions, (_edge_of_lens(rng),))
    if kind in (BURNED_CORNER, LIGHT_LEAK):
        mask = (_corner if kind == BURNED_CORNER else _streak)(rng)
        functions = _fault_of_place(rng, strength, _glowing(rng, strength))
        return BlendedDamage(kind, strength, functions, (mask,))
    if kind == THREE_LIGHTS:
        names = rng.choice(list(_MASKS), 2)
        masks = tuple(_MASKS[str(name)][0](rng) for name in names)
        return BlendedDamage(kind, strength, _lights(rng, strength, 3), masks)
    return BlendedDamage(kind, strength, _lights(rng, strength, 2), (_MASKS[kind][0](rng),))
