"""A look that gives a grey photo colors: a and b of CIELAB over the frame, along its own edges.

Networks answer a and b in small and without edges. Around every place of the proxy they are taken
for a linear function of the lightness (`guided_filter.py`), and the functions are enlarged; so a
pixel gets its colors from its own lightness and place. The lightness L* stays what it was. A color
that sRGB lacks moves toward the grey of its luminance, along a straight line in linear light, as
far as it must.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vae_balance.color.arrays import Floats, Pixels
from vae_balance.color.cielab import (
    RGB_OF_XYZ,
    XYZ_OF_RGB,
    Planes,
    lab_function,
    lab_inverse,
    mixed,
)
from vae_balance.color.lut import MOST_THREADS, result_for
from vae_balance.color.profile import from_srgb, passes_for_srgb, to_srgb
from vae_balance.color.srgb import GAMMA, LINEAR_KNEE, SCALE, SHIFT, SLOPE, to_linear
from vae_balance.errors import LutError
from vae_balance.looks.look import Place
from vae_balance.looks.origin import UNKNOWN, Origin
from vae_balance.looks.packed import pack_look

KIND = "chroma"
_STRIP_PIXELS = 1 << 16


@dataclass(frozen=True, eq=False)
class ChromaLook:
    """Colors for one grey photo.

    Attributes:
        slopes: (2, h, w) float32 of a* and b* over the frame, upright; of L* in 0..1.
        offsets: (2, h, w) float32; a* is `slope * L* / 100 + offset`.
        keep_tone: add the colors to those that the photo has, instead of dropping these.
        origin: what it was learned with.
    """

    slopes: Floats
    offsets: Floats
    keep_tone: bool
    origin: Origin

    @property
    def report(self) -> None:
        """Of a photo without colors there is no fault to tell."""

    @property
    def lut(self) -> None:
        """The colors depend on the place."""

    def __post_init__(self) -> None:
        """Check the planes.

        Raises:
            LutError: they are not of one shape, or not finite.
        """
        both = (self.slopes, self.offsets)
        if any(p.shape != self.slopes.shape or p.ndim != 3 or len(p) != 2 for p in both):
            raise LutError(f"planes of shape {self.slopes.shape}, {self.offsets.shape}")
        if not all(plane.size and np.isfinite(plane).all() for plane in both):
            raise LutError("planes hold NaN or infinite values: all must be finite")

    @property
    def changes_nothing(self) -> bool:
        """Never surely: a tone may be dropped even where no color is added."""
        return False

    def apply(
        self,
        pixels: Pixels,
        place: Place,
        profile: bytes | None = None,
        strength: float = 1.0,
        out: Pixels | None = None,
        threads: int = MOST_THREADS,
    ) -> Pixels:
        """Give pixels colors; see `Look.apply`. Strength 0 leaves the photo grey."""
        out = result_for(pixels, out)
        frame = _Frame.of(self, place, strength)
        known = None if passes_for_srgb(profile) else profile
        rows = max(1, _STRIP_PIXELS // max(1, out.shape[1]))

        def change(top: int) -> None:
            strip = out[top : top + rows]
            chroma = frame.chroma_of(top, strip.shape[:2])
            out[top : top + rows] = _colored(strip, chroma, known, self.keep_tone)

        tops = range(0, len(out), rows)
        with ThreadPoolExecutor(max(1, min(threads, len(tops)))) as pool:
            list(pool.map(change, tops))
        return out

    def digest(self) -> str:
        """Return the digest of the planes."""
        digest = hashlib.sha256(KIND.encode() + bytes([self.keep_tone]))
        for plane in (self.slopes, self.offsets):
            digest.update(repr(plane.shape).encode() + plane.astype("<f4").tobytes())
        return digest.hexdigest()

    def to_bytes(self) -> bytes:
        """Return the look for another process."""
        values = {
            "shape": self.slopes.shape,
            "slopes": self.slopes.astype("<f4").tobytes(),
            "offsets": self.offsets.astype("<f4").tobytes(),
            "keep_tone": self.keep_tone,
        }
        return pack_look(KIND, self.origin, None, values)

    @staticmethod
    def from_values(origin: Origin, report: None, values: Mapping[str, Any]) -> ChromaLook:
        """Return the look that `to_bytes` made bytes of; any exception if it did not."""
        slopes, offsets = (
            np.frombuffer(values[name], "<f4").reshape(values["shape"])
            for name in ("slopes", "offsets")
        )
        return ChromaLook(slopes, offsets, bool(values["keep_tone"]), origin)


def made_grey(colors: Floats) -> Floats:
    """Return sRGB-encoded colors (H, W, 3), 0..1, as the greys of their lightness L*."""
    neutral = np.zeros((2, 1, 1), np.float32)
    look = ChromaLook(neutral, neutral, False, UNKNOWN)
    return look.apply(colors, Place.whole(colors))


@dataclass(frozen=True, eq=False)
class _Frame:
    """The planes of a look as they lie over the stored pixels of a photo, or of a part of it."""

    planes: Floats  # (4, h, w): slopes, offsets, both with the strength
    place: Place

    @classmethod
    def of(cls, look: ChromaLook, place: Place, strength: float) -> _Frame:
        upright = np.concatenate([look.slopes, look.offsets]) * np.float32(strength)
        return cls(place.lay(upright), place)

    def chroma_of(self, top: int, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
        """Return slopes and offsets (2, rows, columns) of pixels from row `top` of the part on."""
        rows = np.arange(shape[0]) + (self.place.top + top)
        columns = np.arange(shape[1]) + self.place.left
        low, high, share = _neighbors(rows, self.place.height, self.planes.shape[1])
        lines = self.planes[:, low] + share[:, None] * (
            self.planes[:, high] - self.planes[:, low]
        )  # (4, rows, w)
        low, high, share = _neighbors(columns, self.place.width, self.planes.shape[2])
        left = lines[..., low]
        left += share * (lines[..., high] - left)
        return left[:2], left[2:]


def _neighbors(
    positions: NDArray[np.int64], length: int, nodes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return the nodes before and after pixels of a side, and how near they are to the second."""
    places = ((positions + 0.5) * (nodes / length) - 0.5).clip(0.0, nodes - 1.0)
    low = np.minimum(places.astype(np.int64), max(nodes - 2, 0))
    return low, np.minimum(low + 1, nodes - 1), (places - low).astype(np.float32)


def _colored(
    strip: Pixels, chroma: tuple[Floats, Floats], profile: bytes | None, keep_tone: bool
) -> Pixels:
    """Return pixels (rows, columns, 3 or 4) with the colors of slopes and offsets.

    Channels are computed one by one, so that no rounding depends on how many pixels there are.
    """
    full = float(np.iinfo(strip.dtype).max) if strip.dtype.kind == "u" else 1.0
    linear = _linear(strip[..., :3], full, profile)
    x, luminance, z = mixed(XYZ_OF_RGB, linear)
    luminance = np.maximum(luminance, np.float32(0.0))
    middle = lab_function(luminance)
    slopes, offsets = chroma
    lightness = np.float32(1.16) * middle - np.float32(0.16)
    x_node, z_node = (lab_function(x), lab_function(z)) if keep_tone else (middle, middle)
    x_node = x_node + (slopes[0] * lightness + offsets[0]) / np.float32(500.0)
    z_node = z_node - (slopes[1] * lightness + offsets[1]) / np.float32(200.0)
    wanted = mixed(RGB_OF_XYZ, (lab_inverse(x_node), luminance, lab_inverse(z_node)))
    result = strip.copy()
    with np.errstate(invalid="ignore", over="ignore"):
        encoded = _encoded(_fitted(wanted, luminance), profile)
        if full > 1.0:
            result[..., :3] = np.rint(encoded.clip(0.0, 1.0) * np.float32(full))
        else:
            known = np.isfinite(strip[..., :3]).all(axis=-1, keepdims=True)
            result[..., :3] = np.where(known, encoded, strip[..., :3])
    return result


def _linear(colors: Pixels, full: float, profile: bytes | None) -> Planes:
    """Return linear sRGB, a plane a channel; what is no number is black here."""
    if profile is None and full > 1.0:
        table = _linear_table(int(full))
        return table[colors[..., 0]], table[colors[..., 1]], table[colors[..., 2]]
    floats = np.nan_to_num(colors.astype(np.float32) / np.float32(full), posinf=0.0, neginf=0.0)
    linear = to_linear(floats if profile is None else to_srgb(floats, profile))
    red, green, blue = np.moveaxis(linear, -1, 0).copy()
    return red, green, blue


@lru_cache(maxsize=2)
def _linear_table(full: int) -> Floats:
    return to_linear(np.linspace(0.0, 1.0, full + 1, dtype=np.float32))


def _fitted(linear: Planes, luminance: Floats) -> Planes:
    """Return linear colors within 0..1, those outside nearer to the grey of their luminance.

    The luminance of a mixture with that grey is that luminance.
    """
    share = np.ones_like(luminance)
    for channel in linear:
        away = channel - luminance
        room = np.where(away > 0.0, np.float32(1.0) - luminance, luminance)
        share = np.minimum(share, room / np.maximum(np.abs(away), np.float32(1e-9)))
    share = np.maximum(share, np.float32(0.0))
    red, green, blue = (luminance + share * (channel - luminance) for channel in linear)
    return red, green, blue


def _encoded(linear: Planes, profile: bytes | None) -> Floats:
    """Return encoded colors (rows, columns, 3); light above white goes on along the curve."""
    channels = []
    for channel in linear:
        power = np.maximum(channel, np.float32(LINEAR_KNEE)) ** np.float32(1.0 / GAMMA)
        curved = np.float32(SCALE) * power - np.float32(SHIFT)
        channels.append(np.where(channel <= LINEAR_KNEE, channel * np.float32(SLOPE), curved))
    colors = np.stack(channels, axis=-1)
    return colors if profile is None else from_srgb(colors, profile)
