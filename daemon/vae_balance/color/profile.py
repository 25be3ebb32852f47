"""Colors of an ICC profile to sRGB and back, and looks applied to pixels in their own profile.

Matrix profiles are understood, that is all working spaces, cameras and displays, by formulas in
float64 that nothing clips. Photos with a profile made of tables, mostly of scanners, are treated as
sRGB, with a warning; docs/decisions/libraries.md says why.

Source: ICC.1:2022, Image technology color management, sections 8, 9.2, 10.6 and 10.18.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vae_balance.color import spaces, srgb
from vae_balance.color.arrays import Pixels
from vae_balance.color.lut import MOST_THREADS, ColorLut, Lut3D, apply_lut, result_for

Reals = npt.NDArray[np.floating[Any]]

# Linear sRGB to XYZ relative to the D50 of ICC profiles (0.9642, 1, 0.8249): from the primaries of
# IEC 61966-2-1 and D65 (0.3127, 0.3290), adapted by Bradford's method.
_SRGB_TO_XYZ = np.array(
    [
        [0.4360413, 0.3851129, 0.1430458],
        [0.2224845, 0.7169051, 0.0606104],
        [0.0139202, 0.0970672, 0.7139126],
    ]
)
# Profiles that call themselves sRGB differ from each other by less; 8-bit steps are 0.004.
_SAME_AS_SRGB = 0.003
_LUT_SIZE = 65
# Linear light at the second of 65 nodes, above which cells are too coarse for shadows: sRGB has
# 0.001, gamma 1.8 has 0.0006, gamma 1.0 has 0.016. Measured in the tests.
_COARSE = 0.003
_STRIP_PIXELS = 1 << 14


class _Curve(Protocol):
    """A tone curve of one channel; odd functions, so that negative values survive."""

    def linear(self, encoded: Reals) -> Reals: ...

    def encoded(self, linear: Reals) -> Reals: ...


@dataclass(frozen=True)
class _Parametric:
    """(a x + b)^g + e from d on, and c x + f below; 0 <= x."""

    g: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 0.0
    f: float = 0.0

    def linear(self, encoded: Reals) -> Reals:
        x = np.abs(encoded)
        power = np.maximum(self.a * x + self.b, 0.0) ** self.g + self.e
        return np.copysign(np.where(x >= self.d, power, self.c * x + self.f), encoded)

    def encoded(self, linear: Reals) -> Reals:
        y = np.abs(linear)
        power = (np.maximum(y - self.e, 0.0) ** (1.0 / self.g) - self.b) / self.a
        below = (y - self.f) / self.c if self.c else np.full_like(y, max(self.d, 0.0))
        knee = max(self.a * self.d + self.b, 0.0) ** self.g + self.e
        return np.copysign(np.where(y >= knee, power, below), linear)


@dataclass(frozen=True, eq=False)
class _Sampled:
    """Straight lines between equidistant samples, rising from 0 to 1; the last line goes on."""

    samples: Reals

    def linear(self, encoded: Reals) -> Reals:
        x = np.abs(encoded)
        steps = np.linspace(0.0, 1.0, len(self.samples))
        y = np.interp(x, steps, self.samples) + np.maximum(x - 1.0, 0.0) * self._last_slope()
        return np.copysign(y, encoded)

    def encoded(self, linear: Reals) -> Reals:
        y = np.abs(linear)
        steps = np.linspace(0.0, 1.0, len(self.samples))
        x = np.interp(y, self.samples, steps)
        x += np.maximum(y - self.samples[-1], 0.0) / self._last_slope()
        return np.copysign(x, linear)

    def _last_slope(self) -> float:
        slope = (self.samples[-1] - self.samples[-2]) * (len(self.samples) - 1)
        return max(float(slope), 0.1)  # where the curve ends flat


_SRGB_CURVE = _Parametric(*srgb.CURVE)


@dataclass(frozen=True, eq=False)
class _Profile:
    """A matrix profile: curves to linear light, and a matrix from there to linear sRGB."""

    curves: tuple[_Curve, _Curve, _Curve]
    matrix: Reals

    def to_srgb(self, colors: Reals) -> Reals:
        return _SRGB_CURVE.encoded(self.linear(colors) @ self.matrix.T)

    def from_srgb(self, colors: Reals) -> Reals:
        return self.encoded(_SRGB_CURVE.linear(colors) @ np.linalg.inv(self.matrix).T)

    def linear(self, colors: Reals) -> Reals:
        return np.stack([c.linear(colors[..., i]) for i, c in enumerate(self.curves)], axis=-1)

    def encoded(self, colors: Reals) -> Reals:
        return np.stack([c.encoded(colors[..., i]) for i, c in enumerate(self.curves)], axis=-1)


class _UnusableProfileError(Exception):
    """What is wrong with a profile."""


def in_color(icc_profile: bytes) -> bytes:
    """Return a profile of RGB whose equal channels mean what a profile of grey means.

    It has the primaries of sRGB. A profile of anything else, or a damaged one, is returned as it
    is, and `profile_problem` tells what is wrong with it.
    """
    if icc_profile[16:20] != b"GRAY":
        return icc_profile
    try:
        curve = _tags(icc_profile)["kTRC"]
        _curve(curve)
        return spaces.curve_profile("Grey", curve)
    except (KeyError, struct.error, ValueError, OverflowError, _UnusableProfileError):
        return icc_profile


def to_srgb(colors: npt.ArrayLike, icc_profile: bytes | None) -> npt.NDArray[np.float32]:
    """Convert colors from a profile to sRGB, relative colorimetric.

    Args:
        colors: (..., 3), encoded as the profile says, 0..1; values outside are continued.
        icc_profile: None is sRGB. A profile that is broken, not of RGB or made of tables is
            taken for sRGB; `profile_problem` tells why.

    Returns:
        (..., 3) sRGB-encoded; colors that sRGB lacks are outside 0..1.
    """
    profile = _understood(icc_profile)
    given = np.asarray(colors, dtype=np.float64)
    return (profile.to_srgb(given) if profile else given).astype(np.float32)


@lru_cache(maxsize=8)
def srgb_curves(
    icc_profile: bytes | None, dtype: np.dtype[Any]
) -> tuple[npt.NDArray[np.float32], ...] | None:
    """Return tables that give each channel of a profile's colors the tone curve of sRGB.

    The primaries stay those of the profile; `curved_to_srgb` does the rest.

    Args:
        icc_profile: As in `to_srgb`.
        dtype: Of the pixels, uint8 or uint16, or of floats.

    Returns:
        For red, green and blue 256 values of uint8, else 65536, from black to white, in the scale
        of the pixels; None where the profile's curves are those of sRGB already.
    """
    profile = _understood(icc_profile)
    if profile is None:
        return None
    count = 256 if dtype == np.uint8 else 65536
    steps = np.repeat(np.linspace(0.0, 1.0, count)[:, None], 3, axis=1)
    curved = _SRGB_CURVE.encoded(profile.linear(steps)).clip(0.0, 1.0)
    if np.abs(curved - steps).max() < _SAME_AS_SRGB:
        return None
    full = np.iinfo(dtype).max if dtype.kind == "u" else 1.0
    return tuple((curved * full).astype(np.float32).T.copy())


def curved_to_srgb(colors: npt.ArrayLike, icc_profile: bytes | None) -> npt.NDArray[np.float32]:
    """Convert colors with a profile's primaries and the tone curve of sRGB to sRGB.

    Args:
        colors: As `srgb_curves` makes them, (..., 3), 0..1.
        icc_profile: As in `to_srgb`.

    Returns:
        (..., 3) sRGB-encoded; colors that sRGB lacks are outside 0..1.
    """
    profile = _understood(icc_profile)
    given: npt.NDArray[np.floating[Any]] = np.asarray(colors, dtype=np.float64)
    if profile is not None:
        given = replace(profile, curves=(_SRGB_CURVE,) * 3).to_srgb(given)
    return given.astype(np.float32)


def from_srgb(colors: npt.ArrayLike, icc_profile: bytes | None) -> npt.NDArray[np.float32]:
    """Convert colors from sRGB to a profile; the inverse of `to_srgb`, with the same arguments.

    Returns:
        (..., 3) encoded as the profile says; colors that it lacks are outside 0..1.
    """
    profile = _understood(icc_profile)
    given = np.asarray(colors, dtype=np.float64)
    return (profile.from_srgb(given) if profile else given).astype(np.float32)


@lru_cache(maxsize=8)  # a roll has one look and mostly one profile; a daemon has several clients
def profile_lut(lut: Lut3D, icc_profile: bytes | None) -> Lut3D:
    """Return the LUT that does to colors of a profile what `lut` does to those of sRGB.

    So the pixels of a photo need not be converted. In profiles with linear light the cells of a
    LUT are too coarse for shadows: `apply_in_profile` is right for these, too.

    Args:
        lut: sRGB-encoded colors to sRGB-encoded colors.
        icc_profile: As in `to_srgb`.

    Returns:
        `lut` itself for sRGB; else one of the size of `lut`, at least 65.
    """
    profile = _understood(icc_profile)
    return _converted(lut, profile) if profile else lut


def apply_in_profile(
    lut: ColorLut,
    pixels: Pixels,
    icc_profile: bytes | None,
    *,
    out: Pixels | None = None,
    threads: int = MOST_THREADS,
) -> Pixels:
    """Apply a LUT of sRGB-encoded colors to pixels that are encoded in another profile.

    Args:
        lut: sRGB-encoded colors to sRGB-encoded colors.
        pixels: As in `apply_lut`, in the encoding of the profile.
        icc_profile: As in `to_srgb`.
        out: As in `apply_lut`.
        threads: As in `apply_lut`.

    Returns:
        The result, in the encoding of the profile: `out` or a new array.

    Raises:
        OptionError: An array has another shape, dtype or layout.
    """
    profile = _understood(icc_profile)
    if profile is None:
        return apply_lut(lut, pixels, out=out, threads=threads)
    if not isinstance(lut, Lut3D):  # a cube would take its exactness from it
        there, back = profile.to_srgb, profile.from_srgb
        return _apply_elsewhere(lut, pixels, there, back, out, threads)
    if not _is_coarse(profile):
        return apply_lut(profile_lut(lut, icc_profile), pixels, out=out, threads=threads)
    # Meanwhile the colors have the profile's primaries with the curve of sRGB.
    return _apply_elsewhere(
        _shaped_lut(lut, profile),
        pixels,
        lambda colors: _SRGB_CURVE.encoded(profile.linear(colors)),
        lambda colors: profile.encoded(_SRGB_CURVE.linear(colors)),
        out,
        threads,
    )


def _converted(lut: Lut3D, profile: _Profile) -> Lut3D:
    size = max(_LUT_SIZE, lut.size)

    def look(colors: Reals) -> Reals:
        before = profile.to_srgb(colors)
        after = lut(before).astype(np.float64)
        # Curves are steep near black, where rounding alone would move saturated colors.
        moved = np.abs(after - before).max(axis=-1, keepdims=True) > 1e-6
        return np.where(moved, profile.from_srgb(after), colors)

    return replace(Lut3D.from_function(look, size), title=lut.title, comments=lut.comments)


@lru_cache(maxsize=8)
def _shaped_lut(lut: Lut3D, profile: _Profile) -> Lut3D:
    """Return the LUT for the profile's primaries with the curve of sRGB."""
    return _converted(lut, replace(profile, curves=(_SRGB_CURVE,) * 3))


def _is_coarse(profile: _Profile) -> bool:
    return bool(profile.linear(np.full(3, 1 / (_LUT_SIZE - 1))).max() > _COARSE)


def _apply_elsewhere(
    lut: ColorLut,
    pixels: Pixels,
    there: Callable[[Reals], Reals],
    back: Callable[[Reals], Reals],
    out: Pixels | None,
    threads: int,
) -> Pixels:
    """Apply the LUT to colors that go to another encoding and back, strip by strip."""
    out = result_for(pixels, out)
    full = np.iinfo(out.dtype).max if out.dtype.kind == "u" else 1
    rows = max(1, _STRIP_PIXELS // max(1, out.shape[1]))
    for top in range(0, len(out), rows):
        strip = out[top : top + rows]
        colors = strip[..., :3].astype(np.float32) / np.float32(full)
        with np.errstate(invalid="ignore", over="ignore"):
            mapped = there(colors).astype(np.float32)
            apply_lut(lut, mapped, out=mapped, threads=threads)
            result = back(mapped)
            if full > 1:
                result = np.round(result.clip(0.0, 1.0) * full)
            finite = np.isfinite(colors).all(axis=-1, keepdims=True)
            strip[..., :3] = np.where(finite, result.astype(out.dtype), strip[..., :3])
    return out


def passes_for_srgb(icc_profile: bytes | None) -> bool:
    """Tell whether colors of a profile are sRGB's, or are taken for such, as in `to_srgb`."""
    return _understood(icc_profile) is None


def profile_problem(icc_profile: bytes | None) -> str:
    """Return what keeps a profile from being used, as after "its ICC profile", "" if nothing."""
    if icc_profile is None:
        return ""
    try:
        _parse(icc_profile)
    except _UnusableProfileError as problem:
        return str(problem)
    return ""


@lru_cache(maxsize=8)
def _understood(icc_profile: bytes | None) -> _Profile | None:
    """Return the profile, or None for sRGB and for what has to pass for it."""
    if icc_profile is None:
        return None
    try:
        profile = _parse(icc_profile)
    except _UnusableProfileError:
        return None
    steps = np.linspace(0.0, 1.0, 9)
    colors = np.stack(np.meshgrid(steps, steps, steps), axis=-1)
    if np.abs(profile.to_srgb(colors) - colors).max() < _SAME_AS_SRGB:
        return None
    return profile


def _parse(data: bytes) -> _Profile:
    """Read a profile.

    Raises:
        _UnusableProfileError: It is broken, or not a matrix profile of RGB.
    """
    if len(data) < 132 or data[36:40] != b"acsp":
        raise _UnusableProfileError("is damaged")
    if data[16:20] != b"RGB ":
        space = data[16:20].decode("ascii", "replace").strip()
        raise _UnusableProfileError(f"is for {space} pictures, not for RGB")
    try:
        tags = _tags(data)
        missing = [t for c in "rgb" for t in (f"{c}XYZ", f"{c}TRC") if t not in tags]
        if missing and "A2B0" in tags:
            raise _UnusableProfileError("is made of tables, which VAE Balance does not read")
        if missing:
            raise _UnusableProfileError(f"has no {missing[0]}")
        curves = (_curve(tags["rTRC"]), _curve(tags["gTRC"]), _curve(tags["bTRC"]))
        primaries = [struct.unpack_from(">3i", tags[f"{channel}XYZ"], 8) for channel in "rgb"]
        matrix = np.linalg.inv(_SRGB_TO_XYZ) @ (np.array(primaries).T / 65536)
    except (struct.error, ValueError, OverflowError, ZeroDivisionError) as error:
        raise _UnusableProfileError("is damaged") from error
    if np.linalg.cond(matrix) > 1e4:
        raise _UnusableProfileError("is damaged: its primaries lie on a line")
    return _Profile(curves, matrix)


def _tags(data: bytes) -> dict[str, bytes]:
    """Return the bytes of each tag by its signature."""
    (count,) = struct.unpack_from(">I", data, 128)
    entries = (struct.unpack_from(">4sII", data, 132 + 12 * i) for i in range(min(count, 200)))
    return {
        signature.decode("latin-1"): data[offset : offset + size]
        for signature, offset, size in entries
    }


def _curve(tag: bytes) -> _Curve:
    """Read a tone curve."""
    if tag[:4] == b"para":
        return _parametric(tag)
    if tag[:4] != b"curv":
        raise _UnusableProfileError("is damaged: it has a curve of unknown type")
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return _Parametric(1.0)
    if count == 1:
        return _Parametric(_positive(struct.unpack_from(">H", tag, 12)[0] / 256))
    samples = np.frombuffer(tag, ">u2", count, 12) / 65535
    if samples[-1] < 0.5 or samples[0] > 0.1 or (np.diff(samples) < 0).any():
        raise _UnusableProfileError("is damaged: a tone curve does not rise from black to white")
    # Where samples are equal, rounded to 16 bits near black, the curve has to have an inverse.
    return _Sampled(samples + np.linspace(0.0, 1e-7, count))


def _parametric(tag: bytes) -> _Curve:
    """Read a parametric curve (ICC.1:2022, table 68)."""
    (kind,) = struct.unpack_from(">H", tag, 8)
    count = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}.get(kind)
    if count is None:
        raise _UnusableProfileError("is damaged: it has a curve of unknown type")
    g, *rest = (value / 65536 for value in struct.unpack_from(f">{count}i", tag, 12))
    g = _positive(g)
    if kind == 0:
        return _Parametric(g)
    a, b = _positive(rest[0]), rest[1]
    if kind == 1:
        return _Parametric(g, a, b, d=-b / a)
    if kind == 2:
        return _Parametric(g, a, b, d=-b / a, e=rest[2], f=rest[2])
    return _Parametric(g, a, b, *rest[2:])


def _positive(value: float) -> float:
    if value <= 0:
        raise _UnusableProfileError("is damaged: a tone curve does not rise from black to white")
    return value
