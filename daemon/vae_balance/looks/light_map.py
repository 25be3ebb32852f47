"""A look that differs from place to place: a LUT for the whole photo, and a bilateral grid over it.

The grid has nodes along the frame's height, width and luma, each an affine color map. A pixel gets
the mixture of those nearest to where it lies and how light it is after the LUT, so that edges of
light follow edges of things. `slicing.py` has the loop over pixels.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_balance.color.arrays import Doubles, Floats, Pixels
from vae_balance.color.lut import MOST_THREADS, Lut3D, result_for
from vae_balance.color.profile import from_srgb, passes_for_srgb, to_srgb
from vae_balance.color.srgb import LUMINANCE
from vae_balance.errors import LutError
from vae_balance.looks.look import Place
from vae_balance.looks.lut_look import LutLook
from vae_balance.looks.origin import Origin
from vae_balance.looks.packed import pack_look

if TYPE_CHECKING:
    from vae_balance.looks.report import LookReport


KIND = "light"
# Numbers of an affine color map: factors of red for the changes of red, green and blue, then those
# of green, then of blue, then what is added.
MAP = 12
# Name and text of the comment in the LUT file of an average.
AVERAGE = "average"
AVERAGE_WARNING = "over the places of a look that differs from place to place; corrects none fully"
# Of a grid, along each edge.
_MOST_NODES = 256
# What one thread does at a time: its colors stay in a core's cache.
_STRIP_PIXELS = 1 << 15


@dataclass(frozen=True, eq=False)
class LightLook:
    """A LUT and a grid of what is added to it place by place.

    Attributes:
        base: the color function of the whole photo, sRGB-encoded, at strength 1.
        grid: (R, C, L, 12) float32: the changes that affine color maps make of colors after the
            LUT, sRGB-encoded 0..1, over rows and columns of the upright frame and over luma. All
            zeros change nothing.
        origin: what it was learned with.
        strength: that it was learned with: 0 changes nothing, 1 in full.
        report: what was found wrong.
    """

    base: Lut3D
    grid: Floats
    origin: Origin
    strength: float = 1.0
    report: LookReport | None = field(default=None, kw_only=True)
    lut: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Check the grid.

        Raises:
            LutError: it has another shape, or values that are not finite.
        """
        shape = self.grid.shape
        sizes = shape[:3]
        if len(shape) != 4 or shape[3] != MAP or min(sizes) < 1 or max(sizes) > _MOST_NODES:
            raise LutError(f"grid of shape {shape}: must be (rows, columns, 2 levels or more, 12)")
        if shape[2] < 2 or not np.isfinite(self.grid).all() or not np.isfinite(self.strength):
            raise LutError("grid without levels, or with NaN or infinite values")

    @cached_property
    def changes_nothing(self) -> bool:
        """Whether every color stays as it is, in every place."""
        return self.strength == 0.0 or (not self.grid.any() and self.base.is_identity())

    def apply(
        self,
        pixels: Pixels,
        place: Place,
        profile: bytes | None = None,
        strength: float = 1.0,
        out: Pixels | None = None,
        threads: int = MOST_THREADS,
    ) -> Pixels:
        """Change colors by where they lie; see `Look.apply`.

        A float outside 0..1 is changed as the nearest color inside and keeps its distance from it;
        a pixel with a NaN or an infinity among its colors stays as it is. Where nothing is to be
        changed every pixel does, to the last bit, in any encoding.
        """
        out = result_for(pixels, out)
        whole = self.strength * strength
        if whole == 0.0 or not out.size or self.changes_nothing:
            return out
        lain = place.lay(self.grid.transpose(2, 3, 0, 1)).transpose(2, 3, 0, 1)
        change = _Change(
            self.base,
            np.ascontiguousarray(lain),
            place,
            None if passes_for_srgb(profile) else profile,
            np.float32(whole),
        )
        rows = max(1, _STRIP_PIXELS // out.shape[1])
        tops = range(0, len(out), rows)
        threads = max(1, min(threads, len(tops), os.cpu_count() or 1))
        with ThreadPoolExecutor(threads) as pool:  # OpenColorIO, numba and numpy run beside another
            list(pool.map(lambda top: change(out[top : top + rows], top), tops))
        return out

    def average(self) -> Lut3D:
        """Return the LUT of the mean over all places: what of the look can leave as a LUT file."""
        grid = self.grid.mean(axis=(0, 1), keepdims=True, dtype=np.float64).astype(np.float32)

        def changed(colors: Doubles) -> Floats:
            lights = colors.astype(np.float32)[:, None]
            place = Place.whole(lights)
            _Change(self.base, grid, place, None, np.float32(self.strength))(lights, 0)
            return lights[:, 0]

        return Lut3D.from_function(changed, self.base.size).clipped()

    def averaged(self) -> LutLook:
        """Return the look of `average`, whose origin tells what it is."""
        options = {**self.origin.options, AVERAGE: AVERAGE_WARNING}
        return LutLook(self.average(), replace(self.origin, options=options), report=self.report)

    def digest(self) -> str:
        """Return the digest of LUT, grid and strength."""
        digest = hashlib.sha256(f"{KIND} {self.grid.shape} {self.strength!r}".encode())
        digest.update(self.base.digest().encode() + self.grid.astype("<f4").tobytes())
        return digest.hexdigest()

    def to_bytes(self) -> bytes:
        """Return the look for another process."""
        values = {
            "size": self.base.size,
            "table": self.base.table.astype("<f4").tobytes(),
            "shape": self.grid.shape,
            "grid": self.grid.astype("<f4").tobytes(),
            "strength": self.strength,
        }
        return pack_look(KIND, self.origin, self.report, values)

    @staticmethod
    def from_values(
        origin: Origin, report: LookReport | None, values: Mapping[str, Any]
    ) -> LightLook:
        """Return the look that `to_bytes` made bytes of; any exception if it did not."""
        size = values["size"]
        table = np.frombuffer(values["table"], "<f4").reshape(size, size, size, 3)
        grid = np.frombuffer(values["grid"], "<f4").reshape(values["shape"])
        return LightLook(Lut3D(table), grid, origin, float(values["strength"]), report=report)


@dataclass(frozen=True, eq=False)
class _Change:
    """A look as it lies over the stored pixels of a photo, or of a part of it."""

    base: Lut3D
    grid: Floats
    place: Place
    profile: bytes | None
    strength: np.float32

    def __call__(self, strip: Pixels, top: int) -> None:
        """Change a strip in place, (rows, columns, 3 or 4), `top` rows below the part's first."""
        if self.profile is None and strip.dtype != np.float16:
            self._slice(strip, top)
            return
        # Elsewhere in floats: numba knows no float16, and the maps are of sRGB.
        full = np.float32(np.iinfo(strip.dtype).max if strip.dtype.kind == "u" else 1.0)
        given = strip[..., :3]
        with np.errstate(invalid="ignore", over="ignore"):
            colors = given.astype(np.float32) / full
            if self.profile is not None:
                colors = np.ascontiguousarray(to_srgb(colors, self.profile))
            self._slice(colors, top)
            if self.profile is not None:
                colors = from_srgb(colors, self.profile)
            if full > 1.0:
                colors = np.rint(colors.clip(0.0, 1.0) * full)
            known = np.isfinite(given).all(axis=-1, keepdims=True)
            strip[..., :3] = np.where(known, colors.astype(strip.dtype), given)

    def _slice(self, pixels: Pixels, top: int) -> None:
        """Change pixels of sRGB in place: the LUT, then the grid, in floats between them."""
        from vae_balance.looks.slicing import slice_rows  # compiled when a look is first applied

        full = np.float32(np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1.0)
        mapped = np.multiply(pixels[..., :3], np.float32(1.0) / full, dtype=np.float32)
        if full == 1.0:
            np.clip(np.nan_to_num(mapped, copy=False), 0.0, 1.0, out=mapped)
        self.base.run(mapped.reshape(-1, 3))
        np.clip(mapped, 0.0, 1.0, out=mapped)
        where = (self.place.top + top, self.place.left, self.place.height, self.place.width)
        slice_rows(pixels, mapped, self.grid, where, full, self.strength, LUMINANCE)
