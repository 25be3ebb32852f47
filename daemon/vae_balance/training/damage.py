"""Random damage: color functions that ruin a photo the way labs, lamps, phones and time do.

Every damage is one function from color to color, so it is exactly what a 1D or 3D LUT can hold and
what a look can in principle undo. Training draws a fresh one for every view of every photo; the
quality table draws a fixed set by kind and strength.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import map_coordinates, zoom

from vae_balance.color.lut import Lut3D
from vae_balance.color.srgb import LUMINANCE, luma_of, to_encoded, to_linear

Colors = NDArray[np.float32]
ColorFunction = Callable[[Colors], Colors]

# The least transmittance that a film scanner tells from black: a density of 3.
DARKEST = 1e-3


@dataclass(frozen=True)
class Damage:
    """One color function with the name and strength it was drawn by.

    Calling it maps sRGB-encoded colors, float32 (..., 3) in 0..1, to the same shape and range.
    """

    kind: str
    strength: float
    function: ColorFunction

    def __call__(self, colors: Colors) -> Colors:
        """Return the damaged colors, clipped to 0..1 as a file or a sensor clips them."""
        return np.clip(self.function(colors), 0.0, 1.0).astype(np.float32, copy=False)

    def lut(self, size: int = 33) -> Lut3D:
        """Bake the damage as a 3D LUT of `size` nodes a side."""
        return Lut3D.from_function(lambda colors: self(colors.astype(np.float32)), size)


def undamaged() -> Damage:
    """Return the damage that changes nothing."""
    return Damage("undamaged", 0.0, lambda colors: colors)


def _hue(rng: np.random.Generator, center: float | None = None, spread: float = 0.06) -> Colors:
    """Return a saturated color (3,) with maximum 1, of any hue or near `center` (0..1)."""
    hue = rng.uniform() if center is None else rng.normal(center, spread)
    wheel = np.abs((hue * 6.0 + np.array([0.0, 4.0, 2.0])) % 6.0 - 3.0) - 1.0
    return np.clip(wheel, 0.0, 1.0).astype(np.float32)


def _illuminant(rng: np.random.Generator, strength: float) -> ColorFunction:
    """A lamp of another color: gains in linear light, mostly warm to cool, some green."""
    warm = rng.normal(0.0, 0.7) * strength
    green = rng.normal(0.0, 0.25) * strength
    gains = np.exp(np.array([warm, green, -warm - 0.3 * green])).astype(np.float32)
    # Cameras expose for the light there is: keep the luminance of white, but never clip it away.
    gains /= max(float(gains @ LUMINANCE), 0.75 * float(gains.max()))
    return lambda colors: to_encoded(to_linear(colors) * gains)


def _neon(rng: np.random.Generator, strength: float) -> ColorFunction:
    """Light of nearly one color (neon, stage, sodium): all hues collapse onto the lamp's."""
    lamp = _hue(rng, center=rng.choice([0.35, 0.42, 0.85, 0.6, 0.08, 0.0], p=[0.3] + [0.14] * 5))
    collapse = min(0.85, rng.uniform(0.3, 0.75) * strength)
    tint = (1.0 - collapse) + collapse * (0.15 + 0.85 * lamp)
    smear = 0.5 * collapse

    def light(colors: Colors) -> Colors:
        linear = to_linear(colors)
        return to_encoded(((1.0 - smear) * linear + smear * luma_of(linear)) * tint * 1.15)

    return light


def _faded_dyes(rng: np.random.Generator, strength: float) -> ColorFunction:
    """Dye layers of film or print fade unevenly and leave a stain: arithmetic on densities."""
    fade = rng.uniform(0.0, 0.3, 3)
    fade[rng.choice(3, p=[0.5, 0.2, 0.3])] += rng.uniform(0.15, 0.5)
    keep = 1.0 - np.clip(fade * strength, 0.0, 0.85)
    stain = rng.uniform(0.0, 0.16, 3) * strength
    leak = np.eye(3) + rng.uniform(0.0, 0.12, (3, 3)) * strength * (1 - np.eye(3))
    leak /= leak.sum(axis=1, keepdims=True)
    mix = (leak * keep[:, None]).T.astype(np.float32)

    def fade_dyes(colors: Colors) -> Colors:
        density = -np.log10(np.maximum(to_linear(colors), DARKEST))
        return to_encoded(10.0 ** -(density @ mix + stain.astype(np.float32)))

    return fade_dyes


def _expired_film(rng: np.random.Generator, strength: float) -> ColorFunction:
    """Fog, lost contrast and crossover: every channel has its own black, white and gamma."""
    black = rng.uniform(0.0, 0.28, 3).astype(np.float32) * strength
    white = 1.0 - rng.uniform(0.0, 0.22, 3).astype(np.float32) * strength
    white = np.maximum(white, black + 0.25)
    gamma = np.exp(rng.normal(0.0, 0.4, 3) * strength).astype(np.float32)

    def fog(colors: Colors) -> Colors:
        fogged: Colors = black + (white - black) * np.maximum(colors, 1e-6) ** gamma
        return fogged

    return fog


def _monotone_curve(rng: np.random.Generator, strength: float) -> PchipInterpolator:
    knots = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    shifted = knots + rng.normal(0.0, 1.0, 5) * np.array([0.06, 0.11, 0.13, 0.11, 0.06]) * strength
    return PchipInterpolator(knots, np.maximum.accumulate(np.clip(shifted, 0.0, 1.0)))


def _curves(rng: np.random.Generator, strength: float) -> ColorFunction:
    """A 1D LUT a channel: one random monotone curve each."""
    steps = np.linspace(0.0, 1.0, 256)
    tables = [_monotone_curve(rng, 1.3 * strength)(steps) for _ in range(3)]

    def bend(colors: Colors) -> Colors:
        bent = [np.interp(colors[..., i], steps, tables[i]) for i in range(3)]
        return np.stack(bent, axis=-1).astype(np.float32)

    return bend


def _color_balance(rng: np.random.Generator, strength: float) -> ColorFunction:
    """The color-balance tool misused: shifts of shadows, midtones and highlights."""
    shifts = (rng.normal(0.0, 0.15, (3, 3)) * strength).astype(np.float32)

    def shift(colors: Colors) -> Colors:
        light = luma_of(colors)
        ranges = np.concatenate([(1 - light) ** 2, 2 * light * (1 - light), light**2], axis=-1)
        return colors + (ranges @ shifts).astype(np.float32)

    return shift


def _split_toning(rng: np.random.Generator, strength: float) -> ColorFunction:
    """One hue poured over the shadows, another over the highlights."""
    shadows, highlights = _hue(rng), _hue(rng)
    amount = np.float32(min(0.7, rng.uniform(0.15, 0.5) * strength))

    def tone(colors: Colors) -> Colors:
        light = luma_of(colors)
        poured = shadows * (1 - light) + highlights * light
        toned = light + (poured - luma_of(poured)) * 0.8
        return colors + amount * (toned - colors)

    return tone


def _cross_talk(rng: np.random.Generator, strength: float) -> ColorFunction:
    """Channels leak into one another: a random 3 x 3 matrix that keeps grey nearly grey."""
    leak = rng.normal(0.0, 0.22, (3, 3)) * strength
    leak -= leak.mean(axis=1, keepdims=True) * rng.uniform(0.4, 1.0)
    matrix = (np.eye(3) + leak).T.astype(np.float32)
    if rng.uniform() < 0.5:
        return lambda colors: colors @ matrix
    return lambda colors: to_encoded(to_linear(colors) @ matrix)


def _tone(rng: np.random.Generator, strength: float) -> ColorFunction:
    """Wrong exposure, contrast and saturation, all channels alike."""
    exposure = np.float32(2.0 ** (rng.normal(-0.15, 0.75) * strength))
    contrast = np.float32(np.exp(rng.normal(-0.1, 0.3) * strength))
    saturation = np.float32(np.exp(rng.normal(-0.25, 0.5) * strength))

    def expose(colors: Colors) -> Colors:
        colors = to_encoded(to_linear(colors) * exposure)
        colors = 0.45 + (colors - 0.45) * contrast
        light = luma_of(colors)
        return light + (colors - light) * saturation

    return expose


def _app_filter(rng: np.random.Generator, strength: float) -> ColorFunction:
    """A phone app's filter: curves, faded blacks, a tint over all, sepia or cross-processing."""
    curves = _curves(rng, 0.7 * strength)
    tint = _hue(rng, center=rng.choice([0.08, 0.12, 0.5, 0.58, 0.92]))
    tint_amount = np.float32(rng.uniform(0.0, 0.35) * strength)
    black = rng.uniform(0.0, 0.14, 3).astype(np.float32) * strength
    saturation = np.float32(np.clip(np.exp(rng.normal(-0.35, 0.45) * strength), 0.15, 2.2))
    screen = rng.uniform() < 0.5

    def filter_colors(colors: Colors) -> Colors:
        colors = curves(colors)
        light = luma_of(colors)
        colors = light + (colors - light) * saturation
        if screen:
            tinted = 1.0 - (1.0 - colors) * (1.0 - 0.6 * tint)
        else:
            tinted = colors * (0.3 + 0.7 * tint)
        colors = colors + tint_amount * (tinted - colors)
        return black + (1.0 - black) * colors

    return filter_colors


def _veil(rng: np.random.Generator, strength: float) -> ColorFunction:
    """Water, haze or a dirty lens: channels are absorbed and a colored veil is added."""
    veil = 0.35 * _hue(rng, center=rng.choice([0.48, 0.58, 0.12, 0.75])) + rng.uniform(0.1, 0.4)
    reach = rng.uniform(0.1, 0.55) * strength
    through = np.exp(-reach * rng.uniform(0.4, 1.8, 3)).astype(np.float32)

    def cover(colors: Colors) -> Colors:
        return to_encoded(to_linear(colors) * through + veil * (1.0 - through))

    return cover


def _lut3d(rng: np.random.Generator, strength: float) -> ColorFunction:
    """A smooth random 3D LUT: 4 x 4 x 4 displacements of the color cube, cubic in between."""
    moves = rng.normal(0.0, 0.11 * strength, (4, 4, 4, 3))
    moves += rng.normal(0.0, 0.07 * strength, 3)
    smooth = zoom(moves, (2.5, 2.5, 2.5, 1), order=3, mode="nearest")

    def displace(colors: Colors) -> Colors:
        nodes = np.clip(colors, 0.0, 1.0).reshape(-1, 3).T * (len(smooth) - 1)
        moved = [map_coordinates(smooth[..., i], nodes, order=1) for i in range(3)]
        return colors + np.stack(moved, axis=-1).reshape(colors.shape).astype(np.float32)

    return displace


KINDS: dict[str, Callable[[np.random.Generator, float], ColorFunction]] = {
    "illuminant": _illuminant,
    "neon": _neon,
    "faded dyes": _faded_dyes,
    "expired film": _expired_film,
    "curves": _curves,
    "color balance": _color_balance,
    "split toning": _split_toning,
    "cross-talk": _cross_talk,
    "tone": _tone,
    "app filter": _app_filter,
    "veil": _veil,
    "3D LUT": _lut3d,
}
# Two kinds one after the other are a kind of their own.
MIXED = "mixed"
KIND_NAMES = (*KINDS, MIXED)


def random_damage(
    rng: np.random.Generator, kind: str | None = None, strength: float | None = None
) -> Damage:
    """Draw one damage.

    Args:
        rng: the source of chance; the same state gives the same damage.
        kind: one of `KIND_NAMES`; drawn when None, all being as likely, as in the quality table.
        strength: 0 is none, 1 is what a bad scan shows, 1.5 is extreme; drawn when None.
    """
    if kind is None:
        kind = str(rng.choice(KIND_NAMES))
    if strength is None:
        strength = float(rng.uniform(0.15, 1.5))
    if kind != MIXED:
        return Damage(kind, strength, KINDS[kind](rng, strength))
    names = [str(name) for name in rng.choice(list(KINDS), 2, replace=False)]
    first, second = (KINDS[name](rng, 0.75 * strength) for name in names)
    return Damage(kind, strength, lambda colors: second(np.clip(first(colors), 0.0, 1.0)))
