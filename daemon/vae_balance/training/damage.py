"""Random damage: color functions that ruin a photo the way labs, lamps, phones and time do.

Every damage is one function from color to color, so it is exactly what a 1D or 3D LUT can hold and
what a look can in principle undo. Training draws a fresh one for every view of every photo; the
quality table draws a fixed set by kind and strength.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import map_coordinates, zoom

from vae_balance.color.arrays import Colors
from vae_balance.color.lut import Lut3D
from vae_balance.color.srgb import LUMINANCE, luma_of, to_encoded, to_linear

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


def hue_color(
    rng: np.random.Generator, center: float | None = None, spread: float = 0.06
) -> Colors:
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
    lamp = hue_color(
        rng, center=rng.choice([0.35, 0.42, 0.85, 0.6, 0.08, 0.0], p=[0.3] + [0.14] * 5)
    )
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
    shadows, highlights = hue_color(rng), hue_color(rng)
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
    tint = hue_color(rng, center=rng.choice([0.08, 0.12, 0.5, 0.58, 0.92]))
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
    veil = 0.35 * hue_color(rng, center=rng.choice([0.48, 0.58, 0.12, 0.75])) + rng.uniform(
        0.1, 0.4
    )
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


# Temperatures between which a camera's white balance can be set, in kelvin.
COLDEST, WARMEST = 12000.0, 2000.0
# Where GIMP's Color Balance passes from shadows to midtones to highlights, how wide the passage is,
# and how far its sliders reach (gimpoperationcolorbalance.c).
RANGE_EDGE, RANGE_WIDTH, RANGE_REACH = 0.333, 0.25, 0.7


def light_of_temperature(kelvin: float) -> Colors:
    """Return linear sRGB (3,), green 1, of daylight (from 5,000 K) or of a black body (below).

    Sources: CIE 15:2004 for daylight; Kim et al., US patent 7,024,034 (2006), a cubic spline of the
    Planckian locus.
    """
    t = 1000.0 / kelvin
    if kelvin >= 5000.0:
        if kelvin <= 7000.0:
            x = -4.6070 * t**3 + 2.9678 * t**2 + 0.09911 * t + 0.244063
        else:
            x = -2.0064 * t**3 + 1.9018 * t**2 + 0.24748 * t + 0.237040
        y = -3.0 * x**2 + 2.870 * x - 0.275
    else:
        x = -0.2661239 * t**3 - 0.2343589 * t**2 + 0.8776956 * t + 0.179910
        if kelvin < 2222.0:
            y = -1.1063814 * x**3 - 1.34811020 * x**2 + 2.18555832 * x - 0.20219683
        else:
            y = -0.9549476 * x**3 - 1.37418593 * x**2 + 2.09137015 * x - 0.16748867
    xyz = np.array([x / y, 1.0, (1.0 - x - y) / y])
    to_rgb = np.array(
        [
            [3.2404542, -1.5371385, -0.4985314],
            [-0.969266, 1.8760108, 0.041556],
            [0.0556434, -0.2040259, 1.0572252],
        ]
    )
    rgb = np.maximum(to_rgb @ xyz, 0.02)
    return (rgb / rgb[1]).astype(np.float32)


def _white_balance(rng: np.random.Generator, strength: float) -> ColorFunction:
    """A camera set to another light: gains in its own linear colors, before its tone curve.

    As the renderings of Afifi et al., "When Color Constancy Goes Wrong" (2019): one of five presets
    or any temperature, a green-magenta error, and a picture style.
    """
    presets = [2850.0, 3800.0, 5500.0, 6500.0, 7500.0]
    if rng.uniform() < 0.5:
        was, thought = rng.choice(presets, 2, replace=False)
    else:
        was, thought = 1e6 / rng.uniform(1e6 / COLDEST, 1e6 / WARMEST, 2)
    leak = rng.uniform(0.0, 0.2, (3, 3)) * (1 - np.eye(3))
    camera = np.eye(3) * (1.0 - leak.sum(axis=1)) + leak
    gains = (camera @ light_of_temperature(was)) / (camera @ light_of_temperature(thought))
    gains = gains ** (0.85 * min(strength, 1.4))
    gains[1] *= np.exp(rng.normal(0.0, 0.08) * strength)
    gains = gains.astype(np.float32) / np.float32(gains @ LUMINANCE)
    into, back = camera.T.astype(np.float32), np.linalg.inv(camera).T.astype(np.float32)
    style = np.float32(rng.uniform(0.0, 0.8))
    exposure = np.float32(2.0 ** rng.normal(0.0, 0.15))

    def render(colors: Colors) -> Colors:
        scene = to_linear(colors - style * _s_curve(colors)) @ into
        wrong = np.clip(scene * gains * exposure, 0.0, 1.0) @ back
        flat = to_encoded(wrong)
        return flat + style * _s_curve(flat)

    return render


def _s_curve(colors: Colors) -> Colors:
    """Return what a camera's contrast curve adds to encoded colors, its reverse being near -1 x."""
    return np.float32(0.12) * np.sin(np.float32(2.0 * np.pi) * (colors - 0.5))


def _exposure(rng: np.random.Generator, strength: float) -> ColorFunction:
    """Too dark or too light, in linear or in encoded values; sometimes with blacks lifted."""
    darker = rng.uniform() < 0.65
    stops = np.abs(rng.normal(0.0, 1.1)) * strength + 0.2
    linear = rng.uniform() < 0.5
    if darker:
        factor = 2.0**-stops if linear else max(0.15, 1.0 - 0.35 * stops)
    else:
        factor = 2.0 ** (0.7 * stops) if linear else 1.0 + 0.3 * stops
    lift = rng.uniform(0.0, 0.2) * strength if rng.uniform() < 0.3 else 0.0
    factor, lift = np.float32(factor), np.float32(min(lift, 0.4))

    def scale(colors: Colors) -> Colors:
        scaled = to_encoded(to_linear(colors) * factor) if linear else colors * factor
        return lift + (1.0 - lift) * np.clip(scaled, 0.0, 1.0)

    return scale


def _range_cast(rng: np.random.Generator, strength: float) -> ColorFunction:
    """A cast in one range of tones, as GIMP's Color Balance, Levels and Curves make it."""
    tool = int(rng.integers(3))
    if tool == 0:
        return _gimp_color_balance(rng, strength)
    if tool == 1:
        return _gimp_levels(rng, strength)
    return _one_hill(rng, strength)


def _gimp_levels(rng: np.random.Generator, strength: float) -> ColorFunction:
    """Input and output levels and a gamma for each channel."""

    def inward(spread: float) -> Colors:
        return (np.maximum(0.0, rng.normal(0.0, spread, 3)) * strength).astype(np.float32)

    low = inward(0.09)
    high = np.maximum(1.0 - inward(0.13), low + 0.3)
    bottom = inward(0.1) * (rng.uniform(size=3) < 0.5)
    top = np.maximum(1.0 - inward(0.15) * (rng.uniform(size=3) < 0.5), bottom + 0.2)
    power = np.exp(-rng.normal(0.0, 0.35, 3) * strength).astype(np.float32)

    def level(colors: Colors) -> Colors:
        stretched: Colors = np.clip((colors - low) / (high - low), 0.0, 1.0) ** power
        return (bottom + (top - bottom) * stretched).astype(np.float32)

    return level


def _one_hill(rng: np.random.Generator, strength: float) -> ColorFunction:
    """Curves drawn up or down at one tone, each channel by itself."""
    place, width = rng.uniform(0.1, 0.9), rng.uniform(0.15, 0.35)
    heights = (rng.normal(0.0, 0.16, 3) * strength * (rng.uniform(size=3) < 0.7)).astype(np.float32)
    # No steeper than a monotone curve allows.
    heights = np.clip(heights, -1.1 * width, 1.1 * width)

    def bend(colors: Colors) -> Colors:
        hill = np.exp(-0.5 * ((colors - np.float32(place)) / np.float32(width)) ** 2)
        ends = np.minimum(1.0, 8.0 * np.minimum(colors, 1.0 - colors))
        return (colors + heights * hill * np.maximum(ends, 0.0)).astype(np.float32)

    return bend


def _gimp_color_balance(rng: np.random.Generator, strength: float) -> ColorFunction:
    sliders = np.zeros((3, 3), dtype=np.float32)
    chosen = rng.uniform(size=3) < 0.4
    chosen[rng.integers(3)] = True
    sliders[chosen] = rng.normal(0.0, 0.4, (int(chosen.sum()), 3)) * strength
    keep_lightness = rng.uniform() < 0.6

    def shift(colors: Colors) -> Colors:
        light = 0.5 * (colors.max(axis=-1, keepdims=True) + colors.min(axis=-1, keepdims=True))
        rising = np.clip((light - RANGE_EDGE) / RANGE_WIDTH + 0.5, 0.0, 1.0)
        late = np.clip((light + RANGE_EDGE - 1.0) / RANGE_WIDTH + 0.5, 0.0, 1.0)
        ranges = np.concatenate([1.0 - rising, rising * (1.0 - late), late], axis=-1)
        shifts = RANGE_REACH * (ranges @ np.clip(sliders, -1.0, 1.0))
        moved: Colors = np.clip(colors + shifts, 0.0, 1.0).astype(np.float32)
        if not keep_lightness:
            return moved
        now = 0.5 * (moved.max(axis=-1, keepdims=True) + moved.min(axis=-1, keepdims=True))
        # HSL lightness brought back: colors are drawn to black or to white as far as it takes.
        darker = moved * light / np.maximum(now, 1e-4)
        lighter = 1.0 - (1.0 - moved) * (1.0 - light) / np.maximum(1.0 - now, 1e-4)
        return np.where(light < now, darker, lighter).astype(np.float32)

    return shift


def _lost_dye(rng: np.random.Generator, strength: float) -> ColorFunction:
    """One dye layer almost gone: a channel keeps a little of its range, high up or with a stain."""
    channel = rng.integers(3)
    keep = max(0.06, 1.0 - rng.uniform(0.45, 0.8) * strength)
    others = 1.0 - rng.uniform(0.0, 0.35, 3) * min(strength, 1.5)
    keeps = np.maximum(others, 0.3)
    keeps[channel] = keep
    # Where the layer's density stays at: from clear film (bright) to a dense stain (dark).
    rest = rng.uniform(0.0, 0.5) * (1.0 - keep)
    stains = np.zeros(3)
    stains[channel] = rest
    keep_each, stain = keeps.astype(np.float32), stains.astype(np.float32)

    def fade(colors: Colors) -> Colors:
        density = -np.log10(np.maximum(to_linear(colors), DARKEST))
        left: Colors = density * keep_each + stain
        return to_encoded(np.float32(10.0) ** -left)

    return fade


def _overlay(rng: np.random.Generator, strength: float) -> ColorFunction:
    """A saturated color laid over all: teal, orange, purple and others, as stages and apps do."""
    center = rng.choice([0.5, 0.08, 0.78, 0.6, 0.95, 0.33], p=[0.2, 0.2, 0.25, 0.15, 0.1, 0.1])
    color = hue_color(rng, center=center)
    color = color * (1.0 - rng.uniform(0.0, 0.35)) + rng.uniform(0.0, 0.3)
    color = np.clip(color, 0.0, 1.0).astype(np.float32)
    amount = np.float32(min(0.85, rng.uniform(0.25, 0.6) * strength))
    mode = rng.integers(4)

    def lay(colors: Colors) -> Colors:
        if mode == 0:
            over = color * np.ones_like(colors)
        elif mode == 1:
            over = colors * color
        elif mode == 2:
            light = 1.0 - 2.0 * (1.0 - colors) * (1.0 - color)
            over = np.where(colors < 0.5, 2.0 * colors * color, light)
        else:
            over = color * (0.15 + 0.85 * luma_of(colors))
        return colors + amount * (over.astype(np.float32) - colors)

    return lay


def _film_look(rng: np.random.Generator, strength: float) -> ColorFunction:
    """A published look: contrast, faded or tinted ends, every hue turned and saturated its way."""
    contrast = np.float32(rng.normal(0.1, 0.5) * strength)
    faded, tinted = rng.uniform(0.0, 0.12, (2, 3)).astype(np.float32) * np.float32(strength)
    black = faded * np.float32(rng.uniform() < 0.6)
    white = 1.0 - tinted * np.float32(rng.uniform() < 0.5)
    shadows, highlights = hue_color(rng), hue_color(rng)
    toning = np.float32(min(0.4, rng.uniform(0.0, 0.25) * strength))
    phases = rng.uniform(0.0, 2.0 * np.pi, 4).astype(np.float32)
    turn = (rng.normal(0.0, 0.25, 2) * strength).astype(np.float32)
    vivid = (rng.normal(0.0, 0.3, 2) * strength).astype(np.float32)
    saturation = np.float32(np.exp(rng.normal(-0.2, 0.4) * strength))

    def look(colors: Colors) -> Colors:
        colors = np.clip(colors, 0.0, 1.0)
        colors = colors + contrast * _s_curve(colors)
        light = luma_of(colors)
        blue, red = colors[..., 2:] - light, colors[..., :1] - light
        hue = np.arctan2(red, blue)
        angle = turn[0] * np.sin(hue + phases[0]) + turn[1] * np.sin(2.0 * hue + phases[1])
        grow = saturation * np.exp(
            vivid[0] * np.sin(hue + phases[2]) + vivid[1] * np.sin(2.0 * hue + phases[3])
        )
        cos, sin = grow * np.cos(angle), grow * np.sin(angle)
        blue, red = cos * blue - sin * red, sin * blue + cos * red
        weights = LUMINANCE
        green = -(weights[0] * red + weights[2] * blue) / weights[1]
        colors = light + np.concatenate([red, green, blue], axis=-1)
        poured = shadows * (1.0 - light) + highlights * light
        colors = colors + toning * (poured - luma_of(poured))
        return black + (white - black) * colors

    return look


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
    "white balance": _white_balance,
    "exposure": _exposure,
    "range cast": _range_cast,
    "lost dye": _lost_dye,
    "overlay": _overlay,
    "film look": _film_look,
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
        # A long tail: what leaves a channel nearly empty comes to scanners, too.
        strength = float(rng.uniform(0.15, 1.5) if rng.uniform() < 0.75 else rng.uniform(1.2, 2.4))
    if kind != MIXED:
        return Damage(kind, strength, KINDS[kind](rng, strength))
    names = [str(name) for name in rng.choice(list(KINDS), 2, replace=False)]
    first, second = (KINDS[name](rng, 0.75 * strength) for name in names)
    return Damage(kind, strength, lambda colors: second(np.clip(first(colors), 0.0, 1.0)))
